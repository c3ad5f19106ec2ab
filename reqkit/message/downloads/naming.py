"""Where a download goes: a file in a folder that is there, and in place of nothing but a file."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any, Final, Protocol

from ...base.redact import redacted

__all__ = ["file_for"]

#: What a path ends in that can only be a folder's.
_SEPARATORS: Final = tuple({"/", os.sep, os.altsep or "/"})
#: Bytes of a file's name that a URL gives it.
_LONGEST_NAME: Final = 200


class Named(Protocol):
    """What names a file: the URL that was asked for."""

    url: str | None

    @property
    def history(self) -> list[Any]:
        """The redirects on the way, oldest first."""


def file_for(response: Named, given: str) -> Path:
    """Return the file that is meant, which may be there already, and nothing else than a file.

    Raises:
        OSError: there is no such folder, or something in the file's place that is to stay.
        ValueError: no file can have such a name.
    """
    try:
        unusable = b"\0" in os.fsencode(given)
    except UnicodeEncodeError:
        unusable = True
    if unusable:
        raise ValueError(
            f"the path is {redacted(given)}: no file can have such a name (a NUL, or half of a"
            " surrogate pair)"
        )
    path = Path(given)
    if path.is_dir():
        path /= _name_for(response)
    else:
        folder = path if given.endswith(_SEPARATORS) else path.parent
        if not folder.is_dir():
            raise FileNotFoundError(
                errno.ENOENT, "there is no such folder to download into", str(folder)
            )
    if path.exists() and not path.is_file():
        # The file is renamed to this place: a device would be gone, and a FIFO's reader left.
        if path.is_dir():
            raise IsADirectoryError(
                errno.EISDIR, "there is a folder in the file's place", str(path)
            )
        raise FileExistsError(
            errno.EEXIST,
            "what is there is no file, and a download would replace it: write the pieces of"
            " iter_content() to it",
            str(path),
        )
    return path


def _name_for(response: Named) -> str:
    """Return what a file in a folder is called."""
    # The name that was asked for: where it redirects to is the server's choice.
    asked = response.history[0] if response.history else response
    path_part = (asked.url or "").partition("://")[2].split("?")[0].split("#")[0]
    name = path_part.partition("/")[2].rstrip("/").rpartition("/")[2][:_LONGEST_NAME]
    # A name must stay in the folder, whatever the URL says, and leave room for the part's.
    name = re.sub(r"[\x00-\x1f\\/:]", "_", name)
    while len(os.fsencode(name)) > _LONGEST_NAME:
        name = name[:-1]
    if name in ("", ".", ".."):
        name = "download"
    return name
