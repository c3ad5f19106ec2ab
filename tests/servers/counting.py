"""A server that proves concurrency without a clock.

It answers no request until so many are in flight at the same time; from then on it answers at
once. A client that sends them one after another gets, after a generous limit, a 503 that says how
many were there, and from then on nothing else.
"""

from __future__ import annotations

import ssl

from .messages import answer
from .scripted import PATIENCE, Connection, ScriptedServer


class CountingServer(ScriptedServer):
    """Holds every request until ``parties`` are in flight at once.

    With ``rounds`` it does so again for each ``parties`` requests, so that the number of requests
    must be a multiple of it; else only the first time.
    """

    def __init__(
        self,
        parties: int,
        *,
        tls: ssl.SSLContext | None = None,
        body: bytes = b"ok",
        rounds: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__(self._answer, tls=tls)
        self.parties = parties
        self.body = body
        self.rounds = rounds
        self.patience = patience
        self.in_flight = 0
        self.peak = 0
        self.served = 0
        self._waiting = 0
        self._round = 0
        self._given_up = False

    def _answer(self, connection: Connection) -> None:
        while connection.recv_request() is not None:
            with self._changed:
                self.in_flight += 1
                self.peak = max(self.peak, self.in_flight)
                together = self._arrive()
                # Before the answer leaves: what the client sends next is no longer beside it.
                self.in_flight -= 1
                self.served += 1
                self._changed.notify_all()
            if together:
                connection.send(answer(200, self.body))
            else:
                text = f"no more than {self.peak} of {self.parties} came at the same time"
                connection.send(answer(503, text.encode()))

    def _arrive(self) -> bool:
        """Wait for the others; True when they all came."""
        if self._given_up:
            return False
        if self._round and not self.rounds:
            return True
        mine = self._round
        self._waiting += 1
        if self._waiting == self.parties:
            self._waiting = 0
            self._round += 1
            self._changed.notify_all()
            return True
        met = self._changed.wait_for(
            lambda: self._round > mine or self._given_up or self.stopping.is_set(), self.patience
        )
        if not met:
            self._given_up = True
            self._changed.notify_all()
        return self._round > mine

    def stop(self) -> None:
        """Let go of all that wait, then stop."""
        with self._changed:
            self.stopping.set()
            self._changed.notify_all()
        super().stop()
