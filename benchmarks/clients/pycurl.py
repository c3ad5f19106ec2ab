"""libcurl by pycurl: `CurlMulti` with as many easy handles as there are places, all reused.

The multi handle is driven by `socket_action` and an epoll of our own, the way that libcurl's
documentation recommends for many transfers: `select` ends at 1,024 descriptors.
"""

from __future__ import annotations

import json
import select
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pycurl

from .harness import DOCUMENT, HEADERS, Client, Job, main

#: Called with a finished transfer's status and body.
Done = Callable[[int, bytes], None]

_BUFFER = 512 * 1024


class Loop:
    """A multi handle, and the epoll that tells it what can be read and written."""

    def __init__(self, size: int) -> None:
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_MAXCONNECTS, max(size, 250))
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self.epoll = select.epoll()
        self.known: set[int] = set()
        self.timer = -1

    def _watch(self, what: int, fd: int, multi: object, data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            if fd in self.known:
                self.known.remove(fd)
                self.epoll.unregister(fd)
            return
        wanted = (select.EPOLLIN if what & pycurl.POLL_IN else 0) | (
            select.EPOLLOUT if what & pycurl.POLL_OUT else 0
        )
        if fd in self.known:
            self.epoll.modify(fd, wanted)
        else:
            self.known.add(fd)
            self.epoll.register(fd, wanted)

    def _set_timer(self, milliseconds: int) -> None:
        self.timer = milliseconds

    def wait(self) -> None:
        """Let libcurl do what there is to do, or wait until there is something."""
        if self.timer == 0:
            self.timer = -1
            self.multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            return
        events = self.epoll.poll(self.timer / 1000 if self.timer > 0 else 1.0)
        if not events:
            self.multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        for fd, event in events:
            flags = (pycurl.CSELECT_IN if event & ~select.EPOLLOUT else 0) | (
                pycurl.CSELECT_OUT if event & select.EPOLLOUT else 0
            )
            self.multi.socket_action(fd, flags)

    def close(self) -> None:
        self.multi.close()
        self.epoll.close()


class Pycurl(Client):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.loop = Loop(job.size)
        self.handles = [self._handle() for _ in range(job.size)]

    def _handle(self) -> Any:
        handle = pycurl.Curl()
        headers = [f"{name}: {value}" for name, value in HEADERS.items()]
        if self.job.action == "post":
            headers += ["Content-Type: application/json"]
        handle.setopt(pycurl.HTTPHEADER, headers)
        handle.setopt(pycurl.NOSIGNAL, 1)
        if self.job.action == "parse":
            # The header is set by hand; this has libcurl decode what comes of it.
            handle.setopt(pycurl.ACCEPT_ENCODING, HEADERS["Accept-Encoding"])
        if self.job.bundle:
            handle.setopt(pycurl.CAINFO, self.job.bundle)
        return handle

    def close(self) -> None:
        self.loop.close()
        for handle in self.handles:
            handle.close()

    def _run(self, done: Done, urls: Iterable[str]) -> None:
        waiting = iter(urls)
        multi = self.loop.multi
        busy = sum(self._begin(handle, waiting) for handle in self.handles)
        while busy:
            self.loop.wait()
            more = 1
            while more:
                more, good, bad = multi.info_read()
                for handle, _, message in bad:
                    raise OSError(f"{handle.getinfo(pycurl.EFFECTIVE_URL)}: {message}")
                for handle in good:
                    multi.remove_handle(handle)
                    done(handle.getinfo(pycurl.RESPONSE_CODE), b"".join(handle.pieces))
                    busy -= not self._begin(handle, waiting)

    def _begin(self, handle: Any, waiting: Iterator[str]) -> bool:
        url = next(waiting, None)
        if url is None:
            return False
        pieces: list[bytes] = []
        handle.pieces = pieces
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.WRITEFUNCTION, pieces.append)
        if self.job.action == "post":
            handle.setopt(pycurl.POSTFIELDS, json.dumps(DOCUMENT))
        self.loop.multi.add_handle(handle)
        return True

    def _take(self, status: int, body: bytes) -> None:
        self.check(status, len(body))

    def _take_document(self, status: int, body: bytes) -> None:
        self.check_document(status, json.loads(body))

    def fetch(self, urls: Iterable[str]) -> None:
        self._run(self._take, urls)

    def parse(self, urls: Iterable[str]) -> None:
        self._run(self._take_document, urls)

    def post(self, urls: Iterable[str]) -> None:
        self._run(self._take_document, urls)

    def each(self, urls: Iterable[str]) -> None:
        """One easy handle, which needs no multi handle."""
        handle = self.handles[0]
        for url in urls:
            pieces: list[bytes] = []
            handle.setopt(pycurl.URL, url)
            handle.setopt(pycurl.WRITEFUNCTION, pieces.append)
            handle.perform()
            self.check(handle.getinfo(pycurl.RESPONSE_CODE), len(b"".join(pieces)))

    def stream(self, urls: Iterable[str]) -> None:
        handle = self.handles[0]
        handle.setopt(pycurl.BUFFERSIZE, _BUFFER)
        length = 0

        def take(piece: bytes) -> None:
            nonlocal length
            length += len(piece)

        for url in urls:
            length = 0
            handle.setopt(pycurl.URL, url)
            handle.setopt(pycurl.WRITEFUNCTION, take)
            handle.perform()
            self.check(handle.getinfo(pycurl.RESPONSE_CODE), length)


if __name__ == "__main__":
    main(Pycurl)
