"""Going on where a download broke off: the rest is asked for, of that version of the file alone."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from ...exceptions import RequestException
from ..dates import seconds_of
from ..urls import without_secrets
from .answer import Answer, check_is_file
from .partial import Partial
from .ranges import content_range

__all__ = ["AskAgain", "Rest", "ask_again", "begin_anew", "goes_on", "resumed", "what_is_there"]


#: Seconds by which a server's clock and ours may differ.
_SKEW: Final = 60.0


class Rest(NamedTuple):
    """What a request goes on with: how many bytes there are, and of which version of the file."""

    size: int
    version: str

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The fields that ask for what is left (RFC 9110 sections 14.2 and 13.1.5)."""
        return [("Range", f"bytes={self.size}-"), ("If-Range", self.version)]


class AskAgain(Exception):
    """An answer is not what its file needs: the request is to be sent once more.

    Attributes:
        rest: what it is to ask for; None for the whole file, and whatever comes is to be taken.
    """

    def __init__(self, rest: Rest | None) -> None:
        super().__init__(rest)
        self.rest: Rest | None = rest


def resumed(response: Answer, partial: Partial, decodes: bool) -> Answer:
    """Ask for the rest of a part.

    Returns:
        the response to read; a 416 where all is there.
    """
    rest = what_is_there(response, partial, decodes)
    if rest is None:
        return begin_anew(response, partial)
    again = ask_again(response, rest)
    if again.status_code not in (206, 416):
        check_is_file(again, None)
        return begin_anew(again, partial)
    coding = response.headers.get("content-encoding")
    same = again.status_code == 416 or again.headers.get("content-encoding") == coding
    if same and goes_on(again, rest):
        return again
    again.close()
    whole = ask_again(response)
    check_is_file(whole, None)
    return begin_anew(whole, partial)


def what_is_there(response: Answer, partial: Partial, decodes: bool) -> Rest | None:
    """Return what a part has of the very file that an answer is of; None where it has nothing."""
    size, version = partial.size, partial.version
    if not size or version is None or decodes or _validator(response) != version:
        return None
    return Rest(size, version)


def goes_on(again: Answer, rest: Rest) -> bool:
    """Tell whether a 206 or a 416 is the answer to who has asked for the rest."""
    # A server may not heed If-Range, and send a part of another version.
    if _validator(again) not in (None, rest.version):
        return False
    found = content_range(again.headers.get("content-range"))
    if found is None or found.size is None:  # else nobody could tell whether this is all
        return False
    if again.status_code == 416:
        if found.size != rest.size:
            return False
        again.close()
        return True
    return found.first == rest.size


def begin_anew(response: Answer, partial: Partial) -> Answer:
    """Have the part hold what an answer has, from its first byte."""
    partial.begin(_validator(response))
    return response


def ask_again(response: Answer, rest: Rest | None = None) -> Answer:
    """Send the request again, for the rest of the body, in the identity encoding."""
    response.close()
    if response.connection is None:
        raise RequestException(
            f"{without_secrets(response.url or '')}: this must be asked for again, and was not"
            " sent by a session (or was copied from another process): request it again",
            request=response.request,
        )
    message = response.request.copy()
    message.rewind()
    message.headers["Accept-Encoding"] = "identity"
    if rest is not None:
        message.headers.pop("Range", None)
        message.headers.update(rest.headers)
    again: Answer = response.connection.send(message)
    if again.is_redirect:
        again.close()
        raise RequestException(
            f"{without_secrets(again.url or '')} redirects ({again.status_code}) now, so that the"
            " rest cannot be had from there: request the file again",
            response=again,
        )
    again.history = list(response.history)
    return again


def _validator(response: Answer) -> str | None:
    """Return what tells this version of the file from others (RFC 9110 section 13.1.5)."""
    tag = response.headers.get("etag")
    if tag is not None and not tag.startswith("W/"):  # a weak one does not vouch for bytes
        return str(tag)
    modified: str | None = response.headers.get("last-modified")
    if tag is not None or modified is None:
        return None
    changed, date = seconds_of(modified), response.headers.get("date")
    # RFC 9110 section 8.8.2.2: a file that changes twice within a second has one date for both.
    # Where the server does not say what time it is, its clock and ours may differ.
    now = time.time() - _SKEW if date is None else seconds_of(date)
    return modified if changed is not None and now is not None and now - changed >= 1.0 else None
