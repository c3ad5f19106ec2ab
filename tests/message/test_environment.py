"""The environment: proxies and who goes without, the CA bundle, netrc."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reqkit.exceptions import RequestsWarning
from reqkit.message import environment, proxies
from reqkit.message.environment import ca_bundle, netrc_credentials
from reqkit.message.proxies import bypasses, proxies_for, select_proxy


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment that says nothing, and a home with nothing in it."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in (
            "REQUEST_METHOD", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC",
        ):  # fmt: skip
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    environment._read_files.clear()
    yield
    environment._read_files.clear()


@pytest.fixture(params=["octets behind os.environ", "os.environ alone"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to read a variable: the quick one, and the one that always works."""
    if request.param == "os.environ alone":
        monkeypatch.setattr(environment, "_variables", lambda: None)
    elif environment._variables() is None:
        pytest.skip("os.environ has no dictionary of octets here")


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
    monkeypatch.setattr(os, "environ", {"HTTP_PROXY": "http://p", "CURL_CA_BUNDLE": "/c"})
    assert proxies_for(*HTTP) == "http://p"
    assert ca_bundle() == "/c"


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


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"REQUESTS_CA_BUNDLE": "/r"}, "/r"),
        ({"CURL_CA_BUNDLE": "/c"}, "/c"),
        ({"REQUESTS_CA_BUNDLE": "/r", "CURL_CA_BUNDLE": "/c"}, "/r"),
        ({"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "/c"}, "/c"),
        ({"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""}, None),
    ],
)
def test_ca_bundle(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ca_bundle() == expected


# --- netrc ---------------------------------------------------------------------------------------

NETRC = "machine h.example login u password p\nmachine other.example login o password q\n"


@pytest.mark.parametrize("name", [".netrc", "_netrc"])
def test_netrc_at_home(tmp_path: Path, name: str) -> None:
    assert netrc_credentials("h.example") is None
    (tmp_path / name).write_text(NETRC)
    assert netrc_credentials("h.example") == ("u", "p")
    assert netrc_credentials("other.example") == ("o", "q")
    assert netrc_credentials("H.Example") == ("u", "p")
    assert netrc_credentials("www.h.example") is None
    assert netrc_credentials("example") is None


def test_the_dot_comes_before_the_underscore(tmp_path: Path) -> None:
    (tmp_path / "_netrc").write_text("machine h.example login under password p")
    (tmp_path / ".netrc").write_text("machine h.example login dot password p")
    assert netrc_credentials("h.example") == ("dot", "p")


def test_home_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text(NETRC)
    assert netrc_credentials("h.example") == ("u", "p")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "elsewhere"))
    assert netrc_credentials("h.example") is None


@pytest.mark.usefixtures("either_way")
def test_the_variable_is_the_only_file_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text(NETRC)
    mine = tmp_path / "mine"
    mine.write_text("machine h.example login me password mine")
    monkeypatch.setenv("NETRC", str(mine))
    assert netrc_credentials("h.example") == ("me", "mine")
    assert netrc_credentials("other.example") is None
    monkeypatch.setenv("NETRC", "~/mine")
    assert netrc_credentials("h.example") == ("me", "mine")
    monkeypatch.setenv("NETRC", str(tmp_path / "missing"))
    assert netrc_credentials("h.example") is None
    monkeypatch.setenv("NETRC", "")
    assert netrc_credentials("h.example") == ("u", "p")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("machine h.example login u password p", ("u", "p")),
        ("default login d password e", ("d", "e")),
        ("machine x login u password p\ndefault login d password e", ("d", "e")),
        ("machine h.example login u password p\ndefault login d password e", ("u", "p")),
        ("machine h.example login u account a password p", ("u", "p")),
        ('machine h.example login u password "p q"', ("u", "p q")),
        ('machine h.example login u password "p\\"q"', ("u", 'p"q')),
        ("machine h.example login u password a\\\\b", ("u", "a\\b")),
        ("machine h.example login u password #p", ("u", "#p")),
        ("machine h.example # it is mine\n login u # and this\n password p#q # end", ("u", "p#q")),
        (
            "#machine h.example login no password no\nmachine H.Example login u password p",
            ("u", "p"),
        ),
        ("machine x login # password no\n#\n# a\nmachine h.example login u password p", ("u", "p")),
        (
            "macdef init\nmachine h.example login no\n\nmachine h.example login u password p",
            ("u", "p"),
        ),
        ("macdef init\nmachine h.example login no", None),
        ("machine h.example user u password p", ("u", "p")),
        ("machine h.example login u password p\nmachine h.example login v password q", ("u", "p")),
        ("machine h.example\tlogin\r\nu password p\r\n", ("u", "p")),
        ("\ufeffmachine h.example login u password p", ("u", "p")),
        ("machine h.example password p", ("", "p")),
        ("# nothing\n", None),
        ("", None),
    ],
)
def test_netrc_entries(tmp_path: Path, text: str, expected: tuple[str, str] | None) -> None:
    (tmp_path / ".netrc").write_text(text)
    assert netrc_credentials("h.example") == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("machine h.example login u password p port 21", 1),
        ("\nfoo\nmachine h.example login u password p", 2),
        ("machine h.example login u\n foo bar password p", 2),
        ("machine h.example login u password p\nmachine", 2),
        ("login no\nmachine h.example login u password p", 1),
    ],
)
def test_an_unknown_word_voids_nothing(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / ".netrc").write_text(text)
    with pytest.warns(RequestsWarning, match=f"malformed at line {line}:"):
        assert netrc_credentials("h.example") == ("u", "p")


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (None, ("a", "1")), ("a", ("a", "1")), ("b", ("b", "2")), ("c", ("c", "3")),
        ("d", ("d", "3")),
    ],
)  # fmt: skip
def test_a_user_chooses_the_password(
    tmp_path: Path, user: str | None, expected: tuple[str, str]
) -> None:
    (tmp_path / ".netrc").write_text(
        "machine h.example login a password 1\nmachine h.example login b password 2\n"
        "machine h.example password 3\nmachine other login d password 4\ndefault login e password 5"
    )
    assert netrc_credentials("h.example", user) == expected
    assert netrc_credentials("elsewhere", "x") is None
    assert netrc_credentials("elsewhere") == ("e", "5")
    assert netrc_credentials("elsewhere", default=False) is None


@pytest.mark.parametrize("host", ["h.example:80", "u@h.example", "h.example@evil.test", "[::1]"])
def test_only_the_name_is_looked_up(tmp_path: Path, host: str) -> None:
    (tmp_path / ".netrc").write_text(NETRC + "machine ::1 login six password p")
    assert netrc_credentials(host) == (("six", "p") if host == "[::1]" else None)


def test_netrc_is_read_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    real = environment.parse_netrc

    def counted(text: str) -> Any:
        reads.append(text)
        return real(text)

    monkeypatch.setattr(environment, "parse_netrc", counted)
    file = tmp_path / ".netrc"
    file.write_text(NETRC)
    for _ in range(3):
        assert netrc_credentials("h.example") == ("u", "p")
    assert len(reads) == 1
    file.write_text("machine h.example login longer password p2")
    assert netrc_credentials("h.example") == ("longer", "p2")
    assert len(reads) == 2
    # The same size; another time.
    file.write_text("machine h.example login langer password p2")
    os.utime(file, ns=(1, 1))
    assert netrc_credentials("h.example") == ("langer", "p2")
    file.unlink()
    assert netrc_credentials("h.example") is None


@pytest.mark.parametrize(
    ("octets", "password"),
    [
        (b"machine h.example login u password s3cret s3cret2", "s3cret"),
        (b"machine h.example login u passwort s3cret", ""),
        (b"machine h.example login u password s3cret\nmachine \xff\xfe login \xff s3", "s3cret"),
    ],
)
def test_odd_words_in_netrc_are_told_once_and_give_nothing_away(
    tmp_path: Path, octets: bytes, password: str
) -> None:
    file = tmp_path / ".netrc"
    file.write_bytes(octets)
    with pytest.warns(RequestsWarning) as caught:
        assert netrc_credentials("h.example") == ("u", password)
    assert len(caught) == 1
    assert str(file) in str(caught[0].message)
    assert "s3cret" not in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert netrc_credentials("h.example") == ("u", password)


def test_a_warning_made_an_error_is_still_given_once(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("nonsense")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RequestsWarning):
            netrc_credentials("h.example")
        assert netrc_credentials("h.example") is None


def test_a_mended_netrc_is_used(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("nonsense")
    with pytest.warns(RequestsWarning, match=r"line 1"):
        netrc_credentials("h.example")
    (tmp_path / ".netrc").write_text(NETRC)
    assert netrc_credentials("h.example") == ("u", "p")


def test_a_netrc_that_cannot_be_opened_is_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").mkdir()
    assert netrc_credentials("h.example") is None
    monkeypatch.setenv("NETRC", os.devnull)
    assert netrc_credentials("h.example") is None

    # A test may run as root, whom no mode keeps out.
    def forbidden(path: str, mode: str) -> Any:
        raise PermissionError(13, "Permission denied", path)

    (tmp_path / "mine").write_text(NETRC)
    monkeypatch.setenv("NETRC", str(tmp_path / "mine"))
    monkeypatch.setattr(environment, "open", forbidden, raising=False)
    assert netrc_credentials("h.example") is None


def test_the_files_kept_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        file = tmp_path / f"netrc{number}"
        file.write_text(f"machine h.example login u{number} password p")
        monkeypatch.setenv("NETRC", str(file))
        assert netrc_credentials("h.example") == (f"u{number}", "p")
    assert len(environment._read_files) <= environment._MOST_FILES
