"""The Link header: relations of a resource to others (RFC 8288)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["links_by_rel", "parse_links"]

# One parameter from its semicolon on. Every part may be empty and no part can match what the next
# one wants, so it never fails half-way and the time stays linear on any input. A quoted string
# that is not closed reaches to the end.
_PARAMETER: Final = re.compile(
    r"""
    ;\s*
    ([^\s=;,]*)\s*                               # name
    (?:=\s*(?:
        "([^"\\]*(?:\\.[^"\\]*)*)"?              # quoted string
        | ([^;,"]*)                              # token, or what passes for one
    ))?
    [^;,]*                                       # junk up to the next parameter or link
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_SPACE: Final = re.compile(r"[\s,]*")


def parse_links(value: str) -> list[dict[str, str]]:
    """Parse a Link header's value, leaving out whatever is not a link.

    Args:
        value: the value; several headers joined by commas.

    Returns:
        One dict for each link, in the order of the header: ``url`` (as it was sent, maybe
        relative) and the parameters, their names in lower case. Where a parameter comes twice the
        first one counts (RFC 8288 section 3.3).

    Source: RFC 8288 section 3 and appendix B.2
    """
    links: list[dict[str, str]] = []
    at = 0
    end = len(value)
    while True:
        at = _SPACE.match(value, at).end()  # type: ignore[union-attr]
        if at >= end:
            return links
        if value[at] != "<":
            at = _next_link(value, at)
            continue
        close = value.find(">", at)
        if close < 0:
            return links
        link = {"url": value[at + 1 : close].strip()}
        at = close + 1
        while at < end and value[at] != ",":
            found = _PARAMETER.match(value, at)
            if found is None:
                at += 1
                continue
            at = found.end()
            name, quoted, token = found.groups()
            if not name:
                continue
            if quoted is not None:
                text = _ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted
            else:
                text = _unquote_single((token or "").strip())
            link.setdefault(name.lower(), text)
        links.append(link)


def _next_link(value: str, at: int) -> int:
    comma = value.find(",", at)
    return len(value) if comma < 0 else comma + 1


def _unquote_single(token: str) -> str:
    # Not in the grammar, but sent, and everyone takes it.
    if len(token) > 1 and token[0] == token[-1] == "'":
        return token[1:-1]
    return token


def links_by_rel(value: str) -> dict[str, dict[str, str]]:
    """Parse a Link header's value into a dict by relation type, or by URL where there is none.

    Where two links have the same relation, the last one is kept.
    """
    return {link.get("rel") or link["url"]: link for link in parse_links(value)}
