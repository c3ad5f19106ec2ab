"""``response.attempts``: how often a message was sent, or tried to be."""

from __future__ import annotations

import logging
import pickle

import pytest
from urllib3.util import Retry

import reqkit
import reqkit_async
from reqkit import testing

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


def test_failures() -> None:
    retries = Retry(2, backoff_factor=0)
    with testing.Router() as router:
        router.get(URL).fail(ConnectionResetError)
        [entry] = reqkit_async.map([URL], retries=retries)
        with reqkit.Session(config={"safe_mode": True, "max_retries": retries}) as session:
            failed = session.get(URL)
    assert (type(entry.error), entry.attempts) == (reqkit.ConnectionError, 3)
    assert (type(failed.error), failed.attempts) == (reqkit.ConnectionError, 3)


def test_it_is_pickled() -> None:
    with testing.Router() as router:
        router.get(URL).answer(503).answer(200)
        policy = Retry(5, status_forcelist=[503])
        response = reqkit.get(URL, config={"max_retries": policy})
    assert pickle.loads(pickle.dumps(response)).attempts == 2
