"""docs/permissions.md on the real broker: with just these rights each role does its part; without any one it fails."""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.exceptions import AMQPError
from aiormq.exceptions import ChannelAccessRefused

from controller.domain.events import Outcome, make_event
from controller.errors import BrokerError
from controller.rabbit import delay, names
from controller.settings import BrokerSettings, SecretUrl
from tests.contract.acts import ACTS
from tests.contract.brokers import command_for, settings_for
from tests.contract.permitted import PARTS, REGIONS, an_outbox
from tests.stack.rabbitmq import RabbitMq
from tests.unit.building import a_reason

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = Path(__file__).parents[2] / "docs" / "permissions.md"
PASSWORD = "of-the-tests"
KINDS = ("configure", "write", "read")
NAMES = (
    "amq.default",
    names.COMMANDS,
    names.DEAD,
    names.UNROUTED,
    names.EVENTS,
    names.ENDS,
    names.POSITIONS,
    names.DELAY_OUT,
    *(names.delay_level(level) for level in (0, delay.LEVELS - 1)),
    *(queue(r) for r in REGIONS for queue in (names.commands_queue, names.dead_queue, names.dead_lock)),
)
"""All that there is, but for the levels between the lowest and the highest, which are like them."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Three patterns."""

    configure: str
    write: str
    read: str

    def allows(self, kind: str, name: str) -> bool:
        """Whether RabbitMQ would."""
        return re.search(getattr(self, kind), name) is not None

    def without(self, kind: str, name: str) -> Rights:
        """The same but for one name."""
        pattern = getattr(self, kind)
        assert pattern.startswith("^")
        return replace(self, **{kind: f"^(?!{re.escape(name)}$){pattern[1:]}"})


def rights_on_the_page() -> dict[str, Rights]:
    """By user."""
    commands = re.findall(r"^rabbitmqctl set_permissions --vhost drain (.*)$", PAGE.read_text(), re.MULTILINE)
    words = [shlex.split(command) for command in commands]
    return {user: Rights(*patterns) for user, *patterns in words}


RIGHTS = rights_on_the_page()
UNUSED = {("topology", kind, names.dead_lock(region)) for kind in ("write", "read") for region in REGIONS}
"""What a simple pattern allows beside what is needed."""


class Users:
    """Virtual hosts and users of the tests' own, made many at a time."""

    def __init__(self, broker: RabbitMq) -> None:
        self._broker = broker
        self._settings = settings_for(broker)
        self._name = f"permissions-{secrets.token_hex(4)}"
        self.vhosts: list[str] = []
        self.users: list[str] = []

    async def make(self, rights: Iterable[Rights], *, vhost: str = "") -> list[BrokerSettings]:
        """A user for each of the rights, in this virtual host, or each in an empty one of its own."""
        permissions, made, vhosts = [], [], {vhost} if vhost else set()
        for right in rights:
            user = f"{self._name}-{len(self.users)}"
            self.users.append(user)
            where = vhost or user
            vhosts.add(where)
            patterns = {kind: getattr(right, kind) for kind in KINDS}
            permissions.append({"user": user, "vhost": where} | patterns)
            made.append(self.settings(user, PASSWORD, where))
        everything = dict.fromkeys(KINDS, ".*")
        permissions += [{"user": "guest", "vhost": where} | everything for where in vhosts]
        self.vhosts += [one for one in sorted(vhosts) if one not in self.vhosts]
        users = [
            {"name": one["user"], "password": PASSWORD, "tags": ""} for one in permissions if one["user"] != "guest"
        ]
        definitions = {"vhosts": [{"name": one} for one in vhosts], "users": users, "permissions": permissions}
        await self._broker.call("POST", "definitions", body=definitions)
        return made

    def settings(self, user: str, password: str, vhost: str) -> BrokerSettings:
        """The product's settings as this user."""
        where = f"127.0.0.1:{self._broker.port}/{quote(vhost, safe='')}"
        return self._settings.model_copy(update={"url": SecretUrl(f"amqp://{user}:{password}@{where}")})

    async def there(self) -> str:
        """A virtual host in which everything has been declared, and each region has dead letters."""
        vhost = f"{self._name}-there"
        await self.make([], vhost=vhost)
        async with an_outbox(self.settings("guest", "guest", vhost), *REGIONS) as outbox:
            for region in REGIONS:
                await outbox.dead_letter(region, command_for(region), a_reason("given up"))
        return vhost

    async def remove(self) -> None:
        """All of them."""
        for vhost in self.vhosts:
            await self._broker.call("DELETE", "vhosts", vhost)
        await self._broker.delete_users(*self.users)


@pytest_asyncio.fixture(loop_scope="session")
async def users(broker: RabbitMq) -> AsyncIterator[Users]:
    users = Users(broker)
    yield users
    await users.remove()


async def refusal(role: str, settings: BrokerSettings) -> str:
    """What stands in the role's way; empty when it does its part."""
    try:
        await PARTS[role](settings)
    except BrokerError as error:
        return f"{error} {error.__cause__}"
    return ""


async def test_the_page_has_every_role() -> None:
    assert set(RIGHTS) == set(PARTS)


async def test_only_topology_may_declare(users: Users) -> None:
    assert [role for role, rights in RIGHTS.items() if rights.configure != "^$"] == ["topology"]
    [settings] = await users.make([RIGHTS["topology"]])
    assert await refusal("topology", settings) == ""


async def test_where_topology_has_declared_each_does_its_part_with_these_rights(users: Users) -> None:
    made = await users.make(RIGHTS.values(), vhost=await users.there())
    assert [await refusal(role, settings) for role, settings in zip(RIGHTS, made, strict=True)] == [""] * len(made)


async def test_without_any_one_of_them_it_fails_and_names_it(users: Users) -> None:
    cases = [
        (role, kind, name)
        for role in PARTS
        for kind in KINDS
        for name in NAMES
        if RIGHTS[role].allows(kind, name) and (role, kind, name) not in UNUSED
    ]
    assert len(cases) > 50
    declaring = [one for one in cases if one[0] == "topology"]
    others = [one for one in cases if one[0] != "topology"]
    made = await users.make([RIGHTS[role].without(kind, name) for role, kind, name in declaring])
    there = await users.there()
    made += await users.make([RIGHTS[role].without(kind, name) for role, kind, name in others], vhost=there)
    unnoticed = []
    for (role, kind, name), settings in zip([*declaring, *others], made, strict=True):
        if f"'{name}'" not in (answer := await refusal(role, settings)):
            unnoticed.append((role, kind, name, answer))
    assert unnoticed == []


async def test_what_is_missing_is_named_by_who_may_not_declare_it(users: Users) -> None:
    vhost = await users.there()
    [settings] = await users.make([RIGHTS["work-eu"]], vhost=vhost)
    async with await aio_pika.connect(users.settings("guest", "guest", vhost).url.get_secret_value()) as connection:
        await (await connection.channel()).queue_delete(names.dead_queue("eu"))
        answer = await refusal("work-eu", settings)
        assert "lacks drain.dead.eu, and this user may not declare it" in answer
        assert "eureka-drain topology declare" in answer


def acts_on_the_page() -> dict[str, set[str]]:
    """Who may do it, by act."""
    rows = re.findall(
        r"^\| ([^|]+) \| (?:(?:configure|write|read) `|a stream)[^|]* \| ([^|]*)\|$", PAGE.read_text(), re.MULTILINE
    )
    return {act: set(re.findall(r"`([^`]+)`", who)) for act, who in rows}


async def test_the_page_is_right_about_what_each_right_allows(users: Users) -> None:
    vhost = await users.there()
    made = dict(zip(RIGHTS, await users.make(RIGHTS.values(), vhost=vhost), strict=True))
    found: dict[str, set[str]] = {act: set() for act in ACTS}
    async with an_outbox(users.settings("guest", "guest", vhost), *REGIONS) as outbox:
        for user, settings in made.items():
            async with await aio_pika.connect(settings.url.get_secret_value()) as connection:
                for act, perform in ACTS.items():
                    channel = await connection.channel(on_return_raises=True)
                    try:
                        await asyncio.wait_for(perform(channel), 20)
                        found[act].add(user)
                    except ChannelAccessRefused:
                        pass
                    except AMQPError:  # what no right allows ends the connection
                        connection = await aio_pika.connect(settings.url.get_secret_value())
                    if user == "topology":
                        await outbox.topology.declare_all()
            if user == "topology":
                await outbox.record(make_event(command_for("eu"), Outcome.requested, datetime.now(UTC)))
    assert acts_on_the_page() == found


async def test_the_pages_of_rights_and_of_installing_say_the_same() -> None:
    installing = PAGE.with_name("install.md").read_text()
    lines = re.findall(r"^rabbitmqctl set_permissions .*$", installing, re.MULTILINE)
    assert lines
    assert set(lines) <= set(PAGE.read_text().splitlines())
