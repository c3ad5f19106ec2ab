"""What is given to the batch's functions and makes no sense: refused at once, by its name."""

from __future__ import annotations

from typing import Any

import pytest

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
