"""What a route answers: a status, headers and a body, bytes as they are, or an error."""

from __future__ import annotations

import json as _json
from collections.abc import Iterable, Mapping
from http.client import responses as _phrases
from typing import Any, Final

from ..message.keywords import UNSET
from ..structures import CaseInsensitiveDict

__all__ = ["END", "Answer", "Pause", "Step"]

#: Statuses whose answers have no body (RFC 9110 section 6.4.1).
_BODILESS: Final = frozenset((204, 304))


class Pause(float):
    """Seconds that pass before the next bytes come."""


class _End:
    def __repr__(self) -> str:
        return "END"


#: The server closes the connection.
END: Final = _End()

#: What a connection gives its reader, one after the other.
Step = bytes | Pause | Exception | _End


class Answer:
    """One answer, as a route gives it.

    Args:
        status: the status code.
        body: bytes, or a str in UTF-8.
        json: a body made of this, with its Content-Type.
        html: a body of HTML, with its Content-Type.
        headers: a mapping or pairs; a name may stand in several pairs.
        reason: the reason phrase; None takes the usual one.
        chunks: a body in pieces, sent chunked; a number among them is a pause in seconds.
        delay: seconds before the answer begins. They really pass: keep them short.
        raw: the bytes of the whole answer, head and all; the connection is closed after them.
        error: what goes wrong instead: an exception, or a class of one (``ConnectionResetError``,
            ``TimeoutError``, ``socket.gaierror``, an error of `reqkit.exceptions`).
        close: close the connection after the answer.

    Raises:
        TypeError, ValueError: an argument is none of these, or two of them are in each other's way.
    """

    def __init__(
        self,
        status: int = 200,
        body: str | bytes | None = None,
        *,
        json: Any = UNSET,
        html: str | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        reason: str | None = None,
        chunks: Iterable[bytes | float] | None = None,
        delay: float = 0.0,
        raw: bytes | None = None,
        error: BaseException | type[BaseException] | None = None,
        close: bool = False,
    ) -> None:
        given = {
            "body": body, "html": html, "chunks": chunks, "raw": raw, "error": error,
            "json": None if json is UNSET else True,
        }  # fmt: skip
        named = [name for name, value in given.items() if value is not None]
        if len(named) > 1:
            raise ValueError(f"an answer is made of one of {' and '.join(named)}: give one of them")
        if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 999:
            raise ValueError(
                f"status is {status!r}: expected a number from 200 to 999; interim answers go into"
                " raw="
            )
        if body is not None and not isinstance(body, (str, bytes)):
            raise TypeError(
                f"body is of type {type(body).__name__}: expected bytes or a str; for data, json="
            )
        if html is not None and not isinstance(html, str):
            raise TypeError(f"html is of type {type(html).__name__}: expected a str")
        if chunks is not None and (
            isinstance(chunks, (str, bytes)) or not isinstance(chunks, Iterable)
        ):
            raise TypeError(
                f"chunks is of type {type(chunks).__name__}: expected a list of bytes, and of"
                " seconds to wait between them"
            )
        if reason is not None and not isinstance(reason, str):
            raise TypeError(f"reason is of type {type(reason).__name__}: expected a str")
        if raw is not None and not isinstance(raw, bytes):
            raise TypeError(f"raw is of type {type(raw).__name__}: expected bytes")
        if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not delay >= 0:
            raise ValueError(f"delay is {delay!r}: expected seconds, 0 or more")
        self.status = status
        self.reason: str = _phrases.get(status, "") if reason is None else reason
        self.delay: float = float(delay)
        self.raw = raw
        self.error: Exception | None = None if error is None else _made(error)
        self.close = close
        self.chunks: list[bytes | float] | None = None
        if chunks is not None:
            self.chunks = [_chunk(one) for one in chunks]
        self.headers: CaseInsensitiveDict = CaseInsensitiveDict()
        pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
        self.pairs: list[tuple[str, str]] = [(str(name), str(value)) for name, value in pairs]
        for name, value in self.pairs:
            if any(sign in name + value for sign in "\r\n\0"):
                raise ValueError(f"header {name!r}: CR, LF and NUL go into raw= alone")
            self.headers[name] = value
        kind = None
        content = b""
        if json is not UNSET:
            content, kind = _json.dumps(json).encode(), "application/json"
        elif html is not None:
            content, kind = html.encode(), "text/html; charset=utf-8"
        elif isinstance(body, str):
            content, kind = body.encode(), "text/plain; charset=utf-8"
        elif body is not None:
            content = body
        self.body = content
        if kind is not None and "content-type" not in self.headers:
            self.pairs.append(("Content-Type", kind))

    def steps(self, method: str) -> list[Step]:
        """Return what the connection is to give for an answer to a method."""
        steps: list[Step] = [Pause(self.delay)] if self.delay else []
        if self.error is not None:
            # A new one each time: it gets a traceback and a request of its own.
            return [*steps, _made(self.error)]
        if self.raw is not None:
            return [*steps, self.raw, END]
        pairs = list(self.pairs)
        bodiless = method == "HEAD" or self.status in _BODILESS
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        if not framed and self.status not in _BODILESS:
            if self.chunks is not None:
                pairs.append(("Transfer-Encoding", "chunked"))
            else:
                pairs.append(("Content-Length", str(len(self.body))))
        if self.close:
            pairs.append(("Connection", "close"))
        lines = [f"HTTP/1.1 {self.status} {self.reason}", *(f"{n}: {v}" for n, v in pairs)]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")
        if bodiless:
            steps.append(head)
        elif self.chunks is None:
            steps.append(head + self.body)
        else:
            steps.append(head)
            for one in self.chunks:
                if isinstance(one, bytes):
                    if one:
                        steps.append(b"%x\r\n%b\r\n" % (len(one), one))
                else:
                    steps.append(Pause(one))
            steps.append(b"0\r\n\r\n")
        if self.close or (framed and not bodiless):
            # A length set by hand may not fit: then this is where the body breaks off.
            steps.append(END)
        return steps

    def __repr__(self) -> str:
        if self.error is not None:
            return f"<Answer {type(self.error).__name__}>"
        return "<Answer raw>" if self.raw is not None else f"<Answer {self.status}>"


def _made(error: Any) -> Exception:
    if isinstance(error, type) and issubclass(error, Exception):
        try:
            return error("set by the test")
        except TypeError as failed:
            raise TypeError(
                f"error is the class {error.__name__}, which takes other arguments: give an object"
            ) from failed
    if isinstance(error, Exception):
        if error.__traceback__ is None and error.__cause__ is None:
            return error
        try:
            again = type(error)(*error.args)
        except TypeError:
            return error
        return again
    raise TypeError(
        f"error is of type {type(error).__name__}: expected an exception, or a class of one"
    )


def _chunk(one: Any) -> bytes | float:
    if isinstance(one, bytes):
        return one
    if isinstance(one, str):
        return one.encode()
    if isinstance(one, (int, float)) and not isinstance(one, bool) and one >= 0:
        return float(one)
    raise TypeError(
        f"chunks have a {type(one).__name__}: expected bytes, or a pause in seconds as a number"
    )
