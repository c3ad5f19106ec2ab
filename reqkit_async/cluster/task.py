"""The long task that a worker gets: it reaches its caller, and works for it until told to stop."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import gevent
from gevent._hub_local import get_hub_if_exists
from gevent.monkey import is_module_patched

from reqkit.network import forks

from ..network.hubs import current_hub
from .channel import Address, connect
from .worker import Worker, whatever_exits

__all__ = ["Ticket", "serve"]

#: Whether this thread had a hub before anything of a run was: then it may be a parent's.
_HAD_HUB: Final = get_hub_if_exists() is not None


class Ticket:
    """What a worker gets: where its caller is, and how to prove that it is meant.

    Args:
        addresses: as `Listener.addresses`.
        key: the run's; a secret.
    """

    def __init__(self, addresses: list[Address], key: bytes) -> None:
        self.addresses = addresses
        self.key = key

    def __repr__(self) -> str:
        return "<Ticket of a reqkit batch>"  # executors show arguments in logs


def serve(ticket: Ticket) -> None:
    """Do a worker's part in a run, until it is over. Blocks.

    Returns at once where the run is over already.
    """
    with _undisturbed():
        if (
            get_hub_if_exists() is not None
            and (forks.count or _HAD_HUB)
            and not (is_module_patched("threading"))
        ):
            # The hub is that of the process that this one was forked from, with all that waits in
            # it; a thread has its own.
            _in_a_thread(_serve, ticket)
        else:
            _serve(ticket)


def _in_a_thread(function: Any, *arguments: Any) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            function(*arguments)
        except BaseException as error:  # raised by who has begun the thread
            failures.append(error)

    thread = threading.Thread(target=run, name="reqkit-worker")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let signals pass that are meant for all processes of a pool, while a run goes on.

    The interrupt of a terminal reaches them all, and it is the caller who ends the run. When one
    process dies, a ProcessPoolExecutor terminates the others; they go on until the run is over.
    That they end with the caller, their channel tells them.
    """
    came: list[int] = []
    before: dict[int, Any] = {}
    if multiprocessing.parent_process() is not None:
        try:
            before[signal.SIGTERM] = signal.signal(
                signal.SIGTERM, lambda number, frame: came.append(number)
            )
            before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
        except ValueError:
            pass  # not the main thread: signals are nothing of ours
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            os.kill(os.getpid(), signal.SIGTERM)


def _serve(ticket: Ticket) -> None:
    current_hub()  # which goes with its thread, from now on
    try:
        channel = connect(ticket.addresses, ticket.key)
        if channel is not None:
            try:
                Worker(channel).run()
            finally:
                channel.close()
    finally:
        # It is the hub that closes sockets, and this thread may end with this.
        whatever_exits(partial(gevent.sleep, 0))
