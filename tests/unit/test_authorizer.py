"""Which requests are let in: by header, by cookie, from which page; and for how long that is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
from loguru import logger
from multidict import CIMultiDict
from pydantic import SecretStr

from controller.errors import KubernetesError
from controller.ops.auth import decision_cache, token_rate
from controller.ops.auth.authorizer import Permission
from controller.ops.auth.credentials import COOKIE
from controller.ops.auth.refusals import TooManyAttemptsError
from controller.ops.auth.token_rate import MAX_PEER_TOKENS, MAX_TOKENS, TokenRate
from controller.settings import OpsSettings
from tests.stack.waiting import until
from tests.unit.authorizer_app import ANA, BOB, EVE, OPERATOR, VIEWER, AuthorizerApp, Clock, authorizer_app, bearer


@pytest.mark.parametrize(
    ("token", "read", "write"),
    [
        (VIEWER, (200, "viewer token"), 403),
        (OPERATOR, (200, "operator token"), 200),
        (ANA, (200, "ana"), 200),
        (BOB, (200, "bob"), 403),
        (EVE, (403, ""), 403),
        ("nobodys-token-at-all", (401, ""), 401),
        (VIEWER[:-1], (401, ""), 401),
        (VIEWER.upper(), (401, ""), 401),
    ],
)
async def test_a_token_opens_what_its_user_may_do(token: str, read: tuple[int, str], write: int) -> None:
    async with authorizer_app() as app:
        status, text = await app.get(headers=bearer(token))
        assert (status, text if status == 200 else "") == read
        status, text = await app.post(headers=bearer(token))
        assert status == write
        assert token not in text


async def test_the_tokens_of_the_settings_never_reach_the_api_server() -> None:
    async with authorizer_app() as app:
        for token in (VIEWER, OPERATOR):
            await app.get(headers=bearer(token))
            await app.post(headers=bearer(token))
        assert app.checker.asked == []


async def test_without_kubernetes_only_the_tokens_of_the_settings_open() -> None:
    async with authorizer_app(kubernetes=False) as app:
        assert (await app.get(headers=bearer(ANA)))[0] == 401
        assert (await app.get(headers=bearer(VIEWER)))[0] == 200
        assert app.checker.asked == []


async def test_renewed_tokens_open_at_once_and_the_old_ones_open_nothing_more() -> None:
    new_viewer, new_operator = "the-next-viewer-token", "the-next-operator-token"
    async with authorizer_app() as app:
        assert (await app.get(headers=bearer(new_viewer)))[0] == 401
        app.authorizer.rotate_credentials(
            OpsSettings(viewer_token=SecretStr(new_viewer), operator_token=SecretStr(new_operator))
        )
        assert await app.get(headers=bearer(new_viewer)) == (200, "viewer token")
        assert (await app.post(headers=bearer(new_operator)))[0] == 200
        for old in (VIEWER, OPERATOR):
            assert (await app.get(headers=bearer(old)))[0] == 401
            assert (await app.get(headers=app.cookie(old)))[0] == 401
        app.authorizer.rotate_credentials(OpsSettings())
        assert (await app.get(headers=bearer(new_viewer)))[0] == 401


async def test_an_empty_token_in_the_settings_opens_nothing() -> None:
    cookies = [{"Cookie": f"{COOKIE}={value}"} for value in ("", '""', VIEWER)]
    async with authorizer_app(viewer_token="", operator_token="") as app:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer"}, *cookies, app.cookie("")):
            assert (await app.get(headers=headers))[0] == 401


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (f"Bearer {VIEWER}", 200),
        (f"bearer {VIEWER}", 200),
        (f"BEARER   {VIEWER}", 200),
        (f"Bearer {VIEWER}  ", 200),
        (VIEWER, 401),
        ("", 401),
        ("Bearer", 401),
        (f"Bearer{VIEWER}", 401),
        (f"Bearer {VIEWER} {VIEWER}", 401),
        (f"Bearer {VIEWER}, Bearer {VIEWER}", 401),
        (f"Bearer\t{VIEWER}", 401),
        (f"Basic {VIEWER}", 401),
        (f"Bearer {VIEWER}\u00e9", 401),
        (f"Bearer {'x' * (16 * 1024)}", 401),
        (f"Bearer {'x' * (16 * 1024 + 1)}", 401),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_the_forms_of_the_authorization_header(value: str, status: int) -> None:
    async with authorizer_app() as app:
        assert (await app.get(headers={"Authorization": value}))[0] == status
        # Neither a space nor a second word of it was sent on.
        assert all(len(token) <= 16 * 1024 and token.isprintable() and " " not in token for token in app.checker.asked)


async def test_a_header_that_no_server_reads_is_refused_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with authorizer_app() as app:
        for token in ("s3cr3t" * 10_000, "s3cr3t\x01"):
            reader, writer = await asyncio.open_connection(app.client.host, app.client.port)
            writer.write(f"GET /read HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            assert (await reader.readline()).split()[1] == b"400"
            writer.close()
    assert "s3cr3t" not in caplog.text


async def test_two_authorization_headers_are_refused() -> None:
    async with authorizer_app() as app:
        headers = CIMultiDict([("Authorization", f"Bearer {VIEWER}"), ("Authorization", f"Bearer {OPERATOR}")])
        assert (await app.get(headers=headers))[0] == 401


async def test_a_header_goes_before_the_cookie_even_if_it_is_wrong() -> None:
    async with authorizer_app() as app:
        assert await app.get(headers=bearer(VIEWER) | app.cookie(OPERATOR)) == (200, "viewer token")
        assert (await app.get(headers=bearer("wrong") | app.cookie(OPERATOR)))[0] == 401
        assert (await app.get(headers={"Authorization": "Basic eDp5"} | app.cookie(OPERATOR)))[0] == 401


async def test_a_refusal_says_how_to_sign_in_and_is_json() -> None:
    async with authorizer_app() as app, app.client.get("/read") as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "Authorization: Bearer" in (await answer.json())["error"]


@pytest.mark.parametrize("anonymous_read", [False, True])
async def test_anybody_may_read_only_if_set_so_and_never_write(anonymous_read: bool) -> None:
    async with authorizer_app(anonymous_read=anonymous_read) as app:
        assert (await app.get())[0] == (200 if anonymous_read else 401)
        assert (await app.post())[0] == 401
        assert (await app.get("/offer"))[1] == "False"


async def test_with_anonymous_read_a_stale_cookie_is_ignored_a_wrong_header_not() -> None:
    async with authorizer_app(anonymous_read=True) as app:
        for worthless in (app.cookie("expired-token"), app.cookie(EVE), app.cookie("\u00fc")):
            assert await app.get(headers=worthless) == (200, "anonymous")
        assert await app.get(headers=app.cookie(BOB)) == (200, "bob")
        app.checker.trouble = KubernetesError("down")
        assert await app.get(headers=app.cookie("another-token")) == (200, "anonymous")
        assert (await app.get(headers=bearer("expired-token")))[0] == 401


async def test_a_page_offers_to_write_only_to_whom_may() -> None:
    async with authorizer_app() as app:
        for token, offered in ((OPERATOR, "True"), (ANA, "True"), (BOB, "False"), (VIEWER, "False"), ("no", "False")):
            assert (await app.get("/offer", headers=app.cookie(token)))[1] == offered


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
async def test_only_a_post_writes(method: str) -> None:
    async with authorizer_app() as app, app.client.request(method, "/write", headers=bearer(OPERATOR)) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


HERE = {"Host": "drain.example:8080"}
ORIGINS: list[tuple[dict[str, str], dict[str, Any], int, int]] = [
    # what the browser says, settings, with the header, with the cookie
    ({}, {}, 200, 403),
    ({"Origin": "http://drain.example:8080"}, {}, 200, 200),
    ({"Origin": "HTTP://Drain.Example:8080"}, {}, 200, 200),
    ({"Sec-Fetch-Site": "same-origin"}, {}, 200, 200),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "http://drain.example:8080"}, {}, 200, 200),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"}, {}, 403, 403),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "http://drain.example:8080"}, {}, 403, 403),
    ({"Sec-Fetch-Site": "same-site"}, {}, 403, 403),
    ({"Sec-Fetch-Site": "none"}, {}, 403, 403),
    ({"Origin": "null"}, {}, 403, 403),
    ({"Origin": ""}, {}, 403, 403),
    ({"Origin": "http://drain.example"}, {}, 403, 403),
    ({"Origin": "https://drain.example:8080"}, {}, 403, 403),
    ({"Origin": "http://drain.example:8080.evil.example"}, {}, 403, 403),
    ({"Origin": "http://drain.example:8080@evil.example"}, {}, 403, 403),
    ({"Origin": "http://evil.example/http://drain.example:8080"}, {}, 403, 403),
    ({"Origin": "http://drain.example:8080/"}, {}, 403, 403),
    ({"Origin": "http://drain.example:port"}, {}, 403, 403),
    ({"Origin": "ftp://drain.example:8080"}, {}, 403, 403),
    ({"Host": "drain.example", "Origin": "http://drain.example"}, {}, 200, 200),
    ({"Host": "drain.example:80", "Origin": "http://drain.example"}, {}, 200, 200),
    ({"Host": "[::1]:8080", "Origin": "http://[::1]:8080"}, {}, 200, 200),
    (
        {"Origin": "https://public.example", "X-Forwarded-Host": "public.example", "X-Forwarded-Proto": "https"},
        {},
        403,
        403,
    ),
    (
        {"Origin": "https://public.example", "X-Forwarded-Host": "public.example", "X-Forwarded-Proto": "https"},
        {"trust_forwarded": True},
        200,
        200,
    ),
    (
        {"Origin": "https://drain.example:8080", "X-Forwarded-Proto": "https, http"},
        {"trust_forwarded": True},
        200,
        200,
    ),
    (
        {"Origin": "http://drain.example:8080", "X-Forwarded-Host": "public.example"},
        {"trust_forwarded": True},
        403,
        403,
    ),
]


@pytest.mark.parametrize(("says", "settings", "with_header", "with_cookie"), ORIGINS, ids=str)
async def test_a_write_comes_from_our_own_page_or_from_no_browser(
    says: dict[str, str], settings: dict[str, Any], with_header: int, with_cookie: int
) -> None:
    async with authorizer_app(**settings) as app:
        assert (await app.post(headers=HERE | says | bearer(OPERATOR)))[0] == with_header
        assert (await app.post(headers=HERE | says | app.cookie(OPERATOR)))[0] == with_cookie
        # Reading changes nothing, and the browser keeps the answer from the other page.
        assert (await app.get(headers=HERE | says | app.cookie(OPERATOR)))[0] == 200


async def test_two_origins_are_refused() -> None:
    async with authorizer_app() as app:
        origin = f"http://{app.client.host}:{app.client.port}"
        headers = CIMultiDict([("Origin", origin), ("Origin", "http://evil.example"), *bearer(OPERATOR).items()])
        assert (await app.post(headers=headers))[0] == 403
        assert (await app.post(headers=bearer(OPERATOR) | {"Origin": origin}))[0] == 200


async def test_a_write_from_elsewhere_asks_the_api_server_nothing() -> None:
    async with authorizer_app() as app:
        await app.post(headers=app.cookie(ANA) | {"Origin": "http://evil.example"})
        await app.post(headers=app.cookie(ANA))
        assert app.checker.asked == []


async def test_a_yes_is_remembered_for_30_seconds_and_a_no_for_5() -> None:
    async with authorizer_app() as app:
        for after, expected in ((0.0, 200), (29.9, 200), (0.2, 401), (4.9, 401), (0.2, 200)):
            app.clock.now += after
            assert (await app.get(headers=bearer(ANA)))[0] == expected
            # What changes now is noticed when the answer is forgotten.
            if expected == 200:
                app.checker.rights.pop(ANA, None)
            else:
                app.checker.rights[ANA] = {"get"}
        assert app.checker.asked == [ANA] * 3


async def test_reading_and_writing_are_remembered_apart() -> None:
    async with authorizer_app() as app:
        assert (await app.get(headers=bearer(BOB)))[0] == 200
        assert (await app.post(headers=bearer(BOB)))[0] == 403
        assert (await app.get(headers=bearer(BOB)))[0] == 200


async def test_many_requests_at_once_are_one_question() -> None:
    async with authorizer_app() as app:
        app.checker.go_on.clear()
        requests = [asyncio.create_task(app.get(headers=bearer(ANA))) for _ in range(20)]
        await until(lambda: app.checker.asked, "the question")
        await asyncio.sleep(0.1)
        app.checker.go_on.set()
        assert {status for status, _ in await asyncio.gather(*requests)} == {200}
        assert app.checker.asked == [ANA]


async def test_the_others_get_their_answer_although_the_first_goes_away() -> None:
    app = AuthorizerApp()
    app.checker.go_on.clear()

    async def check() -> str:
        return (await app.authorizer.check(ANA, Permission.READ, peer="")).name

    first, second = asyncio.create_task(check()), asyncio.create_task(check())
    await until(lambda: app.checker.asked, "the question")
    first.cancel()
    await asyncio.sleep(0)
    app.checker.go_on.set()
    assert await second == "ana"
    assert app.checker.asked == [ANA]


async def test_an_api_server_that_cannot_answer_is_503_and_asked_again_at_once() -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message} {extra}")
    try:
        async with authorizer_app() as app:
            app.checker.trouble = KubernetesError("HTTP 500: etcd is down")
            for _ in range(3):
                async with app.client.get("/read", headers=bearer(ANA)) as answer:
                    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
                    # What the trouble is, is our business.
                    assert "etcd" not in await answer.text()
            assert len(lines) == 1, "one line, however often somebody asks"
            assert "etcd is down" in lines[0]
            app.checker.trouble = None
            assert (await app.get(headers=bearer(ANA)))[0] == 200
    finally:
        logger.remove(sink)
    assert ANA not in "".join(lines)


async def test_an_api_server_that_hangs_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.ops.auth.authorizer.CHECK_TIMEOUT", 0.05)
    async with authorizer_app() as app:
        app.checker.go_on.clear()
        assert (await app.get(headers=bearer(ANA)))[0] == 503


async def test_what_is_remembered_is_bounded_and_a_yes_outlasts_every_no(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decision_cache, "MAX_DECISIONS", 3)
    async with authorizer_app() as app:
        tokens = [ANA, *(f"guess-{number}" for number in range(9))]
        for token in tokens:
            await app.get(headers=bearer(token))
        assert (len(app.authorizer._decisions._yes), len(app.authorizer._decisions._no)) == (1, 3)
        await app.get(headers=bearer("guess-8"))
        assert await app.get(headers=bearer(ANA)) == (200, "ana")
        assert app.checker.asked == tokens


async def test_a_flood_of_unknown_tokens_keeps_out_nobody_who_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    async with authorizer_app() as app:
        assert (await app.get(headers=bearer(ANA)))[0] == 200
        statuses = [(await app.get(headers=bearer(f"guess-{number}")))[0] for number in range(1_000)]
        assert (statuses.count(401), statuses.count(429)) == (MAX_PEER_TOKENS, 1_000 - MAX_PEER_TOKENS)
        assert len(app.checker.asked) == 1 + MAX_PEER_TOKENS
        app.clock.now += 30.1  # what is remembered of her has to be asked anew
        assert await app.get(headers=bearer(ANA)) == (200, "ana")
        assert (await app.post(headers=bearer(ANA)))[0] == 200
        assert (await app.get(headers=bearer(VIEWER)))[0] == 200
        # Who is not known yet waits for a second, whoever else is at this address.
        for number in range(40):
            await app.get(headers=bearer(f"more-{number}"))
        async with app.client.get("/read", headers=bearer(BOB)) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        app.clock.now += 1
        assert await app.get(headers=bearer(BOB)) == (200, "bob")


async def test_a_yes_that_became_a_no_is_unknown_again() -> None:
    async with authorizer_app() as app:
        assert (await app.get(headers=bearer(ANA)))[0] == 200
        del app.checker.rights[ANA]
        app.clock.now += 30.1
        assert (await app.get(headers=bearer(ANA)))[0] == 401
        for number in range(MAX_PEER_TOKENS):
            await app.get(headers=bearer(f"guess-{number}"))
        app.clock.now += 0.5
        assert (await app.get(headers=bearer(f"{ANA}-2")))[0] == 429


def test_unknown_tokens_are_limited_for_each_address_and_in_all() -> None:
    clock = Clock()
    rate = TokenRate(clock)

    def taken(peers: Iterable[str]) -> int:
        count = 0
        for peer in peers:
            with suppress(TooManyAttemptsError):
                rate.take(peer)
                count += 1
        return count

    assert taken(["a"] * 50) == MAX_PEER_TOKENS
    assert taken(["b"]) == 1
    assert taken(str(number) for number in range(5_000)) == MAX_TOKENS - MAX_PEER_TOKENS - 1
    assert len(rate._peers) == token_rate.MAX_PEERS
    clock.now += 1
    assert taken(str(number) for number in range(5_000)) == token_rate.TOKENS_PER_SECOND
    clock.now += 3_600
    rate.take("a")
    rate.give_back("a")
    assert taken(["a"] * 50) == MAX_PEER_TOKENS


async def test_no_more_than_so_many_unknown_tokens_are_checked_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_cache, "MAX_UNDER_WAY", 2)
    async with authorizer_app() as app:
        assert (await app.get(headers=bearer(ANA)))[0] == 200
        app.clock.now += 30.1
        app.checker.go_on.clear()
        tries = [asyncio.create_task(app.get(headers=bearer(f"guess-{number}"))) for number in range(2)]
        await until(lambda: len(app.checker.asked) == 3, "two under way")
        assert (await app.get(headers=bearer("guess-3")))[0] == 503
        known = asyncio.create_task(app.get(headers=bearer(ANA)))
        await until(lambda: len(app.checker.asked) == 4, "who is known is asked about beside them")
        assert (await app.get(headers=bearer(VIEWER)))[0] == 200
        app.checker.go_on.set()
        assert {status for status, _ in await asyncio.gather(*tries)} == {401}
        assert (await known)[0] == 200


async def test_nothing_that_is_printed_or_kept_holds_a_token() -> None:
    async with authorizer_app() as app:
        for token in (ANA, "guessed-token"):
            await app.get(headers=bearer(token))
            app.cookie(token)
        kept = f"{vars(app.authorizer)} {vars(app.authorizer._decisions)}"
        kept += repr(app.authorizer.sessions._sessions.values())
        for token in (ANA, VIEWER, OPERATOR, "guessed-token"):
            assert token not in kept
