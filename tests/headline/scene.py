"""What stands before the first restart: namespaces, the policy in force, the services, their callers, the controller.

Order of events: the policy takes a few seconds to come into force, so a pod that is not kept is tried until it gets the
hook; only then are the Deployments created. The callers start when all services are registered. A caller is in order
when its last calls went to all the instances and to no other.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from tests.headline.callers import Caller
from tests.headline.observing import Observer
from tests.headline.record import UP
from tests.headline.trial import Trial
from tests.headline.variants import PER_SECOND, PORT, REPLICAS, STOCK, TUNED, VARIANTS, Variant
from tests.stack import parts
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.kube_client import path
from tests.stack.prerequisites import ReportProgress
from tests.stack.stack import Stack
from tests.stack.waiting import until
from tests.stack.workloads import Object, deployment, java_service, pod, pod_spec

_COMPONENTS = Path(__file__).parents[2] / "manifests" / "components"
_POLICIES = [_COMPONENTS / name / "policy.yaml" for name in ("drain-window", "eureka-clients")]
SERVICE, CALLER = "service", "caller"
"""Who asks a Eureka node, as its access log shows it."""
LAST_CALLS = 2 * PER_SECOND
"""So many of a caller's last calls show whom it knows: two seconds of them reach all instances many times."""
LONGEST_START = 300.0
"""Seconds until things stand that were begun at once on a busy machine."""


async def set_up(opened: AsyncExitStack, stack: Stack, report_progress: ReportProgress) -> Trial:
    """All that is started is ended with `opened`."""
    observer = Observer(stack.cluster, stack.eureka, {variant.key: variant for variant in VARIANTS})
    await opened.enter_async_context(observer.running())
    await _deploy(stack, report_progress)
    jars = await parts.eureka_jars(lambda _: None)
    trial = Trial(
        stack=stack,
        observer=observer,
        controller=_controller(stack),
        callers={
            variant.key: Caller(
                variant,
                _nodes_as(CALLER, variant, stack.eureka[variant.region]),
                jars / "caller-1.jar",
                stack.folder,
                given=await _given(stack, variant),
            )
            for variant in VARIANTS
        },
        report_progress=report_progress,
    )
    await all_up(trial)
    report_progress("all instances are UP at every node")
    opened.push_async_callback(trial.controller.stop)
    await trial.controller.start()
    for caller in trial.callers.values():
        opened.push_async_callback(caller.kill)
        await caller.start()
    report_progress("controller and callers are ready; waiting until each caller is answered by all instances")
    await all_called(trial)
    return trial


async def all_up(trial: Trial) -> None:
    """Wait until all pods are ready, and every node says UP of every instance."""

    async def look() -> bool:
        for variant in trial.variants:
            ready = trial.observer.ready(variant)
            if not len(ready) == len(trial.observer.living(variant)) == REPLICAS:
                return False
            eureka = trial.stack.eureka[variant.region]
            shown = await asyncio.gather(*(eureka.statuses(variant.key, one) for one in ready))
            if not all(set(statuses) == {UP} for statuses in shown):
                return False
        return True

    await until(look, f"{REPLICAS} instances of each service UP at every node", timeout=LONGEST_START, interval=1)


async def all_called(trial: Trial) -> None:
    """Wait until every caller is answered by all living instances of its service, and calls no other."""

    def look() -> bool:
        return all(
            caller.answered_by(LAST_CALLS) == trial.observer.ready(caller.variant) for caller in trial.callers.values()
        )

    await until(look, "every caller answered by all instances, and by no other", timeout=LONGEST_START, interval=1)


async def _deploy(stack: Stack, report_progress: ReportProgress) -> None:
    client = stack.cluster.client
    for variant in VARIANTS:
        metadata = {"name": variant.key, "labels": variant.labels, "annotations": variant.annotations}
        await client.create("namespaces", {"metadata": metadata}, None)
    for policy in _POLICIES:
        await stack.cluster.kubectl("apply", "--validate=strict", "-f", str(policy))
    for variant in VARIANTS:
        if variant.drained:
            await until(partial(_gets_the_hook, stack, variant), f"the window's policy in force in {variant.key}")
        if variant.quick:
            await until(partial(_given, stack, variant), f"the clients' policy in force in {variant.key}")
    report_progress("the policies are in force")
    program = await parts.sample_service(report_progress)
    for variant in VARIANTS:
        eureka = stack.eureka[variant.region]
        nodes = _nodes_as(SERVICE, variant, eureka)
        service = java_service(variant.key, nodes, program, port=PORT, lifecycle=variant.lifecycle(eureka.urls[0]))
        spec = pod_spec(service, grace_seconds=variant.grace_seconds)
        made = deployment(variant.key, spec, replicas=REPLICAS, stock_strategy=True)
        await client.create("deployments", made, variant.key)


async def _gets_the_hook(stack: Stack, variant: Variant) -> bool:
    return "preStop" in ((await _tried(stack, variant)).get("lifecycle") or {})


async def _given(stack: Stack, variant: Variant) -> dict[str, str]:
    """What the environment of a pod is there that says nothing itself. Our callers are no pods, and get the same."""
    variables = (await _tried(stack, variant)).get("env", [])
    return {one["name"]: one["value"] for one in variables if "value" in one}


async def _tried(stack: Stack, variant: Variant) -> Object:
    """The container of a pod that is made in the variant's namespace, and not kept."""
    tried = pod("tried", pod_spec({"name": "main", "image": "local"}))
    made = await stack.cluster.client.call("POST", path("pods", variant.key), body=tried, params={"dryRun": "All"})
    container: Object = made["spec"]["containers"][0]
    return container


def _controller(stack: Stack) -> ControllerProcess:
    """It watches the drained variants' namespaces only."""
    return ControllerProcess(
        "run",
        log=stack.folder / "controller.log",
        broker=stack.broker.url,
        regions={region: nodes.urls for region, nodes in stack.eureka.items()},
        kubeconfig=stack.cluster.kubeconfig,
        settings={
            "watch.namespaces": ",".join(variant.key for variant in VARIANTS if variant.drained),
            "routing.default_regions": STOCK,
            f"routing.namespaces.{TUNED}": TUNED,
        },
    )


def _nodes_as(who: str, variant: Variant, eureka: EurekaNodes) -> list[str]:
    """The region's URLs with a name for the access log; no node asks for a password."""
    return [url.replace("://", f"://{variant.key}.{who}:none@") for url in eureka.urls]
