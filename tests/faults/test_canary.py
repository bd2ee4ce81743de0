"""No credential comes to light, whatever goes wrong: not in a log, an event, a dead letter, a header or on a page."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aio_pika
import aiohttp
import msgspec
import pytest
import yaml

from tests.e2e.event_log import EventLog, event_log, reason_of
from tests.faults.canary import Canary, Front, Mood, Texts, leaks, spellings, tapped
from tests.stack.cluster import Cluster
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.observing import running_pod
from tests.stack.processes import Process
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.stack.workloads import container, pod_spec

ROOT = Path(__file__).parents[2]
PAGES = ("/healthz", "/readyz", "/metrics")
OPS_PAGES = ("/", "/dead", "/replays", "/sign-in", "/api/v1/drains", "/api/v1/regions", "/api/v1/openapi.json")
COMMANDS = ("config", "drains --since 1h -o json", "show nobody", "replay --since 1h", "dead", "drain default/nobody")
"""At debug level: whatever they log is read too."""


def betrayals_of(*canaries: Canary, **tokens: str) -> dict[str, list[str]]:
    found = {canary.name: canary.spellings for canary in canaries}
    return found | {name: spellings(token) for name, token in tokens.items()}


async def look_at_pages(process: ControllerProcess, texts: Texts) -> None:
    for page in PAGES:
        status, body = await process._get(page)
        if status:
            texts[f"{page} of {process.name}, {len(texts)}"] = body


async def look_at_ops(process: ControllerProcess, texts: Texts, token: str) -> None:
    """Every page and route of the operators, as they see them and as a stranger does."""
    for bearer in (token, "", f"{token}x"):
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20), headers=headers) as session:
            for path in OPS_PAGES:
                with suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with session.get(process.url + path) as answer:
                        texts[f"{path} of ops, {len(texts)}"] = f"{answer.headers} {await answer.text()}"
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with session.post(process.url + "/api/v1/replays", json={"since": "1h"}) as answer:
                    texts[f"a plan of ops, {len(texts)}"] = f"{answer.headers} {await answer.text()}"


async def run_commands(process: ControllerProcess, texts: Texts, commands: Sequence[str]) -> None:
    """What a person reads who asks on the command line, whatever state the servers are in."""
    assignments = process.command[3 : process.command.index(process.roles[0])]
    for words in commands:
        command = await asyncio.create_subprocess_exec(
            *process.command[:3],
            *assignments,
            *words.split(),
            env=process.env,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await command.communicate()
        texts[f"eureka-drain {words}, {len(texts)}"] = said.decode(errors="replace")


class Scene:
    """The product between servers that demand canaries."""

    def __init__(self, cluster: Cluster, eureka: EurekaNodes, broker: RabbitMq, namespace: str) -> None:
        self.region = f"canary-{secrets.token_hex(3)}"
        self.cluster = cluster
        self.eureka = eureka
        self.broker = broker
        self.namespace = namespace
        self.login = Canary("the broker's password")
        self.in_url = Canary("the password in a node's URL")
        self.in_settings = Canary("the region's password")
        self.fronts = [
            Front(url, canary) for url, canary in zip(eureka.urls, (self.in_url, self.in_settings), strict=True)
        ]
        self.texts: Texts = {}
        self.operator = f"canary{secrets.token_hex(16)}"
        self.viewer = f"canary{secrets.token_hex(16)}"
        self.processes: list[ControllerProcess] = []
        self.log: EventLog

    @property
    def betrayals(self) -> dict[str, list[str]]:
        return betrayals_of(
            self.login,
            self.in_url,
            self.in_settings,
            bearer=bearer_of(self.cluster),
            operator=self.operator,
            viewer=self.viewer,
        )

    def process(self, folder: Path, *roles: str, style: str) -> ControllerProcess:
        """Its secrets stand in the environment, in a node's URL, and in the secrets directory."""
        secret = folder / "secrets"
        secret.mkdir(exist_ok=True)
        (secret / "broker__url").write_text(self.login.within(self.broker.url))
        (secret / f"regions__{self.region}__username").write_text(self.in_settings.user)
        (secret / f"regions__{self.region}__password").write_text(f"{self.in_settings.text}\n")
        (secret / "ops__operator_token").write_text(self.operator)
        (secret / "ops__viewer_token").write_text(f"{self.viewer}\n")
        process = ControllerProcess(
            *roles,
            log=folder / f"{roles[0]}.log",
            broker="",
            regions={self.region: [self.in_url.within(self.fronts[0].url), self.fronts[1].url]},
            kubeconfig=self.cluster.kubeconfig,
            settings={
                "watch.namespaces": self.namespace,
                "watch.cluster": self.region,
                "retention": "0s",
                "retry.max_backoff": "1s",
                "log.level": "DEBUG",
                "log.format": style,
            },
        )
        del process.env["EUREKA_DRAIN_BROKER__URL"]
        process.env["EUREKA_DRAIN_SECRETS_DIR"] = str(secret)
        self.processes.append(process)
        return process

    async def served(self, name: str) -> None:
        """A pod with a registration."""
        notes = {"eureka.drain/app": name, "eureka.drain/instance-id": f"{{ip}}:{name}"}
        pod = await running_pod(self.cluster, self.namespace, name, pod_spec(container()), annotations=notes)
        assert pod.timeline.ip
        for node in self.eureka.nodes:
            await node.registry.register(name, f"{pod.timeline.ip}:{name}", ip=pod.timeline.ip, host=name)

    async def deleted(self, name: str) -> None:
        await self.cluster.client.delete("pods", name, self.namespace, grace_seconds=1)

    async def look(self, *commands: str) -> None:
        """Read every page, and run these commands."""
        for process in self.processes:
            await look_at_pages(process, self.texts)
        await look_at_ops(self.processes[-1], self.texts, self.operator)
        await run_commands(self.processes[-1], self.texts, commands)

    def set_mood(self, mood: Mood) -> None:
        for front in self.fronts:
            front.mood = mood


def bearer_of(cluster: Cluster) -> str:
    token: str = yaml.safe_load(cluster.kubeconfig.read_text())["users"][0]["user"]["token"]
    return token


@asynccontextmanager
async def a_user(broker: RabbitMq, canary: Canary) -> AsyncIterator[None]:
    await broker.add_user(canary.user, canary.text)
    try:
        await broker.permit(canary.user)
        yield
    finally:
        await broker.delete_users(canary.user)


async def test_a_product_in_every_trouble_keeps_its_secrets(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    scene = Scene(cluster, eureka_pair, broker, namespace)
    async with AsyncExitStack() as ended:
        await ended.enter_async_context(a_user(broker, scene.login))
        for front in scene.fronts:
            await ended.enter_async_context(front)
        for process in (
            scene.process(tmp_path, "watch", style="text"),
            scene.process(tmp_path, "work", "--region", scene.region, style="json"),
            scene.process(tmp_path, "ops", style="json"),
        ):
            ended.push_async_callback(process.stop)
            await process.start()
        names = ("calm", "denied", "troubled", "lost")
        for name in names:
            await scene.served(name)
        async with watched(scene):
            await scene.deleted("calm")
            await scene.log.wait_for("calm", "out_of_service")
            assert all(front.welcomed for front in scene.fronts), "the secrets were not even used"
            await _denied(scene)
            await _troubled(scene)
            await _dead_lettered(scene)
            await scene.look(*COMMANDS)
        await _without_a_broker(scene)
        # The end: nothing is lost, so what was written meanwhile is read too.
        async with watched(scene):
            await scene.log.wait_for("lost", "out_of_service")
            await scene.look()
    for process in scene.processes:
        text = process.log.read_text()
        assert process.returncode == 0, text[-2_000:]
        scene.texts[f"log of {process.name}"] = text
    kinds = (
        "drain.dead",
        "drain.commands",
        "the event log",
        "a plan",
        *PAGES,
        *OPS_PAGES,
        *COMMANDS,
    )
    for kind in kinds:
        assert any(kind in place for place in scene.texts), f"nothing was seen of {kind}"
    assert leaks(scene.texts, scene.betrayals) == []


@asynccontextmanager
async def watched(scene: Scene) -> AsyncIterator[None]:
    async with (
        event_log(scene.broker.url, scene.region) as scene.log,
        tapped(scene.broker.url, scene.region, scene.texts),
    ):
        yield


async def _denied(scene: Scene) -> None:
    scene.fronts[1].mood = Mood.denying
    await scene.deleted("denied")
    event = await scene.log.wait_for("denied", "failed")
    assert event["reason"]["code"] == "denied"
    assert "401" in reason_of(event)
    scene.fronts[1].mood = Mood.passing


async def _troubled(scene: Scene) -> None:
    scene.set_mood(Mood.failing)
    await scene.deleted("troubled")
    for mood, words in (
        (Mood.failing, "HTTP 500"),
        (Mood.garbage, "not a registry's JSON"),
        (Mood.echoing, "Expected `object`"),
        (Mood.redirecting, "HTTP 302"),
    ):
        scene.set_mood(mood)
        await _reported(scene, words)
    for front in scene.fronts:
        await front.close()
    await _reported(scene, "connect call failed")
    await scene.look(*COMMANDS)
    for front in scene.fronts:
        await front.open()
    scene.set_mood(Mood.passing)
    await scene.log.wait_for("troubled", "out_of_service")


async def _reported(scene: Scene, words: str) -> None:
    await until(
        lambda: any(words.lower() in reason_of(event).lower() for event in scene.log.about("troubled")),
        f"an event that tells of {words}",
        timeout=20,
    )


async def _dead_lettered(scene: Scene) -> None:
    async with await aio_pika.connect(scene.broker.url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("drain.commands")
        message = aio_pika.Message(b'{"version": 99}', type="drain.command", content_type="application/json")
        await exchange.publish(message, scene.region)
    await until(
        lambda: any("drain.dead" in place and "version 99" in text for place, text in scene.texts.items()),
        "it among the dead letters",
    )


async def _without_a_broker(scene: Scene) -> None:
    await scene.broker.server.stop()
    try:
        await scene.deleted("lost")
        await until(
            lambda: all("broker link not up" in process.log.read_text() for process in scene.processes),
            "the loss to be reported",
        )
        await scene.look("drains --since 1h", "dead")
    finally:
        await scene.broker.server.start()


async def test_a_process_that_is_let_in_nowhere_keeps_its_secrets(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    scene = Scene(cluster, eureka_pair, broker, namespace)
    bearer = f"bearer{secrets.token_hex(16)}"
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = bearer
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    async with AsyncExitStack() as ended:
        for front in scene.fronts:
            await ended.enter_async_context(front)
        scene.set_mood(Mood.denying)
        process = scene.process(tmp_path, "run", style="text")
        process.env["KUBECONFIG"] = str(tmp_path / "kubeconfig")
        ended.push_async_callback(process.stop)
        process.spawn()
        for words in ("broker link not up", "watch interrupted", "registry not fetched"):
            await until(lambda words=words: words in process.log.read_text(), words)  # type: ignore[misc]
        await until(lambda: process.log.read_text().count("broker link not up") > 4, "it to try again")
        assert not await process.is_ready()
        await scene.look()
    scene.texts["log"] = process.log.read_text()
    assert "the broker refuses the user or the password" in scene.texts["log"]
    assert "HTTP 401" in scene.texts["log"]
    assert len(scene.texts) >= 1 + len(PAGES)
    assert leaks(scene.texts, betrayals_of(scene.login, scene.in_url, scene.in_settings, bearer=bearer)) == []


async def output(
    folder: Path, *words: str, env: Mapping[str, str] | None = None, lines: int = 1_000
) -> tuple[int | None, str]:
    """Run the program to its end, or until it has written so many lines: exit status, and all that it wrote."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("EUREKA_DRAIN_", "KUBE"))}
    log = folder / f"{secrets.token_hex(4)}.log"
    process = Process(
        "eureka-drain", [sys.executable, "-m", "controller", *words], log=log, env={**given, **(env or {})}, cwd=ROOT
    )
    process.spawn()
    try:
        await until(lambda: not process.running or log.read_text().count("\n") >= lines, "its output")
        return process.returncode, log.read_text()
    finally:
        await process.kill()


C = Canary("the secret in the settings")
NODES = ["http://eureka-0:8761/eureka"]
MISTAKES: dict[str, dict[str, Any]] = {
    "URLs": {
        "file": {
            "broker": {"url": f"amqp://{C.userinfo}@[::bad/"},
            "regions": {
                "a": {"nodes": [f"http://{C.userinfo}@eureka:99999999/eureka"]},
                "b": {"nodes": [f"ftp://{C.userinfo}@eureka/eureka"]},
                "c": {"nodes": [f"http://{C.userinfo}@eureka/eureka?{C.text}"]},
                "d": {"nodes": [f"http://{C.user}:{C.text}@eureka/eureka"]},
                "e": {"nodes": {C.text: C.text}},
                "f": {"nodes": NODES, "password": [C.text], "username": {"name": C.text}},
            },
        },
        "named": "broker.url",
    },
    "unknown keys in the file": {
        "file": {
            "broker": {"url": f"amqp://{C.userinfo}@rabbit/", "pasword": C.text},
            "regions": {"eu": {"nodes": NODES, "pasword": C.text, "username": C.user, "auth": {"basic": C.text}}},
            "token": C.text,
        },
        "named": "pasword: no such setting",
    },
    "unknown names in the environment": {
        "env": {
            "EUREKA_DRAIN_BROKER__PASSPHRASE": C.text,
            "EUREKA_DRAIN_BROKER_URL": f"amqp://{C.userinfo}@rabbit/",
            "EUREKA_DRAIN_REGIONS__EU__NODES__PASSWORD": C.text,
            "EUREKA_DRAIN_HTTP": C.text,
            "EUREKA_DRAIN_HTTP__PORT": C.text,
            "EUREKA_DRAIN_LOG__LEVEL": C.text,
        },
        "named": "EUREKA_DRAIN_BROKER__PASSPHRASE",
    },
    "unknown files among the secrets": {
        "secrets": {
            "broker__pasword": C.text,
            "regions__eu__password__old": C.text,
            "broker__url": f"{C.userinfo}@rabbit",
            "token": C.text,
            "http__port": C.text,
        },
        "named": "secret broker__pasword",
    },
    "assignments": {
        "words": [
            *("--set", f"regions.eu.pasword={C.text}", "--set", f"broker.url amqp://{C.userinfo}@rabbit/"),
            *("--set", f"broker.url:amqp://{C.userinfo}@rabbit", "--set", f"http.port={C.text}"),
            *("--set", f"regions.eu.nodes=[{C.text}", "--set", f'regions={{"eu": "{C.text}"}}'),
        ],
        "named": "--set regions.eu.pasword",
    },
    "a broken file": {"text": f'regions:\n  eu:\n    password: "{C.text}\n    nodes: []\n', "named": "not valid YAML"},
    "a colon": {"text": f"broker:\n  url: {C.text}: {C.text}: x\n", "named": "not valid YAML"},
    "an alias": {"text": f"broker:\n  url: *{C.ends[0]}\n", "named": "not valid YAML"},
    "a tag": {"text": f"broker:\n  url: !{C.ends[0]} x\n", "named": "not valid YAML"},
    "a tab": {"text": f"broker:\n\turl: {C.text}\n", "named": "not valid YAML"},
    "a list": {"text": f"- {C.text}\n", "named": "names with values"},
    "a secret for a key": {"text": f"? [{C.text!r}]\n: x\n", "named": ""},
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
async def test_a_mistake_beside_a_secret_is_named_without_it(tmp_path: Path, mistake: dict[str, Any]) -> None:
    env = dict(mistake.get("env", {}))
    words = list(mistake.get("words", []))
    if "file" in mistake or "text" in mistake:
        (tmp_path / "settings.yaml").write_text(mistake.get("text") or yaml.safe_dump(mistake["file"]))
        words += ["--config", str(tmp_path / "settings.yaml")]
    if "secrets" in mistake:
        (tmp_path / "secrets").mkdir()
        for name, text in mistake["secrets"].items():
            (tmp_path / "secrets" / name).write_text(text)
        env["EUREKA_DRAIN_SECRETS_DIR"] = str(tmp_path / "secrets")
    status, printed = await output(tmp_path, *words, "run", env=env)
    assert status == 2, printed
    assert mistake["named"] in printed
    assert "Traceback" not in printed
    assert leaks({"output": printed}, betrayals_of(C)) == []


async def test_the_settings_in_force_are_printed_without_a_secret(tmp_path: Path) -> None:
    region = {"nodes": [C.within(NODES[0])], "username": C.user, "password": C.text}
    content = {"broker": {"url": C.within("amqp://rabbit:5672/%2Fx")}, "regions": {"eu": region}}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(content))
    status, printed = await output(tmp_path, "--config", str(tmp_path / "settings.yaml"), "config")
    assert status == 0, printed
    assert "rabbit:5672" in printed
    assert "eureka-0:8761" in printed
    assert leaks({"output": printed}, betrayals_of(C)) == []


def kubeconfig(user: Any, **changes: Any) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    return yaml.safe_dump({**config, **changes})


T = f"bearer{C.ends[0]}"
FAILURES = {
    "a user that is a text": kubeconfig(T),
    "a token that is a list": kubeconfig({"token": [T]}),
    "no such user": kubeconfig({"token": T}, users=[{"name": T, "user": {"token": T}}]),
    "users that are a map": kubeconfig({"token": T}, users={"u": {"token": T}}),
    "certificate data that are none": kubeconfig({"token": T, "client-certificate-data": T, "client-key-data": T}),
    "a file that is not there": kubeconfig({"tokenFile": f"/{T}"}),
    "a program that fails": kubeconfig(
        {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": "sh",
                "args": ["-c", f"echo {T}; exit 1"],
            }
        }
    ),
    "broken YAML": f"users:\n- name: u\n  user:\n    token: '{T}\n  x: {T}: {T}\n",
    "a tag": f"users: !{T} x\n",
    "a server that is none": kubeconfig(
        {"token": T}, clusters=[{"name": "c", "cluster": {"server": f"https://{C.userinfo}@[::bad"}}]
    ),
}


@pytest.mark.parametrize("content", FAILURES.values(), ids=FAILURES)
async def test_a_process_that_cannot_start_shows_no_secret(tmp_path: Path, content: str) -> None:
    """At DEBUG: a mistake of the program itself is logged with its traceback."""
    (tmp_path / "kubeconfig").write_text(content)
    words = ["--set", "log.level=DEBUG", "--set", "http.port=0", "--set", "shutdown_timeout=1s"]
    env = {
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "EUREKA_DRAIN_BROKER__URL": f"amqp://{C.userinfo}@127.0.0.1:1/",
        "EUREKA_DRAIN_REGIONS__EU__NODES": C.within("http://127.0.0.1:1/eureka"),
        "EUREKA_DRAIN_REGIONS__EU__PASSWORD": C.text,
    }
    # Some go on trying, which is as well.
    status, printed = await output(tmp_path, *words, "run", env=env, lines=12)
    assert status in (1, None), printed
    assert printed
    assert leaks({"output": printed}, betrayals_of(C)) == []


CRASH = """
import sys
from controller.eureka import index
def crash(*arguments, **named):
    settings = named
    raise LookupError("provoked")
index.Index.keep_fresh = crash
from controller.cli import main
main()
"""


async def test_a_crash_is_logged_with_its_place_and_without_variables_values(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq
) -> None:
    env = {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig),
        "EUREKA_DRAIN_BROKER__URL": C.within(broker.url),
        "EUREKA_DRAIN_REGIONS__EU__NODES": C.within("http://127.0.0.1:1/eureka"),
        "EUREKA_DRAIN_REGIONS__EU__PASSWORD": C.text,
    }
    words = ["--set", "log.level=DEBUG", "--set", "http.port=0", "run"]
    log = tmp_path / "crash.log"
    process = Process("crash", [sys.executable, "-c", CRASH, *words], log=log, env=env, cwd=ROOT)
    process.spawn()
    try:
        assert await asyncio.wait_for(process.wait(), 20) == 1, log.read_text()
    finally:
        await process.kill()
    printed = log.read_text()
    assert "LookupError: provoked" in printed
    assert "Traceback" in printed, "it cannot be found"
    assert leaks({"log": printed}, betrayals_of(C, bearer=bearer_of(cluster))) == []


def test_a_secret_is_found_however_it_is_written() -> None:
    canary = Canary("planted")
    planted = [
        canary.text,
        f"amqp://{canary.userinfo}@rabbit:5672/",
        canary.within("http://eureka:8761/eureka"),
        canary.basic,
        f"{{'Authorization': '{canary.basic}'}}",
        base64.b64encode(f"\0{canary.user}\0{canary.text}".encode()).decode(),
        base64.b64encode(canary.text.encode()).decode(),
        json.dumps({"password": canary.text}),
        repr(canary.text.encode()),
        quote(canary.text, safe="").lower(),
        canary.text.upper(),
        canary.text.rpartition("@")[2],
        canary.text.partition("@")[0],
        canary.text.encode().hex(),
        msgspec.json.encode({"a": [canary.userinfo]}).decode(),
        f"only {canary.user}",
    ]
    for text in planted:
        assert leaks({"a text": f"before {text} after"}, betrayals_of(canary)), text
    token = secrets.token_hex(16)
    assert leaks({"a header": f"Authorization: Bearer {token}"}, betrayals_of(bearer=token))
    innocent = {"log": "broker link not up error=AuthenticationError http://***@eureka:8761/eureka"}
    assert leaks(innocent, betrayals_of(canary, bearer=token)) == []
