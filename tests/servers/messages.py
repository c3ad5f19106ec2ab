"""HTTP/1.1 as bytes: what arrived, taken apart without judging it, and answers to send."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

Fields = Sequence[tuple[str, str]]


@dataclass
class Received:
    """One request as it came over the wire; text is latin-1, so that every byte is seen."""

    head: bytes
    connection: int
    body: bytes = b""
    raw_body: bytes = b""
    start_line: str = field(init=False)
    method: str = field(init=False)
    target: str = field(init=False)
    version: str = field(init=False)
    fields: list[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.start_line, *lines = self.head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        self.method, self.target, self.version = (*self.start_line.split(" ", 2), "", "")[:3]
        self.fields = []
        for line in lines:
            name, _, value = line.partition(":")
            self.fields.append((name, value.strip(" \t")))

    def get(self, name: str) -> str | None:
        """Return the only value of a field, None where it was not sent; twice is an error."""
        values = self.all(name)
        assert len(values) < 2, f"{name} was sent {len(values)} times: {values}"
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """Return the values of every field of this name, in any case."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    @property
    def names(self) -> list[str]:
        """The fields' names in their order and case."""
        return [name for name, _ in self.fields]

    def as_json(self) -> bytes:
        """Tell what was received, as the echo server does."""
        received = {
            "connection": self.connection,
            "head": self.head.decode("latin-1"),
            "method": self.method,
            "target": self.target,
            "version": self.version,
            "fields": self.fields,
            "body": self.body.decode("latin-1"),
        }
        return json.dumps(received).encode()


def answer(
    status: int = 200,
    body: bytes = b"",
    fields: Fields = (),
    *,
    reason: str | None = None,
    length: bool = True,
) -> bytes:
    """Build an answer; its Content-Length is the body's unless ``length`` is false."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase if reason is None else reason}"]
    lines += [f"{name}: {value}" for name, value in fields]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunks(pieces: Iterable[bytes], trailers: Fields = ()) -> bytes:
    """Write pieces in the chunked coding, the last chunk included."""
    wire = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
    tail = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    return wire + b"0\r\n" + tail.encode("latin-1") + b"\r\n"
