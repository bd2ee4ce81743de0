"""What can be put into a registry's URL: the table of "Ids in a URL", measured on a real server."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from controller.domain.addressing import MAX_SEGMENT_LENGTH, is_region_name, unaddressable


@pytest.mark.parametrize(
    "segment",
    [
        "10.0.0.1:orders:8080",
        "a b",
        "100%",
        "a#b",
        "a?b",
        "a;b",
        "a&b",
        "a+b",
        "[::1]:orders",
        'say "x"',
        "bücher-日本",
        "a%2Fb",
        "...",
        ".hidden",
        "x" * MAX_SEGMENT_LENGTH,
    ],
)
def test_what_works_as_one_quoted_segment_is_addressable(segment: str) -> None:
    assert unaddressable(segment) is None


@pytest.mark.parametrize(
    ("segment", "why"),
    [
        ("", "empty"),
        ("a/b", "'/'"),
        ("/", "'/'"),
        ("a\\b", "servlet"),
        (".", "another URL"),
        ("..", "another URL"),
        ("a\nb", "control"),
        ("a\x00", "control"),
        ("\x7f", "control"),
        ("a\x85b", "control"),
        ("a\ud800b", "control"),
        ("x" * (MAX_SEGMENT_LENGTH + 1), "longer than"),
    ],
)
def test_what_would_hit_another_url_or_none_is_refused_with_its_reason(segment: str, why: str) -> None:
    assert why in (unaddressable(segment) or "")


@given(st.text(max_size=40).filter(lambda text: unaddressable(text) is None))
def test_an_addressable_text_is_one_segment_all_the_way(segment: str) -> None:
    url = URL(f"http://eureka:8761/eureka/apps/APP/{quote(segment, safe='')}/status", encoded=True)
    assert urlsplit(str(url)).path.count("/") == 5
    assert url.parts[-2] == segment


@pytest.mark.parametrize("name", ["eu", "eu-west-1", "1", "a" * 63, "a--b"])
def test_a_region_is_named_in_lower_case_letters_digits_and_inner_hyphens(name: str) -> None:
    assert is_region_name(name)


@pytest.mark.parametrize(
    "name", ["", "EU", "eu.west", "eu_west", "-eu", "eu-", "a" * 64, "*", "#", "eu\n", "eu west", "é"]
)
def test_what_could_bend_a_routing_key_is_no_region(name: str) -> None:
    assert not is_region_name(name)


@given(st.from_regex("[a-z0-9]{0,20}", fullmatch=True), st.sampled_from(".*# \r\n/é"), st.sampled_from(["", "a"]))
def test_a_region_name_is_always_one_word_of_a_routing_key(before: str, other: str, after: str) -> None:
    assert not is_region_name(before + other + after)
