"""Passwords, tokens and cookies are in nothing that a program may print, log or hand on.

Every failure is met with secrets in every place that a request has for them; then all that a
program can lay its hands on is searched: texts, reprs, tracebacks, pickles, logs at any level,
warnings, what was written, and the attributes of each error in the chain.
"""

from __future__ import annotations

import base64
import functools
import gzip
import io
import logging
import pickle
import pprint
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from urllib3.util import Retry

import reqkit
import reqkit_async
from reqkit.adapters import HTTPAdapter
from reqkit.auth import HTTPBasicAuth, HTTPBearerAuth, HTTPDigestAuth, HTTPProxyAuth
from reqkit.transport.pool_manager import PoolManager
from reqkit.transport.routes import Route, parse_proxy
from reqkit.transport.tls.settings import TlsSettings
from servers.handlers import reset, silent, then_close
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

Scripted = Callable[..., ScriptedServer]
Send = Callable[..., reqkit.Response]

#: Each in a place of its own, so that a leak says where it comes from. With what a URL escapes.
PLACES = (
    "url", "parameter", "auth", "bearer", "digest", "header", "cookie-header", "cookie",
    "session-cookie", "set-cookie", "proxy", "proxy-header", "netrc", "location",
)  # fmt: skip
SECRETS = {place: f"hush-{place}-é:w" for place in PLACES}
SECRETS["header"] = "hush-header-w"  # headers are latin-1
SECRETS["bearer"] = "hush-bearer-w"
SECRETS["netrc"] = "hush-netrc-w"  # which Python 3.10 reads as ASCII
SECRETS["cookie-header"] = "hush-cookie-header-w"
SECRETS["cookie"] = "hush-cookie-w"
SECRETS["session-cookie"] = "hush-session-cookie-w"
SECRETS["set-cookie"] = "hush-set-cookie-w"
SECRETS["proxy-header"] = "hush-proxy-header-w"


def spellings(secret: str) -> Iterator[str]:
    """Yield what may stand for a secret: itself, escaped, and as Basic has it."""
    yield secret.rpartition("-")[0]  # a good part of it is too much already
    yield quote(secret, safe="").rpartition("-")[0]
    for codec in ("utf-8", "latin-1"):
        for user in ("user:", ""):
            yield base64.b64encode((user + secret).encode(codec)).decode().rstrip("=")


FORBIDDEN = {spelling: place for place in PLACES for spelling in spellings(SECRETS[place])}


def leaks(where: str, text: str) -> list[str]:
    """Return which secrets stand in a text, and where that was."""
    return [f"{place} in {where}" for spelling, place in FORBIDDEN.items() if spelling in text]


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes and what it was raised in."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [other for other in (one.__cause__, one.__context__) if other is not None]


def texts_of(thing: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield what is shown of a thing."""
    yield f"repr of {name}", repr(thing)
    yield f"str of {name}", str(thing)
    yield f"format of {name}", f"{thing}"
    yield f"pprint of {name}", pprint.pformat(thing)


def texts_of_error(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield all that an error, and those behind it, may show."""
    yield "traceback", "".join(traceback.format_exception(error))
    for one in chain_of(error):
        name = type(one).__name__
        yield from texts_of(one, name)
        yield f"args of {name}", repr(one.args)
        yield f"attributes of {name}", pprint.pformat(vars(one))
        yield f"notes of {name}", repr(getattr(one, "__notes__", None))
    pickled = pickle.dumps(error)
    yield "pickle", pickled.decode("latin-1") + pickled.decode("utf-8", "replace")
    yield from texts_of(pickle.loads(pickled), "unpickled")
    for attribute in ("request", "response"):
        thing = getattr(error, attribute, None)
        if thing is not None:
            yield from texts_of_message(thing, attribute)


def texts_of_message(thing: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield what a request or a response shows."""
    yield from texts_of(thing, name)
    for part in (
        "headers", "cookies", "raw", "history", "connection", "request", "hooks", "timings",
        "hook_errors", "links", "next", "error",
    ):  # fmt: skip
        value = getattr(thing, part, None)
        if value is not None:
            yield from texts_of(value, f"{name}.{part}")


class Records(logging.Handler):
    """All that is logged, whoever does it."""

    def __init__(self) -> None:
        super().__init__(1)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.getMessage()} {record.args!r} {record.exc_info!r}")


@pytest.fixture
def records() -> Iterator[Records]:
    made = Records()
    loggers = [logging.getLogger(name) for name in ("", "urllib3", "urllib3.util.retry", "reqkit")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(1)
    loggers[0].addHandler(made)
    yield made
    loggers[0].removeHandler(made)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


# -- the places


def in_url(url: str) -> tuple[str, dict[str, Any]]:
    userinfo = f"user:{quote(SECRETS['url'], safe='')}"
    return url.replace("://", f"://{userinfo}@"), {}


def in_parameter(url: str) -> tuple[str, dict[str, Any]]:
    return url, {"params": {"page": 1, "api_key": SECRETS["parameter"]}}


def with_auth(auth: Any) -> Callable[[str], tuple[str, dict[str, Any]]]:
    return lambda url: (url, {"auth": auth()})


def in_headers(url: str) -> tuple[str, dict[str, Any]]:
    return url, {
        "headers": {
            "Authorization": f"Token {SECRETS['header']}",
            "Cookie": f"sid={SECRETS['cookie-header']}",
            "Proxy-Authorization": f"Basic {SECRETS['proxy-header']}",
        }
    }


def in_pairs(url: str) -> tuple[str, dict[str, Any]]:
    """As in_headers, in another spelling, and more than once."""
    token = f"Token {SECRETS['header']}"
    return url, {"headers": [(b"AUTHORIZATION", token.encode()), ("cookie", SECRETS["cookie"])]}


def in_cookies(url: str) -> tuple[str, dict[str, Any]]:
    return url, {"cookies": {"sid": SECRETS["cookie"]}}


def in_netrc(url: str) -> tuple[str, dict[str, Any]]:
    return url, {}  # the fixture's


WAYS: dict[str, Callable[[str], tuple[str, dict[str, Any]]]] = {
    "url": in_url,
    "parameter": in_parameter,
    "pair": with_auth(lambda: ("user", SECRETS["auth"])),
    "bearer": with_auth(lambda: HTTPBearerAuth(SECRETS["bearer"])),
    "digest": with_auth(lambda: HTTPDigestAuth("user", SECRETS["digest"])),
    "headers": in_headers,
    "pairs": in_pairs,
    "cookies": in_cookies,
    "netrc": in_netrc,
}


# -- the failures


SET_COOKIE = ("Set-Cookie", f"sid2={SECRETS['set-cookie']}")
AWAY = f"ftp://user:{quote(SECRETS['location'], safe='')}@h/"
DIGEST = ("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')
GET: dict[str, Any] = {"prefetch": True, "timeout": 20}

#: What the server does; what is asked for besides; the error.
FAILURES: dict[str, tuple[Callable[[Connection], None], dict[str, Any], type[Exception]]] = {
    "reset": (reset, {}, reqkit.ConnectionError),
    "nothing": (then_close(b""), {}, reqkit.ConnectionError),
    "no HTTP": (then_close(b"hello\r\n\r\n"), {}, reqkit.ProtocolError),
    "cut head": (then_close(b"HTTP/1.1 200 OK\r\nX: "), {}, reqkit.ProtocolError),
    "bad field": (
        then_close(b"HTTP/1.1 200 OK\r\nSet-Cookie : " + SECRETS["set-cookie"].encode()
                   + b"\r\n\r\n"), {"config": {"strict": True}}, reqkit.ProtocolError,
    ),
    "control character": (
        then_close(b"HTTP/1.1 200 OK\r\nSet-Cookie: " + SECRETS["set-cookie"].encode()
                   + b"\0\r\n\r\n"), {}, reqkit.ProtocolError,
    ),
    "two lengths": (
        then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), {},
        reqkit.ProtocolError,
    ),
    "short body": (
        then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), {},
        reqkit.ChunkedEncodingError,
    ),
    "read timeout": (silent, {"timeout": (20, 0.05)}, reqkit.ReadTimeout),
    "total timeout": (
        silent, {"timeout": reqkit.Timeouts(total=0.1)}, reqkit.TotalTimeout,
    ),
    "bad gzip": (
        then_close(answer(200, b"not gzip", [("Content-Encoding", "gzip"), SET_COOKIE])), {},
        reqkit.ContentDecodingError,
    ),
    "too large": (
        then_close(answer(200, gzip.compress(bytes(9999)), [("Content-Encoding", "gzip")])),
        {"config": {"max_content_size": 10}}, reqkit.ContentTooLarge,
    ),
    "redirect away": (
        then_close(answer(302, b"", [("Location", AWAY), SET_COOKIE])), {}, reqkit.InvalidSchema,
    ),
    "too many redirects": (
        then_close(answer(302, b"", [("Location", "/"), SET_COOKIE])),
        {"config": {"max_redirects": 0}}, reqkit.TooManyRedirects,
    ),
    "404": (
        then_close(answer(404, b"", [SET_COOKIE, DIGEST])), {"config": {"danger_mode": True}},
        reqkit.HTTPError,
    ),
    "401": (
        then_close(answer(401, b"", [SET_COOKIE, DIGEST])), {"config": {"danger_mode": True}},
        reqkit.HTTPError,
    ),
    "retries used up": (
        then_close(answer(503, b"", [SET_COOKIE])),
        {"config": {"max_retries": Retry(2, status_forcelist=[503], backoff_factor=0)}},
        reqkit.RetryError,
    ),
    "resets retried": (
        reset, {"config": {"max_retries": Retry(2, backoff_factor=0)}}, reqkit.ConnectionError,
    ),
}  # fmt: skip


@pytest.fixture
def netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    path.write_text(f"machine 127.0.0.1 login user password {SECRETS['netrc']}\n", "utf-8")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


def bad_hook(message: Any) -> None:
    """Fail in the middle of a request, with what it got in its hands."""
    raise LookupError(f"in a hook, with {message!r}")


HOOKS = {"pre_request": bad_hook, "post_request": bad_hook, "response": bad_hook}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_tells_no_secret(
    scripted: Scripted,
    send: Send,
    netrc: None,
    records: Records,
    capfd: pytest.CaptureFixture[str],
    failure: str,
) -> None:
    handler, keywords, kind = FAILURES[failure]
    server = scripted(handler)
    found: list[str] = []
    verbose = io.StringIO()
    for way in WAYS.values():
        session = reqkit.Session(
            cookies={"own": SECRETS["session-cookie"]},
            hooks=HOOKS,
            config={"verbose": verbose, "trace": verbose},
        )
        url, placed = way(server("/path"))
        with session, warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            with pytest.raises(reqkit.RequestException) as caught:
                send(url, session=session, **{**GET, **placed, **keywords})
            assert isinstance(caught.value, kind)
            for where, text in texts_of_error(caught.value):
                found += leaks(where, text)
            for one in (session, session.cookies, session.headers, session.config, session.hooks):
                for where, text in texts_of(one, f"the session's {type(one).__name__}"):
                    found += leaks(where, text)
        assert warned
        for warning in warned:
            found += leaks("a warning", f"{warning.message} {warning.message!r}")
    assert records.texts or "retr" not in failure
    for text in records.texts:
        found += leaks("a log", text)
    found += leaks("verbose", verbose.getvalue())
    written = capfd.readouterr()
    found += leaks("what was written", written.out + written.err)
    assert sorted(set(found)) == []
    assert server.requests  # the secrets were sent, all the same
    sent = b"".join(request.head for request in server.requests).decode("latin-1")
    for place in ("bearer", "header", "cookie-header", "cookie", "session-cookie"):
        assert SECRETS[place] in sent
    for place in ("url", "auth", "netrc"):
        assert any(spelling in sent for spelling in spellings(SECRETS[place]))


PROXY_URL = f"user:{quote(SECRETS['proxy'], safe='')}"


def proxy_says(data: bytes | None) -> Callable[[Connection], None]:
    """Answer whatever comes first, by HTTP or SOCKS; None: with a reset."""

    def handler(connection: Connection) -> None:
        connection.recv_some()
        if data is None:
            connection.reset()
        else:
            connection.send(data)

    return handler


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "handler",
    [
        proxy_says(None),
        proxy_says(b"no HTTP\r\n\r\n"),
        proxy_says(answer(407, b"", [("Proxy-Authenticate", "Basic")])),
        proxy_says(answer(200) + b"surplus"),
        proxy_says(b"\x05\xff"),
        None,
    ],
    ids=["reset", "no HTTP", "407", "surplus", "socks", "closed"],
)
@pytest.mark.parametrize("by", ["keyword", "session", "environment"])
def test_a_proxys_failure_tells_no_secret(
    scripted: Scripted,
    send: Send,
    records: Records,
    closed_port: int,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    handler: Callable[[Connection], None] | None,
    by: str,
) -> None:
    port = closed_port if handler is None else scripted(handler).port
    found: list[str] = []
    for kind in ("http", "socks5h", "socks4a"):
        proxy = f"{kind}://{PROXY_URL}@127.0.0.1:{port}"
        proxies = {scheme: proxy}
        session = reqkit.Session(proxies=proxies if by == "session" else None)
        keywords: dict[str, Any] = {"proxies": proxies} if by == "keyword" else {}
        with session, monkeypatch.context() as patch:
            if by == "environment":
                patch.setenv(f"{scheme}_proxy", proxy)
            config = {"danger_mode": True}
            url = in_url(f"{scheme}://server.test/")[0]
            try:
                response = send(url, session=session, config=config, **GET, **keywords)
            except reqkit.RequestException as error:
                for where, text in texts_of_error(error):
                    found += leaks(where, text)
            else:
                for where, text in texts_of_message(response, "response"):
                    found += leaks(where, text)
            adapter = session.get_adapter(url)
            for where, text in texts_of(adapter, "adapter"):
                found += leaks(where, text)
    for text in records.texts:
        found += leaks("a log", text)
    assert sorted(set(found)) == []


def wrong(secret: str) -> dict[str, Callable[[], Any]]:
    """Calls whose arguments are wrong, each with a secret in it."""
    get = functools.partial(reqkit.get, "http://127.0.0.1:1/", timeout=1)
    calls: dict[str, Callable[[], Any]] = {
        "password with a line's end": lambda: get(auth=("user", f"{secret}\n")),
        "password that latin-1 has not": lambda: get(headers={"Authorization": f"{secret}\u20ac"}),
        "header with a line's end": lambda: get(headers={"Authorization": f"{secret}\r\n"}),
        "header in bytes": lambda: get(headers={"Authorization": f"{secret}\n".encode()}),
        "header of a wrong kind": lambda: get(headers={"Authorization": [secret]}),
        "another header": lambda: get(headers={"X-Token": f"{secret}\n"}),
        "header's name": lambda: get(headers={f"Authorization: {secret}": "x"}),
        "headers of a wrong kind": lambda: get(headers=f"Authorization: {secret}"),
        "headers in wrong pairs": lambda: get(headers=[("Authorization", secret, 1)]),
        "cookie with a line's end": lambda: get(cookies={"a": f"{secret}\r\n"}),
        "cookie of a wrong kind": lambda: get(cookies={"a": [secret]}),
        "cookies of a wrong kind": lambda: get(cookies=f"a={secret}"),
        "cookies in wrong pairs": lambda: get(cookies=[("a", secret, 1)]),
        "cookie's name": lambda: get(cookies={f"a={secret};": "x"}),
        "auth of a wrong kind": lambda: get(auth=f"user:{secret}"),
        "auth of three": lambda: get(auth=("user", secret, "x")),
        "auth of a wrong password": lambda: get(auth=("user", [secret])),
        "bearer": lambda: get(auth=HTTPBearerAuth(f"{secret}\n")),
        "bearer of a wrong kind": lambda: get(auth=HTTPBearerAuth([secret])),  # type: ignore[arg-type]
        "digest": lambda: get(auth=HTTPDigestAuth("user", [secret])),  # type: ignore[arg-type]
        "proxy's auth": lambda: get(auth=HTTPProxyAuth("user", f"{secret}\r")),
        "proxies of a wrong kind": lambda: get(proxies=f"http://user:{secret}@h"),
        "proxy of a wrong kind": lambda: get(proxies={"http": ["http", secret]}),
        "proxy with a slash": lambda: get(proxies={"http": f"http://user:{secret}/@h:1"}),
        "proxy without a port": lambda: get(proxies={"http": f"http://user:{secret}@h:x"}),
        "proxy's key": lambda: get(proxies={f"htp://user:{secret}@h": "h:1"}),
        "proxy's key, a star": lambda: get(proxies={f"http://user:{secret}@*": "h:1"}),
        "no proxy's key": lambda: get(proxies={f"//user:{secret}@h": "h:1"}),
        "config in pairs": lambda: get(config=[("base_headers", {"Authorization": secret})]),
        "config's headers": lambda: get(config={"base_headers": [("Authorization", secret)]}),
        "session's config": lambda: reqkit.Session(config=[("x", secret)]),  # type: ignore[arg-type]
        "config's key": lambda: get(config={"danger": secret}),
        "config's verbose": lambda: get(config={"verbose": {"Authorization": secret}}),
        "config's flag": lambda: get(config={"trust_env": {"Authorization": secret}}),
        "config's number": lambda: get(config={"max_redirects": {"Authorization": secret}}),
        "hook of a wrong kind": lambda: get(hooks={"response": {"token": secret}}),
        "hooks of a wrong kind": lambda: get(hooks=[("response", secret)]),
        "hook in a list": lambda: get(hooks={"response": [{"token": secret}]}),
        "timeout": lambda: get(timeout={"token": secret}),
        "verify": lambda: get(verify={"token": secret}),
        "cert": lambda: get(cert=("a", "b", secret, secret)),
        "prefetch": lambda: get(prefetch={"token": secret}),
        "allow_redirects": lambda: get(allow_redirects={"token": secret}),
        "data": lambda: reqkit.post("http://127.0.0.1:1/", data={"password": f"{secret}\ud800"}),
        "params": lambda: get(params={"token": f"{secret}\ud800"}),
        "unknown keyword": lambda: get(autth=("user", secret)),
        "method": lambda: reqkit.request(f"GET {secret}\r\n", "http://127.0.0.1:1/"),
        "allow_address": lambda: reqkit.Session(allow_address={"token": secret}),  # type: ignore[arg-type]
        "what is no request": lambda: raised_by_map(("GET", "http://h/", ("user", secret))),
        "what is no request, a URL": lambda: raised_by_map(f"http://user:{secret}@h/"),
        "what is no prepared request": lambda: reqkit.Session().send(("GET", secret)),
        "json": lambda: reqkit.post("http://127.0.0.1:1/", json={"a": {secret}}),
        "url in bytes": lambda: get_url(f"http://user:{secret}\xff@h:x/".encode("latin-1")),
        "url with a host that cannot be": lambda: get_url(f"http://user:{secret}@h..h/"),
        "url with a long host": lambda: get_url(f"http://user:{secret}@{'h' * 70}/"),
        "url to a name that is none": lambda: get_url(f"http://user:{secret}@h.invalid/"),
    }
    #: Not told what it is for, an error may well show a method's or a field's name.
    for owner in ("header's name", "cookie's name", "method", "json"):
        del calls[owner]
    return calls


def get_url(url: Any) -> Any:
    return reqkit.get(url, timeout=1)


def raised_by_map(thing: Any) -> Any:
    return reqkit_async.map([thing], raise_errors=True)


@pytest.mark.parametrize("call", wrong("x"))
def test_a_wrong_argument_is_not_shown(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = SECRETS["header"]
    monkeypatch.setattr("socket.getaddrinfo", no_such_name)
    with pytest.raises(Exception) as caught, warnings.catch_warnings():
        warnings.simplefilter("error")
        wrong(secret)[call]()
    assert not isinstance(caught.value, (AssertionError, AttributeError))
    found: list[str] = []
    found += leaks("traceback", only_messages(caught.value))
    for one in chain_of(caught.value):
        if isinstance(one, (UnicodeError, TypeError)) and one is not caught.value:
            found += leaks("str of a cause", str(one))
            continue
        for where, text in texts_of(one, type(one).__name__):
            found += leaks(where, text)
    if isinstance(caught.value, reqkit.RequestException):
        found += leaks("pickle", pickle.dumps(caught.value).decode("latin-1"))
    assert found == []


def no_such_name(*arguments: Any) -> Any:
    import socket

    raise socket.gaierror(socket.EAI_NONAME, "no such name")


def only_messages(error: BaseException) -> str:
    """Return a traceback without the lines of this file, which has the secrets in its source."""
    return "".join(
        line
        for one in chain_of(error)
        for line in traceback.TracebackException.from_exception(one).format_exception_only()
    )


def test_what_is_made_of_secrets_shows_none(authority: Authority) -> None:
    s = SECRETS
    jar = reqkit.cookies.cookiejar_from_dict({"sid": s["cookie"]})
    proxy = parse_proxy(f"http://{PROXY_URL}@h:1")
    settings = TlsSettings(cert=("c", "k", s["header"]))
    auths = [
        HTTPBasicAuth("user", s["auth"]), HTTPProxyAuth("user", s["auth"]),
        HTTPDigestAuth("user", s["digest"]), HTTPBearerAuth(s["bearer"]),
    ]  # fmt: skip
    session = reqkit.Session(
        headers={"Authorization": s["header"], "Cookie": s["cookie-header"]}, cookies=jar,
        auth=auths[0], proxies={"all": f"http://{PROXY_URL}@h:1"},
        config={"base_headers": {"Proxy-Authorization": s["proxy-header"]}},
    )  # fmt: skip
    url, _ = in_url("http://h/")
    unsent = reqkit_async.get(url, auth=("user", s["auth"]), cookies={"a": s["cookie"]})
    pool = reqkit_async.Pool(session=session)
    things: list[Any] = [
        *auths, *jar, jar, jar.copy(), proxy, [proxy], settings, {"tls": settings},
        Route.to("https", "h", 1, settings, proxy), session, session.headers, session.cookies,
        session.config, session.adapters, PoolManager(), HTTPAdapter(), unsent, [unsent],
        session.prepare_request(unsent), session.prepare_request(unsent).headers, pool, pool.stats,
        reqkit_async.summarise([]), reqkit.Timeouts(1, 2, 3), unsent.describe(),
        session.headers.items(), dict(session.config)["base_headers"],
    ]  # fmt: skip
    found: list[str] = []
    for thing in things[:-2]:
        for where, text in texts_of(thing, type(thing).__name__):
            found += leaks(where, text)
    assert found == []


def test_a_cookie_shows_its_name_and_not_its_value(scripted: Scripted) -> None:
    server = scripted([answer(200, b"", [SET_COOKIE])])
    with reqkit.Session() as session:
        response = session.get(server())
        for jar in (session.cookies, response.cookies):
            [cookie] = jar
            assert cookie.value == SECRETS["set-cookie"]
            for text in (repr(cookie), str(cookie), repr([cookie]), repr(jar.items)):
                assert leaks("cookie", text) == []
            assert "sid2" in repr(cookie)
            assert pickle.loads(pickle.dumps(cookie)).value == SECRETS["set-cookie"]


def test_in_a_batch(
    scripted: Scripted, records: Records, capfd: pytest.CaptureFixture[str]
) -> None:
    """Figures, progress, handlers and a greenlet's own traceback."""
    server = scripted(reset)
    calls_back: list[Any] = []

    def handler(request: Any, error: Any) -> None:
        calls_back.append((request, error))
        raise LookupError("in the handler")

    requests = [
        reqkit_async.get(in_url(server())[0], cookies={"a": SECRETS["cookie"]}) for _ in range(3)
    ]
    found: list[str] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with reqkit_async.Pool(
            3, exception_handler=handler, progress=lambda *done: calls_back.append(done)
        ) as pool:
            entries = pool.map(requests)
            greenlet = reqkit_async.send(requests[0])
            greenlet.join()
        for thing in (*calls_back, entries, pool, pool.stats, str(pool.stats), greenlet, requests):
            for where, text in texts_of(thing, type(thing).__name__):
                found += leaks(where, text)
        for entry in entries:
            for where, text in texts_of_error(entry.error):
                found += leaks(where, text)
    assert len(warned) == 3
    found += [leak for one in warned for leak in leaks("a warning", str(one.message))]
    written = capfd.readouterr()
    found += leaks("what was written", written.out + written.err)
    found += [leak for text in records.texts for leak in leaks("a log", text)]
    assert found == []


def test_over_tls_and_in_threads(
    scripted: Scripted, authority: Authority, records: Records
) -> None:
    """A refused certificate, and what a thread's failure writes."""
    server = scripted([answer(200)], tls=authority.server())
    caught: list[threading.ExceptHookArgs] = []
    before = threading.excepthook
    threading.excepthook = caught.append
    try:
        thread = threading.Thread(target=reqkit.get, args=in_url(server())[:1])
        thread.start()
        thread.join(20)
    finally:
        threading.excepthook = before
    [failure] = caught
    assert isinstance(failure.exc_value, reqkit.SSLError)
    found = [
        leak for where, text in texts_of_error(failure.exc_value) for leak in leaks(where, text)
    ]
    assert found == []


def test_a_malformed_netrc_is_not_quoted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, echo: ScriptedServer
) -> None:
    path = tmp_path / "netrc"
    path.write_text(f"machine 127.0.0.1 login user passwd {SECRETS['netrc']}\n", "utf-8")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    with pytest.warns(reqkit.exceptions.RequestsWarning) as warned:
        assert reqkit.get(echo()).ok
    assert [leak for one in warned for leak in leaks("warning", str(one.message))] == []


def test_a_secret_is_found_where_there_is_one() -> None:
    """What searches is not blind."""
    error = reqkit.ConnectionError("about")
    error.__cause__ = ValueError(SECRETS["url"])
    assert [leak for where, text in texts_of_error(error) for leak in leaks(where, text)]
    assert leaks("there", base64.b64encode(f"user:{SECRETS['auth']}".encode()).decode())
    assert leaks("there", quote(SECRETS["auth"], safe=""))
