"""The keywords of every call, and how what a call gives is merged with its session's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..base.deferred import DeferredModule
from .multimapping import pairs_of

if TYPE_CHECKING:
    import difflib
else:
    difflib = DeferredModule("difflib")

__all__ = [
    "KEYWORDS",
    "METHOD_KEYWORDS",
    "UNSET",
    "merge",
    "unknown",
]


class _Unset:
    """Nothing given: not even None."""

    __slots__ = ()
    __module__ = "reqkit.models"

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "UNSET"


UNSET: Final[Any] = _Unset()


#: The keywords of every call.
KEYWORDS: Final = (
    "params",
    "data",
    "json",
    "headers",
    "cookies",
    "files",
    "auth",
    "timeout",
    "allow_redirects",
    "proxies",
    "hooks",
    "verify",
    "cert",
    "config",
    "prefetch",
    "stream",
    "context",
    "return_response",
    "session",
)


#: The same for a session's methods.
METHOD_KEYWORDS: Final = KEYWORDS[:-1]


def unknown(function: str, names: Iterable[str], known: Iterable[str] = KEYWORDS) -> TypeError:
    """Return the error for keywords that a function does not take."""
    known = tuple(known)
    texts = []
    for name in names:
        near = difflib.get_close_matches(name, known, 1)
        texts.append(repr(name) + (f" (did you mean {near[0]!r}?)" if near else ""))
    return TypeError(
        f"{function}() got an unexpected keyword argument: {', '.join(texts)};"
        f" the keywords are {', '.join(known)}"
    )


_M = TypeVar("_M")


def merge(own: Any, given: Any) -> Any:
    """Merge a session's dictionary with a call's: the call's value wins, None leaves a key out.

    What is no mapping (a query as a str, say) takes the session's place. Neither is changed.

    Raises:
        TypeError, ValueError: the call's is neither a mapping, nor pairs, nor text.
    """
    if not own:
        # One by one: what a class of the user's says of being equal to None is no matter.
        if isinstance(given, Mapping) and any(value is None for value in given.values()):
            return {key: value for key, value in given.items() if value is not None}
        return given
    if given is None:
        return {k: v for k, v in own.items() if v is not None} if isinstance(own, Mapping) else own
    if not isinstance(own, Mapping):
        return given
    if isinstance(given, (str, bytes, bytearray)):
        return given
    if not isinstance(given, Mapping):
        pairs = pairs_of(given, "params")
        names = {pair[0] for pair in pairs}
        kept = [(k, v) for k, v in own.items() if k not in names and v is not None]
        return kept + [pair for pair in pairs if pair[1] is not None]
    merged = {**own, **given}
    return {key: value for key, value in merged.items() if value is not None}
