"""Doctor's look at the API server: each right by its verb, the first event of a real watch, the clock. Reads only."""

from __future__ import annotations

import time
from collections.abc import Sequence

from controller.domain.diagnostics import Check, Severity, check_clock
from controller.errors import KubernetesError
from controller.flows.ports import Clock
from controller.kube.client import KubeApi
from controller.kube.listing import pods_path
from controller.kube.pod_decoder import decode_event, decode_failure
from controller.kube.rights import Need, may

AREA = "kubernetes"
WATCHED_FOR = 2
"""Seconds that a watch may take to bring its first event. It begins with the pods that there are."""
READ_TIMEOUT = 8.0


async def inspect(
    api: KubeApi,
    *,
    needs: Sequence[Need],
    wishes: Sequence[Need] = (),
    useful: Sequence[Need] = (),
    scopes: Sequence[str],
    label_selector: str = "",
    clock: Clock,
) -> list[Check]:
    """Look at everything.

    ``needs`` must be granted to us, ``wishes`` may be, and ``useful`` only to another role's account.
    """
    begun_at = clock()
    try:
        shown_at = await api.date()
    except KubernetesError as error:
        fix = "check the address in the kubeconfig, its credentials, and the network between"
        return [Check(area=AREA, what="API server", severity=Severity.wrong, found=str(error), fix=fix)]
    checks = [Check(area=AREA, what="API server", severity=Severity.ok, found="answers")]
    checks.append(check_clock(AREA, "the API server", shown_at, begun_at, clock()))
    granted = {}
    for need in dict.fromkeys((*needs, *wishes, *useful)):
        check = await _right(api, need, needed=need in needs, wished=need in wishes)
        granted[need] = check.severity is Severity.ok
        checks.append(check)
    for scope in scopes:
        allowed = all(
            granted.get(Need(verb=verb, resource="pods", namespace=scope), True) for verb in ("list", "watch")
        )
        checks.append(await _first_event(api, scope, label_selector, allowed=allowed))
    return checks


async def _right(api: KubeApi, need: Need, *, needed: bool, wished: bool) -> Check:
    what = f"may {need}"
    try:
        allowed = await may(api, need)
    except KubernetesError as error:
        return Check(area=AREA, what=what, severity=Severity.skipped, found=f"the API server cannot say: {error}")
    if allowed:
        return Check(area=AREA, what=what, severity=Severity.ok)
    if wished and not needed:
        return Check(
            area=AREA,
            what=what,
            severity=Severity.advice,
            found="not granted to this account; the pods of a node that shuts down are drained when they have ended",
            fix="grant it as manifests/base does, or set watch.nodes: false",
        )
    if not needed:
        return Check(
            area=AREA,
            what=what,
            severity=Severity.advice,
            found="not granted to this account; only the account of ops needs it",
            fix="ask in its name with: doctor --role ops",
        )
    kind = "role" if need.namespace else "clusterrole"
    where = f" -n {need.namespace}" if need.namespace else ""
    resource = f"{need.resource}.{need.group}" if need.group else need.resource
    return Check(
        area=AREA,
        what=what,
        severity=Severity.wrong,
        found="not granted to this account",
        fix=f"grant it as manifests/base does, or: kubectl create {kind} eureka-drain-{need.verb}-{need.resource}"
        f"{where} --verb={need.verb} --resource={resource}, and bind it to the account",
    )


async def _first_event(api: KubeApi, scope: str, label_selector: str, *, allowed: bool) -> Check:
    what = f"first event{f' in {scope}' if scope else ''}"
    if not allowed:
        return Check(area=AREA, what=what, severity=Severity.skipped, found="pods may not be listed and watched")
    begun = time.monotonic()
    # From the server's cache: from "now" on, an API server with an old etcd may not find its own version yet.
    query = {"watch": "true", "resourceVersion": "0", "timeoutSeconds": str(WATCHED_FOR)}
    query |= {"labelSelector": label_selector} if label_selector else {}
    try:
        async for line in api.lines(pods_path(scope), query, read_timeout=READ_TIMEOUT):
            kind, body = decode_event(line)
            if kind == "ERROR":
                raise KubernetesError(decode_failure(body)[1])
            found = f"a watch brought it after {1000 * (time.monotonic() - begun):.0f} ms"
            return Check(area=AREA, what=what, severity=Severity.ok, found=found)
    except KubernetesError as error:
        fix = "a proxy before the API server must let watches stream; see its logs"
        if label_selector and "HTTP 400" in str(error):
            fix = "correct watch.label_selector: it is written as kubectl's --selector is"
        return Check(area=AREA, what=what, severity=Severity.wrong, found=f"the watch failed: {error}", fix=fix)
    found = "a watch was opened; there are no pods yet"
    if not (scope or label_selector):
        return Check(area=AREA, what=what, severity=Severity.ok, found=found)
    # A namespace or a label that nobody has looks the same as one that has no pods yet.
    fix = "correct watch.namespaces or watch.label_selector, unless pods are still to come"
    return Check(area=AREA, what=what, severity=Severity.advice, found=found, fix=fix)
