"""Trying again: what a `urllib3.util.Retry` allows, with waits that let others run."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ..base.deferred import DeferredModule
from ..base.importing import import_late
from ..base.logs import INFO, logger
from ..base.redact import redacted, without_secret_parameters
from ..exceptions import (
    ConfigError,
    ConnectTimeout,
    ProxyError,
    ReadTimeout,
    RequestException,
    RetryError,
    SSLError,
    TotalTimeout,
)
from ..exceptions import ConnectionError as ReqkitConnectionError
from ..message.retryafter import retry_after, too_long
from ..message.urls import without_secrets
from ..network import current, forks, no_such_name
from ..timeouts import Deadline

if TYPE_CHECKING:
    from urllib3 import exceptions as urllib3_errors
    from urllib3.util import Retry

    from ..message.prepare import PreparedRequest
    from ..message.response import Response
else:
    urllib3_errors = DeferredModule("urllib3.exceptions")

__all__ = [
    "IDEMPOTENT", "add_tries", "asked_for", "ending_of", "is_permanent", "policy_of",
    "retries_used_up", "send_again", "urllib3_error_for", "waits_too_long",
]  # fmt: skip

#: What may be sent twice (RFC 9110 section 9.2.2).
IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))


def policy_of(retries: Any) -> Retry:
    """Return the Retry that ``max_retries`` stands for: a number counts failed connections.

    Raises:
        ConfigError: it is neither a number nor a Retry.
    """
    if hasattr(retries, "increment"):
        kept: Retry = retries
        return kept
    try:
        count = operator.index(retries)
    except TypeError:
        raise ConfigError(
            f"max_retries is {redacted(retries)}: expected a whole number, or a urllib3.util.Retry"
        ) from None
    make = import_late("urllib3.util").Retry
    # A Retry-After would call for a retry, too, which ``status=0`` makes an error.
    made: Retry = make(
        total=count, connect=count, read=0, status=0, other=0, redirect=0,
        respect_retry_after_header=False,
    )  # fmt: skip
    return made


def urllib3_error_for(error: RequestException, url: str) -> Exception:
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


def is_permanent(error: BaseException) -> bool:
    """Tell whether trying again is of no use: there is no such name."""
    return no_such_name(error.__cause__)


def ending_of(response: Response | None, error: BaseException | None) -> str:
    """Say how a try has ended, in a few words."""
    if response is not None:
        return f"the answer {response.status_code}"
    text = str(error).partition(" (tried ")[0]
    return f"{type(error).__name__}: {text.removeprefix(text.partition(': ')[0] + ': ')}"


def add_tries(error: BaseException, tries: int, before: str | None) -> None:
    """Have an error say how often it was tried, and how the try before has ended.

    Args:
        error: the last try's, or what ended the waiting for the next.
        tries: how many there were.
        before: what `ending_of` has said of the one before.
    """
    if tries > 1 and before is not None and len(error.args) == 1 and " (tried " not in str(error):
        error.args = (f"{error.args[0]} (tried {tries} times; the try before: {before})",)


def retries_used_up(url: str, request: Any, response: Response) -> RetryError:
    """Return the error for a status that calls for a retry, and was the last try's."""
    return RetryError(
        f"{url} answered {response.status_code} every time and the retries are used up",
        request=request,
        response=response,
    )


def waits_too_long(
    url: str, asked: float, most: float, request: Any, response: Response
) -> RetryError:
    """Return the error for a retry that the server wants to come later than is waited for."""
    return RetryError(
        f"{url} answered {response.status_code}, and {too_long(asked, most)}",
        request=request,
        response=response,
    )


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
    url = without_secrets(request.url or "")
    most = 300.0 if request._policy is None else request._policy.retry_after_max
    tries, before = 0, None
    first = request._attempt
    generation = forks.count
    while True:
        request._attempt = first + tries
        tries += 1
        try:
            response = send()
        except TotalTimeout as error:
            add_tries(error, tries, before)
            raise
        except (ReqkitConnectionError, ReadTimeout) as error:
            add_tries(error, tries, before)
            if is_permanent(error) or generation != forks.count:
                raise  # there is no such name, or this is a copy in a child process
            try:
                policy = policy.increment(method, url, error=urllib3_error_for(error, url))
            except Exception:  # a MaxRetryError, or what a subclass raises
                raise error from error.__cause__
            wait = policy.get_backoff_time()
            before = ending_of(None, error)
            request.rewind()
            _sleep(wait, deadline, tries, before, request)
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
                raise retries_used_up(url, request, response) from used_up
            return response
        later = asked_for(policy, answer, time.time())
        in_time = deadline is None or later is None or later < deadline.at - deadline.now()
        if later is not None and later > most and in_time:
            if policy.raise_on_status:
                response.close()
                raise waits_too_long(url, later, most, request, response)
            return response
        before = ending_of(response, None)
        response.close()
        request.rewind()
        wait = policy.get_backoff_time() if later is None else later
        _sleep(wait, deadline, tries, before, request)


def asked_for(policy: Retry, answer: Any, now: float) -> float | None:
    """Return the seconds that an answer's Retry-After asks a policy to wait.

    It is read as everywhere here, fractions too; one that reads it in its own way is asked.

    Args:
        policy: what is left of the retries.
        answer: has ``headers``.
        now: the time as of ``time.time()``, that a date is compared with.

    Returns:
        the seconds; None where the policy does not care, or the field says nothing that can be.
    """
    if not policy.respect_retry_after_header:
        return None
    retry: Any = import_late("urllib3.util").Retry
    kind: Any = type(policy)
    if (
        kind.get_retry_after is retry.get_retry_after
        and kind.parse_retry_after is retry.parse_retry_after
    ):
        asked = retry_after(answer.headers.get("retry-after"), now)
        most = getattr(policy, "retry_after_max", None)
        return asked if asked is None or most is None else min(asked, most)
    try:
        return policy.get_retry_after(answer)
    except (urllib3_errors.InvalidHeader, ValueError, OverflowError):
        return None


def _sleep(
    seconds: float,
    deadline: Deadline | None,
    tries: int,
    before: str,
    request: PreparedRequest,
) -> None:
    if logger.isEnabledFor(INFO):
        url = without_secrets(request.url or "")
        why = without_secret_parameters(before)
        logger.log(
            INFO, "%s %s: retry %d in %.1f s, after %s", request.method, url, tries, seconds, why
        )
    if seconds <= 0:
        return
    if deadline is not None and seconds >= deadline.at - deadline.now():
        # Waiting could only end in this error.
        error = deadline.expired("wait")
        add_tries(error, tries + 1, before)
        raise error
    current().sleep(seconds)
