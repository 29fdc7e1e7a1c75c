"""How to encode within a limit: at what bit rate, and how much sound goes into a packet.

Each packet has 40 bytes of headers and more, 16 kbit/s at 20 ms. Where little may be sent, longer packets leave more of
it to the sound: their delay costs less than what a codec at its least bit rate does to speech. A stream of Opus may
change the length of its packets at any time (RFC 7587 section 4.2), within what the peer takes (a=maxptime, RFC 8866
section 6.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

STEPS = (256_000, 192_000, 128_000, 96_000, 64_000, 48_000, 40_000, 32_000, 24_000, 20_000, 16_000, 12_000, 9_000)
"""Bit/s to encode at. Opus at the least of them, speech at 16 kHz: PESQ 4.47 at 24 kbit/s, 4.21 at 16, 3.79 at 12 and
2.95 at 9 (no loss; `python -m tools.measure_codecs`)."""
DULL = ((24_000, 0.0), (20_000, 3.0), (16_000, 6.0), (12_000, 15.0), (9_000, 32.0))
"""Points of R that speech has less at so many bit/s: what it has less of PESQ, 24 points each."""
WORST = 40.0
"""The same below the last of them."""
LENGTH_PRICE = 0.15, 0.6
"""Points of R that each millisecond costs by which packets are longer than was agreed on, up to DOUBLE and beyond: more
delay, more sound in each packet that is lost, and repair that takes as much longer."""
DOUBLE = 0.02
"""Seconds."""
LONGEST = 0.06
"""Seconds that packets are made to last at most: longer ones save less than a tenth, and each that is lost is heard."""
SHORTEN_AFTER = 10.0
"""Seconds for which there has to be room for shorter packets before they are sent again."""


class Coding(NamedTuple):
    """Bit/s of the encoder, and seconds of each packet."""

    bitrate: int
    ptime: float


def media_rate(limit: float | None, full: int, header: float, packets: float) -> int:
    """Bit/s to encode at so that, with `header` bytes on each of so many `packets` a second, the limit is kept: `full`
    or one of STEPS, the least of them if none is low enough."""
    if limit is None:
        return full
    room = limit - 8 * header * packets
    steps = sorted({full, *(step for step in STEPS if step < full)}, reverse=True)
    return next((step for step in steps if step <= room), steps[-1])


def best_coding(limit: float | None, full: int, header: float, ptimes: Sequence[float]) -> Coding:
    """What sounds best within the limit, in packets of one of `ptimes`, which ascend from the one agreed on; the
    longest if nothing keeps the limit. `full` and `header` as of `media_rate`."""
    found = [Coding(media_rate(limit, full, header, 1.0 / ptime), ptime) for ptime in ptimes]
    kept = [each for each in found if limit is None or each.bitrate + 8 * header / each.ptime <= limit]
    return min(kept, key=lambda each: lack(each, ptimes[0]), default=found[-1])


def lack(coding: Coding, agreed: float) -> float:
    """Points of R by which this is worse than the codec can be at its best."""
    dull = next((points for bitrate, points in DULL if coding.bitrate >= bitrate), WORST)
    longer, (first, second) = coding.ptime - agreed, LENGTH_PRICE
    return dull + 1e3 * (first * min(longer, DOUBLE) + second * max(0.0, longer - DOUBLE))


def least_rate(full: int, header: float, ptimes: Sequence[float]) -> float:
    """Bit/s with all headers below which such a stream cannot go."""
    return media_rate(0.0, full, header, 0.0) + 8 * header / max(ptimes)


def longer(times: Sequence[float] | None, ptime: float, most: float | None) -> tuple[float, ...]:
    """The packet time that was agreed on and those of a codec's `times` that may take its place, in ascending order;
    `most`: seconds that the peer takes, None without a limit."""
    limit = min(LONGEST, LONGEST if most is None else most)
    return (ptime, *sorted(time for time in times or () if ptime < time <= limit))
