"""The names that programs import from requests, each used as they use it.

The one change made to them is ``import reqkit as requests``, and ``from reqkit.x import y`` for
``from requests.x import y``. What has another place here is in docs/from-requests.md.
"""

from __future__ import annotations

import http.cookiejar
import importlib
import ssl
from http.cookies import Morsel
from typing import Any

import pytest

import reqkit as requests
from reqkit.adapters import HTTPAdapter, Retry
from reqkit.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth, HTTPProxyAuth
from reqkit.cookies import (
    RequestsCookieJar,
    add_dict_to_cookiejar,
    cookiejar_from_dict,
    create_cookie,
    dict_from_cookiejar,
    merge_cookies,
    morsel_to_cookie,
    remove_cookie_by_name,
)
from reqkit.exceptions import InvalidHeader, RequestException, SSLError
from reqkit.models import PreparedRequest, Request, Response
from reqkit.sessions import Session
from reqkit.status_codes import _codes
from reqkit.structures import CaseInsensitiveDict, LookupDict
from servers.messages import answer
from servers.scripted import ScriptedServer

#: Module to what is imported from it, as found in programs; "" is the package.
IMPORTED = {
    "": (
        "ConnectTimeout ConnectionError HTTPError JSONDecodeError PreparedRequest ReadTimeout"
        " Request RequestException Response Session Timeout TooManyRedirects URLRequired"
        " __version__ adapters api auth codes cookies delete exceptions get head hooks models"
        " options patch post put request session sessions status_codes structures"
    ),
    "adapters": (
        "BaseAdapter DEFAULT_POOLBLOCK DEFAULT_POOLSIZE DEFAULT_RETRIES HTTPAdapter PoolManager"
        " Retry"
    ),
    "api": "delete get head options patch post put request",
    "auth": "AuthBase HTTPBasicAuth HTTPDigestAuth HTTPProxyAuth",
    "cookies": (
        "CookieConflictError MockRequest MockResponse RequestsCookieJar cookiejar_from_dict"
        " create_cookie extract_cookies_to_jar get_cookie_header merge_cookies morsel_to_cookie"
        " remove_cookie_by_name"
    ),
    "exceptions": (
        "ChunkedEncodingError ConnectTimeout ConnectionError ContentDecodingError HTTPError"
        " InvalidHeader InvalidJSONError InvalidProxyURL InvalidSchema InvalidURL JSONDecodeError"
        " MissingSchema ProxyError ReadTimeout RequestException RequestsDependencyWarning"
        " RequestsWarning RetryError SSLError StreamConsumedError Timeout TooManyRedirects"
        " URLRequired UnrewindableBodyError"
    ),
    "hooks": "HOOKS default_hooks dispatch_hook",
    "models": "CONTENT_CHUNK_SIZE ITER_CHUNK_SIZE PreparedRequest Request Response",
    "sessions": "Session merge_hooks session",
    "status_codes": "_codes codes",
    "structures": "CaseInsensitiveDict LookupDict",
}


@pytest.mark.parametrize(
    ("module", "name"),
    [(module, name) for module, names in IMPORTED.items() for name in names.split()],
)
def test_a_name_that_is_imported(module: str, name: str) -> None:
    found = importlib.import_module(f"reqkit.{module}" if module else "reqkit")
    assert getattr(found, name) is not None


@pytest.mark.parametrize("name", ["certs", "help"])
def test_what_is_elsewhere_says_where(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"{name}'.*docs/from-requests\.md"):
        getattr(requests, name)
    with pytest.raises(AttributeError, match=r"no attribute 'gett'$"):
        requests.gett  # type: ignore[attr-defined]  # noqa: B018


def test_the_classes_are_the_same_wherever_they_come_from() -> None:
    assert requests.Response is Response is requests.models.Response
    assert requests.Request is Request
    assert requests.PreparedRequest is PreparedRequest
    assert requests.Session is Session


def test_codes_by_name_and_names_by_code(echo: ScriptedServer) -> None:
    assert requests.get(echo()).status_code == requests.codes.ok == requests.codes["OK"]
    assert (requests.codes.not_found, requests.codes.teapot) == (404, 418)
    assert [_codes[code][0] for code in (200, 404, 500)] == [
        "ok", "not_found", "internal_server_error",
    ]  # fmt: skip
    assert all(requests.codes[name] == code for code, names in _codes.items() for name in names)
    assert isinstance(requests.codes, LookupDict)


def test_retries_on_an_adapter(scripted: Any) -> None:
    server = scripted([answer(503), answer(200, b"at last")])
    session = requests.Session()
    retries = Retry(total=3, backoff_factor=0, status_forcelist=[503], allowed_methods=["GET"])
    adapter = HTTPAdapter(max_retries=retries, pool_connections=4, pool_maxsize=4, pool_block=True)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    assert session.get_adapter("http://x/") is session.get_adapter("https://x/") is adapter
    assert adapter.max_retries is retries
    with session:
        assert session.get(server()).text == "at last"


def test_a_context_of_ones_own() -> None:
    context = ssl.create_default_context()

    class Strict(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
            kwargs["ssl_context"] = context
            return super().init_poolmanager(*args, **kwargs)

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            kwargs["ssl_context"] = context
            return super().proxy_manager_for(*args, **kwargs)

    adapter = Strict()
    assert adapter.poolmanager.connection_pool_kw["ssl_context"] is context
    manager = adapter.proxy_manager_for("http://proxy.example:3128")
    assert manager.connection_pool_kw["ssl_context"] is context


def test_auth_objects(echo: ScriptedServer) -> None:
    class Token(AuthBase):
        def __init__(self, token: str) -> None:
            self.token = token

        def __call__(self, r: Any) -> Any:
            r.headers["Authorization"] = f"Token {self.token}"
            return r

    def sent(auth: Any) -> str | None:
        fields = dict(requests.get(echo(), auth=auth).json()["fields"])
        found: str | None = fields.get("Authorization")
        return found

    assert sent(Token("abc")) == "Token abc"
    assert sent(HTTPBasicAuth("u", "p")) == sent(("u", "p")) == "Basic dTpw"
    assert sent(HTTPDigestAuth("u", "p")) is None  # before it is asked
    assert HTTPBasicAuth("u", "p") == HTTPBasicAuth("u", "p") != HTTPProxyAuth("u", "q")


def test_jars() -> None:
    jar = cookiejar_from_dict({"a": "1"})
    assert isinstance(jar, RequestsCookieJar)
    assert isinstance(jar, http.cookiejar.CookieJar)
    add_dict_to_cookiejar(jar, {"b": "2"})
    jar.set("c", "3", domain="example.org", path="/p")
    jar.set_cookie(create_cookie("d", "4"))
    assert dict_from_cookiejar(jar) == {"a": "1", "b": "2", "c": "3", "d": "4"}
    remove_cookie_by_name(jar, "a")
    assert dict_from_cookiejar(merge_cookies(jar, {"e": "5"})).keys() == {"b", "c", "d", "e"}
    foreign = http.cookiejar.CookieJar()
    foreign.set_cookie(create_cookie("f", "6"))
    assert dict_from_cookiejar(foreign) == {"f": "6"}


def test_a_morsel_without_a_name_is_a_cookie_that_no_jar_takes() -> None:
    morsel: Morsel[str] = Morsel()
    morsel["expires"] = "Thu, 01-Jan-1970 00:00:01 GMT"
    cookie = morsel_to_cookie(morsel)
    assert cookie.expires == 1
    with pytest.raises(InvalidHeader, match="without a name"):
        RequestsCookieJar().set_cookie(cookie)


def test_stepping_through_redirects(scripted: Any) -> None:
    to = [("Location", "/b")]
    server = scripted([answer(302, b"", to), answer(200, b"there")])
    with requests.Session() as session:
        prepared = session.prepare_request(requests.Request("GET", server("/a")))
        settings = session.merge_environment_settings(prepared.url, {}, None, None, None)
        response = session.send(prepared, allow_redirects=False, **settings)
        assert (response.is_redirect, response.next.url) == (True, server("/b"))
        assert session.send(response.next).text == "there"


def test_the_words_of_a_response(echo: ScriptedServer, closed_port: int) -> None:
    def stamp(r: Any, *args: Any, **kwargs: Any) -> None:
        r.stamped = sorted(kwargs)

    response = requests.post(
        echo("/a"), data={"k": "v"}, timeout=(3.05, 27), stream=False, hooks={"response": stamp}
    )
    assert isinstance(response.headers, CaseInsensitiveDict)
    assert response.headers["CONTENT-TYPE"] == response.headers.get("content-type")
    assert response.stamped == ["cert", "proxies", "stream", "timeout", "verify"]  # type: ignore
    assert response.elapsed.total_seconds() >= 0
    assert response.request.method == "POST"
    assert response.raise_for_status() is None  # type: ignore[func-returns-value]
    assert (response.ok, response.history, response.links) == (True, [], {})
    assert response.raw is not None
    assert response.encoding is None or isinstance(response.encoding, str)
    nobody = f"http://127.0.0.1:{closed_port}/"
    with pytest.raises(requests.exceptions.ConnectionError) as caught:
        requests.get(nobody, timeout=5).raise_for_status()
    assert isinstance(caught.value, RequestException)
    assert (caught.value.response, caught.value.request.url) == (None, nobody)


def test_a_certificate_that_is_a_folder_matters_over_tls_alone(
    echo: ScriptedServer, echo_secure: ScriptedServer, send: Any
) -> None:
    assert send(echo(), cert=".").status_code == 200
    with pytest.raises(SSLError, match=r"cert: '\.' .* cannot be used .*expected PEM files"):
        send(echo_secure(), cert=".", verify=False)
    assert echo_secure.connections_opened == 0
