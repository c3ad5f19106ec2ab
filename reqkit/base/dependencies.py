"""What is said about a dependency that is not the one that reqkit needs."""

from __future__ import annotations

import re
import warnings
from typing import Final

import urllib3

from ..exceptions import RequestsDependencyWarning

__all__ = ["check_urllib3"]

#: A version of urllib3-future: its third number begins at 900, where urllib3's own never comes.
_FUTURE: Final = re.compile(r"\d+\.\d+\.9\d\d")


def check_urllib3() -> None:
    """Warn where another package has put its files in urllib3's place.

    urllib3-future does so when it is installed (by niquests, say), under the same name. What goes
    wrong then looks like a fault of whoever uses urllib3.
    """
    version = str(getattr(urllib3, "__version__", ""))
    if _FUTURE.match(version):
        warnings.warn(
            f"the package urllib3 that is installed here, {version}, is urllib3-future under"
            " urllib3's name. reqkit needs urllib3 itself and is not tested with another: install"
            " it again (pip install --force-reinstall 'urllib3>=2.7,<3'), and what needs"
            " urllib3-future into an environment of its own",
            RequestsDependencyWarning,
            stacklevel=3,
        )
