"""What travels between a caller and its workers, and what cannot.

Most requests are a method and a URL, and most entries a plain answer: they go as tuples of plain
values. All else is pickled, each by itself, so that one that cannot be harms no other. Sessions and
functions (hooks, auth, callbacks) are pickled once for a run, and known by a number from then on.

To pickle and to unpickle runs code of the user's, which may raise anything: so `Exception` is what
is caught here, and its text goes into an error that names what could not travel.
"""

from __future__ import annotations

import io
import pickle
import types
from collections.abc import Callable
from typing import Any, Final

from reqkit import Request, Response, Session
from reqkit.exceptions import UnpicklableError
from reqkit.message.request import NO_ARGUMENTS
from reqkit.message.response import restored
from reqkit.sessions.unsent import plain_request

__all__ = ["Packer", "Unpacker", "pack_entry", "pickled", "unpack_entry"]

#: Sessions and functions that are known by numbers, at most: a batch may have a closure for each
#: request.
_MOST_SHARED: Final = 500
_FUNCTIONS: Final = (types.FunctionType, types.MethodType)


def _cloudpickle() -> Any:
    try:
        import cloudpickle
    except ImportError:
        return None
    return cloudpickle


def pickled(thing: Any, by_value: bool = False) -> bytes:
    """Pickle anything; by cloudpickle, where it is installed, what pickle itself cannot.

    Args:
        thing: what is pickled.
        by_value: whether functions of ``__main__`` are to go as they are, not as names: the other
            side's ``__main__`` is another program.

    Raises:
        Exception: whatever went wrong.
    """
    if not by_value:
        try:
            return pickle.dumps(thing, 5)
        except Exception as error:
            cloudpickle = _cloudpickle()
            if cloudpickle is None:
                raise
            try:
                return bytes(cloudpickle.dumps(thing, 5))
            except Exception:
                raise error from None
    cloudpickle = _cloudpickle()
    return pickle.dumps(thing, 5) if cloudpickle is None else bytes(cloudpickle.dumps(thing, 5))


class Packer:
    """The caller's side: requests become messages.

    Args:
        by_value: as in `pickled`.

    Attributes:
        shared: what is known by numbers, pickled.
    """

    def __init__(self, by_value: bool) -> None:
        self.shared: list[bytes] = []
        self._by_value = by_value
        self._numbers: dict[Any, int | None] = {}
        #: So that what is known by its address stays there.
        self._kept: list[Any] = []
        #: Kinds of picklers, by what they are made of.
        self._kinds: dict[Any, Any] = {}

    def pack(self, request: Any) -> tuple[tuple[Any, ...], set[int] | None]:
        """Return what a worker can make the request of, and the numbers of what that is shared.

        Raises:
            UnpicklableError: it cannot travel; the text says which part of it, and why.
        """
        session = request.session
        if request._arguments is NO_ARGUMENTS and type(request) is Request and not request.__dict__:
            url, method = request.url, request.method
            if type(url) is str and type(method) is str:
                if session is None:
                    return (method, url), None
                number = self.number_of(session)
                if number is not None:
                    return (method, url, number), {number}
        used: set[int] = set()
        try:
            state, arguments = request.__reduce__()[2]
            # It stays with the caller.
            arguments.pop("exception_handler", None)
            return (self._pickled((type(request), state, arguments), used),), used
        except Exception as error:
            try:
                explained = self._explained(request, error)
            except Exception:  # objects of the user's may not even let themselves be looked at
                explained = cannot_travel("a request", error)
            raise explained from error

    def number_of(self, thing: Any, always: bool = False) -> int | None:
        """Return the number that workers know something by; None for what has none.

        Args:
            thing: what is known.
            always: have it known, however much is known already.

        Raises:
            Exception: it cannot be pickled.
        """
        key: Any = id(thing)
        if type(thing) is types.MethodType:
            # Each look-up makes a new one.
            key = id(thing.__self__), id(thing.__func__)
        try:
            return self._numbers[key]
        except KeyError:
            pass
        if len(self._kept) >= _MOST_SHARED and not always:
            return None
        blob = pickled(thing, self._by_value)
        number = self._numbers[key] = len(self.shared)
        self._kept.append(thing)
        self.shared.append(blob)
        return number

    def _pickled(self, thing: Any, used: set[int]) -> bytes:
        cloudpickle = _cloudpickle()
        if self._by_value and cloudpickle is not None:
            return self._pickled_by(cloudpickle.Pickler, thing, used)
        try:
            return self._pickled_by(pickle.Pickler, thing, used)
        except Exception as error:
            if cloudpickle is None:
                raise
            try:
                return self._pickled_by(cloudpickle.Pickler, thing, used)
            except Exception:
                raise error from None

    def _pickled_by(self, base: Any, thing: Any, used: set[int]) -> bytes:
        kind = self._kinds.get(base)
        if kind is None:
            kind = self._kinds[base] = _sharing(base, self.number_of)
        file = io.BytesIO()
        pickler = kind(file, 5)
        pickler.used = used
        pickler.dump(thing)
        return file.getvalue()

    def _explained(self, request: Any, error: Exception) -> UnpicklableError:
        """Return the error that names what cannot travel."""
        parts = {"session": request.session, **vars(request)}
        for name in type(request._arguments).__slots__:
            parts[name] = getattr(request._arguments, name)
        for name, value in parts.items():
            if value is None or name == "exception_handler":
                continue
            try:
                self._pickled(value, set())
            except Exception as reason:
                return cannot_travel(
                    f"{request.describe()}: its {name} ({_name_of(value)})", reason
                )
        return cannot_travel(request.describe(), error)


_SHARED: Final = (*_FUNCTIONS, Session)


def _sharing(base: Any, number_of: Callable[[Any], int | None]) -> Any:
    """Return a kind of pickler that has numbers for sessions and functions."""

    class Pickler(base):  # type: ignore[misc]
        used: set[int]

        def persistent_id(self, obj: Any) -> int | None:
            if not isinstance(obj, _SHARED):
                return None
            number = number_of(obj)
            if number is not None:
                self.used.add(number)
            return number

    return Pickler


def cannot_travel(what: str, reason: Exception) -> UnpicklableError:
    """Return the error of what cannot travel."""
    hint = (
        "" if _cloudpickle() is not None else ", or install cloudpickle if it is a function of"
        " __main__, a lambda or a closure"
    )  # fmt: skip
    return UnpicklableError(
        f"{what} cannot be pickled, and so not travel between the batch and its workers"
        f" ({type(reason).__name__}: {reason}); give what pickles instead{hint}"
    )


def _name_of(thing: Any, depth: int = 3) -> str:
    """Return what something is called, or else its type: a value may hold a secret."""
    if depth and isinstance(thing, dict):
        thing = [value for value in thing.values() if not _is_nothing(value)]
    if depth and isinstance(thing, (list, tuple)):
        names = ", ".join(_name_of(one, depth - 1) for one in thing[:3])
        return names or type(thing).__name__
    name = getattr(thing, "__qualname__", None)
    return str(name) if name is not None else f"a {type(thing).__name__}"


def _is_nothing(value: Any) -> bool:
    # Not by its truth: an array, say, has none.
    return value is None or (isinstance(value, (list, tuple, dict)) and not value)


class _Unknown:
    """Stands for what a worker could not unpickle."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Unpacker:
    """The worker's side: messages become requests."""

    def __init__(self) -> None:
        self._shared: dict[int, Any] = {}

    def add(self, number: int, blob: bytes) -> None:
        """Take what is known by a number from now on."""
        try:
            self._shared[number] = pickle.loads(blob)
        except Exception as error:
            self._shared[number] = _Unknown(error)

    def unpack(self, packed: tuple[Any, ...]) -> Request:
        """Return the request.

        Raises:
            UnpicklableError: it cannot be made here: a module that is not installed, say.
        """
        if len(packed) == 2:
            return plain_request(packed[0], packed[1], None)
        try:
            if len(packed) == 3:
                return plain_request(packed[0], packed[1], self.known(packed[2]))
            kind, state, arguments = _unpickled_by(self.known, packed[0])
            request = kind.__new__(kind)
            request.__setstate__((state, arguments))
        except Exception as error:
            raise UnpicklableError(
                "the request, or something of it, cannot be unpickled in the worker"
                f" ({type(error).__name__}: {error}): what travels by name must be importable"
                " there; install what is missing, or cloudpickle for functions of __main__"
            ) from error
        assert isinstance(request, Request)
        return request

    def known(self, number: int) -> Any:
        """Return what is known by a number.

        Raises:
            Exception: it could not be unpickled.
        """
        thing = self._shared[number]
        if isinstance(thing, _Unknown):
            raise thing.error
        return thing


def _unpickled_by(known: Callable[[int], Any], blob: bytes) -> Any:
    class Unpickler(pickle.Unpickler):
        def persistent_load(self, number: Any) -> Any:
            return known(number)

    return Unpickler(io.BytesIO(blob)).load()


class _Same:
    """Stands for the context of a request, which its caller has."""

    def __reduce__(self) -> str:
        return "SAME"


SAME: Final = _Same()


def pack_entry(entry: Any, context: Any = None) -> Any:
    """Return what the caller can make an entry of: a tuple for plain answers, else bytes.

    Args:
        entry: the entry.
        context: its request's, which does not travel back.

    Raises:
        UnpicklableError: it cannot travel.
    """
    if context is not None and isinstance(entry, Response):
        _change_context(entry, context, SAME)
    if type(entry) is Response:
        packed = entry._packed()
        if packed[-1] is None:
            return packed
    try:
        return pickled(entry)
    except Exception as error:
        raise cannot_travel(f"what a response hook returned ({_name_of(entry)})", error) from error


def _change_context(entry: Response, before: Any, after: Any) -> None:
    for response in (*entry.history, entry):
        if getattr(response.request, "context", None) is before:
            response.request.context = after
        if response.__dict__.get("_context") is before:
            response.context = after


def unpack_entry(packed: Any, context: Any = None) -> Any:
    """Return the entry.

    Args:
        packed: what `pack_entry` has returned.
        context: the request's.

    Raises:
        UnpicklableError: it cannot be made here.
    """
    try:
        entry = restored(packed) if type(packed) is tuple else pickle.loads(packed)
        if context is not None and isinstance(entry, Response):
            _change_context(entry, SAME, context)
        return entry
    except Exception as error:
        raise UnpicklableError(
            "what a response hook returned in a worker cannot be unpickled here"
            f" ({type(error).__name__}: {error})"
        ) from error
