"""``doctor``: everything that the controller needs, looked at once, each with what mends it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from controller.app.assembly import now, open_regions, policy_of, routing_of, track
from controller.app.commands.windows import look_at_pods
from controller.app.exit_status import FAILED, finished, terminal_width
from controller.domain.diagnostics import MATCHES, Check, Severity, check_matches
from controller.domain.roles import Role
from controller.domain.shutdown.findings import WindowCoverage as StayVerdict
from controller.errors import KubernetesError, RegistryError
from controller.eureka import region_checks as eureka_inspection
from controller.eureka.region import EurekaRegion
from controller.flows.finder import Finder
from controller.flows.matching import Matcher
from controller.kube import kube_checks as kube_inspection
from controller.kube.client import KubeApi
from controller.kube.rights import needs_of_ops, needs_of_sweep, needs_of_watch
from controller.ops.answers import check_answer
from controller.ops.shutdown_tables import finding_answer, patches_text, survey_text
from controller.ops.tables import checks_text, counted
from controller.rabbit import broker_checks as rabbit_inspection
from controller.settings import Settings

KUBERNETES = frozenset({Role.watch, Role.ops, Role.sweep})
"""Roles that speak to the API server."""


def doctor(settings: Settings, roles: Sequence[Role], *, as_json: bool) -> int:
    """Look at everything and print it; the exit status."""
    checks = finished(_look(settings, roles), plain=True)
    if checks is FAILED:
        return 1
    if as_json:
        for check in checks:
            print(json.dumps(check_answer(check)))
    else:
        print(checks_text(checks, width=terminal_width()), end="")
    wrong = sum(check.severity is Severity.wrong for check in checks)
    print(f"{len(checks)} checks, {wrong} wrong" if wrong else f"{len(checks)} checks, nothing wrong", file=sys.stderr)
    return 1 if wrong else 0


def doctor_of_pods(settings: Settings, *, patch: bool, as_json: bool) -> int:
    """Look at how long the cluster's pods stay, and print it, or the patches that mend it; the exit status."""
    looked = finished(look_at_pods(settings), plain=True)
    if looked is FAILED:
        return 1
    if as_json:
        for finding in looked.findings:
            print(json.dumps(finding_answer(finding)))
    elif patch:
        print(patches_text(looked), end="")
    else:
        print(survey_text(looked, width=terminal_width()), end="")
    if as_json or patch:
        for doubt in looked.doubts:
            print(doubt, file=sys.stderr)
    short = len(looked.of(StayVerdict.too_short))
    told = f"{len(looked.findings)} workloads, {counted(one.verdict.value for one in looked.findings)}"
    print(told, file=sys.stderr)
    if short and not patch:
        print("the patches that mend it: eureka-drain doctor --pods --patch", file=sys.stderr)
    return 1 if short else 0


async def _look(settings: Settings, roles: Sequence[Role]) -> list[Check]:
    async with AsyncExitStack() as opened:
        checks: list[Check] = []
        if not settings.regions:
            fix = "name each region with all its nodes, as in the README"
            found = "none is configured: there is nothing to drain from"
            checks.append(Check(area="settings", what="regions", severity=Severity.wrong, found=found, fix=fix))
        api: KubeApi | None = None
        # Nothing said: the page's account is another one than the watch's, whose rights are looked at.
        asked = roles or [Role.watch, Role.work]
        if KUBERNETES & {*asked}:
            try:
                api = await opened.enter_async_context(KubeApi())
            except KubernetesError as error:
                what = "credentials"
                fix = "from a machine outside the cluster: KUBECONFIG=FILE eureka-drain doctor"
                checks.append(
                    Check(area=kube_inspection.AREA, what=what, severity=Severity.wrong, found=str(error), fix=fix)
                )
            else:
                checks += await _kubernetes(settings, api, asked, only_asked=bool(roles))
        # A sweep that reports only reads the event log, as everybody does.
        reports = settings.sweep.policy == "report"
        writing = [role for role in asked if not (reports and role is Role.sweep)]
        checks += await rabbit_inspection.inspect(settings.broker, regions=list(settings.regions), roles=writing)
        regions = await open_regions(settings, opened)
        for name, region in regions.items():
            checks += await eureka_inspection.inspect(name, region, now)
        if api is not None and Role.watch in asked:
            checks += await _matches(settings, api, regions)
        return checks


async def _kubernetes(settings: Settings, api: KubeApi, roles: Sequence[Role], *, only_asked: bool) -> list[Check]:
    watching, scopes = Role.watch in roles, settings.watch.scopes
    needs = needs_of_watch(scopes, kubernetes_events=settings.watch.kubernetes_events) if watching else []
    if Role.sweep in roles:
        needs += needs_of_sweep(scopes)
    if Role.ops in roles:
        needs += needs_of_ops()
    return await kube_inspection.inspect(
        api,
        needs=needs,
        useful=() if only_asked else needs_of_ops(),
        scopes=scopes if watching else (),
        clock=now,
    )


async def _matches(settings: Settings, api: KubeApi, regions: dict[str, EurekaRegion]) -> list[Check]:
    scopes = settings.watch.scopes
    try:
        named = [scope for scope in scopes if scope]
        pods, tracker = await track(api, namespaces=named, page_size=settings.watch.page_size)
    except KubernetesError as error:
        return [
            Check(area=f"region {name}", what=MATCHES, severity=Severity.skipped, found=str(error)) for name in regions
        ]
    watched = [
        (pod, tracker.sharing(pod))
        for pod in pods
        if (scopes == [""] or pod.namespace in scopes) and pod.namespace not in settings.watch.exclude_namespaces
    ]
    checks = []
    for name, region in regions.items():
        finder = Finder(registry=region, policy=policy_of(settings))
        matcher = Matcher(region=name, finder=finder, routing=routing_of(settings), clock=now)
        area = f"region {name}"
        try:
            matches = await matcher.match(watched)
            registered = len(await region.everything())
        except RegistryError as error:
            checks.append(Check(area=area, what=MATCHES, severity=Severity.skipped, found=str(error)))
            continue
        checks.append(check_matches(area, matches.found, matches.reasons, matches.pods, registered))
    return checks
