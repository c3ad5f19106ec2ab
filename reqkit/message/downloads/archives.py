"""What is compressed in itself, by its name, its media type and its first bytes.

Servers label such files with a Content-Encoding, as if what is in them were meant: undoing it would
store a ``.tar.gz`` that is none. Browsers, wget and curl save it as it came.
"""

from __future__ import annotations

from typing import Final

__all__ = ["stays_compressed"]

_GZIP: Final = b"\x1f\x8b"
_BZIP2: Final = b"BZh"
_XZ: Final = b"\xfd7zXZ\0"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ZIP: Final = b"PK"
_ANY: Final = b""

#: The end of a name, to how such a file begins.
_SUFFIXES: Final = {
    ".gz": _GZIP, ".tgz": _GZIP, ".taz": _GZIP, ".svgz": _GZIP, ".emz": _GZIP, ".gzip": _GZIP,
    ".bz2": _BZIP2, ".tbz": _BZIP2, ".tbz2": _BZIP2, ".xz": _XZ, ".txz": _XZ,
    ".zst": _ZSTD, ".tzst": _ZSTD, ".br": _ANY, ".z": b"\x1f\x9d", ".lz4": b"\x04\x22\x4d\x18",
    ".lzma": _ANY, ".zip": _ZIP, ".jar": _ZIP, ".whl": _ZIP, ".7z": b"7z\xbc\xaf", ".rar": b"Rar!",
}  # fmt: skip
_TYPES: Final = {
    "application/gzip": _GZIP, "application/x-gzip": _GZIP, "application/x-gunzip": _GZIP,
    "application/gzip-compressed": _GZIP, "application/gzipped": _GZIP,
    "application/x-compressed-tar": _GZIP, "application/x-tgz": _GZIP, "application/x-gtar": _GZIP,
    "application/x-bzip": _BZIP2, "application/x-bzip2": _BZIP2, "application/bzip2": _BZIP2,
    "application/x-xz": _XZ, "application/zstd": _ZSTD, "application/x-zstd": _ZSTD,
    "application/x-brotli": _ANY, "application/x-compress": b"\x1f\x9d",
    "application/x-lzma": _ANY, "application/zip": _ZIP, "application/x-zip-compressed": _ZIP,
    "application/java-archive": _ZIP, "application/x-7z-compressed": b"7z\xbc\xaf",
    "application/vnd.rar": b"Rar!", "application/x-rar-compressed": b"Rar!",
}  # fmt: skip


def stays_compressed(name: str, url_name: str, media_type: str, start: bytes | None) -> bool:
    """Tell whether a file is saved as it came, whatever its Content-Encoding says.

    Args:
        name: the file's.
        url_name: the URL's last segment: it counts unless the file is named as what is in it.
        media_type: the Content-Type.
        start: how the body begins, as it came; None where that is not known any more. What does
            not begin as such a file must has been encoded on the way.
    """
    begins = [_TYPES.get(media_type.partition(";")[0].strip().lower())]
    begins.append(_of_name(name))
    stem = url_name.lower().rpartition(".")[0]
    if name.lower() not in (stem, stem + ".tar"):
        begins.append(_of_name(url_name))
    return any(magic is not None and (start is None or start.startswith(magic)) for magic in begins)


def _of_name(name: str) -> bytes | None:
    _, dot, suffix = name.lower().rpartition(".")
    return _SUFFIXES.get(dot + suffix) if dot else None
