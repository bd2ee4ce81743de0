"""The runbook explains everything that may be met at night, and its commands can be typed as they stand."""

import re
import shlex
from datetime import timedelta
from pathlib import Path

import pytest
import typer
import yaml
from typer.exceptions import TyperException

import controller
from controller.cli import app
from controller.domain.candidates import MAX_ADDRESS_LENGTH, MAX_INSTANCES
from controller.domain.events import CODES, Outcome
from controller.domain.instances import Condition, Reading, trouble_of
from controller.domain.reason import ReasonCode
from controller.domain.shutdown.pod_end import EndCause
from controller.domain.shutdown.verdict import NEVER_TAKEN_OUT
from controller.domain.stages import MAX_DELETES, MAX_DENIED_ATTEMPTS
from controller.rabbit.topology import DELIVERY_LIMIT
from controller.settings import Settings
from controller.settings.sources import Sources

ROOT = Path(__file__).parents[2]
SOURCE = Path(controller.__file__).parent
TEXT = (ROOT / "docs" / "runbook.md").read_text()
PROSE = " ".join(TEXT.split())
HEADINGS = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
RULES = yaml.safe_load((ROOT / "manifests" / "components" / "prometheus" / "rules.yaml").read_text())["spec"]
ALERTS = [rule["alert"] for group in RULES["groups"] for rule in group["rules"]]
COMMANDS = sorted(
    {
        re.split(r"\s+(?:#|\|)|\s{3,}", line.strip())[0]
        for block in re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
        if line.startswith("eureka-drain")
    }
    | set(re.findall(r"`(eureka-drain [^`…]+)`", TEXT))
)


def section(heading: str) -> str:
    """Return what stands below a heading, up to the next one of the same rank."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", TEXT, re.MULTILINE)
    assert found, f"no section {heading!r}"
    rest = TEXT[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_section(alert: str) -> None:
    assert section(alert).strip()


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_section(outcome: Outcome) -> None:
    assert section(outcome).strip()


@pytest.mark.parametrize("code", [*CODES[Outcome.refused], *CODES[Outcome.superseded]])
def test_every_code_of_what_is_skipped_is_explained(code: ReasonCode) -> None:
    assert f"`{code}`" in section("Outcomes")


@pytest.mark.parametrize("code", CODES[Outcome.failed])
def test_every_code_of_what_was_given_up_has_a_section(code: ReasonCode) -> None:
    headings = re.findall(r"^### (.+)$", section("Dead letters"), re.MULTILINE)
    assert code in {name for heading in headings for name in heading.split(", ")}


@pytest.mark.parametrize("code", re.findall(r"`([a-z]+(?:_[a-z]+)+)`", section("Dead letters") + section("refused")))
def test_a_code_that_is_named_is_one(code: str) -> None:
    assert code in {*ReasonCode, *Outcome, "reason_code", "eureka_drain_not_drained_total", "ca_file"}


@pytest.mark.parametrize("reason", [*EndCause, Outcome.failed, *NEVER_TAKEN_OUT])
def test_every_reason_of_a_shutdown_verdict_is_explained(reason: str) -> None:
    assert f"`{reason}`" in section("A pod that was not graceful")


@pytest.mark.parametrize("condition", sorted(set(Condition) - {Condition.out, Condition.absent}))
def test_what_a_node_is_said_to_answer_is_explained_under_its_code(condition: Condition) -> None:
    code = trouble_of((Reading(node="NODE", condition=condition),)).code
    [heading] = [one for one in HEADINGS if code in one.split(", ")]
    assert f'"NODE: {condition}"' in " ".join(section(heading).split())


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 15, COMMANDS


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_can_be_typed_as_they_stand(line: str) -> None:
    group = typer.main.get_command(app)
    _, name, *arguments = shlex.split(line)
    command = getattr(group, "commands", {})[name]
    # Takes the words apart as at a terminal, and complains of what it does not know; runs nothing.
    given = command.make_context(name, arguments).params
    assert set(given.get("state") or ()) <= {*Outcome, "STATE"}
    Sources(assignments=given["assignments"] or [], environ={}).load()


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    for line in ("eureka-drain drain --force a/b", "eureka-drain dead purge", "eureka-drain drains --state lost"):
        with pytest.raises((TyperException, AssertionError)):
            test_commands_can_be_typed_as_they_stand(line)


def test_its_numbers_are_the_programs() -> None:
    assert Settings().retry.give_up_after == timedelta(hours=1)
    assert "for an hour (`retry.give_up_after`)" in PROSE
    assert MAX_DENIED_ATTEMPTS == 12
    assert "twelve times" in PROSE
    assert MAX_DELETES == 3
    assert "Three DELETEs" in PROSE
    assert f"delivered it {DELIVERY_LIMIT} times" in PROSE
    assert f"more than {MAX_INSTANCES} instances, or an address longer than {MAX_ADDRESS_LENGTH} characters" in PROSE
