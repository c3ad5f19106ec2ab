"""`python -m benchmarks.floors`: what each floor takes of one small answer, in microseconds.

The network is one of memory: every request is answered at once with 1 KB. So nothing here waits,
and what is measured is the work alone, without the kernel, the event loop and the switching of
greenlets. Each head differs from the one before; what it saves where a connection says the same
again is told by itself. Each step is run many times, and its quickest round counts: what disturbs
a round can only add to it.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import reqkit
import reqkit_async
from reqkit.message.response import Response
from reqkit.network import StdlibNetwork, network
from reqkit.sessions.outcome import Outcome
from reqkit.transport.exchange import answer_of, head_of
from reqkit.wire.h1.connection import Connection
from reqkit.wire.h1.head import parse_head
from reqkit_async.pool.batch import ListBatch
from reqkit_async.pool.options import BatchOptions
from reqkit_async.pool.sending import Sender
from reqkit_async.progress import SILENT
from reqkit_async.stats import Stats

from .clients.harness import HEADERS

HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 31 Jan 2026 12:00:00 GMT\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Length: 1024\r\n"
    b"Last-Modified: Sat, 31 Jan 2026 11:00:00 GMT\r\nConnection: keep-alive\r\n"
    b'ETag: "697de1a0-400"\r\nAccept-Ranges: bytes\r\n\r\n'
)
#: No two in a row have the same head.
ANSWERS: Final = [HEAD + b"x" * 1024, HEAD.replace(b"12:00:00", b"12:00:01") + b"x" * 1024]
URL: Final = "http://127.0.0.1:8000/1k"

#: Calls in a round, and rounds.
CALLS: Final = 500
ROUNDS: Final = 40


class MemoryStream:
    """A stream that has a whole answer, whenever it is asked: each of some in turn."""

    def __init__(self, answers: Sequence[bytes] = ANSWERS) -> None:
        self.next_answer = itertools.cycle(answers).__next__

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        """Take it."""

    def wait_readable(self, timeout: float | None) -> None:
        """Wait for nothing."""

    def receive(self, most: int, timeout: float | None) -> bytes:
        """Return an answer."""
        return self.next_answer()

    receive_next = receive

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        """Not needed for what is as small."""
        raise NotImplementedError

    def is_readable(self) -> bool:
        """Nothing is there unasked."""
        return False

    def close(self) -> None:
        """Nothing to close."""


class MemoryNetwork(StdlibNetwork):
    """Connects to nobody."""

    def connect(self, *where: Any) -> Any:
        """Return a stream."""
        return MemoryStream()

    def later(self, seconds: float, call: Callable[[], Any]) -> bool:
        """Take note."""
        return True


def microseconds(call: Callable[[], Any], times: int = CALLS) -> float:
    """Return what a call takes, in its quickest round."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            call()
        best = min(best, (time.process_time() - began) / times)
    return best * 1e6


def measure() -> list[tuple[str, float]]:
    """Return the steps of one request, and what each takes by itself, in microseconds.

    The last row is no step: it is what another one takes less.
    """
    session = reqkit.session(headers=HEADERS)
    request = reqkit_async.get(URL, session=session)
    sender = Sender(None, Stats(), None)

    def batch() -> None:
        feed = ListBatch(BatchOptions(True), [request] * CALLS, SILENT)
        while (job := feed.pull()) is not None:
            sender.send(job)

    with network.use(MemoryNetwork()):
        batch()
        settings = session._settings()
        outcome = Outcome(request)
        session.attempt(outcome, True)
        chain = outcome.chain
        assert chain is not None
        assert chain.prepared is not None
        prepared = chain.prepared
        adapter: Any = session.adapters["http://"]
        limits = session._timeouts
        connection = Connection(MemoryStream(), URL)
        parsed, whole = connection.read_head("GET", None, None)
        saying_it_again = Connection(MemoryStream(ANSWERS[:1]), URL)
        pool = adapter.poolmanager.pool(network.current())
        key = prepared.target.origin

        def lend() -> None:
            pool.release(pool.acquire(key, time.monotonic()))

        nothing = microseconds(lambda: None)

        def step(call: Callable[[], Any]) -> float:
            return microseconds(call) - nothing

        unsent = step(lambda: reqkit_async.get(URL, session=session))
        whole_batch = microseconds(batch, 1) / CALLS
        attempt = step(lambda: session.attempt(Outcome(request), True))
        prepare = step(lambda: session._prepare(request, settings))
        send = step(
            lambda: adapter.send(prepared, stream=True, timeout=limits, verify=True, cert=None)
        )
        write = step(lambda: head_of(prepared, prepared.target, None))
        read = step(lambda: connection.read_head("GET", None, None))
        again = step(lambda: saying_it_again.read_head("GET", None, None))
        parse = step(lambda: parse_head(HEAD))
        pooled = step(lend)
        assert whole is not None

        def answered() -> Response:
            return answer_of(prepared, parsed, whole, connection, 0.0, None)

        answer = step(answered)
        content = step(lambda: answered().content) - answer
    return [
        ("batch: the unsent request", unsent),
        ("batch: its turn, its entry, the figures", whole_batch - attempt),
        (
            "session: what counts for it, hooks, redirects, cookies",
            attempt - prepare - send - content,
        ),
        ("message: URL, headers, auth", prepare),
        ("message: the response", answer),
        ("message: its body", content),
        ("transport: adapter, limits, times", send - write - read - pooled - answer),
        ("transport: a connection lent and taken back", pooled),
        ("wire: the request's head written", write),
        ("wire: the answer's head parsed", parse),
        ("wire: framing, the body cut off", read - parse),
        ("less where a connection says the same head again", again - read),
    ]


def main(given: Sequence[str] | None = None) -> None:
    """Print the table."""
    argparse.ArgumentParser(prog="python -m benchmarks.floors", description=__doc__).parse_args(
        given
    )
    *rows, (name, less) = measure()
    for step, value in rows:
        print(f"{step:<56} {value:6.2f}")
    print(f"{'all':<56} {sum(value for _, value in rows):6.2f}")
    print(f"{name:<56} {less:6.2f}")


if __name__ == "__main__":
    main()
