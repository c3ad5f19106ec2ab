"""``context=``: the caller's own object, from the unsent request to its response."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit import testing

URL = "https://api.example/"


@pytest.fixture
def router() -> Any:
    with testing.Router(strict=False) as router:
        router.get(URL).answer(200, "there")
        router.get(f"{URL}old").answer(302, headers={"Location": "/"})
        router.get(f"{URL}busy").answer(503, headers={"Retry-After": "0"})
        router.get(f"{URL}broken").fail(ConnectionResetError)
        yield router


def test_a_context_is_none_where_none_is_given(router: Any) -> None:
    request = reqkit_async.get(URL)
    assert request.context is None
    assert reqkit_async.map([request])[0].context is None
    assert reqkit.get(URL).context is None


def test_a_context_is_the_very_object(router: Any) -> None:
    row: dict[str, Any] = {"id": 7}
    request = reqkit_async.get(URL, context=row)
    assert request.context is row
    [response] = reqkit_async.map([request])
    assert response.context is row
    assert response.request.context is row
    assert reqkit.get(URL, context=row).context is row
    with reqkit.Session() as session:
        assert session.post(URL, context=row, config={"safe_mode": True}).context is row
        prepared = session.prepare_request(reqkit.Request("GET", URL, context=row))
        assert prepared.context is row
        assert session.send(prepared).context is row
    assert reqkit.Request("GET", URL, context=row).send().context is row


def test_a_context_goes_nowhere(router: Any) -> None:
    reqkit.get(URL, context="secret-context")
    [call] = router.calls
    assert "secret-context" not in f"{call.url} {call.pairs} {call.body!r}"


def test_a_context_comes_through_redirects_and_retries(router: Any) -> None:
    row = object()
    response = reqkit.get(f"{URL}old", context=row)
    assert response.context is row
    assert [each.context for each in response.history] == [row]
    [entry] = reqkit_async.map([reqkit_async.get(f"{URL}busy", context=row)], retries=2)
    assert entry.context is row


@pytest.mark.parametrize("url", [f"{URL}broken", "nowhere", "https://unknown.example/"])
def test_failures_have_it(router: Any, url: str) -> None:
    row = object()
    [entry] = reqkit_async.map([reqkit_async.get(url, context=row)])
    assert entry.error is not None
    assert entry.context is row
    with reqkit.Session(config={"safe_mode": True}) as session:
        assert session.get(url, context=row).context is row


def test_what_never_started_has_it() -> None:
    with testing.Router() as router:
        router.get(f"{URL}*").answer(200, delay=30)
        requests = [reqkit_async.get(f"{URL}{n}", context=n) for n in range(5)]
        found = reqkit_async.map(requests, size=1, timeout=0.05)
    assert [entry.context for entry in found] == list(range(5))


def test_hooks_see_it(router: Any) -> None:
    row = object()
    seen: list[Any] = []
    hooks: dict[str, Any] = {
        "args": lambda args: seen.append(args["context"]),
        "pre_request": lambda request: seen.append(request.context),
        "post_request": lambda request: seen.append(request.context),
        "response": lambda response: seen.append(response.context),
    }
    reqkit.get(f"{URL}old", context=row, hooks=hooks)
    assert seen == [row] * 6


def test_a_context_is_pickled_with_its_response(router: Any) -> None:
    row = {"id": [7]}
    for response in (
        reqkit.get(URL, context=row),
        *reqkit_async.map([reqkit_async.get(f"{URL}broken", context=row)]),
        *reqkit_async.map([reqkit_async.get("nowhere", context=row)]),
    ):
        assert pickle.loads(pickle.dumps(response)).context == row
    request = pickle.loads(pickle.dumps(reqkit_async.get(URL, context=row)))
    assert request.context == row


def test_what_cannot_be_pickled_stays_behind(router: Any) -> None:
    response = reqkit.get(URL, context=lambda: None)
    copied = pickle.loads(pickle.dumps(response))
    assert (copied.context, copied.text) == (None, "there")
    [failed] = reqkit_async.map([reqkit_async.get("nowhere", context=lambda: None)])
    assert pickle.loads(pickle.dumps(failed)).context is None


def test_a_context_can_be_set() -> None:
    request = reqkit.Request("GET", URL)
    request.context = 5
    assert request.context == 5
    response = reqkit.Response()
    assert response.context is None
    response.context = 6
    assert response.context == 6
