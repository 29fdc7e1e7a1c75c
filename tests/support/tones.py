"""How loud tones are in a recording, piece by piece: who of several, each with a tone of its own, is heard in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.support.sound import sine
from tests.support.wav import load, save

PIECE = 0.5
"""Seconds in which levels are measured."""
HEARD = -30.0
"""dBFS from which on a tone of `PEAK` counts as heard: it is at -15 dBFS when it arrives as it was sent."""
CLEARLY_HEARD = -18.0
"""dBFS from which on there is no concealment, and no beginning or end, in a piece."""
ENOUGH = 4
"""Pieces without concealment that a judgement of an echo rests on, where a test can wait for them."""
PEAK = 6000
FULL_SCALE = 32768
FLOOR = -180.0
"""dBFS of nothing at all."""

Levels = dict[float, float]
"""dBFS by frequency in Hz."""


def say(path: Path, hertz: float, *, rate: int = 48000, seconds: float = 60.0) -> Path:
    """A recording of one tone."""
    return save(path, sine(rate, seconds, hertz, peak=PEAK), rate)


def levels(path: Path, tones: Sequence[float]) -> list[Levels]:
    """Those of each tone in each PIECE; none of a recording that is not there yet."""
    try:
        sound, rate = load(path)
    except (OSError, EOFError):
        return []
    length = round(PIECE * rate)
    window = np.hanning(length)
    turns = {hertz: np.exp(-2j * np.pi * hertz * np.arange(length) / rate) for hertz in tones}
    found = []
    for start in range(0, len(sound) - length + 1, length):
        piece = sound[start : start + length, 0] * window
        waves = {hertz: 4 * abs(piece @ turn) / length / FULL_SCALE for hertz, turn in turns.items()}
        found.append({hertz: 20 * float(np.log10(wave)) if wave > 1e-9 else FLOOR for hertz, wave in waves.items()})
    return found


def hears(path: Path, *tones: float) -> bool:
    """Whether all of these are heard at the same time, somewhere in a recording."""
    return any(min(piece.values()) > HEARD for piece in levels(path, tones))


def hears_clearly(path: Path, *tones: float) -> bool:
    """Whether all of these are heard at once, in as many pieces as `echo` wants."""
    return len(_clear(levels(path, tones), tones)) >= ENOUGH


def echo(path: Path, own: float, others: Sequence[float]) -> float:
    """dB of the own tone beside the quietest of the others: the median over all pieces with all of those."""
    pieces = levels(path, (own, *others))
    heard = _clear(pieces, others)
    assert heard, f"{path}: {pieces}"
    return float(np.median([piece[own] - min(piece[hertz] for hertz in others) for piece in heard]))


def _clear(pieces: Sequence[Levels], tones: Sequence[float]) -> list[Levels]:
    return [piece for piece in pieces if min(piece[hertz] for hertz in tones) > CLEARLY_HEARD]
