"""Annotations are hostile until they are read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.bounds import MAX_VALUE_LENGTH
from controller.domain.addressing import is_region_name, unaddressable
from controller.domain.annotations import (
    KNOWN,
    AnnotationError,
    PodAnnotations,
    annotated_regions,
    is_enabled,
    read_annotations,
    render,
)
from tests.unit.building import a_pod

hostile = st.text(max_size=80) | st.sampled_from(
    [
        "{",
        "}",
        "{}",
        "{{app}}",
        "{app",
        "{port}",
        "..",
        "../../",
        "%2e%2e",
        "a/b",
        "\u202e",
        "\x1b[2J",
        "\ud800",
        "{ip}/..",
    ]
)


def test_a_pod_without_annotations_is_read_as_defaults() -> None:
    assert read_annotations(a_pod()) == PodAnnotations()


def test_good_annotations_are_read() -> None:
    notes = {"app": " orders ", "instance-id": "{hostname}:{app}:{port}", "port": "9090", "retention": "90s"}
    assert read_annotations(a_pod(annotations=notes)) == PodAnnotations(
        app="ORDERS", instance_id="orders-0:orders:9090", port=9090, retention=timedelta(seconds=90)
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("app", ""),
        ("app", "   "),
        ("app", "a/b"),
        ("app", ".."),
        ("app", "x" * 600),
        ("instance-id", ""),
        ("instance-id", "."),
        ("instance-id", ".."),
        ("instance-id", "../../apps/OTHER"),
        ("instance-id", "a\\b"),
        ("instance-id", "a\x00b"),
        ("instance-id", "{secret}"),
        ("instance-id", "{}"),
        ("instance-id", "{app}"),
        ("instance-id", "{pod.__class__}"),
        ("port", ""),
        ("port", "0"),
        ("port", "-1"),
        ("port", "65536"),
        ("port", "http"),
        ("port", "８０８０"),
        ("port", "8080.0"),
        ("port", "9" * 1000),
        ("retention", ""),
        ("retention", "5"),
        ("retention", "-5m"),
        ("retention", "forever"),
        ("retention", "9999d"),
        ("instance-id", "x" * (MAX_VALUE_LENGTH + 1)),
        ("enabled", "x" * (MAX_VALUE_LENGTH + 1)),
    ],
)
def test_a_broken_annotation_is_named_in_one_short_printable_line(name: str, value: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        read_annotations(a_pod(annotations={name: value}))
    text = str(caught.value)
    assert f"eureka.drain/{name}" in text
    assert text.isprintable()
    assert len(text) < 400


@given(st.dictionaries(st.sampled_from(KNOWN), hostile), st.sampled_from([(), (8080,), (8080, 9090)]))
def test_any_annotations_are_addressable_or_an_annotations_error(notes: dict[str, str], ports: tuple[int, ...]) -> None:
    pod = a_pod(annotations=notes, ports=ports)
    try:
        annotations = read_annotations(pod)
    except AnnotationError:
        return
    assert annotations.app == "" or unaddressable(annotations.app) is None
    assert annotations.instance_id == "" or unaddressable(annotations.instance_id) is None
    assert ("instance-id" in notes) == bool(annotations.instance_id)
    assert annotations.port is None or 0 < annotations.port < 65_536


def test_an_app_is_checked_as_it_will_be_used_in_upper_case() -> None:
    # Some letters become three of them: what is addressable as written need not be so as the server keeps it.
    try:
        annotations = read_annotations(a_pod(annotations={"app": "ΐ" * 500}))
    except AnnotationError:
        return
    assert unaddressable(annotations.app) is None


@given(hostile)
def test_any_region_annotation_gives_names_or_an_annotations_error(value: str) -> None:
    try:
        names = annotated_regions(a_pod(annotations={"region": value}))
    except AnnotationError:
        return
    assert names
    assert all(name == "*" or is_region_name(name) for name in names)


@given(hostile)
def test_any_switch_is_true_false_or_an_annotations_error(value: str) -> None:
    try:
        assert is_enabled(a_pod(annotations={"enabled": value})) is (value.strip().lower() == "true")
    except AnnotationError:
        assert value.strip().lower() not in ("true", "false")


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("{hostname}:{app}:{port}", "orders-0:orders:8080"),
        ("{app}:{ip}:{port}", "orders:10.1.0.7:8080"),
        ("{namespace}.{name}", "shop.orders-0"),
        ("fixed", "fixed"),
        ("a}b{", "a}b{"),
    ],
)
def test_a_template_is_filled_from_the_pod(template: str, rendered: str) -> None:
    assert render(template, a_pod(), app="orders", port=None) == rendered


def test_the_annotated_port_goes_before_the_only_declared_one() -> None:
    assert render("{port}", a_pod(), app="", port=9) == "9"


@pytest.mark.parametrize("ports", [(), (8080, 9090)])
def test_a_template_does_not_guess_among_several_ports_or_none(ports: tuple[int, ...]) -> None:
    with pytest.raises(AnnotationError, match="port"):
        render("{app}:{port}", a_pod(ports=ports), app="orders", port=None)


def test_what_a_pod_writes_is_not_taken_for_a_template_again() -> None:
    assert render("{app}", a_pod(), app="{ip}", port=None) == "{ip}"


def test_a_template_may_take_the_app_from_the_pods_label() -> None:
    pod = a_pod(app_label="orders", annotations={"instance-id": "{hostname}:{app}:{port}"})
    assert read_annotations(pod).instance_id == "orders-0:orders:8080"
