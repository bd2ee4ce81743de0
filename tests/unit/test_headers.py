"""What every answer carries, and how long it may take."""

from __future__ import annotations

import pytest

from tests.unit.authorizer_app import VIEWER, authorizer_app, bearer

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/read", 200), ("/write", 405), ("/offer", 200), ("/stream", 200), ("/broken", 500), ("/nowhere", 404)],
)
async def test_every_answer_is_protected_a_streamed_one_and_an_error_too(path: str, status: int) -> None:
    async with authorizer_app() as app, app.client.get(path, headers=bearer(VIEWER)) as answer:
        assert answer.status == status
        assert answer.headers.getall("Content-Security-Policy") == [POLICY]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Server" not in answer.headers
        assert "a mistake of ours" not in await answer.text()


async def test_a_handler_may_let_its_answer_be_cached() -> None:
    async with authorizer_app() as app, app.client.get("/cached") as answer:
        assert answer.headers["Cache-Control"] == "max-age=60"


async def test_what_takes_too_long_is_ended_and_what_has_no_end_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.ops.auth.headers.REQUEST_TIMEOUT", 0.1)
    async with authorizer_app() as app:
        assert (await app.get("/slow"))[0] == 504
        assert (await app.get("/stream"))[1] == "data: 1\n\ndata: 2\n\n"
        app.checker.go_on.clear()
        assert (await app.get(headers=bearer("a-token-that-hangs")))[0] == 504
        app.checker.go_on.set()
