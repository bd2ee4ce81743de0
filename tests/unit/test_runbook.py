"""The runbook has a word on everything that may be met at night, and its commands can be typed as they stand."""

import ast
import re
import shlex
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
from controller.rabbit.dead_letter_queue import NO_REASON
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
    """What stands below a heading, up to the next one of the same rank."""
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
def test_every_code_of_what_is_left_alone_is_explained(code: ReasonCode) -> None:
    assert f"`{code}`" in section("Outcomes")


@pytest.mark.parametrize("code", CODES[Outcome.failed])
def test_every_code_of_what_was_given_up_has_a_section(code: ReasonCode) -> None:
    headings = re.findall(r"^### (.+)$", section("Dead letters"), re.MULTILINE)
    assert code in {name for heading in headings for name in heading.split(", ")}


@pytest.mark.parametrize("code", re.findall(r"`([a-z]+(?:_[a-z]+)+)`", section("Dead letters") + section("refused")))
def test_a_code_that_is_named_is_one(code: str) -> None:
    assert code in {*ReasonCode, *Outcome, "reason_code", "eureka_drain_not_drained_total", "ca_file"}


@pytest.mark.parametrize("reason", [*EndCause, Outcome.failed, *NEVER_TAKEN_OUT])
def test_every_reason_of_a_verdict_is_explained(reason: str) -> None:
    assert f"`{reason}`" in section("A pod that was not graceful")


def test_a_letter_without_a_reason_is_explained() -> None:
    assert NO_REASON.startswith("the broker gave it up")
    assert "delivered it" in section("the broker gave it up")


@pytest.mark.parametrize("condition", sorted(set(Condition) - {Condition.out, Condition.absent}))
def test_what_a_node_is_said_to_answer_is_explained_under_its_code(condition: Condition) -> None:
    code = trouble_of((Reading(node="NODE", condition=condition),)).code
    [heading] = [one for one in HEADINGS if code in one.split(", ")]
    assert f'"NODE: {condition}"' in " ".join(section(heading).split())


def test_every_message_that_is_not_ours_is_explained() -> None:
    assert f"`{ReasonCode.invalid_message}`" in section("Not ours")
    rows = re.findall(r"^\| (.+?) \|", section("Not ours"), re.MULTILINE)
    patterns = [re.compile(".*".join(map(re.escape, row.split("…")))) for row in rows if row not in ("reason", "---")]
    for path in ("messages/codec.py", "rabbit/consumer.py"):
        for node in ast.walk(ast.parse((SOURCE / path).read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "MessageError":
                text = "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "x"
                    for part in (node.args[0].values if isinstance(node.args[0], ast.JoinedStr) else node.args)
                )
                assert any(pattern.match(text) for pattern in patterns), text


def test_links_lead_to_sections() -> None:
    anchors = {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in HEADINGS}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors
    assert {alert.lower() for alert in ALERTS} <= anchors


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
    assert Settings().retry.give_up_after.total_seconds() == 3600
    assert "for an hour (`retry.give_up_after`)" in PROSE
    assert (MAX_DENIED_ATTEMPTS, "401 or 403, twelve times" in PROSE) == (12, True)
    assert (MAX_DELETES, "Three DELETEs at every node" in PROSE) == (3, True)
    assert f"delivered it {DELIVERY_LIMIT} times" in PROSE
    assert f"more than {MAX_INSTANCES} instances, or an address longer than {MAX_ADDRESS_LENGTH} characters" in PROSE


def test_settings_that_it_names_exist() -> None:
    for name in re.findall(r"`((?:broker|guard|retry|work|watch|sweep|http|routing)\.\w+)", TEXT):
        value: object = Settings()
        for part in name.split("."):
            assert hasattr(value, part), f"there is no setting {name}"
            value = getattr(value, part)
