"""What is reloaded while a process runs, from files that change as Kubernetes changes them; and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from loguru import logger

from controller import rotation
from controller.errors import SettingsError
from controller.rotation import Rotation, changed, renewed
from controller.settings import Settings
from controller.settings.sources import Sources
from controller.tls.context import TlsAccess
from tests.stack.authority import Authority
from tests.stack.mounted import Mounted
from tests.unit.other_settings import OTHER

CANARY = "c4narY"
BROKER = f"amqps://worker:{CANARY}-1@broker:5671/"
OURS, OTHERS = Authority(), Authority()


class Process:
    """A process's files, and its rotation."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "controller.yaml"
        self.secrets = Mounted(folder / "secrets")
        self.certificates = Mounted(folder / "tls")
        self.logged: list[str] = []
        self.environ: dict[str, str] = {"EUREKA_DRAIN_SECRETS_DIR": str(folder / "secrets")}
        certificate, key = OURS.issue("worker")
        self.certificates.put(ca=OURS.pem, certificate=certificate, key=key)
        self.secrets.put(broker__url=BROKER, regions__eu__password=f"{CANARY}-1")
        tls = self.certificates.folder
        self.broker = {f"{name}_file": str(tls / path) for name, path in CERTIFICATES.items()}
        self.eu = {"nodes": ["https://a:1/eureka"], "username": "ana", "ca_file": str(tls / "ca")}
        self.write()

    def write(self, content: Mapping[str, Any] | None = None) -> None:
        """Write the settings file; ``content`` replaces what is usual."""
        usual: dict[str, Any] = {"broker": self.broker, "regions": {"eu": self.eu}}
        self.file.write_text(yaml.safe_dump({**usual, **(content or {})}))

    def begin(self, *regions: str) -> Settings:
        """Start, and poll until what is there has been applied."""
        sources = Sources(config=self.file, environ=self.environ)
        settings = sources.load()
        self.rotation = Rotation(sources, settings, regions=regions or ("eu",))
        self.rotation.check()
        assert self.polls() is not None
        self.logged.clear()
        return settings

    def polls(self, times: int = 4) -> TlsAccess | None:
        """Poll so many times; return what was found, which is once at most."""
        found = [access for _ in range(times) if (access := self.rotation.poll()) is not None]
        assert len(found) < 2, "applied twice"
        return found[0] if found else None

    def password(self, access: TlsAccess | None) -> str:
        assert access is not None
        return access.settings.regions["eu"].password.get_secret_value()


CERTIFICATES = {"ca": "ca", "cert": "certificate", "key": "key"}


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "tls").mkdir()
    process = Process(tmp_path)
    sink = logger.add(lambda line: process.logged.append(str(line)), level="DEBUG", format="{message} {extra}")
    yield process
    logger.remove(sink)
    assert CANARY not in "".join(process.logged)
    assert "PRIVATE" not in "".join(process.logged)


def test_what_does_not_change_is_applied_once_and_never_again(process: Process) -> None:
    process.begin()
    assert process.polls() is None
    process.secrets.put()
    assert process.polls() is None
    assert process.logged == []


def test_what_changed_between_loading_and_the_first_poll_is_applied(process: Process) -> None:
    sources = Sources(config=process.file, environ=process.environ)
    process.rotation = Rotation(sources, sources.load(), regions=["eu"])
    process.secrets.put(regions__eu__password=f"{CANARY}-2")
    assert process.password(process.polls()) == f"{CANARY}-2"


def test_a_swapped_secret_is_reloaded(process: Process) -> None:
    process.begin()
    url = BROKER.replace("-1@", "-2@")
    process.secrets.put(broker__url=url, regions__eu__password=f"{CANARY}-2", regions__eu__username=f"{CANARY}-bob")
    access = process.polls()
    assert process.password(access) == f"{CANARY}-2"
    assert access is not None
    assert access.settings.regions["eu"].username.get_secret_value() == f"{CANARY}-bob"
    assert access.settings.broker.url.get_secret_value() == url
    assert access.regions.keys() == {"eu"}
    (line,) = process.logged
    assert "reloaded" in line
    assert "broker.url, regions.eu.username, regions.eu.password" in line


def test_a_secret_in_the_settings_file_is_reloaded(process: Process) -> None:
    process.secrets.put(regions__eu__password=None, broker__url=None)
    process.eu["password"] = f"{CANARY}-1"
    process.write()
    process.begin()
    process.eu["password"] = f"{CANARY}-2"
    process.write()
    assert process.password(process.polls()) == f"{CANARY}-2"


def test_the_tokens_of_ops_are_reloaded(process: Process) -> None:
    process.begin()
    process.secrets.put(ops__viewer_token=f"viewer-{CANARY}-token", ops__operator_token=f"operator-{CANARY}-token")
    access = process.polls()
    assert access is not None
    assert access.settings.ops.operator_token.get_secret_value() == f"operator-{CANARY}-token"


def test_a_user_and_password_in_a_nodes_url_are_reloaded(process: Process) -> None:
    process.begin()
    process.secrets.put(regions__eu__nodes=f"https://bob:{CANARY}@a:1/eureka")
    access = process.polls()
    assert access is not None
    (node,) = access.settings.regions["eu"].nodes
    assert node.get_secret_value() == f"https://bob:{CANARY}@a:1/eureka"


def test_what_the_environment_sets_is_kept(process: Process) -> None:
    process.environ["EUREKA_DRAIN_REGIONS__EU__PASSWORD"] = f"{CANARY}-environment"
    process.begin()
    process.secrets.put(regions__eu__password=f"{CANARY}-2")
    assert process.password(process.polls()) == f"{CANARY}-environment"


def test_swapped_certificates_make_new_contexts(process: Process) -> None:
    process.begin()
    certificate, key = OTHERS.issue("worker")
    process.certificates.put(ca=OTHERS.pem + OURS.pem, certificate=certificate, key=key)
    access = process.polls()
    assert access is not None
    assert access.broker is not None
    assert len(access.broker.get_ca_certs()) == 2
    assert access.regions["eu"] is not None
    assert len(access.regions["eu"].get_ca_certs()) == 2


def test_a_certificate_that_comes_before_its_key_waits_for_it(process: Process) -> None:
    process.begin()
    certificate, key = OURS.issue("worker")
    process.certificates.put(certificate=certificate)
    assert process.polls() is None
    (line,) = process.logged
    assert "the old ones remain in force" in line
    assert "broker.key_file" in line
    assert "does not fit the certificate" in line
    process.certificates.put(key=key)
    assert process.polls() is not None
    assert len(process.logged) == 2


def test_what_is_being_written_is_not_taken(process: Process) -> None:
    process.begin()
    for half in ("", f"{CANARY}", f"{CANARY}-2"):
        process.secrets.put(regions__eu__password=half)
        assert process.rotation.poll() is None
    assert process.password(process.rotation.poll()) == f"{CANARY}-2"


@pytest.mark.parametrize(
    "broken", [f"regions: {{eu: {{password: {CANARY}", "regions: 1", "retenton: 5m", b"\xff\xfe\x00"], ids=str
)
def test_a_bad_settings_file_is_logged_once_and_changes_nothing(process: Process, broken: str | bytes) -> None:
    process.begin()
    process.file.write_bytes(broken.encode() if isinstance(broken, str) else broken)
    assert process.polls(20) is None
    (line,) = process.logged
    assert "changed settings cannot be used; the old ones remain in force" in line
    process.write({"regions": {"eu": {**process.eu, "username": f"{CANARY}-bob"}}})
    access = process.polls()
    assert access is not None
    assert access.settings.regions["eu"].username.get_secret_value() == f"{CANARY}-bob"


def test_files_that_are_gone_are_logged_once_and_change_nothing(process: Process) -> None:
    process.begin()
    process.certificates.put(ca=None)
    assert process.polls(20) is None
    (line,) = process.logged
    assert "broker.ca_file: cannot read" in line
    process.file.unlink()
    assert process.polls(20) is None
    assert len(process.logged) == 2
    process.certificates.put(ca=OTHERS.pem)
    process.write()
    assert process.polls() is not None


def test_a_certificates_file_that_a_new_setting_names_is_waited_for(process: Process, tmp_path: Path) -> None:
    process.begin()
    process.write({"regions": {"eu": {**process.eu, "ca_file": str(tmp_path / "later.pem")}}})
    assert process.polls() is None
    OTHERS.write_ca(tmp_path / "later.pem")
    access = process.polls()
    assert access is not None
    assert access.settings.regions["eu"].ca_file == tmp_path / "later.pem"


def test_every_other_setting_is_logged_once_as_needing_a_restart(process: Process) -> None:
    settings = process.begin()
    process.write(
        {"retention": "1m", "http": {"port": 1}, "regions": {"eu": {**process.eu, "timeout": "9s"}, "us": process.eu}}
    )
    access = process.polls(20)
    assert access is not None
    assert access.settings == settings
    warnings = [line for line in process.logged if "need a restart" in line]
    assert len(warnings) == 1
    assert "regions.eu.timeout, regions.us, retention, http.port" in warnings[0]


@pytest.mark.parametrize(
    "url",
    [
        f"amqps://worker:{CANARY}@other:5671/",
        f"amqps://worker:{CANARY}@broker:5671/vhost",
        f"amqp://worker:{CANARY}@broker:5671/",
    ],
)
def test_a_url_that_leads_elsewhere_needs_a_restart_its_password_too(process: Process, url: str) -> None:
    process.begin()
    process.secrets.put(broker__url=url)
    access = process.polls()
    assert access is not None
    assert access.settings.broker.url.get_secret_value() == BROKER
    assert "need a restart" in "".join(process.logged)


def test_a_region_that_is_gone_from_the_settings_is_used_until_the_restart(process: Process) -> None:
    settings = process.begin()
    process.write({"regions": {"us": process.eu}})
    process.secrets.put(regions__eu__password=None)
    access = process.polls()
    assert access is not None
    assert access.settings == settings


def test_files_of_regions_that_this_process_does_not_ask_are_not_needed(process: Process) -> None:
    process.write({"regions": {"eu": process.eu, "us": {**process.eu, "ca_file": "/nowhere/ca.pem"}}})
    process.begin("eu")
    with pytest.raises(SettingsError, match=r"regions\.us\.ca_file"):
        Rotation(
            Sources(config=process.file, environ=process.environ), process.rotation._settings, regions=["us"]
        ).check()


async def test_what_is_found_is_applied_by_a_task_that_goes_on_for_ever(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "POLL_INTERVAL", 0.01)
    process.begin()
    applied: asyncio.Queue[TlsAccess] = asyncio.Queue()
    task = asyncio.create_task(process.rotation.run(applied.put_nowait))
    try:
        for number in (2, 3):
            process.secrets.put(regions__eu__password=f"{CANARY}-{number}")
            access = await asyncio.wait_for(applied.get(), 10)
            assert process.password(access) == f"{CANARY}-{number}"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


ROTATED = {
    "broker.url",
    "broker.username",
    "broker.password",
    "broker.ca_file",
    "broker.cert_file",
    "broker.key_file",
    "regions.eu.nodes",
    "regions.eu.username",
    "regions.eu.password",
    "regions.eu.ca_file",
    "ops.viewer_token",
    "ops.operator_token",
}


def test_of_all_settings_exactly_these_are_reloaded() -> None:
    window: dict[str, Any] = {"regions": {"eu": {}}, "apps": {"ORDERS": {}}}
    old = Settings.model_validate({"regions": {"eu": {"nodes": ["http://e:1"]}}, "window": window})
    new = Settings.model_validate(OTHER)
    held = renewed(old, new)
    assert set(changed(old, held)) == ROTATED
    untouched = set(changed(held, new))
    assert not untouched & ROTATED
    assert untouched | ROTATED >= set(changed(old, new))
    # A setting that is added one day must be among them: each of them differs here.
    assert {*changed(old, new), "broker.hosts"} >= set(_names(new)), (
        "a setting is missing in tests/unit/other_settings.py"
    )


def _names(settings: Any, name: str = "") -> list[str]:
    if isinstance(settings, dict):
        parts: Mapping[str, Any] = settings
    elif hasattr(type(settings), "model_fields"):
        parts = {part: getattr(settings, part) for part in type(settings).model_fields}
    else:
        return [name]
    return [found for part, value in parts.items() for found in _names(value, f"{name}.{part}" if name else part)]
