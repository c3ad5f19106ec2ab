"""The fields that are read beyond their framing: cookies, dates, links, challenges, URLs."""

from __future__ import annotations

import re

from reqkit.auth.challenges import parse_challenges, parse_params, quote
from reqkit.auth.digest_credentials import authorization, usable_parameters
from reqkit.cookies import CookieJar, parse_date
from reqkit.cookies.parsing import parse_set_cookie
from reqkit.exceptions import InvalidHeader, RequestException
from reqkit.message.content.charsets import parse_content_type
from reqkit.message.links import links_by_rel, parse_links
from reqkit.message.urls import join, prepare_url, without_password

from .feeding import choices

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNSENDABLE = re.compile(r"[\x00-\x20\x7f]")
_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f-\U0010ffff]")

SITES = ("http://a.b.example.com/x/y?z", "https://example.com/", "http://127.0.0.1:8080/d/")


def set_cookie(data: bytes) -> None:
    """No Set-Cookie raises, and what it leaves in the jar can be sent."""
    values = data.decode("latin-1").split("\n")
    for value in values:
        parsed = parse_set_cookie(value, 1.7e9)
        if parsed is not None:
            assert parsed.name
            assert not _CONTROL.search(parsed.name + (parsed.value or ""))
    jar = CookieJar()
    for site in SITES:
        jar.store(values, site)
        for url in SITES:
            header = jar.header_for(url)
            assert header is None or not _CONTROL.search(header)
    again = CookieJar()
    again.update(jar)
    assert len(again) == len(jar)
    jar.clear()
    assert not list(jar)


def cookie_date(data: bytes) -> None:
    """No date raises, and one that is read is from 1601 to 9999."""
    seconds = parse_date(data.decode("latin-1"))
    if seconds is not None:
        assert -11644473600 <= seconds <= 253402300799


def links(data: bytes) -> None:
    """No Link field raises; every link has a URL that was in angle brackets."""
    value = data.decode("latin-1")
    found = parse_links(value)
    for link in found:
        assert f"<{link['url']}" in value or link["url"] in value
    assert len(links_by_rel(value)) <= len(found)


def challenges(data: bytes) -> None:
    """No challenge raises; the proof for one that is usable can stand in a header."""
    values = data.decode("latin-1").split("\n")
    for challenge in parse_challenges(values):
        assert challenge.scheme == challenge.scheme.lower()
        assert all(name == name.lower() for name in challenge.params)
    for value in values:
        parse_params(value)
    parameters = usable_parameters(values)
    if parameters is None:
        return
    qop = parameters.qop_for(b"body")
    assert qop in ("", "auth", "auth-int")
    header = authorization(
        parameters, username="user", password="secret-word", method="GET", uri="/x?y", body=b"body",
        qop=qop, count=1, cnonce="0123",
    )  # fmt: skip
    assert not _CONTROL.search(header)
    header.encode("latin-1")
    assert "secret-word" not in header
    [challenge] = parse_challenges([header])
    assert challenge.params["nonce"] == parameters.nonce
    assert challenge.params["realm"] == parameters.realm
    assert quote(challenge.params["nonce"])


def url(data: bytes) -> None:
    """A URL is refused with an error of ours, or is what can be sent and stays as it is."""
    text = data.decode("utf-8", "surrogateescape")
    for given in (text, "http://" + text, "http://h/" + text, "http://h/?" + text):
        _check_url(given, True)
        _check_url(given, False)
    try:
        target = prepare_url("http://h/?a=b", text)
    except (RequestException, ValueError):
        return
    assert not _CONTROL_OR_SPACE.search(target.path)


def _check_url(given: str, encode: bool) -> None:
    without_password(given)
    try:
        target = prepare_url(given, None, encode)
    except RequestException as error:
        assert isinstance(error, ValueError)
        assert not _CONTROL.search(str(error)), str(error)
        return
    if target.scheme not in ("http", "https"):
        assert not re.search(r"[\r\n\0]", target.url)
        return
    assert target.host and 0 <= target.port <= 65535
    assert target.path.startswith("/")
    assert not _UNSENDABLE.search(target.path + target.authority + target.host)
    assert not re.search("[/?#@\\\\]", target.authority)
    assert not re.search("[/?#@\\\\]", target.host.partition("%")[0])
    if encode:
        assert not _CONTROL_OR_SPACE.search(target.url), target.url
        assert prepare_url(target.url) == target


def location(data: bytes) -> None:
    """A Location means a URL, or is refused with an error of ours."""
    value = data.decode("latin-1")
    for base in ("http://h.example/a/b?c#d", "https://u:p@h.example:8443"):
        joined = join(base, value)
        try:
            target = prepare_url(joined)
        except RequestException as error:
            assert isinstance(error, ValueError)
            continue
        if target.scheme in ("http", "https"):
            assert not _CONTROL_OR_SPACE.search(target.path)


def content_type(data: bytes) -> None:
    """No Content-Type raises; what is quoted is read back."""
    value = data.decode("latin-1")
    kind, parameters = parse_content_type(value)
    assert kind == kind.strip().lower()
    for name, parameter in parameters.items():
        assert name == name.lower()
        try:
            written = quote(parameter)
        except InvalidHeader:
            continue
        if choices(data).random() < 0.5:
            assert parse_content_type(f"a/b; n={written}")[1]["n"] == parameter
