"""What became of one input: a plain record, made where the response is, body and all.

A `Recorder`'s `take` may be the request's response hook. Then the body is read or saved in the
greenlet that sent the request, on a worker of an executor too, and only the record travels.
"""

from __future__ import annotations

import functools
import json
import os
import re
import time
from pathlib import Path
from typing import Any, Final

from reqkit.exceptions import (
    ChecksumError,
    ChunkedEncodingError,
    ConnectionError,
    RequestException,
    Timeout,
    TotalTimeout,
)
from reqkit.message.urls import without_password

from ..downloads.files import digest_of
from .counting import counted
from .inputs import Item

__all__ = ["Recorder", "failure", "line_of", "plain_line"]

_encode: Final = json.JSONEncoder(ensure_ascii=False, default=str).encode
_text: Final = json.encoder.encode_basestring
#: C1 controls (NEL among them), the separators of lines and paragraphs, and marks of direction.
_controls: Final = re.compile(r"[\x80-\x9f\u2028-\u202e\u2066-\u2069]").sub
_type_in: Final = re.compile(r"(?i)\ncontent-type:([^\r\n]*)\r").search


def line_of(record: dict[str, Any]) -> bytes:
    """Return a record as a line of JSON."""
    try:
        return _line(_encode(record))
    except UnicodeEncodeError:  # half of a surrogate pair, out of somebody's JSON
        return json.dumps(record, default=str).encode("ascii") + b"\n"


def _line(text: str) -> bytes:
    """Return JSON as a line: what some take for its end, or a terminal for its own, is escaped."""
    if not text.isascii():
        text = _controls(_escaped, text)
    return (text + "\n").encode()


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"


def plain_line(item: Item, response: Any) -> bytes | None:
    """Return the line of a plain answer's record, at a third of its price; None for all others.

    Plain is what nearly all are: whole with its head, good, at the first attempt, not saved.
    """
    headed = response._headed
    if (
        headed is None
        or response.error is not None
        or response._history
        or response.status_code >= 400
        or response.__dict__
    ):
        return None
    url: str = response.url
    sent, started = response._sent, response._started
    send, wait = sent - started, headed - sent
    asked: str | None = item.url
    fields = item.fields
    shown = _text(url if "@" not in url else without_password(url))
    plain = len(fields) == 1 and fields.get("url") is asked
    if asked is None or not plain:
        given = _encode(fields)
    elif asked == url and "@" not in asked:
        given = f'{{"url": {shown}}}'
    else:
        given = f'{{"url": {_text(asked)}}}'
    size = response._received if response._streamed else len(response.content)
    try:
        return _line(
            f'{{"input": {given}, "number": {item.number}, "url": {shown},'
            f' "status": {response.status_code}, "ok": true, "error": null,'
            f' "seconds": {send + wait:.6f},'
            f' "times": {{"send": {send:.6f}, "wait": {wait:.6f}, "receive": 0.0}},'
            f' "bytes": {size}, "type": {_type_of(response)},'
            f' "attempts": 1, "ended": "{_now()}"}}'
        )
    except UnicodeEncodeError:
        return None


def _type_of(response: Any) -> str:
    """Return the Content-Type as JSON; looked for in the head's text, which is much cheaper."""
    head: str = response._head_text
    found = _type_in(head)
    if found is None or _type_in(head, found.end()) is not None:
        kind = response._field("content-type")
        return "null" if kind is None else _text(kind)
    return _text(found.group(1).strip(" \t"))


class Recorder:
    """Makes the record of an input's response; its method `take` is a response hook.

    Args:
        item: the input.
        path: the file for its body; None where it is only counted.
        checksum: the SHA-256 that the body must have, in hexadecimal digits.
        retries: how often a body that broke off is gone on with.
        again: whether an earlier record is replaced.
    """

    __slots__ = ("again", "checksum", "item", "path", "retries")

    def __init__(
        self,
        item: Item,
        path: Path | None = None,
        checksum: str | None = None,
        retries: int = 0,
        again: bool = False,
    ) -> None:
        self.item: Item = item
        self.path: Any = path
        self.checksum: Any = checksum
        self.retries: int = retries
        self.again: bool = again

    def __getstate__(self) -> tuple[Any, ...]:
        return self.item, self.path, self.checksum, self.retries, self.again

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.item, self.path, self.checksum, self.retries, self.again = state

    def take(self, response: Any) -> dict[str, Any]:
        """Read or save the body, and return the record. Never raises an `Exception`."""
        error: Exception | None = response.error
        size, saved, digest = 0, None, None
        if error is None:
            try:
                if self.path is None:
                    size = counted(response)
                elif response.status_code < 400:
                    size, digest = self._save(response, self.path)
                    saved = str(self.path)
            except Exception as raised:  # it is written into the record
                error = raised
            if error is not None or saved is None:
                response.close()
        return self._record(response, error, size, saved, digest)

    def _record(
        self, response: Any, error: Exception | None, size: int, saved: str | None, digest: Any
    ) -> dict[str, Any]:
        status = response.status_code
        record = _beginning(self.item, response.url or self.item.url)
        record["status"] = status
        record["ok"] = error is None and status is not None and status < 400
        record["error"] = None if error is None else _error_record(error)
        times = {
            phase: round(spent, 6) for phase, spent in response.timings.items() if spent is not None
        }
        until_head = None
        if "wait" in times:
            until_head = round(sum(times.values()) - times.get("receive", 0.0), 6)
        record["seconds"] = until_head
        record["times"] = times
        record["bytes"] = size
        record["type"] = None if status is None else response._field("content-type")
        if self.path is not None:
            record["file"] = saved
            record["sha256"] = digest
        record["attempts"] = response.__dict__.get("retries", 0) + 1
        _end(record, self.again)
        return record

    def _save(self, response: Any, path: Path) -> tuple[int, str]:
        """Write the body to the file, going on where it breaks off; return its size and SHA-256."""
        tries = 0
        while True:
            try:
                # What is there of it is of an earlier try, or of a run that was interrupted.
                response.download(path, resume=True)
                break
            except TotalTimeout:
                raise
            except (ChunkedEncodingError, ConnectionError, Timeout):
                tries += 1
                if tries > self.retries:
                    raise
        found = digest_of(path)
        size = path.stat().st_size
        if self.checksum is not None and found != self.checksum.strip().lower():
            os.unlink(path)
            raise ChecksumError(f"the SHA-256 is {found}, not {self.checksum.strip().lower()}")
        return size, found


def failure(item: Item, error: Exception | None = None, again: bool = False) -> dict[str, Any]:
    """Return the record of an input that nothing was sent for, or that has no response."""
    record = _beginning(item, item.url)
    problem = (
        {"type": "InputError", "message": item.problem} if error is None else _error_record(error)
    )
    record.update(
        status=None, ok=False, error=problem, seconds=None, times={}, bytes=0, type=None, attempts=0
    )
    _end(record, again)
    return record


def _beginning(item: Item, url: str | None) -> dict[str, Any]:
    return {
        "input": item.fields,
        "number": item.number,
        "url": None if url is None else without_password(url),
    }


def _end(record: dict[str, Any], again: bool) -> None:
    if again:
        record["again"] = True
    record["ended"] = _now()


def _now() -> str:
    now = time.time()
    seconds = int(now)
    return f"{_stamp(seconds)}{int((now - seconds) * 1000):03d}Z"


@functools.lru_cache(maxsize=2)
def _stamp(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(seconds))


def _error_record(error: Exception) -> dict[str, str]:
    name = type(error).__name__
    if isinstance(error, OSError) and not isinstance(error, RequestException):
        return {"type": name, "message": os.strerror(error.errno) if error.errno else str(error)}
    return {"type": name, "message": str(error)}
