"""Long calls: whether the delay drifts and the sound has holes, with G.711 and L16 and each peer.

    python -m tests.interop.endurance                ten minutes, six at a time; writes docs/interop-long.json and the
                                                     table of docs/interop.md
    python -m tests.interop.endurance linphonec l16  one of them again, in place of what was published of it
    python -m tests.interop.endurance --seconds 60   shorter, and writes nothing

Both sides hear each other all the time (ffmpeg and GStreamer: one of them). Noise is looked for second by
second, each near the delay of the last.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.quality import correlations, overall_lag
from tests.bench.waves import Wave
from tests.interop.cells import THEY, TITLES, TOOLS, WE, Cell
from tests.interop.running import Laboratory
from tests.interop.scenes import call_it_ends
from tests.interop.streams import RATES, stream_scene
from tests.interop.table import PAGE, between
from tests.support.processes import ROOT, Outcome
from tests.support.sound import speechlike
from tests.support.wav import load, save

DATA = ROOT / "docs" / "interop-long.json"
BEGIN, END = "<!-- table: python -m tests.interop.endurance -->", "<!-- end of table -->"
SECONDS = 600.0
AT_ONCE = 6
DRIFT = 1.0
"""Milliseconds by which the delay may differ between beginning and end."""
CELLS = tuple(
    Cell(peer, who, codec, "rtp" if peer in TOOLS else "udp")
    for codec in ("pcmu", "l16")
    for peer, who in (
        ("baresip", WE),
        ("linphonec", THEY),
        ("sipp", WE),
        ("kamailio", WE),
        ("kamailio+baresip", THEY),
        *((tool, who) for tool in TOOLS for who in (WE, THEY)),
    )
)
_REPEATED = 20.0  # seconds of noise, over and over
_REACH = 0.05  # seconds that the delay may change from one second to the next and still be found
_FAR = 6.0  # the same after a break; what is said repeats itself later than that
_SKIPPED = 2  # seconds at the beginning, in which play-out settles
_SAME = 0.9  # correlation


@dataclass(frozen=True)
class Track:
    """What became of the delay: seconds compared, milliseconds of delay at the beginning and at the end, their most and
    least, how often it changed, seconds that were not found (`holes`), and the signal to noise of the others in dB."""

    compared: int
    first: float
    last: float
    least: float
    most: float
    steps: int
    holes: int
    snr: float | str


def follow(said: Path, heard: Path) -> Track:
    """Look for each second of what was heard: near the delay of the last, and where it is not there, farther away."""
    (a, rate), (b, other) = load(said), load(heard)
    assert rate == other, f"heard at {other} Hz, said at {rate}"
    sent, got = a.mean(axis=1), b.mean(axis=1)
    lag = overall_lag(sent[: 20 * rate], got[: 20 * rate])
    lags, holes, signal, noise = [], 0, 0.0, 0.0
    for begin in range(_SKIPPED * rate, len(got) - 2 * rate, rate):
        wanted = got[begin : begin + rate]
        found = _find(sent, wanted, begin - lag, round(_REACH * rate))
        if found is None:
            found = _find(sent, wanted, begin - lag, round(_FAR * rate))
        if found is None:
            holes += 1
            continue
        lag = begin - found
        lags.append(lag)
        x = sent[found : found + rate]
        gain = float(x @ wanted) / float(x @ x)
        signal, noise = signal + gain * gain * float(x @ x), noise + float(((wanted - gain * x) ** 2).sum())
    delays = 1000.0 * np.array(lags or [0]) / rate
    snr = round(10 * float(np.log10(signal / noise)), 1) if signal and noise > 1.0 else "exact"
    steps = int(np.count_nonzero(np.diff(delays)))
    first, last, least, most = (round(float(d), 2) for d in (delays[0], delays[-1], delays.min(), delays.max()))
    return Track(len(lags) + holes, first, last, least, most, steps, holes, snr)


def _find(sent: Wave, wanted: Wave, near: int, reach: int) -> int | None:
    """Where in `sent` that is, at most `reach` samples from `near`; None: nowhere there."""
    first = max(0, near - reach)
    there = sent[first : near + len(wanted) + reach]
    if len(there) < len(wanted):
        return None
    match = correlations(wanted, there)
    best = int(np.argmax(match))
    return first + best if match[best] >= _SAME else None


@dataclass(frozen=True)
class Long:
    """A long call: what the peer heard of us (`there`; of sipp's echo, both ways) and we of it; `problem`: none."""

    name: str
    there: Track | None
    back: Track | None
    problem: str


class LongLaboratory(Laboratory):
    """Calls of one length, with recordings of it."""

    def __enter__(self) -> LongLaboratory:
        return self

    def recording(self, codec: str, rate: int, channels: int = 1, seed: int = 1) -> Path:
        with self._lock:
            file = self._sounds / f"{rate}-{channels}-{seed}.wav"
            if not file.exists():
                sound = speechlike(rate, _REPEATED, channels, seed)
                save(file, np.tile(sound, (round(self.length / _REPEATED) + 2, 1)), rate)
            return file

    def long(self, cell: Cell) -> Long:
        """Make one call, whatever comes of it."""
        folder = self.folder / cell.name
        folder.mkdir()
        try:
            there, back = self._stream(cell, folder) if cell.peer in TOOLS else self._call(cell, folder)
        except Exception as error:  # it is told, and the other calls go on
            return Long(cell.name, None, None, str(error)[-1000:])
        tracks = [track for track in (there, back) if track is not None]
        return Long(cell.name, there, back, "; ".join(filter(None, map(_problem, tracks))))

    def _stream(self, cell: Cell, folder: Path) -> tuple[Track | None, Track | None]:
        says = self.recording(cell.codec, RATES[cell.codec])
        stream_scene(cell, folder, says, self.length)
        track = follow(says, folder / "heard.wav")
        return (track, None) if cell.who == WE else (None, track)

    def _call(self, cell: Cell, folder: Path) -> tuple[Track | None, Track | None]:
        phone, rate, channels = self.phone(cell, folder)
        says = self.recording(cell.codec, rate, channels)
        with phone:
            wanted = self.length - 3.0 if phone.says_back else self.length
            side, outcome = call_it_ends(cell, folder, self.certificates, phone, says, self.site_of(cell), wanted)
            _check(outcome)
            if phone.says_back:
                return follow(says, side.heard), None
            return follow(says, phone.heard()), follow(phone.says, side.heard)


def _check(outcome: Outcome) -> None:
    rx = outcome.call["rx"]
    assert outcome.status == 0, outcome.stderr
    assert rx["lost"] == 0, rx


def _problem(track: Track) -> str:
    """Empty if neither the delay drifts nor a second is missing."""
    if track.holes:
        return f"{track.holes} s are not what was said"
    drift = abs(track.last - track.first)
    return f"the delay went from {track.first} to {track.last} ms" if drift > DRIFT else ""


def main() -> int:
    """0: no drift and no hole."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop.endurance", description="Long calls.")
    parser.add_argument("words", nargs="*", help="peer, codec, whose calls are made  [all]")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of each call  [{SECONDS:.0f}]")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"calls at a time  [{AT_ONCE}]")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "interop-long")
    options = parser.parse_args()
    cells = [cell for cell in CELLS if set(options.words) <= {cell.peer, cell.who, cell.codec}]
    if options.folder.exists():
        shutil.rmtree(options.folder)
    options.folder.mkdir(parents=True)
    with LongLaboratory(options.folder, options.seconds) as laboratory:
        laboratory.start_proxy()
        with ThreadPoolExecutor(options.at_once) as pool:
            results = list(pool.map(laboratory.long, cells))
    _tell(results)
    if options.seconds == SECONDS:
        _publish(results)
    return 1 if any(result.problem for result in results) else 0


def _publish(results: Sequence[Long]) -> None:
    """In place of what was published of the same calls."""
    known = {result.name: result for result in [*load_results(), *results]}
    published = [known[cell.name] for cell in CELLS if cell.name in known]
    DATA.write_text(json.dumps([asdict(result) for result in published], indent=1) + "\n")
    PAGE.write_text(between(PAGE.read_text(), BEGIN, END, table(published)))


def load_results() -> list[Long]:
    """What was published."""
    if not DATA.exists():
        return []
    return [
        Long(item["name"], _track(item["there"]), _track(item["back"]), item["problem"])
        for item in json.loads(DATA.read_text())
    ]


def _track(values: dict[str, Any] | None) -> Track | None:
    return Track(**values) if values else None


def table(results: Sequence[Long]) -> str:
    """Long calls as Markdown."""
    lines = ["| call | codec | heard there | heard here |", "|---|---|---|---|"]
    cells = {cell.name: cell for cell in CELLS}
    for result in results:
        cell = cells[result.name]
        who = {WE: "we call", THEY: "it calls"} if cell.peer not in TOOLS else {WE: "we send", THEY: "it sends"}
        lines.append(
            f"| {TITLES[cell.peer]}, {who[cell.who]} | {cell.codec} | {_row(result.there)} | {_row(result.back)} |"
        )
    return "\n".join([*lines, ""])


def _row(track: Track | None) -> str:
    if track is None:
        return "-"
    snr = track.snr if isinstance(track.snr, str) else f"{track.snr:.1f} dB"
    drift = f"{track.last - track.first:+.2f} ms" if track.last != track.first else "no drift"
    return f"{snr}, {drift}, " + (f"**{track.holes} s missing**" if track.holes else "no hole")


def _tell(results: Sequence[Long]) -> None:
    for result in results:
        sys.stdout.write(f"{result.name:40} {result.problem or 'passed'}\n")
        for track in (result.there, result.back):
            if track is not None:
                sys.stdout.write(f"    {track}\n")


if __name__ == "__main__":
    sys.exit(main())
