"""``response.attempts``: how often a message was sent, or tried to be."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import pytest
from urllib3.util import Retry

import reqkit
import reqkit_async
from reqkit import testing
from reqkit.auth import HTTPBearerAuth, HTTPDigestAuth

URL = "https://api.example/"


def test_once() -> None:
    with testing.Router() as router:
        router.get(URL)
        assert reqkit.get(URL).attempts == 1
        assert reqkit_async.map([URL])[0].attempts == 1
        [failed] = reqkit_async.map(["nowhere"])
        assert failed.attempts == 1
    assert reqkit.Response().attempts == 1


def test_retries_of_blocking_code(caplog: pytest.LogCaptureFixture) -> None:
    policy = Retry(5, status_forcelist=[503])
    with testing.Router() as router, caplog.at_level(logging.DEBUG, "reqkit"):
        router.get(URL).answer(503).answer(503).answer(200)
        response = reqkit.get(URL, config={"max_retries": policy})
    assert (response.status_code, response.attempts) == (200, 3)
    texts = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert [text.partition("attempt ")[2][0] for text in texts] == ["1", "2", "3"]


def test_retries_of_a_batch(caplog: pytest.LogCaptureFixture) -> None:
    retries = Retry(5, status_forcelist=[503], backoff_factor=0)
    with testing.Router() as router, caplog.at_level(logging.DEBUG, "reqkit"):
        router.get(URL).answer(503).answer(503).answer(200)
        [response] = reqkit_async.map([URL], retries=retries)
    assert (response.status_code, response.attempts) == (200, 3)
    texts = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert [text.partition("attempt ")[2][0] for text in texts] == ["1", "2", "3"]


CHALLENGE = {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'}


@pytest.mark.parametrize("way", ["session", "batch"])
@pytest.mark.parametrize("auth", ["digest", "bearer"])
def test_an_auths_answer_counts(way: str, auth: str, caplog: pytest.LogCaptureFixture) -> None:
    given = (
        HTTPDigestAuth("ann", "secret")
        if auth == "digest"
        else HTTPBearerAuth("old", refresh=lambda: "new")
    )
    with testing.Router() as router, caplog.at_level(logging.DEBUG, "reqkit"):
        router.get(URL).answer(401, headers=CHALLENGE).answer(200)
        response = (
            reqkit.get(URL, auth=given)
            if way == "session"
            else (reqkit_async.map([reqkit_async.get(URL, auth=given)])[0])
        )
    assert (response.status_code, response.attempts) == (200, 2)
    assert response.history[0].attempts == 1
    texts = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert [text.partition("attempt ")[2][0] for text in texts] == ["1", "2"]


def test_what_a_redirect_leads_to_is_another_message() -> None:
    policy = Retry(5, status_forcelist=[503], backoff_factor=0)
    with testing.Router() as router:
        router.get(URL).answer(503).answer(302, headers={"Location": "/there"})
        router.get(URL + "there").answer(200)
        response = reqkit.get(URL, config={"max_retries": policy})
    assert [one.attempts for one in (*response.history, response)] == [2, 1]


def test_a_batch_sends_the_whole_request_again() -> None:
    retries = Retry(5, status_forcelist=[503], backoff_factor=0)
    with testing.Router() as router:
        router.get(URL).answer(302, headers={"Location": "/there"})
        router.get(URL + "there").answer(503).answer(200)
        [response] = reqkit_async.map([URL], retries=retries)
    assert [one.attempts for one in (*response.history, response)] == [2, 2]


def test_failures() -> None:
    retries = Retry(2, backoff_factor=0)
    with testing.Router() as router:
        router.get(URL).fail(ConnectionResetError)
        [entry] = reqkit_async.map([URL], retries=retries)
        with reqkit.Session(config={"safe_mode": True, "max_retries": retries}) as session:
            failed = session.get(URL)
    assert (type(entry.error), entry.attempts) == (reqkit.ConnectionError, 3)
    assert (type(failed.error), failed.attempts) == (reqkit.ConnectionError, 3)


def test_attempts_are_pickled() -> None:
    with testing.Router() as router:
        router.get(URL).answer(503).answer(200)
        policy = Retry(5, status_forcelist=[503])
        response = reqkit.get(URL, config={"max_retries": policy})
    assert pickle.loads(pickle.dumps(response)).attempts == 2


class _Prepares(reqkit.Session):
    def prepare_request(self, request: Any) -> Any:
        return super().prepare_request(request)


class _Sends(reqkit.Session):
    def send(self, request: Any, **keywords: Any) -> Any:
        return super().send(request, **keywords)


class _Merges(reqkit.Session):
    def merge_environment_settings(self, *given: Any) -> Any:
        return super().merge_environment_settings(*given)


class _Rebuilds(reqkit.Session):
    def rebuild_auth(self, *given: Any) -> None:
        super().rebuild_auth(*given)


@pytest.mark.parametrize("kind", [reqkit.Session, _Prepares, _Sends, _Merges, _Rebuilds])
@pytest.mark.parametrize("way", ["session", "batch", "both"])
def test_sessions_with_steps_of_their_own_count_alike(
    kind: Any, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    policy = Retry(5, status_forcelist=[503], backoff_factor=0)
    config = {} if way == "batch" else {"max_retries": policy}
    with (
        testing.Router() as router,
        caplog.at_level(logging.DEBUG, "reqkit"),
        kind(config=config) as session,
    ):
        router.get(URL).answer(503).answer(503).answer(401, headers=CHALLENGE).answer(200)
        auth = HTTPDigestAuth("ann", "secret")
        if way == "session":
            response = session.get(URL, auth=auth)
        else:
            request = reqkit_async.get(URL, session=session, auth=auth)
            given = policy if way == "batch" else None
            [response] = reqkit_async.map([request], retries=given)
    assert (response.status_code, response.attempts) == (200, 4)
    assert [one.attempts for one in response.history] == [3]
    texts = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert [text.partition("attempt ")[2][0] for text in texts] == ["1", "2", "3", "4"]
