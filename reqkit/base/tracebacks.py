"""Errors that are kept, without the frames that they came through."""

from __future__ import annotations

import contextlib
import traceback

__all__ = ["forget_frames"]


def forget_frames(error: BaseException, tell: bool = False) -> None:
    """Let go of the frames of an error, and of those that it came of.

    A traceback holds every variable on the way: of a kept failure's, all of its batch.

    Args:
        error: what is kept.
        tell: whether the traceback is worth keeping as text, as a note of the error's: where it
            leads to code of the user's.
    """
    if tell and error.__traceback__ is not None:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        with contextlib.suppress(Exception):  # it may have no attributes
            # As `add_note` does, which Python 3.10 does not have.
            error.__notes__ = [  # type: ignore[attr-defined]
                *getattr(error, "__notes__", ()),
                text.rstrip(),
            ]
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            left += (one.__cause__, one.__context__)
