"""What the API promises, as an OpenAPI 3.1 document. The tests hold every answer against it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from controller.domain.causes import Cause
from controller.domain.events import Outcome
from controller.domain.instances import Condition
from controller.domain.replay_plan import ReplayAction
from controller.domain.shutdown.verdict import ShutdownVerdict

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
SECONDS: Schema = {"type": ["number", "null"]}
COUNT: Schema = {"type": ["integer", "null"]}
FLAG: Schema = {"type": "boolean"}


def _object(**fields: Schema) -> Schema:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _one_of(names: Any) -> Schema:
    return {"type": "string", "enum": [str(name) for name in names]}


def _see(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


NODE = _object(node=TEXT, condition=_one_of(Condition), detail=TEXT)
INSTANCE = _object(
    app=TEXT,
    instance_id=TEXT,
    outcome=_one_of(Outcome),
    at=TIME,
    reason=TEXT,
    trouble=TEXT,
    attempt={"type": "integer"},
    out_of_service_at=TIME,
    safe_at=TIME,
    retention_ends_at=TIME,
    nodes=_list(NODE),
)
DRAIN_FIELDS: dict[str, Schema] = {
    "drain_id": TEXT,
    "state": _one_of(Outcome),
    "reason": TEXT,
    "cluster": TEXT,
    "region": TEXT,
    "namespace": TEXT,
    "pod": TEXT,
    "uid": TEXT,
    "ip": TEXT,
    "cause": _one_of(Cause),
    "since_at": TIME,
    "began_at": TIME,
    "last_at": TIME,
    "out_of_service_at": TIME,
    "seconds_to_out_of_service": SECONDS,
    "grace": _one_of(grace.name for grace in ShutdownVerdict),
    "verdict": TEXT,
    "short_seconds": COUNT,
    "grace_why": TEXT,
    "safe_at": TIME,
    "safe_after": TIME,
    "ended_at": TIME,
    "workload": TEXT,
    "requested_by": TEXT,
    "requested_at": TIME,
    "requested_why": TEXT,
    "instances": _list(INSTANCE),
}
MOMENT = _object(
    at=TIME, after_seconds=SECONDS, what=TEXT, detail=TEXT, outcome={"type": ["string", "null"]}, ahead=FLAG
)
ITEM_FIELDS: dict[str, Schema] = {
    "drain_id": TEXT,
    "verdict": _one_of(verdict.name for verdict in ReplayAction),
    "reason": TEXT,
    "region": TEXT,
    "pod": TEXT,
    "apps": _list(TEXT),
    "instances": _list(_object(app=TEXT, instance_id=TEXT)),
}
EXECUTION = _object(
    replay_id=TEXT,
    executed=FLAG,
    requested_by=TEXT,
    requested_at=TIME,
    requested_why=TEXT,
    over_at=TIME,
    trouble=TEXT,
    to_send={"type": "integer"},
    sent={"type": "integer"},
    outcomes={"type": "object", "additionalProperties": {"type": "integer"}},
    open={"type": "integer"},
    items=_list(_object(**ITEM_FIELDS, outcome={"type": ["string", "null"]})),
)
REGION = _object(
    region=TEXT,
    looked_at=TIME,
    queue_messages=COUNT,
    consumers=COUNT,
    dead_letters=COUNT,
    oldest_unfinished_seconds=SECONDS,
    oldest_unfinished={"type": ["string", "null"]},
    nodes_disagree=FLAG,
    nodes=_list(_object(node=TEXT, reachable=FLAG, detail=TEXT)),
    troubles=_list(TEXT),
)
FILTER_TEXT: Schema = {"type": "string", "maxLength": 300}
REPLAY_BODY: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(("since", "until", "region", "app", "namespace", "pod"), FILTER_TEXT),
        "state": _list(_one_of(Outcome)),
        "id": _list(FILTER_TEXT),
        "execute": {**FLAG, "default": False},
        "again": {**FLAG, "default": False, "description": "Also what a worker still has under way."},
        "rps": {"type": "number", "minimum": 0.01, "maximum": 1000, "default": 50},
        "reason": {"type": "string", "maxLength": 2000},
    },
}
SCHEMAS: dict[str, Schema] = {
    "Error": _object(error=TEXT),
    "Drain": _object(**DRAIN_FIELDS),
    "DrainWithTimeline": _object(**DRAIN_FIELDS, timeline=_list(MOMENT), left_out={"type": "integer"}),
    "Region": REGION,
    "Plan": _object(executed=FLAG, items=_list(_object(**ITEM_FIELDS))),
    "Execution": EXECUTION,
    "ReplayRequest": REPLAY_BODY,
}
WHEN = "A duration ago (30m, 2h, 7d) or a time (2026-01-31T22:00:00Z)."


def _answers(*statuses: int, good: Schema, status: int = 200) -> Schema:
    said = {
        400: "A filter or a field that cannot be followed.",
        401: "No valid token.",
        403: "This user may not, or the request comes from another site.",
        404: "There is no such thing.",
        409: "Another replay is running.",
        413: "The body is too large.",
        415: "The body is not JSON.",
        503: "The broker, or whoever checks tokens, cannot be reached.",
    }
    errors = {
        str(one): {"description": said[one], "content": {"application/json": {"schema": _see("Error")}}}
        for one in statuses
    }
    return {str(status): {"description": "As asked.", "content": {"application/json": {"schema": good}}}, **errors}


def _query(name: str, schema: Schema, about: str) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": about}


PARAMETERS = [
    _query("since", FILTER_TEXT, f"Not before. {WHEN}"),
    _query("until", FILTER_TEXT, f"Not after. {WHEN}"),
    _query("region", FILTER_TEXT, "Of this region."),
    _query("app", FILTER_TEXT, "Of this Eureka application."),
    _query("namespace", FILTER_TEXT, "Of this namespace."),
    _query("pod", {**FILTER_TEXT, "pattern": "^([^/]*/[^/]*)?$"}, "namespace/name; * stands for anything."),
    _query("state", _list(_one_of(Outcome)), "In one of these states."),
    _query("id", _list(FILTER_TEXT), "These drains."),
    _query("limit", {"type": "integer", "minimum": 1, "maximum": 5000, "default": 500}, "At most so many."),
]
ENDS = _query("ends", {"type": "string", "enum": ["1"]}, "1: the ends of drained pods, too.")
ID = {"name": "id", "in": "path", "required": True, "schema": TEXT}


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    try:
        release = version("eureka-drain")
    except PackageNotFoundError:
        release = "0"
    always = (401, 403, 503)
    drains = _object(drains=_list(_see("Drain")), more={"type": "integer"})
    plan: Schema = _answers(400, 409, 413, 415, *always, good=_see("Plan"))
    plan["202"] = {"description": "Begun.", "content": {"application/json": {"schema": _see("Execution")}}}
    body = {"required": True, "content": {"application/json": {"schema": _see("ReplayRequest")}}}
    about = "Server-sent events: drain, one a change of state; and end, when a drained pod has ended serving."
    stream = {"description": about, "content": {"text/event-stream": {}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "eureka-drain",
            "version": release,
            "description": "Drains of Kubernetes pods from Eureka: what happened, and how to do it again.",
        },
        "security": [{"token": []}],
        "paths": {
            "/api/v1/regions": {"get": {"responses": _answers(*always, good=_object(regions=_list(_see("Region"))))}},
            "/api/v1/drains": {"get": {"parameters": PARAMETERS, "responses": _answers(400, *always, good=drains)}},
            "/api/v1/drains/{id}": {
                "get": {"parameters": [ID], "responses": _answers(404, *always, good=_see("DrainWithTimeline"))}
            },
            "/api/v1/events": {
                "get": {"parameters": [ENDS], "responses": {**_answers(*always, good={}), "200": stream}}
            },
            "/api/v1/replays": {"post": {"requestBody": body, "responses": plan}},
            "/api/v1/replays/{id}": {
                "get": {"parameters": [ID], "responses": _answers(404, *always, good=_see("Execution"))}
            },
            "/api/v1/openapi.json": {"get": {"responses": _answers(*always, good={"type": "object"})}},
        },
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
