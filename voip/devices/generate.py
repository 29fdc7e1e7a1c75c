"""Sounds made here: a tone, silence, and a piece that everybody recognises. Each is a `Fill` at RATE, mono."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from voip.devices.paced import Fill
from voip.dsp import Pcm

RATE = 48000
TONE_HZ = 440.0
TONE_PEAK = round(32767 * 10 ** (-12 / 20))
"""-12 dBFS at the peak of the sine."""

SIXTEENTH_SECONDS = 0.2
"""Seconds: poco moto, on the calm side."""
RING_SECONDS = 1.6
"""Seconds a plucked string sounds."""
PIECE_PEAK = 0.5
"""Peak of the piece: -6 dBFS, so that no resampler on its way clips."""

# Beethoven, Bagatelle No. 25 "Für Elise" (published 1867), the opening: pitches by sixteenth, "." rests or rings on.
RIGHT_HAND = """
    E5 D#5  E5 D#5 E5 B4 D5 C5  A4 . . C4 E4 A4  B4 . . E4 G#4 B4  C5 . . E4 E5 D#5
            E5 D#5 E5 B4 D5 C5  A4 . . C4 E4 A4  B4 . . E4 C5 B4   A4
"""
LEFT_HAND = """
    . .     . . . . . .  A2 E3 A3 . . .  E2 E3 G#3 . . .  A2 E3 A3 . . .
            . . . . . .  A2 E3 A3 . . .  E2 E3 G#3 . . .  A2 E3 A3
"""
LEFT_HAND_GAIN = 0.7

_SCALE = {"C": -9, "D": -7, "E": -5, "F": -4, "G": -2, "A": 0, "B": 2}
_PARTIALS = 6
_DECAY = 4.0
"""Nepers per second of the fundamental; partial k dies k times as fast."""
_ATTACK, _RELEASE = 0.003, 0.05
"""Seconds of fade at both ends of a note: no click."""


def silence() -> Fill:
    """Silence without end."""
    return lambda samples: np.zeros((samples, 1), np.int16)


def tone(frequency: float = TONE_HZ) -> Fill:
    """A sine without end and without a jump of phase."""
    position = 0

    def fill(samples: int) -> Pcm:
        nonlocal position
        turns = np.arange(position, position + samples) * (frequency / RATE)
        position += samples
        # The whole turns are taken off first: the sine of a large number is neither exact nor fast.
        sine: Pcm = np.rint(TONE_PEAK * np.sin(2 * np.pi * (turns % 1.0))).astype(np.int16)
        return sine[:, None]

    return fill


def demo(*, loop: bool = False) -> Fill:
    """The piece once, or over and over."""
    return play(piece(), loop=loop)


def play(pcm: Pcm, *, loop: bool) -> Fill:
    """Sound in memory, once or over and over without a seam."""
    position = 0

    def fill(samples: int) -> Pcm:
        nonlocal position
        start, position = position, position + samples
        if loop:
            return pcm.take(np.arange(start, position), axis=0, mode="wrap")
        return pcm[start:position]

    return fill


@cache
def piece() -> Pcm:
    """Ten seconds of plucked strings."""
    hands = [(RIGHT_HAND.split(), 1.0), (LEFT_HAND.split(), LEFT_HAND_GAIN)]
    onset = round(SIXTEENTH_SECONDS * RATE)
    ring = round(RING_SECONDS * RATE)
    sound = np.zeros((max(len(notes) for notes, _ in hands) - 1) * onset + ring, np.float32)
    for notes, gain in hands:
        for index, name in enumerate(notes):
            if name != ".":
                sound[index * onset : index * onset + ring] += gain * _pluck(name)
    sound *= PIECE_PEAK * 32767 / np.abs(sound).max()
    pcm: Pcm = np.rint(sound).astype(np.int16)[:, None]
    pcm.setflags(write=False)
    return pcm


@cache
def _pluck(name: str) -> NDArray[np.float32]:
    """One note, e.g. "G#3": partials that start together and die the faster the higher they are."""
    frequency = 440.0 * 2 ** ((_SCALE[name[0]] + ("#" in name)) / 12 + int(name[-1]) - 4)
    length = round(RING_SECONDS * RATE)
    note = np.zeros(length, np.float32)
    seconds = np.arange(length) / RATE
    fundamental = np.exp(2j * np.pi * frequency * seconds - _DECAY * seconds).astype(np.complex64)
    partial = np.ones(length, np.complex64)
    for k in range(1, _PARTIALS + 1):
        audible = math.ceil(length / math.sqrt(k))
        partial = partial[:audible] * fundamental[:audible]  # the k-th power: k times the pitch and the decay
        note[:audible] += partial.imag / np.float32(k**1.5)
    attack, release = round(_ATTACK * RATE), round(_RELEASE * RATE)
    note[:attack] *= np.linspace(0, 1, attack, dtype=np.float32)
    note[-release:] *= np.linspace(1, 0, release, dtype=np.float32)
    return note
