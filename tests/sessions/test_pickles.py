"""Pickles of what users hold name the modules that users import from, and no others."""

from __future__ import annotations

import io
import pickle
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.adapters import HTTPAdapter
from reqkit.auth import HTTPBasicAuth, HTTPDigestAuth

#: What users import from; all else is inside, and may move.
KNOWN = {
    "reqkit.adapters", "reqkit.auth", "reqkit.cookies", "reqkit.exceptions", "reqkit.hooks",
    "reqkit.models", "reqkit.sessions", "reqkit.structures", "reqkit.timeouts",
}  # fmt: skip


class Named(pickle.Unpickler):
    """Remembers the modules of ours that a pickle names."""

    def __init__(self, pickled: bytes) -> None:
        super().__init__(io.BytesIO(pickled))
        self.modules: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "reqkit":
            self.modules.add(module)
        return super().find_class(module, name)


def allow(address: Any) -> bool:
    return bool(address)


def session() -> reqkit.Session:
    made = reqkit.Session(
        headers={"A": "1"}, cookies={"b": "2"}, auth=("user", "secret"), config={"safe_mode": True},
        hooks={"args": print}, allow_address=allow, timeout=3,
    )  # fmt: skip
    made.cookies.set("c", "3", domain="example.org")
    made.mount("https://", HTTPAdapter())
    return made


@pytest.mark.parametrize(
    "value",
    [
        reqkit.Request("GET", "http://h/", headers={"A": "1"}, cookies={"b": "2"}, timeout=2),
        reqkit.Request("GET", "http://h/", session=session()),
        session(),
        reqkit.Session(),
        HTTPAdapter(),
        HTTPBasicAuth("user", "secret"),
        HTTPDigestAuth("user", "secret"),
        reqkit.Timeouts(total=3),
        reqkit.structures.CaseInsensitiveDict({"A": "1"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_pickle_names_what_users_import(value: Any) -> None:
    named = Named(pickle.dumps(value))
    assert type(named.load()) is type(value)
    assert named.modules
    assert named.modules <= KNOWN


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_does(protocol: int) -> None:
    figures = reqkit_async.summarise([reqkit.Response()])
    limits = reqkit.Timeouts(connect=2, total=3)
    values = [session(), reqkit.Session(), limits, figures, reqkit.codes, HTTPBasicAuth("a", "b")]
    came = pickle.loads(pickle.dumps(values, protocol))
    assert [type(value) for value in came] == [type(value) for value in values]
    assert came[0].cookies["c"] == "3"
    assert came[0].allow_address is allow
    assert (came[2], came[3].as_dict()["requests"]) == (limits, 1)
    assert (came[4].not_found, came[4].name, came[4]["ok"]) == (404, reqkit.codes.name, 200)


def test_requests_and_sessions_come_back_as_they_were() -> None:
    request = pickle.loads(
        pickle.dumps(reqkit.Request("PUT", "http://h/", data=b"x", session=session(), timeout=2))
    )
    assert (request.method, request.url, request.data, request.timeout) == (
        "PUT", "http://h/", b"x", 2,
    )  # fmt: skip
    assert request.params == {}
    own = request.session
    assert (own.headers["a"], own.cookies["c"], own.config["safe_mode"], own.timeout) == (
        "1", "3", True, 3,
    )  # fmt: skip
    assert own.config["max_redirects"] == 30
    own.config["max_redirects"] = 3
    assert own.max_redirects == 3
    assert pickle.loads(pickle.dumps(reqkit.Session())).timeout == reqkit.Session().timeout
