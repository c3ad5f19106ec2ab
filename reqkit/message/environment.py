"""What the machine's environment says: the CA bundle and netrc; of proxies, see `proxies`.

Asked for each message, with ``trust_env``, and so it costs next to nothing where nothing is set.
Reads variables and small files; never the network. The files are local, and so nothing here
switches greenlets.
"""

from __future__ import annotations

import codecs
import os
import stat
import time
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ..base.file_descriptors import SHORTAGES, TOO_MANY, with_room
from ..base.warn import warn
from ..exceptions import RequestException, RequestsWarning
from .netrc_parsing import Netrc, parse_netrc

__all__ = ["ca_bundle", "has_netrc", "netrc_credentials"]

POSIX: Final = os.name == "posix"
#: The process's variables.
ENVIRON: Final = os.environ


def _encoded() -> dict[bytes, bytes] | None:
    data = getattr(os.environ, "_data", None)
    return data if POSIX and type(data) is dict else None


#: The dictionary behind them: to look up there what is not set takes a small part of the time that
#: ``os.environ`` takes. None where it has no such one.
ENCODED: Final[dict[bytes, bytes] | None] = _encoded()


def _variables() -> dict[bytes, bytes] | None:
    """Return the dictionary behind ``os.environ``, or None where it has no such one."""
    return ENCODED if os.environ is ENVIRON else None


class Variables:
    """Some variables of which the first one counts that is set, and not empty."""

    __slots__ = ("names", "octets")

    def __init__(self, *names: str) -> None:
        self.names: tuple[str, ...] = names
        self.octets: tuple[bytes, ...] = tuple(
            name.encode("utf-8", "surrogateescape") for name in names
        )

    def get(self) -> str | None:
        data = _variables()
        if data is None:
            for name in self.names:
                value = os.environ.get(name, "").strip()
                if value:
                    return value
            return None
        if data.keys().isdisjoint(self.octets):
            return None
        for octets in self.octets:
            raw = data.get(octets)
            if raw and not raw.isspace():
                return os.fsdecode(raw).strip()
        return None


# --- The CA bundle -----------------------------------------------------------------------------


_CA_BUNDLE: Final = Variables("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def names_ca_bundle(path: str) -> str | None:
    """Return the variable that names a CA file or folder, where one does: to be blamed for it."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if os.environ.get(name) == path:
            return name
    return None


def ca_bundle() -> str | None:
    """Return the CA file or folder that the environment names, or None.

    ``REQUESTS_CA_BUNDLE``, else ``CURL_CA_BUNDLE``; what is empty counts as not set.
    """
    return _CA_BUNDLE.get()


# --- netrc -------------------------------------------------------------------------------------


class _Read(NamedTuple):
    """A netrc file as it was read."""

    version: tuple[int, int, int]
    entries: Netrc


_NETRC: Final = Variables("NETRC")
_MOST_FILES: Final = 8
_LARGEST_NETRC: Final = 1 << 22
_AT_ONCE: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_read_files: dict[str, _Read] = {}
#: Seconds for which it is not looked again whether there is a netrc: to look for the files costs as
#: much as a good part of a request, and would be done for each.
_PAUSE: Final = 0.1
#: A home that had no netrc, and until when that counts; read and set in one go.
_none_there: tuple[Any, float] = (None, 0.0)


def has_netrc() -> bool:
    """Tell whether there may be a netrc. Costs next to nothing where there is none.

    A netrc that comes into being counts after a tenth of a second.
    """
    global _none_there
    data = ENCODED
    if data is None or os.environ is not ENVIRON or b"NETRC" in data:
        return True
    home, until = _none_there
    if time.monotonic() < until and home == data.get(b"HOME"):
        return False
    if _netrc_path() is not None:
        return True
    _none_there = (data.get(b"HOME"), time.monotonic() + _PAUSE)
    return False


def netrc_credentials(
    host: str, user: str | None = None, default: bool = True
) -> tuple[str, str] | None:
    """Return the login and password that netrc has for a host, or None.

    The file is ``NETRC``'s where that is set, else ``~/.netrc`` or ``~/_netrc``. It is read when
    it has changed. What cannot be opened, or is no file, is as none; words in it that netrc does
    not know are passed over, with a `RequestsWarning` when it is read, which has nothing of the
    file's text. The entry ``default`` counts for hosts that have none.

    Args:
        host: the host's name alone, parsed from the URL: no port, no user.
        user: whose password it is to be, where the URL says so.
        default: False leaves the entry ``default`` out.
    """
    path = _netrc_path()
    if path is None:
        return None
    entries = _netrc_entries(path)
    return None if entries is None else entries.find(host, user, default)


def _netrc_path() -> str | None:
    """Return where netrc is, or None where there is none."""
    named = _NETRC.get()
    if named is not None:
        return os.path.expanduser(named)
    for path in _usual_files(_home()):
        if os.access(path, os.F_OK):
            return path
    return None


def _home() -> Any:
    """Return what the environment says of the home folder."""
    data = _variables()
    return os.environ.get("USERPROFILE") if data is None else data.get(b"HOME")


@lru_cache(maxsize=8)
def _usual_files(home: str | bytes | None) -> tuple[str, ...]:
    """Return where netrc may be; kept by the home that the environment names."""
    folder = os.path.expanduser("~")
    return os.path.join(folder, ".netrc"), os.path.join(folder, "_netrc")


def _text_of(octets: bytes) -> str:
    """Return a netrc's text, as editors and shells write it; its lines end in LF."""
    wide = octets.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = octets.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _netrc_entries(path: str) -> Netrc | None:
    # A netrc that may not be read, or went away meanwhile, is as none. So is what is no file: a
    # pipe might never be written to, and a device (/dev/null is usual) never end.
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return None
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        kept = _read_files.get(path)
        if kept is not None and kept.version == version:
            return kept.entries
        # What takes the file's place after it was looked at might have it wait.
        with open(with_room(lambda: os.open(path, _AT_ONCE)), "rb") as file:
            octets = file.read(_LARGEST_NETRC + 1)
    except ValueError:  # a name that no file can have
        return None
    except OSError as error:
        if error.errno in SHORTAGES:  # to send it without a password would be another request
            raise RequestException(f"{path} cannot be opened: {TOO_MANY}") from error
        return None
    if len(octets) > _LARGEST_NETRC:
        octets = b""
        warn(
            f"{path} has more than {_LARGEST_NETRC} bytes, and is passed over: expected a netrc."
            " Name another file in NETRC",
            RequestsWarning,
        )
    entries = parse_netrc(_text_of(octets))
    if len(_read_files) >= _MOST_FILES:
        _read_files.clear()
    _read_files[path] = _Read(version, entries)
    if entries.odd is not None:
        # Nothing of the file's text is shown: it may be a piece of a password.
        warn(
            f"{path} is malformed at line {entries.odd}: a word there is none of netrc's, and is"
            " passed over. Mend it, or name another file in NETRC",
            RequestsWarning,
        )
    return entries
