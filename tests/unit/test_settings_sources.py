"""Where settings come from, which source wins, and how mistakes are reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.errors import SettingsError
from controller.settings import Settings
from controller.settings.sources import Sources

CANARY = "c4narY"
REGION = {"nodes": ["http://eureka-0:8761/eureka"]}


class Folder:
    """A temporary folder with a settings file and a secrets directory."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "settings.yaml"
        self.secrets = folder / "secrets"
        self.secrets.mkdir()

    def load(
        self,
        content: Any = None,
        environ: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        assignments: Sequence[str] = (),
    ) -> Settings:
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        self.file.write_text(text, encoding="utf-8")
        for name, value in (secrets or {}).items():
            (self.secrets / name).write_text(value, encoding="utf-8")
        surroundings = {"PATH": "/bin", "EUREKA_DRAIN_SECRETS_DIR": str(self.secrets), **(environ or {})}
        return Sources(config=self.file, assignments=assignments, environ=surroundings).load()

    def mistakes(self, *given: Any, **named: Any) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            self.load(*given, **named)
        problems = caught.value.problems
        assert problems
        assert all("\n" not in problem and CANARY not in problem for problem in problems), problems
        assert CANARY not in f"{caught.value!r} {caught.value}"
        return problems


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_the_first_of_the_sources_wins(
    folder: Folder,
) -> None:
    layers: dict[str, Any] = {
        "content": {"http": {"port": 1}},
        "secrets": {"http__port": "2"},
        "environ": {"EUREKA_DRAIN_HTTP__PORT": "3"},
        "assignments": ["http.port=4"],
    }
    expected = [("assignments", 4), ("environ", 3), ("secrets", 2), ("content", 1)]
    for name, port in expected:
        assert folder.load(**layers).http.port == port
        del layers[name]
        (folder.secrets / "http__port").unlink(missing_ok=True)
    assert folder.load().http.port == 8080


def test_sources_add_up_within_one_group(folder: Folder) -> None:
    settings = folder.load(
        {"regions": {"eu": REGION}, "http": {"host": "127.0.0.1"}},
        environ={"EUREKA_DRAIN_REGIONS__EU__USERNAME": "ana", "EUREKA_DRAIN_HTTP__PORT": "1"},
        secrets={"regions__eu__password": "s3cret\n"},
        assignments=["regions.eu.timeout=7s"],
    )
    region = settings.regions["eu"]
    assert (region.username.get_secret_value(), region.password.get_secret_value()) == ("ana", "s3cret")
    assert region.timeout == timedelta(seconds=7)
    assert [node.get_secret_value() for node in region.nodes] == REGION["nodes"]
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 1)


def test_a_region_with_hyphens_can_be_set_from_the_environment(folder: Folder) -> None:
    settings = folder.load(
        environ={
            "EUREKA_DRAIN_REGIONS__EU_WEST_1__NODES": "http://a:1/eureka,http://b:1/eureka",
            "EUREKA_DRAIN_ROUTING__NAMESPACES__TEAM_A": "eu-west-1",
        }
    )
    assert len(settings.regions["eu-west-1"].nodes) == 2
    assert settings.routing.namespaces == {"team-a": ["eu-west-1"]}


@pytest.mark.parametrize("name", ["ORDERS", "orders", "Orders"])
def test_sources_of_an_apps_window_add_up_whatever_its_case(folder: Folder, name: str) -> None:
    apps = folder.load(
        {"window": {"apps": {name: {"client_fetch": "5s", "load_balancer": "5s"}}}},
        environ={"EUREKA_DRAIN_WINDOW__APPS__ORDERS__CLIENT_FETCH": "6s"},
        assignments=["window.apps.Orders.server_cache=7s"],
    ).window.apps
    (own,) = apps.values()
    assert list(apps) == ["ORDERS"]
    found = (own.server_cache, own.client_fetch, own.load_balancer)
    assert found == (timedelta(seconds=7), timedelta(seconds=6), timedelta(seconds=5))


def test_an_app_that_one_source_has_twice_is_a_mistake(folder: Folder) -> None:
    [problem] = folder.mistakes({"window": {"apps": {"orders": {}, "Orders": {}}}})
    assert problem.startswith("window.apps: 'ORDERS' is there twice")


@pytest.mark.parametrize("text", ["a,b", " a , b ,", '["a", "b"]'])
def test_a_list_may_be_written_with_commas_or_as_json(folder: Folder, text: str) -> None:
    assert folder.load(environ={"EUREKA_DRAIN_WATCH__NAMESPACES": text}).watch.namespaces == ["a", "b"]
    assert folder.load(assignments=[f"watch.namespaces={text}"]).watch.namespaces == ["a", "b"]


def test_a_whole_group_may_be_written_as_json(folder: Folder) -> None:
    text = '{"eu": {"nodes": ["http://a:1"]}}'
    assert list(folder.load(environ={"EUREKA_DRAIN_REGIONS": text}).regions) == ["eu"]


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("2h", 7200), ("1d", 86_400), ("0s", 0)])
def test_durations_have_units_in_every_source(folder: Folder, text: str, seconds: float) -> None:
    expected = timedelta(seconds=seconds)
    assert folder.load({"retention": text}).retention == expected
    assert folder.load(environ={"EUREKA_DRAIN_RETENTION": text}).retention == expected
    assert folder.load(secrets={"retention": text}).retention == expected
    assert folder.load(assignments=[f"retention={text}"]).retention == expected


@pytest.mark.parametrize(
    ("given", "wrong", "right"),
    [
        ({"content": {"retenton": "5m"}}, "retenton", "retention"),
        ({"content": {"broker": {"uri": "x"}}}, "broker.uri", "url"),
        ({"content": {"regions": {"eu": {**REGION, "pasword": "x"}}}}, "regions.eu.pasword", "password"),
        ({"environ": {"EUREKA_DRAIN_BROKER__ULR": "x"}}, "EUREKA_DRAIN_BROKER__ULR", "EUREKA_DRAIN_BROKER__URL"),
        ({"environ": {"EUREKA_DRAIN_BROKR__URL": "x"}}, "EUREKA_DRAIN_BROKR__URL", "EUREKA_DRAIN_BROKER"),
        ({"environ": {"EUREKA_DRAIN_BROKER_URL": "x"}}, "EUREKA_DRAIN_BROKER_URL", "EUREKA_DRAIN_BROKER__URL"),
        (
            {"content": {"regions": {"eu": REGION}}, "environ": {"EUREKA_DRAIN_REGIONS__EU__NODE": "x"}},
            "REGIONS__EU__NODE",
            "EUREKA_DRAIN_REGIONS__EU__NODES",
        ),
        (
            {"environ": {"EUREKA_DRAIN_WINDOW__APPS__ORDERS__CLIENT_FECH": "5s"}},
            "WINDOW__APPS__ORDERS__CLIENT_FECH",
            "EUREKA_DRAIN_WINDOW__APPS__ORDERS__CLIENT_FETCH",
        ),
        ({"environ": {"EUREKA_DRAIN_SECRET_DIR": "x"}}, "EUREKA_DRAIN_SECRET_DIR", "EUREKA_DRAIN_SECRETS_DIR"),
        ({"secrets": {"broker_url": "x"}}, "broker_url", "broker__url"),
        (
            {"content": {"regions": {"eu": REGION}}, "secrets": {"regions__eu__pass": "x"}},
            "regions__eu__pass",
            "regions__eu__password",
        ),
        ({"assignments": ["http.prot=1"]}, "http.prot", "http.port"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_misspelt_name_is_reported_with_the_nearest_right_one(
    folder: Folder, given: dict[str, Any], wrong: str, right: str
) -> None:
    [problem] = folder.mistakes(**given)
    assert wrong in problem
    assert right in problem.split("did you mean")[-1]


def test_every_mistake_has_its_own_line(folder: Folder) -> None:
    problems = folder.mistakes(
        {"retenton": "5m", "http": {"port": "x"}, "regions": {"eu": {"nodes": []}}},
        environ={"EUREKA_DRAIN_WATHC__CLUSTER": "x"},
        secrets={"nothing": "x"},
        assignments=["remove"],
    )
    assert len(problems) == 6
    for name in (
        "retenton:",
        "http.port:",
        "regions.eu.nodes:",
        "EUREKA_DRAIN_WATHC__CLUSTER",
        "nothing",
        "--set remove:",
    ):
        assert sum(name in problem for problem in problems) == 1, name


@pytest.mark.parametrize(
    "name",
    [
        "EUREKA_DRAIN_SERVICE_HOST",
        "EUREKA_DRAIN_SERVICE_PORT",
        "EUREKA_DRAIN_SERVICE_PORT_HTTP",
        "EUREKA_DRAIN_PORT",
        "EUREKA_DRAIN_PORT_8080_TCP",
        "EUREKA_DRAIN_PORT_8080_TCP_ADDR",
        "EUREKA_DRAIN_OPS_SERVICE_HOST",
    ],
)
def test_what_kubernetes_sets_for_a_service_is_no_mistake(folder: Folder, name: str) -> None:
    # In a pod beside such a Service these variables appear by themselves (enableServiceLinks is on by default).
    value = "10.0.0.1" if name.endswith(("HOST", "ADDR")) else "8080" if "SERVICE" in name else "tcp://10.0.0.1:8080"
    assert folder.load(environ={name: value}) == Settings()


@pytest.mark.parametrize(
    "text",
    [
        "broker: [",
        "a: b: c",
        "\tx: 1",
        "- a\n- b",
        "just text",
        "1: 2",
        "? [a]\n: b",
        "x: \x07",
        "&a [*a]",
        '"broker\\nurl": 1',
        "broker: {url: 5}",
        "regions: {no: {nodes: [a]}}",
        "a: 2024-13-45",
        "[" * 5_000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_a_broken_file_is_reported_in_one_line_a_mistake(folder: Folder, text: str) -> None:
    assert folder.mistakes(text)


@pytest.mark.parametrize(
    "password",
    [
        CANARY + ": x",
        f"*{CANARY}",
        f"!{CANARY} x",
        f"!!{CANARY} x",
        f"@{CANARY}",
        f"%{CANARY}",
        f"[{CANARY}]",
        f"{{{CANARY}: 1}}",
        f"'{CANARY}",
        f'"\\q{CANARY}"',
        f"`{CANARY}",
    ],
)
def test_a_password_that_yaml_trips_over_is_not_shown(folder: Folder, password: str) -> None:
    assert folder.mistakes(f"regions:\n  eu:\n    nodes: [http://e:1]\n    password: {password}\n")


@pytest.mark.parametrize(
    "given",
    [
        {"environ": {"EUREKA_DRAIN_BROKER__URL": f"http://u:{CANARY}@h/"}},
        {"environ": {"EUREKA_DRAIN_BROKER__URL": f"amqp://u:{CANARY}/x@h/"}},
        {"environ": {"EUREKA_DRAIN_BROKER": f"amqp://u:{CANARY}@h/"}},
        {"environ": {"EUREKA_DRAIN_REGIONS__EU__NODES": f"http://u:{CANARY}@e/?x"}},
        {"environ": {"EUREKA_DRAIN_REGIONS__EU__NODES": f'["http://u:{CANARY}@e/",'}},
        {"environ": {"EUREKA_DRAIN_REGIONS__EU__PASWORD": CANARY}},
        {"secrets": {"regions__eu__pasword": CANARY}},
        {"secrets": {"broker__url": CANARY}},
        {"secrets": {"broker__url__password": CANARY}},
        {"content": {"broker": {"url": ["amqp://u", CANARY]}}},
        {"content": {"regions": {"eu": {**REGION, "password": [CANARY]}}}},
        {"content": {"regions": {"eu": {**REGION, "username": {"a": CANARY}}}}},
        {"content": {"http": {"port": CANARY}, "log": {"level": CANARY}, "remove": CANARY}},
        {"assignments": [f"broker.url=http://u:{CANARY}@h/"]},
        {"assignments": [f"regions.eu.password:{CANARY}"]},
        {"assignments": [f"ops.viewer_token={CANARY}"]},
        {"environ": {"EUREKA_DRAIN_OPS__OPERATOR_TOKEN": CANARY}},
        {"secrets": {"ops__operator_token": f"{CANARY} and more of it"}},
        {"content": {"ops": {"viewer_token": CANARY * 5, "operator_token": CANARY * 5}}},
    ],
    ids=str,
)
def test_no_mistake_shows_a_value(folder: Folder, given: dict[str, Any]) -> None:
    assert folder.mistakes(**given)


def test_a_missing_settings_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.yaml"):
        Sources(config=tmp_path / "absent.yaml", environ={}).load()


def test_a_missing_secrets_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="EUREKA_DRAIN_SECRETS_DIR"):
        Sources(environ={"EUREKA_DRAIN_SECRETS_DIR": str(tmp_path / "absent")}).load()


def test_a_secret_that_cannot_be_read_is_named(folder: Folder) -> None:
    (folder.secrets / "broker__url").write_bytes(b"\xff\xfe")
    [problem] = folder.mistakes()
    assert "broker__url" in problem


def test_the_links_of_a_mounted_secret_are_passed_over(folder: Folder) -> None:
    data = folder.secrets / "..2025_06_01"
    data.mkdir()
    (data / "http__port").write_text("9\n")
    (folder.secrets / "..data").symlink_to(data)
    (folder.secrets / "http__port").symlink_to(folder.secrets / "..data" / "http__port")
    assert folder.load().http.port == 9


def test_the_settings_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("remove: false\nwatch:\n")
    assert Sources(environ={"EUREKA_DRAIN_CONFIG": str(file)}).load().remove is False


@pytest.mark.parametrize(
    "url",
    [
        "amqp://u:p/c4narY@broker:5672/drain",
        "amqp://u:p@c4narY/w0#rd@broker:5672/drain",
        "amqp://u:12?c4narY@broker/",
        "amqp://u:c4narY#@broker/",
        "amqps://u:c4narY@broker/@",
    ],
)
def test_a_mark_in_a_password_is_not_taken_for_the_end_of_the_host(tmp_path: Path, url: str) -> None:
    (mistake,) = Folder(tmp_path).mistakes({"broker": {"url": url}})
    assert "/ as %2F" in mistake


def test_a_password_that_is_written_as_it_should_be_is_taken(tmp_path: Path) -> None:
    url = "amqp://u:p%40ss%2Fw0%23rd@broker:5672/drain"
    assert Folder(tmp_path).load({"broker": {"url": url}}).broker.url.place == "amqp://broker:5672/drain"


@pytest.mark.parametrize(
    ("content", "name", "lines"),
    [
        (
            "regions:\n  eu: {nodes: [http://a/eureka]}\nregions:\n  us: {nodes: [http://b/eureka]}\n",
            "regions",
            "1 and 3",
        ),
        ("regions:\n  eu: {nodes: [http://a/eureka]}\n  eu: {nodes: [http://b/eureka]}\n", "eu", "2 and 3"),
        ("regions: {eu: {nodes: [http://a/eureka]}, eu: {nodes: [http://b/eureka]}}\n", "eu", "1 and 1"),
    ],
)
def test_a_name_that_is_there_twice_is_an_error(tmp_path: Path, content: str, name: str, lines: str) -> None:
    (mistake,) = Folder(tmp_path).mistakes(content)
    assert f"'{name}' is there twice, in lines {lines}" in mistake


def test_what_yaml_merges_is_no_repetition(tmp_path: Path) -> None:
    content = "window: {apps: {A: &own {client_fetch: 5s, server_cache: 3s}, B: {<<: *own, client_fetch: 9s}}}\n"
    assert Folder(tmp_path).load(content).window.apps["B"].client_fetch == timedelta(seconds=9)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"regions": {"eu": None}}, "regions.eu: this is a group"),
        ({"regions": {"eu": {"nodes": []}}}, "regions.eu.nodes: this must not be empty"),
        ({"regions": {"eu": {}}}, "regions.eu.nodes: this must be set"),
        ({"regions": "eu"}, "regions: this is a group"),
        ({"remove": "nope"}, "remove: write true or false"),
    ],
)
def test_what_is_missing_is_said_in_the_settings_words(tmp_path: Path, content: Any, words: str) -> None:
    assert any(one.startswith(words) for one in Folder(tmp_path).mistakes(content))
