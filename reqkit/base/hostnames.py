"""Hosts' names beyond ASCII: in the one form that is looked up, sent and compared.

Names are mapped as the Unicode consortium's UTS 46 says, which browsers go by (letters of full
width, ``。`` for a dot, capitals), and must then be names of IDNA 2008: ``ß`` is a letter of its
own, and symbols are none. The wrong host is worse than none.

Source: UTS 46 (nontransitional); RFC 5891.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .importing import import_late

__all__ = ["ascii_name"]

#: Characters, several times as many as a name may have: what is longer is not looked into.
_LONGEST: Final = 1024

#: What is left of ASCII after mapping must have been meant as a part of a name: a full-width slash
#: or colon would move the end of the host to where others do not see it.
_FOREIGN: Final = re.compile(r"[\x00-\x2c\x2f\x3a-\x60\x7b-\x7f]")


@lru_cache(maxsize=1024)
def ascii_name(name: str) -> str:
    """Return a host's name in ASCII, its labels in lower case; one of ASCII alone is only lowered.

    Args:
        name: without port and brackets.

    Raises:
        UnicodeError: it is no name that IDNA can express.
    """
    if len(name) > _LONGEST:
        raise UnicodeError("it is too long for a name")
    if name.isascii():
        return name.lower()
    idna = import_late("idna")
    # '_' is no letter to IDNA, and stands in names: it is kept out of the mapping.
    mapped = "_".join(
        [
            idna.uts46_remap(part, std3_rules=False, transitional=False) if part else ""
            for part in name.split("_")
        ]
    )
    bad = _FOREIGN.search(mapped.replace("_", ""))
    if bad is not None:
        raise UnicodeError(f"it has a character that stands for {bad.group()!r}")
    labels = []
    for label in mapped.split("."):
        if label.isascii():
            labels.append(label)
        else:
            labels.append(idna.encode(label, strict=True, std3_rules=True).decode("ascii"))
    return ".".join(labels)
