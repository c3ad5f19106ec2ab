"""From bytes to text: which charset a body is in, and its characters.

The charset is, in this order: what Content-Type says; a byte order mark; what an HTML ``meta`` (or
an XML declaration) in the first 1,024 bytes says; for JSON, JSON's rule; UTF-8 where the bytes
are valid; and what the bytes look like. A name means what `labels` says; one that Python has no
text codec for counts as not given. Bytes that cannot be decoded are replaced: text never fails.
"""

from __future__ import annotations

import codecs
import functools
import re
import string
from typing import Any, Final

from ...base.importing import import_late, load_late
from .escapes import EscapeReader, has_escapes
from .labels import CODECS, JAPANESE, errors_for

__all__ = [
    "apparent_encoding",
    "charset_from_content_type",
    "decode_as",
    "decode_text",
    "find_encoding",
    "json_encoding",
    "parse_content_type",
    "text_codec",
]

#: How much of a body is looked at for a ``meta``, and for what its bytes look like.
META_BYTES: Final = 1024
SAMPLE_BYTES: Final = 65536

# How much of what comes before the first odd byte belongs to a sample.
_BEFORE: Final = 64

_PARAMETER: Final = re.compile(
    r';\s*([^\s=;"]+)\s*=\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)"?|([^;]*))', re.DOTALL
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)

# The longer marks first: UTF-32's begins with UTF-16's.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_COMMENT: Final = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META: Final = re.compile(rb"<meta[\s/]([^>]*)>", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(
    rb"""([^\s=/"'>]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.DOTALL
)
_CONTENT_CHARSET: Final = re.compile(rb"""charset\s*=\s*["']?([^\s"';]+)""", re.IGNORECASE)
_XML_DECLARATION: Final = re.compile(
    rb"""\A\s*<\?xml\s[^>]*?encoding\s*=\s*["']([^"'>]+)["'][^>]*\?>"""
)

# Words, their letters of ASCII, and how many odd bytes there are to be before a guess is made. A
# word is found whole and then looked at: to look for an odd byte from each letter on takes the
# square of the length of one without any.
_WORD: Final = re.compile(rb"[A-Za-z\x80-\xff]+")
_ASCII_LETTERS: Final = string.ascii_letters.encode()
_LEAST_ODD: Final = 24
# What a guess may be.
_OTHER_SCRIPTS: Final = frozenset((
    "cp866", "iso8859-5", "koi8-r", "koi8-u", "cp1251", "mac-cyrillic", "iso8859-7", "cp1253",
    "iso8859-8", "cp1255", "iso8859-6", "cp1256", "cp874", "cp932", "euc_jp", "gb18030",
    "big5hkscs", "cp949",
))  # fmt: skip

# What the web reads, of which Python has others of the family.
_FAMILIES: Final = {
    "euc_jis_2004": "euc_jp", "euc_jisx0213": "euc_jp", "shift_jis": "cp932",
    "shift_jis_2004": "cp932", "shift_jisx0213": "cp932", "big5": "big5hkscs", "cp950": "big5hkscs",
    "euc_kr": "cp949", "gb2312": "gb18030", "gbk": "gb18030", "tis-620": "cp874",
}  # fmt: skip

# Text codecs by what the codecs module says, but none that a body is ever in: they fail by
# design, warn, or take quadratic time.
_UNFIT: Final = frozenset(
    {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem"}
)


def parse_content_type(value: str) -> tuple[str, dict[str, str]]:
    """Split a Content-Type into the media type and its parameters.

    Args:
        value: the header's value, which may be junk.

    Returns:
        The media type in lower case, and the parameters by name in lower case, unquoted. Of a
        parameter that comes twice, the first.

    Source: RFC 9110 section 8.3.1
    """
    kind, semicolon, _ = value.partition(";")
    parameters: dict[str, str] = {}
    if semicolon:
        for found in _PARAMETER.finditer(value, len(kind)):
            name, quoted, token = found.groups()
            # Single quotes are no part of the grammar, but sent.
            text = token.strip().strip("'") if quoted is None else _ESCAPED.sub(r"\1", quoted)
            parameters.setdefault(name.lower(), text)
    return kind.strip().lower(), parameters


def charset_from_content_type(value: str | None) -> str | None:
    """Return the charset that a Content-Type names, as it is written there, or None.

    There is no default: ``text/*`` without a charset gives None (RFC 9110 section 8.3.2).
    """
    if not value or ";" not in value:
        return None
    return parse_content_type(value)[1].get("charset", "").strip() or None


def text_codec(name: str | None) -> str | None:
    """Return Python's name of the charset that a label means; None where it has no text codec."""
    # Python remembers every name that it was asked for: no long ones, then.
    if (
        not isinstance(name, str)
        or not name
        or len(name) > 40
        or not name.isascii()
        or not name.isprintable()
    ):
        return None
    return _codec_of(name)


@functools.lru_cache(maxsize=128)
def _codec_of(name: str) -> str | None:
    name = name.strip().lower()
    name = CODECS.get(name, name)
    try:
        info: Any = load_late(lambda: codecs.lookup(name))  # Python's codecs are modules
    except (LookupError, ValueError, UnicodeError, ImportError):
        return None
    # CPython marks the codecs that go from bytes to bytes, or from text to text.
    if not getattr(info, "_is_text_encoding", True) or info.name in _UNFIT:
        return None
    found: str = info.name
    # A mark is left out of any text: Python's codec for that loses one that the end has cut.
    return "utf-8" if found == "utf-8-sig" else found


def decode_as(content: bytes, encoding: str | None) -> str | None:
    """Decode bytes in a charset; None where there is no such text codec.

    A byte order mark is not part of the text, and bytes that cannot be decoded are replaced.
    """
    codec = text_codec(encoding)
    if codec is None:
        return None
    if has_escapes(codec):
        content = EscapeReader().feed(content, final=True)
    try:
        text = content.decode(codec, errors_for(codec))
    except (LookupError, UnicodeError):
        return None
    if codec in JAPANESE:
        text = text.translate(JAPANESE[codec])
    return text[1:] if codec.startswith("utf") and text.startswith("\ufeff") else text


def decode_text(content: bytes, content_type: str | None, encoding: str | None = None) -> str:
    """Decode a body by the rule of this module.

    Args:
        content: the whole body, its content codings undone.
        content_type: the header's value, or None.
        encoding: a charset that comes before all others, where Python knows it.
    """
    text = decode_as(content, encoding)
    if text is None:
        found, text = _find(content, content_type)
        if text is None:
            text = decode_as(content, found)
    return content.decode("utf-8", "replace") if text is None else text


def find_encoding(content: bytes, content_type: str | None) -> str:
    """Return the charset of a body by the rule of this module."""
    return _find(content, content_type)[0]


def _find(content: bytes, content_type: str | None) -> tuple[str, str | None]:
    """Return the charset, and the text where finding the one has given the other."""
    kind, parameters = parse_content_type(content_type or "")
    declared = parameters.get("charset", "").strip()
    if declared and text_codec(declared):
        return declared, None
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding, None
    declared = _declared_inside(content, kind)
    if declared:
        return declared, None
    if kind == "application/json" or kind.endswith("+json"):
        return json_encoding(content), None
    try:
        return "utf-8", content.decode("utf-8")
    except UnicodeDecodeError as error:
        return _looks_like(content, error.start), None


def _declared_inside(content: bytes, kind: str) -> str:
    """Return the charset that a document names in its own head, or an empty string."""
    unknown = "/" not in kind
    html = kind in ("text/html", "application/xhtml+xml")
    xml = kind in ("text/xml", "application/xml") or kind.endswith("+xml")
    if not (unknown or html or xml):
        return ""
    head = content[:META_BYTES]
    found = _XML_DECLARATION.match(head)
    if found is not None:
        name = _own_name(found[1])
        if name:
            return name
    if unknown or html:
        for meta in _META.finditer(_COMMENT.sub(b"", head)):
            name = _meta_charset(meta[1])
            if name:
                return name
    return ""


def _meta_charset(tag: bytes) -> str:
    attributes: dict[bytes, bytes] = {}
    for name, *values in _ATTRIBUTE.findall(tag):
        attributes.setdefault(name.lower(), b"".join(values).strip())
    charset = attributes.get(b"charset")
    # A description may talk of a charset; only this one sets it.
    if charset is None and attributes.get(b"http-equiv", b"").lower() == b"content-type":
        found = _CONTENT_CHARSET.search(attributes.get(b"content", b""))
        charset = None if found is None else found[1]
    return "" if charset is None else _own_name(charset)


def _own_name(charset: bytes) -> str:
    """Return the usable charset that a document gives itself, or an empty string."""
    name = charset.decode("latin-1").strip()
    codec = text_codec(name)
    if codec is None:
        return ""
    # It could be read as ASCII, so whatever it says it is in no wide charset.
    return "utf-8" if codec.startswith(("utf-16", "utf-32")) else name


def apparent_encoding(content: bytes) -> str:
    """Return the charset that the bytes look like.

    Valid ASCII and UTF-8 are seen at once. Else it is windows-1252, unless there is enough of it
    that looks like another script than Latin: then charset-normalizer, where it is installed,
    looks at 64 KiB at most.
    """
    if content.isascii():
        return "ascii"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return _looks_like(content, error.start)
    return "utf-8"


def _looks_like(content: bytes, at: int) -> str:
    """Guess the charset of bytes that are no UTF-8 from ``at`` on."""
    # A page may begin with a lot of markup, which looks the same in most charsets: what
    # tells them apart begins with the first odd byte.
    start = max(0, at - _BEFORE)
    sample = content[start : start + SAMPLE_BYTES]
    if not _is_another_script(sample):
        return "windows-1252"
    from_bytes = _normalizer()
    best = None if from_bytes is None else from_bytes(sample).best()
    codec = None if best is None else text_codec(best.encoding)
    codec = _FAMILIES.get(codec or "", codec)
    # It sees that no other one fits where there is too little to go by, and has ideas of its own,
    # such as EBCDIC.
    return codec if codec in _OTHER_SCRIPTS else "windows-1252"


def _is_another_script(sample: bytes) -> bool:
    """Tell whether text that is no UTF-8 looks like another script than Latin.

    Words of Latin script have some odd bytes among letters of ASCII; those of others have hardly
    anything else. Of a few words nobody could tell: guesses there would be worse than none, and
    differ by what happens to be installed.
    """
    odd = plain = 0
    for word in _WORD.findall(sample):
        if not word.isascii():
            found = len(word.translate(None, _ASCII_LETTERS))
            odd += found
            plain += len(word) - found
    return odd >= _LEAST_ODD and odd >= 2 * plain


@functools.cache
def _normalizer() -> Any:
    try:
        return import_late("charset_normalizer").from_bytes
    except ImportError:
        return None


def json_encoding(content: bytes) -> str:
    """Return which UTF a JSON text is in, with or without a byte order mark.

    Where there is no mark the zeros tell: the first character is ASCII, and so is the second but
    in a string.

    Source: RFC 4627 section 3, RFC 8259 section 8.1
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    head = content[:4]
    if 0 not in head:
        return "utf-8"
    if len(head) == 4:
        first, second, third, fourth = head
        if not first:
            return "utf-16-be" if second else "utf-32-be"
        if not second:
            return "utf-16-le" if third or fourth else "utf-32-le"
    elif len(head) == 2:
        if not head[0]:
            return "utf-16-be"
        return "utf-16-le"
    return "utf-8"
