"""What a caller wrote down, read back."""

import pytest

from tests.headline.calls import Call, Kind, parse

SPRING = 'org.springframework.web.client.ResourceAccessException: I/O error on GET request for "http://nothing/"'


def test_a_line_is_a_call_with_the_instance_that_was_chosen() -> None:
    (call,) = parse(["1700000000000\t1700000000012\t127.0.0.9:nothing:8080\t200\n"])
    assert call == Call(1_700_000_000_000, 1_700_000_000_012, "127.0.0.9:nothing:8080", "200")
    assert call.took == 12


def test_whatever_the_exception_says_is_one_outcome() -> None:
    (call,) = parse(["1\t2\t-\ta\tb <- c"])
    assert call.outcome == "a\tb <- c"


ENDINGS = [
    ("200", None),
    ("204", None),
    ("500", Kind.FAILED),
    ("503", Kind.FAILED),
    ("404", Kind.OTHER),
    ("302", Kind.OTHER),
    (
        f"{SPRING}: Connect failed <- org.apache.hc.client5.http.HttpHostConnectException: "
        "Connect to http://127.1.0.2:8080 failed: Connection refused",
        Kind.REFUSED,
    ),
    (f"{SPRING}: null <- java.net.ConnectException <- java.nio.channels.ClosedChannelException", Kind.REFUSED),
    (
        f"{SPRING}: Connect failed <- org.apache.hc.client5.http.ConnectTimeoutException: "
        "Connect to http://127.1.0.2:8080 failed: Connect timed out",
        Kind.TIMED_OUT,
    ),
    (f"{SPRING}: Read timed out <- java.net.SocketTimeoutException: Read timed out", Kind.TIMED_OUT),
    (f"{SPRING}: request timed out <- java.net.http.HttpTimeoutException: request timed out", Kind.TIMED_OUT),
    (f"{SPRING}: Connection reset <- java.net.SocketException: Connection reset", Kind.CLOSED),
    (
        f"{SPRING}: 127.1.0.2:8080 failed to respond <- org.apache.hc.core5.http.NoHttpResponseException: "
        "127.1.0.2:8080 failed to respond",
        Kind.CLOSED,
    ),
    (f"{SPRING}: closed <- org.apache.hc.core5.http.ConnectionClosedException: Connection is closed", Kind.CLOSED),
    ("java.lang.IllegalStateException: No instances available for nothing", Kind.NO_INSTANCE),
    ("java.lang.IllegalArgumentException: something else", Kind.OTHER),
]


@pytest.mark.parametrize(("outcome", "kind"), ENDINGS)
def test_only_success_is_not_lost_and_each_loss_has_its_kind(outcome: str, kind: Kind | None) -> None:
    assert Call(1, 2, "one", outcome).lost == kind
