"""What `config` may say: checked when it is given, and read at once."""

from __future__ import annotations

import copyreg
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from .._version import __version__
from ..base.deferred import DeferredModule
from ..base.locks import native_rlock
from ..base.redact import redacted
from ..exceptions import ConfigError
from ..structures import CaseInsensitiveDict
from .content.decoders import accepted_encodings
from .headers import merge_headers

if TYPE_CHECKING:
    import difflib
else:
    difflib = DeferredModule("difflib")

__all__ = ["STDERR", "Config", "Settings", "base_headers"]


class _Stderr:
    """Standard error, whatever it is when something is written."""

    __slots__ = ()

    def write(self, text: str) -> None:
        if sys.stderr is not None:
            sys.stderr.write(text)

    def __repr__(self) -> str:
        return "True"

    def __reduce__(self) -> str:
        return "STDERR"


STDERR: Final[Any] = _Stderr()

#: Held while a key is set, and while all are read: what another thread sets meanwhile is not lost.
_changing: Final[Any] = native_rlock()


def base_headers() -> CaseInsensitiveDict:
    """Return the headers that are sent unless overridden."""
    return CaseInsensitiveDict(
        {
            "User-Agent": f"reqkit/{__version__}",
            "Accept-Encoding": accepted_encodings(),
            "Accept": "*/*",
        }
    )


_FLAGS: Final = (
    "keep_alive",
    "danger_mode",
    "safe_mode",
    "encode_uri",
    "store_cookies",
    "trust_env",
    "strict",
)


_DEFAULTS: Final[dict[str, Any]] = {
    "base_headers": None,
    "verbose": None,
    "trace": None,
    "max_redirects": 30,
    "keep_alive": True,
    "max_retries": 0,
    "danger_mode": False,
    "safe_mode": False,
    "pool_connections": 100,
    "pool_maxsize": 10,
    "encode_uri": True,
    "store_cookies": True,
    "trust_env": True,
    "strict": False,
    "max_content_size": None,
    "retry_after_max": 300.0,
    "http2": "auto",
}


def _whole(name: str, value: Any, least: int, or_none: bool = False) -> Any:
    if or_none and value is None:
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(
            f"config[{name!r}] is {redacted(value)}: expected a whole number of {least} or more"
            + (", or None" if or_none else "")
        )
    return value


def _check(name: Any, value: Any) -> Any:
    """Return the value that a key takes.

    Raises:
        ConfigError: the key is not known, or cannot take the value.
    """
    if name in _FLAGS:
        if value not in (True, False):
            raise ConfigError(f"config[{name!r}] is {redacted(value)}: expected True or False")
        return bool(value)
    if name == "base_headers":
        if value is not None and not isinstance(value, Mapping):
            raise ConfigError(f"config['base_headers'] is {redacted(value)}: expected a dictionary")
        return merge_headers(base_headers(), value)
    if name in ("verbose", "trace"):
        if value is True or value is False or value is None:
            return STDERR if value else None
        if not hasattr(value, "write"):
            raise ConfigError(
                f"config[{name!r}] is {redacted(value)}: expected a stream with a write method,"
                " True (standard error), or None"
            )
        return value
    if name == "max_retries":
        if value is False:  # as requests' adapters take it
            return 0
        if hasattr(value, "increment"):  # a urllib3 Retry
            return value
        return _whole(name, value, 0)
    if name in ("max_redirects", "pool_maxsize", "pool_connections"):
        return _whole(name, value, 0 if name == "max_redirects" else 1)
    if name == "http2":
        if value not in (True, False, "auto", "prior"):
            raise ConfigError(
                f"config['http2'] is {redacted(value)}: expected 'auto', True, False, or 'prior'"
                " (without TLS, by a server that is known to speak it)"
            )
        return value if isinstance(value, str) else bool(value)
    if name == "retry_after_max":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise ConfigError(
                f"config['retry_after_max'] is {redacted(value)}: expected seconds, a number of 0"
                " or more"
            )
        return value
    if name == "max_content_size":
        return _whole(name, value, 0, or_none=True)
    near = difflib.get_close_matches(str(name), list(_DEFAULTS), 1)
    hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(_DEFAULTS)}"
    raise ConfigError(f"there is no config key {name!r}: {hint}")


class Settings:
    """A `Config` to be read: an item of a dictionary's subclass costs many times an attribute."""

    __slots__ = tuple(_DEFAULTS)

    base_headers: CaseInsensitiveDict
    verbose: Any
    trace: Any
    max_redirects: int
    keep_alive: bool
    max_retries: Any
    danger_mode: bool
    safe_mode: bool
    pool_connections: int
    pool_maxsize: int
    encode_uri: bool
    store_cookies: bool
    trust_env: bool
    strict: bool
    max_content_size: int | None
    retry_after_max: float
    http2: bool | str

    def __init__(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            setattr(self, name, value)


class Config(dict[str, Any]):
    """The settings of a session or a call; a wrong key or value is a `ConfigError` at once.

    ``base_headers`` given are merged with the defaults; None as a value removes one.
    """

    __slots__ = ("_settings",)
    __module__ = "reqkit.models"

    _settings: Settings | None

    def __init__(self, given: Mapping[str, Any] | None = None) -> None:
        self._settings = None
        super().__init__(_DEFAULTS)
        dict.__setitem__(self, "base_headers", base_headers())
        if given:
            if not isinstance(given, Mapping):
                raise ConfigError(f"config is {redacted(given)}: expected a dictionary")
            self.update(given)

    def settings(self) -> Settings:
        """Return what counts now, to be read and not to be kept: the same until a change."""
        settings = self._settings
        if settings is None:
            with _changing:
                settings = self._settings = Settings(self)
        return settings

    def __setitem__(self, name: str, value: Any) -> None:
        checked = _check(name, value)
        with _changing:
            dict.__setitem__(self, name, checked)
            self._settings = None

    def __delitem__(self, name: str) -> None:
        """Set a key back to its default."""
        self[name] = _DEFAULTS.get(name)

    def update(self, *others: Any, **named: Any) -> None:
        """Set several at once, with the checks of setting one."""
        for name, value in dict(*others, **named).items():
            self[name] = value

    def __ior__(self, other: Any) -> Config:  # type: ignore[override,misc]
        self.update(other)
        return self

    def clear(self) -> None:
        """Set all keys back to their defaults."""
        for name in _DEFAULTS:
            del self[name]

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return the value of a key: each has one."""
        if name not in self:
            self[name] = default
        return self[name]

    def pop(self, name: str, *default: Any) -> Any:
        """Return a key's value and set it back to its default."""
        value = self[name]
        del self[name]
        return value

    def copy(self) -> Config:
        """Return a copy."""
        copied = Config.__new__(Config)
        copied.__setstate__(self)
        dict.__setitem__(copied, "base_headers", self["base_headers"].copy())
        return copied

    def merged(self, given: Mapping[str, Any] | None) -> Config:
        """Return these settings with a call's on top; a None value sets a key's default."""
        if not given:
            return self
        if not isinstance(given, Mapping):
            raise ConfigError(f"config is {redacted(given)}: expected a dictionary")
        merged = self.copy()
        for name, value in given.items():
            if name == "base_headers" and isinstance(value, Mapping):
                headers = merge_headers(merged["base_headers"], value)
                dict.__setitem__(merged, name, headers)
                merged._settings = None
            elif value is None and name in _DEFAULTS:
                del merged[name]
            else:
                merged[name] = value
        return merged

    def __reduce__(self) -> tuple[Any, ...]:
        # Not item by item: the values have been checked.
        return copyreg.__newobj__, (type(self),), dict(self)  # type: ignore[attr-defined]

    def __setstate__(self, values: dict[str, Any]) -> None:
        self._settings = None
        dict.update(self, values)
