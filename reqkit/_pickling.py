"""What can be pickled: the rest stays behind where answers and errors travel."""

from __future__ import annotations

import contextvars
import pickle
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["can_be_pickled", "portable_chain", "portable_values", "with_causes"]

_PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes))


def can_be_pickled(value: Any) -> bool:
    """Tell whether a value can be pickled. Tries to, unless it is a plain one."""
    if type(value) in _PLAIN:
        return True
    try:
        pickle.dumps(value, 5)
    except Exception:  # a `__reduce__` of anybody's may raise anything
        return False
    return True


def portable_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of some named values can be pickled."""
    return {name: value for name, value in values.items() if can_be_pickled(value)}


#: The errors whose causes are looked at just now.
_looked_at: contextvars.ContextVar[frozenset[int]] = contextvars.ContextVar(
    "reqkit_looked_at", default=frozenset()
)


def portable_chain(error: BaseException) -> list[BaseException]:
    """Return the causes of an error, each that of the one before.

    One that cannot be pickled has a ``RuntimeError`` in its place, with its class's name and text.
    """
    before = _looked_at.get()
    if id(error) in before:
        # Others (tblib, for distributed) pickle contexts as well, which lead back to where a chain
        # began.
        return []
    token = _looked_at.set(before | {id(error)})
    try:
        return _chain_of(error)
    finally:
        _looked_at.reset(token)


def _chain_of(error: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    seen = {id(error)}
    cause = error.__cause__
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        # What could not be encoded, it carries: a secret, maybe.
        if not isinstance(cause, UnicodeError) and can_be_pickled(cause):
            causes.append(cause)
            if hasattr(cause, "_known"):
                break  # one of ours brings its own causes
        else:
            causes.append(RuntimeError(f"{type(cause).__qualname__}: {cause}"))
        cause = cause.__cause__
    return causes


def with_causes(error: BaseException, causes: Iterable[BaseException]) -> None:
    """Have an error be caused as `portable_chain` has said."""
    for cause in causes:
        error.__cause__ = cause
        error = cause
