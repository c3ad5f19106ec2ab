from __future__ import annotations

import codecs
import json
import sys
import time
import types
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reqkit.message.content import charsets
from reqkit.message.content.charsets import (
    SAMPLE_BYTES,
    apparent_encoding,
    charset_from_content_type,
    decode_as,
    decode_text,
    find_encoding,
    json_encoding,
    parse_content_type,
    text_codec,
)

RUSSIAN = "Съешь ещё этих мягких французских булок, да выпей чаю. " * 20


@pytest.fixture
def no_normalizer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    charsets._normalizer.cache_clear()
    yield
    charsets._normalizer.cache_clear()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ("", {})),
        ("text/html", ("text/html", {})),
        ("Text/HTML ; Charset=UTF-8", ("text/html", {"charset": "UTF-8"})),
        ('text/html;charset="utf-8"', ("text/html", {"charset": "utf-8"})),
        ("text/html; charset='utf-8'", ("text/html", {"charset": "utf-8"})),
        ("text/html; charset = utf-8 ; x=y", ("text/html", {"charset": "utf-8", "x": "y"})),
        ('a/b; x="1; charset=no"; charset=yes', ("a/b", {"x": "1; charset=no", "charset": "yes"})),
        (r'a/b; x="\"q\" \\"', ("a/b", {"x": '"q" \\'})),
        ("a/b; charset=one; charset=two", ("a/b", {"charset": "one"})),
        ("a/b; junk; ; =x; charset=utf-8", ("a/b", {"charset": "utf-8"})),
        ('a/b; charset="open', ("a/b", {"charset": "open"})),
        ("a/b; charset=", ("a/b", {"charset": ""})),
        ("; charset=utf-8", ("", {"charset": "utf-8"})),
    ],
)
def test_parse_content_type(value: str, expected: tuple[str, dict[str, str]]) -> None:
    assert parse_content_type(value) == expected


@given(st.text(alphabet="ab/;=\"\\ 'é", max_size=30))
def test_a_junk_content_type_never_raises(value: str) -> None:
    kind, parameters = parse_content_type(value)
    assert kind == kind.strip()
    assert all(name == name.strip().lower() for name in parameters)
    assert isinstance(decode_text(b"\xff", value), str)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("text/html", None),
        ("text/plain; format=flowed", None),
        ("text/html; charset=", None),
        ('text/html; charset=" "', None),
        ("text/html; charset=Windows-1251", "Windows-1251"),
    ],
)
def test_the_charset_of_a_content_type(value: str | None, expected: str | None) -> None:
    assert charset_from_content_type(value) == expected


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        "nonsense",
        "hex",
        "zip",
        "base64",
        "rot13",
        "idna",
        "punycode",
        "undefined",
        "unicode_escape",
        "raw_unicode_escape",
        "utf-8\0",
        "\0",
        "utf\n8",
        "ütf-8",
        "x" * 100_000,
        "../utf_8",
        "encodings.utf_8",
        "aliases",
    ],
)
def test_what_is_no_charset(name: str | None) -> None:
    assert text_codec(name) is None
    assert decode_as(b"text", name) is None
    assert decode_text(b"text", f"text/plain; charset={name}") == "text"
    assert find_encoding(b"text", f"text/plain; charset={name}") == "utf-8"
    assert decode_text(b"text", None, name) == "text"


def test_what_is_a_charset() -> None:
    assert text_codec("UTF8") == "utf-8"
    assert text_codec(" latin1 ") == "cp1252"
    assert decode_as(b"\xe9\x80", "latin-1") == "é\x80"


def test_a_codec_that_fails_after_all_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charsets, "text_codec", lambda name: "undefined")
    assert decode_as(b"x", "any") is None
    assert decode_text(b"x\xff", "text/plain; charset=any") == "x\ufffd"


HTML = "text/html"
META = b'<html><head><meta charset="windows-1251">'
UTF8 = "é".encode()


@pytest.mark.parametrize(
    ("content", "content_type", "encoding"),
    [
        # The rules in their order.
        (UTF8, "text/plain; charset=latin-1", "latin-1"),
        (codecs.BOM_UTF8 + UTF8, "text/html; charset=latin-1", "latin-1"),
        (codecs.BOM_UTF8 + META, HTML, "utf-8-sig"),
        (codecs.BOM_UTF16_LE + b"a\0", "application/json", "utf-16"),
        (codecs.BOM_UTF16_BE + b"\0a", None, "utf-16"),
        (codecs.BOM_UTF32_LE + b"a\0\0\0", None, "utf-32"),
        (codecs.BOM_UTF32_BE + b"\0\0\0a", None, "utf-32"),
        (META + UTF8, HTML, "windows-1251"),
        (b'{"a": 1}', "application/json", "utf-8"),
        ('{"a": 1}'.encode("utf-16-le"), "application/json", "utf-16-le"),
        ('{"a": 1}'.encode("utf-32-be"), "application/problem+json", "utf-32-be"),
        (b'"\xff"', "application/json", "utf-8"),
        (UTF8, "text/plain", "utf-8"),
        (b"", None, "utf-8"),
        # Where a document may name its charset, and how.
        (META, None, "windows-1251"),
        (META, "junk", "windows-1251"),
        (META, "application/xhtml+xml", "windows-1251"),
        (META, "text/plain", "utf-8"),
        (META, "application/json", "utf-8"),
        (b"<META CHARSET = Windows-1251 >", HTML, "Windows-1251"),
        (b"<meta\ncharset='koi8-r'/>", HTML, "koi8-r"),
        (
            b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">',
            HTML,
            "koi8-r",
        ),
        (b'<meta content="text/html;charset=koi8-r" http-equiv=content-type>', HTML, "koi8-r"),
        (b'<meta name="description" content="charset=koi8-r">', HTML, "utf-8"),
        (b'<meta http-equiv="content-type" content="text/html">', HTML, "utf-8"),
        (b'<!-- <meta charset="koi8-r"> --><meta charset="koi8-u">', HTML, "koi8-u"),
        (b'<!-- <meta charset="koi8-r">', HTML, "utf-8"),
        (b'<meta charset="nonsense"><meta charset="koi8-r">', HTML, "koi8-r"),
        (b'<meta charset="hex">', HTML, "utf-8"),
        (b'<meta charset="utf-16">', HTML, "utf-8"),
        (b" " * 1001 + b"<meta charset='koi8-r'>", HTML, "koi8-r"),
        (b" " * 1002 + b"<meta charset='koi8-r'>", HTML, "utf-8"),
        (b'<?xml version="1.0" encoding="koi8-r"?><a/>', "application/atom+xml", "koi8-r"),
        (b'<?xml version="1.0" encoding="koi8-r"?><a/>', "text/xml", "koi8-r"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', "text/xml", "utf-8"),
        (b'<?xml version="1.0"?><a encoding="koi8-r"/>', "text/xml", "utf-8"),
        (META, "text/xml", "utf-8"),
    ],
)
def test_find_encoding(content: bytes, content_type: str | None, encoding: str) -> None:
    assert find_encoding(content, content_type) == encoding


@pytest.mark.parametrize(
    ("content", "content_type", "encoding", "text"),
    [
        (b"", None, None, ""),
        (UTF8, None, None, "é"),
        (UTF8, None, "latin-1", "Ã©"),
        (b"\xe9", "text/plain; charset=latin-1", "nonsense", "é"),
        (b"a\xff", "text/plain; charset=utf-8", None, "a�"),
        (codecs.BOM_UTF8 + b"a", None, None, "a"),
        (codecs.BOM_UTF8 + b"a", "text/plain; charset=utf-8", None, "a"),
        (codecs.BOM_UTF16_LE + b"a\0", "text/plain; charset=utf-16-le", None, "a"),
        (codecs.BOM_UTF16_BE + b"\0a", None, None, "a"),
        (b"a\0b", "text/plain; charset=utf-16", None, "a�"),
        (b"\xaa", "text/plain; charset=windows-1253", None, "�"),
        ('{"é": 1}'.encode("utf-16-be"), "application/json", None, '{"é": 1}'),
        ("<meta charset=koi8-r>да".encode("koi8-r"), HTML, None, "<meta charset=koi8-r>да"),
    ],
)
def test_decode_text(
    content: bytes, content_type: str | None, encoding: str | None, text: str
) -> None:
    assert decode_text(content, content_type, encoding) == text


@pytest.mark.usefixtures("no_normalizer")
def test_without_charset_normalizer_it_is_windows_1252() -> None:
    assert apparent_encoding(b"\x93caf\xe9\x94") == "windows-1252"
    assert decode_text(b"\x93caf\xe9\x94", "text/plain") == "“café”"
    assert find_encoding(RUSSIAN.encode("koi8-r"), None) == "windows-1252"


def test_charset_normalizer_looks_at_what_is_odd() -> None:
    pytest.importorskip("charset_normalizer")
    content = b"<p>plain markup</p>" * 10_000 + RUSSIAN.encode("windows-1251")
    assert decode_text(content, HTML).endswith(RUSSIAN)
    assert text_codec(apparent_encoding(RUSSIAN.encode("koi8-r"))) == "koi8-r"


@pytest.mark.parametrize("place", [0, 1, 40_000, 1_000_000, 1_999_901])
def test_at_most_64_kib_are_looked_at(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    seen: list[bytes] = []

    def from_bytes(sample: bytes) -> Any:
        seen.append(sample)
        return types.SimpleNamespace(best=lambda: types.SimpleNamespace(encoding="koi8_r"))

    monkeypatch.setattr(charsets, "_normalizer", lambda: from_bytes)
    content = bytearray(b" " * 2_000_000)
    odd = b"\xff" * 99
    content[place : place + 99] = odd
    assert apparent_encoding(bytes(content)) == "koi8-r"
    assert len(seen) == 1
    assert len(seen[0]) <= charsets.SAMPLE_BYTES
    assert odd in seen[0]


@pytest.mark.parametrize(
    "answer", [None, "ascii", "utf_8", "nonsense", "utf_16", "cp037", "cp1250", "johab"]
)
def test_a_useless_answer_of_charset_normalizer(
    monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    best = None if answer is None else types.SimpleNamespace(encoding=answer)
    monkeypatch.setattr(
        charsets, "_normalizer", lambda: lambda sample: types.SimpleNamespace(best=lambda: best)
    )
    assert apparent_encoding(b"\xff" * 99) == "windows-1252"


def test_apparent_encoding_of_utf_8() -> None:
    assert apparent_encoding(b"") == apparent_encoding(b"text") == "ascii"
    assert apparent_encoding(UTF8) == "utf-8"


@pytest.mark.usefixtures("no_normalizer")
def test_utf_8_is_seen_whatever_lies_on_the_edge_of_a_sample() -> None:
    for before in (charsets.SAMPLE_BYTES - 1, charsets.META_BYTES - 1):
        content = b"a" * before + UTF8 * 40_000
        assert find_encoding(content, HTML) == "utf-8"
        assert apparent_encoding(content) == "utf-8"
        assert decode_text(content, HTML) == content.decode()


@given(st.text(max_size=20), st.sampled_from(["utf-8", "utf-16-le", "utf-32-be", "utf-16"]))
def test_json_in_any_utf(text: str, encoding: str) -> None:
    value = [text]
    content = json.dumps(value).encode(encoding)
    assert json.loads(content.decode(json_encoding(content))) == value


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"", "utf-8"),
        (b"1", "utf-8"),
        (b"1\0", "utf-16-le"),
        (b"\0001", "utf-16-be"),
        (b"1\0002\0", "utf-16-le"),
        (b"\0001\0002", "utf-16-be"),
        (b"1\0\0\0", "utf-32-le"),
        (b"\0\0\0001", "utf-32-be"),
        (codecs.BOM_UTF8 + b"1", "utf-8-sig"),
    ],
)
def test_the_json_rule(content: bytes, encoding: str) -> None:
    assert json_encoding(content) == encoding


@given(st.binary(max_size=6) | st.lists(st.sampled_from(b"\0\xff\xfea\xef\xbb\xbf")).map(bytes))
def test_the_json_rule_is_the_standard_librarys(content: bytes) -> None:
    assert json_encoding(content) == json.detect_encoding(content)


@pytest.mark.parametrize("piece", [b"a", b"Aa", b"a ", b"\xff", b"a\xff", b"<", b"a" * 99 + b" "])
def test_guessing_takes_linear_time(piece: bytes) -> None:
    content = b"\xff\xfe " * 12 + piece * (SAMPLE_BYTES // len(piece))
    begin = time.process_time()
    charsets._is_another_script(content[:SAMPLE_BYTES])
    # A quadratic reader would need most of a minute.
    assert time.process_time() - begin < 5
