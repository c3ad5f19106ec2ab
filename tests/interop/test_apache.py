"""Apache: Basic, and mod_auth_digest with its counts and its stale nonces."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.auth import HTTPDigestAuth
from servers.daemons import DOCUMENTS, REALM, Daemon
from servers.processes import PATIENCE
from servers.proxies import PASSWORD, USER, USERINFO

Send = Callable[..., reqkit.Response]

SMALL = DOCUMENTS["small.txt"]


def fields_of(response: reqkit.Response) -> dict[str, str]:
    """Return the parameters of the Authorization field that brought an answer."""
    value = response.request.headers["Authorization"]
    assert value.startswith("Digest ")
    pairs = (pair.partition("=") for pair in value.removeprefix("Digest ").split(", "))
    return {name: text.strip('"') for name, _, text in pairs}


def test_basic(apache: Daemon, send: Send) -> None:
    url = apache("/basic/small.txt")
    assert send(url).status_code == 401
    assert send(url, auth=(USER, "wrong")).status_code == 401
    assert send(url, auth=(USER, PASSWORD)).content == SMALL
    assert send(url.replace("//", f"//{USERINFO}@")).content == SMALL


def test_digest(apache: Daemon, send: Send) -> None:
    url = apache("/digest/small.txt?a=b")
    assert send(url).status_code == 401
    response = send(url, auth=HTTPDigestAuth(USER, PASSWORD))
    assert response.content == SMALL
    fields = fields_of(response)
    assert (fields["realm"], fields["username"], fields["algorithm"]) == (REALM, USER, "MD5")
    assert (fields["qop"], fields["nc"], fields["uri"]) == (
        "auth",
        "00000001",
        "/digest/small.txt?a=b",
    )
    assert [each.status_code for each in response.history] == [401]


def test_a_wrong_password_ends(apache: Daemon, send: Send) -> None:
    response = send(apache("/digest/small.txt"), auth=HTTPDigestAuth(USER, "wrong"))
    assert response.status_code == 401
    assert [each.status_code for each in response.history] == [401]


def test_one_challenge_serves_for_many(apache: Daemon, session: reqkit.Session, send: Send) -> None:
    session.auth = HTTPDigestAuth(USER, PASSWORD)
    # Here a count that is not the next one is refused.
    url = apache("/digest-counted/small.txt")
    responses = [send(url, session=session) for _ in range(12)]
    assert [response.content for response in responses] == [SMALL] * 12
    assert [len(response.history) for response in responses] == [1] + [0] * 11
    assert [int(fields_of(response)["nc"], 16) for response in responses] == [*range(1, 13)]


def test_counts_over_many_at_once(apache: Daemon, session: reqkit.Session) -> None:
    auth = HTTPDigestAuth(USER, PASSWORD)
    url = apache("/digest/small.txt")
    assert session.get(url, auth=auth).content == SMALL
    requests = [reqkit_async.get(url, auth=auth, session=session) for _ in range(200)]
    responses = reqkit_async.map(requests, size=50)
    assert [response.content for response in responses] == [SMALL] * 200
    # One nonce for all of them, and every count once.
    assert [len(response.history) for response in responses] == [0] * 200
    assert len({fields_of(response)["nonce"] for response in responses}) == 1
    counts = sorted(int(fields_of(response)["nc"], 16) for response in responses)
    assert counts == [*range(2, 202)]
    assert len({fields_of(response)["cnonce"] for response in responses}) == 200


def test_fifty_at_once_from_the_first(apache: Daemon) -> None:
    auth = HTTPDigestAuth(USER, PASSWORD)
    requests = [reqkit_async.get(apache("/digest/small.txt"), auth=auth) for _ in range(50)]
    responses = reqkit_async.map(requests, size=50)
    assert [response.content for response in responses] == [SMALL] * 50
    counted = [(fields_of(response)["nonce"], fields_of(response)["nc"]) for response in responses]
    assert len(set(counted)) == 50


def outlive_nonces(url: str) -> None:
    """Wait until a nonce made now is refused, by saying again what was said with it."""
    limit = time.monotonic() + PATIENCE
    with reqkit.Session() as other:
        newest = other.get(url, auth=HTTPDigestAuth(USER, PASSWORD)).request
        headers = {"Authorization": newest.headers["Authorization"]}
        while other.get(url, headers=headers).ok:
            assert time.monotonic() < limit, "the nonce goes on and on"


@pytest.mark.parametrize("at_once", [1, 50])
def test_a_stale_nonce_is_replaced_unseen(
    at_once: int, apache: Daemon, session: reqkit.Session
) -> None:
    session.auth = HTTPDigestAuth(USER, PASSWORD)
    url = apache("/digest-short/small.txt")
    for _ in range(2):
        assert session.get(url).content == SMALL
        outlive_nonces(url)
        requests = [reqkit_async.get(url, session=session) for _ in range(at_once)]
        responses = reqkit_async.map(requests, size=at_once)
        assert [response.content for response in responses] == [SMALL] * at_once
        refused = [each for response in responses for each in response.history]
        assert refused
        assert {each.status_code for each in refused} == {401}
        assert all("stale=true" in each.headers["WWW-Authenticate"] for each in refused)


def test_an_upload_is_sent_again(apache: Daemon, send: Send, session: reqkit.Session) -> None:
    # httpd takes a POST to a file for a GET.
    auth: Any = HTTPDigestAuth(USER, PASSWORD)
    response = session.post(apache("/digest/small.txt"), data=b"x" * 300_000, auth=auth)
    assert response.status_code in (200, 405)
    assert [each.status_code for each in response.history] == [401]
    assert send(apache("/digest/small.txt"), session=session, auth=auth).content == SMALL
