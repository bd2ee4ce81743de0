"""The command line as a stranger uses it."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

CANARY = "c4narY"
ROOT = Path(__file__).parents[2]


def drain(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program with nothing of ours in its environment but what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("EUREKA_DRAIN")}
    return subprocess.run(
        [sys.executable, "-m", "controller", *arguments],
        cwd=ROOT,
        env={**kept, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["config", "--set", "http.prot=1"], "http.port"),
        (["config", "--set", "http.port=x"], "http.port"),
        (["config", "--config", "/nowhere/settings.yaml"], "/nowhere/settings.yaml"),
        (["--set", "retention=5", "config"], "retention"),
        (["work", "--region", "mars"], "mars"),
        (["run"], "regions"),
        (["work"], "--region"),
        (["dance"], "dance"),
        (["topology", "move", "--from", "eu"], "--to"),
        (["topology", "show", "--from", "eu", "--to", "us"], "--from"),
        (["topology", "move", "--from", "eu", "--to", "us"], "--to us"),
        (["config", "--set", "watch.namespaces=*"], "watch.namespaces.0: a list that is empty means all namespaces"),
        (["config", "--set", "watch.exclude_namespaces=Bad_Name"], "'Bad_Name' is not a namespace's name"),
        (["config", "--set", 'routing.namespaces={"Shop_X":["eu"]}'], "'Shop_X' is not a namespace's name"),
        (["config", "--set", "watch.namespaces=" + "[" * 60_000], "watch.namespaces.0"),
        (["config", "--set", "ops.hosts=https://drain.example.com"], "no scheme"),
        (["config", "--set", "ops.hosts=*.example.com"], "no scheme"),
        (["config", "--set", "ops.url=drain.example.com"], "ops.url: not a URL that starts with http://"),
        (["config", "--set", "http.host=localhost:8080"], "http.host: write an address or a host's name alone"),
        (["config", "--set", "http.host=[::]"], "no brackets around an IPv6 address"),
        (["config", "--set", "regions.eu.nodes=http://a/e http://b/e"], "divided by commas"),
        (["config", "--set", "retry.max_backoff=500ms"], "retry.max_backoff: must be at least 1s"),
        (["config", "--set", "broker.timeout=0s"], "broker.timeout: must be more than 0s"),
        (["config", "--set", "http.port=70000"], "http.port: must be at most 65535"),
        (["config", "--set", "http.port=1.5"], "http.port: write a whole number"),
        (["config", "--colour"], "--colour"),
        (["config", "extra"], "extra"),
        (["--config"], "--config"),
    ],
    ids=str,
)
def test_bad_usage_and_bad_settings_exit_2_and_name_the_mistake(arguments: list[str], text: str) -> None:
    ended = drain(*arguments)
    assert ended.returncode == 2
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


HTTPS_NODE = ["--set", "regions.eu.nodes=https://eureka-0:8761/eureka"]
NO_CA = ["--set", "broker.ca_file=/nowhere/ca.pem"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["watch", *HTTPS_NODE, *NO_CA], "broker.ca_file: cannot read /nowhere/ca.pem: No such file"),
        (["work", "--region", "eu", *HTTPS_NODE, *NO_CA], "broker.ca_file: cannot read /nowhere/ca.pem"),
        (["drains", *NO_CA], "broker.ca_file: cannot read /nowhere/ca.pem"),
        (["sweep", *HTTPS_NODE, *NO_CA], "broker.ca_file: cannot read /nowhere/ca.pem"),
        (["dead", "--set", f"broker.cert_file={__file__}"], "cert_file and key_file belong together"),
        (["dead", "--set", f"broker.cert_file={__file__}", "--set", f"broker.key_file={__file__}"], "is not PEM"),
        *[
            ([*role, *HTTPS_NODE, "--set", "regions.eu.ca_file=/nowhere/ca.pem"], "regions.eu.ca_file: cannot read")
            for role in (["work", "--region", "eu"], ["ops"], ["run"], ["sweep"])
        ],
    ],
    ids=str,
)
def test_an_unusable_certificate_file_exits_2_at_the_start_with_one_line(arguments: list[str], text: str) -> None:
    ended = drain(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("eureka-drain: ")
    assert text in line


def test_each_bad_setting_has_one_line() -> None:
    ended = drain("config", "--set", "http.port=x", "--set", "retenton=5m", EUREKA_DRAIN_LOG__LEVEL="LOUD")
    lines = ended.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("eureka-drain: ") for line in lines)


@pytest.mark.parametrize("options", [(), ("--comments",)], ids=str)
def test_the_settings_in_force_are_printed_as_yaml_without_any_secret(tmp_path: Path, options: tuple[str, ...]) -> None:
    file, secrets = tmp_path / "settings.yaml", tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "regions__us__password").write_text(f"file-{CANARY}")
    node = {"nodes": [f"http://user-{CANARY}:pass-{CANARY}@eureka-0:8761/eureka"], "password": f"yaml-{CANARY}"}
    us = {"nodes": ["http://eureka-1:8761/eureka"], "username": f"name-{CANARY}"}
    (secrets / "ops__operator_token").write_text(f"operator-token-{CANARY}")
    ops = {"viewer_token": f"viewer-token-{CANARY}"}
    file.write_text(yaml.safe_dump({"regions": {"eu": node, "us": us}, "retention": "90s", "ops": ops}))
    ended = drain(
        *("config", *options, "--config", str(file)),
        EUREKA_DRAIN_BROKER__URL=f"amqps://user-{CANARY}:p%40ss-{CANARY}@broker:5671/",
        EUREKA_DRAIN_SECRETS_DIR=str(secrets),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    shown = yaml.safe_load(ended.stdout)
    assert shown["retention"] == "90s"
    assert shown["watch"]["cluster"] == "default"
    assert ("# Part of every drain's id" in ended.stdout) == bool(options)
    for kind in ("user", "pass", "yaml", "file", "token"):
        assert f"{kind}-{CANARY}" not in ended.stdout
    assert f"name-{CANARY}" not in ended.stdout


def test_a_masked_url_still_names_its_server() -> None:
    ended = drain(
        "config",
        EUREKA_DRAIN_BROKER__URL="amqps://ana:secret@broker:5671/",
        EUREKA_DRAIN_REGIONS__EU__NODES="http://ana:secret@eureka-0:8761/eureka",
    )
    shown = yaml.safe_load(ended.stdout)
    assert shown["broker"]["url"] == "amqps://***@broker:5671/"
    assert shown["regions"]["eu"]["nodes"] == ["http://***@eureka-0:8761/eureka"]


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_settings_file_may_be_named_before_or_after_the_command(tmp_path: Path, place: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("remove: false\n")
    option = ["--config", str(file)]
    ended = drain(*option, "config") if place == "before" else drain("config", *option)
    assert ended.returncode == 0
    assert yaml.safe_load(ended.stdout)["remove"] is False


def test_help_lists_the_commands_on_stdout() -> None:
    ended = drain("--help")
    assert ended.returncode == 0
    for command in ("run", "watch", "work", "config"):
        assert command in ended.stdout


def test_the_version_is_that_of_the_installed_program() -> None:
    ended = drain("--version")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"eureka-drain {version('eureka-drain')}\n"
    assert version("eureka-drain") == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


COMMANDS = (
    *("run", "watch", "work", "ops", "sweep", "doctor"),
    *("drains", "rollouts", "show", "replay", "dead", "drain", "restore", "topology", "config"),
)
HEAVY = ("aio_pika", "aiohttp", "asyncio", "controller.settings", "kubernetes_asyncio", "loguru", "msgspec", "uvloop")
"""What a help text can do without. Typer itself brings pydantic."""
HELP = f"""
import sys
from controller.cli import app
for command in ([], *([name] for name in sys.argv[1:])):
    app([*command, "--help"], prog_name="eureka-drain", standalone_mode=False)
    print(*(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""


def python(code: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of Python beside the program."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_help_text_costs_no_import_of_what_it_does_not_need() -> None:
    ended = python(HELP, *COMMANDS)
    assert (ended.returncode, ended.stderr.split()) == (0, [])
    for command in COMMANDS:
        assert f"Usage: eureka-drain {command} [OPTIONS]" in ended.stdout


@pytest.mark.parametrize("module", ["controller", "controller.plugin"])
def test_ctrl_c_while_the_program_is_read_leaves_no_traceback(module: str, tmp_path: Path) -> None:
    # Whichever of its libraries comes first is where a person's Ctrl-C may find it.
    for library in ("typer", "argparse"):
        (tmp_path / f"{library}.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    ended = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_every_command_is_tried() -> None:
    ended = python(
        "from controller.cli import app; print(*(c.name or c.callback.__name__ for c in app.registered_commands))"
    )
    commands = set(ended.stdout.split())
    assert commands == set(COMMANDS), "a new command: add it above"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_given_a_script_that_completes_commands(shell: str) -> None:
    # Which shell asks comes from the environment: a test may run in any.
    ended = drain("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "complet" in ended.stdout


def test_a_command_is_completed() -> None:
    code = "from controller.cli import app; app(prog_name='eureka-drain')"
    words = {"_EUREKA_DRAIN_COMPLETE": "complete_bash", "COMP_WORDS": "eureka-drain re", "COMP_CWORD": "1"}
    assert set(python(code, **words).stdout.split()) == {"replay", "restore"}


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (["--set", "cluster=eu", "--help"], "drains [OPTIONS]"),
        (["drains", "--config", "x.yaml", "--help"], "drains [OPTIONS]"),
        (["show", "--config=x.yaml", "--help"], "show [OPTIONS] {DRAIN_ID}"),
        (["sweep", "--config=x.yaml", "--help"], "sweep [OPTIONS]"),
        (["--help"], "kubectl drains [-h] COMMAND"),
        (["--since", "1h", "--help"], "kubectl drains drains [-h]"),
        (["show", "--help"], "DRAIN_ID"),
        (["replay", "--help"], "--yes"),
    ],
    ids=str,
)
def test_the_kubectl_plugin_asks_ops_unless_it_is_given_settings(arguments: list[str], usage: str) -> None:
    ended = python("from controller.cli import kubectl_drains; kubectl_drains()", *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert usage in ended.stdout


NODES = {"EUREKA_DRAIN_REGIONS__EU__NODES": "http://127.0.0.1:1/eureka"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["drains", "--since", "yesterday"], "--since"),
        (["rollouts", "--since", "yesterday"], "--since"),
        (["rollouts", "--state", "failed"], "--state"),
        (["drains", "--until", "32nd"], "--until"),
        (["drains", "--state", "done"], "--state"),
        (["drains", "--pod", "orders-0"], "--pod"),
        (["drains", "-o", "xml"], "xml"),
        (["drains", "extra"], "extra"),
        (["show"], "DRAIN_ID"),
        (["replay", "--rps", "0"], "--rps"),
        (["replay", "--rps", "many"], "--rps"),
        (["replay", "--pod", "a/b/c"], "--pod"),
        (["dead", "revive"], "revive"),
        (["dead", "--region", "mars"], "mars"),
        (["drain", "orders-0"], "orders-0"),
        (["drain", "shop/"], "shop/"),
        (["restore", "a/b/c"], "a/b/c"),
        (["doctor", "--role", "dentist"], "dentist"),
        (["doctor", "-o", "xml"], "xml"),
        (["doctor", "--patch"], "--pods"),
        (["doctor", "--patch=kustomize"], "--pods"),
        (["doctor", "--patch", "--role", "work"], "--pods"),
        (["doctor", "--pods", "--patch", "ansible"], "ansible"),
        (["doctor", "--pods", "--patch="], "--patch"),
        (["doctor", "--pods", "--role", "work"], "--role"),
    ],
    ids=str,
)
def test_a_filter_that_cannot_be_followed_exits_2_and_is_named(arguments: list[str], text: str) -> None:
    ended = drain(*arguments, **NODES)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_a_broker_it_exits_1_with_one_line_that_reports_it() -> None:
    ended = drain("dead", EUREKA_DRAIN_BROKER__URL="amqp://guest:secret@127.0.0.1:1/", **NODES)
    assert (ended.returncode, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    assert line.startswith("eureka-drain: ")
    assert "secret" not in line


def test_doctor_names_what_is_not_there_with_its_fix_and_goes_on() -> None:
    url = "amqp://guest:secret@127.0.0.1:1/"
    ended = drain("doctor", EUREKA_DRAIN_BROKER__URL=url, KUBECONFIG="/nowhere", **NODES)
    assert ended.returncode == 1
    wrong = [line for line in ended.stdout.splitlines() if line.startswith("wrong")]
    assert [line.split(":")[0].split(maxsplit=1)[1] for line in wrong] == ["kubernetes", "broker", "region eu"]
    assert ended.stdout.count("-> ") == 3
    assert ended.stderr == "3 checks, 3 wrong\n"
    assert "secret" not in ended.stdout


def test_doctor_writes_each_check_as_an_object() -> None:
    ended = drain("doctor", "--role", "work", "-o", "json", EUREKA_DRAIN_BROKER__URL="amqp://127.0.0.1:1/", **NODES)
    checks = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [check["severity"] for check in checks] == ["wrong", "wrong"]
    assert {"area", "what", "severity", "found", "fix"} == set(checks[0])


def test_doctor_without_a_region_reports_it() -> None:
    ended = drain("doctor", "--role", "work", EUREKA_DRAIN_BROKER__URL="amqp://127.0.0.1:1/")
    assert ended.returncode == 1
    assert "settings: regions" in ended.stdout


def test_who_asks_at_a_command_line_is_the_systems_word_and_says_so() -> None:
    code = "from controller.cli.call import requester; print(requester('').by)"
    claimed = dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME"), "somebody-else")
    asked = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **claimed},
        capture_output=True,
        text=True,
        check=True,
    )
    user = pwd.getpwuid(os.getuid()).pw_name
    assert asked.stdout == f"{user}@{socket.gethostname()}, not authenticated\n"


@pytest.mark.parametrize(
    "given",
    [
        ["--set", f"broker.password:{CANARY}=x"],
        ["--set", f"broker.url:amqp://u:{CANARY}@h/?heartbeat=5"],
        ["--config", f"regions: {{eu: {{http://u:{CANARY}@a/e, http://b/e}}}}"],
        ["--config", f"http://u:{CANARY}@a/e: 1"],
    ],
    ids=str,
)
def test_a_secret_in_the_place_of_a_name_is_not_shown(tmp_path: Path, given: list[str]) -> None:
    if given[0] == "--config":
        (tmp_path / "settings.yaml").write_text(given[1])
        given = ["--config", str(tmp_path / "settings.yaml")]
    ended = drain("config", *given)
    assert ended.returncode == 2
    assert CANARY not in ended.stderr + ended.stdout


@pytest.mark.parametrize("name", ["BROKER__CA_FILE", "REGIONS__EU__CA_FILE", "HTTP__METRICS_PORT"])
def test_an_empty_variable_is_an_unset_one(name: str) -> None:
    given = {"EUREKA_DRAIN_REGIONS__EU__NODES": "http://eureka-0:8761/eureka", f"EUREKA_DRAIN_{name}": ""}
    ended = drain("config", **given)
    assert ended.returncode == 0, ended.stderr
    key = name.rpartition("__")[2].lower()
    assert f"{key}: null" in ended.stdout


@pytest.mark.parametrize("written", ["true", "yes", "on"])
def test_a_switch_is_no_port(tmp_path: Path, written: str) -> None:
    (tmp_path / "settings.yaml").write_text(f"http: {{port: {written}}}")
    ended = drain("config", "--config", str(tmp_path / "settings.yaml"))
    assert (ended.returncode, ended.stderr) == (2, "eureka-drain: http.port: write a whole number\n")


@pytest.mark.parametrize("shell", ["{} config >/dev/full", "{} --version >/dev/full", "{} config >&-", "{} config <&-"])
def test_a_stream_that_takes_nothing_costs_no_traceback(shell: str) -> None:
    command = shell.format(f"{sys.executable} -m controller")
    ended = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if "full" in shell:
        assert (ended.returncode, ended.stderr) == (1, "eureka-drain: No space left on device\n")
    else:
        assert (ended.returncode, ended.stderr) == (0, "")


def test_a_letter_that_the_terminal_lacks_is_replaced() -> None:
    ended = drain("doctor", "--set", "regions.eu.nodes=http://ü.invalid/eureka", PYTHONIOENCODING="ascii")
    assert ended.returncode == 1
    assert "http://?.invalid/eureka" in ended.stdout
    assert "Unicode" not in ended.stderr
