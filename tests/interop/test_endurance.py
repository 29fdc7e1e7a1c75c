"""What is said of long calls: drift, breaks and holes are found where they are, and only there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.interop.endurance import CELLS, Long, Track, follow, table
from tests.support.sound import speechlike
from tests.support.wav import Samples, save

RATE = 8000
DELAY = 0.25


def followed(folder: Path, heard: Samples, said: Samples) -> Track:
    save(folder / "said.wav", said, RATE)
    save(folder / "heard.wav", np.concatenate((np.zeros((round(DELAY * RATE), 1), np.int16), heard)), RATE)
    return follow(folder / "said.wav", folder / "heard.wav")


def test_what_comes_as_it_was_said_has_neither_drift_nor_hole(tmp_path: Path) -> None:
    said = speechlike(RATE, 40.0)
    track = followed(tmp_path, said, said)
    assert (track.first, track.last, track.steps, track.holes, track.snr) == (250.0, 250.0, 0, 0, "exact")
    assert track.compared >= 36


def test_a_step_of_the_delay_is_a_drift(tmp_path: Path) -> None:
    said = speechlike(RATE, 40.0)
    place = round((20.0 - DELAY) * RATE)  # between two of the seconds that are looked for
    late = np.concatenate((said[:place], np.zeros((RATE // 100, 1), np.int16), said[place:]))
    track = followed(tmp_path, late, said)
    assert (track.first, track.last, track.steps, track.holes) == (250.0, 260.0, 1, 0)


def test_a_second_of_silence_is_a_hole_and_what_follows_is_none(tmp_path: Path) -> None:
    said = speechlike(RATE, 40.0)
    broken = said.copy()
    broken[20 * RATE : 21 * RATE] = 0
    track = followed(tmp_path, broken, said)
    assert 1 <= track.holes <= 2
    assert (track.first, track.last, track.snr != "exact") == (250.0, 250.0, True)


def test_the_table_says_what_each_side_heard() -> None:
    whole = Track(595, 250.0, 250.0, 250.0, 250.0, 0, 0, 37.3)
    drifted = Track(595, 250.0, 251.5, 250.0, 251.5, 3, 2, "exact")
    lines = table([Long(cell.name, whole, drifted, "") for cell in CELLS]).splitlines()
    assert len(lines) == 2 + len(CELLS)
    assert lines[2] == "| baresip, we call | pcmu | 37.3 dB, no drift, no hole | exact, +1.50 ms, **2 s missing** |"
