"""Mappings that HTTP wants: header names without regard to case, and names for numbers."""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from .base.deferred import DeferredModule
from .base.slotted import Slotted

if TYPE_CHECKING:
    import difflib
else:
    difflib = DeferredModule("difflib")

__all__ = ["CaseInsensitiveDict", "LookupDict"]

_T = TypeVar("_T")

#: What is kept: the lower-case name, to the name as it was set last, and its value.
_Store = dict[str, tuple[str, str]]

#: Headers whose values never show in a repr (lower case).
SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})

#: The password in a URL, as Location and the like may have it: all that may be one.
_PASSWORD: Final = re.compile(r"(?<=//)[^/\s@]{0,1000}(?=@)")


def without_passwords(text: str) -> str:
    """Return a text in which what may be a password of a URL is hidden."""
    return _PASSWORD.sub("***", text)


class _Items(ItemsView[str, str]):
    """The pairs, straight from the store: its values are these pairs."""

    __slots__ = ()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        mapping = cast("CaseInsensitiveDict", self._mapping)  # type: ignore[attr-defined]
        return iter(mapping._store.values())


class _Values(ValuesView[str]):
    """The values, without one look-up for each."""

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        mapping = cast("CaseInsensitiveDict", self._mapping)  # type: ignore[attr-defined]
        return iter([value for _, value in mapping._store.values()])


class CaseInsensitiveDict(MutableMapping[str, str]):
    """A mapping of header names to values that finds a name in any case.

    Iterating gives each name as it was last set. Copying one, or updating one from another, is a
    single dict operation. A name may have several fields (`add`), which are read as one value,
    joined by commas; setting the name, or deleting it, replaces all of them.

    Args:
        data: a mapping, or pairs; None is the same as nothing.
        **named: more names and values.

    Source: RFC 9110 section 5.1 (field names are case-insensitive)
    """

    __slots__ = ("_pairs", "_several", "_store")

    _store: _Store
    #: All fields of those names that have more than one; None where there are no such names.
    _several: dict[str, tuple[tuple[str, str], ...]] | None
    #: What `pairs` returned, until something changes.
    _pairs: tuple[tuple[str, str], ...] | None

    def __init__(
        self,
        data: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        **named: str,
    ) -> None:
        self._store = {}
        self._several = None
        self._pairs = None
        if data is not None:
            self.update(data)
        if named:
            self.update(named)

    @classmethod
    def of_pairs(cls, pairs: Iterable[tuple[str, str]]) -> CaseInsensitiveDict:
        """Return a dictionary of names and values that are sound already."""
        made = cls()
        given = tuple(pairs)
        made._store = {pair[0].lower(): pair for pair in given}
        if len(made._store) != len(given):
            made._store = {}
            for name, value in given:
                made.add(name, value)
        return made

    def add(self, name: str, value: str) -> None:
        """Set one more field of a name, beside those that are there (RFC 9110 section 5.3)."""
        name = _plain(name)
        lower = name.lower()
        first = self._store.get(lower)
        if first is None:
            self[name] = value
            return
        self._pairs = None
        if self._several is None:
            self._several = {}
        fields = (*self._several.get(lower, (first,)), (name, value))
        self._several[lower] = fields
        joint = "; " if lower == "cookie" else ", "
        self._store[lower] = (first[0], joint.join([one for _, one in fields]))

    def get_all(self, name: str) -> list[str]:
        """Return the values of all fields of a name, in their order."""
        lower = _plain(name).lower()
        if self._several is not None and lower in self._several:
            return [value for _, value in self._several[lower]]
        return [self._store[lower][1]] if lower in self._store else []

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return names and values, as a key for what is made of them: the same until a change."""
        pairs = self._pairs
        if pairs is None:
            several = self._several
            if several:
                pairs = tuple(
                    [
                        pair
                        for lower, first in self._store.items()
                        for pair in several.get(lower, (first,))
                    ]
                )
            else:
                pairs = tuple(self._store.values())
            self._pairs = pairs
        return pairs

    def __getitem__(self, name: str) -> str:
        return self._store[name.lower()][1]

    def __setitem__(self, name: str, value: str) -> None:
        self._pairs = None
        if type(name) is not str:
            name = _plain(name)
        lower = name.lower()
        if self._several:
            self._several.pop(lower, None)
        self._store[lower] = (name, value)

    def __delitem__(self, name: str) -> None:
        self._pairs = None
        lower = name.lower()
        if self._several:
            self._several.pop(lower, None)
        del self._store[lower]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._store

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._store.values()])

    def __len__(self) -> int:
        return len(self._store)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        if not isinstance(other, CaseInsensitiveDict):
            if not all(isinstance(name, str) for name in other):
                return False
            other = CaseInsensitiveDict(other)
        return dict(self.lower_items()) == dict(other.lower_items())

    def __or__(self, other: Mapping[str, str]) -> CaseInsensitiveDict:
        if not isinstance(other, Mapping):
            return NotImplemented
        merged = self.copy()
        merged.update(other)
        return merged

    def __ror__(self, other: Mapping[str, str]) -> CaseInsensitiveDict:
        if not isinstance(other, Mapping):
            return NotImplemented
        merged = type(self)(other)
        merged.update(self)
        return merged

    def __ior__(self, other: Mapping[str, str] | Iterable[tuple[str, str]]) -> CaseInsensitiveDict:
        self.update(other)
        return self

    def __repr__(self) -> str:
        return repr(dict(self.masked()))

    def masked(self) -> CaseInsensitiveDict:
        """Return a copy that may be shown: without passwords, tokens and cookies."""
        return CaseInsensitiveDict.of_pairs(
            (name, "***" if lower in SECRET_HEADERS else _PASSWORD.sub("***", value))
            for lower, (name, value) in self._store.items()
        )

    def __reduce__(self) -> tuple[Any, ...]:
        if self._several:
            return _of_pairs, (type(self), self.pairs())
        return type(self), (tuple(self._store.values()),)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name, or the default."""
        found = self._store.get(name.lower())
        return default if found is None else found[1]

    def items(self) -> ItemsView[str, str]:
        """Return a view of the names, as they were last set, and values."""
        return _Items(self)

    def values(self) -> ValuesView[str]:
        """Return a view of the values."""
        return _Values(self)

    def lower_items(self) -> Iterator[tuple[str, str]]:
        """Iterate over the names in lower case and their values."""
        return ((lower, value) for lower, (_, value) in self._store.items())

    def update(self, other: Any = (), /, **named: str) -> None:
        """Set all that another mapping, or pairs, hold; the case of the names given wins."""
        self._pairs = None
        if isinstance(other, CaseInsensitiveDict):
            if self._several:
                for lower in other._store:
                    self._several.pop(lower, None)
            self._store.update(other._store)
            if other._several:
                self._several = {**(self._several or {}), **other._several}
        elif isinstance(other, Mapping):
            for name, value in other.items():
                self[name] = value
        elif hasattr(other, "keys"):
            for name in other.keys():  # noqa: SIM118 - no Mapping: only keys() is promised
                self[name] = other[name]
        else:
            for name, value in other:
                self[name] = value
        for name, value in named.items():
            self[name] = value

    def clear(self) -> None:
        """Remove everything."""
        self._pairs = self._several = None
        self._store.clear()

    def copy(self) -> CaseInsensitiveDict:
        """Return a copy that changes by itself."""
        made = self.__class__.__new__(self.__class__)
        made._store = self._store.copy()
        made._several = None if self._several is None else self._several.copy()
        made._pairs = self._pairs
        return made

    __copy__ = copy


def _plain(name: str) -> str:
    """Return a name as it is, whatever a class of the user's says of it; anything else likewise."""
    return str.__str__(name) if isinstance(name, str) else name


def _of_pairs(
    kind: type[CaseInsensitiveDict], pairs: tuple[tuple[str, str], ...]
) -> CaseInsensitiveDict:
    return kind.of_pairs(pairs)


class LookupDict(Slotted, dict[str, int]):
    """Numbers by name, as items and as attributes.

    A name that is not there is None as an item, and an `AttributeError` that suggests the nearest
    one as an attribute.

    Args:
        name: what the names are for; shown in the repr.
    """

    __slots__ = ("name",)

    name: str

    def __init__(self, name: str = "") -> None:
        super().__init__()
        object.__setattr__(self, "name", name)

    def __repr__(self) -> str:
        return f"<lookup {self.name!r}>"

    def __missing__(self, name: str) -> None:
        return None

    def __getattr__(self, name: str) -> int:
        found = self.get(name)
        if found is not None:
            return found
        # Names with underscores in front are what copy, pickle and inspect ask every object for;
        # they ask one that is not filled in yet, too.
        if name.startswith("_") or name == "name":
            raise AttributeError(name)
        near = difflib.get_close_matches(name, self, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"{self!r} has no {name!r}{hint}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "name":
            object.__setattr__(self, name, value)
        else:
            self[name] = value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name in self if name.isidentifier())})
