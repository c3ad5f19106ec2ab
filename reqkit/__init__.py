"""reqkit: HTTP requests, one or very many.

>>> import reqkit
>>> response = reqkit.get("https://example.org/")  # doctest: +SKIP
>>> response.status_code  # doctest: +SKIP
200

This package is the blocking client; `reqkit_async` sends many requests at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from . import adapters, auth, cookies, exceptions, hooks, models, network, structures
from ._version import __version__
from .api import delete, get, head, options, patch, post, put, request
from .base.dependencies import check_urllib3
from .base.importing import import_late
from .exceptions import *  # noqa: F403 every error is at the top too
from .exceptions import __all__ as _errors
from .message.prepare import PreparedRequest
from .message.response import Response
from .sessions import Request, Session, session
from .status_codes import codes
from .timeouts import Timeouts
from .wire.h1.reader import EXTENSIONS as __extensions__

__all__ = [
    "PreparedRequest",
    "Request",
    "Response",
    "Session",
    "Timeouts",
    "__extensions__",
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
    "models",
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


def __dir__() -> list[str]:
    """Return the names that are for users."""
    return sorted(__all__)


if not TYPE_CHECKING:  # a type checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        """Say of what ``requests`` has for itself, and programs use, where it is."""
        if name in ("compat", "packages", "utils"):
            return import_late(f"{__name__}.{name}")
        text = f"module {__name__!r} has no attribute {name!r}"
        if name in ("certs", "help"):
            text += ": docs/from-requests.md says what there is in place of requests'"
        raise AttributeError(text, name=name, obj=sys.modules[__name__])


check_urllib3()
