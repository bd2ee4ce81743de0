"""Which clients asked a Eureka node, and for what, by its access log."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.headline.eureka_load import count, per_second, read
from tests.stack.processes import ProcessError


def line(at: int, method: str, where: str, who: str | None, status: int = 200) -> str:
    given = "-" if who is None else f"Basic {base64.b64encode(f'{who}:none'.encode()).decode()}"
    return f"{at} {method} {where} {status} {given}"


def test_requests_are_counted_by_who_asked_and_what_for() -> None:
    lines = [
        line(10, "GET", "/eureka/apps/", "tuned.caller"),
        line(20, "GET", "/eureka/apps/delta", "tuned.caller"),
        line(20, "PUT", "/eureka/apps/TUNED/127.0.0.9:tuned:8080", "tuned.service"),
        line(20, "POST", "/eureka/apps/TUNED", "tuned.service", 204),
        line(20, "DELETE", "/eureka/apps/TUNED/127.0.0.9:tuned:8080", "tuned.service"),
        line(20, "PUT", "/eureka/apps/TUNED/127.0.0.9:tuned:8080/status", "tuned.service"),
    ]
    assert count(lines, 10, 20) == {
        ("tuned.caller", "fetch"): 2,
        ("tuned.service", "heartbeat"): 1,
        ("tuned.service", "other"): 3,
    }


def test_what_came_before_or_after_and_who_gave_no_name_are_left_out() -> None:
    lines = [
        line(9, "GET", "/eureka/apps/delta", "tuned.caller"),
        line(21, "GET", "/eureka/apps/delta", "tuned.caller"),
        line(15, "GET", "/eureka/apps/TUNED/one", None),
        "15 GET /eureka/apps/delta 200 Basic %%%",
        "15 GET /eureka/apps/delta 200 Bearer abc",
    ]
    assert count(lines, 10, 20) == {}


def test_rates_are_by_what_was_asked_and_in_all() -> None:
    counted = {
        ("a.caller", "fetch"): 20,
        ("b.caller", "fetch"): 10,
        ("b.caller", "other"): 1,
        ("c.caller", "fetch"): 99,
    }
    assert per_second(counted, {"a.caller"}, 10) == {"fetch": 2.0, "all": 2.0}
    rates = per_second(counted, {"a.caller", "b.caller"}, 20)
    assert rates == {"fetch": 1.5, "other": 0.05, "all": pytest.approx(1.55)}
    assert per_second(counted, {"nobody"}, 10) == {"all": 0}


def test_the_logs_of_all_nodes_are_read_and_their_absence_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="no Eureka node has written an access log below"):
        read(tmp_path)
    for port in ("1", "2"):
        (tmp_path / f"access-{port}").mkdir()
        (tmp_path / f"access-{port}" / "access_log.log").write_text(f"line of {port}\n")
    assert read(tmp_path) == ["line of 1", "line of 2"]
