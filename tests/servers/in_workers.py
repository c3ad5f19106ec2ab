"""What runs in workers of an executor, so that it must be importable there."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import gevent

import reqkit


def get_ready() -> None:
    """Import what a batch needs; take long enough for another worker to do so, too."""
    import reqkit_async.cluster.task  # noqa: F401

    time.sleep(0.2)


def pid_and_status(response: reqkit.Response) -> tuple[int, int | None]:
    """Return where a hook ran, and for what."""
    return os.getpid(), response.status_code


def length(response: reqkit.Response) -> int:
    """Return how long a body is: all that is left of it."""
    return len(response.content)


def error_name(response: reqkit.Response) -> str:
    """Return what went wrong, by name."""
    return type(response.error).__name__


def note(response: reqkit.Response) -> None:
    """Append a line to the file that the request names."""
    path = response.request.headers["X-Note"]
    line = f"{response.status_code} {type(response.error).__name__} {response.request.url}\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)


def context_of(response: reqkit.Response) -> Any:
    """Return the request's context."""
    return response.context


def fail(response: reqkit.Response) -> None:
    """Raise."""
    raise ValueError("the hook's own")


def leave(response: reqkit.Response) -> None:
    """Raise `SystemExit`."""
    raise SystemExit(3)


def interrupt(response: reqkit.Response) -> None:
    """Raise `KeyboardInterrupt`."""
    raise KeyboardInterrupt


def die(response: reqkit.Response) -> None:
    """End the process, without a word."""
    os._exit(7)


def die_of(response: reqkit.Response) -> None:
    """End the process where the path says so."""
    if "/poison" in str(response.url):
        os.kill(os.getpid(), signal.SIGKILL)


def unpicklable(response: reqkit.Response) -> Any:
    """Return what cannot travel."""
    return threading.Lock()


def nested_deeply(response: reqkit.Response) -> Any:
    """Return what pickle gives up on."""
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    return nested


def hang(response: reqkit.Response) -> None:
    """Wait for ever, letting others run."""
    gevent.sleep(1000)


def be_busy(response: reqkit.Response) -> None:
    """Keep the processor for a millisecond."""
    ends = time.perf_counter() + 0.001
    while time.perf_counter() < ends:
        pass


class Reply:
    """What a hook makes of an answer."""

    def __init__(self, status: int | None) -> None:
        self.status = status

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reply) and other.status == self.status

    __hash__ = None  # type: ignore[assignment]


def reply(response: reqkit.Response) -> Reply:
    """Return an object of a class."""
    return Reply(response.status_code)


class CountedSession(reqkit.Session):
    """Counts how often it was pickled."""

    pickles = 0

    def __getstate__(self) -> dict[str, Any]:
        type(self).pickles += 1
        return super().__getstate__()
