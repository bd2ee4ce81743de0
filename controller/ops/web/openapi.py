"""What the API promises: an OpenAPI 3.1 document, made from its operations. The tests hold every answer against it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from aiohttp import web

from controller.ops.answers import ErrorAnswer, JsonAnswer
from controller.ops.web.queries import Query

Schema = dict[str, Any]

PREFIX = "/api/v1"
REFUSALS = {
    400: "A filter or a field that cannot be followed.",
    401: "No valid token.",
    403: "This user may not, or the request comes from another site.",
    404: "There is no such thing.",
    409: "Another replay is running, or it is not done for the reason that is given.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    421: "The request was sent to a name that is not the server's.",
    429: "Too many unknown tokens, or event streams: wait as long as Retry-After says.",
    503: "The broker, or whoever checks tokens, cannot be reached, or too many are waiting.",
}
ALWAYS = (401, 403, 421, 429, 503)


@dataclass(frozen=True, slots=True)
class Operation:
    """One route of the API. Its handler's docstring describes it."""

    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    answers: dict[int, type[JsonAnswer]]
    """By status; none for what is not an object of ours."""
    content_type: str = "application/json"
    query: type[Query] | None = None
    body: type[Query] | None = None
    text: bool = False
    """Whether it is given as text, too: see ``plain_text``."""
    refusals: tuple[int, ...] = ()


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the whole document."""
    try:
        release = version("eureka-drain")
    except PackageNotFoundError:
        release = "0"
    kinds = {kind for one in operations for kind in (*one.answers.values(), one.body) if kind is not None}
    ordered = sorted({*kinds, ErrorAnswer}, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    paths: Schema = {}
    for one in operations:
        paths.setdefault(PREFIX + one.path, {})["post" if one.body else "get"] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "eureka-drain",
            "version": release,
            "description": "Drains of Kubernetes pods from Eureka: what happened, and how to do it again.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(one: Operation) -> Schema:
    answers: Mapping[int, type[JsonAnswer] | None] = one.answers or {200: None}
    responses = {str(status): _content(kind, one.content_type) for status, kind in answers.items()}
    if one.text:
        responses["200"]["content"]["text/plain"] = {"schema": {"type": "string"}}
    responses |= {
        str(status): _content(ErrorAnswer) | {"description": REFUSALS[status]} for status in (*one.refusals, *ALWAYS)
    }
    in_path = [name[1:-1] for name in one.path.split("/") if name.startswith("{")]
    parameters: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path
    ]
    if one.query is not None:
        properties = msgspec.json.schema(one.query)["$defs"][one.query.__name__]["properties"]
        parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
    described: Schema = {"summary": one.handler.__doc__, "parameters": parameters, "responses": responses}
    if one.body is not None:
        described["requestBody"] = {"required": True, **_content(one.body)}
    return described


def _content(kind: type[msgspec.Struct] | None, content_type: str = "application/json") -> Schema:
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"} if kind else {}
    return {"description": (kind and kind.__doc__) or "As asked.", "content": {content_type: {"schema": schema}}}
