"""Basic and Bearer: what goes into the header, and what is refused."""

from __future__ import annotations

import copy
import pickle
from base64 import b64decode
from typing import Any

import pytest

from reqkit.auth import (
    AuthBase,
    HTTPBasicAuth,
    HTTPBearerAuth,
    HTTPDigestAuth,
    HTTPProxyAuth,
    basic_header,
)
from reqkit.exceptions import InvalidHeader


class FakeMessage:
    """A prepared request, as far as these auths need one."""

    def __init__(self) -> None:
        self.method = "GET"
        self.url = "http://h.example/"
        self.headers: dict[str, str] = {}
        self.body = None
        self.hooks: dict[str, Any] = {}

    def register_hook(self, event: str, hook: Any) -> None:
        self.hooks.setdefault(event, []).append(hook)

    def deregister_hook(self, event: str, hook: Any) -> None:
        self.hooks[event].remove(hook)


@pytest.mark.parametrize(
    ("user", "password", "octets"),
    [
        ("Aladdin", "open sesame", b"Aladdin:open sesame"),
        ("u", "p:q:", b"u:p:q:"),
        ("", "", b":"),
        ("müller", "pass", b"m\xfcller:pass"),
        ("u", "12£", b"u:12\xa3"),
        ("u", "5€", b"u:5\xe2\x82\xac"),
        # One charset for both: what is no Latin-1 in one makes UTF-8 of the other too.
        ("müller", "5€", b"m\xc3\xbcller:5\xe2\x82\xac"),
        (b"m\xfcller", "5€", b"m\xfcller:5\xe2\x82\xac"),
        (b"u", b"\xff\xfe", b"u:\xff\xfe"),
    ],
)
def test_basic_header_octets(user: str | bytes, password: str | bytes, octets: bytes) -> None:
    header = basic_header(user, password)
    scheme, _, value = header.partition(" ")
    assert scheme == "Basic"
    assert b64decode(value, validate=True) == octets


def test_basic_header_of_the_rfc() -> None:
    # RFC 7617 sections 2 and 2.1, the second as its UTF-8 octets.
    assert basic_header("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert basic_header("test", "123£".encode()) == "Basic dGVzdDoxMjPCow=="


def test_a_long_password_stays_on_one_line() -> None:
    assert "\n" not in basic_header("u", "p" * 500)


@pytest.mark.parametrize(
    "user", ["a:b", ":", b"a:b", "a\r\nb", "a\x00", "tab\t", b"\x7f", "\ud800"]
)
@pytest.mark.parametrize("kind", [HTTPBasicAuth, HTTPProxyAuth, basic_header])
def test_bad_user_names_are_refused_at_once(kind: Any, user: str | bytes) -> None:
    with pytest.raises(InvalidHeader, match="user name"):
        kind(user, "hunter2")


@pytest.mark.parametrize(
    "password", ["hunter2\n", "hunter2\r\nX: y", "hunter2\x00", "hunter2\udc80"]
)
def test_bad_passwords_are_refused_and_not_shown(password: str) -> None:
    with pytest.raises(ValueError, match="password") as caught:
        HTTPBasicAuth("u", password)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("kind", [HTTPBasicAuth, HTTPProxyAuth, HTTPDigestAuth])
@pytest.mark.parametrize(("user", "password"), [(None, "hunter2"), ("u", None), (42, 42)])
def test_what_is_no_text_is_refused(kind: Any, user: Any, password: Any) -> None:
    with pytest.raises(TypeError, match="expected a str or bytes") as caught:
        kind(user, password)
    assert "hunter2" not in str(caught.value)


def test_which_header_is_set() -> None:
    basic, proxy = FakeMessage(), FakeMessage()
    assert HTTPBasicAuth("u", "p")(basic) is basic
    assert HTTPProxyAuth("u", "p")(proxy) is proxy
    assert basic.headers == {"Authorization": "Basic dTpw"}
    assert proxy.headers == {"Proxy-Authorization": "Basic dTpw"}


def test_attributes_that_change_count() -> None:
    auth, message = HTTPBasicAuth("u", "p"), FakeMessage()
    auth.username = "v"
    assert auth(message).headers["Authorization"] == basic_header("v", "p")


@pytest.mark.parametrize("token", ["abc", "mF_9.B5f-4.1JqM", "YWJj+/8==", "1|x:y", b"abc"])
def test_bearer(token: str | bytes) -> None:
    message = FakeMessage()
    text = token if isinstance(token, str) else token.decode()
    assert HTTPBearerAuth(token)(message) is message
    assert message.headers == {"Authorization": "Bearer " + text}


@pytest.mark.parametrize(
    "token", ["", "s3cret\n", "s3cret\r\nX: y", "Bearer s3cret", "s3crét", b"\xff"]
)
def test_bad_tokens_are_refused_and_not_shown(token: str | bytes) -> None:
    with pytest.raises(InvalidHeader, match="bearer token") as caught:
        HTTPBearerAuth(token)
    assert "s3cr" not in str(caught.value)


def test_a_token_of_another_type() -> None:
    with pytest.raises(TypeError, match="expected a str or bytes"):
        HTTPBearerAuth(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("auth", "shown"),
    [
        (HTTPBasicAuth("u", "s3cret"), "<HTTPBasicAuth user='u'>"),
        (HTTPProxyAuth("u", "s3cret"), "<HTTPProxyAuth user='u'>"),
        (HTTPDigestAuth("u", "s3cret"), "<HTTPDigestAuth user='u'>"),
        (HTTPBearerAuth("s3cret"), "<HTTPBearerAuth>"),
    ],
)
def test_repr_has_no_secret(auth: AuthBase, shown: str) -> None:
    assert repr(auth) == str(auth) == shown


@pytest.mark.parametrize("kind", [HTTPBasicAuth, HTTPProxyAuth, HTTPDigestAuth])
def test_equality(kind: Any) -> None:
    one = kind("u", "p")
    assert one == kind("u", "p")
    assert hash(one) == hash(kind("u", "p"))
    assert one != kind("u", "q")
    assert one != kind("v", "p")
    assert one != ("u", "p")


def test_equality_is_within_a_kind() -> None:
    assert HTTPBasicAuth("u", "p") != HTTPProxyAuth("u", "p")
    assert HTTPBasicAuth("u", "p") != HTTPDigestAuth("u", "p")
    assert HTTPBearerAuth("t") == HTTPBearerAuth("t")
    assert hash(HTTPBearerAuth("t")) == hash(HTTPBearerAuth("t"))
    assert HTTPBearerAuth("t") != HTTPBearerAuth("s")
    assert HTTPBearerAuth("t") != "t"


@pytest.mark.parametrize(
    "auth",
    [
        HTTPBasicAuth("u", "p"),
        HTTPProxyAuth("u", "p"),
        HTTPDigestAuth("u", "p"),
        HTTPBearerAuth("t"),
    ],
)
def test_auths_pickle_and_copy(auth: AuthBase) -> None:
    for other in (pickle.loads(pickle.dumps(auth)), copy.copy(auth), copy.deepcopy(auth)):
        assert other == auth
        message = FakeMessage()
        assert other(message) is message


def test_the_base_says_what_is_missing() -> None:
    class Forgetful(AuthBase):
        pass

    with pytest.raises(NotImplementedError, match="Forgetful"):
        Forgetful()(FakeMessage())
