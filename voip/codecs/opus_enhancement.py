"""The neural parts of libopus' decoder, where it has them (1.5 and later): by its complexity.

From 5 on lost sound is concealed by a model of speech (deep PLC), from 7 on speech of a low bit rate is enhanced
(NoLACE). A libopus without them refuses to have its decoder's complexity set, or takes it without effect.
"""

from __future__ import annotations

from voip.codecs import libopus

CONCEALING = 5
"""Complexity of deep PLC. PESQ with 5 % lost in outages of 60 ms: 3.24, without it 3.11."""
ENHANCING = 7
"""Complexity of NoLACE. PESQ of speech at 9 kbit/s 3.31, without it 2.95 (PLCMOS 4.36 and 3.66); at 12 kbit/s 3.95 and
3.79; at 24 kbit/s no better. It takes 110 us a frame: half a percent of a processor."""
LOW_RATE, NORMAL_RATE = 15000.0, 17000.0
"""Bit/s below which speech is enhanced, and above which no more: between them it stays as it is."""
MEMORY = 1.0
"""Seconds over which the bit rate is averaged: longer than a syllable, and than an outage that copies fill in."""


class Enhancement:
    """Chooses the complexity of one decoder by the bit rate of what comes."""

    def __init__(self, decoder: libopus.Decoder) -> None:
        self._decoder = decoder
        self.complexity: int | None = CONCEALING if decoder.try_set(libopus.SET_COMPLEXITY, CONCEALING) else None
        """As it is now; None: the library has none of it."""
        self._bits = self._seconds = 0.0

    def receive(self, size: int, samples: int) -> None:
        """A packet of so many bytes and samples (at 48 kHz) was decoded: from the next one on."""
        if self.complexity is None or samples <= 0:
            return
        seconds = samples / libopus.SAMPLE_RATE
        kept = max(0.0, 1.0 - seconds / MEMORY)
        self._bits = kept * self._bits + 8 * size
        self._seconds = kept * self._seconds + seconds
        rate = self._bits / self._seconds
        if self._seconds < MEMORY / 2 or LOW_RATE <= rate <= NORMAL_RATE:
            return
        wanted = ENHANCING if rate < LOW_RATE else CONCEALING
        if wanted != self.complexity and self._decoder.try_set(libopus.SET_COMPLEXITY, wanted):
            self.complexity = wanted
