"""What an unsent request has in place of an answer: attributes that say so."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["NO_JSON", "RESPONSE_ATTRIBUTES", "ResponseAttribute"]

#: What is asked of a request by who forgot to send it.
RESPONSE_ATTRIBUTES: Final = (
    "content", "history", "iter_content", "iter_lines", "links", "ok", "raise_for_status",
    "reason", "status_code", "text",
)  # fmt: skip


class ResponseAttribute:
    """Says of what an answer has, that a request has none of it: it was not sent yet.

    A ``__getattr__`` would do the same, and make each look-up of what is there several times
    slower.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: str = name

    def __get__(self, request: Any, kind: type[Any]) -> Any:
        raise AttributeError(
            f"{kind.__name__!r} object has no attribute {self.name!r}: it is an unsent request."
            " Send it, with send() or reqkit_async.map(), and ask the response",
            name=self.name,
            obj=request,
        )


class NoJson:
    """Stands for the JSON that no request was given: as good as None, but for being called.

    Who forgot to send the request asks it, in place of its response, for ``json()``.
    """

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, NoJson)

    def __hash__(self) -> int:
        return hash(None)

    def __repr__(self) -> str:
        return "None"

    def __reduce__(self) -> str:
        return "NO_JSON"

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        raise TypeError(
            "json() of an unsent request: send it, with send() or reqkit_async.map(), and ask the"
            " response"
        )


NO_JSON: Final = NoJson()
