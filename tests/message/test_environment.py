"""The environment: the CA bundle, and netrc."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reqkit.exceptions import RequestsWarning
from reqkit.message import environment
from reqkit.message.environment import ca_bundle, netrc_credentials
from reqkit.message.netrc_parsing import parse_netrc

pytestmark = pytest.mark.usefixtures("bare_environment")


def test_an_environ_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"CURL_CA_BUNDLE": "/c"})
    assert ca_bundle() == "/c"


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


@pytest.mark.parametrize(
    "name", ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "XN--BCHER-KVA.Example"]
)
def test_netrc_of_a_host_beyond_ascii(tmp_path: Path, name: str) -> None:
    (tmp_path / ".netrc").write_text(
        f"machine \u2603.example login no password no\nmachine {name} login u password p",
        encoding="utf-8",
    )
    assert netrc_credentials("xn--bcher-kva.example") == ("u", "p")
    assert netrc_credentials("xn--n3h.example") is None


def test_a_long_netrc_is_read_in_linear_time() -> None:
    class Text(str):
        """Counts the characters that are looked through for ends of lines."""

        looked = 0

        def count(self, sub: str, *places: Any) -> int:
            Text.looked += places[1] - places[0]
            return super().count(sub, *places)

    read = parse_netrc(Text("machine a.example login u password p\n" * 2000 + "odd"))
    assert (len(read.entries), read.odd) == (2000, 2001)
    assert Text.looked < 2001 * 40


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


@pytest.mark.parametrize("written", ["::1", "[::1]", "0:0:0:0:0:0:0:1", "[0::0001]"])
@pytest.mark.parametrize("asked", ["[::1]", "::1", "[0:0:0:0:0:0:0:1]"])
def test_an_ipv6_address_is_one_however_it_is_written(
    tmp_path: Path, written: str, asked: str
) -> None:
    (tmp_path / ".netrc").write_text(f"machine ::2 login no password n machine {written} login u")
    assert netrc_credentials(asked) == ("u", "")


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-16"),
        lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.replace("\n", "\r\n").encode("latin-1"),
    ],
    ids=["utf-16", "utf-16-be", "bom", "cr", "crlf-latin-1"],
)
def test_a_netrc_as_editors_and_shells_write_it(
    tmp_path: Path, encode: Callable[[str], bytes]
) -> None:
    text = "# h\u00e9\nmacdef init\nput password x\n\nmachine h.example login u password p\u00e9\n"
    (tmp_path / ".netrc").write_bytes(encode(text))
    assert netrc_credentials("h.example") == ("u", "p\u00e9")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("place", ["pipe", "/dev/zero", "/dev/null", "folder", "loop"])
def test_what_is_no_file_is_no_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    path = tmp_path / place if not place.startswith("/") else Path(place)
    if place == "pipe":
        os.mkfifo(path)
    elif place == "folder":
        path.mkdir()
    elif place == "loop":
        path.symlink_to(path)
    monkeypatch.setenv("NETRC", str(path))
    found: list[Any] = []
    asking = threading.Thread(
        target=lambda: found.append(netrc_credentials("h.example")), daemon=True
    )
    asking.start()
    asking.join(40)
    assert found == [None]


def test_what_takes_a_netrcs_place_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".netrc"
    file.write_text(NETRC)
    flags: list[int] = []
    real = os.open

    def noting(path: str, given: int, *more: Any) -> int:
        flags.append(given)
        return real(path, given, *more)

    monkeypatch.setattr(os, "open", noting)
    assert netrc_credentials("h.example") == ("u", "p")
    assert flags
    assert all(given & getattr(os, "O_NONBLOCK", 0) for given in flags if os.name == "posix")


def test_a_netrc_without_end_is_no_netrc(tmp_path: Path) -> None:
    with open(tmp_path / ".netrc", "wb") as file:
        file.write(b"machine h.example login u password p\n")
        file.truncate(environment._LARGEST_NETRC + 1)
    with pytest.warns(RequestsWarning, match="more than"):
        assert netrc_credentials("h.example") is None
    assert netrc_credentials("h.example") is None  # and is read, and told of, once


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
