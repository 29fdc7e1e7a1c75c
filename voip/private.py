"""Files that only their owner reads: recordings and reports of calls are nothing for the other users of a machine."""

from __future__ import annotations

import os

OWNER_ALONE = 0o600
"""The mode of a file that is created. One that is there already keeps the mode that its owner gave it."""


def private(path: str, flags: int) -> int:
    """The `opener` of `open` for such a file."""
    return os.open(path, flags, OWNER_ALONE)
