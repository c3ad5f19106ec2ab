"""What is said about a dependency that is not the one that reqkit needs."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import warnings
from typing import Final

from ..exceptions import RequestsDependencyWarning

__all__ = ["check_urllib3"]

#: A version of urllib3-future: its third number begins at 900, where urllib3's own never comes.
_FUTURE: Final = re.compile(r"\d+\.\d+\.9\d\d")

_VERSION: Final = re.compile(
    r"^(?:__version__|version)\b[^\n'\"]*['\"]([^'\"]+)['\"]", re.MULTILINE
)


def check_urllib3() -> None:
    """Warn where another package has put its files in urllib3's place.

    urllib3-future does so when it is installed (by niquests, say), under the same name. What goes
    wrong then looks like a fault of whoever uses urllib3.
    """
    version = _urllib3_version()
    if _FUTURE.match(version):
        warnings.warn(
            f"the package urllib3 that is installed here, {version}, is urllib3-future under"
            " urllib3's name. reqkit needs urllib3 itself and is not tested with another: install"
            " it again (pip install --force-reinstall 'urllib3>=2.7,<3'), and what needs"
            " urllib3-future into an environment of its own",
            RequestsDependencyWarning,
            stacklevel=3,
        )


def _urllib3_version() -> str:
    """Return the version of what is there as urllib3, without importing it."""
    module = sys.modules.get("urllib3")
    if module is not None:
        return str(getattr(module, "__version__", ""))
    found = importlib.util.find_spec("urllib3")
    if found is None or found.origin is None:
        return ""
    try:
        with open(os.path.join(os.path.dirname(found.origin), "_version.py"), "rb") as file:
            text = file.read(4096).decode("utf-8", "replace")
    except OSError:  # in an archive, say: it is asked when it is imported
        return ""
    named = _VERSION.search(text)
    return "" if named is None else named[1]
