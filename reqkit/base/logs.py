"""The logger ``reqkit``: silent, unless a program configures it. No line has a secret in it.

DEBUG has a line for each exchange; INFO for redirects, retries, and hosts that are held back;
WARNING for what a user should look at. The package `logging` is not imported for it: who has not
done so has configured none.
"""

from __future__ import annotations

import sys
from typing import Any, Final

__all__ = ["DEBUG", "INFO", "WARNING", "logger"]

#: As `logging` has them.
DEBUG: Final = 10
INFO: Final = 20
WARNING: Final = 30


class _Logger:
    """Stands for the logger until somebody has imported `logging`."""

    __slots__ = ("isEnabledFor", "log")

    isEnabledFor: Any
    log: Any

    def __init__(self) -> None:
        self.isEnabledFor = self._look
        self.log = self._drop

    def _look(self, level: int) -> bool:
        logging = sys.modules.get("logging")
        if logging is None or not hasattr(logging, "NullHandler"):
            return False
        real = logging.getLogger("reqkit")
        if not real.handlers:
            real.addHandler(logging.NullHandler())
        self.log = real.log
        self.isEnabledFor = real.isEnabledFor
        enabled: bool = real.isEnabledFor(level)
        return enabled

    def _drop(self, level: int, *arguments: Any) -> None:
        if self._look(level):
            self.log(level, *arguments)


logger: Final = _Logger()
