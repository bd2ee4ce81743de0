"""What is read out of preStop hooks, as people write them; what is not certain has no length."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.bounds import MAX_HOOK_BYTES
from controller.domain.shutdown.hooks import HookReading, read_hook
from controller.domain.shutdown.pod_details import Exec, Hook, HttpGet, Sleep, TcpSocket, TooLong
from tests.unit.windows import reading, shell

PUT = "curl -fsS -X PUT 'http://eureka:8761/eureka/apps/ORDERS/orders-0/status?value=OUT_OF_SERVICE'"
IN_A_SHELL = "does more in its shell than plain calls before a last sleep"
NO_TIMES = "calls sleep with something else than plain times"

COMMANDS: list[tuple[tuple[str, ...], float]] = [
    (("sleep", "30"), 30),
    (("/bin/sleep", "30"), 30),
    (("/usr/bin/sleep", "1m"), 60),
    (("sleep", "30s"), 30),
    (("sleep", "1m", "30s"), 90),
    (("sleep", "1.5"), 1.5),
    (("sleep", ".5m"), 30),
    (("sleep", "1h"), 3_600),
    (("sleep", "1d"), 86_400),
    (("sleep", "0"), 0),
    (("sh", "-c", "sleep 30"), 30),
    (("/bin/bash", "-c", "sleep 30"), 30),
    (("sh", "-xc", "sleep 30"), 30),
    (("sh", "-c", "sleep 30", "ignored", "arguments"), 30),
]


@pytest.mark.parametrize(("command", "seconds"), COMMANDS, ids=str)
def test_a_sleep_waits_as_long_as_it_is_given(command: tuple[str, ...], seconds: float) -> None:
    assert reading(*command) == HookReading(kind="exec", seconds=seconds, only_waits=True)


TEXTS: list[tuple[str, float]] = [
    (f"{PUT}; sleep 30", 30),
    (f"{PUT} ;sleep 30;", 30),
    (f"{PUT} >/dev/null 2>&1 ; sleep 30", 30),
    (f"{PUT} --retry 3 \\\n  --max-time 5\nsleep 30", 30),
    (f"\n  {PUT}\n\n  sleep 30\n", 30),
    ('curl -X PUT "http://$EUREKA/apps/${APP}/status?value=OUT_OF_SERVICE"; sleep 30', 30),
    ("curl -X PUT http://eureka:8761/eureka/apps/A/$HOSTNAME/status?value=OUT_OF_SERVICE; /bin/sleep 30", 30),
    ('curl -d "{\\"status\\": \\"OUT_OF_SERVICE\\"}" http://localhost:8080/actuator/serviceregistry; sleep 30', 30),
    ('wget -q -O- --post-data=\'{"status":"DOWN"}\' http://localhost/actuator/serviceregistry;sleep 30', 30),
    ("echo going >> /proc/1/fd/1; date; sleep 30", 30),
    ("echo 'sleep 99; sleep 99'; sleep 30", 30),
    ('echo "a; sleep 99; b"; sleep 30', 30),
    ("sleep 10; sleep 20", 30),
    ("sleep 5; curl http://x; sleep 1m 5s", 70),
]


@pytest.mark.parametrize(("text", "seconds"), TEXTS)
def test_a_shell_waits_for_its_sleeps_when_nothing_can_skip_the_last(text: str, seconds: float) -> None:
    found = read_hook(shell(text))
    assert (found.seconds, found.unknown) == (seconds, "")


NOT_JUDGED_OPTIONS = [
    ("sh", "-ec", f"{PUT}; sleep 95"),
    ("sh", "-e", "-c", f"{PUT}; sleep 95"),
    ("bash", "-euo", "pipefail", "-c", f"{PUT}; sleep 95"),
    ("bash", "-o", "errexit", "-c", f"{PUT}; sleep 95"),
    ("sh", "-uc", "curl $EUREKA; sleep 95"),
    ("sh", "-nc", "sleep 95"),
    ("bash", "-lc", "sleep 95"),
    ("bash", "--noprofile", "-c", "sleep 95"),
    ("sh", "-c", "-e", f"{PUT}; sleep 95"),
    ("sh", "-c", "--", "sleep 95"),
    ("zsh", "-c", "curl http://x/status?value=DOWN; sleep 95"),
]


@pytest.mark.parametrize("command", NOT_JUDGED_OPTIONS, ids=str)
def test_an_option_that_may_end_the_shell_makes_nothing_certain(command: tuple[str, ...]) -> None:
    found = reading(*command)
    assert found.seconds == 0
    assert found.unknown
    assert not found.only_waits


NOT_JUDGED_TEXTS = [
    *("", " \t\n", ";", "; sleep 95", ";; sleep 95", "date;; sleep 95", "date\n; sleep 95", "date & sleep 95"),
    *(f"{PUT} && sleep 95", f"{PUT} || true; sleep 95", f"{PUT} | cat; sleep 95", "sleep 95 || true", "sleep 95 &"),
    *("exit; sleep 95", "exec date; sleep 95", "kill 1; sleep 95", "pkill java; sleep 95", "nginx -s quit; sleep 95"),
    *("set -e; sleep 95", "set -o errexit\nsleep 95", "trap x EXIT; sleep 95", "return; sleep 95"),
    *("eval x; sleep 95", ". /x.sh; sleep 95", "source x.sh; sleep 95", "/opt/stop.sh; sleep 95"),
    *("./curl x; sleep 95", "stop; sleep 95", "if x\nthen sleep 95; fi", "if x; then date; fi; sleep 95"),
    *("while x; do date; done; sleep 95", "case x in; sleep 95", "for i in 1 2; do sleep 95; done"),
    *("until x; sleep 95", "f() { sleep 95; }", "function f; sleep 95", "! date; sleep 95", "(date); sleep 95"),
    *("{ date; }; sleep 95", "[ -f /x ]; sleep 95", "[[ -f /x ]]; sleep 95", "test -f /x; sleep 95"),
    *("date `kill 1`; sleep 95", "date $(kill 1); sleep 95", 'date "$(kill 1)"; sleep 95'),
    *('date "`kill 1`"; sleep 95', "date ${X:?}; sleep 95", 'date "${X:?}"; sleep 95', "date $((1/0)); sleep 95"),
    *("date <<E; sleep 95\nE", "date < /x; sleep 95", "PATH=/x; sleep 95", "PATH=/x sleep 95"),
    *("PATH=/x date; sleep 95", "export X; sleep 95", "alias sleep=date; sleep 95"),
    *("curl -X POST localhost:8080/actuator/shutdown; sleep 95", "curl localhost:15020/quitquitquit; sleep 95"),
    *("wget -qO- 'localhost/Stop'; sleep 95", "curl localhost/terminate; sleep 95"),
    *("curl localhost/pre-stop; sleep 95", "date # ; sleep 95", "date\n# wait\nsleep 95", "date 'x; sleep 95"),
    *('date "x; sleep 95', "date x\\; sleep 95", "date \\'; sleep 95", "echo; sleep 95'", "echo 'date; sleep 95'"),
    *('echo "date; sleep 95"', "echo sleep 95", "sl''eep 95", "'sleep' 95", "sleep 95; date"),
    *("sleep 95; /opt/stop.sh", "sleep 95; kill 1", "exec sleep 95", "timeout 9 sleep 95", "X sleep 95"),
    *("> /x; sleep 95", "date > /x; sleep 95", "date &> /dev/null; sleep 95", "date >& /x; sleep 95"),
    *("date >/dev/nullx; sleep 95", "date\r\nsleep 95", "date\xa0; sleep 95", "date\x0b; sleep 95", "sleep\xa095"),
    *("d\\\nate; sleep 95", "date;\\\nsleep 95"),
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_JUDGED_TEXTS)
def test_a_text_that_may_skip_its_sleep_cannot_be_judged(text: str) -> None:
    assert read_hook(shell(text)) == HookReading(
        kind="exec", unknown=IN_A_SHELL, sets_status="curl" in text and "OUT_OF_SERVICE" in text
    )


NO_TIME = ["", "thirty", "-5", "+30", "1e3", "0x10", "infinity", "NaN", "٣٠", "30 s", "s", "1.2.3", "1.", "500ms"]


@pytest.mark.parametrize("time", [*NO_TIME, "$DELAY", "9" * 400, "30\r"])
def test_a_sleep_of_no_plain_time_cannot_be_judged(time: str) -> None:
    assert reading("sleep", time).unknown == NO_TIMES
    assert reading("sleep", "30", time).unknown == NO_TIMES


SHELL_TIMES = ["", " $DELAY", ' "30"', " 30 >/dev/null", " 30; sleep", " thirty", " 3*", " infinity"]


@pytest.mark.parametrize("times", SHELL_TIMES)
def test_a_shells_sleep_of_no_plain_time_cannot_be_judged(times: str) -> None:
    assert read_hook(shell(f"sleep{times}")).unknown == NO_TIMES
    assert read_hook(shell(f"sleep{times}; sleep 30")).unknown == NO_TIMES


@pytest.mark.parametrize(
    ("command", "unknown"),
    [
        ((), "runs a program"),
        (("",), "runs a program"),
        (("/opt/stop.sh",), "runs /opt/stop.sh"),
        (("sh", "/opt/stop.sh"), "runs sh /opt/stop.sh"),
        (("sh",), "runs sh"),
        (("sh", "-c"), "runs sh -c"),
        (("sh", "-ec", "sleep 30"), "runs sh -ec"),
        (("busybox", "sleep", "30"), "runs busybox"),
        (("/opt/sleep", "30"), "runs /opt/sleep"),
        (("./sleep", "30"), "runs ./sleep"),
        (("curl", "http://eureka", ";", "sleep", "30"), "runs curl"),
        (("python3", "-c", "import time; time.sleep(30)"), "runs python3"),
        (("tini", "--", "sleep", "30"), "runs tini"),
    ],
    ids=str,
)
def test_any_other_program_cannot_be_judged_and_is_named(command: tuple[str, ...], unknown: str) -> None:
    assert reading(*command) == HookReading(kind="exec", unknown=unknown)


def test_a_command_in_one_word_fails_at_once_and_says_why() -> None:
    found = reading("sleep 30")
    assert (found.seconds, found.unknown, found.only_waits) == (0, "", True)
    assert "there is no shell" in found.note


@pytest.mark.parametrize(
    ("text", "only_waits"),
    [("sleep 30", True), ("echo bye; date; true; sleep 30", True), (f"{PUT}; sleep 30", False), ("date || x", False)],
)
def test_a_hook_that_does_more_than_wait_is_no_plain_sleep(text: str, only_waits: bool) -> None:
    assert read_hook(shell(text)).only_waits is only_waits


SETTERS: list[Exec | HttpGet] = [
    shell(f"{PUT}; sleep 30"),
    shell(f"{PUT} || true; sleep 30"),
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
def test_a_hook_that_does_not_touch_the_registry_sets_no_status(hook: Exec | HttpGet) -> None:
    assert not read_hook(hook).sets_status


def test_the_native_sleep_waits_as_long_as_it_says() -> None:
    assert read_hook(Sleep(95)) == HookReading(kind="sleep", seconds=95, only_waits=True)
    assert read_hook(Sleep(-5)).seconds == 0


def test_no_hook_waits_for_nothing() -> None:
    assert read_hook(None) == HookReading(kind="none", only_waits=True)


def test_a_tcp_socket_never_does_anything() -> None:
    found = read_hook(TcpSocket())
    assert (found.kind, found.seconds, found.unknown, found.only_waits) == ("tcpSocket", 0, "", True)
    assert "deprecated" in found.note


def test_an_http_get_lasts_until_the_application_answers() -> None:
    assert read_hook(HttpGet("/drain")).unknown == "lasts until the application has answered GET /drain"


@pytest.mark.parametrize("path", ["/actuator/health", "/actuator/pause"])
def test_springs_own_addresses_answer_at_once(path: str) -> None:
    assert read_hook(HttpGet(path)) == HookReading(kind="httpGet")


def test_an_http_get_at_the_registrys_address_sets_nothing() -> None:
    found = read_hook(HttpGet("/actuator/serviceregistry?status=OUT_OF_SERVICE"))
    assert (found.seconds, found.unknown) == (0, "")
    assert "GET" in found.note


@pytest.mark.parametrize(
    "hook",
    [
        HttpGet("/shutdown?token=s3cret"),
        HttpGet("/shutdown#s3cret"),
        HttpGet("https://ann:s3cret@tools/x"),
        Exec(("/deregister?token=s3cret",)),
        Exec(("https://ann:s3cret@tools/stop.sh",)),
        Exec(("TOKEN=s3cret",)),
        Exec(("sh", "/stop.sh?s3cret")),
        Exec(("sh", "-c", "https://ann:s3cret@tools/stop.sh; sleep 5")),
        Exec(("sh", "-c", "TOKEN=s3cret; sleep 5")),
        Exec(("sleep", "s3cret")),
        Exec(("curl -u ann:s3cret",)),
    ],
    ids=str,
)
def test_what_may_be_a_secret_is_not_repeated(hook: Exec | HttpGet) -> None:
    found = read_hook(hook)
    assert found.unknown or found.note
    assert "s3cret" not in found.unknown + found.note


LONG: list[Hook] = [
    TooLong(),
    Exec(("",) * 700_000),
    Exec(("sleep", *("1",) * MAX_HOOK_BYTES)),
    shell("x" * (MAX_HOOK_BYTES + 1)),
    shell("date; " * MAX_HOOK_BYTES + "sleep 5"),
]


@pytest.mark.parametrize("hook", LONG, ids=lambda hook: str(hook)[:40])
def test_a_hook_that_is_too_long_cannot_be_judged(hook: Hook) -> None:
    assert read_hook.__wrapped__(hook) == HookReading(kind="exec", unknown="is too long")


PIECES = [
    *("$(", "${", "`", "'", '"', "\\", "$aaaa", '"$aaaa', '"\\"', "'a", "a\\", "(", "{", "! ", "exec ", "sh -c "),
    *(";", ";;", "\\\n", " \\\n", ">", "2>&1", ">>  ", "-X DELETE ", "/apps/", "curl ", "OUT_OF_SERVIC", "sleep "),
    *("sleep 1;", "a?b=c&"),
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("head", ["", 'curl "', "curl '", "curl "])
def test_the_longest_hook_of_any_pattern_is_read_at_once(head: str, piece: str) -> None:
    text = head + piece * ((MAX_HOOK_BYTES - 100) // len(piece))
    for hook in (shell(text), HttpGet(text), Exec((text,)), Exec(("sleep", text))):
        # The shortest of three: garbage of the tests before may be collected in one of them.
        assert min(_seconds_to_read(hook) for _ in range(3)) < 0.25, "0.02 s at most when it was written"


def _seconds_to_read(hook: Hook) -> float:
    begun = time.process_time()
    read_hook.__wrapped__(hook)
    return time.process_time() - begun


ALPHABET = [
    *("sleep 5", "sleep", "30", "curl x", "kill 1", "exit", "wait", "true", "/x.sh", "if", "fi", "while", "done"),
    *("sh -c", ";", "&&", "||", "|", "&", "\n", "(", ")", "{", "}", "'", '"', "\\", "`", "$(", "${", "$x", ">"),
    *("2>&1", "<<", "#", " ", "  ", "\x0b", "\u2028", "\x00", "é", "=", "a=b", "!", "exec", "env", "timeout 5", "[["),
]  # fmt: skip


@given(st.lists(st.sampled_from(ALPHABET), max_size=30), st.sampled_from(("", " ")))
def test_any_text_of_a_shell_is_read_without_an_error(parts: list[str], between: str) -> None:
    found = read_hook(shell(between.join(parts)))
    assert not (found.seconds and found.unknown)


@given(st.lists(st.text(max_size=40), max_size=6))
def test_any_command_is_read_without_an_error(command: list[str]) -> None:
    found = read_hook(Exec(tuple(command)))
    assert found.seconds >= 0
    assert len(found.unknown) + len(found.note) < 250
    assert found.unknown.isprintable()


@given(st.lists(st.integers(0, 500), min_size=1, max_size=8), st.sampled_from((";", "\n", " ;\n", "; date; ")))
def test_sleeps_one_after_the_other_add_up(seconds: list[int], between: str) -> None:
    text = between.join(f"sleep {one}" for one in seconds)
    assert read_hook(shell(text)).seconds == sum(seconds)


PLAIN_TEXTS = st.lists(
    st.sampled_from(
        [
            "sleep 5",
            "sleep 7",
            "date",
            "echo 'a; b'",
            'echo "$HOME; x"',
            "echo *[?]!~ >/dev/null 2>&1",
            "true x=1",
            "date -u",
        ]
    ),
    max_size=6,
).flatmap(
    lambda parts: st.sampled_from(["; ", ";", "\n", " ;\n", " \\\n"]).map(
        lambda between: between.join([*parts, "sleep 3"])
    )
)
COMMANDS_OF_A_SHELL = st.recursive(
    st.one_of(
        st.integers(1, 9).map(lambda seconds: f"sleep {seconds}"),
        st.sampled_from(["true", "false", "exit 0", "exec sleep 4", "echo 'sleep 5'", "X=1 sleep 6", "test -f /none"]),
        st.sampled_from(["set -e", "trap 'sleep 1' EXIT", 'echo "$HOME"', "echo $X >/dev/null", "echo ${X:?}", ""]),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["; ", ";\n", "\n", " && ", " || ", " & ", " | "]), inner).map("".join),
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
@given(text=COMMANDS_OF_A_SHELL | PLAIN_TEXTS, name=st.sampled_from(["sh", "bash"]))
def test_a_real_shell_sleeps_as_long_as_was_read_for_certain(recorded: Path, text: str, name: str) -> None:
    found = read_hook(Exec((name, "-c", text)))
    slept = recorded / "slept"
    slept.write_text("")
    env = {"PATH": f"{recorded}:{os.environ['PATH']}", "SLEPT": str(slept)}
    subprocess.run([name, "-c", text], env=env, check=False, timeout=60, capture_output=True)
    really = sum(map(int, slept.read_text().split()))
    assert found.unknown or found.seconds == really, text
