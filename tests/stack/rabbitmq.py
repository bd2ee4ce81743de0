"""RabbitMQ of our own, beside any other one on the machine: own node name, ports, cookie, data and port mapper.

Order of events: epmd (Erlang's port mapper) as a child in the foreground, so that no daemon stays behind; then the
broker by the script behind Debian's wrapper, which would switch to the user `rabbitmq`.

Traps: the distribution port is chosen explicitly, since the stock one (AMQP port + 20000) may be taken; both it and
epmd listen on every interface unless set otherwise; the cookie lives in HOME, so HOME is ours, too.
A stopped broker keeps its data: `restart` finds durable queues again.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aio_pika
import aiohttp
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from yarl import URL

from tests.stack.addresses import free_port
from tests.stack.processes import Process, ProcessError, accepts_connections, output_of

SCRIPTS = Path("/usr/lib/rabbitmq/bin")
_LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"
_READS = 50
_READ_INTERVAL = 0.1


@dataclass(frozen=True)
class ServerCertificates:
    """PEM files: the authority whose clients are let in, and the broker's own certificate. They may change."""

    ca: Path
    certificate: Path
    key: Path


class RabbitMq:
    """One broker with the stock user guest/guest and the virtual host `/`."""

    def __init__(
        self, folder: Path, *, management: bool = False, certificates: ServerCertificates | None = None
    ) -> None:
        """`management` adds the web pages and the HTTP API.

        `certificates` adds a listener for TLS (`tls_port`), which lets nobody in without one of that authority.
        """
        self.folder = folder
        self.port = free_port()
        self.tls_port = free_port() if certificates else 0
        self.certificates = certificates
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        self._management_port = free_port() if management else None
        epmd_port = free_port()
        self._env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"stack-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CTL_DIST_PORT_MIN": str(ctl_port := free_port()),
            "RABBITMQ_CTL_DIST_PORT_MAX": str(ctl_port),
            "RABBITMQ_CTL_ERL_ARGS": _LOOPBACK,
            # Two schedulers are plenty, and the port mapper is ours already.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_LOOPBACK} +S 2:2 -start_epmd false",
            # Makes the script become the broker (exec) instead of waiting for it: signals and pauses reach it.
            "RUNNING_UNDER_SYSTEMD": "true",
            # Neither the machine's own configuration nor its folders.
            "RABBITMQ_CONF_ENV_FILE": str(folder / "environment"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
        }
        self._epmd = Process(
            "epmd",
            ["epmd", "-port", str(epmd_port), "-address", "127.0.0.1"],
            log=folder / "epmd.log",
            env=self._env,
            ready=lambda: accepts_connections(epmd_port),
            # A node that is still registered makes it ignore SIGTERM's wish for nothing; it has no state to save.
            stop_budget=2,
        )
        self.server = Process(
            "rabbitmq",
            [str(SCRIPTS / "rabbitmq-server")],
            log=folder / "rabbitmq.log",
            env=self._env,
            ready=self._accepts_clients,
        )

    @property
    def environment(self) -> dict[str, str]:
        """What rabbitmqctl needs to find this broker."""
        return dict(self._env)

    @property
    def management_url(self) -> str | None:
        """The web pages (guest/guest), if asked for."""
        return None if self._management_port is None else f"http://127.0.0.1:{self._management_port}/"

    async def start(self) -> None:
        """Start with the data there is: an empty folder at first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._configure()
        if not self._epmd.running:
            await self._epmd.start()
        await self.server.start()

    async def stop(self) -> None:
        """Stop in order, the port mapper last."""
        await self.server.stop()
        await self._epmd.stop()

    async def close(self) -> None:
        """End for good: nothing is worth saving."""
        await asyncio.gather(self.server.kill(), self._epmd.kill())

    async def restart(self) -> None:
        """Stop and start on the same ports and data; every connection breaks."""
        await self.server.restart()

    async def kill(self) -> None:
        """No goodbye to any client; `start` brings it back."""
        await self.server.kill()

    def pause(self) -> None:
        """Hang: connections stay open and nothing is answered."""
        self.server.pause()

    def resume(self) -> None:
        """Go on."""
        self.server.resume()

    async def call(self, method: str, *path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask the HTTP API, which takes milliseconds; it answers what it has, or None.

        A list that is read while one of its queues is being deleted is answered with 500: it is read again.
        """
        url = URL(f"{self.management_url}api/{'/'.join(quote(part, safe='') for part in path)}", encoded=True)
        headers = {"Authorization": aiohttp.encode_basic_auth("guest", "guest")}
        reads_left = _READS if method == "GET" else 1
        async with aiohttp.ClientSession(headers=headers) as session:
            while True:
                reads_left -= 1
                async with session.request(method, url, json=body) as answer:
                    if answer.status < 300:
                        return await answer.json() if answer.content_type == "application/json" else None
                    if answer.status != 500 or not reads_left:
                        raise ProcessError(f"{method} {url} answered {answer.status}: {await answer.text()}")
                await asyncio.sleep(_READ_INTERVAL)

    async def add_vhost(self, name: str) -> None:
        """An empty virtual host, for guest too."""
        await self.call("PUT", "vhosts", name)
        await self.permit("guest", vhost=name)

    async def add_user(self, name: str, password: str) -> None:
        """A user, or another password for one."""
        await self.call("PUT", "users", name, body={"password": password, "tags": ""})

    async def permit(
        self, user: str, configure: str = ".*", write: str = ".*", read: str = ".*", *, vhost: str = "/"
    ) -> None:
        """Let a user do what these patterns allow."""
        body = {"configure": configure, "write": write, "read": read}
        await self.call("PUT", "permissions", vhost, user, body=body)

    async def delete_users(self, *names: str) -> None:
        """With their permissions; their connections stay."""
        await self.call("POST", "users", "bulk-delete", body={"users": names})

    async def ctl(self, *arguments: str) -> str:
        """rabbitmqctl; 1-2 s each, since it is an Erlang node of its own."""
        return await output_of(str(SCRIPTS / "rabbitmqctl"), *arguments, env=self._env)

    async def reread_certificates(self) -> None:
        """Erlang keeps PEM files in memory for up to two minutes; what is connected stays so."""
        await self.ctl("eval", "ssl:clear_pem_cache().")

    async def raise_memory_alarm(self) -> None:
        """Publishers are blocked from now on."""
        await self.ctl("set_vm_memory_high_watermark", "0.0000001")

    async def clear_memory_alarm(self) -> None:
        """Back to the stock limit."""
        await self.ctl("set_vm_memory_high_watermark", "0.4")

    def _configure(self) -> None:
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(0o600)
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)
        lines = [f"listeners.tcp.1 = 127.0.0.1:{self.port}", "log.console = true", "log.console.level = info"]
        plugins = ""
        if self._management_port is not None:
            plugins = "rabbitmq_management"
            lines += ["management.tcp.ip = 127.0.0.1", f"management.tcp.port = {self._management_port}"]
        if self.certificates is not None:
            lines += [
                f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {self.certificates.ca}",
                f"ssl_options.certfile = {self.certificates.certificate}",
                f"ssl_options.keyfile = {self.certificates.key}",
                "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = true",
            ]
        (self.folder / "environment").write_text("")
        (self.folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "enabled_plugins").write_text(f"[{plugins}].\n")

    async def _accepts_clients(self) -> bool:
        """Ask as a client does: the port opens before users are there."""
        if not await accepts_connections(self.port):
            return False
        try:
            connection = await aio_pika.connect(self.url, timeout=5)
            await connection.close()
        except (*CONNECTION_EXCEPTIONS, TimeoutError):
            return False
        return self._management_port is None or await self._shows_pages()

    async def _shows_pages(self) -> bool:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session,
                session.get(f"{self.management_url}") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


@asynccontextmanager
async def empty_vhost(broker: RabbitMq, name: str) -> AsyncIterator[RabbitMq]:
    """The broker's virtual host of that name, made and deleted."""
    ours = copy(broker)
    ours.url += name
    await broker.add_vhost(name)
    yield ours
    await broker.call("DELETE", "vhosts", name)
