"""The matrix in virtual time: both ends of a call with all that they do by default, beside what is possible.

    python -m tests.bench virtual [--row loss10] [--seeds 3] [--save]

Real packets, real Opus, real RTCP in both directions; the network and the clocks are numbers, and everything comes from
the seed. The three right columns are limits: what is lost without FEC; what an ideal block code, and what any causal
code, would leave lost with as many repair packets and as long a wait as this call had.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tests.bench.figures import Figures, median, quality_figures, store
from tests.bench.limits import PTIME, block_code, ideal, late
from tests.bench.quality import Quality, measure
from tests.bench.rows import ROWS, Row, find
from tests.bench.speech import add_speech_option, chosen
from tests.bench.waves import RATE, Wave, at_rate, stretch
from tests.support.network import Path, Wire
from tests.support.rtcp_lab import RECEIVER, SENDER, medias
from voip.audio import AudioReceiver, AudioSender
from voip.codecs import Codec, missing, offerable
from voip.congestion import RateController
from voip.dsp import Pcm
from voip.fec import FecController
from voip.rtcp import ReportSources
from voip.session import RtpSession

BLOCK = 0.01
"""Seconds that both devices handle at a time."""
FEC_MAX = 200e3
"""Bits per second, the default of --fec-max."""
LATENCY_MAX = 0.5
"""Seconds, the default of --latency-max."""
HEARD_RATE = 48000
"""Hz, of what is heard: what most sound cards have, and Opus' own, so that no resampling adds to the delay."""
_START = 1000.0
_NTP_OFFSET = 3_900_000_000.0
_END = 1.5  # seconds in which the last packets come and are played


def opus() -> Codec:
    """What both scripts agree on by default; PCMU where there is no Opus."""
    name = "PCMU" if missing("opus") else "opus"
    return offerable((name,), RATE, 1)[0]


class TwoWayCall:
    """Sender and receiver with FEC, play-out and RTCP as they are by default, over a row of the matrix."""

    def __init__(self, row: Row, seed: int, codec: Codec | None = None, *, fec: bool = True) -> None:
        """`codec`: another than the default; without `fec` as with `--fec off`."""
        near, far = medias(codec=codec or opus(), payload_type=96, ptime=PTIME, fec="flexfec" if fec else None)
        self.now = _START
        self.forth = Wire(Path(row.steps, f"{seed} near"))
        self.back = Wire(Path(row.steps, f"{seed} far"))
        self.sender = AudioSender(
            near,
            sample_rate=RATE,
            channels=1,
            rng=random.Random(seed + 3),
            control=FecController(FEC_MAX, ptime=PTIME) if fec else None,
            rate=RateController(),
            on_decision=lambda reason: self.decisions.append((self.now - _START, reason)),
        )
        self.receiver = AudioReceiver(far, sample_rate=HEARD_RATE, channels=1, latency=None, latency_max=LATENCY_MAX)
        self.decisions: list[tuple[float, str]] = []
        self.near = RtpSession(
            near,
            cname="near",
            ntp_offset=_NTP_OFFSET,
            rng=random.Random(seed + 1),
            reports=ReportSources(sender_stats=lambda: self.sender.stats, on_report=self.sender.report),
        )
        self.far = RtpSession(
            far,
            cname="far",
            ntp_offset=_NTP_OFFSET + 12.3,
            rng=random.Random(seed + 2),
            reports=ReportSources(receiver_stats=lambda: self.receiver.stats, buffer_limit=LATENCY_MAX),
        )
        self.near.start_reports(self.now)

    def talk(self, sound: Pcm) -> Pcm:
        """Send it all; what was heard until then and shortly after."""
        silence = np.zeros((0, 1), dtype=np.int16)
        heard = [self.talk_on(sound)] if len(sound) else []
        heard += [self._block(silence)[:, 0] for _ in range(round(_END / BLOCK))]
        return np.concatenate(heard)

    def talk_on(self, sound: Pcm) -> Pcm:
        """Send some of it; what was heard meanwhile."""
        block = round(BLOCK * RATE)
        heard = [self._block(sound[at : at + block, np.newaxis]) for at in range(0, len(sound), block)]
        return np.concatenate(heard)[:, 0]

    def _block(self, piece: Pcm) -> Pcm:
        self.now += BLOCK
        for datagram, at in self.forth.deliver(self.now):
            for packet in self.far.receive_datagram(datagram, SENDER, at):
                self.receiver.put(packet, at)
        for datagram, at in self.back.deliver(self.now):
            self.near.receive_datagram(datagram, RECEIVER, at)
        for datagram in self.sender.write(piece, self.now) if len(piece) else []:
            self.forth.send(datagram, self.now)
        for datagram in self.near.rtcp_to_send(self.now):
            self.forth.send(datagram, self.now)
        for datagram in self.far.rtcp_to_send(self.now):
            self.back.send(datagram, self.now)
        return self.receiver.read(round(BLOCK * HEARD_RATE), self.now)


def run_row(row: Row, seed: int, speech: Wave | None) -> Figures:
    """One call in virtual time and its limits."""
    reference = stretch(noise() if speech is None else speech, row.seconds)
    call = TwoWayCall(row, seed)
    heard = call.talk(np.clip(np.rint(reference * 32768), -32768, 32767).astype(np.int16))
    # A block is written when it has been spoken, and what is read then is heard from that moment on.
    quality = measure(reference, at_rate(heard / 32768.0, HEARD_RATE), with_pesq=speech is not None)
    sent, stats, network = call.sender.stats, call.receiver.snapshot(), call.near.stats
    told = network.path
    return {
        **quality_figures(quality, BLOCK - row.impairment.delay),
        **limits_of(row, quality, sent.fec_packets / max(1, sent.packets), seed),
        "kbps": 8e-3 * call.forth.ip_bytes / row.seconds,
        "kbps_back": 8e-3 * call.back.ip_bytes / row.seconds,
        "overhead": sent.fec_packets / max(1, sent.packets),
        "lost_pct": 100.0 * stats.lost / max(1, stats.expected),
        "lost_after_fec_pct": 100.0 * stats.lost_after_fec / max(1, stats.expected),
        "told_loss_pct": None if told is None else 100.0 * told.cumulative_lost / max(1, network.path_packets),
        "rtt_ms": None if network.rtt is None else 1e3 * network.rtt,
        "buffer_ms": None if stats.playout.delay_mean is None else 1e3 * stats.playout.delay_mean,
        "decisions": len(call.decisions),
    }


def limits_of(row: Row, quality: Quality, overhead: float, seed: int) -> Figures:
    """What is possible with this overhead and the median delay of this call; percent of the packets."""
    impairment = row.impairment
    wait = max(0.0, (quality.delay or 0.0) / 1e3 + BLOCK - impairment.delay - PTIME)
    reach = int(wait / PTIME)
    figures = {"no_fec_pct": 100.0 * row.loss}
    if impairment.jitter:
        figures["late_pct"] = 100.0 * late(wait, impairment.jitter)
    if not impairment.loss or len(row.steps) > 1:
        return figures
    if impairment.jitter:
        return figures
    if impairment.burst <= 1.0 and not impairment.outage:
        block = max(1, reach + 1)
        figures["block_pct"] = 100.0 * block_code(impairment.loss, block, int(overhead * block))
    figures["ideal_pct"] = 100.0 * ideal(row, overhead, reach, seed)
    return figures


def noise() -> Wave:
    """Something to send where there is no speech: syllables of noise."""
    rng = np.random.default_rng(1)
    count = 20 * RATE
    syllables = np.repeat(rng.uniform(0.1, 1.0, count // 3200 + 1), 3200)[:count]
    sound: Wave = 0.05 * np.convolve(rng.standard_normal(count), np.hanning(9), "same") * syllables
    return sound


# --- the command ------------------------------------------------------------------------------------------------------

_COLUMNS = (
    ("pesq", "PESQ", 2),
    ("missing", "miss %", 2),
    ("delay", "delay", 0),
    ("kbps", "kbit/s", 0),
    ("overhead", "FEC", 2),
    ("lost_after_fec_pct", "left %", 2),
    ("no_fec_pct", "no FEC", 2),
    ("late_pct", "late", 2),
    ("block_pct", "(n,k)", 2),
    ("ideal_pct", "ideal", 2),
)


def table_line(name: str, figures: Figures) -> str:
    """One row for people."""
    cells = []
    for key, _, digits in _COLUMNS:
        value = figures.get(key)
        cells.append(f"{'-' if value is None else format(value, f'.{digits}f'):>8}")
    return f"{name:24}" + "".join(cells)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m tests.bench virtual`."""
    add_speech_option(parser)
    parser.add_argument("--row", action="append", type=find, help="one row, or several [all of them]")
    parser.add_argument("--seeds", type=int, default=1, help="calls of each row; figures are their medians")
    parser.add_argument("--seconds", type=float, help="shorter or longer calls than the rows say")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="calls at a time")
    parser.add_argument("--save", action="store_true", help="put the medians into docs/benchmarks.json")


def run(options: argparse.Namespace) -> int:
    """The `virtual` command."""
    speech: Wave | None = None
    try:
        speech = chosen(options.speech)
    except ValueError as reason:
        sys.stderr.write(f"{reason}\nWithout speech: noise, and no PESQ.\n")
    rows: Sequence[Row] = options.row or ROWS
    if options.seconds:
        rows = [replace(row, seconds=options.seconds) for row in rows]
    sys.stdout.write(f"{'row':24}" + "".join(f"{title:>8}" for _, title, _ in _COLUMNS) + "\n")
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        calls = {row.name: [pool.submit(run_row, row, seed, speech) for seed in range(options.seeds)] for row in rows}
        for row in rows:
            figures = median([call.result() for call in calls[row.name]])
            sys.stdout.write(table_line(row.name, figures) + "\n")
            sys.stdout.flush()
            if options.save:
                store(("virtual", row.name), figures)
    return 0
