"""The command line as a stranger uses it."""

from __future__ import annotations

import os
import subprocess
import sys
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
    ("arguments", "said"),
    [
        (["config", "--set", "http.prot=1"], "http.port"),
        (["config", "--set", "http.port=x"], "http.port"),
        (["config", "--config", "/nowhere/settings.yaml"], "/nowhere/settings.yaml"),
        (["--set", "retention=5", "config"], "retention"),
        (["work", "--region", "mars"], "mars"),
        (["run"], "regions"),
        (["work"], "--region"),
        (["dance"], "dance"),
        (["config", "--colour"], "--colour"),
        (["config", "extra"], "extra"),
        (["--config"], "--config"),
    ],
    ids=str,
)
def test_bad_usage_and_bad_settings_exit_2_name_the_mistake_and_show_no_traceback(
    arguments: list[str], said: str
) -> None:
    ended = drain(*arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_each_bad_setting_has_one_line() -> None:
    ended = drain("config", "--set", "http.port=x", "--set", "retenton=5m", EUREKA_DRAIN_LOG__LEVEL="LOUD")
    lines = ended.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("eureka-drain: ") for line in lines)


def test_the_settings_in_force_are_printed_as_yaml_without_any_secret(tmp_path: Path) -> None:
    file, secrets = tmp_path / "settings.yaml", tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "regions__us__password").write_text(f"file-{CANARY}")
    node = {"nodes": [f"http://user-{CANARY}:pass-{CANARY}@eureka-0:8761/eureka"], "password": f"yaml-{CANARY}"}
    us = {"nodes": ["http://eureka-1:8761/eureka"], "username": f"name-{CANARY}"}
    (secrets / "ops__operator_token").write_text(f"operator-token-{CANARY}")
    ops = {"viewer_token": f"viewer-token-{CANARY}"}
    file.write_text(yaml.safe_dump({"regions": {"eu": node, "us": us}, "retention": "90s", "ops": ops}))
    ended = drain(
        "config",
        "--config",
        str(file),
        EUREKA_DRAIN_BROKER__URL=f"amqps://user-{CANARY}:p%40ss-{CANARY}@broker:5671/",
        EUREKA_DRAIN_SECRETS_DIR=str(secrets),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    shown = yaml.safe_load(ended.stdout)
    assert shown["retention"] == "90s"
    assert shown["watch"]["cluster"] == "default"
    for kind in ("user", "pass", "yaml", "file", "token"):
        assert f"{kind}-{CANARY}" not in ended.stdout
    assert f"name-{CANARY}" not in ended.stdout


def test_a_masked_url_still_tells_which_server_is_meant() -> None:
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


def test_help_tells_the_commands_on_stdout() -> None:
    ended = drain("--help")
    assert ended.returncode == 0
    for command in ("run", "watch", "work", "config"):
        assert command in ended.stdout
