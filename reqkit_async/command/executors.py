"""``--executor``: workers by their name."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Final

__all__ = ["ExecutorError", "executor_of"]


#: Seconds within which somebody has to listen where a Dask scheduler is said to be.
_LISTENS_WITHIN: Final = 2.0
#: Seconds within which that has to answer as a scheduler does.
_ANSWERS_WITHIN: Final = 10
#: Bytes of the length that a message of Dask's begins with, and of a greeting at most.
_LENGTH: Final = 8
_LONGEST_GREETING: Final = 1 << 20


class ExecutorError(ValueError):
    """There is no such executor; says what there is."""


@contextlib.contextmanager
def executor_of(text: str | None) -> Iterator[Any]:
    """Enter the executor that a text names, and leave it shut down.

    Args:
        text: ``processes``, ``processes:4``, ``threads:4``, ``dask:tcp://HOST:PORT``, or None.

    Raises:
        ExecutorError: it is nothing of the kind, or cannot be had here.
    """
    if text is None:
        yield None
        return
    kind, _, rest = text.partition(":")
    if kind in ("processes", "threads"):
        workers = _workers(text, rest)
        executor: Any
        if kind == "threads":
            executor = ThreadPoolExecutor(workers)
        else:
            # Processes of their own, which have nothing of this one's hub and sockets.
            executor = ProcessPoolExecutor(
                workers, multiprocessing.get_context("spawn"), initializer=_ignore_interrupts
            )
        with executor:
            yield executor
    elif kind == "dask" and rest:
        try:
            from distributed import Client
            from distributed.comm import get_address_host_port
        except ImportError as error:
            raise ExecutorError(f"{text} needs Dask: pip install distributed") from error
        try:
            # A client asks an address where nobody listens again and again, until its time is up,
            # and waits without end for what connects and says nothing.
            host, port = get_address_host_port(rest)
            _see_who_listens(host, port, speaks=not rest.startswith("tls:"))
            client = Client(rest, timeout=_ANSWERS_WITHIN, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ExecutorError(f"no Dask scheduler answers at {rest}: {error}") from error
        with client:
            yield client
    else:
        raise ExecutorError(
            f"{text!r} is no executor: expected processes, processes:N, threads:N or dask:ADDRESS"
        )


def _see_who_listens(host: str, port: int, speaks: bool) -> None:
    """See that somebody listens at an address; a scheduler may just be starting.

    Args:
        host: where.
        port: where.
        speaks: whether it has to say something first, as a scheduler does where there is no TLS.

    Raises:
        OSError: nobody does, or something else than a scheduler.
    """
    ends = time.monotonic() + _LISTENS_WITHIN
    while True:
        try:
            sock = socket.create_connection((host, port), timeout=_LISTENS_WITHIN)
            break
        except ConnectionRefusedError:
            if time.monotonic() > ends:
                raise
        time.sleep(0.1)
    with sock:
        if speaks:
            _hear_greeting(sock)


def _hear_greeting(sock: socket.socket) -> None:
    """Read the length that a scheduler's greeting begins with.

    Raises:
        OSError: what comes is none.
    """
    ends = time.monotonic() + _ANSWERS_WITHIN
    said = b""
    while len(said) < _LENGTH:
        sock.settimeout(max(ends - time.monotonic(), 0.001))
        try:
            piece = sock.recv(_LENGTH - len(said))
        except TimeoutError as error:
            raise OSError(f"it has said nothing within {_ANSWERS_WITHIN} s") from error
        if not piece:
            raise OSError("it has closed the connection before it said anything")
        said += piece
    if int.from_bytes(said, sys.byteorder) > _LONGEST_GREETING:
        raise OSError("it speaks another protocol")


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which a terminal gives to all, to the process that the workers work for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _workers(text: str, number: str) -> int | None:
    if not number:
        return None
    if not number.isdecimal() or int(number) < 1:
        raise ExecutorError(f"{text!r}: expected a number of workers above 0 after the colon")
    return int(number)
