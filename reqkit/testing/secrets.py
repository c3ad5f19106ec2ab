"""What does not go into a recording: the values of fields that usually are secrets. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

__all__ = ["HIDDEN", "Hider"]

#: What stands in place of a secret.
HIDDEN: Final = "(hidden)"

#: A shorter secret is none, and may be a part of other words.
_SHORTEST: Final = 5

#: Names whose values are hidden: of header fields, parameters, a form's and an object's.
_SECRET: Final = re.compile(
    r"authorization|cookie|api[-_]?key|^(x[-_])?(auth|access|csrf|xsrf)|token|secret|passw|^pwd$"
    r"|credential|signature|^sig$|^key$|^auth$|session|^code$",
    re.IGNORECASE,
)


class Hider:
    """Takes secrets out of what is recorded.

    Args:
        names: further names whose values are hidden, without regard to case.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = {name.lower() for name in names}
        #: What was hidden so far: a server may say it again, wherever it likes.
        self._values: set[str] = set()

    def _hide(self, value: Any) -> str:
        text = str(value)
        if len(text) >= _SHORTEST:
            self._values.add(text)
        return HIDDEN

    def everywhere(self, text: str) -> str:
        """Return a text without the values that were hidden before."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, HIDDEN)
        return text

    def is_secret(self, name: str) -> bool:
        """Tell whether what has this name is hidden."""
        return name.lower() in self._names or bool(_SECRET.search(name))

    def fields(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return header fields; of a ``Set-Cookie`` the name and the attributes stay."""
        found = []
        for name, value in pairs:
            if name.lower() == "set-cookie":
                cookie, sign, attributes = value.partition(";")
                cookie_name, _, secret = cookie.partition("=")
                value = f"{cookie_name}={self._hide(secret)}{sign}{attributes}"
            elif name.lower() != "www-authenticate" and self.is_secret(name):
                value = self._hide(value)
            found.append((name, value))
        return [(name, self.everywhere(value)) for name, value in found]

    def url(self, url: str) -> str:
        """Return a URL, with the secrets among its parameters hidden."""
        parts = urlsplit(url)
        if parts.query:
            url = urlunsplit(parts._replace(query=self._form(parts.query)))
        return self.everywhere(url)

    def body(self, body: bytes) -> bytes:
        """Return a body: of JSON and of forms, the secrets' values are hidden."""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return body
        if text[:1] in ("{", "["):
            try:
                found = json.loads(text)
            except ValueError:
                pass
            else:
                hidden = self._inside(found)
                text = text if hidden == found else json.dumps(hidden)
        elif "=" in text and not re.search(r"[\s<>]", text):
            text = self._form(text)
        return self.everywhere(text).encode()

    def _form(self, text: str) -> str:
        pairs = parse_qsl(text, keep_blank_values=True)
        hidden = [
            (name, self._hide(value) if self.is_secret(name) else value) for name, value in pairs
        ]
        return text if hidden == pairs else urlencode(hidden)

    def _inside(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: self._hide(one)
                if isinstance(one, (str, int, float)) and self.is_secret(name)
                else self._inside(one)
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self._inside(one) for one in value]
        return value
