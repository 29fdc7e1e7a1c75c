"""What is said in a cell, and the judgement of what was heard of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.bench.quality import band_pass, correlations, overall_lag, piece
from tests.bench.waves import RATE, Wave, at_rate, load_wave, prompts
from tests.support.processes import Json
from tests.support.sound import speechlike
from tests.support.wav import Samples, save
from tests.support.wav import load as load_samples
from tests.support.wavdiff import Difference, compare

SECONDS = 2.5
"""Of what is compared in each direction."""
SPEECH_SECONDS = 4.0
"""The same where PESQ compares: it wants speech with pauses."""
LENGTH = 15.0
"""Seconds of what is said: more than any call of a cell takes."""
TAIL = 0.6
"""Seconds at the end of a call that show that sound came back after hold."""
_CUT = 0.2  # seconds at the very end that whoever hangs up may cut off
_PAUSE, _STRIDE = 0.2, 22.0  # seconds: of a pause to begin in; from one seed to the next
_SETTLED = 1.5  # seconds after which those who leave out some of the beginning have done so
_PIECE, _REACH = 0.1, 0.05  # seconds compared at one delay; seconds by which that may differ from the last one's
_ACTIVE, _HOLE = 0.01, 0.01  # share of the loudest piece's energy that is speech; share of its own that is a hole
_SAME = 0.7  # correlation of what a codec made of speech with that speech, 150 to 3400 Hz
_QUIET = 100.0  # root mean square of a piece that is a pause
_EDGE = 0.5  # seconds of silence before the prompts
LIMITS = {"pcmu": 37.0, "pcma": 37.0, "g722": 24.0, "l16": float("inf"), "opus": 4.0, "aac": 4.0}
"""Least signal to noise in dB; of opus and AAC, which do not keep the wave, least PESQ (ITU-T P.862.2)."""
BY_MOVED_DELAY = 3.8
"""Least PESQ of what a program sends that starts beside others: its first packets come late or in packets of 0.4 s, and
our delay follows them once, by a shorter or a longer pause of 10 ms."""
JUDGED_BY_EAR = ("opus", "aac")
UNKEYED = 8
"""Packets that rtpengine may drop, as it has keys with whoever sends before it has keys with whoever is to hear."""
SPOKEN = (*JUDGED_BY_EAR, "g722")
LEVELS = {"g722": 0.4}
"""Of what is said, where linphonec doubles it: nothing is to be clipped."""


@dataclass(frozen=True)
class Judgement:
    """`figure` is dB, infinite where every sample is the same number, or PESQ; `problem` is empty if it is enough."""

    figure: float
    problem: str


def recording(folder: Path, codec: str, rate: int, channels: int = 1, seed: int = 1) -> Path:
    """Something to say in a WAV file: speech for codecs that model it; else noise, which shows more. Seeds differ."""
    file = folder / f"{codec}-{rate}-{channels}-{seed}.wav"
    if file.exists():
        return file
    if codec in SPOKEN:
        pcm = np.rint(at_rate(_speech(seed) * LEVELS.get(codec, 1.0), RATE, rate) * 32768.0)
        mono = np.clip(pcm, -32768, 32767).astype(np.int16)
        save(file, np.repeat(mono[:, None], channels, axis=1), rate)
    else:
        save(file, speechlike(rate, LENGTH, channels, seed), rate)
    return file


@functools.cache
def _speech(seed: int) -> Wave:
    """Speech that begins in a pause; none of it is that of another seed."""
    speech = prompts(_EDGE + (seed + 1) * _STRIDE + LENGTH)[round((_EDGE + seed * _STRIDE) * RATE) :]
    pause = round(_PAUSE * RATE)
    levels = np.convolve(speech * speech, np.ones(pause), "valid")
    begin = int(np.argmin(levels[: round((_STRIDE - LENGTH) * RATE)])) + pause // 2
    return speech[begin : begin + round(LENGTH * RATE)]


def seconds(codec: str, *, moves: bool = False) -> float:
    """How much has to be heard before anybody hangs up; `moves` as in `judge`."""
    more = 0.6 if moves else 0.0
    return SPEECH_SECONDS + more + (_SETTLED if moves else 0.0) if codec in JUDGED_BY_EAR else SECONDS + more


def length(file: Path) -> float:
    """Seconds in a 16-bit WAV file, also while it is written."""
    if not file.exists() or file.stat().st_size <= 44:
        return 0.0
    with file.open("rb") as opened:
        head = opened.read(44)
    channels, rate = int.from_bytes(head[22:24], "little"), int.from_bytes(head[24:28], "little")
    return (file.stat().st_size - 44) / (2 * channels * rate) if channels and rate else 0.0


def judge(codec: str, said: Path, heard: Path, *, moves: bool = False, by_ear: float = LIMITS["opus"]) -> Judgement:
    """Compare a whole recording; `moves`: whoever made it leaves out or repeats some now and then.

    `by_ear`: least PESQ of what is judged by it."""
    if length(heard) < 0.5:
        return Judgement(0.0, f"{length(heard):.1f} s of sound arrived")
    wanted = seconds(codec) - _CUT
    if codec in JUDGED_BY_EAR:
        return _judge_by_ear(said, heard, wanted, _SETTLED if moves else 0.0, by_ear)
    difference = _difference(said, heard)
    if moves and difference.snr < LIMITS[codec]:
        return _judge_pieces(codec, said, heard, wanted)
    problem = "" if difference.snr >= LIMITS[codec] else f"{difference.snr:.1f} dB"
    if difference.compared < wanted:
        problem = f"only {difference.compared:.1f} s of {wanted:.1f} s compared"
    if difference.holes:
        problem = f"{difference.holes} holes"
    return Judgement(difference.snr, problem)


def losses(call: Json, *, relayed: bool) -> str:
    """What is wrong with the packets that a report calls lost; `relayed`: by rtpengine."""
    lost = call["rx"]["lost"] if call["rx"] else 0
    return "" if lost <= (UNKEYED if relayed else 0) else f"{lost} packets lost"


def judge_end(codec: str, said: Path, heard: Path) -> str:
    """Empty if the last sound of a recording is some of what was said; else what is wrong with it."""
    if codec in SPOKEN:
        same = _likeness(said, heard)
        return "" if same > _SAME else f"after resuming something else: correlation {same:.2f}"
    (sent, rate), (samples, other) = load_samples(said), load_samples(heard)
    if rate != other:
        return f"heard at {other} Hz, said at {rate}"
    end = samples[: _sounding_end(samples) - round(_CUT * rate)][-round(TAIL * rate) :]
    best = max(compare(sent, half, rate).snr for half in np.array_split(end, 2))  # one may have a step in it
    least = min(LIMITS[codec], 60.0) - 6.0  # of so short a piece; exact is beyond all
    return "" if best >= least else f"after resuming {best:.1f} dB"


def _judge_by_ear(said: Path, heard: Path, wanted: float, skip: float, least: float) -> Judgement:
    """By PESQ of all that was heard; and no pieces of it may be missing."""
    from pesq import pesq  # compiled, and only needed here: the fast tests do without

    reference, received = at_rate(*load_wave(said)), at_rate(*load_wave(heard))
    lag = overall_lag(reference, received)
    begin = max(0, -lag) + round(skip * RATE)
    reference = reference[begin : len(received) - lag - round(_CUT * RATE)]
    received = piece(received, begin + lag, len(reference))
    compared = len(reference) / RATE
    if compared < wanted - _CUT:
        return Judgement(0.0, f"only {compared:.1f} s of {wanted:.1f} s compared")
    score = float(pesq(RATE, reference.astype(np.float32), received.astype(np.float32), "wb"))
    problem = "" if score >= least else f"PESQ {score:.2f}"
    if holes := _holes(reference, received):
        problem = f"{holes} holes of {_PIECE} s"
    return Judgement(score, problem)


def _likeness(said: Path, heard: Path) -> float:
    """Correlation of the last sound heard, where it is loudest, with the place of what was said that it is likest."""
    wanted, got = (band_pass(at_rate(*load_wave(file))) for file in (said, heard))
    end, size = got[-round(2 * TAIL * RATE) : len(got) - round(_CUT * RATE)], round(TAIL / 2 * RATE)
    loudest = int(np.argmax(np.convolve(end * end, np.ones(size), "valid")))
    return float(correlations(end[loudest : loudest + size], wanted).max())


def _holes(reference: Wave, received: Wave) -> int:
    """How many pieces are quiet that should not be."""
    size = round(_PIECE * RATE)
    there, got = (
        np.square(wave[: len(wave) // size * size].reshape(-1, size)).mean(axis=1) for wave in (reference, received)
    )
    return int(((there > there.max() * _ACTIVE) & (got < there * _HOLE)).sum())


def _judge_pieces(codec: str, said: Path, heard: Path, wanted: float) -> Judgement:
    """Each piece at its own delay; those in which the delay changes are left out, and must be few."""
    (sent, rate), (got, _) = load_samples(said), load_samples(heard)
    a, b = sent.mean(axis=1), got.mean(axis=1)
    lag, size, reach = overall_lag(a, b), round(_PIECE * rate), round(_REACH * rate)
    least = min(LIMITS[codec], 150.0) - 6.0  # exact is beyond all
    signal = noise = 0.0
    good = moved = 0
    for start in range(0, len(b) - size, size):
        there = piece(a, start - lag - reach, size + 2 * reach)
        best = int(np.argmax(correlations(b[start : start + size], there)))
        x, y = there[best : best + size], b[start : start + size]
        if x @ x < size * _QUIET**2:
            continue
        gain = float(x @ y) / float(x @ x)
        error = float(((y - gain * x) ** 2).sum())
        if error > float(y @ y) * 10 ** -(least / 10):
            moved += 1
            continue
        lag, good = start - (start - lag - reach + best), good + 1
        signal, noise = signal + gain * gain * float(x @ x), noise + error
    snr = 10 * float(np.log10(signal / noise)) if signal and noise else float("inf")
    problem = "" if snr >= LIMITS[codec] else f"{snr:.1f} dB in pieces"
    if good * _PIECE < wanted / 2 or moved > max(2, good // 4):
        problem = f"{moved} pieces of {moved + good} are something else"
    return Judgement(snr, problem)


def _difference(said: Path, heard: Path) -> Difference:
    (sent, rate), (got, other) = load_samples(said), load_samples(heard)
    if rate != other:
        raise AssertionError(f"heard at {other} Hz, said at {rate}")
    return compare(sent, got, rate)


def _sounding_end(samples: Samples) -> int:
    sounding = np.flatnonzero(samples.any(axis=1))
    return int(sounding[-1]) + 1 if len(sounding) else 0
