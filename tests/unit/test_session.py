"""Signing in with a browser: the cookie, where it leads afterwards, and how often one may guess."""

from __future__ import annotations

import asyncio
from http.cookies import SimpleCookie
from typing import Any

import pytest

from controller.errors import KubernetesError
from controller.ops.auth.session import local_path
from tests.stack.waiting import until
from tests.unit.authorizer_app import ANA, EVE, VIEWER, AuthorizerApp, authorizer_app, cookie


async def sign_in(app: AuthorizerApp, token: str, **options: Any) -> tuple[int, str]:
    return await app.post("/sign-in", data={"token": token}, allow_redirects=False, **options)


@pytest.mark.parametrize("forwarded", ["http", "https"])
async def test_a_right_token_becomes_a_cookie_hidden_from_scripts_and_others(forwarded: str) -> None:
    async with authorizer_app() as app:
        form = {"token": f" {ANA}\n", "next": "/drains?state=failed"}
        headers = {"X-Forwarded-Proto": forwarded}
        async with app.client.post("/sign-in", data=form, allow_redirects=False, headers=headers) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/drains?state=failed")
            [morsel] = SimpleCookie(answer.headers["Set-Cookie"]).values()
        assert (morsel.key, morsel.value, morsel["path"]) == ("eureka-drain-token", ANA, "/")
        assert (morsel["httponly"], morsel["samesite"], morsel["max-age"]) == (True, "Strict", "28800")
        assert bool(morsel["secure"]) is (forwarded == "https")
        assert await app.get(headers=cookie(ANA)) == (200, "ana")


@pytest.mark.parametrize(
    "token", ["a-token-with=equal+signs/and~more==", 'a";\\,token-that-is-odd', "!#$%&'*^`|{}[]()<>@?:"]
)
async def test_every_token_comes_back_as_it_was_set(token: str) -> None:
    async with authorizer_app(viewer_token=token) as app:
        async with app.client.post("/sign-in", data={"token": token}, allow_redirects=False) as answer:
            pair = answer.headers["Set-Cookie"].partition("; ")[0]
        assert await app.get(headers={"Cookie": pair}) == (200, "viewer token")


@pytest.mark.parametrize(
    ("token", "status"),
    [("wrong", 401), ("", 401), ("two words", 401), ("\u00fc", 401), ("x" * 3_501, 401), (EVE, 403)],
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


async def test_ten_wrong_tokens_in_a_minute_and_no_more_not_even_the_right_one() -> None:
    async with authorizer_app() as app:
        for number in range(10):
            app.clock.now += 1
            assert (await sign_in(app, f"guess-{number}"))[0] == 401
        assert (await sign_in(app, EVE))[0] == 429
        async with app.client.post("/sign-in", data={"token": VIEWER}, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "51")
        assert len(app.checker.asked) == 10
        app.clock.now += 51
        assert (await sign_in(app, VIEWER))[0] == 303


async def test_right_tokens_use_up_no_attempts() -> None:
    async with authorizer_app() as app:
        assert {(await sign_in(app, VIEWER))[0] for _ in range(15)} == {303}
        assert {(await sign_in(app, EVE))[0] for _ in range(15)} == {403}


async def test_guesses_at_the_same_time_are_counted_before_they_are_checked() -> None:
    async with authorizer_app() as app:
        app.checker.go_on.clear()
        guesses = [asyncio.create_task(sign_in(app, f"guess-{number}")) for number in range(30)]
        await until(lambda: sum(guess.done() for guess in guesses) == 20, "those that are too many")
        app.checker.go_on.set()
        statuses = [status for status, _ in await asyncio.gather(*guesses)]
        assert (statuses.count(401), statuses.count(429)) == (10, 20)
        assert len(app.checker.asked) == 10


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
        app.client.post("/sign-out", allow_redirects=False, headers=cookie(ANA)) as answer,
    ):
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        [morsel] = SimpleCookie(answer.headers["Set-Cookie"]).values()
        assert (morsel.key, morsel.value, morsel["max-age"], morsel["path"]) == ("eureka-drain-token", "", "0", "/")


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
