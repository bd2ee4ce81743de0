"""Why a broker cannot be used, and what mends it, for a person."""

from __future__ import annotations

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError, AuthenticationError, InvalidFrameError, ProbableAuthenticationError

from controller.settings import without_credentials


def in_one_line(error: BaseException) -> str:
    """Return the broker's own words, in one line."""
    return " ".join(without_credentials(str(error)).split()) or type(error).__name__


def is_no_virtual_host(error: BaseException) -> bool:
    """Return whether the broker did not open the virtual host; its own words are lost by the library."""
    return isinstance(error, InvalidFrameError) and "Connection.OpenOk" in str(error)


def is_refused_login(error: BaseException) -> bool:
    """Return whether the broker does not know the user, or not by this password."""
    return isinstance(error, AuthenticationError | ProbableAuthenticationError)


def explain_failure(error: BaseException) -> str:
    """Return what stands in the way."""
    if is_refused_login(error):
        return "the broker refuses the user or the password"
    if is_no_virtual_host(error):
        return "the virtual host does not exist, or the user may not use it"
    text = in_one_line(error)
    return f"it cannot be reached: {text}" if isinstance(error, OSError) else f"it cannot be used: {text}"


def fix_of(error: BaseException) -> str:
    """Return what to set, or to look at."""
    if is_refused_login(error):
        return "set a user that the broker knows (rabbitmqctl authenticate_user), in broker.url or beside broker.hosts"
    if isinstance(error, AMQPError) and not isinstance(error, OSError):
        return "check the virtual host (broker.vhost, or broker.url's end), and the user's rights there"
    return "check host and port of broker.url or broker.hosts, the network policies between, and that RabbitMQ runs"


def version_of(connection: AbstractConnection) -> str:
    """Return the broker's product and version."""
    transport = getattr(connection, "transport", None)
    properties = getattr(getattr(transport, "connection", None), "server_properties", None) or {}
    product, version = properties.get("product"), properties.get("version")
    texts = [one.decode() if isinstance(one, bytes) else str(one) for one in (product, version) if one]
    return " ".join(texts) or "answers"
