"""Signing in with a browser: the cookie, where it leads afterwards, and how often one may guess."""

from __future__ import annotations

import asyncio
from http.cookies import SimpleCookie
from typing import Any

import pytest

from controller.errors import KubernetesError
from controller.ops.auth import session_store
from controller.ops.auth.credentials import COOKIE, HOST_COOKIE
from controller.ops.auth.session import local_path
from controller.ops.auth.session_store import SESSION_LIFE, SessionStore
from controller.ops.auth.token_rate import MAX_PEER_TOKENS
from tests.stack.waiting import until
from tests.unit.authorizer_app import ANA, BOB, EVE, VIEWER, AuthorizerApp, authorizer_app


async def sign_in(app: AuthorizerApp, token: str, **options: Any) -> tuple[int, str]:
    return await app.post("/sign-in", data={"token": token}, allow_redirects=False, **options)


@pytest.mark.parametrize(("forwarded", "name"), [("http", COOKIE), ("https", HOST_COOKIE)])
async def test_a_right_token_becomes_a_cookie_hidden_from_scripts_and_others(forwarded: str, name: str) -> None:
    async with authorizer_app() as app:
        form = {"token": f" {ANA}\n", "next": "/drains?state=failed"}
        came = {"X-Forwarded-Proto": forwarded}
        async with app.client.post("/sign-in", data=form, allow_redirects=False, headers=came) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/drains?state=failed")
            [morsel] = SimpleCookie(answer.headers["Set-Cookie"]).values()
        assert (morsel.key, morsel["path"], morsel["domain"]) == (name, "/", "")
        assert (morsel["httponly"], morsel["samesite"], morsel["max-age"]) == (True, "Strict", "28800")
        assert bool(morsel["secure"]) is (forwarded == "https")
        assert await app.get(headers=came | {"Cookie": f"{name}={morsel.value}"}) == (200, "ana")
        # The other name is nobody's: a cookie that was set over http opens nothing over https.
        other = COOKIE if name == HOST_COOKIE else HOST_COOKIE
        assert (await app.get(headers=came | {"Cookie": f"{other}={morsel.value}"}))[0] == 401


async def test_what_the_browser_holds_is_no_token_and_differs_each_time() -> None:
    async with authorizer_app() as app:
        names = set()
        for _ in range(3):
            async with app.client.post("/sign-in", data={"token": ANA}, allow_redirects=False) as answer:
                [morsel] = SimpleCookie(answer.headers["Set-Cookie"]).values()
                assert ANA not in str(answer.headers)
            names.add(morsel.value)
            assert (await app.get(headers={"Authorization": f"Bearer {morsel.value}"}))[0] == 401
        assert len(names) == 3
        assert all(len(name) >= 43 for name in names)


async def test_a_session_ends_with_its_token_by_itself_and_at_the_sign_out() -> None:
    async with authorizer_app() as app:
        ended, left, old = app.cookie(ANA), app.cookie(BOB), app.cookie(VIEWER)
        del app.checker.rights[ANA]
        assert (await app.get(headers=ended))[0] == 401
        assert (await app.get(headers=left))[0] == 200
        assert (await app.post("/sign-out", headers=left, allow_redirects=False))[0] == 303
        assert (await app.get(headers=left))[0] == 401
        app.clock.now += SESSION_LIFE.total_seconds()
        assert (await app.get(headers=old))[0] == 401


def test_sessions_are_bounded_for_each_user_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_store, "MAX_SESSIONS", 6)
    monkeypatch.setattr(session_store, "MAX_SESSIONS_PER_USER", 4)
    sessions = SessionStore(lambda: 0.0)
    first = sessions.open("t", "bob")
    names = [sessions.open("t", "ana") for _ in range(6)]
    assert [sessions.token(name) for name in names] == [None, None, "t", "t", "t", "t"]
    assert sessions.token(first) == "t"
    others = [sessions.open("t", name) for name in ("cy", "di")]
    assert [sessions.token(name) for name in (first, *others)] == [None, "t", "t"]


@pytest.mark.parametrize("token", ["a=b+c/d~e==", 'a";\\,odd', "!#$%&'*^`|{}[]()<>@?:", "x" * 9_000])
async def test_a_token_of_any_visible_characters_signs_in(token: str) -> None:
    async with authorizer_app() as app:
        app.checker.rights[f"ana-{token}"] = {"get"}
        assert (await sign_in(app, f"ana-{token}"))[0] == 303


@pytest.mark.parametrize(
    ("token", "status"),
    [("wrong", 401), ("", 401), ("two words", 401), ("\u00fc", 401), ("x" * 16_385, 401), (EVE, 403)],
)
async def test_a_wrong_token_shows_the_page_again_with_what_is_wrong(token: str, status: int) -> None:
    async with authorizer_app() as app:
        data = {"token": token, "next": "/drains"}
        async with app.client.post("/sign-in", data=data, allow_redirects=False) as answer:
            assert answer.status == status
            assert "Set-Cookie" not in answer.headers
            text = await answer.text()
        assert text.startswith("/drains ")
        assert not token or token not in text


async def test_an_api_server_that_cannot_answer_is_no_wrong_token() -> None:
    async with authorizer_app() as app:
        app.checker.trouble = KubernetesError("down")
        for _ in range(12):
            assert (await sign_in(app, ANA))[0] == 503
        app.checker.trouble = None
        assert (await sign_in(app, ANA))[0] == 303


async def test_too_many_wrong_tokens_keep_out_whom_nobody_knows_yet() -> None:
    async with authorizer_app() as app:
        assert (await sign_in(app, ANA))[0] == 303
        statuses = [(await sign_in(app, f"guess-{number}"))[0] for number in range(50)]
        assert (statuses.count(401), statuses.count(429)) == (MAX_PEER_TOKENS, 50 - MAX_PEER_TOKENS)
        async with app.client.post("/sign-in", data={"token": BOB}, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        assert (await sign_in(app, VIEWER))[0] == 303
        assert (await sign_in(app, ANA))[0] == 303
        app.clock.now += 1
        assert (await sign_in(app, BOB))[0] == 303


async def test_right_tokens_use_up_nothing() -> None:
    async with authorizer_app() as app:
        assert {(await sign_in(app, VIEWER))[0] for _ in range(50)} == {303}
        for number in range(50):
            app.checker.rights[f"ana-{number}"] = {"get"}
            assert (await sign_in(app, f"ana-{number}"))[0] == 303


async def test_guesses_at_the_same_time_are_counted_before_they_are_checked() -> None:
    async with authorizer_app() as app:
        app.checker.go_on.clear()
        guesses = [asyncio.create_task(sign_in(app, f"guess-{number}")) for number in range(50)]
        await until(lambda: sum(guess.done() for guess in guesses) == 50 - MAX_PEER_TOKENS, "those that are too many")
        app.checker.go_on.set()
        statuses = [status for status, _ in await asyncio.gather(*guesses)]
        assert (statuses.count(401), statuses.count(429)) == (MAX_PEER_TOKENS, 50 - MAX_PEER_TOKENS)
        assert len(app.checker.asked) == MAX_PEER_TOKENS


async def test_another_sites_form_signs_nobody_in_or_out() -> None:
    async with authorizer_app() as app:
        for path in ("/sign-in", "/sign-out"):
            elsewhere = {"Origin": "https://evil.example"}
            async with app.client.post(path, data={"token": VIEWER}, headers=elsewhere) as answer:
                assert answer.status == 403
                assert "Set-Cookie" not in answer.headers


async def test_signing_out_deletes_the_cookie() -> None:
    async with (
        authorizer_app() as app,
        app.client.post("/sign-out", allow_redirects=False, headers=app.cookie(ANA)) as answer,
    ):
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        [morsel] = SimpleCookie(answer.headers["Set-Cookie"]).values()
        assert (morsel.key, morsel.value, morsel["max-age"], morsel["path"]) == (COOKIE, "", "0", "/")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"token=" + b"x" * 33_000, "application/x-www-form-urlencoded", 413),
        (b"token=\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"&".join([b"a=b"] * 50), "application/x-www-form-urlencoded", 400),
        (b'{"token": "x"}', "application/json", 415),
        (b"", "multipart/form-data; boundary=x", 415),
        (b"token", "application/x-www-form-urlencoded", 401),
    ],
)
async def test_a_form_that_is_none_is_refused(body: bytes, kind: str, status: int) -> None:
    async def in_chunks() -> Any:
        yield body

    async with authorizer_app() as app:
        for data in (body, in_chunks()):
            assert (await app.post("/sign-in", data=data, headers={"Content-Type": kind}))[0] == status


@pytest.mark.parametrize("path", ["/", "/drains", "/drains/a%20b?x=1&y=%2F#part", "/api/v1/drains?since=2h"])
def test_a_path_of_ours_is_gone_to(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "drains",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/..//evil.example",
        "/.//evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/a\r\nSet-Cookie: x=y",
        "/\x00",
        "/a b",
        "/\u2028",
        "/\uff0fevil.example",
        " /drains",
        "/?next=https://evil.example",
        "/" + "x" * 3_000,
    ],
)
async def test_a_path_that_may_lead_elsewhere_leads_to_the_first_page(path: str) -> None:
    assert local_path(path) == "/"
    async with authorizer_app() as app:
        form = {"token": VIEWER, "next": path}
        async with app.client.post("/sign-in", data=form, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/")
