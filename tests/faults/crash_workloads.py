"""The workloads that run with and without a crash. Each waits for what it sees, never for a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.faults.crash_apps import App
from tests.faults.crash_scene import Scene, held, noted_for
from tests.stack.waiting import until
from tests.stack.workloads import deployment, pod, stateful_set

Workload = Callable[[Scene], Awaitable[None]]
REQUEST = "publish drain.commands drain.command"


async def rollout(scene: Scene) -> None:
    """A Deployment's two pods are replaced one by one; each old process goes on until it is out of service."""
    app = f"shop-{scene.region}"
    body = deployment(app, held(), replicas=2, annotations=noted_for(app))
    body["spec"]["template"]["metadata"]["labels"] = {"app": app, "generation": "old"}
    await scene.client.create("deployments", body, scene.namespace)
    old = [
        await scene.add(f"old {number}", one, app=app)
        for number, one in enumerate(await scene.pods(2, app=app, generation="old"))
    ]
    scene.concluded = [one.label for one in old]
    await _serve(scene, old)
    scene.recorder.begin()
    patch = {"spec": {"template": {"metadata": {"labels": {"generation": "new"}}}}}
    await scene.client.patch("deployments", app, patch, scene.namespace)
    await asyncio.gather(_replace(scene, app), *(_leave(scene, one) for one in old))
    await scene.settle()


async def stateful(scene: Scene) -> None:
    """A StatefulSet's pod is replaced; its successor registers under the same id, once the old one is out."""
    app, old = await _stateful_pod(scene)
    scene.concluded = [old.label]
    await _serve(scene, [old])
    scene.recorder.begin()
    await scene.client.delete("pods", old.name, scene.namespace)
    await _leave(scene, old)
    new = await _successor(scene, app, old)
    await new.start()
    await scene.settle()
    await scene.show(new, "UP", of=new)


async def replay(scene: Scene) -> None:
    """Two finished drains are replayed: of a process that still runs and was put back, and of one with a successor."""
    # Until the replay the worker only takes out of service: so the first drains are finished in a second.
    app, old = await _stateful_pod(scene)
    solo = f"solo-{scene.region}"
    await scene.client.create("pods", pod(solo, held(), annotations=noted_for(solo)), scene.namespace)
    running = await scene.add("running", (await scene.pods(1, app=solo))[0], app=solo)
    await _serve(scene, [old, running])
    await scene.client.delete("pods", old.name, scene.namespace)
    await scene.client.delete("pods", running.name, scene.namespace)
    for one in (old, running):
        await scene.show(one, "OUT_OF_SERVICE")
        await scene.log.wait_for(one.name, "out_of_service")
    await scene.end_of_pod(old)
    new = await _successor(scene, app, old)
    await new.start()
    # By force, so that its end is not proved, and its process may go on; a worker looks until 35 s after that.
    await scene.client.delete("pods", running.name, scene.namespace, grace_seconds=0, uid=running.uid)
    await until(
        lambda: scene.recorder.in_flight == 0 and scene.recorder.quiet_for > 1, "the first drains' end", timeout=120
    )
    for one in (new, running):
        await _put_back(scene, one)
        await scene.show(one, "UP", of=one)
    await scene.processes["work"].stop()
    await scene.process("work", "work", "--region", scene.region).start()
    scene.concluded = [running.label]
    scene.first_event = len(scene.log.events)
    bodies = scene.recorder.bodies(REQUEST)
    scene.recorder.begin()
    for body in bodies:
        await scene.publish(body)
    await scene.show(running, "OUT_OF_SERVICE")
    await running.stop()
    await scene.settle()
    await scene.show(new, "UP", of=new)


WORKLOADS: dict[str, Workload] = {"rollout": rollout, "stateful": stateful, "replay": replay}
FIRST_SETTINGS = {"replay": {"remove": "false"}}
"""Of the worker, where they are not the usual ones."""


async def _stateful_pod(scene: Scene) -> tuple[str, App]:
    app = f"web-{scene.region}"
    body = stateful_set(app, held())
    notes = noted_for(app, instance_id="{app}:{name}:8080")
    body["spec"]["template"]["metadata"]["annotations"] = notes
    await scene.client.create("statefulsets", body, scene.namespace)
    return app, await scene.add("old", (await scene.pods(1, app=app))[0], app=app)


async def _successor(scene: Scene, app: str, old: App) -> App:
    async def look() -> bool:
        found = await scene.pods(1, app=app)
        return bool(found[0]["metadata"]["uid"] != old.uid)

    await until(look, "the successor's pod")
    return await scene.add("new", (await scene.pods(1, app=app))[0], app=app)


async def _serve(scene: Scene, apps: list[App]) -> None:
    for one in apps:
        await one.start()
    for one in apps:
        await scene.show(one, "UP")


async def _leave(scene: Scene, old: App) -> None:
    """A preStop that is long enough, whatever dies: until no caller is given the instance any more."""
    await scene.show(old, "OUT_OF_SERVICE")
    await scene.end_of_pod(old)


async def _replace(scene: Scene, app: str) -> None:
    new = [
        await scene.add(f"new {number}", one, app=app)
        for number, one in enumerate(await scene.pods(2, app=app, generation="new"))
    ]
    await _serve(scene, new)


async def _put_back(scene: Scene, app: App) -> None:
    nodes = scene.eureka.nodes
    await asyncio.gather(*(node.registry.delete_status(app.app, app.instance_id, "UP") for node in nodes))
