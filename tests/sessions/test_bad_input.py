"""Bad input: an error of ours at once, that names what was given, and nothing is sent before it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.auth import HTTPBasicAuth, HTTPBearerAuth, HTTPDigestAuth, HTTPProxyAuth
from servers.scripted import Connection, ScriptedServer

#: The package, for arguments that a type checker would not let pass.
loose: Any = reqkit
#: Characters that could end a line, or a string in C, where one is written out.
BREAKS = ["\r", "\n", "\r\n", "\0", "x\r\nX-Evil: 1", "x\0y"]
SECRET = "s3cret"


@pytest.fixture
def url(scripted: Callable[..., ScriptedServer]) -> Iterator[str]:
    """The URL of a server that must not see a connection."""

    def handler(connection: Connection) -> None:
        connection.wait_closed()

    server = scripted(handler)
    yield server("/")
    # Connections are accepted in their order: once this one is, all before it would have been.
    with socket.create_connection((server.host, server.port)) as last:
        mine = last.getsockname()
        server.wait_until(
            lambda server: any(one.sock.getpeername() == mine for one in server.connections)
        )
        assert server.connections_opened == 1


def refusal(
    call: Callable[[], Any], kind: type[Exception], *words: str, safe: bool = True
) -> Exception:
    """Make a call that must fail with exactly this class; its text has words, and no secret."""
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    for word in words:
        assert word in str(caught.value)
    if safe:
        assert SECRET not in str(caught.value)
    return caught.value


# What could break out of its line


@pytest.mark.parametrize("text", BREAKS)
def test_methods(url: str, text: str) -> None:
    assert refusal(lambda: loose.request("GET" + text, url), reqkit.InvalidHeader, "method")


@pytest.mark.parametrize("encode", [True, False])
@pytest.mark.parametrize("where", ["{}/a{}b", "{}/?q={}b", "{}/#{}b", "{}{}/", "{}/a{}"])
@pytest.mark.parametrize("text", BREAKS)
def test_urls(url: str, text: str, where: str, encode: bool) -> None:
    bad = where.format(url.rstrip("/"), text)
    assert refusal(lambda: loose.get(bad, config={"encode_uri": encode}), reqkit.InvalidURL, "URL")


@pytest.mark.parametrize("text", BREAKS)
def test_query_strings_that_are_not_encoded(url: str, text: str) -> None:
    call = lambda: loose.get(url, params=f"a={text}b", config={"encode_uri": False})  # noqa: E731
    assert refusal(call, reqkit.InvalidURL)


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("text", BREAKS)
def test_headers(url: str, text: str, as_bytes: bool) -> None:
    def pair(name: str, value: str) -> dict[Any, Any]:
        return {name.encode(): value.encode()} if as_bytes else {name: value}

    for headers in (pair("X-A" + text, "v"), pair(text + "X-A", "v")):
        assert refusal(lambda: loose.get(url, headers=headers), reqkit.InvalidHeader, "header name")  # noqa: B023
    for value in (SECRET + text, text + SECRET):
        assert refusal(
            lambda: loose.get(url, headers=pair("X-A", value)),  # noqa: B023
            reqkit.InvalidHeader, "'X-A'",
        )  # fmt: skip
    with loose.Session(headers=pair("X-A", text)) as session:
        assert refusal(lambda: session.get(url), reqkit.InvalidHeader, "'X-A'")
    assert refusal(
        lambda: loose.get(url, config={"base_headers": pair("X-A", text)}),
        reqkit.InvalidHeader, "'X-A'",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["Host", "Cookie", "Authorization", "Connection", "User-Agent"])
@pytest.mark.parametrize("text", BREAKS)
def test_headers_that_mean_something_to_us(url: str, name: str, text: str) -> None:
    assert refusal(lambda: loose.get(url, headers={name: "a" + text}), reqkit.InvalidHeader, name)


@pytest.mark.parametrize("text", BREAKS)
def test_what_a_hook_or_an_auth_sets(url: str, text: str) -> None:
    def spoil(prepared: reqkit.PreparedRequest) -> reqkit.PreparedRequest:
        prepared.headers["X-Signed"] = "a" + text
        return prepared

    assert refusal(lambda: loose.get(url, auth=spoil), reqkit.InvalidHeader, "X-Signed")
    assert refusal(
        lambda: loose.get(url, hooks={"pre_request": spoil}), reqkit.InvalidHeader, "X-Signed"
    )

    def spoil_url(prepared: reqkit.PreparedRequest) -> None:
        prepared.url = url + "a" + text

    assert refusal(lambda: loose.get(url, hooks={"pre_request": spoil_url}), reqkit.InvalidURL)

    def spoil_method(prepared: reqkit.PreparedRequest) -> None:
        prepared.method = "GET" + text

    assert refusal(
        lambda: loose.get(url, hooks={"pre_request": spoil_method}), reqkit.InvalidHeader
    )


@pytest.mark.parametrize("text", BREAKS)
def test_cookies(url: str, text: str) -> None:
    assert refusal(
        lambda: loose.get(url, cookies={"a": SECRET + text}), reqkit.InvalidHeader, "'a'"
    )
    assert refusal(
        lambda: loose.get(url, cookies={"a" + text: SECRET}), reqkit.InvalidHeader, "cookie"
    )
    with loose.Session() as session:
        assert refusal(
            lambda: (session.cookies.set("a", SECRET + text), session.get(url)),
            reqkit.InvalidHeader, "'a'",
        )  # fmt: skip


@pytest.mark.parametrize("text", BREAKS)
def test_auth_fields(url: str, text: str) -> None:
    for kind in (HTTPBasicAuth, HTTPProxyAuth, HTTPDigestAuth):
        assert refusal(lambda: loose.get(url, auth=kind("u" + text, SECRET)), reqkit.InvalidHeader)  # noqa: B023
    for kind in (HTTPBasicAuth, HTTPProxyAuth):
        assert refusal(
            lambda: loose.get(url, auth=kind("u", SECRET + text)),  # noqa: B023
            reqkit.InvalidHeader, "password",
        )  # fmt: skip
    assert refusal(
        lambda: loose.get(url, auth=("u" + text, SECRET)), reqkit.InvalidHeader, "user name"
    )
    assert refusal(lambda: loose.get(url, auth=HTTPBearerAuth(SECRET + text)), reqkit.InvalidHeader)
    escaped = "".join(f"%{ord(one):02X}" for one in text)
    place = url.partition("://")[2]
    assert refusal(lambda: loose.get(f"http://u{escaped}:{SECRET}@{place}"), reqkit.InvalidHeader)
    assert refusal(lambda: loose.get(f"http://u:{SECRET}{escaped}@{place}"), reqkit.InvalidHeader)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("text", BREAKS)
def test_proxy_fields(url: str, scheme: str, text: str) -> None:
    place = url.partition("://")[2].rstrip("/")
    escaped = "".join(f"%{ord(one):02X}" for one in text)
    for proxy in (
        f"http://u{escaped}:{SECRET}@{place}", f"http://u:{SECRET}{escaped}@{place}",
        f"http://u:{SECRET}@{place}x{text}y", f"http://u{text}:{SECRET}@{place}",
    ):  # fmt: skip
        assert refusal(
            lambda: loose.get(f"{scheme}://h.example/", proxies={scheme: proxy}),  # noqa: B023
            reqkit.InvalidProxyURL, "proxy",
        )  # fmt: skip


@pytest.mark.parametrize("text", BREAKS)
def test_the_header_for_a_proxy(url: str, text: str) -> None:
    for target in ("http://h.example/", "https://h.example/"):
        assert refusal(
            lambda: loose.get(
                target,  # noqa: B023
                headers={"Proxy-Authorization": SECRET + text},
                proxies={"all": url.rstrip("/")},
            ),
            reqkit.InvalidHeader, "Proxy-Authorization",
        )  # fmt: skip


@pytest.mark.parametrize("text", BREAKS)
def test_the_headers_of_a_part(url: str, text: str) -> None:
    for part in (
        ("name", b"x", "text/plain" + text),
        ("name", b"x", "text/plain", {"X-Part": "v" + text}),
        ("name", b"x", "text/plain", {"X-Part" + text: "v"}),
    ):
        assert refusal(lambda: loose.post(url, files={"f": part}), reqkit.InvalidHeader, "'f'")  # noqa: B023


@pytest.mark.parametrize("text", ["\0", "x\0y"])
def test_a_nul_in_a_parts_name(url: str, text: str) -> None:
    for files in ({"f" + text: b"x"}, {"f": ("name" + text, b"x")}):
        assert refusal(lambda: loose.post(url, files=files), reqkit.InvalidHeader, "NUL")  # noqa: B023
    assert refusal(
        lambda: loose.post(url, files={"f": b"x"}, data={"d" + text: "v"}),
        reqkit.InvalidHeader, "NUL",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["\r", "\n", "\r\nX-Evil: 1", '"; x="'])
def test_line_breaks_in_a_parts_name_are_escaped(echo: ScriptedServer, text: str) -> None:
    """As browsers write them (the HTML standard): names of files may well have them."""
    files = {"f" + text: ("name" + text, b"x")}
    body = loose.post(echo(), files=files, data={"d" + text: "v"}).json()["body"]
    for line in body.split("\r\n"):
        assert not line.startswith("X-Evil")
        assert "\n" not in line
    escaped = text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
    assert f'name="f{escaped}"; filename="name{escaped}"' in body


# What is of the wrong kind, or misspelled

Call = Callable[[str], Any]
WRONG: dict[str, tuple[Call, type[Exception], tuple[str, ...]]] = {
    "method None": (
        lambda url: loose.request(None, url),
        reqkit.InvalidHeader, ("no method", "'GET'"),
    ),
    "method number": (
        lambda url: loose.request(5, url),
        reqkit.InvalidHeader, ("5", "'GET'"),
    ),
    "method empty": (lambda url: loose.request("", url), reqkit.InvalidHeader, ("''", "'GET'")),
    "method two words": (
        lambda url: loose.request("GET it", url), reqkit.InvalidHeader, ("'GET it'",),
    ),
    "no URL": (lambda url: loose.get(None), reqkit.URLRequired, ("https://example.org/",)),
    "URL number": (lambda url: loose.get(5), reqkit.MissingSchema, ("'5'",)),
    "URL without a scheme": (
        lambda url: loose.get("example.org/x"), reqkit.MissingSchema,
        ("'example.org/x'", "perhaps you meant 'https://example.org/x'"),
    ),
    "URL of another scheme": (
        lambda url: loose.get("ftp://example.org"), reqkit.InvalidSchema,
        ("ftp://example.org", "http://"),
    ),
    "URL, bad port": (
        lambda url: loose.get(f"http://u:{SECRET}@h.example:99999/"), reqkit.InvalidURL,
        ("65535", "u:***@"),
    ),
    "header value": (
        lambda url: loose.get(url, headers={"Authorization": ("user", SECRET)}),
        reqkit.InvalidHeader, ("Authorization", "tuple", "str"),
    ),
    "header value number": (
        lambda url: loose.get(url, headers={"X-Count": 5}), reqkit.InvalidHeader,
        ("X-Count", "int", "str"),
    ),
    "header name": (
        lambda url: loose.get(url, headers={5: "x"}), reqkit.InvalidHeader, ("5", "int"),
    ),
    "header name, space": (
        lambda url: loose.get(url, headers={"X A": "x"}), reqkit.InvalidHeader, ("'X A'",),
    ),
    "header name, empty": (
        lambda url: loose.get(url, headers={"": "x"}), reqkit.InvalidHeader, ("''",),
    ),
    "header name, colon": (
        lambda url: loose.get(url, headers={"X-A:": "x"}), reqkit.InvalidHeader, ("'X-A:'",),
    ),
    "header, leading space": (
        lambda url: loose.get(url, headers={"X-A": " x"}), reqkit.InvalidHeader, ("strip",),
    ),
    "header, not Latin-1": (
        lambda url: loose.get(url, headers={"X-A": "中"}), reqkit.InvalidHeader, ("X-A", "U+4E2D"),
    ),
    "headers text": (
        lambda url: loose.get(url, headers="X-A: x"), reqkit.InvalidHeader, ("str", "dictionary"),
    ),
    "session headers": (
        lambda url: loose.Session(headers={"X-A": 5}), reqkit.InvalidHeader, ("X-A", "int"),
    ),
    "session headers number": (
        lambda url: loose.Session(headers=5), reqkit.InvalidHeader, ("int", "dictionary"),
    ),
    "content length": (
        lambda url: loose.post(url, data=iter([b"x"]), headers={"Content-Length": "+5"}),
        reqkit.InvalidHeader, ("'+5'", "number"),
    ),
    "cookies number": (lambda url: loose.get(url, cookies=5), TypeError, ("int", "CookieJar")),
    "cookies text": (lambda url: loose.get(url, cookies=f"a={SECRET}"), TypeError, ("str",)),
    "session cookies": (lambda url: loose.Session(cookies=5), TypeError, ("int",)),
    "auth text": (
        lambda url: loose.get(url, auth=f"u:{SECRET}"),
        TypeError, ("str", "pair"),
    ),
    "auth of three": (
        lambda url: loose.get(url, auth=("u", SECRET, "x")),
        TypeError, ("3", "pair"),
    ),
    "auth number": (
        lambda url: loose.get(url, auth=("u", 5)),
        TypeError, ("password", "int"),
    ),
    "session auth": (lambda url: loose.Session(auth=SECRET), TypeError, ("str", "pair")),
    "timeout text": (lambda url: loose.get(url, timeout="5"), ValueError, ("'5'", "seconds")),
    "timeout zero": (lambda url: loose.get(url, timeout=0), ValueError, ("0", "more than 0")),
    "timeout below zero": (lambda url: loose.get(url, timeout=(1, -1)), ValueError, ("-1",)),
    "timeout of three": (lambda url: loose.get(url, timeout=(1, 2, 3)), ValueError, ("pair",)),
    "session timeout": (lambda url: loose.Session(timeout="5"), ValueError, ("'5'",)),
    "allow_redirects": (
        lambda url: loose.get(url, allow_redirects="no"),
        TypeError, ("allow_redirects", "'no'", "True or False"),
    ),
    "prefetch": (
        lambda url: loose.get(url, prefetch="no"),
        TypeError, ("prefetch", "'no'", "True or False"),
    ),
    "proxies text": (
        lambda url: loose.get(url, proxies=f"http://u:{SECRET}@h:1"),
        reqkit.InvalidProxyURL, ("str", "dictionary"),
    ),
    "proxies key": (
        lambda url: loose.get(url, proxies={"htp": "h:1"}), reqkit.InvalidProxyURL,
        ("'htp'", "did you mean 'http'"),
    ),
    "proxies key in upper case": (
        lambda url: loose.get(url, proxies={"HTTPS": "h:1"}), reqkit.InvalidProxyURL,
        ("'HTTPS'", "did you mean 'https'"),
    ),
    "proxies key number": (
        lambda url: loose.get(url, proxies={5: "h:1"}),
        reqkit.InvalidProxyURL, ("5", "'http'"),
    ),
    "proxy for another scheme": (
        lambda url: loose.get(url, proxies={"https": f"htp://u:{SECRET}@h:1"}),
        reqkit.InvalidProxyURL, ("htp://u:***@h:1", "did you mean http://"),
    ),
    "proxy number": (
        lambda url: loose.get(url, proxies={"http": 5}),
        reqkit.InvalidProxyURL, ("int", "HOST:PORT"),
    ),
    "proxy port": (
        lambda url: loose.get(url, proxies={"http": "h:99999"}), reqkit.InvalidProxyURL,
        ("99999", "65535"),
    ),
    "session proxies": (
        lambda url: loose.Session(proxies="h:1"),
        reqkit.InvalidProxyURL, ("str", "dictionary"),
    ),
    "session proxy": (
        lambda url: loose.Session(proxies={"all": "sox5://h:1"}), reqkit.InvalidProxyURL,
        ("sox5://h:1", "did you mean socks5://"),
    ),
    "verify path": (
        lambda url: loose.get(url, verify="/no/such/file"), reqkit.SSLError,
        ("'/no/such/file'", "does not exist"),
    ),
    "verify number": (
        lambda url: loose.get(url, verify=5),
        reqkit.SSLError, ("5", "True, False"),
    ),
    "session verify": (
        lambda url: loose.Session(verify="/no/such/file"), reqkit.SSLError, ("'/no/such/file'",),
    ),
    "session verify, set": (
        lambda url: setattr(loose.Session(), "verify", "/no/such/file"), reqkit.SSLError,
        ("'/no/such/file'",),
    ),
    "cert path": (
        lambda url: loose.get(url, cert="/no/such/file"), reqkit.SSLError, ("'/no/such/file'",),
    ),
    "session cert": (
        lambda url: loose.Session(cert=("/no/such/file", "/nor/this")), reqkit.SSLError,
        ("'/no/such/file'",),
    ),
    "config key": (
        lambda url: loose.get(url, config={"max_redirect": 3}), reqkit.ConfigError,
        ("'max_redirect'", "did you mean 'max_redirects'"),
    ),
    "config value": (
        lambda url: loose.get(url, config={"max_redirects": "x"}), reqkit.ConfigError,
        ("max_redirects", "'x'", "whole number"),
    ),
    "config number": (
        lambda url: loose.get(url, config=5),
        reqkit.ConfigError, ("5", "dictionary"),
    ),
    "session config": (
        lambda url: loose.Session(config={"keep_alife": True}), reqkit.ConfigError,
        ("'keep_alife'", "did you mean 'keep_alive'"),
    ),
    "hook name": (
        lambda url: loose.get(url, hooks={"respons": print}), ValueError,
        ("'respons'", "did you mean 'response'", "post_request"),
    ),
    "hook value": (
        lambda url: loose.get(url, hooks={"response": 5}),
        ValueError, ("'response'", "5", "function"),
    ),
    "hooks number": (
        lambda url: loose.get(url, hooks=5),
        ValueError, ("int", "dictionary", "post_request"),
    ),
    "hooks list": (
        lambda url: loose.get(url, hooks=[print]),
        ValueError, ("list", "dictionary"),
    ),
    "session hooks": (lambda url: loose.Session(hooks={"arg": print}), ValueError, ("'args'",)),
    "keyword": (
        lambda url: loose.get(url, heders={}),
        TypeError, ("'heders'", "did you mean 'headers'"),
    ),
    "session keyword": (
        lambda url: loose.Session(heders={}), TypeError, ("'heders'", "did you mean 'headers'"),
    ),
    "request keyword": (
        lambda url: loose.Request("GET", url, heders={}), TypeError, ("did you mean 'headers'",),
    ),
    "session": (
        lambda url: loose.get(url, session=5),
        TypeError, ("int", "Session"),
    ),
    "sent unprepared": (
        lambda url: loose.Session().send(loose.Request("GET", url)), ValueError,
        ("PreparedRequest", "prepare_request"),
    ),
    "params": (lambda url: loose.get(url, params=5), TypeError, ("int", "dictionary")),
    "data": (lambda url: loose.post(url, data=5), TypeError, ("int", "form")),
    "files": (lambda url: loose.post(url, files=5), TypeError, ("int", "dictionary")),
    "json": (lambda url: loose.post(url, json=float("nan")), reqkit.InvalidJSONError, ("NaN",)),
    "json object": (lambda url: loose.post(url, json=object()), TypeError, ("object", "json")),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(url: str, name: str) -> None:
    call, kind, words = WRONG[name]
    assert refusal(lambda: call(url), kind, *words)


def test_an_unreadable_ca_file(url: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("this is no certificate")
    error = refusal(
        lambda: loose.get(url.replace("http", "https"), verify=str(bundle)), reqkit.SSLError
    )
    assert str(bundle) in str(error)


@pytest.mark.parametrize("key", ["ftp", "no", "rsync", "socks"])
def test_other_schemes_proxies_are_passed_over(echo: ScriptedServer, key: str) -> None:
    """As `urllib.request.getproxies` gives them."""
    assert loose.get(echo(), proxies={key: "whatever"}).status_code == 200


@pytest.mark.parametrize("given", ["http://127.0.0.1/", b"x", None, 5])
def test_one_thing_is_no_batch(given: Any) -> None:
    for send in (reqkit_async.map, reqkit_async.imap, reqkit_async.imap_unordered):
        with pytest.raises(TypeError, match="an iterable of requests, not one"):
            send(given)
    with pytest.raises(TypeError, match="not one Request"):
        reqkit_async.map(reqkit_async.get("http://127.0.0.1/"))  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["http://", "http://*", "all://"])
def test_a_proxy_key_that_names_no_host(key: str) -> None:
    with pytest.raises(reqkit.InvalidProxyURL, match="for all hosts"):
        reqkit.get("http://127.0.0.1:1/", proxies={key: "127.0.0.1:1"})


def test_json_of_a_failed_request_raises_what_went_wrong() -> None:
    response = reqkit.get("http://a/", config={"safe_mode": True}, proxies={"http": "a b"})
    with pytest.raises(reqkit.InvalidProxyURL) as caught:
        response.json()
    assert caught.value is response.error


def test_a_download_into_no_folder(tmp_path: Path, echo: Any) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder to download into"):
        reqkit.get(echo()).download(tmp_path / "nope" / "x")


@pytest.mark.parametrize("given", [None, 3, "http://h.example/", {}, reqkit.Request])
def test_what_is_no_request_to_prepare(given: Any) -> None:
    with pytest.raises(TypeError, match="expected a Request"):
        reqkit.Session().prepare_request(given)
