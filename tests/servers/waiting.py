"""Waiting in greenlets for what must happen, and how long a thing may take that must not last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import gevent

from .scripted import PATIENCE

__all__ = ["SOON", "until"]

#: Seconds that something may take that is to take half of one: the machine may be busy. What hangs
#: takes longer: servers wait for `PATIENCE`.
SOON: Final = PATIENCE * 0.75


def until(condition: Callable[[], Any]) -> None:
    """Let the other greenlets run until something is so."""
    with gevent.Timeout(PATIENCE):
        while not condition():
            gevent.sleep(0.001)
