"""The delay of sound between two places: chirps are played, both are recorded, each chirp is found in either."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
from numpy.typing import NDArray

from tests.support.virtual_sound import RATE, VirtualSound

Wave = NDArray[np.float64]

EVERY = 0.73
"""Seconds between two chirps: more than any delay, and no multiple of a block."""
CHIRP = 0.02
"""Seconds that a chirp lasts."""
BAND = (600.0, 3000.0)
"""Hz of its beginning and end: within what G.711 carries."""
MAX_DELAY = 0.6
"""Seconds in which a chirp is looked for."""
LOUD = 0.3
"""Share of the best match that is a chirp."""


class Recording:
    """What a sink plays, on the clock of this process: sample n was there at `began + n / RATE`."""

    def __init__(self, sound: VirtualSound, sink: str) -> None:
        read_end, write_end = os.pipe()
        self._arrivals: list[tuple[float, int]] = []
        self._data = bytearray()
        self._fd = read_end
        self._reader = threading.Thread(target=self._read)
        self._recorder = sound.recorder(sink, write_end)
        os.close(write_end)
        self._reader.start()

    def _read(self) -> None:
        while piece := os.read(self._fd, 1 << 16):
            self._data += piece
            self._arrivals.append((time.monotonic(), len(self._data) // 2))
        os.close(self._fd)

    def finish(self) -> tuple[Wave, float]:
        """The samples, and when the first was there: of all pieces, the least delayed tell."""
        self._recorder.terminate()
        self._recorder.wait()
        self._reader.join()
        samples = np.frombuffer(bytes(self._data[: len(self._data) // 2 * 2]), "<i2").astype(np.float64)
        began = float(np.quantile([at - count / RATE for at, count in self._arrivals], 0.05))
        return samples, began


def chirp() -> Wave:
    """A short rise in pitch, which no other moment of itself resembles."""
    at = np.arange(round(CHIRP * RATE)) / RATE
    rise = (BAND[1] - BAND[0]) / CHIRP
    return np.asarray(0.5 * np.hanning(len(at)) * np.sin(2 * np.pi * (BAND[0] * at + rise * at**2 / 2)))


def chirps(seconds: float) -> Wave:
    """One every EVERY seconds."""
    sound = np.zeros(round(seconds * RATE))
    pip = chirp()
    for start in np.arange(EVERY, seconds - 2 * CHIRP, EVERY):
        at = round(start * RATE)
        sound[at : at + len(pip)] = pip
    return sound


def found(sound: Wave) -> Wave:
    """How much of a chirp begins at each sample: the envelope of the match."""
    pip, length = chirp(), 1 << (len(sound) + round(CHIRP * RATE)).bit_length()
    match = np.fft.fft(sound, length) * np.conj(np.fft.fft(pip, length))
    match[length // 2 :] = 0.0  # the analytic signal
    return np.abs(np.fft.ifft(match))[: len(sound)]


def delays(heard: Wave, played: Wave, offset: float) -> Wave:
    """Seconds from each chirp in `heard` to the same in `played`, which began `offset` seconds later."""
    before, after = found(heard), found(played)
    loud, result, at = LOUD * before.max(), [], 0
    window = round(EVERY / 2 * RATE)
    for _ in range(int(len(heard) / RATE / EVERY) + 1):
        above = np.flatnonzero(before[at:] > loud)
        if not len(above):
            break
        first = at + int(above[0])
        peak = first + int(np.argmax(before[first : first + round(CHIRP * RATE)]))
        start = max(0, round(peak - offset * RATE))
        piece = after[start : start + round(MAX_DELAY * RATE)]
        if len(piece) == round(MAX_DELAY * RATE) and piece.max() > LOUD * after.max():
            result.append(int(np.argmax(piece)) / RATE + (start - (peak - offset * RATE)) / RATE)
        at = peak + window
    return np.array(result)
