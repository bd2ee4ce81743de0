"""The connection to the API server: in-cluster credentials, else KUBECONFIG, else the default kubeconfig.

Two calls that give raw bytes, and one that creates. Every call has a read timeout: the client has none of its own, and
a half-open connection would hang for ever.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp

from controller.bounds import MAX_OBJECT_BYTES, MAX_POST_ANSWER_BYTES, MIB
from controller.domain.diagnostics import read_http_date
from controller.errors import KubernetesError
from controller.kube.library import load_library
from controller.kube.pod_decoder import decode_causes, decode_failure

CONNECT_TIMEOUT = 5.0
LIST_READ_TIMEOUT = 30.0
"""Seconds without a byte: the server may work for a while before the first one."""
POST_READ_TIMEOUT = 10.0
"""Seconds without a byte."""
HEAD_BYTES = 4_096
"""Of what is too large, the beginning: the API server writes an object's name and version first."""
JSON = "application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""A list of the same objects without what they are and how they are."""


class ExpiredError(KubernetesError):
    """410: the resourceVersion (or the page's token) is too old. List again."""


class TooLargeError(KubernetesError):
    """The answer, or one event of a watch, is larger than is read. ``head`` is its beginning."""

    def __init__(self, text: str, head: bytes = b"") -> None:
        super().__init__(text)
        self.head = head


class NotFoundError(KubernetesError):
    """404: there is no such object."""


class KubeForbiddenError(KubernetesError):
    """403: the API server knows us, and does not let us."""


class NamespaceEndingError(KubeForbiddenError):
    """403: nothing more is created in a namespace that is being deleted."""


class ExistsError(KubernetesError):
    """409: there is an object by that name."""


class InvalidError(KubernetesError):
    """400, 413 or 422: what was sent will never be taken."""


_REFUSALS = {
    400: InvalidError,
    403: KubeForbiddenError,
    404: NotFoundError,
    409: ExistsError,
    410: ExpiredError,
    413: InvalidError,
    422: InvalidError,
}


class KubeApi:
    """Use as an async context manager: it owns the client's session."""

    def __init__(self) -> None:
        self._client: Any = None

    async def __aenter__(self) -> KubeApi:
        library = load_library()
        configuration = library.Configuration()
        try:
            library.config.load_incluster_config(client_configuration=configuration)
        except library.config.ConfigException:
            try:
                await library.config.load_kube_config(client_configuration=configuration)
            except Exception as error:  # the file is read by a library, and may be anything; it holds secrets
                why = f"neither in-cluster credentials nor a usable kubeconfig: {_kubeconfig_trouble(error)}"
                raise KubernetesError(why) from None
        try:
            self._client = library.ApiClient(configuration)
        except (OSError, ValueError) as error:
            why = (
                f"the certificates of the kubeconfig or of the service account cannot be used ({type(error).__name__})"
            )
            raise KubernetesError(why) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()

    async def get(
        self,
        path: str,
        query: dict[str, str],
        *,
        read_timeout: float = LIST_READ_TIMEOUT,
        accept: str = JSON,
        most: int = MAX_OBJECT_BYTES,
        closes: bool = False,
    ) -> bytes:
        """Get a whole body. TooLargeError when it has more bytes than ``most``.

        ``closes``: the connection is not used again.
        """
        headers = {"Accept": accept, **({"Connection": "close"} if closes else {})}
        return await _read(await self._request(path, query, read_timeout=read_timeout, headers=headers), most)

    async def date(self) -> datetime | None:
        """Return what the API server's clock says, to the second; None when its answers bear no date."""
        response = await self._request("/version", {}, read_timeout=POST_READ_TIMEOUT)
        response.close()
        return read_http_date(response.headers.get("Date", ""))

    async def post(self, path: str, thing: dict[str, Any]) -> bytes:
        """Create an object; gives what was made of it. When this raises, it may have been created all the same."""
        response = await self._request(path, {}, read_timeout=POST_READ_TIMEOUT, creates=thing)
        return await _read(response, MAX_POST_ANSWER_BYTES)

    async def lines(self, path: str, query: dict[str, str], *, read_timeout: float) -> AsyncIterator[bytes]:
        """Get a stream of lines. It ends when the server ends it, or raises after ``read_timeout`` s of silence.

        TooLargeError for a line that is larger than an object may be; nothing comes after it.
        """
        response = await self._request(path, query, read_timeout=read_timeout)
        rest = bytearray()
        try:
            async for chunk in response.content.iter_any():
                *ends, begun = chunk.split(b"\n")
                for end in ends:
                    _add(rest, end)
                    line, rest = bytes(rest), bytearray()
                    if line.strip():
                        yield line
                _add(rest, begun)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KubernetesError(f"the watch broke off ({type(error).__name__})") from error
        finally:
            response.close()

    async def _request(
        self,
        path: str,
        query: dict[str, str],
        *,
        read_timeout: float,
        creates: dict[str, Any] | None = None,
        headers: Mapping[str, str] = MappingProxyType({"Accept": JSON}),
    ) -> Any:
        try:
            response = await self._client.call_api(
                path,
                "GET" if creates is None else "POST",
                query_params=list(query.items()),
                header_params={"Content-Type": JSON, **headers},
                body=creates,
                auth_settings=["BearerToken"],
                response_types_map={},
                _preload_content=False,
                _request_timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_TIMEOUT, sock_read=read_timeout
                ),
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KubernetesError(f"the API server cannot be reached ({type(error).__name__})") from error
        # Without preloading, the client does not look at the status.
        if response.status not in ((200,) if creates is None else (200, 201)):
            raise await _refusal(response)
        return response


def _kubeconfig_trouble(error: Exception) -> str:
    """Say which file cannot be used, and why as far as that is no part of its content."""
    given = os.environ.get("KUBECONFIG", "")
    files = [Path(one) for one in given.split(os.pathsep) if one] or [Path.home() / ".kube" / "config"]
    where = os.pathsep.join(map(str, files))
    if not any(file.exists() for file in files):
        return f"{where} is not there: set KUBECONFIG, or run in a pod with a service account"
    if "current-context" in str(error):
        return f"{where} is no kubeconfig, or has no current-context: kubectl config use-context NAME chooses one"
    return f"{where} is none that can be used ({type(error).__name__})"


def _add(line: bytearray, more: bytes) -> None:
    line += more
    if len(line) > MAX_OBJECT_BYTES:
        raise TooLargeError(f"a watch event of more than {MAX_OBJECT_BYTES // MIB} MiB", bytes(line[:HEAD_BYTES]))


async def _read(response: Any, most: int) -> bytes:
    """Read a body to its end, so that the connection can be used again."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > most:
                response.close()
                raise TooLargeError(f"an answer of more than {most // MIB} MiB", bytes(body[:HEAD_BYTES]))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise KubernetesError(f"the answer broke off ({type(error).__name__})") from error
    finally:
        response.release()
    return bytes(body)


async def _refusal(response: Any) -> KubernetesError:
    try:
        body = await response.content.read(64 * 1024)
    except (aiohttp.ClientError, TimeoutError, OSError):
        body = b""
    finally:
        response.close()
    try:
        _, text = decode_failure(body)
        ending = "NamespaceTerminating" in decode_causes(body)
    except KubernetesError:
        text, ending = "not an API server's answer", False
    kind = _REFUSALS.get(response.status, KubernetesError)
    if kind is KubeForbiddenError and ending:
        kind = NamespaceEndingError
    return kind(f"HTTP {response.status}: {text}")
