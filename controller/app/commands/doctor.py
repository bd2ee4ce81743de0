"""``doctor``: check once everything that the controller needs, and name the fix of what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from controller.app.assembly import Region, now, open_regions, routing_of, track
from controller.app.commands.broker_topology import find_abandoned
from controller.app.commands.windows import survey_pods
from controller.domain.diagnostics import MATCHES, Check, Severity, check_matches
from controller.domain.roles import DESTINATIONS, Destination, Role
from controller.domain.shutdown.findings import WindowCoverage
from controller.domain.shutdown.patch_form import PatchForm
from controller.errors import KubernetesError, RegistryError
from controller.eureka import region_checks
from controller.flows.instance_finder import InstanceFinder
from controller.flows.registration_check import RegistrationCheck
from controller.kube import kube_checks
from controller.kube.client import KubeApi
from controller.kube.rights import needs_of_ops, needs_of_sweep, needs_of_watch, wishes_of_watch
from controller.ops.answers import check_answer, json_text
from controller.ops.shutdown_patches import patches_text
from controller.ops.shutdown_tables import finding_answer, survey_text
from controller.ops.tables import checks_text, counted
from controller.rabbit import broker_checks
from controller.rabbit.topology_survey import check_abandoned
from controller.settings import Settings
from controller.terminal import report, terminal_width


async def doctor(settings: Settings, roles: Sequence[Role], *, as_json: bool) -> int:
    """Check everything and print it; return the exit status."""
    checks = await _checks(settings, roles)
    if as_json:
        for check in checks:
            print(json_text(check_answer(check)))
    else:
        print(checks_text(checks, width=terminal_width()), end="")
    wrong = sum(check.severity is Severity.wrong for check in checks)
    report(f"{len(checks)} checks, {wrong or 'nothing'} wrong")
    return 1 if wrong else 0


async def doctor_of_pods(settings: Settings, *, patch: PatchForm | None, as_json: bool) -> int:
    """Print how long the cluster's pods serve, or the patches that fix it; return the exit status."""
    survey = await survey_pods(settings)
    if as_json:
        for finding in survey.findings:
            print(json_text(finding_answer(finding)))
    elif patch:
        print(patches_text(survey, patch), end="")
        report(
            "read before you run: the registry was not asked, so workloads that no caller finds there are among them"
        )
        report("one namespace alone: --set watch.namespaces=NAME")
    else:
        print(survey_text(survey, width=terminal_width()), end="")
    if as_json or patch:
        for text in (*survey.notes, *survey.doubts):
            report(text)
    short = len(survey.of(WindowCoverage.too_short))
    if not survey.findings:
        report("no pods: in namespaces without any, or of a selector that fits none, nothing is to be checked")
    else:
        report(f"{len(survey.findings)} workloads, {counted(one.verdict.value for one in survey.findings)}")
    if short and not patch:
        report("the patches that fix it: eureka-drain doctor --pods --patch")
    return 1 if short else 0


async def _checks(settings: Settings, roles: Sequence[Role]) -> list[Check]:
    async with AsyncExitStack() as opened:
        checks: list[Check] = []
        if not settings.regions:
            fix = "name each region with all its nodes, as in docs/configuring.md"
            found = "none is configured: there is nothing to drain from"
            checks.append(Check(area="settings", what="regions", severity=Severity.wrong, found=found, fix=fix))
        api: KubeApi | None = None
        # By default not ops: its account is another one than the watch's, whose rights are checked.
        wanted = roles or [Role.watch, Role.work]
        asked = frozenset[Destination]().union(*(DESTINATIONS[role] for role in wanted))
        if Destination.kubernetes in asked:
            try:
                api = await opened.enter_async_context(KubeApi())
            except KubernetesError as error:
                what = "credentials"
                fix = "from a machine outside the cluster: KUBECONFIG=FILE eureka-drain doctor"
                checks.append(
                    Check(area=kube_checks.AREA, what=what, severity=Severity.wrong, found=str(error), fix=fix)
                )
            else:
                checks += await _kubernetes(settings, api, wanted, only_wanted=bool(roles))
        # A sweep that only reports reads the event log, as everybody does.
        reports = settings.sweep.policy == "report"
        writing = [role for role in wanted if not (reports and role is Role.sweep)]
        broker = await broker_checks.inspect(settings.broker, regions=list(settings.regions), roles=writing)
        checks += broker
        if writing and broker[0].severity is Severity.ok:
            checks += check_abandoned(await find_abandoned(settings))
        if Destination.eureka not in asked:
            return checks + [_not_compared(name) for name in settings.regions]
        regions = await open_regions(settings, opened)
        for name, region in regions.items():
            checks += await region_checks.inspect(name, region, now)
        if api is not None and Role.watch in wanted:
            checks += await _matches(settings, api, regions)
        return checks


def _not_compared(region: str) -> Check:
    found = "not compared: this role talks to no Eureka node. From where kubectl works: eureka-drain doctor"
    return Check(area=f"region {region}", what=MATCHES, severity=Severity.skipped, found=found)


async def _kubernetes(settings: Settings, api: KubeApi, roles: Sequence[Role], *, only_wanted: bool) -> list[Check]:
    watching, scopes = Role.watch in roles, settings.watch.scopes
    needs = needs_of_watch(scopes, kubernetes_events=settings.watch.kubernetes_events) if watching else []
    if Role.sweep in roles:
        needs += needs_of_sweep(scopes)
    if Role.ops in roles:
        needs += needs_of_ops()
    return await kube_checks.inspect(
        api,
        needs=needs,
        wishes=wishes_of_watch(nodes=settings.watch.nodes) if watching else [],
        useful=() if only_wanted else needs_of_ops(),
        scopes=scopes if watching else (),
        label_selector=settings.watch.label_selector,
        clock=now,
    )


async def _matches(settings: Settings, api: KubeApi, regions: dict[str, Region]) -> list[Check]:
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
        finder = InstanceFinder(registry=region, instance_id_templates=settings.instance_id_templates)
        matcher = RegistrationCheck(region=name, finder=finder, routing=routing_of(settings), clock=now)
        area = f"region {name}"
        try:
            matches = await matcher.match(watched)
            registered = len(await region.everything())
        except RegistryError as error:
            checks.append(Check(area=area, what=MATCHES, severity=Severity.skipped, found=str(error)))
            continue
        checks.append(check_matches(area, matches.found, matches.reasons, matches.pods, registered))
    return checks
