"""Tokens and rights as a real API server reviews them, with the rights of the ops role and no more."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from controller.errors import KubernetesError
from controller.kube.client import KubeForbiddenError
from controller.kube.reviews import Identity, Reviews
from tests.contract.accounts import Accounts, read_part, signed, written_part
from tests.contract.following import CountingApi, connected
from tests.stack.cluster import Cluster
from tests.stack.waiting import until

Object = dict[str, Any]
AUDIENCE = "eureka-drain"


@pytest_asyncio.fixture(loop_scope="session")
async def api(cluster: Cluster, accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CountingApi]:
    """The product's connection, with exactly the ops role's rights."""
    rules = [
        ("create", "authentication.k8s.io", "tokenreviews"),
        ("create", "authorization.k8s.io", "subjectaccessreviews"),
    ]
    await accounts.create("ops", *rules)
    async with connected(await accounts.kubeconfig("ops"), monkeypatch) as opened:
        yield opened


async def who(reviews: Reviews, token: str) -> Identity | None:
    """The rights of the ops role reach the API server's cache a moment after they were given."""

    async def look() -> list[Identity | None]:
        try:
            return [await reviews.who(token)]
        except KubeForbiddenError:
            return []

    found: list[Identity | None] = await until(look, "the rights of ops")
    return found[0]


async def test_a_token_of_the_token_file_is_its_users(cluster: Cluster, api: CountingApi) -> None:
    identity = await who(Reviews(api), cluster.api._tokens["admin"])
    assert identity is not None
    assert identity.name == "admin"
    assert set(identity.groups or ()) == {"system:masters", "system:authenticated"}


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 16_000, "/+=~-._"])
async def test_garbage_is_nobodys(api: CountingApi, token: str) -> None:
    assert await who(Reviews(api), token) is None


async def test_a_token_that_begins_with_a_space_is_nobodys_not_anonymous(cluster: Cluster, api: CountingApi) -> None:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": " x"}}
    answer = await cluster.client.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body=body)
    assert answer["status"]["user"]["username"] == "system:anonymous", "the trap is there"
    assert await who(Reviews(api), " x") is None


async def test_a_service_accounts_token_is_its_own_until_the_account_is_deleted(
    cluster: Cluster, namespace: str, accounts: Accounts, api: CountingApi
) -> None:
    await accounts.create("ana")
    token = await accounts.token("ana")
    reviews = Reviews(api)
    identity = await who(reviews, token)
    assert identity is not None
    assert identity.name == accounts.user("ana")
    assert identity.uid
    assert f"system:serviceaccounts:{namespace}" in (identity.groups or ())
    await cluster.client.delete("serviceaccounts", "ana", namespace)

    async def nobodys() -> bool:
        return await reviews.who(token) is None

    # The API server itself remembers a token for 10 s.
    await until(nobodys, "the token is nobody's")


async def test_a_token_for_another_audience_is_nobodys(accounts: Accounts, api: CountingApi) -> None:
    await accounts.create("ana")
    for_us, for_others = await accounts.token("ana", AUDIENCE), await accounts.token("ana", "somebody-else")
    for_the_server, for_many = await accounts.token("ana"), await accounts.token("ana", "somebody-else", AUDIENCE)
    judged = [
        # audiences asked for; known: ours, others', the server's, many
        ([], [False, False, True, False]),
        ([AUDIENCE], [True, False, False, True]),
        (["yet-another", AUDIENCE], [True, False, False, True]),
        (["yet-another"], [False, False, False, False]),
    ]
    for audiences, expected in judged:
        reviews = Reviews(api, audiences=audiences)
        tokens = (for_us, for_others, for_the_server, for_many)
        assert [await who(reviews, token) is not None for token in tokens] == expected, audiences


async def test_a_token_of_the_token_file_is_for_the_server_alone(cluster: Cluster, api: CountingApi) -> None:
    assert await who(Reviews(api, audiences=[AUDIENCE]), cluster.api._tokens["admin"]) is None


async def test_an_expired_or_altered_token_is_nobodys(
    cluster: Cluster, accounts: Accounts, api: CountingApi, tmp_path: Path
) -> None:
    await accounts.create("ana")
    real = await accounts.token("ana")
    head, claims = (read_part(part) for part in real.split(".")[:2])
    now = int(time.time())
    reviews = Reviews(api)

    async def lasting(**times: int) -> str:
        return await signed(head, claims | times, cluster.api.folder / "service-accounts.key", tmp_path)

    # Our own signature is taken, so that it is the time alone that makes the difference.
    assert await who(reviews, await lasting(iat=now - 60, nbf=now - 60, exp=now + 3_600)) is not None
    assert await who(reviews, await lasting(iat=now - 7_200, nbf=now - 7_200, exp=now - 3_600)) is None
    assert await who(reviews, await lasting(iat=now + 3_600, nbf=now + 3_600, exp=now + 7_200)) is None
    longer = written_part(claims | {"exp": now + 86_400})
    assert await who(reviews, ".".join((real.split(".")[0], longer, real.split(".")[2]))) is None
    assert await who(reviews, f"{written_part({'alg': 'none'})}.{written_part(claims)}.") is None


async def test_a_viewer_may_read_and_an_operator_may_replay_too(accounts: Accounts, api: CountingApi) -> None:
    await accounts.create("nobody")
    await accounts.create("viewer", ("get", "eureka.drain", "drains"))
    await accounts.create("operator", ("get", "eureka.drain", "drains"), ("create", "eureka.drain", "replays"))
    reviews = Reviews(api)
    for name, expected in (("nobody", [False, False]), ("viewer", [True, False]), ("operator", [True, True])):
        identity = await who(reviews, await accounts.token(name))
        assert identity is not None

        async def judged(identity: Identity = identity, expected: list[bool] = expected) -> bool:
            read, _ = await reviews.may(identity, "get", "drains")
            write, _ = await reviews.may(identity, "create", "replays")
            return [read, write] == expected

        await until(judged, f"{name}: {expected}")


async def test_rights_of_a_group_count_and_those_on_other_names_do_not(
    cluster: Cluster, namespace: str, accounts: Accounts, api: CountingApi
) -> None:
    rules = [("get", "eureka.drain", "replays"), ("create", "eureka.drain", "drains"), ("get", "", "drains")]
    await accounts.create("elsewhere", *rules)
    await accounts.create("ana")
    role = f"{namespace}-group"
    await cluster.kubectl("create", "clusterrole", role, "--verb=get", "--resource=pods")
    rule = {"apiGroups": ["eureka.drain"], "resources": ["drains"], "verbs": ["get"]}
    await cluster.client.patch("clusterroles", role, {"rules": [rule]}, None, kind="merge")
    try:
        reviews = Reviews(api)
        elsewhere = await who(reviews, await accounts.token("elsewhere"))
        ana = await who(reviews, await accounts.token("ana"))
        assert elsewhere is not None
        assert ana is not None
        # Bound in a namespace it grants nothing: drains have none.
        subject = f"--group=system:serviceaccounts:{namespace}"
        await cluster.kubectl("-n", namespace, "create", "rolebinding", role, f"--clusterrole={role}", subject)
        assert (await reviews.may(ana, "get", "drains"))[0] is False
        assert (await reviews.may(elsewhere, "get", "drains"))[0] is False
        assert (await reviews.may(elsewhere, "create", "replays"))[0] is False
        await cluster.kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", subject)

        async def granted() -> bool:
            return (await reviews.may(ana, "get", "drains"))[0]

        await until(granted, "granted to the group")
    finally:
        await cluster.client.delete("clusterrolebindings", role, None)
        await cluster.client.delete("clusterroles", role, None)


async def test_without_the_right_to_review_the_missing_verb_is_named(
    cluster: Cluster, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await accounts.create("powerless")
    token = cluster.api._tokens["admin"]
    async with connected(await accounts.kubeconfig("powerless"), monkeypatch) as api:
        reviews = Reviews(api)
        with pytest.raises(KubernetesError, match=r"verb create on tokenreviews\.authentication\.k8s\.io") as caught:
            await reviews.who(token)
        assert accounts.user("powerless") in str(caught.value)
        assert token[:8] not in str(caught.value)
        with pytest.raises(KubernetesError, match=r"verb create on subjectaccessreviews\.authorization\.k8s\.io"):
            await reviews.may(Identity(name="admin"), "get", "drains")


async def test_an_api_server_that_is_away_is_an_error_until_it_is_back(cluster: Cluster, api: CountingApi) -> None:
    token = cluster.api._tokens["admin"]
    reviews = Reviews(api)
    assert await who(reviews, token) is not None
    await cluster.api.apiserver.stop()
    try:
        with pytest.raises(KubernetesError):
            await reviews.who(token)
    finally:
        await cluster.api.apiserver.start()
    assert await who(reviews, token) is not None
