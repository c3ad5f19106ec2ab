"""Modules that are imported when something of them is first asked for.

What few programs need (urllib3's retries and pools, its errors) would make up half of the time that
``import reqkit`` takes.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from .importing import import_late

__all__ = ["DeferredModule", "is_imported"]


class DeferredModule(ModuleType):
    """Stands for a module: asked for a name, it imports the module and asks that."""

    def __getattr__(self, name: str) -> Any:
        # Not kept here: who patches the module is to be heeded.
        module = sys.modules.get(self.__name__)
        if module is None or not hasattr(module, name):  # hardly begun, perhaps, by another thread
            module = import_late(self.__name__)
        return getattr(module, name)


def is_imported(module: str) -> bool:
    """Tell whether anybody has imported a module: nothing can be of its classes before."""
    return module in sys.modules
