"""The verbs of a session: GET, POST and the others, in terms of its ``request``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._types import Keywords
    from ..message.response import Response

__all__ = ["Verbs"]

#: An unsent request.
R = TypeVar("R")


class Verbs(Generic[R]):
    """What has a method for each verb. The overloads tell a type checker what comes back."""

    __slots__ = ()

    #: What the verbs call: ``request(method, url, **keywords)``.
    request: Any

    @overload
    def get(
        self, url: Any, params: Any = None, *, data: Any = None, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def get(
        self, url: Any, params: Any = None, *, data: Any = None, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    def get(self, url: Any, params: Any = None, **keywords: Any) -> Any:
        """Send a GET; see `reqkit.request`."""
        return self.request("GET", url, params=params, **keywords)

    @overload
    def options(
        self, url: Any, *, params: Any = None, data: Any = None, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def options(
        self, url: Any, *, params: Any = None, data: Any = None, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    def options(self, url: Any, **keywords: Any) -> Any:
        """Send an OPTIONS; see `reqkit.request`."""
        return self.request("OPTIONS", url, **keywords)

    @overload
    def head(
        self, url: Any, *, params: Any = None, data: Any = None, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def head(
        self, url: Any, *, params: Any = None, data: Any = None, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    def head(self, url: Any, **keywords: Any) -> Any:
        """Send a HEAD, which follows no redirects unless told to; see `reqkit.request`."""
        return self.request("HEAD", url, **keywords)

    @overload
    def post(
        self, url: Any, data: Any = None, json: Any = None, *, params: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def post(
        self, url: Any, data: Any = None, json: Any = None, *, params: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    def post(self, url: Any, data: Any = None, json: Any = None, **keywords: Any) -> Any:
        """Send a POST; see `reqkit.request`."""
        return self.request("POST", url, data=data, json=json, **keywords)

    @overload
    def put(
        self, url: Any, data: Any = None, *, params: Any = None, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def put(
        self, url: Any, data: Any = None, *, params: Any = None, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    def put(self, url: Any, data: Any = None, **keywords: Any) -> Any:
        """Send a PUT; see `reqkit.request`."""
        return self.request("PUT", url, data=data, **keywords)

    @overload
    def patch(
        self, url: Any, data: Any = None, *, params: Any = None, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def patch(
        self, url: Any, data: Any = None, *, params: Any = None, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    def patch(self, url: Any, data: Any = None, **keywords: Any) -> Any:
        """Send a PATCH; see `reqkit.request`."""
        return self.request("PATCH", url, data=data, **keywords)

    @overload
    def delete(
        self, url: Any, *, params: Any = None, data: Any = None, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def delete(
        self, url: Any, *, params: Any = None, data: Any = None, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    def delete(self, url: Any, **keywords: Any) -> Any:
        """Send a DELETE; see `reqkit.request`."""
        return self.request("DELETE", url, **keywords)
