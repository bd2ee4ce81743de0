"""The node stand-in: a Node object whose pods are local processes with loopback addresses, driven by the real API.

It plays the scheduler (binds every pod that has no node to itself) and the kubelet (see pod_process.py). One task
lists and watches all pods, one renews the lease and the node's Ready condition, one task per pod does the rest.

Order of events after a broken watch: list again, diff, watch; a pod that vanished meanwhile counts as deleted.

Not played: images and volumes (but for those that images.py knows), resources, init containers, liveness
and startup probes, secrets and config maps in the environment, `kubectl logs` and `exec` (the logs are files in the
node's folder).

Trap: the Ready condition must be renewed; else the node controller taints the node and evicts its pods.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp

from tests.stack.addresses import loopback_network, release
from tests.stack.images import Host, Image
from tests.stack.kube_client import KubeClient, KubeError, path
from tests.stack.pod_process import PodProcess
from tests.stack.pod_status import stamp
from tests.stack.timeline import Timeline, now

Object = dict[str, Any]

#: A pod with this annotation gets that address, or those with commas between: how a test makes a new pod reuse an old
#: one's IP, or has a dual-stack cluster.
IP_ANNOTATION = "stack.test/ip"

SHUTTING_DOWN = "node is shutting down"
RENEWAL_SECONDS = 10
WATCH_SECONDS = 60
_TROUBLE = (KubeError, aiohttp.ClientError, TimeoutError, OSError, ValueError)


class Node:
    """One node; `async with` starts it and ends it with all its processes."""

    def __init__(
        self,
        client: KubeClient,
        folder: Path,
        *,
        name: str = "node-1",
        schedules: bool = True,
        orphan_on_force_delete: bool = False,
        host: Host | None = None,
    ) -> None:
        """`schedules=False`: runs only pods that name it. `host`: what pods of known images know of the API server.

        `orphan_on_force_delete`: as a lost node, whose processes go on when their pod is deleted with grace 0; they
        end with the node.
        """
        self.name = name
        self.folder = folder
        self.orphan_on_force_delete = orphan_on_force_delete
        self.images: dict[str, Image] = {}
        """By name without tag: what runs in containers of these images, with their volumes and service account."""
        self._host = host
        self.timelines: dict[str, Timeline] = {}
        self.pods: dict[str, PodProcess] = {}
        self.network = loopback_network()
        self.ip = str(self.network[1])
        self._next_address = 2
        self._client = client
        self._schedules = schedules
        self._online = asyncio.Event()
        self._online.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._started_at = now()
        self._ready_message = ""
        """Why it is not ready."""

    async def __aenter__(self) -> "Node":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Register, and run pods from now on."""
        await self._renew()
        self._do(self._keep_renewing())
        self._do(self._follow_pods())

    async def stop(self) -> None:
        """Kill all pods' processes, without a word to the API."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(pod.kill() for pod in self.pods.values()))
        release(f"network-127.{self.network[0].packed[1]}")

    def disconnect(self) -> None:
        """Be lost: no lease, no status, no events; the pods' processes go on and serve."""
        self._online.clear()

    def reconnect(self) -> None:
        """Be back: the lease is renewed and what was missed is made up for."""
        self._online.set()

    async def shut_down(self) -> None:
        """Say what a kubelet says when its machine is to be switched off; the pods go on until they are evicted."""
        self._ready_message = SHUTTING_DOWN
        await self._renew()

    async def come_back(self) -> None:
        """Be ready again."""
        self._ready_message = ""
        await self._renew()

    async def evict(self, uid: str, *, bare: bool = False) -> None:
        """As under memory pressure: the pod's processes are killed, the phase becomes Failed, the object stays.

        `bare`: as by a kubelet that has just started, whose status of it tells no address.
        """
        await self.pods[uid].evict(bare=bare)

    def timeline(self, name: str, namespace: str = "default") -> Timeline:
        """The latest pod of that name."""
        return [one for one in self.timelines.values() if (one.namespace, one.name) == (namespace, name)][-1]

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            await self._online.wait()
            with contextlib.suppress(*_TROUBLE):
                await self._renew()

    async def _renew(self) -> None:
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux"}
        with contextlib.suppress(KubeError):
            await self._client.create("nodes", {"metadata": {"name": self.name, "labels": labels}}, None)
        capacity = {"cpu": "64", "memory": "256Gi", "pods": "10000"}
        beat = {
            "type": "Ready",
            "status": "False" if self._ready_message else "True",
            "reason": "KubeletNotReady" if self._ready_message else "KubeletReady",
            "message": self._ready_message or "kubelet is posting ready status",
            "lastHeartbeatTime": stamp(now()),
            "lastTransitionTime": stamp(self._started_at),
        }
        status = {
            "addresses": [{"type": "InternalIP", "address": self.ip}, {"type": "Hostname", "address": self.name}],
            "conditions": [beat],
            "capacity": capacity,
            "allocatable": capacity,
        }
        await self._client.patch_status("nodes", self.name, status, None)

    async def _follow_pods(self) -> None:
        while True:
            await self._online.wait()
            with contextlib.suppress(*_TROUBLE):
                listed = await self._client.call("GET", path("pods"))
                present = {pod["metadata"]["uid"] for pod in listed["items"]}
                for uid in set(self.pods) - present:
                    self._removed(uid)
                for pod in listed["items"]:
                    self._seen(pod)
                await self._follow_from(listed["metadata"]["resourceVersion"])
            await asyncio.sleep(0.2)

    async def _follow_from(self, version: str) -> None:
        """Watch after watch from the last version, until one fails or the node is cut off."""
        while self._online.is_set():
            async for event, pod in self._client.watch("pods", version=version, seconds=WATCH_SECONDS):
                if not self._online.is_set():
                    return
                version = pod["metadata"]["resourceVersion"]
                if event == "DELETED":
                    self._removed(pod["metadata"]["uid"])
                elif event != "BOOKMARK":
                    self._seen(pod)

    def _seen(self, pod: Object) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        uid, deleting = metadata["uid"], metadata.get("deletionTimestamp")
        if not spec.get("nodeName"):
            if self._schedules and not deleting:
                self._do(self._bind(metadata["namespace"], metadata["name"], uid))
            return
        if spec["nodeName"] != self.name:
            return
        if uid not in self.pods and uid not in self.timelines:
            self._admit(pod)
        if deleting and uid in self.pods:
            if grace := metadata.get("deletionGracePeriodSeconds"):
                self.pods[uid].terminate(grace)
            elif not self.orphan_on_force_delete:
                self._do(self.pods[uid].end_now())

    def _admit(self, pod: Object) -> None:
        metadata = pod["metadata"]
        uid = metadata["uid"]
        folder = self.folder / f"{metadata['namespace']}_{metadata['name']}_{uid[:8]}"
        running = PodProcess(
            pod,
            client=self._client,
            ips=self._addresses(pod),
            host_ip=self.ip,
            folder=folder,
            online=self._online,
            images=self.images,
            host=self._host,
        )
        self.pods[uid] = running
        self.timelines[uid] = running.timeline
        self._do(self._run(running))

    async def _run(self, pod: PodProcess) -> None:
        await pod.run()
        self.pods.pop(pod.uid, None)

    def _removed(self, uid: str) -> None:
        """The object is gone: by our own deletion, or by somebody's force."""
        pod = self.pods.get(uid)
        if pod is None:
            return
        pod.vanish()
        if not self.orphan_on_force_delete:
            self._do(pod.kill())

    def _addresses(self, pod: Object) -> list[str]:
        if pod["spec"].get("hostNetwork"):
            return [self.ip]
        if wanted := (pod["metadata"].get("annotations") or {}).get(IP_ANNOTATION):
            return str(wanted).split(",")
        # In turn, so that an address comes back only after all others, as with the usual network plugins.
        address = str(self.network[self._next_address])
        self._next_address = self._next_address + 1 if self._next_address < self.network.num_addresses - 2 else 2
        return [address]

    async def _bind(self, namespace: str, name: str, uid: str) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": self.name}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "uid": uid}, "target": target}
        # 409: bound already, by another node or by us; 404: gone. A failure otherwise shows in the next list.
        with contextlib.suppress(*_TROUBLE):
            await self._client.call("POST", f"{path('pods', namespace, name)}/binding", body=body)
