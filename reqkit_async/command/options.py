"""From what was said on the command line to sessions and pools; what is wrong is a usage error."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from reqkit import Request, Session, Timeouts
from reqkit.exceptions import RequestException

from ..batches import Pool

__all__ = ["check_message", "check_report", "data_of", "make_folder", "pool_of", "session_of"]

#: RFC 9110 section 5.6.2.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def check_report(path: Path | None) -> None:
    """See that a report can be written before anything is sent."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise click.UsageError(f"--report {path}: there is no folder {path.parent}")
    try:
        from ..report import check_extras

        check_extras()
    except ImportError as error:
        raise click.UsageError(str(error)) from error


def data_of(text: str | None) -> bytes | None:
    """Return the body that ``--data`` gives: text, or a file's content."""
    if text is None:
        return None
    if not text.startswith("@"):
        return os.fsencode(text)
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise click.UsageError(f"--data {text} cannot be read: {error.strerror}") from error


def make_folder(folder: Path) -> None:
    """Make the folder for bodies where there is none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--to {folder} cannot be made: {error.strerror}") from error


def _headers(given: Sequence[str]) -> list[tuple[str, str]]:
    headers = []
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not _TOKEN.fullmatch(name.strip()):
            raise click.UsageError(f"--header {text!r}: expected 'NAME: VALUE'")
        headers.append((name.strip(), value.strip()))
    return headers


def check_message(options: dict[str, Any], method: str) -> None:
    """See that what is the same for all requests can be sent."""
    try:
        with session_of(options) as session:
            session.prepare_request(Request(method, "http://localhost/"))
    except (ValueError, RequestException) as error:
        raise click.UsageError(str(error)) from error


def session_of(
    options: dict[str, Any], saving: bool = False, kind: type[Session] = Session
) -> Session:
    """Return the session of all requests.

    Args:
        options: as they were given.
        saving: whether bodies go to files.
        kind: its class.

    Raises:
        UsageError: an option is none that it takes.
    """
    headers = _headers(options["headers"])
    if saving and not any(name.lower() == "accept-encoding" for name, _ in headers):
        # Bodies are saved as they are, and gone on with by byte.
        headers.append(("Accept-Encoding", "identity"))
    # Each request by itself: no cookie of one answer goes out with another request.
    config: Any = {"store_cookies": False}
    if options["max_size"] is not None:
        config["max_content_size"] = options["max_size"]
    if options["http2_prior"]:
        config["http2"] = "prior"
    elif options["http2"] is not None:
        config["http2"] = options["http2"]
    timeout, total = options["timeout"], options["total"]
    connect, read = (10.0, 60.0) if timeout is None else (timeout, timeout)
    try:
        return kind(
            headers=headers,
            timeout=Timeouts(connect=connect, read=read, total=total),
            proxies={"all": options["proxy"]} if options["proxy"] else None,
            verify=False if options["insecure"] else None,
            config=config,
        )
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from error


@contextlib.contextmanager
def pool_of(options: dict[str, Any], session: Session, executor: Any) -> Iterator[Pool]:
    """Enter the pool that sends the requests; leaving it stops what is in flight."""
    settings: dict[str, Any] = {"executor": executor} if executor is not None else {}
    try:
        pool = Pool(
            options["size"],
            per_host=options["per_host"],
            rate=_rate(options["rate"]),
            delay=options["delay"],
            retries=options["retries"],
            session=session,
            prefetch=False,
            **settings,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    try:
        yield pool
    finally:
        pool.kill()


def _rate(text: str | None) -> float | str | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text
