"""The plugin without a cluster: what it says where something is missing, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from controller.plugin import command_line
from controller.plugin.command_line import main
from controller.plugin.kubectl import Kubectl
from controller.plugin.ops_api import OpsApi, TokenSource
from controller.plugin.plugin_commands import Asked, Commands
from controller.plugin.problem import PluginError
from tests.stack.addresses import free_port

Kube = Callable[[str], None]
SERVICE = {"metadata": {"namespace": "drains", "name": "eureka-drain-ops"}}
SEVERAL = [SERVICE, {"metadata": {"namespace": "shop", "name": "mine-ops"}}]


def services(*found: Any) -> str:
    return f"printf '%s' '{json.dumps({'items': found})}'"


@pytest.fixture
def kube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kube:
    """Puts a kubectl on the PATH that does what a shell script says; what it was asked is in ``asked``."""

    def install(script: str) -> None:
        file = tmp_path / "kubectl"
        file.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\ncase "$*" in\n{script}\nesac\n')
        file.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("KUBECTL_DRAINS_TOKEN", raising=False)
    return install


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (f"*services*) {services()};;", "this cluster has no Service of eureka-drain ops"),
        (f"*services*) {services(*SEVERAL)};;", "several: drains/eureka-drain-ops, shop/mine-ops; choose one"),
        ("*services*) echo no;;", "kubectl get services: what it answers is not JSON"),
        ("*) echo 'the server is away' >&2; exit 1;;", "the server is away"),
        (
            f"*services*) {services(SERVICE)};; *token*) echo forbidden >&2; exit 1;;",
            "a person needs the Role eureka-drain-viewer in drains",
        ),
        (
            f"*services*) {services(SERVICE)};; *token*) echo t;; *) echo 'error: no pods' >&2; exit 1;;",
            "kubectl port-forward service/eureka-drain-ops: error: no pods",
        ),
        (
            f"*services*) {services(SERVICE)};; *token*) echo t;; *) echo Forwarding from 127.0.0.1:1 ...;;",
            "kubectl port-forward service/eureka-drain-ops: no port within",
        ),
        (
            f"*services*) {services(SERVICE)};; *token*) echo t;; "
            "*) echo 'Forwarding from 127.0.0.1:1 -> 8080'; exec sleep 60;;",
            "ops does not answer: ConnectionRefusedError",
        ),
    ],
)
def test_what_is_missing_is_one_line(kube: Kube, capsys: pytest.CaptureFixture[str], script: str, said: str) -> None:
    kube(script)
    assert main(["show", "abc"]) == 1
    shown = capsys.readouterr()
    assert said in shown.err
    assert (shown.out, shown.err.count("\n")) == ("", 1)


def test_without_kubectl_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main([]) == 1
    assert "kubectl cannot be run" in capsys.readouterr().err


def test_whoever_may_not_look_everywhere_looks_in_the_usual_namespace(
    kube: Kube, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kube(f"*all-namespaces*) exit 1;; *services*) {services(SERVICE)};; *) exit 1;;")
    assert main(["--context", "night", "--kubeconfig", "x"]) == 1
    asked = (tmp_path / "asked").read_text().splitlines()
    assert all(line.startswith("--kubeconfig x --context night ") for line in asked)
    assert "--namespace eureka-drain" in asked[1]
    assert "create token eureka-drain-viewer --namespace drains --audience eureka-drain --duration 10m" in asked[2]
    assert "eureka-drain-viewer" in capsys.readouterr().err


def test_the_forwarder_ends_with_the_command(kube: Kube, tmp_path: Path) -> None:
    kube(f"*) echo $$ >{tmp_path}/pid; echo 'Forwarding from 127.0.0.1:7 -> 8080'; exec sleep 60;;")
    with Kubectl().forwarded("n", "s", "http") as port:
        assert port == 7
        pid = int((tmp_path / "pid").read_text())
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_settings_lead_to_the_command_itself() -> None:
    assert command_line.names_settings(["drains", "--set", "cluster=eu"], {})
    assert command_line.names_settings(["--config=x"], {})
    assert command_line.names_settings([], {"EUREKA_DRAIN_BROKER__URL": "amqp://"})
    assert not command_line.names_settings(["drains", "--since", "1h"], {"KUBECTL_DRAINS_TOKEN": "t"})


def test_a_dead_port_is_an_answer_of_one_line() -> None:
    with pytest.raises(PluginError, match="ops does not answer"):
        OpsApi(free_port(), lambda: "t").json("GET", "/drains")


@pytest.mark.parametrize(
    "words",
    [
        ["show"],
        ["drain"],
        ["drains", "--stat", "failed"],
        ["replay", "--rps", "many"],
        ["replay", "--rps", "nan"],
        ["-o", "xml"],
    ],
)
def test_bad_usage_is_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: kubectl drains" in capsys.readouterr().err


def test_it_imports_nothing_that_python_lacks() -> None:
    code = "import controller.plugin.command_line, sys; print(sorted(sys.modules))"
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "controller.plugin.ops_api" in ended.stdout


@pytest.mark.parametrize("token", ["one\nSECRET", "SECRET two", "SECRÉT"])
def test_what_is_no_token_is_refused_unquoted(
    kube: Kube, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    kube(f"*services*) {services(SERVICE)};;")
    monkeypatch.setenv("KUBECTL_DRAINS_TOKEN", token)
    assert main([]) == 2
    said = capsys.readouterr()
    assert "KUBECTL_DRAINS_TOKEN holds no token" in said.err
    assert "SECR" not in said.out + said.err


def test_a_token_is_asked_for_anew_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, clock = iter("abc"), [0.0]
    monkeypatch.setattr("controller.plugin.ops_api.time.monotonic", lambda: clock[0])
    source = TokenSource(lambda: next(asked))
    seen = []
    for at in (0.0, 479.0, 480.0, 900.0, 960.0):
        clock[0] = at
        seen.append(source.token())
    assert "".join(seen) == "aabbc"
    assert TokenSource(lambda: "asked", "given").token() == "given"


class FakeOps:
    """Answers requests in their order."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    def json(self, method: str, path: str, query: Any = (), body: Any = None) -> Any:
        self.asked.append((method, path))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def text(self, *_: Any) -> str:
        return "a table\n"


def commands_of(ops: FakeOps, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setattr("controller.plugin.plugin_commands.POLL_INTERVAL", 0.0)
    return Commands(cast("Any", ops), lambda: "alice")


def drained(state: str, requested_at: str) -> dict[str, Any]:
    return {"drains": [{"state": state, "requested_at": requested_at}]}


ASKED_AT = "2026-01-01T12:00:05Z"
SENT = {"drain_ids": ["d"], "requested_at": ASKED_AT}


def test_what_a_drain_came_to_before_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = drained("failed", "2026-01-01T12:00:00Z"), drained("restored", ASKED_AT)
    ops = FakeOps(SENT, before, PluginError("503"), after)
    assert commands_of(ops, monkeypatch).restore(Asked(pod="shop/a")) == 0
    assert not ops.answers


def test_a_replay_that_cannot_be_followed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = FakeOps({"replay_id": "r1"}, *(PluginError("ops does not answer") for _ in range(5)))
    with pytest.raises(
        PluginError, match="ops does not answer; the replay goes on, and the page shows it: /replays/r1"
    ):
        commands_of(ops, monkeypatch).replay(Asked(yes=True))


def test_another_versions_answer_is_one_line(
    kube: Kube, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forwarded = "echo 'Forwarding from 127.0.0.1:1 -> 8080'; exec sleep 9"
    kube(f"*services*) {services(SERVICE)};; *token*) echo t;; *) {forwarded};;")
    monkeypatch.setattr(OpsApi, "json", lambda *_, **__: {"other": []})
    assert main(["dead", "-o", "json"]) == 1
    assert "is ops another version? (KeyError: 'dead')" in capsys.readouterr().err
