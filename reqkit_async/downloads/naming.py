"""What the files are called that bodies go to: names that stay in their folder, none twice."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

__all__ = ["Names", "is_safe"]

#: Bytes of a name: most file systems take 255, and ``.part.version`` and a number are added.
_LONGEST: Final = 200
_LONGEST_ENDING: Final = 20
#: What some system or shell gives a meaning of its own.
_ODD: Final = re.compile(r'[\x00-\x1f\x7f-\x9f\\/:*?"<>|\u2028\u2029\u202a-\u202e\u2066-\u2069]')
_DEVICES: Final = re.compile(
    r"(?i)(con|prn|aux|nul|conin\$|conout\$|clock\$|com[0-9\xb9\xb2\xb3]|lpt[0-9\xb9\xb2\xb3])"
    r" *(\.|$)"
)
#: Files that downloads keep beside theirs.
_KEPT_BESIDE: Final = re.compile(r"(?i)\.(part|version)$")


class Names:
    """Gives each URL a file name of its own: its last segment, or its host's name.

    The same URLs in the same order get the same names. What is remembered of each name is a number.
    """

    def __init__(self) -> None:
        self._taken: set[int] = set()
        #: Of a name that is wanted again and again, the last number that it got.
        self._numbers: dict[int, int] = {}

    def reserve(self, name: str) -> bool:
        """Count a name as taken; tell whether it was free."""
        fingerprint = _fingerprint(name)
        free = fingerprint not in self._taken
        self._taken.add(fingerprint)
        return free

    def name_for(self, url: str) -> str:
        """Return the name for a URL; never raises."""
        stem, ending = _parts(_safe(_wanted(url)))
        name = stem + ending
        plain = _fingerprint(name)
        if plain in self._taken:
            number = self._numbers.get(plain, 1)
            while _fingerprint(name) in self._taken:
                number += 1
                name = f"{stem}-{number}{ending}"
            self._numbers[plain] = number
        self.reserve(name)
        return name


def is_safe(name: str) -> bool:
    """Tell whether a file in a folder may have this name, on any system."""
    return bool(name) and _safe(name) == name and "".join(_parts(name)) == name


def _fingerprint(name: str) -> int:
    # Some file systems take names for one that differ in case, or in how accents are written.
    folded = normalize("NFC", normalize("NFC", name).casefold()).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(folded, digest_size=8).digest(), "little")


def _wanted(url: str) -> str:
    try:
        parts = urlsplit(url)
        path, host = parts.path, parts.hostname or ""
    except ValueError:
        return "download"
    last = path.rstrip("/").rpartition("/")[2]
    return unquote(last, errors="replace") or host or "download"


def _safe(name: str) -> str:
    name = _ODD.sub("_", name.encode("utf-8", "replace").decode("utf-8")).strip(" .")
    if not name or name.startswith("-"):
        name = f"_{name}"
    if _DEVICES.match(name):
        name = f"_{name}"
    return f"{name}_" if _KEPT_BESIDE.search(name) else name


def _parts(name: str) -> tuple[str, str]:
    """Return a name's stem, shortened where it is too long, and its ending (``.tar.gz``, too)."""
    dot = name.rfind(".")
    if dot > 0 and name[:dot].lower().endswith(".tar"):
        dot -= 4
    stem, ending = (name[:dot], name[dot:]) if dot > 0 else (name, "")
    if len(ending.encode()) > _LONGEST_ENDING:
        stem, ending = name, ""
    whole = stem.encode()
    if len(whole) + len(ending.encode()) > _LONGEST:
        digest = blake2b(name.encode(), digest_size=4).hexdigest()
        room = _LONGEST - len(ending.encode()) - len(digest) - 1
        stem = f"{whole[:room].decode('utf-8', 'ignore')}-{digest}"
    return stem, ending
