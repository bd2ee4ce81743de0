"""Doctor's look at one region: each node's answers, rights, peers and clock, and whether the nodes agree.

Nothing is changed: the one write that is tried is for an instance that nobody can have, and ends with 404.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.domain.diagnostics import (
    Check,
    Severity,
    check_clock,
    check_peers,
    differing,
    named,
    read_http_date,
    unlisted,
)
from controller.domain.instances import Instance
from controller.errors import RegistryError
from controller.eureka.caches import read_age
from controller.eureka.node import Node, WrongPathError
from controller.eureka.region import EurekaRegion
from controller.eureka.registry_decoder import Peers, host_of
from controller.eureka.transport import DeniedError, UnreachableError
from controller.flows.ports import Clock

RECHECK_INTERVAL = 3.0
"""Between two looks at what nodes show differently: a peer learns it half a second later."""
MAX_COMPARED = 50
"""Instances that are read at every node, past the caches."""

Place = tuple[str, str]


@dataclass(slots=True)
class _Seen:
    """What came of looking at one node."""

    node: Node
    checks: list[Check] = field(default_factory=list)
    instances: dict[Place, Instance] | None = None
    peers: Peers = field(default_factory=Peers)


async def inspect(name: str, region: EurekaRegion, clock: Clock) -> list[Check]:
    """Look at every node, then compare them."""
    area = f"region {name}"
    seen = await asyncio.gather(*(_look(area, node, clock) for node in region.nodes.values()))
    checks = [check for one in seen for check in one.checks]
    peers_of = {one.node.url: one.peers.registered for one in seen}
    names = {host for one in seen for host in (host_of(one.node.url), *one.peers.own)}
    if unknown := unlisted(peers_of, names):
        checks.append(
            Check(
                area=area,
                what="every node listed",
                severity=Severity.advice,
                found=f"nodes replicate to {named(unknown)}, which regions.{name}.nodes does not name",
                fix="list every node: a write that is left to replication may be lost for good",
            )
        )
    answering = [one for one in seen if one.instances is not None]
    if len(answering) > 1:
        checks.append(await _compare(area, answering))
    return checks


async def _look(area: str, node: Node, clock: Clock) -> _Seen:
    seen = _Seen(node)
    begun_at = clock()
    try:
        registry, date = await node.dated_registry()
    except RegistryError as error:
        seen.checks.append(_refused(area, node, error))
        return seen
    ended_at = clock()
    seen.instances = {(one.app, one.id): one for one in registry.instances}
    took = 1000 * (ended_at - begun_at).total_seconds()
    found = f"{len(registry.instances)} instances in {took:.0f} ms"
    seen.checks.append(Check(area=area, what=f"reading {node.url}", severity=Severity.ok, found=found))
    seen.checks.append(check_clock(area, node.url, read_http_date(date), begun_at, ended_at, is_corrected=True))
    seen.checks.append(await _writing(area, node))
    seen.checks.append(await _caching(area, node))
    try:
        seen.peers = await node.peers()
    except RegistryError as error:
        found = f"its page /status shows nothing of them ({error})"
        seen.checks.append(Check(area=area, what=f"peers of {node.url}", severity=Severity.skipped, found=found))
    else:
        hosts = [host_of(node.url), *seen.peers.own]
        seen.checks.append(check_peers(area, node.url, hosts, seen.peers.registered, seen.peers.unavailable))
    return seen


async def _writing(area: str, node: Node) -> Check:
    what = f"writing to {node.url}"
    try:
        await node.try_to_write()
    except DeniedError as error:
        return Check(
            area=area,
            what=what,
            severity=Severity.wrong,
            found=f"reading is let through, writing is not ({error})",
            fix="CSRF protection is on at this node: exclude /eureka/** from it, as Spring Cloud's documentation "
            "of a secured Eureka server shows",
        )
    except RegistryError as error:
        return Check(area=area, what=what, severity=Severity.wrong, found=str(error), fix="see the node's log")
    return Check(area=area, what=what, severity=Severity.ok, found="let through")


async def _caching(area: str, node: Node) -> Check:
    what = f"response cache of {node.url}"
    try:
        age, why = await read_age(node), "/actuator/configprops is not exposed, or its values are masked"
    except RegistryError as error:
        age, why = None, str(error)
    if age is None:
        return Check(
            area=area,
            what=what,
            severity=Severity.ok,
            found=f"its age is not reported ({why}): window.server_cache counts",
        )
    found = f"{age.total_seconds():g} s, as the node reports it" if age else "not used, as the node reports it"
    return Check(area=area, what=what, severity=Severity.ok, found=found)


def _refused(area: str, node: Node, error: RegistryError) -> Check:
    match error:
        case DeniedError():
            fix = "set username and password of the region (or a secret regions__NAME__password), then again"
        case WrongPathError():
            missing = "v2" if node.url.endswith("/eureka") else "eureka"
            fix = f"write {node.url}/{missing}, if that is the server's REST base"
        case UnreachableError():
            fix = "check the URL, that the node runs, and network policies between"
        case _ if "406" in str(error):
            fix = "a plain Netflix server wants Accept-Encoding: gzip; a proxy on the way must leave it in"
        case _:
            fix = "the URL must be the server's REST base, with /eureka (or /eureka/v2 for a Netflix WAR) at its end"
    return Check(area=area, what=f"reading {node.url}", severity=Severity.wrong, found=str(error), fix=fix)


async def _compare(area: str, seen: Sequence[_Seen]) -> Check:
    """Read what the lists show differently at each node, past the caches, twice."""
    what = "nodes agree"
    held: dict[str, dict[Place, Instance | None]] = {one.node.url: {**(one.instances or {})} for one in seen}
    places = [place for place, _ in differing(held)]
    if not places:
        return Check(area=area, what=what, severity=Severity.ok, found="all show the same")
    looked_at = places[:MAX_COMPARED]
    first = await _differing_now(seen, looked_at)
    if first:
        await asyncio.sleep(RECHECK_INTERVAL)
        lasting = await _differing_now(seen, [place for place, _ in first])
    else:
        lasting = []
    if not lasting:
        return Check(area=area, what=what, severity=Severity.ok, found=f"{len(places)} were just being copied")
    (app, instance_id), said = lasting[0]
    words = ", ".join(f"{status} at {node}" for node, status in said.items())
    return Check(
        area=area,
        what=what,
        severity=Severity.wrong,
        found=f"{len(lasting)} instances differ, such as {app} {instance_id}: {words}",
        fix="a node that missed a change is not repaired by heartbeats: look at its peers and its log, and restart it",
    )


async def _differing_now(seen: Sequence[_Seen], places: Sequence[Place]) -> list[tuple[Place, dict[str, str]]]:
    held: dict[str, dict[Place, Instance | None]] = {}
    for one in seen:
        try:
            read = await asyncio.gather(*(one.node.get(*place) for place in places))
        except RegistryError:
            continue  # reported by its own check, or by the next run
        held[one.node.url] = dict(zip(places, read, strict=True))
    return differing(held)
