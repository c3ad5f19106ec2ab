"""The verbs of a session: GET, POST and the others, in terms of its ``request``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, overload

from .._types import Keywords
from ..base.signatures import explicit_signature
from ..message.keywords import UNSET

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._types import Data, Params, Url
    from ..message.response import Response

__all__ = ["Verbs", "spelled"]

#: An unsent request.
R = TypeVar("R")


#: Has signatures list what goes on to ``request``.
spelled: Final = explicit_signature(
    Keywords,
    params="Params",
    data="Data",
    json="Any",
    defaults={"return_response": True, "timeout": UNSET},
    return_response="bool",
    returns="Response",
)


class Verbs(Generic[R]):
    """What has a method for each verb. The overloads tell a type checker what comes back."""

    __slots__ = ()

    #: What the verbs call: ``request(method, url, **keywords)``.
    request: Any

    @overload
    def get(
        self, url: Url, params: Params = None, *, data: Data = None, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def get(
        self, url: Url, params: Params = None, *, data: Data = None, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    @spelled
    def get(self, url: Url, params: Params = None, **keywords: Any) -> Any:
        """Send a GET; see `reqkit.request`."""
        return self.request("GET", url, params=params, **keywords)

    @overload
    def options(
        self, url: Url, *, params: Params = None, data: Data = None, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def options(
        self, url: Url, *, params: Params = None, data: Data = None, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    @spelled
    def options(self, url: Url, **keywords: Any) -> Any:
        """Send an OPTIONS; see `reqkit.request`."""
        return self.request("OPTIONS", url, **keywords)

    @overload
    def head(
        self, url: Url, *, params: Params = None, data: Data = None, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def head(
        self, url: Url, *, params: Params = None, data: Data = None, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    @spelled
    def head(self, url: Url, **keywords: Any) -> Any:
        """Send a HEAD, which follows no redirects unless told to; see `reqkit.request`."""
        return self.request("HEAD", url, **keywords)

    @overload
    def post(
        self, url: Url, data: Data = None, json: Any = None, *, params: Params = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def post(
        self, url: Url, data: Data = None, json: Any = None, *, params: Params = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    @spelled
    def post(self, url: Url, data: Data = None, json: Any = None, **keywords: Any) -> Any:
        """Send a POST; see `reqkit.request`."""
        return self.request("POST", url, data=data, json=json, **keywords)

    @overload
    def put(
        self, url: Url, data: Data = None, *, params: Params = None, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def put(
        self, url: Url, data: Data = None, *, params: Params = None, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    @spelled
    def put(self, url: Url, data: Data = None, **keywords: Any) -> Any:
        """Send a PUT; see `reqkit.request`."""
        return self.request("PUT", url, data=data, **keywords)

    @overload
    def patch(
        self, url: Url, data: Data = None, *, params: Params = None, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def patch(
        self, url: Url, data: Data = None, *, params: Params = None, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    @spelled
    def patch(self, url: Url, data: Data = None, **keywords: Any) -> Any:
        """Send a PATCH; see `reqkit.request`."""
        return self.request("PATCH", url, data=data, **keywords)

    @overload
    def delete(
        self, url: Url, *, params: Params = None, data: Data = None, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def delete(
        self, url: Url, *, params: Params = None, data: Data = None, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> R: ...  # fmt: skip
    @spelled
    def delete(self, url: Url, **keywords: Any) -> Any:
        """Send a DELETE; see `reqkit.request`."""
        return self.request("DELETE", url, **keywords)
