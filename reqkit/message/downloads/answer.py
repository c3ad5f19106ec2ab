"""What a download needs of a response, and whether it is the file that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from ...exceptions import HTTPError
from ..headers import announced_length
from ..urls import without_secrets
from .ranges import Asked, content_range

__all__ = ["Answer", "announced", "check_is_file", "headers_sent", "is_encoded", "method_of"]

#: Answers without the file in them: no content, and all that point or refer elsewhere.
_WITHOUT_FILE: Final = frozenset((204, 205, 207, 208))


class Answer(Protocol):
    """What a download needs of a response."""

    url: str | None
    status_code: int | None
    reason: str | None
    error: Exception | None
    request: Any
    connection: Any

    @property
    def headers(self) -> Mapping[str, str]:
        """The head's fields, without regard to case."""

    @property
    def history(self) -> list[Any]:
        """The redirects on the way, oldest first."""

    @history.setter
    def history(self, value: list[Any]) -> None: ...

    @property
    def is_redirect(self) -> bool:
        """Whether it can be followed."""

    @property
    def was_decoded(self) -> bool:
        """Whether the body was read and decoded already."""

    def look_ahead(self, size: int) -> bytes:
        """Return how the body begins, still encoded, without reading it."""

    def iter_whole(self, decode: bool) -> Iterator[bytes]:
        """Yield the body, decoded or as it came."""

    def raise_for_status(self) -> None:
        """Raise where the status is an error."""

    def close(self) -> None:
        """Let go of the connection."""


def check_is_file(response: Answer, asked: Asked | None) -> None:
    """Raise for an answer that is not what was asked for.

    Raises:
        HTTPError: likewise.
    """
    response.raise_for_status()
    status = response.status_code or 0
    why = ""
    if method_of(response) == "HEAD":
        why = "the answer to a HEAD has no body"
    elif status in _WITHOUT_FILE or 300 <= status < 400 or status >= 600:
        # RFC 9110 section 15: what is no status is to be taken for a 5xx.
        why = "that is not the file"
    elif status == 206:
        found = content_range(response.headers.get("content-range"))
        if found is None or found.first is None:
            why = "it does not say which part of the file it has"
        elif asked is None and not found.is_whole:
            why = "it has a part of the file, and nobody asked for a part"
        elif asked is not None and not asked.fits(found):
            why = f"it has another part of the file than was asked for ({asked.text})"
    if why:
        response.close()
        raise HTTPError(
            f"{without_secrets(response.url or '')}: {status} {response.reason or ''}".rstrip()
            + f": {why}; nothing was written",
            request=response.request,
            response=response,
        )


def announced(response: Answer, offset: int, decodes: bool) -> int | None:
    """Return the size that the file is to have, where the answer tells it."""
    found = content_range(response.headers.get("content-range"))
    if response.status_code == 206 and found is not None and found.first is not None:
        if offset:
            return found.size
        assert found.last is not None
        return None if decodes else found.last - found.first + 1
    if decodes:
        return None  # the length is the encoded body's
    headers = response.headers
    told = headers.get("content-length", "").partition(",")[0].strip()
    length = announced_length(told, headers.get("transfer-encoding"))
    return None if length is None else offset + length


def is_encoded(response: Answer) -> bool:
    """Tell whether a body has a Content-Encoding."""
    coding: str = response.headers.get("content-encoding", "identity")
    return coding.strip().lower() not in ("identity", "")


def method_of(response: Answer) -> str:
    """Return the method that was sent."""
    request = response.request
    return "GET" if request is None else request.method or "GET"


def headers_sent(response: Answer) -> Mapping[str, str]:
    """Return the fields that were sent."""
    request = response.request
    return {} if request is None else request.headers
