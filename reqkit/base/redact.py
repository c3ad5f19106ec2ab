"""How errors and logs show what they were given: never more than is sure to be no secret."""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["is_secret_field", "redacted", "without_secret_parameters"]

#: Parameters of URLs whose values usually are secrets; a long name is not looked through.
_SECRET_PARAMETER: Final = (
    r"(?i)([?&;#](?:[^=&;#\s]{0,64}"
    r"(?:token|secret|passw|api[-_]?key|access[-_]?key|signature|credential|session)"
    r"[^=&;#\s]{0,64}|pwd|sig|key|auth|code)=)[^&;#\s]+"
)


#: Header fields whose values usually are secrets, beside those that always are (`SECRET_HEADERS`).
_SECRET_FIELD: Final = (
    r"(?i)token|secret|passw|api[-_]?key|access[-_]?key|signature|credential|session"
    r"|^(?:x-)?(?:auth|access|csrf|xsrf)(?:-|$)"
)


def is_secret_field(name: str) -> bool:
    """Tell whether a header field's value is a secret by its name: ``X-Api-Key``, say."""
    return re.search(_SECRET_FIELD, name) is not None


def redacted(value: Any) -> str:
    """Return a wrong argument for an error's text.

    What may hold something (a dictionary of headers, a pair, an object with a repr of its own) may
    hold a password: of these the type is told, and not the value.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def without_secret_parameters(text: str) -> str:
    """Return a text in which URLs do not show the values of parameters that are secrets by name."""
    # Compiled when it is first needed: most programs log nothing.
    return re.sub(_SECRET_PARAMETER, r"\1***", text) if "=" in text else text
