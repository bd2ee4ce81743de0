"""What is read out of preStop hooks, as people write them."""

from __future__ import annotations

import os
import stat
import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.shutdown.hook_course import EXITS, FOREVER
from controller.domain.shutdown.hooks import read_hook
from controller.domain.shutdown.pod_details import Exec, HttpGet, Sleep, TcpSocket
from controller.domain.shutdown.programs import interval
from controller.domain.shutdown.shell import MAX_HOOK_LENGTH, SKIPPED, script_course
from tests.unit.windows import reading, shell

PUT = "curl -fsS -X PUT 'http://eureka:8761/eureka/apps/ORDERS/orders-0/status?value=OUT_OF_SERVICE'"

COMMANDS: list[tuple[tuple[str, ...], float]] = [
    (("sleep", "30"), 30),
    (("sleep", "30s"), 30),
    (("/bin/sleep", "30"), 30),
    (("/usr/bin/sleep", "1m"), 60),
    (("sleep", "1m", "30s"), 90),
    (("sleep", "1.5"), 1.5),
    (("sleep", ".5m"), 30),
    (("sleep", "1h"), 3_600),
    (("sleep", "infinity"), FOREVER),
    (("sleep", "400d"), FOREVER),
    (("sh", "-c", "sleep 30"), 30),
    (("/bin/bash", "-c", "sleep 30"), 30),
    (("bash", "-ec", "sleep 30"), 30),
    (("bash", "-euo", "pipefail", "-c", "sleep 30"), 30),
    (("bash", "-o", "errexit", "-c", "sleep 30"), 30),
    (("bash", "--noprofile", "-lc", "sleep 30"), 30),
    (("sh", "-c", "sleep 30", "ignored", "arguments"), 30),
    (("busybox", "sleep", "30"), 30),
    (("busybox", "sh", "-c", "sleep 30"), 30),
    (("env", "TZ=UTC", "-i", "sleep", "30"), 30),
    (("/usr/bin/env", "bash", "-c", "sleep 30"), 30),
    (("nice", "-n", "10", "sleep", "30"), 30),
    (("timeout", "10", "sleep", "30"), 10),
    (("timeout", "-k", "5", "1m", "sleep", "30"), 30),
    (("tini", "--", "sleep", "30"), 30),
    (("true",), 0),
    (("nginx", "-s", "quit"), 0),
    ((), 0),
]


@pytest.mark.parametrize(("command", "seconds"), COMMANDS, ids=str)
def test_a_command_waits_as_long_as_it_says(command: tuple[str, ...], seconds: float) -> None:
    course = reading(*command).course
    assert (course.seconds, course.unknown) == (seconds, "")


TEXTS: list[tuple[str, float]] = [
    (f"{PUT}; sleep 30", 30),
    (f"{PUT} && sleep 30", 30),
    (f"{PUT} || true; sleep 30", 30),
    (f"{PUT} >/dev/null 2>&1 ; sleep 30", 30),
    (f"{PUT} &> /dev/null; sleep 30", 30),
    (f"{PUT} --retry 3 \\\n  --max-time 5\nsleep 30", 30),
    ("curl -X PUT http://eureka/eureka/apps/A/$(hostname)/status?value=OUT_OF_SERVICE; sleep 30", 30),
    ("curl -X PUT http://eureka/eureka/apps/A/`hostname`/status?value=OUT_OF_SERVICE; sleep 30", 30),
    ('curl -X PUT "http://$EUREKA/apps/${APP:-orders}/status?value=OUT_OF_SERVICE"; sleep 30', 30),
    ('curl -d "{\\"status\\": \\"OUT_OF_SERVICE\\"}" http://localhost:8080/actuator/serviceregistry; sleep 30', 30),
    ('wget -q -O- --post-data=\'{"status":"DOWN"}\' http://localhost/actuator/serviceregistry;sleep 30', 30),
    ("sleep 10; sleep 20", 30),
    ("sleep 10 && sleep 20 && sleep 5", 35),
    ("sleep 10\nsleep 20\n", 30),
    ("# wait for the callers\nsleep 30 # seconds", 30),
    ("echo 'sleep 99; sleep 99'; sleep 30", 30),
    ("echo stopping >> /proc/1/fd/1; sleep 30", 30),
    ("date; touch /tmp/stopping; sleep 30", 30),
    ("X=5 Y='a b'; sleep 30", 30),
    ("X=5 sleep 30", 30),
    ("set -e; sleep 30", 30),
    ("exec sleep 30", 30),
    ("exec 2>/dev/null; sleep 30", 30),
    ("{ sleep 10; sleep 20; }", 30),
    ("(sleep 10; exit 0); sleep 20", 30),
    ("sleep 30 | cat", 30),
    ("sleep 10 | sleep 30 | sleep 20", 30),
    ("! sleep 30", 30),
    ("sh -c 'sleep 30'; sleep 5", 35),
    ("sh -c \"sleep 10; sh -c 'sleep 20'\"", 30),
    ("'sleep' \"30\"", 30),
    ("sl''eep 3\\0", 30),
    ("sleep 30; exit 0; sleep 60", 30),
    ("exec sleep 30; sleep 60", 30),
    ("sleep 30 || sleep 60", 30),
    ("curl -f http://localhost/health || sleep 60", 0),
    ("sleep 60 &", 0),
    ("sleep 60 & sleep 30", 30),
    ("kill -0 1; sleep 30", 30),
    ("sleep 30; kill -TERM 1; sleep 60", 30),
    ("sleep 30; kill 1 && while kill -0 1; do sleep 1; done", 30),
    ("nginx -s quit; sleep 60", 0),
    ("pgrep java | xargs -n 1 kill; sleep 60", 0),
    ("sleep 30; curl x && kill 1", 30),
    ("sleep 30; test -f /x && exit 0; date", 30),
    ("sleep 30 || exit 1; sleep 5", 35),
    ("true && exit 0; sleep 60", 0),
    ("sleep 30; curl -X POST localhost:8080/actuator/shutdown; sleep 60", 30),
    ("timeout 10 curl http://x; sleep 30", 30),
    ("timeout 20 sh -c 'sleep 90'; sleep 10", 30),
    ("", 0),
    (" \t\n ", 0),
    (";;", 0),
    ("&& sleep 30", 30),
]


@pytest.mark.parametrize(("text", "seconds"), TEXTS)
def test_a_shell_waits_for_the_sum_of_what_it_does_one_after_the_other(text: str, seconds: float) -> None:
    course = read_hook(shell(text)).course
    assert course.seconds == seconds
    assert not course.unknown or course.over


LOST: list[tuple[tuple[str, ...], float, str]] = [
    (("/opt/stop.sh",), 0, "/opt/stop.sh"),
    (("sh", "/opt/stop.sh"), 0, "script /opt/stop.sh"),
    (("bash", "-x", "/opt/stop.sh", "-c"), 0, "script /opt/stop.sh"),
    (("python3", "-c", "import time; time.sleep(30)"), 0, "python3"),
    (("sh", "-c", "/opt/stop.sh && sleep 95"), 0, "/opt/stop.sh"),
    (("sh", "-c", "sleep 30; /opt/stop.sh; sleep 60"), 30, "/opt/stop.sh"),
    (("sh", "-c", ". /opt/stop.sh; sleep 60"), 0, "script"),
    (("sh", "-c", "source stop.sh"), 0, "script"),
    (("sh", "-c", "eval sleep 30"), 0, "puts together"),
    (("sh", "-c", "sleep\xa030"), 0, "runs sleep\xa030"),
    (("sh", "-c", "while true; do sleep 1; done"), 0, "loop"),
    (("sh", "-c", "sleep 5; for i in 1 2 3; do sleep 10; done; sleep 60"), 5, "loop"),
    (("sh", "-c", "until curl -f x; do sleep 1; done"), 0, "loop"),
    (("sh", "-c", "if [ -f /tmp/x ]; then sleep 30; fi"), 0, "condition"),
    (("sh", "-c", "case $X in a) sleep 30;; esac"), 0, "condition"),
    (("sh", "-c", "[[ -f /x ]] && sleep 30"), 0, "condition"),
    (("sh", "-c", "curl x || while true; do sleep 1; done"), 0, "loop"),
    (("sh", "-c", "stop() { sleep 30; }; stop"), 0, "function"),
    (("sh", "-c", "function stop { sleep 30; }"), 0, "function"),
    (("sh", "-c", "sleep $DELAY"), 0, "variable"),
    (("sh", "-c", 'sleep "${DELAY:-30}"'), 0, "variable"),
    (("sh", "-c", "sleep $((60 + 35))"), 0, "variable"),
    (("sh", "-c", "$STOP; sleep 30"), 0, "variable"),
    (("sh", "-c", 'sh -c "$STOP"'), 0, "variable"),
    (("sh", "-c", "echo $(sleep 30)"), 0, "$( )"),
    (("sh", "-c", "echo `sleep 30`"), 0, "$( )"),
    (("sh", "-c", "sleep 30 & wait"), 0, "background"),
    (("sh", "-c", "(sleep 30; kill 1) & sleep 60"), 0, "background"),
    (("sh", "-c", "test -f /x && exit 0; sleep 95"), 0, "may be over early"),
    (("sh", "-c", "sleep 5; curl -f x || exit 1; sleep 95"), 5, "may be over early"),
    (("sh", "-c", "curl x && kill 1; sleep 95"), 0, "may be over early"),
    (("sh", "-c", "test -f /x && exit 0; /stop.sh"), 0, "may be over early"),
    (("sh", "-c", "cat <<EOF\nx\nEOF"), 0, "here-document"),
    (("sh", "-c", "sleep 30; echo 'x"), 0, "quotes"),
    (("sh", "-c", "((((((sleep 30))))))"), 0, "deep"),
    (("sh", "-c", 'sleep 30; echo "x'), 0, "quotes"),
    (("sh", "-c", "echo ${x"), 0, "closed"),
    (("sh", "-c", "(sleep 30"), 0, "brackets"),
    (("sh", "-c", "sleep 30; )"), 0, "brackets"),
    (("sh", "-c", "sleep 30; }"), 0, "brackets"),
    (("timeout", "soon", "sleep", "30"), 0, "timeout"),
    (("timeout",), 0, "timeout"),
    (("tail", "-f", "/dev/null"), 0, "tail"),
]


@pytest.mark.parametrize(("command", "seconds", "why"), LOST, ids=str)
def test_what_cannot_be_judged_says_so_and_what_came_before_it_counts(
    command: tuple[str, ...], seconds: float, why: str
) -> None:
    course = reading(*command).course
    assert course.seconds == seconds
    assert why in course.unknown
    assert course.acts or "variable" in course.unknown


FAILING: list[tuple[tuple[str, ...], str]] = [
    (("sleep 30",), "no program is called 'sleep 30'"),
    (("curl", "-X", "PUT", "http://eureka", ";", "sleep", "30"), "; is an argument"),
    (("curl", "http://eureka", "&&", "sleep", "30"), "&& is an argument"),
    (("sleep", "30", ";", "sleep", "60"), "; is an argument"),
    (("sleep", "thirty"), "does not understand 'thirty'"),
    (("sleep", "$DELAY"), "does not understand '$DELAY'"),
    (("sh", "-c", "sleep 30\r\n"), "does not understand '30\\r'"),
    (("sleep", "500ms"), "does not understand '500ms'"),
    (("sleep",), "without a time"),
    (("sh", "-c"), "nothing to run"),
    (("sh",), "nothing to run"),
]


@pytest.mark.parametrize(("command", "note"), FAILING, ids=str)
def test_a_hook_that_only_looks_like_a_sleep_waits_for_nothing_and_says_why(
    command: tuple[str, ...], note: str
) -> None:
    course = reading(*command).course
    assert (course.seconds, course.unknown) == (0, "")
    assert any(note in one for one in course.notes)


@pytest.mark.parametrize(
    ("text", "acts"),
    [
        ("sleep 30", False),
        ("echo bye; sleep 30; true", False),
        ("exec sleep 30", False),
        ("sleep 30 || true", False),
        (f"{PUT}; sleep 30", True),
        ("sleep 30; kill 1", True),
        ("sleep 30; touch /tmp/x", True),
        ("sleep 30; exit 0; curl x", True),
        ("curl x & sleep 30", True),
        ("sleep 30 || curl x", True),
    ],
)
def test_a_hook_that_does_more_than_wait_is_told_from_one_that_only_waits(text: str, acts: bool) -> None:
    assert read_hook(shell(text)).course.acts is acts


@pytest.mark.parametrize(
    ("text", "skipped"),
    [
        (f"{PUT} && sleep 30", True),
        (f"{PUT} && date && sleep 30", True),
        ("test -f /x && sleep 30", True),
        (f"{PUT}; sleep 30", False),
        (f"{PUT} || true; sleep 30", False),
        (f"sleep 30 && {PUT}", False),
        ("sleep 10 && sleep 20", False),
    ],
)
def test_a_sleep_that_a_failure_would_skip_is_told(text: str, skipped: bool) -> None:
    assert (SKIPPED in read_hook(shell(text)).course.notes) is skipped


def test_what_ends_the_application_is_told_from_what_ends_the_hook() -> None:
    assert read_hook(shell("sleep 1; exit 0")).course.over == ""
    assert script_course("sleep 1; exit 0").over == EXITS
    assert "nginx" in read_hook(shell("nginx -s quit; sleep 30")).course.over
    assert "kill" in read_hook(shell("sh -c 'kill 1'; sleep 30")).course.over


SETTERS = [
    shell(f"{PUT}; sleep 30"),
    shell("wget --method=PUT http://eureka/eureka/apps/A/B/status?value=DOWN; sleep 30"),
    shell("curl -X POST -d status=DOWN localhost:8080/actuator/service-registry"),
    shell("curl -X DELETE http://eureka/eureka/apps/A/B; sleep 30"),
    shell("curl http://eureka/eureka/apps/A/B --request DELETE; sleep 30"),
    shell("if x; then curl -X PUT http://eureka/eureka/apps/A/B/status?value=out_of_service; fi"),
    Exec(("curl", "-X", "PUT", "http://eureka/eureka/apps/A/B/status?value=OUT_OF_SERVICE")),
    HttpGet("/actuator/serviceregistry?status=OUT_OF_SERVICE"),
    HttpGet("/admin/offline?to=OUT_OF_SERVICE"),
]


@pytest.mark.parametrize("hook", SETTERS, ids=str)
def test_a_hook_that_takes_the_instance_out_itself_is_found(hook: Exec | HttpGet) -> None:
    assert read_hook(hook).sets_status


@pytest.mark.parametrize(
    "hook",
    [
        shell("sleep 30"),
        shell("echo OUT_OF_SERVICE; sleep 30"),
        shell("curl http://localhost:8080/actuator/health"),
        shell("curl -X DELETE http://consul/v1/agent/x"),
        HttpGet("/actuator/health"),
        HttpGet("/stop"),
    ],
    ids=str,
)
def test_a_hook_that_leaves_the_registry_alone_is_not_taken_for_one(hook: Exec | HttpGet) -> None:
    assert not read_hook(hook).sets_status


def test_the_native_sleep_waits_as_long_as_it_says() -> None:
    found = read_hook(Sleep(95))
    assert (found.kind, found.course.seconds, found.course.acts, found.course.notes) == ("sleep", 95, False, ())


def test_no_hook_waits_for_nothing() -> None:
    found = read_hook(None)
    assert (found.kind, found.course.seconds, found.course.acts) == ("none", 0, False)


def test_a_tcp_socket_never_does_anything() -> None:
    found = read_hook(TcpSocket())
    assert (found.course.seconds, found.course.acts) == (0, False)
    assert "deprecated" in found.course.notes[0]


def test_an_http_get_lasts_until_the_application_answers() -> None:
    assert "GET /drain" in read_hook(HttpGet("/drain")).course.unknown


@pytest.mark.parametrize("path", ["/actuator/health", "/actuator", "/actuator/pause"])
def test_springs_own_addresses_answer_at_once(path: str) -> None:
    course = read_hook(HttpGet(path)).course
    assert (course.seconds, course.unknown, course.acts) == (0, "", True)


def test_an_http_get_at_the_registrys_address_sets_nothing() -> None:
    found = read_hook(HttpGet("/actuator/serviceregistry?status=OUT_OF_SERVICE"))
    assert (found.course.seconds, found.course.unknown) == (0, "")
    assert "GET" in found.course.notes[0]


@pytest.mark.parametrize("text", ["-5", "1e3", "٣٠", "30 s", "s", "", "1.2.3", "0x10", "NaN", "+30", "9" * 400])
def test_what_sleep_refuses_is_no_time(text: str) -> None:
    assert interval(text) is None


@pytest.mark.parametrize(
    "hook",
    [
        Exec(("env",) * 3_000),
        Exec(("timeout", "5") * 2_000),
        shell("exec " * 3_000),
        shell("(" * 10_000),
        shell("{ " * 5_000),
        shell("! " * 9_000 + "/x"),
        shell("$(" * 9_000),
        shell("`" * 9_999),
        shell("sh -c " * 3_000),
        shell("x" * (MAX_HOOK_LENGTH + 1)),
        Exec(("x",) * (MAX_HOOK_LENGTH + 1)),
        shell("true; " * 3_000 + "/x"),
    ],
    ids=lambda hook: str(hook)[:40],
)
def test_what_is_too_long_or_too_deep_is_not_judged_and_breaks_nothing(hook: Exec) -> None:
    course = read_hook(hook).course
    assert course.seconds == 0
    assert course.unknown or course.notes


SHELLS_ALPHABET = [
    *(
        "sleep 5",
        "sleep",
        "30",
        "curl x",
        "kill 1",
        "exit",
        "wait",
        "true",
        "/x.sh",
        "if",
        "fi",
        "while",
        "done",
        "sh -c",
    ),
    *(
        ";",
        "&&",
        "||",
        "|",
        "&",
        "\n",
        "(",
        ")",
        "{",
        "}",
        "'",
        '"',
        "\\",
        "`",
        "$(",
        "${",
        "$x",
        ">",
        "2>&1",
        "<<",
        "#",
    ),
    *(" ", "  ", "\x0b", "\u2028", "\x00", "é", "=", "a=b", "!", "exec", "env", "timeout 5", "[["),
]


@given(st.lists(st.sampled_from(SHELLS_ALPHABET), max_size=30), st.sampled_from(("", " ")))
def test_any_text_of_a_shell_is_read_without_an_error(parts: list[str], between: str) -> None:
    course = read_hook(shell(between.join(parts))).course
    assert course.seconds >= 0


@given(st.lists(st.text(max_size=40), max_size=6))
def test_any_command_is_read_without_an_error(command: list[str]) -> None:
    found = read_hook(Exec(tuple(command)))
    assert found.course.seconds >= 0
    assert len(found.course.unknown) < 250


@given(st.lists(st.integers(0, 500), min_size=1, max_size=8), st.sampled_from((";", " && ", "\n", " ;\n")))
def test_sleeps_one_after_the_other_add_up(seconds: list[int], between: str) -> None:
    text = between.join(f"sleep {one}" for one in seconds)
    assert read_hook(shell(text)).course.seconds == sum(seconds)


@given(st.text(string.ascii_letters + " ./:'-", max_size=40), st.integers(1, 500))
def test_what_stands_in_quotes_is_never_run(text: str, seconds: int) -> None:
    quoted = "'" + text.replace("'", "") + "; sleep 77'"
    assert read_hook(shell(f"echo {quoted}; sleep {seconds}")).course.seconds == seconds


COMMANDS_OF_A_SHELL = st.recursive(
    st.one_of(
        st.integers(1, 9).map(lambda seconds: f"sleep {seconds}"),
        st.sampled_from(["true", "false", "exit 0", "exec sleep 4", "echo 'sleep 5'", "X=1 sleep 6", "test -f /none"]),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["; ", " && ", " || ", "\n"]), inner).map("".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"{{ {text}; }}"),
        inner.map(lambda text: f"! {{ {text}; }}"),
        inner.filter(lambda text: "'" not in text).map(lambda text: f"sh -c '{text}'"),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ``sleep`` that takes no time and writes down how long it should have."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "sleep"
    program.write_text('#!/bin/sh\necho "$1" >>"$SLEPT"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


@settings(max_examples=150)
@given(text=COMMANDS_OF_A_SHELL)
def test_a_real_shell_sleeps_at_least_as_long_as_was_read(recorded: Path, text: str) -> None:
    course = read_hook(shell(text)).course
    slept = recorded / "slept"
    slept.write_text("")
    env = {"PATH": f"{recorded}:{os.environ['PATH']}", "SLEPT": str(slept)}
    subprocess.run(["sh", "-c", text], env=env, check=False, timeout=60, capture_output=True)
    really = sum(map(int, slept.read_text().split()))
    assert SKIPPED in course.notes or really >= course.seconds, text
    if not course.may_fail and not course.unknown:
        assert really == course.seconds, text
