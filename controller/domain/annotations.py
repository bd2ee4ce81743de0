"""Our annotations on a pod. They narrow what is looked for and give a pod no power over what is not its own.

A pod's annotations are hostile until read: whoever may create a pod writes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from controller.bounds import MAX_ANNOTATED_REGIONS, MAX_VALUE_LENGTH
from controller.domain.addressing import is_region_name, unaddressable
from controller.domain.durations import parse_duration
from controller.domain.pods import ANNOTATION_PREFIX, Pod
from controller.domain.reason import Reason, ReasonCode

KNOWN = ("enabled", "app", "instance-id", "port", "region", "retention", "window")
MAX_WINDOW = timedelta(hours=1)
"""As in manifests/components/drain-window: a longer one does not count as said."""

_FIELD = re.compile(r"\{([^{}]*)\}")
TEMPLATE_FIELDS = ("app", "hostname", "ip", "name", "namespace", "port")


class AnnotationError(ValueError):
    """An annotation (or a template of the settings) that cannot be followed. The drain is refused with this reason."""

    def __init__(self, text: str, code: ReasonCode = ReasonCode.invalid_annotation) -> None:
        super().__init__(text)
        self.reason = Reason(code=code, detail=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodAnnotations:
    """What the pod says of its own registration; empty or None where it says nothing."""

    app: str = ""
    instance_id: str = ""
    port: int | None = None
    retention: timedelta | None = None


def _shown(name: str, value: str) -> str:
    return f"annotation {ANNOTATION_PREFIX}{name}={value[:60]!r}"


def read_annotations(pod: Pod) -> PodAnnotations:
    """Read what narrows the search for the pod's instances; AnnotationError names the broken annotation."""
    notes = pod.annotations
    for name, value in notes.items():
        if len(value) > MAX_VALUE_LENGTH and name != "window":
            raise AnnotationError(f"{_shown(name, value)} is longer than {MAX_VALUE_LENGTH} characters")
    app = notes.get("app", "").strip().upper()
    if "app" in notes and (why := unaddressable(app)):
        raise AnnotationError(f"{_shown('app', notes['app'])} {why}")
    port = None
    if "port" in notes:
        text = notes["port"].strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65_536):
            raise AnnotationError(f"{_shown('port', notes['port'])} is not a port from 1 to 65535")
        port = int(text)
    retention = None
    if "retention" in notes:
        try:
            retention = parse_duration(notes["retention"])
        except ValueError as error:
            raise AnnotationError(f"{_shown('retention', notes['retention'])}: {error}") from error
    instance_id = ""
    if "instance-id" in notes:
        try:
            named = notes.get("app", "").strip() or pod.app_label
            instance_id = render(notes["instance-id"].strip(), pod, app=named, port=port)
        except AnnotationError as error:
            raise AnnotationError(f"{_shown('instance-id', notes['instance-id'])}: {error}") from error
        if why := unaddressable(instance_id):
            raise AnnotationError(f"{_shown('instance-id', notes['instance-id'])} {why}")
    return PodAnnotations(app=app, instance_id=instance_id, port=port, retention=retention)


def render(template: str, pod: Pod, *, app: str, port: int | None) -> str:
    """Fill in an instance id's template; AnnotationError when it needs what the pod does not say.

    The port is the annotation's, else the pod's only declared one.
    """
    if port is None and len(pod.ports) == 1:
        port = pod.ports[0]
    values = {
        "app": app,
        "hostname": pod.host_names[0] if pod.host_names else "",
        "ip": pod.ip,
        "name": pod.name,
        "namespace": pod.namespace,
        "port": "" if port is None else str(port),
    }

    def fill(match: re.Match[str]) -> str:
        field = match[1]
        if field not in values:
            raise AnnotationError(f"unknown field {{{field[:40]}}}; known are {', '.join(TEMPLATE_FIELDS)}")
        if not values[field]:
            raise AnnotationError(f"the template needs {{{field}}}, which the pod does not have")
        return values[field]

    return _FIELD.sub(fill, template)


def annotated_window(pod: Pod) -> timedelta | None:
    """For how long the pod says that it is called after OUT_OF_SERVICE; None where it says nothing.

    What cannot be followed counts as not said, as the policy that injects the window has it: it must not stop a drain.
    ``off`` says that no hook is wanted, and nothing of the callers.
    """
    return window_in(pod.annotations.get("window", ""))


def window_in(text: str) -> timedelta | None:
    """Read a window as the policy does that injects it; None for what cannot be followed, and for ``off``."""
    try:
        window = parse_duration(text)
    except ValueError:
        return None
    return window if window <= MAX_WINDOW else None


def is_enabled(pod: Pod) -> bool:
    """Whether the pod wants to be drained; AnnotationError when it says neither true nor false."""
    value = pod.annotations.get("enabled", "true")
    said = value.strip().lower()
    if said not in ("true", "false"):
        raise AnnotationError(f"{_shown('enabled', value)} is neither true nor false")
    return said == "true"


def annotated_regions(pod: Pod) -> tuple[str, ...]:
    """Return the regions that the pod names, ``*`` as it is; AnnotationError for what cannot be a region."""
    value = pod.annotations.get("region")
    if value is None:
        return ()
    names = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    if not names:
        raise AnnotationError(f"{_shown('region', value)} names no region")
    if len(names) > MAX_ANNOTATED_REGIONS:
        text = f"names {len(names)} regions; more than {MAX_ANNOTATED_REGIONS} is not believed"
        raise AnnotationError(f"{_shown('region', value)} {text}")
    for name in names:
        if name != "*" and not is_region_name(name):
            raise AnnotationError(f"{_shown('region', value)}: {name[:60]!r} cannot be a region's name")
    return names
