"""Labels of charsets mean what the web means, and guesses do not depend on what is installed."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import reqkit
from reqkit.message.content import charsets
from reqkit.message.content.charsets import apparent_encoding, decode_as, decode_text, text_codec
from reqkit.message.content.labels import CODECS, ERRORS
from reqkit.message.content.lines import decode_pieces
from servers.messages import answer
from servers.scripted import ScriptedServer

#: Bytes, their label, and what the web reads.
READ = [
    (b"\x81\x30\x81\x30\xa8\xbf", "gb2312", "\x80ǹ"),
    ("镕€".encode("gbk", "ignore") + b"\x80", "gb2312", "镕€"),
    ("朱镕基".encode("gbk"), "GB2312", "朱镕基"),
    ("朱镕基".encode("gbk"), "x-gbk", "朱镕基"),
    ("𠀀".encode("gb18030"), "gbk", "𠀀"),
    ("朱镕基".encode("gbk"), "chinese", "朱镕基"),
    ("สวัสดี".encode("cp874") + b"\x80\x81", "windows-874", "สวัสดี€\x81"),
    (b"\x93\xa1\x94", "tis-620", "“ก”"),
    ("שלום".encode("iso8859-8"), "iso-8859-8-i", "שלום"),
    ("שלום".encode("iso8859-8"), "logical", "שלום"),
    ("①髙\uff5e".encode("cp932"), "shift_jis", "①髙\uff5e"),
    ("①髙\uff5e".encode("cp932"), "x-sjis", "①髙\uff5e"),
    ("①髙\uff5e".encode("cp932"), "windows-31j", "①髙\uff5e"),
    ("똠방각하".encode("cp949"), "euc-kr", "똠방각하"),
    ("똠방각하".encode("cp949"), "ks_c_5601-1987", "똠방각하"),
    (b"\x93caf\xe9\x94\x80\x81", "iso-8859-1", "“café”€\x81"),
    (b"\x93caf\xe9\x94", "us-ascii", "“café”"),
    (b"\x93caf\xe9\x94", "latin1", "“café”"),
    (b"\x80\xd0\xdd\xfe", "iso-8859-9", "€Ğİş"),
    (b"\xad\xa1\xa1\xc1\xa4\xa2", "euc-jp", "①\uff5eあ"),
    (b"\x8e\xb1\x8f\xb0\xa1", "x-euc-jp", "ｱ丂"),
    (b"\xad", "euc-jp", "�"),
    (b"\xa4\xa2\xff", "euc-jp", "あ�"),
    ("香港㗎".encode("big5hkscs"), "big5", "香港㗎"),
    (b'\x1b$B$"\x1b(B', "csiso2022jp", "あ"),
    ("пр".encode("koi8-r"), "koi8", "пр"),
    ("пр".encode("mac_cyrillic"), "x-mac-cyrillic", "пр"),
    (b"\x8e", "x-mac-roman", "é"),
    ("é".encode(), "unicode-1-1-utf-8", "é"),
    ("é".encode("utf-16-be"), "unicodefffe", "é"),
    ("é".encode("utf-16-le"), "UTF-16", "é"),
    ("é".encode("utf-16-le"), "unicode", "é"),
    (b"\xaa", "windows-1253", "�"),
    (b"\xe7\x81", "windows-1250", "ç\x81"),
]


@pytest.mark.parametrize(("content", "label", "text"), READ)
@pytest.mark.parametrize("spelt", [str, str.upper, " {} ".format])
def test_what_labels_mean(content: bytes, label: str, text: str, spelt: Callable[..., str]) -> None:
    label = spelt(label)
    assert decode_as(content, label) == text
    assert decode_text(content, f"text/plain; charset={label}") == text
    meta = f'<meta charset="{label}">'.encode()
    if "16" not in label and "unicode" not in label.lower():
        assert decode_text(meta + content, "text/html") == meta.decode() + text
    for size in (1, 2, 3):
        cut = [content[at : at + size] for at in range(0, len(content), size)]
        assert "".join(decode_pieces(cut, label)) == text


def test_all_labels_are_known() -> None:
    for label, codec in CODECS.items():
        assert text_codec(label) == codecs.lookup(codec).name, label
    assert len(CODECS) > 210


def test_what_browsers_do_not_read_is_read_all_the_same() -> None:
    assert decode_as("汉字".encode("hz"), "hz-gb-2312") == "汉字"
    assert decode_as("한".encode("iso2022_kr"), "iso-2022-kr") == "한"
    assert decode_as(b"\xc1", "cp037") == "A"


def test_encoding_with_the_way_of_reading_is_an_error() -> None:
    with pytest.raises(UnicodeEncodeError):
        "€".encode("latin-1", ERRORS)


@pytest.fixture(params=["installed", "not installed"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With charset-normalizer, whoever may have installed it, and without."""
    if request.param == "installed":
        pytest.importorskip("charset_normalizer")
    else:
        monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    charsets._normalizer.cache_clear()
    yield
    charsets._normalizer.cache_clear()


SWEDISH = "På Åland äter man gärna en smörgås med räkor, och så är det överallt i Ö-världen. "
FRENCH = "Voilà l'été : « déjà vu », naïf, cœur, où ? Ça coûte 5 € - garçon ! "
GERMAN = "Größere Bären fraßen süße Äpfel über Österreich. "
SPANISH = "¿Qué señal? ¡Mañana, el niño comió jamón y pidió más azúcar! "


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(
    "text",
    [
        "café", "é", "ÅÄÖ", "åäö åäö", "naïve", "100 °C", "5 €", "“quoted”", "it\u2019s", "ñ", "ß",
        "Zoë", "{\"name\": \"é\"}", "{\"é\":1}", "[\"ü\"]", "a,b\n1,é\n", "© 2024", "½", "é" * 5,
        SWEDISH, SWEDISH * 50, FRENCH, FRENCH * 50, GERMAN, GERMAN * 50, SPANISH, SPANISH * 50,
        SWEDISH[:12], FRENCH[:9],
    ],
)  # fmt: skip
def test_latin_text_is_windows_1252(text: str) -> None:
    content = text.encode("windows-1252")
    assert apparent_encoding(content) == "windows-1252"
    assert decode_text(content, None) == text
    assert decode_text(content, "text/html") == text


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(
    "content",
    [b"", b"a", b"caf", b"{}", b"a\0b", b"\x1b$B", b"~{<:Ky2;S{#,~}", b"+AGE-", b"a" * 70_000,
     bytes(range(128))],
)  # fmt: skip
def test_ascii_is_ascii(content: bytes) -> None:
    assert apparent_encoding(content) == "ascii"
    for kind in (None, "text/plain", "text/html", "application/x-any"):
        assert decode_text(content, kind) == content.decode("ascii")


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("content", [b'{"a":"\xe9"}', b'"\xe9"', b"[1]", b"1", b'{"caf\xe9":1}'])
def test_short_json_is_never_utf_16(scripted: Any, content: bytes) -> None:
    server: ScriptedServer = scripted([answer(200, content)] * 2)
    response = reqkit.get(server())
    assert response.text == content.decode("latin-1")
    assert response.apparent_encoding in ("ascii", "windows-1252")


RUSSIAN = "Широкая электрификация южных губерний даст мощный толчок подъёму хозяйства. " * 3
JAPANESE = "いろはにほへとちりぬるをわかよたれそつねならむ。日本語の文章です。" * 3
GREEK = "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. " * 5


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        (RUSSIAN, "windows-1251"), (RUSSIAN, "koi8-r"), (JAPANESE, "cp932"), (JAPANESE, "euc_jp"),
        (GREEK, "windows-1253"),
    ],
)  # fmt: skip
def test_other_scripts_are_guessed_where_there_is_enough(text: str, charset: str) -> None:
    pytest.importorskip("charset_normalizer")
    content = text.encode(charset)
    assert decode_text(content, None) == text
    assert apparent_encoding(content[:10]) == "windows-1252"


def test_a_json_answer_in_a_charset_of_the_webs(scripted: Any) -> None:
    kind = [("Content-Type", "application/json; charset=x-gbk")]
    server = scripted([answer(200, '{"a": "镕"}'.encode("gbk"), kind)])
    assert reqkit.get(server()).json() == {"a": "镕"}


def test_lines_with_a_delimiter_in_a_charset_of_the_webs(scripted: Any) -> None:
    kind = [("Content-Type", "text/plain; charset=x-gbk")]
    server = scripted([answer(200, "镕、基".encode("gbk"), kind)])
    lines = reqkit.get(server()).iter_lines(decode_unicode=True, delimiter="、".encode("gbk"))
    assert list(lines) == ["镕", "基"]


def test_lines_of_utf_16_with_a_delimiter_in_ascii(scripted: Any) -> None:
    kind = [("Content-Type", "text/plain; charset=utf-16")]
    server = scripted([answer(200, "a;b".encode("utf-16"), kind)])
    lines = reqkit.get(server()).iter_lines(decode_unicode=True, delimiter=b";")
    assert list(lines) == ["a", "b"]
