"""What is taken for a request in batches, and what a request of its own has there."""

from __future__ import annotations

from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit import testing

URL = "https://api.example/"


def test_a_url_stands_for_a_get() -> None:
    with testing.Router() as router:
        router.get(f"{URL}*").answer(lambda call: testing.Answer(200, call.url))
        urls = [f"{URL}{number}" for number in range(5)]
        assert [response.text for response in reqkit_async.map(urls)] == urls
        assert [response.text for response in reqkit_async.imap(iter(urls))] == urls
        assert {r.text for r in reqkit_async.imap_unordered(urls)} == set(urls)
        assert {i: r.text for i, r in reqkit_async.imap_enumerated(urls)} == dict(enumerate(urls))
        with reqkit_async.Pool() as pool:
            assert pool.spawn(urls[0]).get().text == urls[0]
            assert pool.map([urls[1], reqkit_async.get(urls[2])])[0].text == urls[1]
        assert reqkit_async.send(urls[3]).get().text == urls[3]


@pytest.mark.parametrize("wrong", [None, 5, b"https://api.example/", reqkit.PreparedRequest(), {}])
def test_anything_else_is_refused_before_anything_is_sent(wrong: Any) -> None:
    with testing.Router() as router:
        router.get(URL)
        with pytest.raises(TypeError, match=r"requests\[1\].*is no request.*nothing was sent"):
            reqkit_async.map([URL, wrong])
        with pytest.raises(TypeError, match=r"requests\[0\]"):
            reqkit_async.Pool().map([wrong])
    assert router.calls == []


def test_an_exception_handler_of_its_own() -> None:
    def of_request(request: Any, error: Exception) -> str:
        return f"own: {type(error).__name__}"

    def of_batch(request: Any, error: Exception) -> str:
        return "of the batch"

    requests = [
        reqkit_async.get("nowhere", exception_handler=of_request),
        reqkit_async.get("nowhere"),
    ]
    assert reqkit_async.map(requests, exception_handler=of_batch) == [
        "own: MissingSchema",
        "of the batch",
    ]
    first, second = reqkit_async.map(requests)
    assert (first, type(second.error)) == ("own: MissingSchema", reqkit.MissingSchema)
    assert list(reqkit_async.imap(requests[:1])) == ["own: MissingSchema"]
    with pytest.raises(reqkit.MissingSchema):
        reqkit_async.map(requests, raise_errors=True)


def test_an_exception_handler_of_its_own_is_asked_for_what_never_started() -> None:
    with testing.Router() as router:
        router.get(f"{URL}*").answer(200, delay=30)
        requests = [
            reqkit_async.get(f"{URL}{n}", exception_handler=lambda r, e: (r.url, type(e)))
            for n in range(3)
        ]
        found = reqkit_async.map(requests, size=1, timeout=0.05)
    assert found == [(request.url, reqkit.TotalTimeout) for request in requests]
