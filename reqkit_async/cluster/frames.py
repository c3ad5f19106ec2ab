"""Bytes between a caller and its workers: who is there, and where a message ends.

No sockets in here. Both sides prove that they know the run's key before either believes a byte of
the other: each answers the other's random challenge with a keyed hash of both. After that come
frames: a length, over networks a keyed hash of what was sent (with its number, so that nothing can
be left out, put in or sent twice), and the payload.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

__all__ = ["Framer", "Greeting", "NotOurs"]

#: What begins a greeting: the protocol and its version.
_MAGIC: Final = b"reqkit-run 1\n"
_NONCE: Final = 32
_PROOF: Final = 32
_MAC: Final = 16
_LENGTH: Final = struct.Struct(">Q")
#: No frame is longer: it would be no frame.
_LONGEST: Final = 1 << 40


class NotOurs(Exception):
    """Whoever is at the other end does not know the run's key, or what came was tampered with."""


class Greeting:
    """One side's part in the greeting.

    The caller speaks first (`challenge`), the worker answers (`answer`), the caller checks that
    and answers in turn (`confirm`), and the worker checks it (`check`).

    Args:
        key: the run's.
    """

    #: Bytes of each step.
    CHALLENGE: Final = len(_MAGIC) + _NONCE
    ANSWER: Final = _NONCE + _PROOF
    CONFIRMATION: Final = _PROOF

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._own = os.urandom(_NONCE)
        self._both = b""

    def challenge(self) -> bytes:
        """Return what the caller says first."""
        return _MAGIC + self._own

    def answer(self, challenge: bytes) -> bytes:
        """Return what the worker answers.

        Raises:
            NotOurs: it is no challenge.
        """
        if not challenge.startswith(_MAGIC):
            raise NotOurs("what answers there is no batch of reqkit's")
        self._both = challenge[len(_MAGIC) :] + self._own
        return self._own + self._proof(b"worker")

    def confirm(self, answer: bytes) -> bytes:
        """Check the worker's answer, and return what the caller says to that.

        Raises:
            NotOurs: it does not know the key.
        """
        self._both = self._own + answer[:_NONCE]
        if not hmac.compare_digest(answer[_NONCE:], self._proof(b"worker")):
            raise NotOurs("a worker that does not know the run's key")
        return self._proof(b"caller")

    def check(self, confirmation: bytes) -> None:
        """Check what the caller said to the worker's answer.

        Raises:
            NotOurs: it does not know the key.
        """
        if not hmac.compare_digest(confirmation, self._proof(b"caller")):
            raise NotOurs("a caller that does not know the run's key")

    def framer(self, caller: bool, signed: bool) -> Framer:
        """Return what makes and reads frames from now on.

        Args:
            caller: whether this side is the caller.
            signed: whether frames carry keyed hashes.
        """
        if not signed:
            return Framer()
        keys = self._proof(b"frames of the caller"), self._proof(b"frames of the worker")
        return Framer(*(keys if caller else keys[::-1]))

    def _proof(self, role: bytes) -> bytes:
        return blake2b(role + b"\0" + self._both, key=self._key, digest_size=_PROOF).digest()


class Framer:
    """Puts payloads into frames, and takes them out again.

    Args:
        own: the key of what is sent, where frames are signed.
        other: the key of what is received.
    """

    def __init__(self, own: bytes | None = None, other: bytes | None = None) -> None:
        self._own = own
        self._other = other
        self._sent = 0
        self._received = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._header = _LENGTH.size + (_MAC if other is not None else 0)

    def pack(self, payload: bytes) -> bytes:
        """Return a payload's frame."""
        length = _LENGTH.pack(len(payload))
        if self._own is None:
            return length + payload
        mac = _mac(self._own, self._sent, payload)
        self._sent += 1
        return length + mac + payload

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes that came, and yield the payloads that are whole by now.

        Raises:
            NotOurs: a frame is not the other side's, or not its next one.
        """
        self._parts.append(data)
        self._size += len(data)
        # Large ones come in very many pieces: they are joined once a frame may be whole.
        while self._size >= self._header and self._size >= self._wanted():
            whole = self._joined()
            (length,) = _LENGTH.unpack_from(whole)
            end = self._header + length
            if len(whole) < end:
                return
            payload = whole[self._header : end]
            self._parts = [whole[end:]] if end < len(whole) else []
            self._size = len(whole) - end
            if self._other is not None:
                mac = whole[_LENGTH.size : self._header]
                if not hmac.compare_digest(mac, _mac(self._other, self._received, payload)):
                    raise NotOurs("a frame that the other side did not send")
                self._received += 1
            yield payload

    def _wanted(self) -> int:
        """Return how many bytes the frame that begins here has."""
        head = self._parts[0]
        if len(head) < self._header:
            head = self._joined()
        (length,) = _LENGTH.unpack_from(head)
        if length > _LONGEST:
            raise NotOurs("what came is no frame")
        return self._header + int(length)

    def _joined(self) -> bytes:
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0]


def _mac(key: bytes, number: int, payload: bytes) -> bytes:
    hasher = blake2b(_LENGTH.pack(number), key=key, digest_size=_MAC)
    hasher.update(payload)
    return hasher.digest()
