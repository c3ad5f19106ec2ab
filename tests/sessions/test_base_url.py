"""``Session(base_url=)``: URLs without a scheme are joined to it."""

from __future__ import annotations

import pytest

import reqkit
import reqkit_async
from reqkit import testing


@pytest.mark.parametrize(
    ("base", "url", "expected"),
    [
        ("https://a.example/v1", "users", "https://a.example/v1/users"),
        ("https://a.example/v1/", "users", "https://a.example/v1/users"),
        ("https://a.example/v1?x=1#f", "users", "https://a.example/v1/users"),
        ("https://a.example/v1", "/users", "https://a.example/users"),
        ("https://a.example/v1", "../v2/users", "https://a.example/v2/users"),
        ("https://a.example/v1", "?q=1", "https://a.example/v1/?q=1"),
        ("https://a.example/v1", "", "https://a.example/v1/"),
        ("https://a.example", "users?q=a b", "https://a.example/users?q=a%20b"),
        ("https://a.example", b"users", "https://a.example/users"),
        ("https://a.example", "http://b.example/", "http://b.example/"),
        ("https://a.example", "a:b", "https://a.example/a:b"),
        ("https://a.example", "ü", "https://a.example/%C3%BC"),
    ],
)
def test_joining(base: str, url: str | bytes, expected: str) -> None:
    session = reqkit.Session(base_url=base)
    assert session.prepare_request(reqkit.Request("GET", url)).url == expected


def test_another_host_without_a_scheme_is_no_url() -> None:
    session = reqkit.Session(base_url="https://a.example")
    with pytest.raises(reqkit.MissingSchema):
        session.prepare_request(reqkit.Request("GET", "//b.example/"))


def test_a_base_url_can_be_read_and_set() -> None:
    session = reqkit.Session()
    assert session.base_url is None
    with pytest.raises(reqkit.MissingSchema):
        session.prepare_request(reqkit.Request("GET", "users"))
    session.base_url = "http://a.example/"
    assert session.prepare_request(reqkit.Request("GET", "users")).url == "http://a.example/users"
    session.base_url = None
    with pytest.raises(reqkit.MissingSchema):
        session.prepare_request(reqkit.Request("GET", "users"))


@pytest.mark.parametrize("base", ["a.example", "ftp:/x", 5])
def test_a_base_that_is_no_url_is_refused(base: object) -> None:
    with pytest.raises(reqkit.RequestException):
        reqkit.Session(base_url=base)  # type: ignore[arg-type]


def test_in_batches_with_limits_for_the_host() -> None:
    with testing.Router() as router, reqkit.session(base_url="https://a.example/v1") as session:
        router.get("https://a.example/v1/*").answer(200, "there")
        requests = [reqkit_async.get(f"users/{n}", session=session) for n in range(4)]
        assert [r.text for r in reqkit_async.map(requests, per_host=1)] == ["there"] * 4
        [failed] = reqkit_async.map([reqkit_async.get("users")])
        assert isinstance(failed.error, reqkit.MissingSchema)
