"""The netrc file: logins and passwords by host, as ftp and curl read it. Pure.

What is odd in it costs no more than itself: comments anywhere a word may stand, words of other
programs, macros. Values may be quoted, and a backslash stands before what is meant as it is.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

from ..base.hostnames import ascii_name

__all__ = ["Netrc", "parse_netrc"]


class _Entry(NamedTuple):
    """One entry; without a host it is the default one."""

    host: str | None
    words: dict[str, str]


class Netrc(NamedTuple):
    """What a netrc file says.

    Attributes:
        entries: in their order.
        odd: the line of the first word that is none of netrc's, or None.
    """

    entries: tuple[_Entry, ...]
    odd: int | None

    def find(
        self, host: str, user: str | None = None, default: bool = True
    ) -> tuple[str, str] | None:
        """Return login and password for a host, or None.

        Args:
            host: its name, as a URL has it: an IPv6 address with or without brackets.
            user: whose password it is to be; None for the first entry's.
            default: whether the entry for all other hosts counts.
        """
        host = _compared(host.lower())
        for entry in (
            *(one for one in self.entries if one.host == host),
            *(one for one in self.entries if default and one.host is None),
        ):
            login = entry.words.get("login") or entry.words.get("account") or ""
            password = entry.words.get("password", "")
            if user is not None:
                if login not in ("", user):
                    continue
                login = user
            if login or password:
                return login, password
        return None


def parse_netrc(text: str) -> Netrc:
    """Read a netrc file's text."""
    words = _Words(text)
    entries: list[_Entry] = []
    odd: int | None = None
    values: dict[str, str] | None = None
    for word in words:
        if word == "machine":
            host = words.value()
            values = {}
            if host is not None:
                entries.append(_Entry(_spelled_in_ascii(host), values))
                continue
        elif word == "default":
            values = {}
            entries.append(_Entry(None, values))
            continue
        elif word == "macdef":
            words.skip_macro()
            values = None
            continue
        elif word in ("login", "user", "account", "password") and values is not None:
            value = words.value()
            if value is not None:
                values["login" if word == "user" else word] = value
                continue
        if odd is None:
            odd = words.line
    return Netrc(tuple(entries), odd)


def _spelled_in_ascii(host: str) -> str:
    """Return a host's name as those of URLs are compared."""
    try:
        return _compared(ascii_name(host))
    except UnicodeError:  # no URL has it
        return host.lower()


def _compared(host: str) -> str:
    """Return a host in the form in which two that are one are equal: IPv6 is written many ways."""
    host = host.removeprefix("[").removesuffix("]")
    if ":" in host:
        with contextlib.suppress(ValueError):
            return ipaddress.IPv6Address(host).compressed
    return host


class _Words:
    """The words of a netrc file, without the comments between them."""

    __slots__ = ("_at", "_counted", "_text", "line")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        #: Where the last word was, counted from 1, and up to where lines were counted for that.
        self.line = 1
        self._counted = 0

    def __iter__(self) -> Iterator[str]:
        while (word := self.value()) is not None:
            if not word.startswith("#"):
                yield word
            elif self._text[self._at - 1 : self._at] != "\n":
                self._skip_to("\n")

    def value(self) -> str | None:
        """Return the next word, whatever it is; None at the end."""
        text, at = self._text, self._at
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            self._at = at
            return None
        self.line += text.count("\n", self._counted, at)
        self._counted = at
        quoted = text[at] == '"'
        at += quoted
        found: list[str] = []
        while at < len(text):
            character = text[at]
            if character == "\n" or (character == '"' if quoted else character.isspace()):
                break
            if character == "\\" and at + 1 < len(text):
                at += 1
                character = text[at]
            found.append(character)
            at += 1
        if quoted and text[at : at + 1] == '"':
            at += 1
        self._at = at
        return "".join(found)

    def skip_macro(self) -> None:
        """Pass over a macro: it ends with an empty line."""
        self._skip_to("\n\n")

    def _skip_to(self, end: str) -> None:
        found = self._text.find(end, self._at)
        self._at = len(self._text) if found < 0 else found
