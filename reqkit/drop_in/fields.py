"""Header fields, and the charsets that are named in them and in bodies."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from ..message.config import Config
from ..message.content.charsets import charset_from_content_type, json_encoding
from ..message.links import parse_links
from ..structures import CaseInsensitiveDict

__all__ = [
    "default_headers",
    "default_user_agent",
    "get_encoding_from_headers",
    "get_encodings_from_content",
    "guess_json_utf",
    "parse_content_type_header",
    "parse_dict_header",
    "parse_header_links",
    "parse_list_header",
    "unquote_header_value",
]

# A tag that is not closed ends where the next one begins: looked for to the end of the page from
# each on, many such tags would take the square of its length.
_META: Final = re.compile(r'<meta[^<>]+charset=["\']*(?P<name>[^"\'/>\s]+)', re.IGNORECASE)
_PRAGMA: Final = re.compile(
    r'<meta[^<>]+content=["\'][^"\'>]*charset=(?P<name>[^"\'/>;\s]+)', re.IGNORECASE
)
_XML: Final = re.compile(r'^<\?xml[^>]*?encoding=["\']*(?P<name>[^"\'>\s?]+)', re.IGNORECASE)


def default_headers() -> CaseInsensitiveDict:
    """Return the headers that each request has unless it says otherwise."""
    return CaseInsensitiveDict(Config()["base_headers"])


def default_user_agent(name: str = "reqkit") -> str:
    """Return the User-Agent; with another name where one is given."""
    agent: str = Config()["base_headers"]["User-Agent"]
    return f"{name}/{agent.partition('/')[2]}"


def parse_header_links(value: str) -> list[dict[str, str]]:
    """Return the links of a ``Link`` header, each with its ``url`` and parameters (RFC 8288)."""
    return parse_links(value)


def parse_list_header(value: str) -> list[str]:
    """Return the parts of a header between its commas, without their quotes."""
    return [unquote_header_value(part) or "" for part in urllib.request.parse_http_list(value)]


def parse_dict_header(value: str) -> dict[str, str | None]:
    """Return the ``name=value`` pairs of a header; a name without a value has None."""
    found: dict[str, str | None] = {}
    for part in urllib.request.parse_http_list(value):
        name, equals, text = part.partition("=")
        found[name] = unquote_header_value(text) if equals else None
    return found


def unquote_header_value(value: str | None, is_filename: bool = False) -> str | None:
    """Return a quoted string without its quotes; a Windows share's name keeps its backslashes."""
    if not value or value[0] != '"' or value[-1] != '"' or len(value) < 2:
        return value
    inner = value[1:-1]
    if is_filename and inner.startswith("\\\\"):
        return inner
    return inner.replace("\\\\", "\\").replace('\\"', '"')


def parse_content_type_header(value: str) -> tuple[str, dict[str, str | bool]]:
    """Return a media type, and its parameters by their names in lower case."""
    kind, *parts = value.split(";")
    found: dict[str, str | bool] = {}
    strip = "\"' "
    for part in parts:
        name, equals, text = part.strip().partition("=")
        if equals:
            found[name.strip(strip).lower()] = text.strip(strip)
    return kind.strip(), found


def get_encoding_from_headers(headers: Mapping[str, Any]) -> str | None:
    """Return the charset that Content-Type names.

    Where it names none: ISO-8859-1 for text, UTF-8 for JSON, else None, as in ``requests``. A
    `Response` finds the charset of a text in other ways.
    """
    value = headers.get("content-type")
    if not value:
        return None
    charset = charset_from_content_type(value)
    if charset is not None:
        return charset
    kind = value.partition(";")[0].strip().lower()
    if kind.startswith("text/"):
        return "ISO-8859-1"
    return "utf-8" if kind == "application/json" else None


def get_encodings_from_content(content: str) -> list[str]:
    """Return the charsets that a page names in its text: ``meta``, the older form, XML's own."""
    metas = [match["name"] for match in _META.finditer(content) if not _PRAGMA.match(match[0])]
    pragmas = [match["name"] for match in _PRAGMA.finditer(content)]
    declared = [match["name"] for match in _XML.finditer(content)]
    return metas + pragmas + declared


def guess_json_utf(data: bytes) -> str | None:
    """Return the encoding of a JSON text (RFC 8259 section 8.1, RFC 4627 section 3), or None."""
    start = data[:4]
    if len(start) == 4 and not start.strip(b"\0"):
        return None
    if start.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if start.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    return json_encoding(data)
