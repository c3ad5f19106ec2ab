"""What can be pickled: the rest stays behind where answers and errors travel."""

from __future__ import annotations

import contextvars
import copyreg
import io
import pickle
import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final

__all__ = [
    "PackedError", "PickledAlone", "can_be_pickled", "pack_error", "portable_chain",
    "portable_values", "unpack_error", "with_causes",
]  # fmt: skip

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


#: An error pickled by itself, or None where it cannot be, and its class's name and text.
PackedError = tuple["bytes | None", str]


class _Alone(pickle.Pickler):
    """Pickles errors as they are by themselves, whatever is registered for them.

    tblib, which Dask imports, has all exceptions there are bring along their causes, contexts and
    tracebacks: what cannot be pickled, and what nobody was to see.
    """

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, BaseException):
            return value.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        return NotImplemented


def pack_error(error: BaseException) -> PackedError:
    """Return an error as it is pickled, whoever's it is: without its causes."""
    text = f"{type(error).__qualname__}: {error}"
    file = io.BytesIO()
    try:
        _Alone(file, pickle.HIGHEST_PROTOCOL).dump(error)
    except Exception:  # a `__reduce__` of anybody's may raise anything
        return None, text
    return file.getvalue(), text


def unpack_error(packed: PackedError, otherwise: type[BaseException] = RuntimeError) -> Any:
    """Return an error as it was packed; one with its text in its place where that cannot be."""
    pickled, text = packed
    if pickled is not None:
        try:
            error = pickle.loads(pickled)
        except Exception:  # its class may be unknown here, or take other arguments than its own
            error = None
        if isinstance(error, BaseException):
            return error
    return otherwise(text)


#: The errors whose causes are looked at just now.
_looked_at: contextvars.ContextVar[frozenset[int]] = contextvars.ContextVar(
    "reqkit_looked_at", default=frozenset()
)


def portable_chain(error: BaseException) -> list[PackedError]:
    """Return the causes of an error, each that of the one before."""
    before = _looked_at.get()
    if id(error) in before:
        return []  # a chain that leads back to where it began
    token = _looked_at.set(before | {id(error)})
    try:
        return _chain_of(error)
    finally:
        _looked_at.reset(token)


def _chain_of(error: BaseException) -> list[PackedError]:
    causes: list[PackedError] = []
    seen = {id(error)}
    cause = error.__cause__
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        packed = pack_error(cause)
        if isinstance(cause, UnicodeError):
            packed = None, packed[1]  # what could not be encoded, it carries: a secret, maybe
        causes.append(packed)
        if packed[0] is not None and isinstance(cause, PickledAlone):
            break  # one of ours brings its own causes
        cause = cause.__cause__
    return causes


def with_causes(error: BaseException, causes: Iterable[PackedError]) -> None:
    """Have an error be caused as `portable_chain` has said."""
    for packed in causes:
        error.__cause__ = cause = unpack_error(packed)
        error = cause


def _reads_for_pickling(error: BaseException) -> bool:
    """Tell whether who asks the caller is what others have registered to pickle such errors."""
    reducer: Any = copyreg.dispatch_table.get(type(error))
    code = getattr(reducer, "__code__", None)
    return code is not None and sys._getframe(2).f_code is code


def _unseen(name: str) -> Any:
    """Return an attribute of exceptions that what others have registered to pickle them sees not.

    Their own `__reduce__` has said all that is to travel.
    """
    real: Any = getattr(BaseException, name)

    def get(error: BaseException) -> Any:
        return None if _reads_for_pickling(error) else real.__get__(error)

    def put(error: BaseException, value: Any) -> None:
        real.__set__(error, value)

    return property(get, put)


class PickledAlone:
    """The root of errors that are pickled as they say by themselves, whatever is installed."""

    __slots__ = ()

    __cause__: BaseException | None = _unseen("__cause__")
    __context__: BaseException | None = _unseen("__context__")
    __traceback__: TracebackType | None = _unseen("__traceback__")
