"""How an attempt to send a request ended, and the response that stands for a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.tracebacks import forget_frames
from ..exceptions import RequestException
from ..message.response import Response

if TYPE_CHECKING:
    from ..message.request import UnsentRequest
    from ..timeouts import Deadline
    from .chain import Chain

__all__ = ["Outcome", "failed_response"]


class Outcome:
    """How an attempt to send a request ended.

    Attributes:
        request: the unsent request.
        response: the answer, where there is one.
        error: why there is none, or why it counts as a failure.
        chain: what counted, where it came to that.
        errors: what ``args`` hooks, or hooks of the attempts before, have raised.
        retries: how often it was attempted before.
        safe: whether ``safe_mode`` is on.
        as_failure: whether an answer with an error (danger mode) is handed over as a failure.
        pending: the response hooks that are still to run; None before the first one did.
        scheduler: who says when its messages may go, and tries it again: a batch's workers, where
            it is a part of one. What it is sent through does not try again, then.
    """

    scheduler: Any = None

    __slots__ = (
        "as_failure", "chain", "error", "errors", "pending", "request", "response", "retries",
        "safe",
    )  # fmt: skip

    def __init__(self, request: UnsentRequest) -> None:
        self.request: UnsentRequest = request
        self.retries: int = 0
        self.response: Response | None = None
        self.error: Exception | None = None
        self.chain: Chain | None = None
        errors = request._arguments.hook_errors
        self.errors: list[Exception] | None = None if errors is None else list(errors)
        self.safe: bool = False
        self.as_failure: bool = False
        self.pending: list[Any] | None = None

    def pass_to(self, host: str, deadline: Deadline | None) -> None:
        """Wait until its next message may go to a host: a batch's have limits."""


def failed_response(
    request: UnsentRequest,
    error: Exception,
    chain: Chain | None = None,
    has_request: bool = False,
) -> Response:
    """Return the response that stands for a failed request. Runs no hook.

    Args:
        request: what was to be sent.
        error: why it was not answered; an answer in hand is its ``response``.
        chain: what counted, where it came to that.
        has_request: whether it has the request itself, where nothing was prepared; who says so
            sees to it that the request keeps it weakly.
    """
    # One that is no failure of a request leads to code of the user's.
    forget_frames(error, tell=not isinstance(error, RequestException))
    response = Response()
    response.error = error
    response._content = None  # there is none: not one that was streamed, say
    prepared = chain.prepared if chain is not None else None
    if prepared is not None:
        response.request = prepared
    elif has_request:
        response.request = request
    else:
        # The request keeps the response: a circle would keep both until the collector comes.
        response.request = kept = request._unanswered()
        if getattr(error, "request", None) is request:
            error.request = kept  # type: ignore[attr-defined]
    url = prepared.url if prepared is not None else request.url
    response.url = url if isinstance(url, str) else None
    if isinstance(error, RequestException):
        response._live_times = error.times
    return response
