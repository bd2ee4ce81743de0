"""What the Prometheus rules and the Grafana dashboard ask for is there: names, labels, and what labels can say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import controller
from controller.domain.events import Outcome
from controller.domain.reason import ReasonCode
from controller.domain.shutdown.pod_end import EndCause
from controller.domain.shutdown.verdict import ShutdownVerdict
from controller.domain.shutdown.workloads import Workload
from tests.metrics_page import measures

COMPONENTS = Path(__file__).parents[2] / "manifests" / "components"
ROLES = Path(controller.__file__).parent / "app" / "process.py"
TARGET = {"job", "namespace", "pod"}
"""Labels that every sample bears that the PodMonitor has scraped."""
LABELS = {name: TARGET | set(one.labels) for one in measures() for name in one.series} | {"up": TARGET}
LABELS |= {name: labels | {"le"} for name, labels in LABELS.items() if name.endswith("_bucket")}

_STRING = r'"[^"]*"'
_SELECTOR = re.compile(rf"\b(eureka_drain_\w+|up)\b(?:\{{((?:[^{{}}\"]|{_STRING})*)\}})?")
_MATCHER = re.compile(rf"(\w+)\s*(=~|!~|!=|=)\s*({_STRING})")
_BY = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")


def rules() -> list[dict[str, Any]]:
    spec = yaml.safe_load((COMPONENTS / "prometheus" / "rules.yaml").read_text())["spec"]
    return [rule for group in spec["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((COMPONENTS / "grafana-dashboard" / "dashboard.json").read_text())
    return loaded


def targets() -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target


QUERIES = [(rule["alert"], rule["expr"]) for rule in rules()] + [(title, one["expr"]) for title, one in targets()]


def grouped_by(query: str) -> set[str]:
    return {label.strip() for names in _BY.findall(query) for label in names.split(",")}


@pytest.mark.parametrize(("where", "query"), QUERIES)
def test_every_query_asks_for_what_the_code_shows(where: str, query: str) -> None:
    asked = _SELECTOR.findall(query)
    assert asked, "no metric found"
    known: set[str] = set()
    for name, matchers in asked:
        assert name in LABELS, f"{where} asks for {name}, which nobody shows"
        matched = _MATCHER.findall(matchers)
        assert {label for label, *_ in matched} <= LABELS[name], f"{where} asks {name} for labels that it has not"
        known |= LABELS[name]
        for label, operator, value in matched:
            check_value(name, label, operator, value.strip('"'))
    assert grouped_by(query) <= known, f"{where} groups by labels that nothing in it has"


def check_value(name: str, label: str, operator: str, value: str) -> None:
    """What a metric's label is compared with is something that it can say."""
    if value.startswith("$"):
        return
    values = value.split("|") if operator in ("=~", "!~") else [value]
    match label:
        case "outcome":
            assert set(values) <= set(Outcome)
        case "reason" if name.startswith("eureka_drain_shutdowns"):
            assert set(values) <= {*EndCause, *Outcome}
        case "reason":
            assert set(values) <= set(ReasonCode)
        case "verdict":
            assert set(values) <= set(ShutdownVerdict)
        case "workload":
            kinds = ("deployment", "statefulset", "job", "cronjob", "pod")
            workloads = {kind: str(Workload("shop", kind, "orders")) for kind in kinds}
            assert [kind for kind in kinds if re.fullmatch(value, workloads[kind])] == ["job", "cronjob"]
        case "check":
            assert all(f'checks["{one}"]' in ROLES.read_text() for one in values)
        case "job":
            assert values == ["eureka-drain"]
        case _:
            raise AssertionError(f"nobody knows whether {label} can be {value}")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_has_what_whom_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
    used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert used <= grouped_by(rule["expr"]), "a label that the alert does not have is shown as nothing"
    assert grouped_by(rule["expr"]) - {"le", "namespace"} <= used, "it does not say which one"


def test_legends_name_labels_that_the_query_keeps() -> None:
    legends = [(set(re.findall(r"\{\{(\w+)\}\}", one["legendFormat"])), one["expr"]) for _, one in targets()]
    assert any(named for named, _ in legends)
    assert [(named, query) for named, query in legends if not named <= grouped_by(query)] == []


def test_the_dashboard_shows_every_metric() -> None:
    asked = {name for _, target in targets() for name, _ in _SELECTOR.findall(target["expr"])}
    assert not [one.name for one in measures() if not asked & set(one.series)]


def test_the_dashboard_belongs_to_no_grafana_in_particular() -> None:
    board = dashboard()
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert {"region", "namespace"} <= set(variables)
    sources = re.findall(r'"uid": "([^"]*)"', json.dumps(board))
    assert set(sources) == {"${datasource}", board["uid"]}
    for variable in (variables["region"], variables["namespace"]):
        [(name, matchers)] = _SELECTOR.findall(variable["query"]["query"])
        assert variable["name"] in LABELS[name]
        assert {label for label, *_ in _MATCHER.findall(matchers)} <= LABELS[name]


def test_panels_have_titles_units_and_places_of_their_own() -> None:
    held: dict[tuple[int, int], str] = {}
    panels = dashboard()["panels"]
    assert panels
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["type"] == "row" or panel["fieldConfig"]["defaults"]["unit"]
        grid = panel["gridPos"]
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                assert x < 24
                assert (x, y) not in held, f"{panel['title']} lies over {held[x, y]}"
                held[x, y] = panel["title"]
