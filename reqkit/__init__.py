"""reqkit: HTTP requests, one or very many.

>>> import reqkit
>>> response = reqkit.get("https://example.org/")  # doctest: +SKIP
>>> response.status_code  # doctest: +SKIP
200

This package is the blocking client; `reqkit_async` sends many requests at once.
"""

from __future__ import annotations

from . import adapters, auth, cookies, exceptions, hooks, network, structures
from ._version import __version__
from .api import delete, get, head, options, patch, post, put, request
from .dependencies import check_urllib3
from .exceptions import *  # noqa: F403 every error is at the top too
from .exceptions import __all__ as _errors
from .prepare import PreparedRequest
from .request import Request
from .response import Response
from .sessions import Session, session
from .status_codes import codes
from .timeouts import Timeouts

__all__ = [
    "PreparedRequest",
    "Request",
    "Response",
    "Session",
    "Timeouts",
    "__version__",
    "adapters",
    "auth",
    "codes",
    "cookies",
    "delete",
    "exceptions",
    "get",
    "head",
    "hooks",
    "network",
    "options",
    "patch",
    "post",
    "put",
    "request",
    "session",
    "structures",
    *_errors,
]

check_urllib3()
