"""`reqkit.utils`, `compat`, `packages`: what programs written for requests take from its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

import reqkit
from reqkit import compat, packages, utils


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        ("requote_uri", ("http://h/%zz é%41",), "http://h/%25zz%20%C3%A9A"),
        ("unquote_unreserved", ("/%41%2F%zz",), "/A%2F%zz"),
        ("get_auth_from_url", ("http://a%40:b%3A@h/",), ("a@", "b:")),
        ("get_auth_from_url", ("http://a@h/",), ("", "")),
        ("urldefragauth", ("http://a:b@h/p?q#f",), "http://h/p?q"),
        ("urldefragauth", ("h/p",), "//h/p"),
        ("prepend_scheme_if_needed", ("h:80/p", "https"), "https://h:80/p"),
        ("prepend_scheme_if_needed", ("ftp://h/p", "https"), "ftp://h/p"),
        ("parse_list_header", ('a, "b, c"',), ["a", "b, c"]),
        ("parse_dict_header", ('a="b, c", d',), {"a": "b, c", "d": None}),
        ("parse_header_links", ('<u>; rel="next"',), [{"url": "u", "rel": "next"}]),
        ("unquote_header_value", (r'"a\"b"',), 'a"b'),
        ("unquote_header_value", ('"',), '"'),
        ("get_encoding_from_headers", ({"content-type": "text/a; charset=x-y"},), "x-y"),
        ("get_encoding_from_headers", ({"content-type": "text/a"},), "ISO-8859-1"),
        ("get_encoding_from_headers", ({"content-type": "application/json"},), "utf-8"),
        ("get_encoding_from_headers", ({"content-type": "image/png"},), None),
        ("get_encoding_from_headers", ({},), None),
        ("get_encodings_from_content", ('<meta charset="koi8-r">',), ["koi8-r"]),
        ("guess_json_utf", ("[1]".encode("utf-16-le"),), "utf-16-le"),
        ("guess_json_utf", (b"\xef\xbb\xbf[]",), "utf-8-sig"),
        ("guess_json_utf", (b"\0\0\0\0",), None),
        ("select_proxy", ("http://h/", {"http://h": "p", "http": "q"}), "p"),
        ("select_proxy", ("http:///", {"all": "q"}), "q"),
        ("select_proxy", ("http://h/", None), None),
        ("is_ipv4_address", ("1.2.3.4",), True),
        ("is_ipv4_address", ("1.2.3",), False),
        ("is_valid_cidr", ("10.0.0.0/8",), True),
        ("is_valid_cidr", ("10.0.0.0/0",), False),
        ("address_in_network", ("10.1.2.3", "10.0.0.0/8"), True),
        ("dotted_netmask", (20,), "255.255.240.0"),
        ("super_len", ("ä",), 2),
        ("super_len", (io.BytesIO(b"abc"),), 3),
        ("super_len", (object(),), 0),
        ("guess_filename", (type("F", (), {"name": "/a/b.txt"})(),), "b.txt"),
        ("guess_filename", (type("F", (), {"name": "<stdin>"})(),), None),
        ("to_key_val_list", ({"a": 1},), [("a", 1)]),
        ("from_key_val_list", ([("a", 1)],), {"a": 1}),
        ("to_native_string", (b"a",), "a"),
        ("unicode_is_ascii", ("ä",), False),
        ("default_user_agent", ("bot",), f"bot/{reqkit.__version__}"),
    ],
)
def test_what_the_functions_return(function: str, arguments: Any, expected: Any) -> None:
    assert getattr(utils, function)(*arguments) == expected


def test_slices() -> None:
    assert list(utils.iter_slices("abcde", 2)) == ["ab", "cd", "e"]
    assert list(utils.iter_slices(b"abc", None)) == [b"abc"]
    assert list(utils.iter_slices("", 2)) == []


@pytest.mark.parametrize("value", ["text", b"bytes", 3, True])
def test_what_is_no_list_of_pairs(value: Any) -> None:
    with pytest.raises(ValueError, match="pairs"):
        utils.to_key_val_list(value)


def test_a_file_that_was_read_in_part(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    with path.open("rb") as file:
        file.read(2)
        assert utils.super_len(file) == 3
    with path.open() as file, pytest.warns(reqkit.exceptions.RequestsWarning, match="text mode"):
        assert utils.super_len(file) == 5


def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://p.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert utils.get_environ_proxies("http://h.example/")["http"] == "http://p.example:3128"
    assert utils.get_environ_proxies("http://inside.example/") == {}
    assert utils.get_environ_proxies("http://h.example/", no_proxy="h.example") == {}
    assert utils.should_bypass_proxies("file:///x", None)
    request = reqkit.Request("GET", "http://h.example/")
    assert utils.resolve_proxies(request, {"https": "q"}) == {
        "https": "q",
        "http": "http://p.example:3128",
    }
    with utils.set_environ("no_proxy", "*"):
        assert os.environ["no_proxy"] == "*"
    assert os.environ["no_proxy"] == "inside.example"


def test_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine h.example login a password b\n")
    monkeypatch.setenv("NETRC", str(path))
    assert utils.get_netrc_auth("http://h.example:81/x") == ("a", "b")
    assert utils.get_netrc_auth("http://h.example:@other.example/") is None


def test_a_file_in_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("inner/reqkit-drop-in.pem", b"pem")
    # Where anybody may write: another's file of that name is none of the archive's.
    (tmp_path / "reqkit-drop-in.pem").write_bytes(b"another's")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = Path(utils.extract_zipped_paths(f"{archive}/inner/reqkit-drop-in.pem"))
    assert found.parent == tmp_path
    assert found.read_bytes() == b"pem"
    assert Path(utils.extract_zipped_paths(f"{archive}/inner/reqkit-drop-in.pem")) == found
    for path in (str(archive), f"{archive}/other", "/no/such/path"):
        assert utils.extract_zipped_paths(path) == path


def test_all_names_are_there() -> None:
    for module in (utils, compat, packages):
        assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_they_are_found_without_an_import_of_their_own() -> None:
    code = (
        "import reqkit, sys; assert 'reqkit.utils' not in sys.modules;"
        "reqkit.packages.urllib3.disable_warnings(); print(reqkit.utils.quote('a b'),"
        "reqkit.compat.urljoin('http://h/a', 'b'))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("a%20b http://h/b\n", "")
