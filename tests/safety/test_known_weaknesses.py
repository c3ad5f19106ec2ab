"""The ways in which HTTP clients have been led astray before, each by its name.

What other files test already is not tested again: the table in ``docs/security.md`` names the
test for each class, and the last test here sees to it that these are there.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import os
import pickle
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from urllib3.util import Retry

import reqkit
from reqkit.auth import HTTPBasicAuth, HTTPBearerAuth, HTTPDigestAuth, HTTPProxyAuth
from reqkit.auth.challenges import parse_challenges
from reqkit.cookies.parsing import parse_set_cookie
from reqkit.exceptions import RequestException
from reqkit.message.content.charsets import find_encoding, parse_content_type
from reqkit.message.links import parse_links
from reqkit.message.proxies import bypasses, proxies_for
from reqkit.message.urls import prepare_url, without_password
from reqkit.structures import CaseInsensitiveDict
from reqkit.transport.routes import parse_proxy
from reqkit.wire.h1.head import parse_head
from reqkit_async.pool.limits import retry_after
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

Scripted = Callable[..., ScriptedServer]
Send = Callable[..., reqkit.Response]

ROOT = Path(__file__).parents[2]

# -- header injection, request splitting (CRLF)

Place = Callable[[str, str], tuple[str, str, dict[str, Any]]]


def headers(name: str, value: Any) -> dict[str, Any]:
    return {"headers": {name: value}}


def file_of(*parts: Any) -> dict[str, Any]:
    return {"files": {"f": parts}}


def file_with(headers: dict[str, str]) -> dict[str, Any]:
    return file_of("n", "d", "text/plain", headers)


def before(hook: Callable[[Any], Any]) -> dict[str, Any]:
    return {"hooks": {"pre_request": hook}}


RAW = {"config": {"encode_uri": False}}

#: Method, URL and keywords of a request that has bad text somewhere.
PLACES: dict[str, Place] = {
    "method": lambda url, bad: (f"GET / HTTP/1.1{bad}", url, {}),
    "host": lambda url, bad: ("GET", url.replace("127.", f"127.{bad}", 1), {}),
    "userinfo": lambda url, bad: ("GET", url.replace("://", f"://u:p{bad}@"), {}),
    "userinfo, escaped": lambda url, bad: (
        "GET", url.replace("://", f"://u:p{bad}@".replace("\r", "%0D").replace("\n", "%0A")), {},
    ),
    "path": lambda url, bad: ("GET", f"{url}a{bad}", {}),
    "path, not encoded": lambda url, bad: ("GET", f"{url}a{bad}", RAW),
    "query": lambda url, bad: ("GET", f"{url}?a={bad}", {}),
    "params": lambda url, bad: ("GET", url, {"params": {f"a{bad}": bad}}),
    "params, not encoded": lambda url, bad: (
        "GET", url, {"params": f"a={bad}", **RAW},
    ),
    "header's name": lambda url, bad: ("GET", url, headers(f"X-A{bad}", "1")),
    "header's value": lambda url, bad: ("GET", url, headers("X-A", f"1{bad}")),
    "header's value in bytes": lambda url, bad: ("GET", url, headers("X-A", f"1{bad}".encode())),
    "Host by hand": lambda url, bad: ("GET", url, headers("Host", f"h{bad}")),
    "base headers": lambda url, bad: ("GET", url, {"config": {"base_headers": {"X": f"1{bad}"}}}),
    "User-Agent": lambda url, bad: ("GET", url, headers("User-Agent", f"x{bad}")),
    "cookie's name": lambda url, bad: ("GET", url, {"cookies": {f"a{bad}": "b"}}),
    "cookie's value": lambda url, bad: ("GET", url, {"cookies": {"a": f"b{bad}"}}),
    "Cookie by hand": lambda url, bad: ("GET", url, headers("Cookie", f"a=b{bad}")),
    "basic, user": lambda url, bad: ("GET", url, {"auth": (f"u{bad}", "p")}),
    "basic, password": lambda url, bad: ("GET", url, {"auth": HTTPBasicAuth("u", f"p{bad}")}),
    "bearer": lambda url, bad: ("GET", url, {"auth": HTTPBearerAuth(f"t{bad}")}),
    "proxy's auth": lambda url, bad: ("GET", url, {"auth": HTTPProxyAuth("u", f"p{bad}")}),
    "digest, user": lambda url, bad: ("GET", url, {"auth": HTTPDigestAuth(f"u{bad}", "p")}),
    "an auth's own header": lambda url, bad: ("GET", url, {"auth": setting(f"x{bad}")}),
    "a hook's own header": lambda url, bad: ("GET", url, before(setting(f"x{bad}"))),
    "a hook's own method": lambda url, bad: ("GET", url, before(method(f"GET{bad}"))),
    "file's header's name": lambda url, bad: ("POST", url, file_with({f"X{bad}": "1"})),
    "file's header's value": lambda url, bad: ("POST", url, file_with({"X": f"1{bad}"})),
    "file's type": lambda url, bad: ("POST", url, file_of("n", "d", f"t/t{bad}")),
    "file's name": lambda url, bad: ("POST", url, file_of(f"n{bad}", "d")),
    "field's name": lambda url, bad: ("POST", url, {"data": {f"a{bad}": "1"}, "files": {"f": "d"}}),
    "Content-Type": lambda url, bad: (
        "POST", url, {"data": b"x", **headers("Content-Type", f"a/b{bad}")},
    ),
    "Transfer-Encoding": lambda url, bad: (
        "POST", url, {"data": b"x", **headers("Transfer-Encoding", f"chunked{bad}")},
    ),
    "Content-Length": lambda url, bad: (
        "POST", url, {"data": b"x", **headers("Content-Length", f"1{bad}")},
    ),
}  # fmt: skip


def setting(value: str) -> Callable[[Any], Any]:
    def change(prepared: Any) -> Any:
        prepared.headers["X-Own"] = value
        return prepared

    return change


def method(value: str) -> Callable[[Any], Any]:
    def change(prepared: Any) -> Any:
        prepared.method = value
        return prepared

    return change


INJECTED = (
    "\r\nEvil: 1",
    "\nEvil: 1",
    "\rEvil: 1",
    "\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
    "\0Evil: 1",
)


@pytest.mark.parametrize("place", PLACES)
def test_crlf_injection(scripted: Scripted, send: Send, place: str) -> None:
    for bad in INJECTED:
        server = scripted([answer(200)] * 3)
        with contextlib.suppress(reqkit.RequestException, ValueError), reqkit.Session() as session:
            verb, url, keywords = PLACES[place](server(), bad)
            request = session.request(verb, url, return_response=False, **keywords)
            session.perform(request)
        for received in server.requests:
            assert not received.target.startswith("/evil")
            assert received.all("Evil") == []
            fields = "".join(name + value for name, value in received.fields)
            assert not re.search(r"[\r\n\0]", fields)
            # In a multipart body a name may spell a line's end: as browsers do, and escaped.
            assert b"\nEvil" not in received.body
            assert b"\rEvil" not in received.body
        assert len(server.requests) <= 1


@pytest.mark.parametrize("bad", INJECTED)
def test_crlf_injection_in_a_connect(scripted: Scripted, bad: str) -> None:
    """The tunnel's target, the proxy's headers and its credentials."""
    from reqkit.adapters import HTTPAdapter

    class Telling(HTTPAdapter):
        def proxy_headers(self, proxy: str) -> dict[str, str]:
            return {"X-Told": f"1{bad}"}

    server = scripted([answer(403)] * 9)
    escaped = bad.replace("\r", "%0D").replace("\n", "%0A").replace("\0", "%00").replace("/", "%2F")
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("https://h/", f"http://u:p{escaped}@{server.netloc}", {}),
        ("https://h/", f"http://u:p{bad}@{server.netloc}", {}),
        ("https://h/", server.url, {"headers": {"Proxy-Authorization": f"x{bad}"}}),
        (f"https://h{bad}/", server.url, {}),
        ("http://h/", f"http://u:p{escaped}@{server.netloc}", {}),
        ("http://h/", server.url, {"headers": {"Proxy-Authorization": f"x{bad}"}}),
    ]
    for url, proxy, keywords in calls:
        with pytest.raises(reqkit.RequestException):
            reqkit.get(url, proxies={"all": proxy}, **keywords)
    with reqkit.Session(proxies={"all": server.url}) as session:
        session.mount("https://", Telling())
        with pytest.raises(reqkit.RequestException):
            session.get("https://h/")
    assert server.requests == []


def test_crlf_injection_in_what_a_generator_sends(echo: ScriptedServer) -> None:
    """A chunk may hold anything: its size is told, and no trailers are sent."""
    bad = b"0\r\n\r\nGET /evil HTTP/1.1\r\nEvil: 1\r\n\r\n"
    received = reqkit.post(echo(), data=(piece for piece in [bad, b"", bad])).json()
    assert received["body"] == (bad * 2).decode()
    assert [request.target for request in echo.requests] == ["/"]


# -- hosts that two parsers read differently (SSRF, credential leaks)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        # The host that is connected to, or None: it is refused.
        ("http://a.test\\@b.test/", None),
        ("http://a.test\\.b.test/", None),
        ("http://a.test#@b.test/", "a.test"),
        ("http://a.test?@b.test/", "a.test"),
        ("http://a.test/@b.test/", "a.test"),
        ("http://a.test:80@b.test/", "b.test"),
        ("http://a.test@b.test@c.test/", "c.test"),
        ("http://a.test:80:81/", None),
        ("http://a.test:80a/", None),
        ("http://a.test:99999/", None),
        ("http://a.test:-1/", None),
        ("http://a.test\t/", None),
        ("http://a.test\n/", None),
        ("http://a.\ttest/", None),
        ("http://a.te\nst/", None),
        ("ht\ntp://a.test/", None),
        ("http://a.test /", None),
        ("http://a.test\0.b.test/", None),
        ("http://a.test%00.b.test/", None),
        ("http://a.test%2f@b.test/", "b.test"),
        ("http://a%2etest/", None),
        ("http://[::1/", None),
        ("http://[::1]a.test/", None),
        ("http://[a.test]/", None),
        ("http:///a.test/", None),
        ("http:a.test/", None),
        ("http://", None),
        ("http://.a.test/", None),
        ("http://a..test/", None),
        # Dots, digits and signs that Unicode folds into ASCII ones, as browsers read them.
        ("http://127\u30020\u30020\u30021/", "127.0.0.1"),
        ("http://127\uff0e0\uff0e0\uff0e1/", "127.0.0.1"),
        ("http://\u2460\u2461\u2466.0.0.1/", "127.0.0.1"),
        ("http://a\uff0ftest/", None),
        ("http://a\u2100b.test/", None),
        ("http://a\uff03@b.test/", "b.test"),
        ("http://b\u00fccher.test/", "xn--bcher-kva.test"),
        ("http://\u0430.test/", "xn--80a.test"),
        ("HTTP://A.TEST/", "a.test"),
    ],
)
@pytest.mark.parametrize("encode", [True, False])
def test_hosts_that_look_like_others(url: str, host: str | None, encode: bool) -> None:
    if host is None:
        with pytest.raises(RequestException):
            prepare_url(url, encode=encode)
        return
    target = prepare_url(url, encode=encode)
    assert target.host == host
    # What another parser makes of the normal form is the same.
    from urllib.parse import urlsplit

    assert urlsplit(target.url).hostname == host
    assert urlsplit(target.url).username == (target.userinfo or (None,))[0] or target.userinfo


# -- digest


@pytest.mark.parametrize(
    "realm", ['a"b', "a\\b", 'a\\"b', '", uri="/evil', "\\", "é", "a, b=c", ""]
)
@pytest.mark.parametrize("user", ["ann", 'an"n', "an\\n", '", response="evil', "ä,b=c"])
def test_quoting_in_digest(scripted: Scripted, realm: str, user: str) -> None:
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    nonce = 'n\\"1'
    challenge = f'Digest realm="{quoted}", nonce="{nonce}", qop="auth", opaque="{quoted}"'
    server = scripted([answer(401, b"", [("WWW-Authenticate", challenge)]), answer(200)])
    assert reqkit.get(server('/a?b="c"'), auth=HTTPDigestAuth(user, "p")).ok
    sent = server.requests[1].get("Authorization")
    assert sent is not None
    [(scheme, params)] = [(one.scheme, one.params) for one in parse_challenges([sent])]
    assert scheme.lower() == "digest"
    latin = params.get("username", user)
    assert latin in (user, user.encode().decode("latin-1"))
    assert params["uri"] == server.requests[1].target
    assert params["nonce"] == 'n"1'
    assert params["realm"] in (realm, realm.encode().decode("latin-1"))


# -- floods


@pytest.mark.parametrize("how", ["close", "drop", "leave", "redirect"])
def test_an_endless_body_is_not_drained(scripted: Scripted, how: str) -> None:
    def endless(connection: Connection) -> None:
        request = connection.recv_request()
        assert request is not None
        if request.target == "/end":
            connection.send(answer(200, b"end"))
            return
        head = [("Content-Length", "999999999999")]
        if how == "redirect":
            head.append(("Location", "/end"))
        connection.send(answer(302 if how == "redirect" else 200, b"", head, length=False))
        with contextlib.suppress(OSError):
            while True:
                connection.send(bytes(65536))

    server = scripted(endless)
    with reqkit.Session() as session:
        response = session.get(server())
        if how == "close":
            response.close()
        elif how == "leave":
            with response:
                pass
        elif how == "redirect":
            assert response.content == b"end"
        del response
        gc.collect()
        server.wait_for_no_connections() if how != "redirect" else None


@pytest.mark.parametrize(
    "value",
    ["9" * 5000, "99999999999999999999", "-5", "1e400", "nan", "inf", "soon", "", "0x10", "1,2",
     "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 99999 23:59:59 GMT",
     "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 99 Foo 2020 99:99:99 GMT", "\xff"],
)  # fmt: skip
def test_a_retry_after_without_end(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """It is no reason for another error, and no wait longer than what the policy allows."""
    waits: list[float] = []
    monkeypatch.setattr(
        reqkit.network.StdlibNetwork, "sleep", lambda self, wait: waits.append(wait)
    )
    server = scripted([answer(503, b"", [("Retry-After", value)]), answer(200)])
    policy = Retry(1, status_forcelist=[503], retry_after_max=30)
    assert reqkit.get(server(), config={"max_retries": policy}).status_code == 200
    assert all(0 < wait <= 30 for wait in waits)
    # With a limit on all of it, a wait beyond it ends it at once.
    seconds = retry_after(value, time.time())
    assert seconds is None or 0 <= seconds < 400 * 86400


def test_a_retry_after_beyond_the_total_limit(scripted: Scripted) -> None:
    server = scripted([answer(503, b"", [("Retry-After", "3600")])])
    policy = Retry(1, status_forcelist=[503])
    with pytest.raises(reqkit.TotalTimeout):
        reqkit.get(server(), config={"max_retries": policy}, timeout=reqkit.Timeouts(total=60))


# -- cookies


def test_cookie_scope_after_pickling(scripted: Scripted) -> None:
    """A pickled session gives its cookies to their host alone."""
    fields = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Path=/deep")]
    server = scripted([answer(200, b"", fields), *[answer(200)] * 3])
    other = scripted([answer(200)] * 2)
    with reqkit.Session(cookies={"own": "3"}) as session:
        session.get(server("/deep/x"))
        copied: reqkit.Session = pickle.loads(pickle.dumps(session))
    with copied:
        copied.get(server("/deep/x"))
        copied.get(server("/"))
        copied.get(other("/deep/x").replace("127.0.0.1", "localhost"))
    sent = [request.get("Cookie") or "" for request in (*server.requests, *other.requests)]
    assert [sorted(text.split("; ")) for text in sent] == [
        ["own=3"], ["a=1", "b=2", "own=3"], ["a=1", "own=3"], ["own=3"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "__Host-a=1; Path=/", "__Host-a=1; Secure", "__Host-a=1; Secure; Path=/x",
        "__Host-a=1; Secure; Path=/; Domain=localhost.test", "__host-a=1; Path=/",
        "__Secure-a=1", "__SECURE-a=1; Path=/",
    ],
)  # fmt: skip
def test_prefixed_cookies(text: str) -> None:
    jar = reqkit.cookies.CookieJar()
    target = prepare_url("https://localhost.test/x/y")
    reqkit.cookies.store(jar, [text], target)
    assert list(jar) == []
    reqkit.cookies.store(jar, ["__Host-a=1; Secure; Path=/"], target)
    assert [cookie.name for cookie in jar] == ["__Host-a"]


# -- the environment


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_httpoxy(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """In a CGI program HTTP_PROXY is the header Proxy of who asks."""
    monkeypatch.setenv(name, "http://evil.test:1")
    assert proxies_for("http", "a.test", 80) == "http://evil.test:1"
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    expected = "http://evil.test:1" if name == "http_proxy" and os.name == "posix" else None
    assert proxies_for("http", "a.test", 80) == expected


# -- files


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="needs symbolic links")
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("suffix", [".part", ".part.version"])
def test_a_link_in_the_place_of_a_partial_file(
    scripted: Scripted, tmp_path: Path, resume: bool, suffix: str
) -> None:
    """Whoever may write to the folder does not decide which file is written."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / f"file{suffix}").symlink_to(victim)
    server = scripted([answer(200, b"new", [("ETag", '"1"')])] * 2)
    assert reqkit.get(server()).download(folder / "file", resume=resume).read_bytes() == b"new"
    assert victim.read_bytes() == b"precious"
    assert sorted(path.name for path in folder.iterdir()) == ["file"]


@pytest.mark.parametrize(
    "path", ["/..", "/%2e%2e/x", "/a\\..\\b", "/..%2f..%2fx", "/C:\\x", "/.", "/", "/%00"]
)
def test_a_path_of_the_servers_leads_nowhere(scripted: Scripted, tmp_path: Path, path: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    fields = [("Content-Disposition", 'attachment; filename="../../evil"')]
    server = scripted([answer(200, b"x", fields)])
    written = reqkit.get(server(path)).download(folder)
    assert written.parent == folder
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]
    assert written.name != "evil"


def test_a_redirect_does_not_choose_the_files_name(scripted: Scripted, tmp_path: Path) -> None:
    server = scripted([answer(302, b"", [("Location", "/.bashrc")]), answer(200, b"evil")])
    written = reqkit.get(server("/report.txt")).download(tmp_path)
    assert written == tmp_path / "report.txt"


# -- TLS


def test_a_body_that_was_cut_by_somebody_else(
    scripted: Scripted, authority: Authority, ca_bundle: str
) -> None:
    """A length that is told is kept to, whatever closed the connection."""

    def cut(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, b"half", [("Content-Length", "8")], length=False))
        connection.cut()

    server = scripted(cut, tls=authority.server())
    with pytest.raises(reqkit.ChunkedEncodingError):
        reqkit.get(server(), verify=ca_bundle, prefetch=True)


# -- time: regular expressions (ReDoS) and what grows with the square

#: What a server, or a user's user, may choose the text of.
READERS: dict[str, Callable[[str], Any]] = {
    "challenges": lambda text: parse_challenges([text]),
    "links": parse_links,
    "content type": parse_content_type,
    "set-cookie": lambda text: parse_set_cookie(text, 0.0),
    "a cookie's date": lambda text: parse_set_cookie(f"a=b; expires={text}", 0.0),
    "url": lambda text: prepare_url(f"http://h/{text}"),
    "url as given": lambda text: prepare_url(f"http://h/{text}", encode=False),
    "host": lambda text: prepare_url(f"http://{text}"),
    "whole url": prepare_url,
    "password": without_password,
    "retry-after": lambda text: retry_after(text, 0.0),
    "proxy": parse_proxy,
    "no_proxy": lambda text: bypasses(text, "a.b.c", 80),
    "repr": lambda text: repr(CaseInsensitiveDict({"Location": text})),
    "head": lambda text: parse_head(f"HTTP/1.1 200 OK\r\nX: {text}\r\n\r\n".encode("latin-1")),
    "meta": lambda text: find_encoding(text.encode("latin-1"), "text/html"),
}
PIECES = (
    "a", '"', '\\"', ";a=", "; a =", " ", ",", "<a>;", "/../", "%", "@", ":", "[", "0", "\t",
    "<meta ", "<!--", 'charset="', "a.", 'Basic a="', "=", "\x80", "//", '"a" ', "'",
)  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_redos(reader: str) -> None:
    """A head's worth of adversarial text takes time in proportion to its length.

    Which is a small part of a second. The square of it would take ten, or minutes.
    """
    read = READERS[reader]
    for piece in PIECES:
        for start, end in (("", ""), ('a="', "!\\")):
            text = start + piece * (60_000 // len(piece)) + end
            began = time.process_time()
            with contextlib.suppress(reqkit.RequestException, ValueError):
                read(text)
            assert time.process_time() - began < 5, piece


def test_many_fields_of_one_name(scripted: Scripted) -> None:
    """As many as a head may have: quick to join, to look up and to keep as cookies."""
    fields = [("X-Same", "v"), ("Set-Cookie", "a=b; Path=/"), ("Link", "<a>; rel=b")] * 80
    server = scripted([answer(200, b"", fields)])
    began = time.process_time()
    with reqkit.Session() as session:
        response = session.get(server())
        for _ in range(1000):
            assert response.headers["x-same"].count("v") == 80
        assert len(session.cookies) == 1
        assert len(response.links) == 1
    assert time.process_time() - began < 20


def test_a_jar_of_many_cookies() -> None:
    """Three thousand cookies are the most, whatever answers set; each costs about the same."""
    jar = reqkit.cookies.CookieJar()
    began = time.process_time()
    for number in range(200):
        target = prepare_url(f"http://h{number}.test/")
        reqkit.cookies.store(jar, [f"c{n}={number}" for n in range(50)], target)
    assert len(jar) == 3000
    assert time.process_time() - began < 30


# -- the table


@pytest.mark.once
def test_the_tests_that_the_security_page_names_are_there() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+)::(test_\w+)`", text)
    assert len(named) > 30
    files = {path.stem: path for path in (ROOT / "tests").rglob("test_*.py")}
    missing = [
        f"{module}::{test}"
        for module, test in named
        if module not in files or test not in set(functions(files[module]))
    ]
    assert missing == []
    here = {name for module, name in named if module == "test_known_weaknesses"}
    assert set(functions(Path(__file__))) - here == {
        "test_the_tests_that_the_security_page_names_are_there"
    }


def functions(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name
