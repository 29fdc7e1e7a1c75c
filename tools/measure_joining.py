"""What a decoder hears that comes to an encoder in use: Opus, from one packet to the next.

    python -m tools.measure_joining

A stream changes from one bit rate to another, or begins, with the packets of an encoder that others have listened to
for a while. What its decoder makes of each of them is compared with what a decoder makes that has had all packets of
that encoder: the error in dB below the sound, the median over many moments, with and without the first packet being
predicted from none before it (`Encoder.begin_anew`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tests.support.voice import speech
from voip import codecs
from voip.codecs import Encoder
from voip.codecs.opus import OpusEncoder
from voip.dsp import Pcm

RATE, FRAME = 48000, 960
SECONDS = 6.0
HEARD = 20
"""Packets that a decoder has had before: its state is that of the stream by then."""
PACKETS = 4
"""Packets that are compared."""
STEP = 3
"""Packets from one moment to the next."""
FAINT = 50.0
"""RMS below which a moment is a pause."""
CHANGES = ((24000, 16000), (16000, 24000), (24000, 12000), (None, 24000))
"""Bit/s before and after; None: the stream begins."""


def encoder_at(bitrate: int) -> OpusEncoder:
    """A new encoder of the usual kind."""
    (codec,) = codecs.offerable(["opus"], RATE, 1)
    encoder = replace(codec, remote_fmtp="useinbandfec=1").encoder(RATE)
    assert isinstance(encoder, OpusEncoder)
    encoder.set_bitrate(bitrate)
    return encoder


def decoded(before: Sequence[bytes], payloads: Sequence[bytes]) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """What is heard of these payloads after those before."""
    (codec,) = codecs.offerable(["opus"], RATE, 1)
    decoder = codec.decoder()
    for payload in before:
        decoder.decode(payload)
    return [decoder.decode(payload)[:, 0].astype(np.float64) for payload in payloads]


def errors(frames: Sequence[Pcm], before: int | None, after: int, *, anew: bool) -> list[list[float]]:
    """For each moment the error of each packet in dB."""
    own: list[bytes] = []
    if before is not None:
        other = encoder_at(before)
        own = [other.encode(frame) for frame in frames]
    encoder, encoded, found = encoder_at(after), list[bytes](), list[list[float]]()
    for number, frame in enumerate(frames[:-PACKETS]):
        if number >= HEARD and not number % STEP:
            joined: Encoder = encoder.forked()
            if anew:
                joined.begin_anew()
            payloads = [joined.encode(each) for each in frames[number : number + PACKETS]]
            heard = decoded(own[max(0, number - HEARD) : number], payloads)
            true = decoded(encoded[-HEARD:], payloads)
            if np.sqrt(np.mean(np.concatenate(true) ** 2)) > FAINT:
                found.append([_decibels(a - b, b) for a, b in zip(heard, true, strict=True)])
        encoded.append(encoder.encode(frame))
    return found


def _decibels(
    error: np.ndarray[tuple[int], np.dtype[np.float64]], sound: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> float:
    return float(10 * np.log10((np.sum(error**2) + 1) / (np.sum(sound**2) + 1)))


def main() -> int:
    argparse.ArgumentParser(prog="python -m tools.measure_joining", description=__doc__.partition("\n")[0]).parse_args()
    sound = speech(RATE, SECONDS)
    frames = [sound[start : start + FRAME] for start in range(0, len(sound) - FRAME + 1, FRAME)]
    sys.stdout.write(f"{'bit/s before':>12} {'after':>6}  {'first packet':14}error of packets 1 to {PACKETS}, dB\n")
    for before, after in CHANGES:
        for anew in (False, True):
            middle = np.median(errors(frames, before, after, anew=anew), axis=0)
            told = " ".join(f"{value:6.1f}" for value in middle)
            sys.stdout.write(f"{before or '-':>12} {after:>6}  {'alone' if anew else 'predicted':14}{told}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
