"""Which ended requests are sent again, and when. Pure: what waits is the dispatcher."""

from __future__ import annotations

import random
from typing import Any, Final, Protocol

from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.util import Retry

from reqkit.exceptions import ConnectionError, ProtocolError, RequestException, SSLError
from reqkit.message.urls import without_secrets
from reqkit.transport.retrying import (
    IDEMPOTENT,
    asked_for,
    is_permanent,
    retries_used_up,
    urllib3_error_for,
    waits_too_long,
)
from reqkit.transport.retrying import policy_of as retry_of

from .limits import retry_after

__all__ = ["BackOff", "RetryPolicy", "back_off", "policy_of", "policy_of_config"]

#: Answers that say that another time may go better.
_STATUSES: Final = frozenset((429, 502, 503, 504))
#: Seconds before the first retry, and at most.
_FIRST: Final = 0.5
_LONGEST: Final = 60.0
#: After so many it is the longest: no float takes two to the power of any number.
_DOUBLINGS: Final = 7
#: Seconds that a Retry-After may hold it back, unless the config says otherwise.
_LONGEST_HOLD: Final = 300.0


class RetryPolicy(Protocol):
    """What is left of the retries of one request.

    Attributes:
        respects: whether a Retry-After counts.
    """

    @property
    def respects(self) -> bool:
        """Whether a Retry-After counts."""

    def after(
        self,
        method: str,
        url: str,
        response: Any,
        error: BaseException | None,
        wall: float,
        longest: float = ...,
    ) -> tuple[float, RetryPolicy] | None:
        """Return the seconds to wait and what is left then, or None: it has ended.

        Args:
            method: the request's.
            url: the request's.
            response: the answer, or None.
            error: why there is none.
            wall: the time as of ``time.time()``.
            longest: seconds that a Retry-After may hold it back; a longer one ends it.

        Raises:
            RetryError: the retries for a status are used up, and that counts as a failure.
        """


class BackOff:
    """So many retries, 0.5 s and doubling, with jitter, up to 60 s; for idempotent methods.

    Counts failed connections, resets before an answer, and answers 429, 502, 503 and 504.
    """

    __slots__ = ("_used", "left")

    respects: Final[bool] = True

    def __init__(self, left: int, used: int = 0) -> None:
        self.left: int = left
        self._used = used

    def after(
        self,
        method: str,
        url: str,
        response: Any,
        error: BaseException | None,
        wall: float,
        longest: float = _LONGEST_HOLD,
    ) -> tuple[float, RetryPolicy] | None:
        """As `RetryPolicy.after`."""
        if self.left < 1 or method not in IDEMPOTENT:
            return None
        asked: float | None = None
        if error is not None:
            if not _is_passing(error):
                return None
        elif response.status_code not in _STATUSES:
            return None
        else:
            asked = retry_after(response.headers.get("retry-after"), wall)
            if asked is not None and asked > longest:
                return None
        wait = back_off(self._used) if asked is None else max(asked, 0.0)
        return wait, BackOff(self.left - 1, self._used + 1)


def back_off(used: int) -> float:
    """Return the seconds to wait after so many retries: doubling up to 60 s, with jitter."""
    wait = min(_FIRST * (1 << min(used, _DOUBLINGS)), _LONGEST)
    # Between half and all of it, so that those who failed together do not return together.
    return wait * (0.5 + random.random() / 2)


def _is_passing(error: BaseException) -> bool:
    """Tell whether it was a failed connection, or a reset before an answer."""
    if not isinstance(error, ConnectionError) or isinstance(error, SSLError) or is_permanent(error):
        return False
    return error.before_sending or not isinstance(error, ProtocolError) or error.no_answer


class _Urllib3Policy:
    """What a `urllib3.util.Retry` allows."""

    __slots__ = ("_retry", "respects")

    def __init__(self, retry: Retry, respects: bool) -> None:
        self._retry = retry
        self.respects: bool = respects

    def after(
        self,
        method: str,
        url: str,
        response: Any,
        error: BaseException | None,
        wall: float,
        longest: float = _LONGEST_HOLD,
    ) -> tuple[float, RetryPolicy] | None:
        """As `RetryPolicy.after`."""
        retry = self._retry
        url = without_secrets(url)
        try:
            if error is not None:
                if not isinstance(error, RequestException):
                    return None
                if not isinstance(error, ConnectionError) and isinstance(error, ValueError):
                    return None  # a wrong argument, or a refused address: it would be so again
                if is_permanent(error):
                    return None
                left = retry.increment(method, url, error=urllib3_error_for(error, url))
                return left.get_backoff_time(), _Urllib3Policy(left, self.respects)
            asked = "retry-after" in response.headers
            if not retry.is_retry(method, response.status_code, asked):
                return None
            left = retry.increment(method, url, response=_Answer(response))  # type: ignore[arg-type]
        except Urllib3Error as used_up:
            if error is None and retry.raise_on_status:
                raise retries_used_up(url, response.request, response) from used_up
            return None
        wait = asked_for(left, response, wall) if asked else None
        if wait is not None and wait > longest:
            if retry.raise_on_status:
                raise waits_too_long(url, wait, longest, response.request, response)
            return None
        return (left.get_backoff_time() if wait is None else wait), _Urllib3Policy(
            left, self.respects
        )


class _Answer:
    """As much of urllib3's response as a Retry looks at."""

    __slots__ = ("headers", "status")

    def __init__(self, response: Any) -> None:
        self.headers = response.headers
        self.status = response.status_code

    def get_redirect_location(self) -> bool:
        return False


def policy_of_config(retries: Any) -> RetryPolicy:
    """Return the policy that ``config['max_retries']`` stands for: an int counts connections."""
    # Of the Retry that a number stands for, a Retry-After calls for no retry; it holds its host.
    given = retries if isinstance(retries, Retry) else None
    return _Urllib3Policy(retry_of(retries), given is None or given.respect_retry_after_header)


def policy_of(retries: Any) -> RetryPolicy | None:
    """Return the policy that ``retries=`` stands for; None for none.

    Raises:
        ValueError: it is neither a number of retries nor a `urllib3.util.Retry`.
    """
    if retries is None or retries is False:
        return None
    if isinstance(retries, Retry):
        return _Urllib3Policy(retries, retries.respect_retry_after_header)
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise ValueError(
            f"retries is {retries!r}: expected how often a failed request is sent again, a whole"
            " number of 0 or more, or a urllib3.util.Retry"
        )
    return BackOff(retries) if retries else None
