"""Which proxy a URL goes through: as given, as the environment says, and who goes without."""

from __future__ import annotations

import os
from typing import Any

import pytest

from reqkit.message import proxies
from reqkit.message.proxies import bypasses, proxies_for, select_proxy

pytestmark = pytest.mark.usefixtures("bare_environment")

HTTP, HTTPS = ("http", "h.example", 80), ("https", "h.example", 443)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(
    ("variables", "asked", "expected"),
    [
        ({}, HTTP, None),
        ({"http_proxy": "http://p:1"}, HTTP, "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, HTTP, "http://p:1"),
        ({"http_proxy": "10.10.1.10:3128"}, HTTP, "10.10.1.10:3128"),
        ({"http_proxy": " http://p:1 "}, HTTP, "http://p:1"),
        ({"http_proxy": "http://u:pß@p"}, HTTP, "http://u:pß@p"),
        ({"http_proxy": "http://p:1"}, HTTPS, None),
        ({"https_proxy": "http://s:1"}, HTTPS, "http://s:1"),
        ({"HTTPS_PROXY": "http://s:1"}, HTTPS, "http://s:1"),
        ({"https_proxy": "http://s:1"}, HTTP, None),
        # Lower case first; empty is not set.
        ({"http_proxy": "http://low", "HTTP_PROXY": "http://up"}, HTTP, "http://low"),
        ({"http_proxy": "", "HTTP_PROXY": "http://up"}, HTTP, "http://up"),
        ({"http_proxy": " ", "HTTP_PROXY": ""}, HTTP, None),
        # ALL_PROXY is for what has none of its own.
        ({"all_proxy": "http://a"}, HTTP, "http://a"),
        ({"ALL_PROXY": "http://a"}, HTTPS, "http://a"),
        ({"all_proxy": "http://a", "HTTP_PROXY": "http://up"}, HTTP, "http://up"),
        ({"all_proxy": "http://a", "http_proxy": ""}, HTTP, "http://a"),
        ({"all_proxy": "http://a", "ALL_PROXY": "http://b"}, HTTP, "http://a"),
        ({"ALL_PROXY": "http://a"}, ("ftp", "h.example", 21), "http://a"),
        # httpoxy
        ({"HTTP_PROXY": "http://up", "REQUEST_METHOD": "GET"}, HTTP, None),
        ({"HTTP_PROXY": "http://up", "all_proxy": "http://a", "REQUEST_METHOD": "GET"}, HTTP, "http://a"),
        ({"HTTPS_PROXY": "http://up", "REQUEST_METHOD": "GET"}, HTTPS, "http://up"),
        # NO_PROXY
        ({"http_proxy": "http://p", "no_proxy": "example"}, HTTP, None),
        ({"http_proxy": "http://p", "NO_PROXY": "h.example"}, HTTP, None),
        ({"http_proxy": "http://p", "no_proxy": "other", "NO_PROXY": "h.example"}, HTTP, "http://p"),
        ({"http_proxy": "http://p", "no_proxy": "", "NO_PROXY": "h.example"}, HTTP, None),
        ({"http_proxy": "http://p", "no_proxy": "h.example:8080"}, HTTP, "http://p"),
        ({"all_proxy": "http://p", "no_proxy": "*"}, HTTPS, None),
    ],
)  # fmt: skip
def test_proxies_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    asked: tuple[str, str, int],
    expected: str | None,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxies_for(*asked) == expected


@pytest.mark.skipif(os.name != "posix", reason="names have no case here")
def test_in_cgi_the_lower_case_name_is_still_the_administrators(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    monkeypatch.setenv("http_proxy", "http://low")
    monkeypatch.setenv("HTTP_PROXY", "http://client")
    assert proxies_for(*HTTP) == "http://low"


def test_where_names_have_no_case_a_cgi_has_no_http_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "POSIX", False)
    proxies._proxy_variables.cache_clear()
    try:
        assert proxies._proxy_variables("http", True).names == ("all_proxy", "ALL_PROXY")
    finally:
        proxies._proxy_variables.cache_clear()


def test_a_change_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxies_for(*HTTP) is None
    monkeypatch.setenv("HTTP_PROXY", "http://one")
    assert proxies_for(*HTTP) == "http://one"
    monkeypatch.setenv("HTTP_PROXY", "http://two")
    assert proxies_for(*HTTP) == "http://two"
    monkeypatch.delenv("HTTP_PROXY")
    assert proxies_for(*HTTP) is None


def test_an_environ_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"HTTP_PROXY": "http://p"})
    assert proxies_for(*HTTP) == "http://p"


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "expected"),
    [
        ("", "h.example", 80, False),
        (" , ,", "h.example", 80, False),
        ("*", "h.example", 80, True),
        ("*", "10.0.0.1", 80, True),
        ("a, *", "h.example", 80, True),
        # Names, and what is below them; never what only ends alike.
        ("example.org", "example.org", 80, True),
        ("example.org", "www.example.org", 80, True),
        ("example.org", "a.b.example.org", 443, True),
        ("example.org", "notexample.org", 80, False),
        ("example.org", "example.org.evil.test", 80, False),
        ("example.org", "org", 80, False),
        (".example.org", "www.example.org", 80, True),
        (".example.org", "example.org", 80, True),
        (".example.org", "notexample.org", 80, False),
        ("*.example.org", "www.example.org", 80, True),
        ("*.example.org", "notexample.org", 80, False),
        ("www.example.org", "example.org", 80, False),
        ("org", "example.org", 80, True),
        (".", "example.org", 80, False),
        ("localhost", "localhost", 80, True),
        ("EXAMPLE.org", "Www.Example.ORG", 80, True),
        ("example.org.", "example.org", 80, True),
        ("example.org", "www.example.org.", 80, True),
        ("bücher.example", "xn--bcher-kva.example", 80, True),
        ("xn--bcher-kva.example", "www.bücher.example", 80, True),
        # Several, however they are parted.
        ("a.test,b.test", "b.test", 80, True),
        (" a.test , b.test ", "b.test", 80, True),
        ("a.test b.test\tc.test", "b.test", 80, True),
        ("a.testb.test", "b.test", 80, False),
        # Ports
        ("h.example:8080", "h.example", 8080, True),
        ("h.example:8080", "h.example", 80, False),
        ("h.example:8080", "www.h.example", 8080, True),
        (".h.example:8080", "www.h.example", 80, False),
        ("h.example:80,h.example:81", "h.example", 81, True),
        ("h.example:80,h.example", "h.example", 82, True),
        ("www.h.example:81,h.example:80", "www.h.example", 80, True),
        ("h.example:", "h.example", 80, False),
        ("h.example:http", "h.example", 80, False),
        ("10.0.0.1:80", "10.0.0.1", 80, True),
        ("10.0.0.1:80", "10.0.0.1", 81, False),
        # Addresses
        ("10.0.0.1", "10.0.0.1", 80, True),
        ("10.0.0.1", "10.0.0.10", 80, False),
        ("0.0.1", "127.0.0.1", 80, False),
        ("127.0.0.1", "localhost", 80, False),
        ("10.0.0.1", "10.0.0.1.evil.test", 80, False),
        ("::1", "::1", 80, True),
        ("::1", "[::1]", 80, True),
        ("[::1]", "::1", 80, True),
        ("[::1]:80", "[::1]", 80, True),
        ("[::1]:80", "[::1]", 81, False),
        ("0:0:0:0:0:0:0:1", "::1", 80, True),
        ("2001:DB8::1", "[2001:db8:0::1]", 80, True),
        ("::2", "::1", 80, False),
        ("fe80::1", "[fe80::1%25eth0]", 80, True),
        ("10.0.0.1", "[::ffff:10.0.0.1]", 80, True),
        # Networks
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("10.1.2.3/8", "10.9.9.9", 80, True),
        ("10.0.0.0/255.0.0.0", "10.1.2.3", 80, True),
        ("192.168.1.1/32", "192.168.1.1", 80, True),
        ("0.0.0.0/0", "8.8.8.8", 80, True),
        ("0.0.0.0/0", "::1", 80, False),
        ("10.0.0.0/8", "[::ffff:10.1.2.3]", 80, True),
        ("10.0.0.0/8", "h.example", 80, False),
        ("10.0.0.0/8", "10.evil.test", 80, False),
        ("fd00::/8", "fd12::1", 80, True),
        ("[fd00::]/8", "[fd12::1]", 80, True),
        ("fd00::/8", "[fe80::1]", 80, False),
        # What cannot be read is passed over.
        ("10.0.0.0/99,h.example", "10.0.0.1", 80, False),
        ("10.0.0.0/99,h.example", "h.example", 80, True),
        ("/,[,],[]:1,:,::::,%,h.example", "h.example", 80, True),
        ("/,[,],[]:1,:,::::,%", "h.example", 80, False),
        ("..,*.", "h.example", 80, False),
        ("a" * 70 + "ü.test", "h.example", 80, False),
        ("h.example", "", 80, False),
    ],
)
def test_bypasses(no_proxy: str, host: str, port: int, expected: bool) -> None:
    assert bypasses(no_proxy, host, port) is expected


@pytest.mark.parametrize(
    ("proxies", "asked", "expected"),
    [
        ({}, HTTP, None),
        ({"http": "http://p"}, HTTP, "http://p"),
        ({"http": "http://p"}, HTTPS, None),
        ({"http://h.example": "http://one", "http": "http://p"}, HTTP, "http://one"),
        ({"http://other.example": "http://one", "http": "http://p"}, HTTP, "http://p"),
        ({"http://h.example": "http://one"}, HTTPS, None),
        ({"all://h.example": "http://one", "all": "http://a"}, HTTPS, "http://one"),
        ({"all://h.example": "http://one", "https": "http://s"}, HTTPS, "http://s"),
        ({"all": "http://a"}, HTTPS, "http://a"),
        ({"all": "http://a", "http": "http://p"}, HTTP, "http://p"),
        ({"http://[::1]": "http://six"}, ("http", "::1", 80), "http://six"),
        ({"http://[::1]": "http://six"}, ("http", "[::1]", 80), "http://six"),
        # Said to go without: nobody else is to be asked.
        ({"http": None, "all": "http://a"}, HTTP, ""),
        ({"http": "", "all": "http://a"}, HTTP, ""),
        ({"all": "http://a", "no_proxy": "h.example"}, HTTP, ""),
        ({"no_proxy": "h.example"}, HTTP, ""),
        ({"all": "http://a", "no_proxy": "h.example:81"}, HTTP, "http://a"),
        ({"all": "http://a", "no_proxy": None}, HTTP, "http://a"),
        ({"no_proxy": "other.example"}, HTTP, None),
    ],
)
def test_select_proxy(
    proxies: dict[str, Any], asked: tuple[str, str, int], expected: str | None
) -> None:
    assert select_proxy(proxies, *asked) == expected


def test_given_proxies_do_not_heed_the_environments_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    assert select_proxy({"all": "http://a"}, *HTTP) == "http://a"


def test_a_name_that_is_too_long_is_looked_up_by_its_ends() -> None:
    host = "a." * 50_000 + "example.org"
    assert bypasses("example.org", host, 80)
    assert not bypasses("example.com", host, 80)
    assert len(list(proxies._suffixes(host))) < 130
    assert list(proxies._suffixes("b" * 300 + ".org")) == ["org"]
    assert list(proxies._suffixes("a.b.c")) == ["a.b.c", "b.c", "c"]
