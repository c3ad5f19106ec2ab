"""What an auth is, and what it may expect of the message that it is given."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Protocol, TypeVar

__all__ = ["AuthBase", "Message", "MessageT", "PasswordAuth"]


class Message(Protocol):
    """What an auth needs of a prepared request."""

    @property
    def method(self) -> Any:
        """The method, as it is sent."""

    @property
    def url(self) -> Any:
        """The URL, as it is sent."""

    @property
    def headers(self) -> MutableMapping[str, Any]:
        """The header fields; their names are looked up without regard to case."""

    @property
    def body(self) -> Any:
        """The body: bytes, None, or something that is read while it is sent."""

    @property
    def hooks(self) -> MutableMapping[str, Any]:
        """The hooks of this message: lists by the hook's name."""

    def register_hook(self, event: str, hook: Callable[..., Any]) -> Any:
        """Have a hook called for this message."""

    def deregister_hook(self, event: str, hook: Callable[..., Any]) -> Any:
        """Have it called no more."""


MessageT = TypeVar("MessageT", bound=Message)


class AuthBase:
    """An auth: called with each prepared request, it changes it and returns it.

    It is asked once for each message to the origin that it belongs to, so it can sign what is
    really sent. It may register a ``response`` hook on the message, to answer a challenge.
    Never blocks, unless what it does there blocks.
    """

    __module__ = "reqkit.auth"

    def __call__(self, r: Any) -> Any:
        """Put the credentials into a prepared request and return it."""
        raise NotImplementedError(
            f"{type(self).__name__} has no __call__: an auth is called with the prepared request,"
            " and returns it"
        )


class PasswordAuth(AuthBase):
    """A user's name and password. Equal where kind, name and password are.

    The password shows in no repr and no error.

    Args:
        username: str or bytes.
        password: str or bytes.

    Raises:
        TypeError: one of them is neither.
    """

    username: str | bytes
    password: str | bytes

    def __init__(self, username: str | bytes, password: str | bytes) -> None:
        for name, value in (("user name", username), ("password", password)):
            if not isinstance(value, (str, bytes)):
                raise TypeError(f"the {name} is of {type(value)}: expected a str or bytes")
        self.username = username
        self.password = password

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return (self.username, self.password) == (other.username, other.password)

    def __hash__(self) -> int:
        return hash((type(self), self.username, self.password))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} user={self.username!r}>"
