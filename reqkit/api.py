"""One-shot functions: a request without a session of the user's.

They are the methods of one object, so that what they take and what comes back is written down
once: in `Verbs`, which sessions have too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, overload

from ._types import Keywords
from .sessions import SingleUseSession
from .sessions.verbs import Verbs, spelled

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._types import Data, Params, Url
    from .message.response import Response
    from .sessions import Request

__all__ = ["delete", "get", "head", "options", "patch", "post", "put", "request"]


class OneShot(Verbs["Request"]):
    """Sends each request through a fresh session, or through the one given."""

    __slots__ = ()

    @overload
    def request(
        self, method: str, url: Url, *, params: Params = None, data: Data = None, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def request(
        self, method: str, url: Url, *, params: Params = None, data: Data = None, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> Request: ...  # fmt: skip
    @spelled
    def request(self, method: str, url: Url, *, session: Any = None, **keywords: Any) -> Any:
        """Send a request. Blocks until the head of the answer is there.

        One-shot calls share connections with each other, never cookies.

        Args:
            method: ``GET``, ``POST``, ….
            url: where to, with its scheme.
            session: the `Session` to send it through, in place of a fresh one.
            **keywords: ``params`` (dictionary, pairs or str, added to the query), ``data`` (a
                form's dictionary or pairs, str, bytes, a file, an iterable of bytes), ``json``,
                ``headers``, ``cookies``, ``files`` (name to file, bytes, or ``(filename, file[,
                type[, headers]])``), ``auth`` (a pair for Basic, or a callable), ``timeout``
                (seconds, ``(connect, read)``, `Timeouts`, or None for no limit),
                ``allow_redirects``, ``proxies``, ``hooks``, ``verify`` (True, False, a CA file or
                folder), ``cert`` (a file or ``(cert, key)``), ``config``, ``context`` (any object:
                it goes nowhere, and is ``response.context``), ``prefetch`` (True reads the body
                before this returns; ``stream=`` is its contrary), ``return_response``
                (False gives the unsent `Request`).

        Returns:
            the `Response`; whoever gets it reads or closes it.

        Raises:
            RequestException: the root of all errors: `URLRequired`, `MissingSchema`,
                `InvalidURL`, `InvalidSchema`, `InvalidHeader` before anything is sent;
                `ConnectTimeout`, `SSLError`, `ProxyError`, `ConnectionError` where no connection
                could be made (a retry is safe) or it broke; `ReadTimeout`, `TotalTimeout`,
                `TooManyRedirects`, and, once the body is read, `ChunkedEncodingError`,
                `ContentDecodingError`, `ContentTooLarge`.
            TypeError: an argument that does not exist; the text has the nearest one.
        """
        if session is not None:
            if not hasattr(session, "request"):
                raise TypeError(
                    f"session is of type {type(session).__name__}: expected a reqkit.Session"
                )
            return session.request(method, url, **keywords)
        made = SingleUseSession().request(method, url, **keywords)
        if "return_response" in keywords and not keywords["return_response"]:
            made.session = None  # a fresh one each time that it is sent
        return made


_one_shot = OneShot()

request: Final = _one_shot.request
get: Final = _one_shot.get
options: Final = _one_shot.options
head: Final = _one_shot.head
post: Final = _one_shot.post
put: Final = _one_shot.put
patch: Final = _one_shot.patch
delete: Final = _one_shot.delete
