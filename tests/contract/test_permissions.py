"""docs/permissions.md on the real broker: with just these rights each role does its part; without any one it fails."""

from __future__ import annotations

import json
import re
import secrets
import shlex
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from controller.errors import BrokerError
from controller.rabbit import delay, names
from controller.settings import BrokerSettings, SecretUrl
from tests.contract.brokers import command_for, settings_for
from tests.contract.permitted import PARTS, REGIONS, an_outbox
from tests.stack.rabbitmq import RabbitMq
from tests.unit.building import a_reason

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

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
    *(queue(region) for region in REGIONS for queue in (names.commands_queue, names.dead_queue)),
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


def declared_first() -> dict[str, set[tuple[str, str]]]:
    """What is wanted only by who declares something before anybody else has."""
    commanding = {("write", names.DEAD), *(("read", names.commands_queue(region)) for region in REGIONS)}
    return {
        role: {
            *(("configure", name) for name in NAMES if rights.allows("configure", name)),
            *(commanding if role in ("watch", "ops", "sweep-drain") else ()),
        }
        for role, rights in RIGHTS.items()
    }


DECLARED_FIRST = declared_first()


class Users:
    """Virtual hosts and users of the tests' own, made many at a time: each rabbitmqctl takes a second."""

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
        file = self._broker.folder / f"{self._name}.json"
        file.write_text(json.dumps(definitions))
        await self._broker.ctl("import_definitions", str(file))
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
        for kind, module, made in (
            ("vhost", "rabbit_vhost", self.vhosts),
            ("user", "rabbit_auth_backend_internal", self.users),
        ):
            delete = "delete" if kind == "vhost" else "delete_user"
            listed = ",".join(f'<<"{one}">>' for one in made)
            await self._broker.ctl("eval", f'[{module}:{delete}(One, <<"tests">>) || One <- [{listed}]].')


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


async def test_each_role_does_its_part_with_these_rights_on_a_new_broker(users: Users) -> None:
    declaring = [role for role in PARTS if RIGHTS[role].configure != "^$"]
    made = await users.make([RIGHTS[role] for role in declaring])
    assert [await refusal(role, settings) for role, settings in zip(declaring, made, strict=True)] == [""] * len(made)
    assert set(PARTS) - set(declaring) == {"sweep-report", "reader"}


async def test_who_only_reads_does_so_once_there_is_something(users: Users) -> None:
    reading = ["sweep-report", "reader"]
    made = await users.make([RIGHTS[role] for role in reading], vhost=await users.there())
    assert [await refusal(role, settings) for role, settings in zip(reading, made, strict=True)] == ["", ""]


async def test_where_everything_is_declared_no_role_needs_to_configure(users: Users) -> None:
    made = await users.make([replace(rights, configure="^$") for rights in RIGHTS.values()], vhost=await users.there())
    assert [await refusal(role, settings) for role, settings in zip(RIGHTS, made, strict=True)] == [""] * len(made)


async def test_without_any_one_of_them_it_fails_and_names_it(users: Users) -> None:
    cases = [
        (role, kind, name)
        for role in PARTS
        for kind in KINDS
        for name in NAMES
        if RIGHTS[role].allows(kind, name) and (kind, name) not in DECLARED_FIRST.get(role, set())
    ]
    lacking = [RIGHTS[role].without(kind, name) for role, kind, name in cases]
    made = await users.make(lacking, vhost=await users.there())
    unnoticed = []
    for (role, kind, name), settings in zip(cases, made, strict=True):
        if f"'{name}'" not in (answer := await refusal(role, settings)):
            unnoticed.append((role, kind, name, answer))
    assert unnoticed == []


async def test_what_is_wanted_to_be_the_first_is_wanted_by_who_is(users: Users) -> None:
    cases = [(role, kind, name) for role, wanted in DECLARED_FIRST.items() for kind, name in sorted(wanted)]
    lacking = [RIGHTS[role].without(kind, name) for role, kind, name in cases]
    first = await users.make(lacking)
    refusals = [await refusal(role, settings) for (role, _, _), settings in zip(cases, first, strict=True)]
    assert [name for (_, _, name), text in zip(cases, refusals, strict=True) if f"'{name}'" in text] == [
        name for _, _, name in cases
    ]
    assert cases
    made = await users.make(lacking, vhost=await users.there())
    assert {await refusal(role, settings) for (role, _, _), settings in zip(cases, made, strict=True)} == {""}


@pytest.mark.parametrize("kind", ["write", "read"])
async def test_a_worker_has_no_right_to_another_regions_queues(kind: str) -> None:
    for queue in (names.commands_queue, names.dead_queue):
        assert not RIGHTS["work-eu"].allows(kind, queue("us"))
        assert not RIGHTS["work-us"].allows(kind, queue("eu"))
