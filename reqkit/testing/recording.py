"""Real exchanges, kept in a readable file, and answered from it the next time."""

from __future__ import annotations

import base64
import difflib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..network import network as seam
from .answers import Answer, Step
from .calls import Call, UnexpectedRequest
from .exchanges import Exchange, RecordingStream
from .secrets import Hider
from .stand_in import StandIn

if TYPE_CHECKING:
    from ..network import Network, Stream
    from ..transport.routes import Route as TransportRoute

__all__ = ["Recording"]

#: The format of the file: a higher one is refused.
_FORMAT: Final = 1


class Recording(StandIn):
    """Records what goes over the network into a file, or answers from the file.

    As a context manager, for the whole process. Where the file is there, nothing leaves the
    process: each exchange in it answers one request, in the order in which they were recorded.
    Otherwise all goes over the real network (by HTTP/1.1), and the file is written at the end,
    unless the block ends by an exception. Values that are secrets by their name (authorization,
    cookies, tokens, keys, passwords, ... of headers, parameters, forms and JSON, sent and received)
    are not written; look at the file before you commit it. A body that the program did not read is
    recorded as far as it came, and breaks off for a program that does read it.

    Args:
        path: the file, JSON.
        record: None as above; True records anew; False never does: a missing file is an error.
        hide: further names whose values are not written.
        match_body: whether a request's body has to be the recorded one's.

    Raises:
        FileNotFoundError: there is none, with ``record=False``.
        ValueError: the file is no recording.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        record: bool | None = None,
        hide: Iterable[str] = (),
        match_body: bool = True,
    ) -> None:
        if isinstance(hide, str):
            raise TypeError("hide is a str: expected a list of names")
        super().__init__()
        self.path: Path = Path(path)
        self._record = record
        self._hider = Hider(hide)
        self._match_body = match_body
        #: The exchanges, as the file has them.
        self.exchanges: list[dict[str, Any]] = []
        self._answered: list[bool] = []
        #: Whether exchanges are recorded now (True) or answered (False).
        self.recording: bool = False
        #: The requests that the recording has no answer for.
        self.unexpected: list[UnexpectedRequest] = []

    # -- answering --------------------------------------------------------------------------

    def _answer(self, call: Call) -> list[Step]:
        asked = _of_request(self._hider, call.method, call.url, [], call.body)
        near: list[str] = []
        with self._lock:
            for index, exchange in enumerate(self.exchanges):
                known = exchange["request"]
                if (known["method"], known["url"]) != (asked["method"], asked["url"]):
                    continue
                if self._match_body and _body_of(known) != _body_of(asked):
                    near.append("one with another body is recorded")
                elif self._answered[index]:
                    near.append("what is recorded was answered already")
                else:
                    self._answered[index] = True
                    return _answer_of(exchange["answer"]).steps(call.method)
        text = f"{self.path}: has no answer for {call.describe()}"
        if near:
            text += f": {near[-1]}"
        elif self.exchanges:
            urls = [f"{one['request']['method']} {one['request']['url']}" for one in self.exchanges]
            nearest = difflib.get_close_matches(f"{asked['method']} {asked['url']}", urls, 1, 0.0)
            text += f"; the nearest is {nearest[0]}" if nearest else ""
        error = UnexpectedRequest(text + "; record=True records anew")
        with self._lock:
            self.unexpected.append(error)
        return [error]

    # -- recording --------------------------------------------------------------------------

    def _keep(self, exchange: Exchange) -> None:
        request = exchange.request
        entry = {
            "request": _of_request(
                self._hider, request.method, exchange.url, request.pairs, request.body
            ),
            "answer": {
                "status": exchange.status,
                "reason": exchange.reason,
                "headers": [list(pair) for pair in self._hider.fields(exchange.fields)],
                **_body(self._hider.body(exchange.answer_body)),
                **({} if exchange.whole else {"unread": True}),
            },
        }
        with self._lock:
            self.exchanges.append(entry)

    def _write(self) -> None:
        text = json.dumps(
            {"reqkit_recording": _FORMAT, "exchanges": self.exchanges}, indent=2, ensure_ascii=False
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Beside it and renamed: a crash leaves the old one.
        number, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.replace(name, self.path)

    def _read(self) -> None:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            version = found["reqkit_recording"]
            exchanges = found["exchanges"]
            for one in exchanges:
                one["request"]["method"], one["request"]["url"], one["answer"]["status"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.path} is no recording of reqkit's: {error}") from error
        if version != _FORMAT:
            raise ValueError(
                f"{self.path} is a recording of format {version}; this version reads {_FORMAT}"
            )
        self.exchanges = exchanges
        self._answered = [False] * len(exchanges)

    # -- in place of the network ------------------------------------------------------------

    def _passes(self, host: str, port: int) -> bool:
        return self.recording

    def opened(self, stream: Stream, route: TransportRoute) -> Stream:
        """Return a stream that keeps what passes over the one that was opened."""
        if not self.recording:
            return stream
        kept: Stream = self._known(RecordingStream(stream, route.origin, self._keep))
        return kept

    def _connect(self, real: Network, host: str, port: int) -> Stream | None:
        return None if self.recording else super()._connect(real, host, port)

    def __enter__(self) -> Recording:
        there = self.path.exists()
        if self._record is False and not there:
            raise FileNotFoundError(f"{self.path}: there is no recording, and record=False")
        self.recording = self._record is True or not there
        self.unexpected = []
        if self.recording:
            self.exchanges = []
        else:
            self._read()
        seam.put_in_place(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._take_away()  # and keep the last exchange of each stream
        if kind is not None:
            return
        if self.recording:
            self._write()
        elif self.unexpected:
            rows = "".join(f"\n  {error}" for error in self.unexpected)
            raise AssertionError(f"requests that the recording has no answer for:{rows}")

    def __repr__(self) -> str:
        return f"<Recording {str(self.path)!r}: {len(self.exchanges)} exchanges>"


def _of_request(
    hider: Hider, method: str, url: str, pairs: list[tuple[str, str]], body: bytes
) -> dict[str, Any]:
    return {
        "method": method,
        "url": hider.url(url),
        "headers": [list(pair) for pair in hider.fields(pairs)],
        **_body(hider.body(body)),
    }


def _body(body: bytes) -> dict[str, str]:
    if not body:
        return {}
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def _body_of(entry: dict[str, Any]) -> bytes:
    if "body_base64" in entry:
        return base64.b64decode(entry["body_base64"])
    return str(entry.get("body", "")).encode()


def _answer_of(entry: dict[str, Any]) -> Answer:
    body = _body_of(entry)
    headers = [(name, value) for name, value in entry.get("headers", [])]
    if entry.get("unread"):  # what was never recorded breaks off where it is read
        headers.append(("Content-Length", str(len(body) + 1)))
    return Answer(
        entry["status"],
        body,
        headers=headers,
        reason=entry.get("reason"),
    )
