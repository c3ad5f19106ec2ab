"""What users see is the same over HTTP/1.1 and HTTP/2, in blocking code and with greenlets."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from httpbin import app as httpbin_app

import reqkit
import reqkit_async
from reqkit.exceptions import ContentTooLarge, HTTPError, StreamConsumedError, TooManyRedirects
from servers.http2 import Http2Server, wsgi
from servers.tls import Authority
from servers.wsgi import WSGIServer

LINES = [b"first", b"second", "dritte \u00e4".encode(), b"", b"last"]
LARGE = bytes(range(256)) * 4000


def own(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
    """A few pages that httpbin does not have."""
    path = environ["PATH_INFO"]
    if path == "/lines":
        start("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return iter([b"fir", b"st\r", b"\nsecond\n", LINES[2] + b"\n\n", b"last"])
    if path == "/large":
        ranges = environ.get("HTTP_RANGE")
        fields = [("ETag", '"large"'), ("Accept-Ranges", "bytes")]
        if ranges and environ.get("HTTP_IF_RANGE") == '"large"':
            begin = int(ranges.removeprefix("bytes=").split("-")[0])
            part = LARGE[begin:]
            start("206 Partial Content", [
                *fields, ("Content-Length", str(len(part))),
                ("Content-Range", f"bytes {begin}-{len(LARGE) - 1}/{len(LARGE)}"),
            ])  # fmt: skip
            return [part]
        start("200 OK", [*fields, ("Content-Length", str(len(LARGE)))])
        return [LARGE[at : at + 10_000] for at in range(0, len(LARGE), 10_000)]
    if path == "/bomb":
        body = gzip.compress(bytes(5_000_000))
        start("200 OK", [("Content-Encoding", "gzip"), ("Content-Length", str(len(body)))])
        return [body]
    if path == "/several":
        start("200 OK", [("X-Many", "1"), ("X-Many", "2"), ("Set-Cookie", "a=1"),
                         ("Set-Cookie", "b=2"), ("Content-Length", "0")])  # fmt: skip
        return []
    if path == "/latin":
        start("200 OK", [("Content-Type", "text/plain; charset=iso-8859-1")])
        return ["\u00e4\u00f6".encode("latin-1")]
    return httpbin_app(environ, start)


@pytest.fixture(scope="module", params=[11, 20], ids=["h1", "h2"])
def wire(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def url(clean_environment: None, wire: int, authority: Authority) -> Iterator[Callable[..., str]]:
    """The URL of a path, at a server that speaks one of the two."""
    with ExitStack() as stack:
        tls = authority.server()
        if wire == 20:
            server: Any = stack.enter_context(Http2Server(wsgi(own), tls=tls))
        else:
            server = stack.enter_context(WSGIServer(own, tls=tls))
        yield server


@pytest.fixture
def session(ca_bundle: str, wire: int) -> Iterator[reqkit.Session]:
    with reqkit.Session(verify=ca_bundle, config={"http2": wire == 20}) as made:
        yield made


@pytest.fixture(params=["core", "async"])
def send(request: pytest.FixtureRequest, session: reqkit.Session, wire: int) -> Any:
    """Send a request, in blocking code or in a greenlet; return its response, or raise."""

    def blocking(method: str, url: str, **keywords: Any) -> reqkit.Response:
        response: reqkit.Response = session.request(method, url, allow_redirects=True, **keywords)
        return checked(response)

    def cooperating(method: str, url: str, **keywords: Any) -> reqkit.Response:
        made = reqkit_async.request(method, url, session=session, allow_redirects=True, **keywords)
        [response] = reqkit_async.map([made], prefetch=keywords.get("prefetch", False))
        assert isinstance(response, reqkit.Response)
        if response.error is not None:
            raise response.error
        return checked(response)

    def checked(response: reqkit.Response) -> reqkit.Response:
        assert response.version == wire
        return response

    return blocking if request.param == "core" else cooperating


Url = Callable[[str], str]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_methods(send: Any, url: Url, method: str) -> None:
    received = send(method, url("/anything?x=1"), headers={"X-Test": "y"}).json()
    assert (received["method"], received["args"], received["headers"]["X-Test"]) == (
        method,
        {"x": "1"},
        "y",
    )


def test_head_and_options(send: Any, url: Url) -> None:
    head = send("HEAD", url("/get"))
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0
    assert "GET" in send("OPTIONS", url("/get")).headers["allow"]


@pytest.mark.parametrize(
    "keywords",
    [
        {"data": b"bytes"},
        {"data": {"a": "b"}},
        {"json": {"a": [1, 2]}},
        {"files": {"f": ("name.txt", b"content")}},
    ],
    ids=lambda keywords: next(iter(keywords)),
)
def test_bodies(send: Any, url: Url, keywords: Any) -> None:
    received = send("POST", url("/post"), **keywords).json()
    assert received["data"] or received["form"] or received["files"]
    if "json" in keywords:
        assert received["json"] == keywords["json"]


def test_a_streamed_body(send: Any, url: Url) -> None:
    received = send("POST", url("/post"), data=iter([b"one", b"two"])).json()
    assert received["data"] == "onetwo"


def test_a_large_body(send: Any, url: Url) -> None:
    received = send("POST", url("/post"), data=b"x" * 300_000, prefetch=True).json()
    assert len(received["data"]) == 300_000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(send: Any, url: Url, status: int) -> None:
    where = url("/anything/there")
    response = send("POST", url(f"/redirect-to?url={where}&status_code={status}"), data=b"body")
    received = response.json()
    assert [one.status_code for one in response.history] == [status]
    assert received["method"] == ("POST" if status >= 307 else "GET")
    assert received["data"] == ("body" if status >= 307 else "")


def test_too_many_redirects(send: Any, url: Url) -> None:
    with pytest.raises(TooManyRedirects):
        send("GET", url("/redirect/5"), config={"max_redirects": 2})


def test_cookies(send: Any, url: Url, session: reqkit.Session) -> None:
    send("GET", url("/cookies/set?a=b"))
    assert send("GET", url("/cookies"), cookies={"c": "d"}).json()["cookies"] == {
        "a": "b",
        "c": "d",
    }
    session.cookies.clear()


def test_fields_that_come_several_times(send: Any, url: Url) -> None:
    response = send("GET", url("/several"))
    assert response.headers["X-Many"] == "1, 2"
    assert dict(response.cookies) == {"a": "1", "b": "2"}
    assert [value for name, value in response.raw.headers.items() if name.lower() == "x-many"]


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
def test_digest(send: Any, url: Url, qop: str, algorithm: str) -> None:
    auth = reqkit.auth.HTTPDigestAuth("user", "secret")
    response = send("GET", url(f"/digest-auth/{qop}/user/secret/{algorithm}"), auth=auth)
    assert (response.status_code, len(response.history)) == (200, 1)


def test_basic(send: Any, url: Url) -> None:
    assert send("GET", url("/basic-auth/user/secret"), auth=("user", "secret")).ok
    assert send("GET", url("/basic-auth/user/secret"), auth=("user", "wrong")).status_code == 401


@pytest.mark.parametrize("coding", ["gzip", "deflate", "brotli"])
def test_codings(send: Any, url: Url, coding: str) -> None:
    assert send("GET", url(f"/{coding}")).json()["method"] == "GET"


def test_lines_and_text(send: Any, url: Url) -> None:
    assert list(send("GET", url("/lines")).iter_lines()) == LINES
    assert list(send("GET", url("/lines")).iter_lines(decode_unicode=True))[2] == "dritte \u00e4"
    assert send("GET", url("/latin")).text == "\u00e4\u00f6"


def test_pieces(send: Any, url: Url) -> None:
    response = send("GET", url("/large"))
    pieces = list(response.iter_content(7000))
    assert b"".join(pieces) == LARGE
    assert {len(piece) for piece in pieces[:-1]} == {7000}
    with pytest.raises(StreamConsumedError):
        next(response.iter_content(7000))
    raw = send("GET", url("/large")).raw
    assert raw.read(10) + raw.read() == LARGE


def test_a_body_prefetched_and_one_left_unread(send: Any, url: Url) -> None:
    assert send("GET", url("/large"), prefetch=True).content == LARGE
    send("GET", url("/large")).close()
    assert send("GET", url("/get")).ok


def test_downloads_and_what_is_left_of_them(send: Any, url: Url, tmp_path: Path) -> None:
    received: list[tuple[int, int | None]] = []
    path = send("GET", url("/large")).download(
        tmp_path / "a", progress=lambda done, total: received.append((done, total))
    )
    assert path.read_bytes() == LARGE
    assert received[-1] == (len(LARGE), len(LARGE))
    with pytest.raises(HTTPError):
        send("GET", url("/status/404")).download(tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_bodies_that_are_too_large(send: Any, url: Url) -> None:
    for path in ("/large", "/bomb"):
        with pytest.raises(ContentTooLarge):
            send("GET", url(path), config={"max_content_size": 100_000}).content  # noqa: B018
    assert send("GET", url("/get")).ok


def test_hooks(send: Any, url: Url) -> None:
    seen: list[str] = []
    hooks = {
        name: lambda it, name=name: seen.append(name)
        for name in ("args", "pre_request", "post_request", "response")
    }
    send("GET", url("/redirect/1"), hooks=hooks)
    assert seen == ["args", *["pre_request", "post_request"] * 2, "response"]


def test_timings_and_elapsed(send: Any, url: Url) -> None:
    for _ in range(2):
        response = send("GET", url("/get"), prefetch=True)
        assert response.elapsed.total_seconds() > 0
        assert all(response.timings[phase] is not None for phase in ("send", "wait", "receive"))


def test_limits_have_phases(send: Any, url: Url) -> None:
    with pytest.raises(reqkit.TotalTimeout) as caught:
        send("GET", url("/delay/2"), timeout=reqkit.Timeouts(total=0.3))
    assert caught.value.phase == "wait"
    with pytest.raises(reqkit.exceptions.ReadTimeout):
        send("GET", url("/delay/2"), timeout=(5, 0.3))
    with pytest.raises(reqkit.TotalTimeout) as caught:
        send("GET", url("/drip?duration=3&numbytes=3&delay=0"), prefetch=True,
             timeout=reqkit.Timeouts(total=0.5))  # fmt: skip
    assert caught.value.phase == "receive"


def test_danger_and_safety(send: Any, url: Url) -> None:
    with pytest.raises(HTTPError):
        send("GET", url("/status/418"), config={"danger_mode": True})
    assert send("GET", url("/status/418")).reason


def test_retries(send: Any, url: Url) -> None:
    from urllib3.util import Retry

    policy = Retry(total=2, status_forcelist=[503], raise_on_status=False)
    assert send("GET", url("/status/503"), config={"max_retries": policy}).status_code == 503


def test_addresses_that_are_not_allowed(url: Url, ca_bundle: str, wire: int) -> None:
    from reqkit.exceptions import AddressNotAllowed

    config = {"http2": wire == 20}
    with reqkit.Session(
        verify=ca_bundle, config=config, allow_address=lambda address: False
    ) as session:
        with pytest.raises(AddressNotAllowed):
            session.get(url("/get"))
        [response] = reqkit_async.map([reqkit_async.get(url("/get"), session=session)])
        assert isinstance(response.error, AddressNotAllowed)


def test_pickles(send: Any, url: Url, wire: int) -> None:
    response = send("GET", url("/anything/x"), prefetch=True)
    copied = pickle.loads(pickle.dumps(response))
    assert copied.json()["url"] == response.json()["url"]
    assert (copied.version, copied.headers) == (wire, response.headers)


def test_bad_certificates(url: Url, wire: int) -> None:
    with reqkit.Session(config={"http2": wire == 20}) as session:
        with pytest.raises(reqkit.exceptions.SSLError):
            session.get(url("/get"))
        [response] = reqkit_async.map([reqkit_async.get(url("/get"), session=session)])
        assert isinstance(response.error, reqkit.exceptions.SSLError)
        assert session.get(url("/get"), verify=False).ok
        with pytest.raises(reqkit.exceptions.SSLError):
            session.get(url("/get"))


def test_a_batch(session: reqkit.Session, url: Url, wire: int) -> None:
    requests = [reqkit_async.get(url(f"/anything/{n}"), session=session) for n in range(60)]
    responses = reqkit_async.map(requests, size=20)
    for number, response in enumerate(responses):
        assert isinstance(response, reqkit.Response)
        assert (response.error, response.version) == (None, wire)
        assert json.loads(response.content)["url"].endswith(f"/{number}")
