"""The kinds of reasons: every reason that the code can give has one, so that none is counted as ``other`` unnoticed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import controller
from controller.domain.events import Event, Outcome, make_event
from controller.domain.instances import Condition
from controller.domain.reasons import BEGINNINGS, OF, Kind, kind_of
from controller.domain.stages import trouble_of
from controller.errors import RegistryError
from controller.eureka.node import DeniedError, UnreachableError, trouble
from controller.eureka.registry_decoder import NonsenseError
from tests.unit.building import NOON, a_command, an_instance, readings

SOURCE = Path(controller.__file__).parent
JUDGES = (
    "domain/decide.py",
    "domain/stages.py",
    "domain/ownership.py",
    "domain/annotations.py",
    "domain/resolve.py",
    "flows/lifecycle.py",
    "flows/drain.py",
    "flows/retire.py",
    "flows/guard_checks.py",
    "flows/steps.py",
    "flows/worker.py",
    "app/commands/dead_letters.py",
)
"""Where reasons arise. Each text in them that a person could read is a reason, or is named below."""
ANNOTATION = "annotation eureka.drain/app='a/b'"
NO_REASONS = {
    # Parts of others: an annotation's reason begins with the annotation, a node's words with its URL.
    "unknown field {x}; known are x",
    "the template needs {x}, which the pod does not tell",
    " (x)",
    "x: xx",
    "; ",
    ", ",
    "instance id",
    # Of drains that end well.
    "no node holds it any more",
    "no instance in the region has the pod's address or host name",
    "no instance of the pod in the region fits its annotations",
}
SUPERSEDED = {
    "a newer process at x holds the pod's id",
    "it was registered after the pod's end",
    "the living pod x/x holds its address or host name",
    "the living pod x/x declares its port on that node",
    "the id now stands for x",
}
"""These come with ``superseded``, whose kind does not depend on the text."""
TO_PEOPLE = {"app/commands/dead_letters.py": "dropped from ", "flows/worker.py": "unexpected "}
"""Modules that also speak to people at a terminal or in a process's log: only what begins so is a reason."""


def texts(path: str) -> Iterator[str]:
    """The texts of a module that hold a space, with ``x`` for each value; docstrings aside."""
    tree = ast.parse((SOURCE / path).read_text())
    inside = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    documentation = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(_filled(part) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inside | documentation:
            text = node.value
        else:
            continue
        if " " in text and text.startswith(TO_PEOPLE.get(path, "")):
            yield text


def _filled(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    called = isinstance(part.value, ast.Call) and isinstance(part.value.func, ast.Name) and part.value.func.id
    return ANNOTATION if called == "_shown" else "x"


REASONS = sorted({text for path in JUDGES for text in texts(path)} - NO_REASONS)


def told(outcome: Outcome, reason: str) -> Event:
    return make_event(a_command(), outcome, NOON, reason=reason)


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_in_the_code_has_a_kind(reason: str) -> None:
    outcome = Outcome.superseded if reason in SUPERSEDED else Outcome.refused
    if reason == "the app's other instances cannot be counted: x":
        reason += "http://eureka-0:8761/eureka: unreachable (no answer in time)"
    assert kind_of(told(outcome, reason)) not in (None, Kind.other), "enter it in domain/reasons.py"


def test_the_search_finds_the_reasons() -> None:
    found = "\n".join(REASONS)
    for beginning in BEGINNINGS:
        assert beginning in found, f"nothing in the code says {beginning!r} any more, or it is said elsewhere"
    assert set(REASONS) >= SUPERSEDED
    assert {text for path in JUDGES for text in texts(path)} >= NO_REASONS


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ((Condition.denied, Condition.unreachable), Kind.denied),
        ((Condition.failing, Condition.unreachable), Kind.unreachable),
        ((Condition.failing, None), Kind.failing),
        ((an_instance(), an_instance()), Kind.not_taken),
        ((Condition.failing, an_instance()), Kind.failing),
    ],
)
def test_what_nodes_say_counts_by_what_retries_mend_least(said: tuple[object, ...], kind: Kind) -> None:
    reason = trouble_of(readings(*said))  # type: ignore[arg-type]
    assert kind_of(told(Outcome.failed, reason)) is kind
    assert kind_of(told(Outcome.failed, f"the app's other instances cannot be counted: {reason}")) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DeniedError("HTTP 403 to GET: check user, password and CSRF protection"), Kind.denied),
        (UnreachableError("Connection refused"), Kind.unreachable),
        (NonsenseError("HTTP 500 to GET"), Kind.failing),
    ],
)
def test_a_registry_that_cannot_be_fetched_speaks_as_its_nodes_do(error: RegistryError, kind: Kind) -> None:
    assert kind_of(told(Outcome.failed, trouble("https://eureka-0/eureka", error))) is kind


def test_every_condition_that_stands_in_the_way_has_a_kind() -> None:
    for condition in set(Condition) - {Condition.out, Condition.absent}:
        reason = f"http://eureka-0:8761/eureka: {condition}"
        assert kind_of(told(Outcome.failed, reason)) is not Kind.other


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - set(OF)))
def test_what_ends_well_or_goes_on_needs_no_kind(outcome: Outcome) -> None:
    assert kind_of(told(outcome, "no node holds it any more")) is None


def test_every_kind_belongs_to_one_outcome() -> None:
    assert sorted(kind for kinds in OF.values() for kind in kinds) == sorted(set(Kind) - {Kind.other})


def test_a_reason_of_another_version_is_counted_nevertheless() -> None:
    assert kind_of(told(Outcome.failed, "")) is Kind.other
    assert kind_of(told(Outcome.refused, "the stars are wrong")) is Kind.other


def test_no_beginning_hides_another() -> None:
    assert not [(one, two) for one in BEGINNINGS for two in BEGINNINGS if one != two and two.startswith(one)]
