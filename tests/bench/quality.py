"""What is left of speech: REFERENCE.wav against RECEIVED.wav.

    python -m tests.bench quality speech.wav heard.wav

First the delay is followed through the call: half a second of the reference every tenth second is looked for in what
was received, and of all the places that each may have come to, the likeliest sequence is taken (dynamic programming:
a good match is worth more than a steady delay, but of two equal ones the steady one wins). So drift, steps and
stretches of an adaptive buffer are no errors, and neither a hole nor a repeated phrase leads astray.

Then each active 20 ms frame of the reference is looked up around that delay. It is missing if its place is quiet (25 dB
below it) or holds something else (correlation under 0.5 between 150 and 3400 Hz). PESQ-WB (ITU-T P.862.2) is the mean
over pieces of about eight seconds, cut in pauses, each at its own delay.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.bench.scores import Band, pesq_of, plcmos_of, visqol_of
from tests.bench.waves import RATE, Wave, at_rate, load_wave

Mask = NDArray[np.bool_]
Lags = NDArray[np.int64]

FRAME = RATE // 50
"""Samples of 20 ms: what is missing is counted in these."""
PIECE = 8.0
"""Seconds that PESQ judges at a time: the standard is validated for 8 to 12 s."""

_WINDOW, _HOP = 25 * FRAME, 5 * FRAME  # half a second, every tenth
_CANDIDATES = 6  # places that one window may have come to
_APART = RATE // 500  # samples between two of them: 2 ms
_SEARCH = round(0.7 * RATE)  # samples around the middle delay that are searched
_STEP_COST, _DRIFT_COST = 0.3, 4.0  # of a change of delay at all; and per second of change; a match is worth 0 to 1
_ACTIVE = 10 ** (-35 / 10)  # energy below the loud third's at which a frame is a pause
_QUIET = 10 ** (-25 / 10)
_SAME = 0.5  # correlation
_FARTHEST = 20 * RATE  # samples of shift: longer calls repeat their minute of speech
_FINE = RATE // 400  # 2.5 ms: what a frame may be off the track
_SLOPE = RATE // 100  # 10 ms from one window to the next are a slope; any more, a step: nothing is looked for between
_LOST = 15  # frames from one window to the next that was found
_BAND = (150.0, 3400.0)  # Hz: where speech codecs keep the wave
_PAD = RATE // 10  # samples of context that PESQ gets at both ends of a piece
_SILENT = 1e-4  # peak of a recording in which nothing is
_CLICK = 2.5  # times as sharp a bend as the reference has nearby


@dataclass(frozen=True)
class Quality:
    """What became of the speech. Shares are percent of the active frames, delays milliseconds from file to file."""

    pesq: float | None
    missing: float
    silent: float
    other: float
    delay: float | None
    delay_min: float | None
    delay_max: float | None
    longest_gap: float
    gaps: int
    clicks: int
    head: float
    tail: float
    plcmos: float | None = None
    visqol: float | None = None


NOTHING = Quality(1.0, 100.0, 100.0, 0.0, None, None, None, 0.0, 0, 0, 0.0, 0.0)
"""When nothing of the reference is found."""


def band_pass(samples: Wave) -> Wave:
    """Only what is between the edges of `_BAND`, in phase."""
    size = 1 << (len(samples) + 2048).bit_length()
    frequency = np.fft.rfftfreq(size, 1 / RATE)
    low, high = _BAND
    gain = np.clip(2 * frequency / low - 1, 0, 1) * np.clip((1.2 * high - frequency) / (0.2 * high), 0, 1)
    filtered: Wave = np.fft.irfft(np.fft.rfft(samples, size) * gain, size)[: len(samples)]
    return filtered


def piece(samples: Wave, start: int, length: int) -> Wave:
    """`length` samples from `start` on; silence where there are none."""
    out = np.zeros(length)
    first, last = max(start, 0), min(start + length, len(samples))
    if last > first:
        out[first - start : last - start] = samples[first:last]
    return out


def correlations(wanted: Wave, there: Wave) -> Wave:
    """Correlation, -1 to 1, of `wanted` with each stretch of `there` of its length."""
    size = 1 << (len(there) + len(wanted) - 1).bit_length()
    count = len(there) - len(wanted) + 1
    product = np.fft.irfft(np.fft.rfft(there, size) * np.conj(np.fft.rfft(wanted, size)), size)[:count]
    sums = np.concatenate([[0.0], np.cumsum(there * there)])
    own = float(wanted @ wanted)
    energy = np.maximum(sums[len(wanted) :] - sums[: -len(wanted)], 1e-3 * own)
    result: Wave = product / np.sqrt(energy * own + 1e-18)
    return result


def overall_lag(reference: Wave, received: Wave) -> int:
    """The one shift of `received` against `reference` that fits best."""
    size = 1 << (len(reference) + len(received)).bit_length()
    product = np.fft.irfft(np.fft.rfft(received, size) * np.conj(np.fft.rfft(reference, size)), size)
    reach = min(_FARTHEST, size // 2)
    return int(np.argmax(np.concatenate((product[-reach:], product[:reach])))) - reach


def activity(reference: Wave) -> Mask:
    """Which 20 ms frames of (filtered) speech are no pause."""
    frames = len(reference) // FRAME
    energy = (reference[: frames * FRAME].reshape(frames, FRAME) ** 2).mean(axis=1)
    loud = np.sort(energy)[-max(1, frames // 3) :].mean()
    mask: Mask = energy > loud * _ACTIVE
    return mask


@dataclass(frozen=True)
class Track:
    """The delay through the call: `lags` in samples at the frames `at` (middles of windows that were found)."""

    at: Lags
    lags: Lags

    def around(self, frame: int) -> list[tuple[int, int]]:
        """Ranges of delay in which a frame may be: from the one before it to the one after it; of a step, both.

        Where the track was lost for a while only the nearer one counts: of several places in voiced speech one always
        looks right.
        """
        after = int(np.searchsorted(self.at, frame))
        before, after = max(0, after - 1), min(after, len(self.at) - 1)
        if self.at[after] - self.at[before] > _LOST:
            nearer = int(self.lags[before if 2 * frame < self.at[before] + self.at[after] else after])
            return [(nearer, nearer)]
        least, most = sorted((int(self.lags[before]), int(self.lags[after])))
        return [(least, most)] if most - least <= _SLOPE else [(least, least), (most, most)]

    def nearest(self, frames: Lags) -> Lags:
        """The delay at each of these frames."""
        middles = (self.at[1:] + self.at[:-1]) / 2
        nearest: Lags = self.lags[np.searchsorted(middles, frames)]
        return nearest


def follow(reference: Wave, received: Wave, active: Mask) -> Track | None:
    """Find the delay all along; both filtered. None: nothing of the reference is there."""
    middle = overall_lag(reference, received)
    places: list[int] = []
    options: list[tuple[Lags, Wave]] = []
    for start in range(0, len(reference) - _WINDOW + 1, _HOP):
        frame = start // FRAME
        if active[frame : frame + _WINDOW // FRAME].sum() < _WINDOW // FRAME // 4:
            continue
        there = piece(received, start + middle - _SEARCH, _WINDOW + 2 * _SEARCH)
        match = correlations(reference[start : start + _WINDOW], there)
        peaks = _peaks(match)
        places.append(frame + _WINDOW // FRAME // 2)
        options.append((peaks + middle - _SEARCH, match[peaks]))
    if not places:
        return None
    lags, matches = _likeliest(options)
    found = matches > _SAME
    if not found.any():
        return None
    return Track(np.array(places)[found], lags[found])


def _peaks(match: Wave) -> Lags:
    """Where the best few places are, each at least `_APART` from the others."""
    left = match.copy()
    found: list[int] = []
    for _ in range(_CANDIDATES):
        best = int(np.argmax(left))
        found.append(best)
        left[max(0, best - _APART) : best + _APART + 1] = -1.0
    return np.array(found, dtype=np.int64)


def _likeliest(options: list[tuple[Lags, Wave]]) -> tuple[Lags, Wave]:
    """One lag of each window so that matches are good and changes few: Viterbi's algorithm."""
    scores = options[0][1]
    back: list[Lags] = []
    for (before, _), (lags, match) in itertools.pairwise(options):
        change = np.abs(lags[:, None] - before[None, :])
        cost = np.where(change > _APART, _STEP_COST, 0.0) + _DRIFT_COST * change / RATE
        total = scores[None, :] - cost
        back.append(np.argmax(total, axis=1).astype(np.int64))
        scores = total.max(axis=1) + match
    choice = int(np.argmax(scores))
    chosen = [choice]
    for step in reversed(back):
        choice = int(step[choice])
        chosen.append(choice)
    chosen.reverse()
    lags = np.array([option[0][index] for option, index in zip(options, chosen, strict=True)])
    matches = np.array([option[1][index] for option, index in zip(options, chosen, strict=True)])
    return lags, matches


def look_up(reference: Wave, received: Wave, active: Mask, track: Track) -> Wave:
    """For each active frame the best correlation near its place; both filtered."""
    match = np.zeros(len(active))
    for frame in np.flatnonzero(active):
        start = int(frame) * FRAME
        wanted = reference[start : start + FRAME]
        for least, most in track.around(int(frame)):
            there = piece(received, start + least - _FINE, FRAME + most - least + 2 * _FINE)
            match[frame] = max(match[frame], correlations(wanted, there).max())
    return match


def energies(reference: Wave, received: Wave, active: Mask, track: Track) -> Wave:
    """For each active frame the energy at its very place against its own; full band."""
    ratio = np.zeros(len(active))
    lags = track.nearest(np.arange(len(active)))
    for frame in np.flatnonzero(active):
        start = int(frame) * FRAME
        wanted, got = reference[start : start + FRAME], piece(received, start + int(lags[frame]), FRAME)
        ratio[frame] = float(got @ got) / (float(wanted @ wanted) + 1e-12)
    return ratio


def runs(mask: Mask) -> Lags:
    """(begin, end) of each run of True, shape (runs, 2)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return edges.reshape(-1, 2)


def cuts(energy: Wave, first: int, last: int) -> list[int]:
    """Frames at which to cut between `first` and `last`, in the quietest fifth of a second near each `PIECE`."""
    frames = round(PIECE * RATE / FRAME)
    smooth = np.convolve(energy, np.ones(10) / 10, "same")
    found = [first]
    while last - found[-1] > 1.5 * frames:
        begin, end = found[-1] + 7 * frames // 8, found[-1] + 9 * frames // 8
        found.append(begin + int(np.argmin(smooth[begin:end])))
    return [*found, last]


def aligned(reference: Wave, received: Wave, places: list[int], track: Track) -> list[tuple[Wave, Wave]]:
    """The pieces between `places` (frames) of both at full band, each received one at its own delay."""
    pieces = []
    for begin, end in itertools.pairwise(places):
        lag = int(np.median(track.nearest(np.arange(begin, end))))
        length = (end - begin) * FRAME + 2 * _PAD
        wanted = piece(reference, begin * FRAME - _PAD, length)
        pieces.append((wanted, piece(received, begin * FRAME - _PAD + lag, length)))
    return pieces


def clicks_of(reference: Wave, received: Wave, span: tuple[int, int], track: Track, gain: float) -> int:
    """Frames with a bend of the wave far sharper than any that the reference has within 40 ms."""
    first, last = span
    bend = np.abs(np.diff(reference, 2, append=[0.0, 0.0])) * np.sqrt(gain)
    frames = len(reference) // FRAME
    sharpest = bend[: frames * FRAME].reshape(frames, FRAME).max(axis=1)
    near = np.array([sharpest[max(0, frame - 2) : frame + 3].max() for frame in range(frames)])
    least = 0.02 * np.sqrt(gain) * float(np.percentile(np.abs(reference), 99.9))
    there = np.abs(np.diff(received, 2, append=[0.0, 0.0]))
    lags = track.nearest(np.arange(first, last))
    peaks = [
        piece(there, frame * FRAME + int(lag), FRAME).max() for frame, lag in zip(range(first, last), lags, strict=True)
    ]
    return len(runs(np.array(peaks) > np.maximum(_CLICK * near[first:last], least)))


def measure(
    reference: Wave, received: Wave, *, with_pesq: bool = True, band: Band = "wb", more: bool = False
) -> Quality:
    """Judge what was received; both mono at `RATE`, full scale 1. Speech cut at either end is told apart.

    band: "wb" is PESQ-WB (P.862.2), "nb" that of telephone speech, as MOS-LQO (P.862.1). more: with PLCMOS and ViSQOL.
    """
    if len(received) < RATE // 2 or float(np.abs(received).max()) < _SILENT:
        return NOTHING
    wanted, got = band_pass(reference), band_pass(received)
    active = activity(wanted)
    track = follow(wanted, got, active)
    if track is None:
        return NOTHING
    match, energy = look_up(wanted, got, active, track), energies(reference, received, active, track)
    well = active & (match > 0.8)
    gain = float(np.median(energy[well])) if well.any() else 1.0
    silent = active & (energy < gain * _QUIET)
    other = active & ~silent & (match < _SAME)
    good = np.flatnonzero(active & ~silent & ~other)
    if not len(good):
        return NOTHING
    first, last = int(good[0]), int(good[-1]) + 1
    inside = np.zeros(len(active), dtype=bool)
    inside[first:last] = True
    holes = runs((silent | other) & inside)
    share = 100.0 / float((active & inside).sum())
    frame_energy = (wanted[: len(active) * FRAME].reshape(-1, FRAME) ** 2).mean(axis=1)
    places = cuts(frame_energy, first, last)
    pieces = aligned(reference, received, places, track)
    to_ms = 1e3 / RATE
    return Quality(
        pesq=pesq_of(pieces, band) if with_pesq else None,
        plcmos=plcmos_of(pieces) if more else None,
        visqol=visqol_of(pieces) if more else None,
        missing=share * float(((silent | other) & inside).sum()),
        silent=share * float((silent & inside).sum()),
        other=share * float((other & inside).sum()),
        delay=to_ms * float(np.median(track.nearest(np.arange(first, last)))),
        delay_min=to_ms * float(track.lags.min()),
        delay_max=to_ms * float(track.lags.max()),
        longest_gap=20.0 * float(max((end - begin for begin, end in holes), default=0)),
        gaps=len(holes),
        clicks=clicks_of(reference, received, (first, last), track, gain),
        head=20.0 * float(active[:first].sum()),
        tail=20.0 * float(active[last:].sum()),
    )


def measure_files(reference: Path, received: Path, *, with_pesq: bool = True, more: bool = False) -> Quality:
    """`measure` of two 16-bit WAV files of any rate."""
    return measure(at_rate(*load_wave(reference)), at_rate(*load_wave(received)), with_pesq=with_pesq, more=more)


def add_more_metrics(parser: argparse.ArgumentParser) -> None:
    """`--more-metrics`, of every command that measures."""
    text = "PLCMOS and ViSQOL beside PESQ, as far as installed: up to half a minute for one of speech"
    parser.add_argument("--more-metrics", action="store_true", help=text)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m tests.bench quality`."""
    parser.add_argument("reference", type=Path)
    parser.add_argument("received", type=Path)
    parser.add_argument("--no-pesq", action="store_true")
    add_more_metrics(parser)


def run(options: argparse.Namespace) -> int:
    """The `quality` command."""
    more = options.more_metrics
    result = measure_files(options.reference, options.received, with_pesq=not options.no_pesq, more=more)
    sys.stdout.write(json.dumps(asdict(result)) + "\n")
    return 0
