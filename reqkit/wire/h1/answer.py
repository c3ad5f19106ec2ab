"""What the head of an answer says, and the limits that heads have. Pure."""

from __future__ import annotations

from typing import Final

__all__ = [
    "LOOKED_FOR",
    "MAX_FIELDS",
    "MAX_HEAD",
    "MAX_LINE",
    "ONCE",
    "STRICT_FIELDS",
    "STRICT_HEAD",
    "AnswerHead",
    "field_of",
    "fields_of",
]

# Bytes of a head, from the status line through the empty line, bytes of one of its lines, and its
# fields: what curl takes. Others allow 16 KiB (Node, h11), 64 KiB for each line and 100 fields
# (http.client), 256 KiB (Chrome), 10 MiB (Go).
MAX_HEAD: Final = 307_200
MAX_LINE: Final = 102_400
MAX_FIELDS: Final = 1000

# The same for a head that can do without indulgence: what nearly all servers keep to. A larger one
# is read, too, but its connection is not used again, and `config['strict']` refuses it.
STRICT_HEAD: Final = 65_536
STRICT_FIELDS: Final = 256

#: What is looked for in each answer: the other fields are cut out of the text when asked for.
LOOKED_FOR: Final = frozenset((
    "connection", "content-encoding", "content-length", "location", "retry-after", "set-cookie",
    "transfer-encoding",
))  # fmt: skip

#: Fields that are no lists, so that one which stands several times with one value says that value,
#: and not a list of it (RFC 9110 section 5.3; RFC 6266 for the disposition).
ONCE: Final = frozenset((
    "age", "content-disposition", "content-length", "content-location", "content-range",
    "content-type", "date", "etag", "expires", "last-modified", "location", "retry-after", "server",
))  # fmt: skip


class AnswerHead:
    """The head of an answer.

    Keeps the text and what nearly every reader asks for; all else is cut out of the text when
    somebody asks.

    Attributes:
        version: 10 or 11.
        status: 100 to 999.
        reason: the text after the status, often empty.
        text: all of it, sound: of a head that was not, what was understood.
        known: those of the `LOOKED_FOR` names that are there, in lower case, with their values as
            `get` gives them. Not to be changed.
        oddity: what a strict reader would have refused it for; empty for a sound head. After an odd
            one the connection is not to be used again.
        length: bytes of the body that follows it, but after HEAD and CONNECT, where the reader has
            seen that there is a length, no coding, and nothing that ends the connection; -1 where
            `framing` is to be asked.
    """

    __slots__ = ("known", "length", "oddity", "reason", "status", "text", "version")

    def __init__(
        self,
        version: int,
        status: int,
        reason: str,
        text: str,
        known: dict[str, str],
        oddity: str = "",
    ) -> None:
        self.version: int = version
        self.status: int = status
        self.reason: str = reason
        self.text: str = text
        self.known: dict[str, str] = known
        self.oddity: str = oddity
        self.length: int = -1

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Names and values as received, in order; a new list each time."""
        return fields_of(self.text)

    def get(self, lower_name: str) -> str | None:
        """Return the value of a field, or None where there is none.

        Args:
            lower_name: the name in lower case.

        Returns:
            The value; repeated fields joined by ``", "`` in their order (RFC 9110 section 5.3).
        """
        return field_of(self.text, self.known, lower_name)

    def get_all(self, lower_name: str) -> list[str]:
        """Return the values of all fields of a name (in lower case), in their order.

        This is the way to read Set-Cookie, whose values cannot be joined.
        """
        return [value for name, value in self.fields if name.lower() == lower_name]

    def __repr__(self) -> str:
        return f"<AnswerHead {self.status}, {self.text.count(chr(10)) - 2} fields>"


def fields_of(text: str) -> list[tuple[str, str]]:
    """Return the names and values of a sound head as received, in order."""
    pairs = []
    for line in text[:-4].split("\r\n")[1:]:
        name, _, value = line.partition(":")
        # RFC 9110 section 5.5: white space around a value is no part of it.
        pairs.append((name, value.strip(" \t")))
    return pairs


def field_of(text: str, known: dict[str, str], lower_name: str) -> str | None:
    """Return the value of a field of a sound head: see `AnswerHead.get`.

    Args:
        text: the head.
        known: as the head has it.
        lower_name: the name in lower case.
    """
    if lower_name in LOOKED_FOR:
        return known.get(lower_name)
    values = [value for name, value in fields_of(text) if name.lower() == lower_name]
    return ", ".join(values) if values else None
