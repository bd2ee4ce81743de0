"""Reasons have a code that can be counted and a text for people."""

from __future__ import annotations

import pytest

from controller.domain.reason import Reason, ReasonCode, combine


def test_a_reason_reads_as_its_text_or_as_its_code() -> None:
    assert str(Reason(code=ReasonCode.denied, detail="HTTP 403 to PUT")) == "HTTP 403 to PUT"
    assert str(Reason(code=ReasonCode.still_in_service)) == "still in service"


def test_a_code_of_a_newer_version_is_read_as_other() -> None:
    assert ReasonCode("invented_next_year") is ReasonCode.other


@pytest.mark.parametrize(
    ("codes", "counts"),
    [
        (["unreachable", "denied"], "denied"),
        (["still_in_service", "bad_answer"], "bad_answer"),
        (["still_in_service", "unreachable", "bad_answer"], "unreachable"),
        (["taken_over"], "taken_over"),
    ],
)
def test_where_nodes_differ_what_retries_help_least_counts(codes: list[str], counts: str) -> None:
    joined = combine([Reason(code=ReasonCode(code), detail=code) for code in codes])
    assert (joined.code, joined.detail) == (ReasonCode(counts), "; ".join(codes))
