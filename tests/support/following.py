"""Raw samples that a program writes to a file, followed while it does: when is there sound?"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from voip.dsp import level_dbfs

RATE = 8000
FORMAT = ("--format", f"{RATE}/1")
"""The options of a program that writes what is followed here."""
WINDOW = 0.1
"""Seconds of sound that count."""
LOUD = -30.0
"""dBFS: the tone of the programs has 15 more."""
LOOK = 0.02
"""Seconds between looks."""


def seconds_to_sound(file: Path, since: float, patience: float, rate: int = RATE) -> float:
    """Seconds from a monotonic moment that has just passed until WINDOW of new sound is written; AssertionError."""
    size = 2 * round(WINDOW * rate)
    before = file.stat().st_size
    while time.monotonic() - since < patience:
        time.sleep(LOOK)
        with file.open("rb") as samples:
            end = file.stat().st_size // 2 * 2
            if end - before >= size:
                samples.seek(end - size)
                if level_dbfs(np.frombuffer(samples.read(size), "<i2").reshape(-1, 1)) > LOUD:
                    return time.monotonic() - since
    raise AssertionError(f"no sound in {file} within {patience} s")
