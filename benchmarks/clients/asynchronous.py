"""What the clients on asyncio share: uvloop, and as many workers as there are places."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

import uvloop

from .harness import Client, Job

__all__ = ["AsyncClient"]

T = TypeVar("T")


class AsyncClient(Client):
    """A client with a loop of its own; `opening` makes the session in it."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.run(self.opening())

    async def opening(self) -> None:
        """Make the session."""
        raise NotImplementedError

    async def closing(self) -> None:
        """Close the session."""
        raise NotImplementedError

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        result: T = self.loop.run_until_complete(coroutine)
        return result

    def close(self) -> None:
        self.run(self.closing())
        self.loop.close()

    def at_once(self, act: Callable[[str], Awaitable[object]], urls: Iterable[str]) -> None:
        """Let as many workers as the job says pull from the URLs."""
        waiting = iter(urls)

        async def work() -> None:
            for url in waiting:
                await act(url)

        async def all_of_them() -> None:
            await asyncio.gather(*[work() for _ in range(self.job.size)])

        self.run(all_of_them())

    def in_turn(self, act: Callable[[str], Awaitable[object]], urls: Iterable[str]) -> None:
        async def work() -> None:
            for url in urls:
                await act(url)

        self.run(work())
