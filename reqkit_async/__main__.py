"""``python -m reqkit_async``: the command `reqkit`."""

from __future__ import annotations

import sys

from .command import main

if __name__ == "__main__":  # a spawned worker imports this, too
    sys.exit(main())
