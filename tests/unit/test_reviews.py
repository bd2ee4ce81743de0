"""What is made of an API server's reviews, those included that a correct one never gives."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from controller.errors import KubernetesError
from controller.kube.client import KubeApi, KubeForbiddenError
from controller.kube.reviews import Identity, Reviews
from controller.settings import OpsSettings

TOKEN = "t0k3n-of-somebody"
ANA = {"username": "ana", "uid": "1", "groups": ["devs"], "extra": {"scopes": ["a", "b"]}}


class Answering:
    """In the API server's place: one answer, or one error."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.sent: list[dict[str, Any]] = []

    async def post(self, path: str, thing: dict[str, Any]) -> bytes:
        self.sent.append(thing)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()


def reviews(answer: Any, *audiences: str) -> Reviews:
    return Reviews(cast("KubeApi", Answering(answer)), audiences=audiences)


def status(**fields: Any) -> dict[str, Any]:
    return {"kind": "TokenReview", "spec": {"token": TOKEN}, "status": fields}


@pytest.mark.parametrize(
    ("answered", "asked", "known"),
    [
        (status(authenticated=True, user=ANA), [], True),
        (status(authenticated=True, user=ANA, audiences=["https://kubernetes.default.svc"]), [], True),
        (status(authenticated=True, user=ANA, audiences=["a", "b"]), ["b", "c"], True),
        (status(authenticated=True, user=ANA, audiences=["a"]), ["b"], False),
        (status(authenticated=True, user=ANA, audiences=[]), ["b"], False),
        (status(authenticated=True, user=ANA, audiences=None), ["b"], False),
        (status(authenticated=True, user=ANA), ["b"], False),
        (status(authenticated=True, user={"username": "ana", "groups": None, "extra": None}), [], True),
        (status(authenticated=False, user=ANA), [], False),
        (status(user=ANA), [], False),
        (status(error="invalid bearer token"), [], False),
        (status(), [], False),
        (status(authenticated=True), [], False),
        (status(authenticated=True, user={}), [], False),
        (status(authenticated=True, user={"username": "system:anonymous"}), [], False),
        (status(authenticated=True, user={"username": "x", "groups": ["system:unauthenticated"]}), [], False),
    ],
)
async def test_only_a_plain_yes_for_us_is_a_yes(answered: Any, asked: list[str], known: bool) -> None:
    identity = await reviews(answered, *asked).who(TOKEN)
    assert (identity is not None and identity.name == "ana") is known


@pytest.mark.parametrize(
    "answered",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        {"status": None},
        {"status": {"authenticated": "yes", "allowed": 1}},
        b"[" * 100_000,
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_is_no_review_is_an_error_and_not_a_no(answered: Any) -> None:
    with pytest.raises(KubernetesError):
        await reviews(answered).who(TOKEN)
    with pytest.raises(KubernetesError):
        await reviews(answered).may(Identity(name="ana"), "get", "drains")


@pytest.mark.parametrize("token", ["", " ", " x", "x y", "x\n", "x\x00", "\u00fc", "x" + chr(0x7F)])
async def test_what_can_be_no_token_is_not_sent(token: str) -> None:
    api = Answering(status(authenticated=True, user=ANA))
    assert await Reviews(cast("KubeApi", api)).who(token) is None
    assert api.sent == []


async def test_no_error_holds_the_token() -> None:
    for quoting in (f"cannot read {TOKEN}", f"cannot read {TOKEN[:9]}"):
        with pytest.raises(KubernetesError) as caught:
            await reviews(KubernetesError(quoting)).who(TOKEN)
        assert TOKEN[:8] not in str(caught.value)
        assert caught.value.__cause__ is None
    with pytest.raises(KubernetesError, match="HTTP 500"):
        await reviews(KubernetesError("HTTP 500: etcd")).who(TOKEN)


async def test_a_missing_right_of_ours_is_named() -> None:
    with pytest.raises(KubernetesError, match=r"verb create on tokenreviews\.authentication\.k8s\.io"):
        await reviews(KubeForbiddenError("HTTP 403")).who(TOKEN)
    with pytest.raises(KubernetesError, match=r"verb create on subjectaccessreviews\.authorization\.k8s\.io"):
        await reviews(KubeForbiddenError("HTTP 403")).may(Identity(name="ana"), "get", "drains")


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        ({"allowed": True, "reason": "bound"}, (True, "bound")),
        ({"allowed": False, "reason": "no"}, (False, "no")),
        ({"allowed": True, "denied": True}, (False, "")),
        ({"allowed": False, "evaluationError": "no such role"}, (False, "no such role")),
        ({}, (False, "")),
        ({"allowed": False, "reason": "x" * 1_000}, (False, "x" * 300)),
    ],
)
async def test_whether_a_user_may(answered: dict[str, Any], expected: tuple[bool, str]) -> None:
    assert await reviews({"status": answered}).may(Identity(name="ana"), "get", "drains") == expected


async def test_everything_that_is_known_of_the_user_is_asked_about() -> None:
    api = Answering(status(authenticated=True, user=ANA))
    asking = Reviews(cast("KubeApi", api), audiences=["x"])
    api.answer["status"]["audiences"] = ["x"]
    identity = await asking.who(TOKEN)
    assert identity is not None
    api.answer = {"status": {"allowed": True}}
    await asking.may(identity, "create", "replays")
    token_review, access_review = api.sent
    assert token_review["spec"] == {"token": TOKEN, "audiences": ["x"]}
    assert access_review["spec"] == {
        "user": "ana",
        "uid": "1",
        "groups": ["devs"],
        "extra": {"scopes": ["a", "b"]},
        "resourceAttributes": {"group": "eureka.drain", "resource": "replays", "verb": "create"},
    }


def test_unless_it_is_set_a_token_must_be_meant_for_this_program() -> None:
    assert OpsSettings().audiences == ["eureka-drain"]
