"""Trying again: what a `urllib3.util.Retry` allows, with waits that let others run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..base.deferred import DeferredModule
from ..base.locks import IMPORTING
from ..exceptions import ConnectionError as ReqkitConnectionError
from ..exceptions import (
    ConnectTimeout,
    ProxyError,
    ReadTimeout,
    RequestException,
    RetryError,
    SSLError,
    TotalTimeout,
)
from ..message.urls import without_password
from ..network import current
from ..timeouts import Deadline

if TYPE_CHECKING:
    from urllib3 import exceptions as urllib3_errors
    from urllib3.util import Retry

    from ..message.prepare import PreparedRequest
    from ..message.response import Response
else:
    urllib3_errors = DeferredModule("urllib3.exceptions")

__all__ = ["policy_of", "send_again", "stand_in"]


def policy_of(retries: Any) -> Retry:
    """Return the Retry that ``max_retries`` stands for: a number counts failed connections."""
    if hasattr(retries, "increment"):
        kept: Retry = retries
        return kept
    with IMPORTING:
        from urllib3.util import Retry
    return Retry(total=int(retries), connect=int(retries), read=0, status=0, other=0, redirect=0)


def stand_in(error: RequestException, url: str) -> Exception:
    """Return urllib3's error for one of ours, since a Retry tells failures apart by its own."""
    pool: Any = None
    if isinstance(error, (ConnectTimeout,)):
        return urllib3_errors.ConnectTimeoutError(str(error))
    if isinstance(error, ProxyError):
        return urllib3_errors.ProxyError(str(error), urllib3_errors.NewConnectionError(pool, ""))
    if isinstance(error, SSLError):
        return urllib3_errors.SSLError(str(error))
    if isinstance(error, ReadTimeout):
        return urllib3_errors.ReadTimeoutError(pool, url, str(error))
    if getattr(error, "before_sending", False):
        return urllib3_errors.NewConnectionError(pool, str(error))
    return urllib3_errors.ProtocolError(str(error))


class _Answer:
    """As much of urllib3's response as a Retry looks at."""

    __slots__ = ("headers", "status")

    def __init__(self, response: Response) -> None:
        self.headers = response.headers
        self.status = response.status_code

    def get_redirect_location(self) -> bool:
        return False


def send_again(
    send: Callable[[], Response],
    request: PreparedRequest,
    retries: Any,
    deadline: Deadline | None,
) -> Response:
    """Send until there is an answer to keep, or the retries are used up. Blocks.

    Raises:
        RetryError: a status that calls for a retry was the last one, and ``raise_on_status``.
        RequestException: the last failure.
    """
    policy = policy_of(retries)
    method = request.method or "GET"
    url = without_password(request.url or "")
    while True:
        try:
            response = send()
        except TotalTimeout:
            raise
        except (ReqkitConnectionError, ReadTimeout) as error:
            try:
                policy = policy.increment(method, url, error=stand_in(error, url))
            except Exception:
                raise error from error.__cause__
            wait = policy.get_backoff_time()
            request.rewind()
            _sleep(wait, deadline)
            continue
        status = response.status_code
        asked = "retry-after" in response.headers
        if status is None or not policy.is_retry(method, status, asked):
            return response
        answer: Any = _Answer(response)
        try:
            policy = policy.increment(method, url, response=answer)
        except urllib3_errors.MaxRetryError as used_up:
            if policy.raise_on_status:
                response.close()
                raise RetryError(
                    f"{url} answered {status} every time and the retries are used up",
                    request=request,
                    response=response,
                ) from used_up
            return response
        later = _asked_for(policy, answer) if policy.respect_retry_after_header else None
        response.close()
        request.rewind()
        _sleep(policy.get_backoff_time() if later is None else later, deadline)


def _asked_for(policy: Retry, answer: Any) -> float | None:
    """Return the seconds that a Retry-After asks for, None where it says nothing that can be."""
    try:
        return policy.get_retry_after(answer)
    except (urllib3_errors.InvalidHeader, ValueError, OverflowError):
        return None


def _sleep(seconds: float, deadline: Deadline | None) -> None:
    if seconds <= 0:
        return
    if deadline is not None and seconds >= deadline.left(None, "wait"):
        # Waiting could only end in this error.
        raise deadline.expired("wait")
    current().sleep(seconds)
