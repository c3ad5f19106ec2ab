"""Forms: ``application/x-www-form-urlencoded``."""

from __future__ import annotations

from typing import Any

from ..multimapping import urlencoded

__all__ = ["encode_form"]


def encode_form(data: Any) -> str:
    """Return a form as it is sent: ASCII.

    Args:
        data: a mapping or pairs; a value may be a list of values, None is left out, and what is not
            text is written as ``str()`` has it.

    Raises:
        TypeError: it is neither, or a value is a file.
        ValueError: an item is not a pair, or text that UTF-8 cannot express.

    Source: the WHATWG URL standard, section 5.2.
    """
    return urlencoded(data, "data")
