"""One pod on the node stand-in, from its start to its object's end.

Order of events: containers start, the status is written at each change by one writer; when the deletion is seen all
containers are terminated; when all have ended for good the terminal phase is written, and a pod that is being deleted
is removed from the API with grace 0. A pod that completed by itself stays until somebody deletes it.

Trap: status and deletion are tied to the uid. Another pod of that name may be there already.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.stack.container import Container
from tests.stack.images import Host, Image, Volumes, name_of
from tests.stack.kube_client import KubeClient, KubeError
from tests.stack.pod_handlers import environment, expand
from tests.stack.pod_status import bare_status_of, conditions_of, phase_of, status_of
from tests.stack.timeline import Timeline, now

Object = dict[str, Any]

RETRY_SECONDS = 0.5


class PodProcess:
    """`online` gates every call to the API server: a node that is cut off reports nothing to it."""

    def __init__(
        self,
        pod: Object,
        *,
        client: KubeClient,
        ips: Sequence[str],
        host_ip: str,
        folder: Path,
        online: asyncio.Event,
        images: Mapping[str, Image],
        host: Host | None,
    ) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        self.namespace, self.name, self.uid = metadata["namespace"], metadata["name"], metadata["uid"]
        self.ip, self.ips = ips[0], tuple(ips)
        self.timeline = Timeline.of(pod)
        self.timeline.ip = self.ip
        self._client, self._host_ip, self._online = client, host_ip, online
        self._images, self._host = images, host
        self._volumes: list[Volumes] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.containers = [self._container(pod, one, folder) for one in spec["containers"]]
        self._conditions: list[Object] = []
        self._changed = asyncio.Event()
        self._deleting = asyncio.Event()
        self._vanished = asyncio.Event()
        self._grace: float | None = None
        self._termination: asyncio.Task[None] | None = None
        self._ended = False
        self._evicted = False
        self._bare = False
        self._started_at = now()

    def _container(self, pod: Object, spec: Object, folder: Path) -> Container:
        own = environment(pod, spec, ip=self.ip, host_ip=self._host_ip)
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "JAVA_HOME") if name in os.environ}
        # Whatever the program leaves behind goes with the folder, a JVM's temporary files included.
        java = f"-Djava.io.tmpdir={folder} -XX:-UsePerfData"
        places = {"HOME": str(folder), "TMPDIR": str(folder), "HOSTNAME": self.name, "JAVA_TOOL_OPTIONS": java}
        words = [expand(word, own) for word in (*(spec.get("command") or []), *(spec.get("args") or []))]
        image = self._images.get(name_of(spec.get("image", "")))
        if image is not None and self._host is not None:
            volumes = Volumes(pod, spec, folder / spec["name"])
            self._volumes.append(volumes)
            words = volumes.command([*image.entrypoint, *words] if not spec.get("command") else words)
            given = {name: expand(value, {"POD_IP": self.ip, **own}) for name, value in image.env.items()}
            own = self._host.variables | given | own
        return Container(
            spec,
            command=words,
            env=inherited | places | own,
            folder=folder,
            ip=self.ip,
            restart_policy=pod["spec"].get("restartPolicy", "Always"),
            timeline=self.timeline,
            changed=lambda: self._changed.set(),
        )

    async def run(self) -> None:
        """Until the object is gone, or for ever if its processes were orphaned by a forced deletion."""
        writing = asyncio.create_task(self._write_changes())
        try:
            await self._write_volumes()
            await asyncio.gather(*(container.run() for container in self.containers))
            self._ended = True
            writing.cancel()
            await self._persistently(self._write)
            await self._deleting.wait()
            # A preStop that outlives its container is waited for, too; a shorter grace may replace the task meanwhile.
            while self._termination is not None and not self._termination.done():
                await asyncio.wait({self._termination})
            await self._persistently(
                lambda: self._client.delete("pods", self.name, self.namespace, grace_seconds=0, uid=self.uid)
            )
            self.timeline.mark_first("deleted_at")
        finally:
            writing.cancel()

    async def _write_volumes(self) -> None:
        for volumes in self._volumes:
            while not self._deleting.is_set():
                try:
                    assert self._host is not None
                    await volumes.write(self._client, self._host)
                    break
                except (KubeError, aiohttp.ClientError, TimeoutError, OSError):
                    # What is mounted is not there yet: a kubelet waits for it, too.
                    await asyncio.sleep(RETRY_SECONDS)

    def terminate(self, grace_seconds: float) -> None:
        """The deletion was seen, or it was seen again with another grace: only a shorter one counts."""
        self.timeline.mark_first("deletion_seen")
        self._deleting.set()
        if self._grace is not None and grace_seconds >= self._grace:
            return
        first = self._grace is None
        self._grace = grace_seconds
        if self._termination is not None:
            self._termination.cancel()
        self._termination = asyncio.create_task(self._terminate_all(grace_seconds, with_pre_stop=first))

    async def _terminate_all(self, grace_seconds: float, *, with_pre_stop: bool) -> None:
        await asyncio.gather(*(one.terminate(grace_seconds, with_pre_stop=with_pre_stop) for one in self.containers))

    async def end_now(self) -> None:
        """The deletion was seen with grace 0: usually the object is gone already, unless a finalizer holds it."""
        self.timeline.mark_first("deletion_seen")
        self._deleting.set()
        await self.kill()

    async def evict(self, *, bare: bool = False) -> None:
        """As a kubelet short of memory: kill without preStop, phase Failed, and the object stays.

        `bare`: its status tells nothing else any more, neither addresses nor containers.
        """
        self._evicted, self._bare = True, bare
        await self.kill()

    def vanish(self) -> None:
        """The object is gone without our doing: nothing more to write."""
        self.timeline.mark_first("deleted_at")
        self._vanished.set()
        self._deleting.set()

    async def kill(self) -> None:
        """All processes, now."""
        if self._termination is not None:
            self._termination.cancel()
        await asyncio.gather(*(container.kill() for container in self.containers))

    async def _write_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._persistently(self._write)

    async def _write(self) -> None:
        states = [container.state for container in self.containers]
        ready = not self._ended and all(state.ready for state in states)
        self._conditions = conditions_of(ready, self._conditions, now(), evicted=self._evicted)
        if self._bare:
            status = bare_status_of(self._conditions)
        else:
            status = status_of(
                states,
                phase="Failed" if self._evicted else phase_of(states, ended=self._ended),
                ips=self.ips,
                host_ip=self._host_ip,
                started_at=self._started_at,
                conditions=self._conditions,
                reason="Evicted" if self._evicted else None,
            )
        await self._client.patch_status("pods", self.name, status, self.namespace, uid=self.uid)
        if ready:
            self.timeline.mark_first("ready")

    async def _persistently(self, call: Callable[[], Awaitable[object]]) -> None:
        """Until it worked or there is nothing to report any more, over restarts of the API server."""
        while not self._vanished.is_set():
            await self._online.wait()
            try:
                await call()
                return
            except KubeError as error:
                if error.status in (404, 409):
                    return
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(RETRY_SECONDS)
