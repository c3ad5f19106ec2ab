"""Safety, live: hostile answers fail by name and cost their connection; secrets never show."""

from __future__ import annotations

import gzip
import io
import logging
import pickle
import traceback
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import reqkit
from reqkit.auth import HTTPBasicAuth, HTTPBearerAuth, HTTPDigestAuth, HTTPProxyAuth
from reqkit.transport.routes import parse_proxy
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Scripted = Callable[..., ScriptedServer]

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HEAD = reqkit.ProtocolError
BODY = reqkit.ChunkedEncodingError


def endless(start: bytes, piece: bytes) -> Iterator[bytes]:
    yield start
    while True:
        yield piece


def once(data: bytes | Callable[[], Iterator[bytes]], close: bool) -> Callable[[Connection], None]:
    """Answer the first request with these bytes, and every one after it with a good answer."""

    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            if len(connection.server.requests) > 1:
                connection.send(answer(200, b"good"))
                continue
            for piece in [data] if isinstance(data, bytes) else data():
                connection.send(piece)
            if close:
                return

    return handler


#: Bytes; whether the server closes after them; the error.
HOSTILE: dict[str, tuple[bytes | Callable[[], Iterator[bytes]], bool, type[Exception]]] = {
    # Heads
    "nothing": (b"", True, HEAD),
    "head cut in the status": (b"HTTP/1.1 20", True, HEAD),
    "head cut in a field": (OK + b"Content-Le", True, HEAD),
    "head cut before the empty line": (OK + b"Content-Length: 0\r\n", True, HEAD),
    "another protocol": (b"220 smtp.example ESMTP\r\n", False, HEAD),
    "TLS alert": (b"\x15\x03\x01\x00\x02\x02\x46", False, HEAD),
    "HTTP/0.9": (b"<html>hello", False, HEAD),
    "HTTP/2 version": (b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n", False, HEAD),
    "HTTP/1.2": (b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", False, HEAD),
    "two-digit status": (b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", False, HEAD),
    "status 099": (b"HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n", False, HEAD),
    "bare LF": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", False, HEAD),
    "bare CR": (OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n", False, HEAD),
    "NUL in a value": (OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n", False, HEAD),
    "folded field": (OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", False, HEAD),
    "space before the colon": (OK + b"Content-Length : 0\r\n\r\n", False, HEAD),
    "no colon": (OK + b"hello\r\nContent-Length: 0\r\n\r\n", False, HEAD),
    "empty name": (OK + b": x\r\nContent-Length: 0\r\n\r\n", False, HEAD),
    "too many fields": (OK + b"X: y\r\n" * 1100 + b"\r\n", False, HEAD),
    "one field too large": (OK + b"X: " + b"y" * 110_000 + b"\r\n\r\n", False, HEAD),
    "endless field": (lambda: endless(OK + b"X: ", b"y" * 4096), True, HEAD),
    "endless fields": (lambda: endless(OK, b"X: y\r\n" * 100), True, HEAD),
    "endless line": (lambda: endless(b"HTTP/1.1 200 ", b"y" * 4096), True, HEAD),
    # 1xx
    "100 without end": (lambda: endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), True, HEAD),
    "103 without end": (
        lambda: endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), True, HEAD,
    ),
    "101 unasked": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", False, HEAD),
    "cut after a 100": (b"HTTP/1.1 100 Continue\r\n\r\n", True, HEAD),
    # Where the body ends
    "both lengths": (
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False, HEAD,
    ),
    "differing lengths": (
        OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", False, HEAD,
    ),
    "differing lengths in one": (OK + b"Content-Length: 3, 4\r\n\r\nabcd", False, HEAD),
    "length +3": (OK + b"Content-Length: +3\r\n\r\nabc", False, HEAD),
    "length -3": (OK + b"Content-Length: -3\r\n\r\nabc", False, HEAD),
    "length 0x3": (OK + b"Content-Length: 0x3\r\n\r\nabc", False, HEAD),
    "length 3.0": (OK + b"Content-Length: 3.0\r\n\r\nabc", False, HEAD),
    "length 1_0": (OK + b"Content-Length: 1_0\r\n\r\nabcabcabca", False, HEAD),
    "length, other digits": (OK + b"Content-Length: \xb3\r\n\r\nabc", False, HEAD),
    "length empty": (OK + b"Content-Length:\r\n\r\nabc", False, HEAD),
    "length huge": (OK + b"Content-Length: " + b"9" * 40 + b"\r\n\r\nabc", False, HEAD),
    "coding unknown": (OK + b"Transfer-Encoding: zip\r\n\r\nabc", False, HEAD),
    "chunked not last": (OK + b"Transfer-Encoding: chunked, gzip\r\n\r\nabc", False, HEAD),
    "chunked twice": (OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", False, HEAD),
    "chunked by HTTP/1.0": (
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False, HEAD,
    ),
    # Bodies
    "short body": (OK + b"Content-Length: 9\r\n\r\nabc", True, BODY),
    "chunked, cut in a chunk": (CHUNKED + b"5\r\nab", True, BODY),
    "chunked, cut after a chunk": (CHUNKED + b"2\r\nab\r\n", True, BODY),
    "chunked, last chunk without its end": (CHUNKED + b"2\r\nab\r\n0\r\n", True, BODY),
    "chunk size -1": (CHUNKED + b"-1\r\nab\r\n", False, BODY),
    "chunk size 0x2": (CHUNKED + b"0x2\r\nab\r\n0\r\n\r\n", False, BODY),
    "chunk size +2": (CHUNKED + b"+2\r\nab\r\n0\r\n\r\n", False, BODY),
    "chunk size empty": (CHUNKED + b"\r\nab\r\n0\r\n\r\n", False, BODY),
    "chunk size of 20 digits": (CHUNKED + b"0" * 19 + b"2\r\nab\r\n0\r\n\r\n", False, BODY),
    "chunk too long for its size": (CHUNKED + b"2\r\nabc\r\n0\r\n\r\n", False, BODY),
    "chunk line in bare LF": (CHUNKED + b"2\nab\n0\n\n", False, BODY),
    "chunk extension without end": (lambda: endless(CHUNKED + b"2;", b"x" * 4096), True, BODY),
    "trailers without end": (lambda: endless(CHUNKED + b"0\r\n", b"X: y\r\n" * 50), True, BODY),
}  # fmt: skip


#: Those that are read where nothing says ``strict``: they have one plain meaning.
READ = (
    "bare LF", "folded field", "space before the colon", "no colon", "empty name", "both lengths",
    "chunked by HTTP/1.0",
)  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_answers_that_break_a_rule_are_read_and_not_kept(scripted: Scripted, name: str) -> None:
    data, close, _ = HOSTILE[name]
    server = scripted(once(data, close))
    with reqkit.Session() as session:
        first = session.get(server("/first"), prefetch=True, timeout=10)
        assert (first.status_code, first.content) == (200, b"")
        assert session.get(server("/second")).content == b"good"
    assert [one.connection for one in server.requests] == [1, 2]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers(scripted: Scripted, name: str) -> None:
    data, close, kind = HOSTILE[name]
    server = scripted(once(data, close))
    with reqkit.Session(config={"strict": name in READ}) as session:
        with pytest.raises(reqkit.RequestException) as caught:
            session.get(server("/first"), prefetch=True, timeout=10)
        assert isinstance(caught.value, kind)
        assert server("/first") in str(caught.value)
        # The connection is not used again, and nothing of it reaches the next answer.
        second = session.get(server("/second"))
        assert second.content == b"good"
        assert [one.connection for one in server.requests] == [1, 2]


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Content-Length: 4\r\n", b"goodHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        (
            b"Transfer-Encoding: chunked\r\n",
            b"4\r\ngood\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        ),
        (b"Content-Length: 0\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
    ],
)
def test_what_comes_after_an_answer_is_nobodys(
    scripted: Scripted, head: bytes, body: bytes
) -> None:
    server = scripted(once(OK + head + b"\r\n" + body, False))
    with reqkit.Session() as session:
        assert session.get(server()).content in (b"good", b"")
        assert session.get(server()).content == b"good"
    assert [one.connection for one in server.requests] == [1, 2]


@pytest.mark.parametrize("status", [204, 304])
def test_a_body_where_none_may_be(scripted: Scripted, status: int) -> None:
    start = f"HTTP/1.1 {status} x\r\nContent-Length: 4\r\n\r\nevil".encode()
    server = scripted(once(start, False))
    with reqkit.Session() as session:
        assert session.get(server()).content == b""
        assert session.get(server()).content == b"good"
    assert [one.connection for one in server.requests] == [1, 2]


def test_interim_answers_are_skipped(scripted: Scripted) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    server = scripted([interim * 3 + answer(200, b"ok"), answer(200, b"ok")])
    with reqkit.Session() as session:
        for _ in range(2):
            response = session.get(server())
            assert (response.status_code, response.content) == (200, b"ok")
            assert "link" not in response.headers
    assert server.connections_opened == 1


# Encodings


def bomb(data: bytes) -> bytes:
    return gzip.compress(data)


@pytest.mark.parametrize("redirect", [False, True])
def test_a_bomb_is_held_back(scripted: Scripted, redirect: bool) -> None:
    packed = bomb(bytes(50_000_000))
    fields = [("Content-Encoding", "gzip")]
    if redirect:  # its body is read, to keep the connection, but not decoded
        fields.append(("Location", "/end"))
    server = scripted([answer(302 if redirect else 200, packed, fields), answer(200, b"ok")])
    if redirect:
        assert reqkit.get(server()).content == b"ok"
        return
    with pytest.raises(reqkit.ContentTooLarge):
        reqkit.get(server(), prefetch=True, config={"max_content_size": 1_000_000})


def test_codings_may_not_be_stacked_too_high(scripted: Scripted) -> None:
    body = b"ok"
    for _ in range(6):
        body = gzip.compress(body)
    fields = [("Content-Encoding", ", ".join(["gzip"] * 6))]
    with pytest.raises(reqkit.ContentDecodingError, match="5"):
        reqkit.get(scripted([answer(200, body, fields)])(), prefetch=True)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_truncated_codings(scripted: Scripted, coding: str) -> None:
    whole = gzip.compress(b"x" * 1000) if coding == "gzip" else zlib.compress(b"x" * 1000)
    server = scripted([answer(200, whole[:-5], [("Content-Encoding", coding)])])
    with pytest.raises(reqkit.ContentDecodingError):
        reqkit.get(server(), prefetch=True)


# A request that could be two


def test_a_body_with_a_hand_set_transfer_encoding_is_chunked(echo: ScriptedServer) -> None:
    for data in (b"0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n", "text", io.BytesIO(b"file")):
        reqkit.post(echo(), data=data, headers={"Transfer-Encoding": "chunked"})
    for request, body in zip(
        echo.requests, [b"0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n", b"text", b"file"], strict=True
    ):
        assert request.body == body
        assert request.get("Content-Length") is None


def test_a_coding_that_does_not_end_the_body_is_refused(echo: ScriptedServer) -> None:
    for value in ("gzip", "identity", "chunked, gzip", ""):
        with pytest.raises(reqkit.InvalidHeader, match="Transfer-Encoding"):
            reqkit.post(echo(), data=b"x", headers={"Transfer-Encoding": value})
    assert echo.requests == []


def test_a_coding_without_a_body_is_left_out(echo: ScriptedServer) -> None:
    reqkit.post(echo(), headers={"Transfer-Encoding": "chunked"})
    assert echo.requests[0].get("Transfer-Encoding") is None
    assert echo.requests[0].get("Content-Length") == "0"


def test_a_hand_set_length_does_not_count_against_the_bodys(echo: ScriptedServer) -> None:
    reqkit.post(echo(), data=b"12345", headers={"Content-Length": "2"})
    assert echo.requests[0].body == b"12345"
    assert len(echo.requests) == 1


# Cookies


@pytest.mark.parametrize("domain", ["com", ".com", "localhost", "example", "127.0.0.1.", "0.1"])
def test_cookies_for_what_is_everybodys_are_refused(scripted: Scripted, domain: str) -> None:
    server = scripted([answer(200, b"", [("Set-Cookie", f"a=b; Domain={domain}")])])
    with reqkit.Session() as session:
        session.get(server())
        assert list(session.cookies) == []


def test_hundreds_of_bad_cookies_harm_nothing(scripted: Scripted) -> None:
    bad = ["=", ";", "=x; Domain", "a" * 200 + "=b", "a=b; Expires=never; Max-Age=x", "\xff=\xfe"]
    fields = [("Set-Cookie", text) for text in bad * 30] + [("Set-Cookie", "good=1")]
    server = scripted([answer(200, b"", fields), answer(200)])
    with reqkit.Session() as session:
        assert session.get(server()).ok
        assert session.cookies["good"] == "1"
        assert session.get(server()).ok


# Secrets

PASSWORD = "s3cret-word"
HIDDEN = (PASSWORD, "czNjcmV0LXdvcmQ")  # and as Basic has it, wherever in it that may be
BASIC = "dXNlcjpzM2NyZXQtd29yZA=="  # user:s3cret-word


def hidden(*texts: str) -> bool:
    """Tell whether there is no secret in texts."""
    return not any(secret in text for text in texts for secret in (*HIDDEN, BASIC))


def failing(closed_port: int, **keywords: Any) -> Exception:
    with pytest.raises(reqkit.RequestException) as caught:
        reqkit.get(f"http://user:{PASSWORD}@127.0.0.1:{closed_port}/", **keywords)
    return caught.value


def test_reprs() -> None:
    auths = [
        HTTPBasicAuth("user", PASSWORD), HTTPProxyAuth("user", PASSWORD),
        HTTPDigestAuth("user", PASSWORD), HTTPBearerAuth(PASSWORD),
    ]  # fmt: skip
    headers = {
        "Authorization": PASSWORD, "Cookie": f"a={PASSWORD}", "Proxy-Authorization": PASSWORD,
    }  # fmt: skip
    for auth in auths:
        session = reqkit.Session(
            headers=headers, cookies={"c": PASSWORD}, auth=auth,
            proxies={"http": f"http://user:{PASSWORD}@h:1"},
            config={"base_headers": headers},
        )  # fmt: skip
        request = reqkit.Request(
            "GET", f"http://user:{PASSWORD}@h/", headers=headers, cookies={"c": PASSWORD}, auth=auth
        )
        prepared = session.prepare_request(request)
        response = reqkit.Response()
        response.request = prepared
        response.url = prepared.url
        response.headers = {"Set-Cookie": f"a={PASSWORD}"}
        for thing in (
            auth, session, request, prepared, response, prepared.headers, session.headers,
            response.headers, session.config, session.config["base_headers"],
        ):  # fmt: skip
            assert hidden(repr(thing), str(thing), f"{thing}")
        assert hidden(request.describe(), prepared.describe())
    proxy = parse_proxy(f"http://user:{PASSWORD}@h:1")
    assert hidden(repr(proxy), str(proxy), proxy.url)


def test_errors(closed_port: int) -> None:
    proxies = {"http": f"http://user:{PASSWORD}@127.0.0.1:{closed_port}"}
    for error in (
        failing(closed_port),
        failing(closed_port, proxies=proxies),
        failing(closed_port, headers={"X": "a\n", "Authorization": PASSWORD}),
        failing(closed_port, headers={"Authorization": f"{PASSWORD}\n"}),
        failing(closed_port, cookies={"a": f"{PASSWORD}\n"}),
        failing(closed_port, proxies={"http": f"http://user:{PASSWORD}@h:port"}),
    ):
        assert hidden("".join(traceback.format_exception(error)), repr(error), str(error))
        assert PASSWORD.encode() not in pickle.dumps(error)


def test_errors_of_redirects_and_statuses(scripted: Scripted) -> None:
    away = f"ftp://user:{PASSWORD}@h/"
    server = scripted([answer(404), answer(302, b"", [("Location", away)])])
    url = server().replace("://", f"://user:{PASSWORD}@")
    with pytest.raises(reqkit.HTTPError) as caught:
        reqkit.get(url).raise_for_status()
    assert hidden("".join(traceback.format_exception(caught.value)))
    with pytest.raises(reqkit.InvalidSchema) as led_away:
        reqkit.get(url)
    assert hidden("".join(traceback.format_exception(led_away.value)))


@pytest.mark.parametrize(
    "url",
    [
        "http://user:{}@", "http://user:{}@:80/", "http://user:{}@h:port/", "user:{}@h/",
        "//user:{}@h/", "htp://user:{}@h/", "http://user:{}@h\n/", "http://user:{}@[::1/",
        "http://user:{}@h..h/", "http://user:a/{}@h/", "http://user:a#{}@h:x/",
        "http:/user:{}@h/", "http://user:{}@ü\N{SNOWMAN}/", "http://user:{}\n@h/",
    ],
)  # fmt: skip
def test_errors_of_urls(url: str, recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(reqkit.RequestException) as caught:
        reqkit.get(url.format(PASSWORD), timeout=1)
    assert hidden("".join(traceback.format_exception(caught.value)))
    assert list(recwarn) == []


def test_what_is_verbose_and_what_is_logged(
    scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    server = scripted([answer(302, b"", [("Location", "/b"), ("Set-Cookie", f"c={PASSWORD}")])] * 2)
    verbose = io.StringIO()
    url = server().replace("://", f"://user:{PASSWORD}@")
    with caplog.at_level(logging.DEBUG), reqkit.Session(config={"verbose": verbose}) as session:
        session.get(url, allow_redirects=False, headers={"Cookie": PASSWORD})
        with pytest.raises(reqkit.TooManyRedirects):
            session.get(url, config={"max_redirects": 0}, cookies={"x": PASSWORD})
    lines = verbose.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.endswith(url.replace(PASSWORD, "***")) for line in lines)
    assert hidden(verbose.getvalue(), caplog.text)


def test_warnings(scripted: Scripted) -> None:
    def bad_hook(response: reqkit.Response) -> None:
        raise LookupError("of the user's own")

    server = scripted([answer(200)])
    url = server().replace("://", f"://user:{PASSWORD}@")
    with pytest.warns(reqkit.HookWarning) as warned:
        reqkit.get(url, cookies={"a": PASSWORD}, hooks={"response": bad_hook})
    assert hidden(str(warned[0].message))


def test_proxy_authorization_goes_to_the_proxy_alone(
    scripted: Scripted, authority: Any, ca_bundle: str
) -> None:
    target = scripted([answer(200, b"ok")], tls=authority.server())

    def proxy(connection: Connection) -> None:
        connection.recv_head()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        connection.relay("127.0.0.1", target.port)

    between = scripted(proxy)
    proxies = {"https": f"http://user:{PASSWORD}@{between.netloc}"}
    assert reqkit.get(target(), proxies=proxies, verify=ca_bundle).content == b"ok"
    assert between.requests[0].get("Proxy-Authorization") == f"Basic {BASIC}"
    assert target.requests[0].get("Proxy-Authorization") is None
    assert hidden(target.requests[0].head.decode())
