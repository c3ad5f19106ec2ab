"""Which ended requests are sent again, and when. Pure: what waits is the dispatcher."""

from __future__ import annotations

import random
from typing import Any, Final, Protocol

from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.util import Retry

from reqkit.exceptions import ConnectionError, ProtocolError, RequestException, SSLError
from reqkit.message.urls import without_password
from reqkit.transport.retrying import stand_in

from .limits import retry_after

__all__ = ["BackOff", "Policy", "policy_of"]

#: RFC 9110 section 9.2.2.
_IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))
#: Answers that say that another time may go better.
_STATUSES: Final = frozenset((429, 502, 503, 504))
#: Seconds before the first retry, and at most.
_FIRST: Final = 0.5
_LONGEST: Final = 60.0


class Policy(Protocol):
    """What is left of the retries of one request."""

    def after(
        self, method: str, url: str, response: Any, error: BaseException | None, wall: float
    ) -> tuple[float, Policy] | None:
        """Return the seconds to wait and what is left then, or None: it has ended.

        Args:
            method: the request's.
            url: the request's.
            response: the answer, or None.
            error: why there is none.
            wall: the time as of ``time.time()``.
        """


class BackOff:
    """So many retries, 0.5 s and doubling, with jitter, up to 60 s; for idempotent methods.

    Counts failed connections, resets before an answer, and answers 429, 502, 503 and 504.
    """

    __slots__ = ("_used", "left")

    def __init__(self, left: int, used: int = 0) -> None:
        self.left = left
        self._used = used

    def after(
        self, method: str, url: str, response: Any, error: BaseException | None, wall: float
    ) -> tuple[float, Policy] | None:
        """As `Policy.after`."""
        if self.left < 1 or method not in _IDEMPOTENT:
            return None
        asked: float | None = None
        if error is not None:
            if not _is_passing(error):
                return None
        elif response.status_code not in _STATUSES:
            return None
        else:
            asked = retry_after(response.headers.get("retry-after"), wall)
        wait = min(_FIRST * 2**self._used, _LONGEST)
        # Between half and all of it, so that those who failed together do not return together.
        wait *= 0.5 + random.random() / 2
        return (wait if asked is None else max(asked, 0.0)), BackOff(self.left - 1, self._used + 1)


def _is_passing(error: BaseException) -> bool:
    """Tell whether it was a failed connection, or a reset before an answer."""
    if not isinstance(error, ConnectionError) or isinstance(error, SSLError):
        return False
    return error.before_sending or not isinstance(error, ProtocolError) or error.no_answer


class _Urllib3Policy:
    """What a `urllib3.util.Retry` allows."""

    __slots__ = ("_retry",)

    def __init__(self, retry: Retry) -> None:
        self._retry = retry

    def after(
        self, method: str, url: str, response: Any, error: BaseException | None, wall: float
    ) -> tuple[float, Policy] | None:
        """As `Policy.after`."""
        retry = self._retry
        url = without_password(url)
        try:
            if error is not None:
                if not isinstance(error, RequestException):
                    return None
                if not isinstance(error, ConnectionError) and isinstance(error, ValueError):
                    return None  # a wrong argument, or a refused address: it would be so again
                left = retry.increment(method, url, error=stand_in(error, url))
                return left.get_backoff_time(), _Urllib3Policy(left)
            asked = "retry-after" in response.headers
            if not retry.is_retry(method, response.status_code, asked):
                return None
            left = retry.increment(method, url, response=_Answer(response))  # type: ignore[arg-type]
        except Urllib3Error:
            return None
        wait: float | None = None
        if asked and retry.respect_retry_after_header:
            wait = retry_after(response.headers.get("retry-after"), wall)
        return (left.get_backoff_time() if wait is None else wait), _Urllib3Policy(left)


class _Answer:
    """As much of urllib3's response as a Retry looks at."""

    __slots__ = ("headers", "status")

    def __init__(self, response: Any) -> None:
        self.headers = response.headers
        self.status = response.status_code

    def get_redirect_location(self) -> bool:
        return False


def policy_of(retries: Any) -> Policy | None:
    """Return the policy that ``retries=`` stands for; None for none.

    Raises:
        ValueError: it is neither a number of retries nor a `urllib3.util.Retry`.
    """
    if retries is None or retries is False:
        return None
    if isinstance(retries, Retry):
        return _Urllib3Policy(retries)
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise ValueError(
            f"retries is {retries!r}: expected how often a failed request is sent again, a whole"
            " number of 0 or more, or a urllib3.util.Retry"
        )
    return BackOff(retries) if retries else None
