"""What is given to the batch's functions and makes no sense: refused at once, by its name."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from urllib3.util import Retry

import reqkit
import reqkit_async

URL = "http://127.0.0.1:1/"
FUNCTIONS = ["map", "imap", "imap_unordered", "imap_enumerated"]


@pytest.mark.parametrize("of", [reqkit_async, reqkit_async.Pool()])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_unknown_keyword(of: Any, name: str) -> None:
    wrong = "sise" if of is reqkit_async else "progres"
    with pytest.raises(TypeError) as caught:
        getattr(of, name)([], **{wrong: 2})
    text = str(caught.value)
    assert text.startswith(f"{name}() got an unexpected keyword argument: '{wrong}'")
    assert f"did you mean '{'size' if of is reqkit_async else 'progress'}'?" in text
    known = text.partition("the keywords are ")[2].split(", ")
    assert len(known) == len(set(known)) > 5


@pytest.mark.parametrize("of", [reqkit_async, reqkit_async.Pool()])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_limit_by_both_its_names(of: Any, name: str) -> None:
    with pytest.raises(TypeError, match="timeout and gtimeout are two names for one limit"):
        getattr(of, name)([], timeout=1, gtimeout=1)
    list(getattr(of, name)([], timeout=None, gtimeout=1))


def test_a_pools_limit_by_both_its_names() -> None:
    with pytest.raises(TypeError, match="timeout and gtimeout are two names for one limit"):
        reqkit_async.Pool(timeout=1, gtimeout=1)
    assert reqkit_async.Pool(timeout=1).map([], gtimeout=2) == []


@pytest.mark.parametrize("function", [reqkit_async.get, reqkit_async.post, reqkit_async.delete])
def test_what_is_no_session_or_callback(function: Any) -> None:
    with pytest.raises(TypeError, match=r"session is of type int: expected a reqkit\.Session"):
        function(URL, session=5)
    with pytest.raises(TypeError, match=r"callback is of type int: expected a function"):
        function(URL, callback=5)
    with reqkit.Session() as session:
        assert function(URL, session=session, callback=print).callback is print


@pytest.mark.parametrize("name", ["prefetch", "stream", "raise_errors"])
@pytest.mark.parametrize("way", ["map", "imap", "imap_unordered", "imap_enumerated", "Pool"])
def test_what_is_neither_true_nor_false(way: str, name: str) -> None:
    keywords: Any = {name: "yes"}
    with pytest.raises(TypeError, match=f"{name} is 'yes': expected True or False"):
        if way == "Pool":
            reqkit_async.Pool(**keywords)
        else:
            getattr(reqkit_async, way)([URL], **keywords)
    if way != "Pool":
        with pytest.raises(TypeError, match=f"{name} is 'yes': expected True or False"):
            getattr(reqkit_async.Pool(), way)([URL], **keywords)
    if name != "raise_errors":
        with pytest.raises(TypeError, match=f"{name} is 'yes': expected True or False"):
            reqkit_async.send(URL, **keywords)


class Contrary(reqkit.Session):
    """A session of somebody's whose settings cannot be had."""

    def _settings(self, given: Any) -> Any:
        raise TypeError("not today")


@pytest.mark.parametrize("retries", [None, 2])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_session_that_raises_is_its_requests_failure(name: str, retries: Any) -> None:
    with Contrary(config={"keep_alive": False}) as session:
        requests = [reqkit_async.get(URL, session=session), URL]
        entries = list(getattr(reqkit_async, name)(requests, retries=retries, timeout=10))
    found = [pair[1] if isinstance(pair, tuple) else pair for pair in entries]
    errors = sorted(type(entry.error).__name__ for entry in found)
    assert errors == ["ConnectionError", "TypeError"]


def test_a_limit_that_no_float_can_hold_is_none() -> None:
    request = reqkit_async.get(URL, timeout=reqkit.Timeouts(total=10**400))
    (entry,) = reqkit_async.map([request], retries=Retry(0), timeout=10**400)
    assert isinstance(entry.error, reqkit.ConnectionError)
    with pytest.raises(ValueError, match=r"delay is 1000.*: expected the seconds"):
        reqkit_async.Pool(delay=10**400)


def test_a_pools_session_is_one() -> None:
    pool = reqkit_async.Pool()
    with pytest.raises(ValueError, match=r"session is 5: expected a reqkit\.Session"):
        pool.session = 5  # type: ignore[assignment]
    with reqkit.Session(base_url="http://127.0.0.1:1") as session:
        pool.session = session
        assert pool._workers.session is pool.session is session
        pool.session = None
    assert pool.session is None


def test_what_cannot_be_queued_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    told: list[Any] = []
    pool = reqkit_async.Pool(progress="always")
    with pytest.raises(ImportError, match="needs tqdm"):
        pool.spawn(URL)
    assert pool.join(timeout=10)
    pool._options.progress = lambda *how_far: told.append(how_far)
    handle = pool.spawn(URL)
    assert pool.join(timeout=10)
    assert isinstance(handle.get().error, reqkit.ConnectionError)
    assert (pool.stats.requests, told) == (1, [(1, None)])
