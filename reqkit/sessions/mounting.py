"""Which adapter a message goes through: the one mounted for the longest prefix of its URL."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

from ..adapters import BaseAdapter, HTTPAdapter
from ..base.hostnames import ascii_name
from ..exceptions import InvalidSchema
from ..message.urls import Target, suggestion, without_secrets
from .defaults import FIRST_TIME
from .merging import Merging

__all__ = ["Mounting"]


@lru_cache(maxsize=256)
def _as_sent(prefix: str) -> str:
    """Return a prefix as URLs have it that are sent: a host beyond ASCII is spelled in ASCII."""
    lowered = prefix.lower()
    if lowered.isascii():
        return lowered
    scheme, separator, rest = lowered.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, place = authority.rpartition("@")
    host, colon, port = place.partition(":")
    with contextlib.suppress(UnicodeError):  # no URL has it
        host = ascii_name(host)
    path = "".join(
        one if one.isascii() else "".join(f"%{octet:02x}" for octet in one.encode()) for one in path
    )
    return f"{scheme}{separator}{user}{at}{host}{colon}{port}{slash}{path}"


class Mounting(Merging):
    """A session's adapters."""

    #: Whether a subclass has a `get_adapter` of its own.
    _asks_for_adapter: ClassVar[bool] = False

    _adapters: dict[str, BaseAdapter] | None
    #: The adapter that nobody mounted: its pools follow `config`.
    _own_adapter: HTTPAdapter | None

    @property
    def adapters(self) -> dict[str, BaseAdapter]:
        """The mounted adapters by prefix, the longest first."""
        if self._adapters is None:
            # One for both, so that limits count for both.
            config = self._settings()
            adapter = HTTPAdapter(config.pool_connections, config.pool_maxsize)
            with FIRST_TIME:
                if self._adapters is None:  # no other thread was faster
                    self._own_adapter = adapter
                    self._adapters = {"https://": adapter, "http://": adapter}
        if self._own_adapter is not None:  # what is sent by it directly is under this rule, too
            self._own_adapter.allow_address = self._allow_address
        adapters: dict[str, BaseAdapter] = self._adapters
        return adapters

    @adapters.setter
    def adapters(self, value: Mapping[str, BaseAdapter]) -> None:
        self._adapters = dict(value)

    def mount(self, prefix: str, adapter: BaseAdapter) -> None:
        """Send what begins with a prefix through an adapter; the longest prefix wins.

        Raises:
            TypeError: the prefix is no str, or the adapter cannot send.
        """
        if not isinstance(prefix, str):
            raise TypeError(
                f"the prefix is a {type(prefix).__name__}: expected a str such as 'https://'"
            )
        shown = without_secrets(prefix)
        if isinstance(adapter, type):
            raise TypeError(
                f"the adapter for {shown!r} is a class: expected an object, {adapter.__name__}()"
            )
        if not callable(getattr(adapter, "send", None)):
            kind = "None" if adapter is None else f"a {type(adapter).__name__}"
            raise TypeError(
                f"the adapter for {shown!r} is {kind}: expected an object with send(), such as"
                " reqkit.adapters.HTTPAdapter()"
            )
        with FIRST_TIME:
            # A new dictionary: other threads may be looking through the one that is there.
            adapters = {**self.adapters, prefix: adapter}
            self._adapters = dict(sorted(adapters.items(), key=lambda one: -len(one[0])))

    def get_adapter(self, url: str) -> BaseAdapter:
        """Return the adapter for a URL.

        Raises:
            InvalidSchema: none is mounted for it.
        """
        lowered = url.lower()
        for prefix, adapter in self.adapters.items():
            if lowered.startswith((prefix.lower(), _as_sent(prefix))):
                return adapter
        likely = suggestion(url)
        raise InvalidSchema(
            f"{without_secrets(url)!r}: no adapter is mounted for it; the prefixes are"
            f" {', '.join(self.adapters)}" + (f"; perhaps you meant {likely!r}" if likely else "")
        )

    def _adapter_for(self, target: Target) -> BaseAdapter:
        adapters = self._adapters
        if adapters is None:
            adapters = self.adapters
        adapter: BaseAdapter | None = None
        # Nothing mounted: no prefix to look for.
        if len(adapters) == 2 and "http://" in adapters and not self._asks_for_adapter:
            adapter = adapters.get("https://")
            if adapter is not None and target.scheme != "https":
                adapter = adapters["http://"] if target.scheme == "http" else None
        if adapter is None:
            adapter = self.get_adapter(url=target.url)
        own = self._own_adapter
        if own is not None:
            if own.allow_address is not self._allow_address:
                own.allow_address = self._allow_address
            # One that was mounted has its own sizes.
            if self._config is not None and own is adapter:
                config = self._settings()
                own.resize(config.pool_connections, config.pool_maxsize)
        return adapter

    def close(self) -> None:
        """Close the connections. The session can be used again."""
        if self._adapters is None:
            return
        with contextlib.ExitStack() as closing:  # one that fails keeps no other open
            # Told apart by their identity: what others made need not be hashable, nor have `close`.
            for adapter in {id(one): one for one in self._adapters.values()}.values():
                close = getattr(adapter, "close", None)
                if close is not None:
                    closing.callback(close)
