"""What is told of an exchange: a line for the log, and heads for ``config['trace']``.

Secrets are left out of both: the values of fields that have them, passwords in URLs, and the values
of their parameters that are secrets by their names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..base.logs import DEBUG, logger
from ..base.redact import is_secret_field, without_secret_parameters
from ..exceptions import RequestException
from ..message.urls import without_secrets
from ..structures import SECRET_HEADERS, without_passwords
from ..timeouts import clock

if TYPE_CHECKING:
    from ..message.prepare import PreparedRequest
    from ..message.response import Response
    from ..message.urls import Target
    from ..wire.h1.answer import AnswerHead

__all__ = ["log_exchange", "log_failure", "trace_received", "trace_sent"]


def log_exchange(request: PreparedRequest, response: Response, started: float, new: bool) -> None:
    """Log an exchange whose head has come: at DEBUG, one line.

    Args:
        request: the message.
        response: its answer; the bytes are those of the body that came, or is announced.
        started: when it began, in seconds of the clock.
        new: whether its connection was opened for it.
    """
    size: Any = response._announced_size()
    logger.log(
        DEBUG,
        "%s %s %s in %.0f ms, %s bytes, attempt %d, %s connection, HTTP/%s",
        request.method,
        without_secrets(request.url or ""),
        response.status_code,
        (clock() - started) * 1000,
        "unknown" if size is None else size,
        request._attempt,
        "new" if new else "kept",
        {9: "0.9", 10: "1.0", 11: "1.1", 20: "2"}.get(response._version, response._version),
    )


def log_failure(request: PreparedRequest, error: BaseException, started: float) -> None:
    """Log an exchange that failed: at DEBUG, one line."""
    logger.log(
        DEBUG,
        "%s %s failed after %.0f ms, attempt %d: %s",
        request.method,
        without_secrets(request.url or ""),
        (clock() - started) * 1000,
        request._attempt,
        type(error).__name__,
    )


def trace_sent(stream: Any, request: PreparedRequest, target: Target, head: bytes) -> None:
    """Write a message's head to a stream, each line after a ``>``.

    Args:
        stream: what ``config['trace']`` says.
        request: the message.
        target: where it goes.
        head: as it goes over the wire; empty for HTTP/2, whose heads are no text.
    """
    if head:
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        pairs = [line.partition(": ")[::2] for line in lines]
    else:
        first = f"{request.method} {target.path} HTTP/2"
        pairs = [("host", target.authority), *request.headers.items()]
    _write(stream, ">", without_secret_parameters(without_passwords(first)), pairs)


def trace_received(stream: Any, head: AnswerHead) -> None:
    """Write an answer's head to a stream, each line after a ``<``."""
    version = {10: "1.0", 20: "2"}.get(head.version, "1.1")
    _write(stream, "<", f"HTTP/{version} {head.status} {head.reason}".rstrip(), head.fields)


def _write(stream: Any, sign: str, first: str, pairs: Iterable[tuple[str, str]]) -> None:
    lines = [f"{sign} {first}"]
    for name, value in pairs:
        shown = "***"
        if name.lower() not in SECRET_HEADERS and not is_secret_field(name):
            shown = without_secret_parameters(without_passwords(value))
        lines.append(f"{sign} {name}: {shown}")
    try:
        stream.write("\n".join(lines) + f"\n{sign}\n")
    except OSError as error:
        # As it is, it would be taken for a fault of the connection.
        raise RequestException(
            f"writing to the stream of config['trace'] failed: {type(error).__name__}: {error}"
        ) from error
