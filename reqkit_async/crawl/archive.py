"""The archive: requests and answers as they went over the wire, in step with the store.

A page's records are made when its answer has come, off the loop's turn, and written when its turn
ends, just before the store's transaction; that transaction has the archive's new length. So an
archive that is longer than its store knows ends in what no transaction has confirmed: it is cut
when it is opened.

Source: ISO 28500:2017 (WARC 1.1); the records are warcio's work.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import io
import os
from pathlib import Path
from typing import Any, Final

import gevent

from reqkit import Response, __version__
from reqkit.base.file_descriptors import with_room
from reqkit.base.importing import import_late
from reqkit.exceptions import ContentTooLarge, RequestException
from reqkit.message.urls import prepare_url
from reqkit.sessions.outcome import failed_response
from reqkit.sessions.unsent import request_of
from reqkit.transport.exchange import head_of

from .errors import NotAStore, StoreError, StoreInUse
from .locking import lock_now
from .schema import Page
from .store import Store

__all__ = ["Archive", "Recorder", "archive_path"]

#: Bytes of a body from which its records are made in another thread.
_LARGE: Final = 64 * 1024


def archive_path(path: str | os.PathLike[str]) -> Path:
    """Return an archive's file.

    Raises:
        ValueError: its name ends otherwise than an archive's.
    """
    found = Path(os.path.abspath(os.fspath(path)))
    if not found.name.endswith((".warc", ".warc.gz")):
        raise ValueError(f"archive is {str(path)!r}: expected a name with .warc or .warc.gz")
    return found


class Archive:
    """An open archive.

    Args:
        path: the file: ``.warc`` or ``.warc.gz``.
        store: knows how much of it counts.

    Attributes:
        length: bytes that count.

    Raises:
        ValueError: the name ends otherwise.
        NotAStore, StoreInUse, StoreError: the file is not this store's, in use, or shorter than it
            was; it was not changed.
    """

    def __init__(self, path: str | os.PathLike[str], store: Store) -> None:
        self.path: Path = archive_path(path)
        self.compressed: bool = self.path.name.endswith(".warc.gz")
        _warcio()
        known = store.setting("archive")
        self.length: int = store.totals.archive_length
        if known is not None and known != self.path.name:
            raise NotAStore(
                f"the store has its pages in the archive {known}, and {self.path.name} was given:"
                " a store has one archive"
            )
        if known is None and self.path.exists() and self.path.stat().st_size:
            raise NotAStore(
                f"the archive {self.path} is there already and not this store's: it was left as it"
                " is; give another name"
            )
        if known is None:
            store.set("archive", self.path.name)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._file = with_room(lambda: os.open(self.path, flags, 0o666))
        except OSError as error:
            raise StoreError(f"the archive {self.path} cannot be opened: {error}") from error
        try:
            self._open(store)
        except BaseException:  # an interrupt, too
            os.close(self._file)
            raise

    def _open(self, store: Store) -> None:
        try:
            lock_now(self._file)
        except BlockingIOError as error:
            raise StoreInUse(f"the archive {self.path} is in use by another crawl") from error
        except OSError as error:
            raise StoreError(f"the archive {self.path} cannot be locked: {error}") from error
        there = os.fstat(self._file).st_size
        if there < self.length:
            # The machine went down, and the end of the file with it: these pages are asked for
            # once more, and what their turns have brought is undone.
            self.length = store.undo_after(there)
        self.cut(self.length)
        if not self.length:
            self.length = self.append(_about(self.path.name, self.compressed))

    def append(self, record: bytes) -> int:
        """Write a record at the end, and return where it ends.

        Raises:
            StoreError: it cannot be written; nothing of it was.
        """
        before = at = self.length
        view = memoryview(record)
        try:
            while view:
                written = os.pwrite(self._file, view, at)
                at += written
                view = view[written:]
        except OSError as error:
            with contextlib.suppress(OSError):
                self.cut(before)
            raise StoreError(
                f"the archive {self.path} cannot be written: {error}; make room on the disk and"
                " begin again: what was committed before is there"
            ) from error
        self.length = at
        return at

    def cut(self, length: int) -> None:
        """Take back what is beyond a length."""
        os.ftruncate(self._file, length)
        self.length = length

    def sync(self) -> None:
        """Have the disk keep it. Blocks."""
        file = self._file
        if file >= 0:
            os.fsync(file)

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


class Recorder:
    """Takes answers as they come, and makes records of them.

    Args:
        compressed: whether each record is compressed.
        most: bytes of a body at most; None for any number.
    """

    def __init__(self, compressed: bool, most: int | None) -> None:
        self._compressed = compressed
        self._most = most
        #: What went wrong with making a record: a hook's own errors would be warnings only.
        self.fault: Exception | None = None

    def take(self, page: Page, response: Response) -> Response | None:
        """Read an answer's body as it comes, and keep both. A response hook: it may wait.

        Returns: the failure, where the body cannot be had.
        """
        page.record = None
        if response.error is not None or response.status_code is None:
            return None
        try:
            body = self._body(response)
            response.raw = io.BytesIO(body)
            response.content  # noqa: B018 - decodes it
        except RequestException as error:
            return failed_response(request_of("GET", page.url, {}), error)
        try:
            self._record(page, response, body)
        except Exception as error:  # the loop raises it
            self.fault = error
        return None

    def _record(self, page: Page, response: Response, body: bytes) -> None:
        prepared = response.request
        head, _ = head_of(prepared, prepare_url(prepared.url), None)
        arguments = (
            self._compressed, page, head, response._head_text, response.status_code,
            response.reason, body,
        )  # fmt: skip
        if len(body) > _LARGE:
            page.record = gevent.get_hub().threadpool.apply(_records, arguments)
        else:
            page.record = _records(*arguments)

    def _body(self, response: Response) -> bytes:
        pieces = []
        size = 0
        raw = response.raw
        while piece := raw.read(65536, decode_content=False):
            pieces.append(piece)
            size += len(piece)
            if self._most is not None and size > self._most:
                response.close()
                raise ContentTooLarge(
                    f"the body of {response.url} is larger than max_content_size ({self._most}"
                    " bytes); the connection was closed",
                    request=response.request,
                    response=response,
                )
        return b"".join(pieces)


def _records(
    compressed: bool, page: Page, head: bytes, answered: str, status: int | None,
    reason: str | None, body: bytes,
) -> bytes:  # fmt: skip
    """Make the records of a page: its answer and its request, which name each other."""
    warcio, exact = _warcio()
    fields: dict[str, str] = {}
    if not answered.startswith("HTTP/1"):
        # By HTTP/2: a head is no text there, and is written as other archives do.
        answered = f"HTTP/1.1 {status} {reason or ''}\r\n" + answered.partition("\r\n")[2]
        fields["WARC-Protocol"] = "h2"
    answered = answered.rstrip("\r\n") + "\r\n\r\n"
    if "\ntransfer-encoding: chunked\r" in answered.lower():
        size = b"%x\r\n" % len(body)
        body = (size + body + b"\r\n" if body else b"") + b"0\r\n\r\n"
    out = io.BytesIO()
    writer = warcio.WARCWriter(out, gzip=compressed, warc_version="1.1")
    date = datetime.datetime.fromtimestamp(page.started, datetime.timezone.utc)
    fields["WARC-Date"] = date.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    kind = "revisit" if status == 304 else "response"
    more = dict(fields)
    if kind == "revisit":
        more["WARC-Profile"] = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
    answer = writer.create_warc_record(
        page.url, kind, payload=io.BytesIO(body), length=len(body), warc_headers_dict=more,
        http_headers=exact(answered.encode("latin-1", "replace")),
    )  # fmt: skip
    request = writer.create_warc_record(
        page.url, "request", payload=io.BytesIO(), length=0, warc_headers_dict=fields,
        http_headers=exact(head),
    )  # fmt: skip
    writer.write_request_response_pair(request, answer)
    return out.getvalue()


def _about(name: str, compressed: bool) -> bytes:
    """Make the record that an archive begins with."""
    warcio, _ = _warcio()
    out = io.BytesIO()
    writer = warcio.WARCWriter(out, gzip=compressed, warc_version="1.1")
    facts = {"software": f"reqkit/{__version__}", "format": "WARC File Format 1.1"}
    writer.write_record(writer.create_warcinfo_record(name, facts))
    return out.getvalue()


@functools.lru_cache(maxsize=1)
def _warcio() -> tuple[Any, Any]:
    """Return warcio's writer, and what stands for a head that is bytes already."""
    try:
        import_late("warcio.warcwriter", "warcio.statusandheaders")
        from warcio import warcwriter
        from warcio.statusandheaders import StatusAndHeaders
    except ImportError as error:
        raise ImportError("archive= needs warcio: pip install 'reqkit[crawl]'") from error

    class Exact(StatusAndHeaders):  # type: ignore[misc]
        def __init__(self, octets: bytes) -> None:
            super().__init__("", [("", "")])  # one without any counts as none
            self._octets = octets

        def compute_headers_buffer(self, header_filter: Any = None) -> None:
            self.headers_buff = self._octets

    return warcwriter, Exact
