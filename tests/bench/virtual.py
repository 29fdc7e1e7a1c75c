"""The matrix in virtual time: both ends of a call with all that they do by default, beside what is possible.

    python -m tests.bench virtual [--row loss10] [--row 'line96-*'] [--seeds 3] [--fec 4] [--save]

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
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tests.bench.figures import Figures, conversation, dated, median, quality_figures, store, tags_kbps
from tests.bench.limits import PTIME, block_code, ideal, late, outlasted
from tests.bench.quality import Quality, add_more_metrics, measure
from tests.bench.queueing import queue_figures
from tests.bench.rows import Row, matching, selected
from tests.bench.speech import add_speech_option, chosen
from tests.bench.waves import RATE, Wave, at_rate, stretch
from tests.support.bottleneck import DropTail
from tests.support.encrypted import security
from tests.support.network import Path, Wire, line_of
from tests.support.rtcp_lab import RECEIVER, SENDER, medias
from tests.support.tcp_model import Cubic
from voip.audio import AudioReceiver, AudioSender
from voip.cli.values import AUTO, FecChoice, bit_rate, fec_choice
from voip.codecs import Codec, missing, offerable
from voip.congestion import RateController
from voip.dsp import Pcm
from voip.fec import FecController, Pattern
from voip.media import RED
from voip.rtcp import ReportSources
from voip.session import RtpSession
from voip.srtp import OFFERED
from voip.srtp import context as srtp
from voip.stats import PathReport

BLOCK = 0.01
"""Seconds that both devices handle at a time."""
LOOK_AHEAD = 0.0065
"""Seconds by which the encoder of Opus is behind (RFC 6716 section 2: 2.5 ms and 4)."""
LONGEST_WAIT = 1000
"""Milliseconds of waiting for repair, beyond which no conversation is any better."""
FEC_MAX = 200e3
"""Bits per second, the least that --fec-max allows by default."""
FEC_MEDIA_FACTOR = 2.5
"""Times the media's rate that it allows by default."""
LATENCY_MAX = 0.5
"""Seconds, the default of --latency-max."""
HEARD_RATE = 48000
"""Hz, of what is heard: what most sound cards have, and Opus' own, so that no resampling adds to the delay."""
AUTO_FEC = fec_choice(AUTO)
"""The default of --fec."""
RED_PAYLOAD_TYPE = 98
KEY_EXCHANGE = 700
"""Bytes of the last flights of DTLS in each direction, certificate and all headers, just before the first packet."""
_START = 1000.0
_NTP_OFFSET = 3_900_000_000.0
_END = 1.5  # seconds in which the last packets come and are played


def opus() -> Codec:
    """What both scripts agree on by default; PCMU where there is no Opus."""
    name = "PCMU" if missing("opus") else "opus"
    return offerable((name,), RATE, 1)[0]


@dataclass
class Lines:
    """The bottlenecks of a row, there and back, if it has any, and the TCP connection beside the call."""

    forth: DropTail | None = None
    back: DropTail | None = None
    tcp: Cubic | None = None

    @classmethod
    def of(cls, row: Row) -> Lines:
        """As the row says, nothing sent yet."""
        tcp = Cubic(base=2 * row.impairment.delay) if row.tcp else None
        return cls(line_of(row.steps, [tcp] if tcp else []), line_of(row.way_back), tcp)


class How(NamedTuple):
    """What differs from the programs' defaults; `fec` None: as with `--fec off`, `latency_max`: seconds, `bitrate_max`:
    bit/s, `encrypted` False: as with `--srtp off`."""

    fec: FecChoice | None = AUTO_FEC
    latency_max: float = LATENCY_MAX
    bitrate_max: float | None = None
    encrypted: bool = True


DEFAULTS = How()
"""Nothing."""


class TwoWayCall:
    """Sender and receiver with FEC, play-out and RTCP as they are by default, over a row of the matrix."""

    def __init__(
        self,
        row: Row,
        seed: int,
        codec: Codec | None = None,
        *,
        fec: FecChoice | None = AUTO_FEC,
        latency_max: float = LATENCY_MAX,
        ptime: float = PTIME,
        lines: Lines | None = None,
        begin: float = 0.0,
        bitrate_max: float | None = None,
        latency: float | None = None,
        encrypted: bool = True,
    ) -> None:
        """`codec`, `ptime`: others than the defaults; `fec` None: as with `--fec off`. `bitrate_max`, `latency`: as the
        options of these names, None for their defaults. `encrypted`: by SRTP, after the bytes of a key exchange.

        `lines`: bottlenecks that are shared with another call; `begin`: seconds by which this one starts later.
        """
        near, far = medias(codec=codec or opus(), payload_type=96, ptime=ptime, **_agreed(fec))
        self.profile = OFFERED[0] if encrypted and srtp.missing() is None else None
        if self.profile is not None:
            near = replace(near, security=security(1, 2, self.profile))
            far = replace(far, security=security(2, 1, self.profile))
        self.now = _START + begin
        self.decisions: list[tuple[float, str]] = []
        self.reports: list[PathReport] = []
        self.lines = lines or Lines.of(row)
        self.forth = Wire(Path(row.steps, f"{seed} near", line=self.lines.forth))
        self.back = Wire(Path(row.way_back, f"{seed} far", line=self.lines.back))
        self.sender = AudioSender(
            near,
            sample_rate=RATE,
            channels=1,
            rng=random.Random(seed + 3),
            pattern=fec.pattern if fec is not None and isinstance(fec.pattern, Pattern) else None,
            control=None if fec is None or fec.pattern != AUTO else self._control(fec, ptime),
            rate=RateController(),
            bitrate_max=bitrate_max,
            on_decision=lambda reason: self.decisions.append((self.now - _START, reason)),
        )
        self.receiver = AudioReceiver(far, sample_rate=HEARD_RATE, channels=1, latency=latency, latency_max=latency_max)
        self.near = RtpSession(
            near,
            cname="near",
            ntp_offset=_NTP_OFFSET,
            rng=random.Random(seed + 1),
            reports=ReportSources(sender_stats=lambda: self.sender.stats, on_report=self._on_report),
        )
        self.far = RtpSession(
            far,
            cname="far",
            ntp_offset=_NTP_OFFSET + 12.3,
            rng=random.Random(seed + 2),
            reports=ReportSources(receiver_stats=lambda: self.receiver.stats, buffer_limit=latency_max),
        )
        self._exchange = KEY_EXCHANGE if encrypted else 0
        for session in (self.near, self.far):
            session.start_reports(self.now)

    @staticmethod
    def _control(fec: FecChoice, ptime: float) -> FecController:
        return FecController(FEC_MAX, media_factor=FEC_MEDIA_FACTOR, ptime=ptime, saves_bits=fec.saves_bits)

    def _on_report(self, report: PathReport) -> None:
        self.reports.append(report)
        self.sender.report(report)

    def talk(self, sound: Pcm) -> Pcm:
        """Send it all; what was heard until then and shortly after."""
        heard = [self.talk_on(sound)] if len(sound) else []
        return np.concatenate([*heard, self.end()])

    def talk_on(self, sound: Pcm) -> Pcm:
        """Send some of it; what was heard meanwhile."""
        return np.concatenate([self.block(piece) for piece in blocks(sound)])[:, 0]

    def end(self) -> Pcm:
        """Send no more; what is heard of the last packets."""
        silence = np.zeros((0, 1), dtype=np.int16)
        return np.concatenate([self.block(silence) for _ in range(round(_END / BLOCK))])[:, 0]

    def block(self, piece: Pcm) -> Pcm:
        """One block's time: send `piece`, or nothing; what was heard meanwhile, with its channel."""
        self.now += BLOCK
        self._take_in(None)
        self._send(piece)
        return self.receiver.read(round(BLOCK * HEARD_RATE), self.now)

    def stand_still(self, sound: Pcm) -> Pcm:
        """Both processes stand still while `sound` is spoken. Then all that has come meanwhile arrives at once, and
        what is behind is read and sent at once, as files and pipes do it: what was heard."""
        pieces = blocks(sound)
        due, self.now = self.now + BLOCK, self.now + BLOCK * len(pieces)
        self._take_in(self.now)
        for piece in pieces:
            self._send(piece)
        heard = [self.receiver.read(round(BLOCK * HEARD_RATE), due + BLOCK * index) for index in range(len(pieces))]
        return np.concatenate(heard)[:, 0]

    def _take_in(self, arrival: float | None) -> None:
        """What has come by now; `arrival`: when it is taken to have come, None: when it did."""
        for datagram, at in self.forth.deliver(self.now):
            for packet in self.far.receive_datagram(datagram, SENDER, arrival or at):
                self.receiver.put(packet, arrival or at)
        for datagram, at in self.back.deliver(self.now):
            self.near.receive_datagram(datagram, RECEIVER, arrival or at)

    def _send(self, piece: Pcm) -> None:
        if self._exchange:
            self._exchange_keys()
        near, far = self.near.protection, self.far.protection
        for datagram in self.sender.write(piece, self.now) if len(piece) else []:
            _carry(self.forth, near.media(datagram), self.now)
        for datagram in self.near.rtcp_to_send(self.now):
            _carry(self.forth, near.rtcp(datagram), self.now)
        for datagram in self.far.rtcp_to_send(self.now):
            _carry(self.back, far.rtcp(datagram), self.now)

    def _exchange_keys(self) -> None:
        """Both send the last flights of DTLS, of which only the size matters here."""
        for wire in (self.forth, self.back):
            wire.path.start(self.now)
            wire.path.departures(self.now, self._exchange)
        self._exchange = 0


def _carry(wire: Wire, datagram: bytes | None, now: float) -> None:
    """What protection made of a packet."""
    assert datagram is not None
    wire.send(datagram, now)


def _agreed(fec: FecChoice | None) -> dict[str, object]:
    """What both ends agreed on for such a choice; what FlexFEC announces is what the pattern spans."""
    if fec is None:
        return {"fec": None}
    if fec.scheme == RED:
        return {"fec": RED, "fec_payload_type": None, "red_payload_type": RED_PAYLOAD_TYPE}
    window = fec.pattern.window * PTIME if isinstance(fec.pattern, Pattern) else 0.0
    red_type = RED_PAYLOAD_TYPE if fec.copies else None
    return {"fec": fec.scheme, "repair_window": window, "red_payload_type": red_type}


def blocks(sound: Pcm) -> list[Pcm]:
    """Sound in pieces of one block, with a channel."""
    size = round(BLOCK * RATE)
    return [sound[at : at + size, np.newaxis] for at in range(0, len(sound), size)]


def run_row(row: Row, seed: int, speech: Wave | None, how: How = DEFAULTS, *, more: bool = False) -> Figures:
    """One call in virtual time, or two, and its limits; `more`: with PLCMOS and ViSQOL."""
    source = noise() if speech is None else speech
    reference = stretch(source, row.seconds)
    call = TwoWayCall(row, seed, **how._asdict())
    second: Figures = {}
    if row.second is None:
        heard = call.talk(pcm(reference))
    else:
        later = TwoWayCall(row, seed + 1000, lines=call.lines, begin=row.second, **how._asdict())
        other = stretch(source, row.seconds - row.second)
        heard, heard_later = talk_both(call, pcm(reference), later, pcm(other))
        quality = judged(other, heard_later, speech, more)
        second = {"second": call_figures(row.of_second, later, quality)}
    quality = judged(reference, heard, speech, more)
    figures = {**call_figures(row, call, quality), **second, **limits_of(row, quality, overhead(call), seed)}
    if call.lines.tcp is not None:
        figures["tcp_kbps"] = call.lines.tcp.kbps(_START, _START + row.seconds)
    return figures


def pcm(wave: Wave) -> Pcm:
    """16-bit samples."""
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)


def talk_both(first: TwoWayCall, sound: Pcm, second: TwoWayCall, later: Pcm) -> tuple[Pcm, Pcm]:
    """Two calls side by side that end together: what was heard of each."""
    pieces, others = blocks(sound), blocks(later)
    alone = len(pieces) - len(others)
    heard_first = [first.block(piece) for piece in pieces[:alone]]
    heard_second = []
    for piece, other in zip(pieces[alone:], others, strict=True):
        heard_first.append(first.block(piece))
        heard_second.append(second.block(other))
    return (
        np.concatenate([np.concatenate(heard_first)[:, 0], first.end()]),
        np.concatenate([np.concatenate(heard_second)[:, 0], second.end()]),
    )


def judged(reference: Wave, heard: Pcm, speech: Wave | None, more: bool) -> Quality:
    """What was heard against what was sent; noise in place of speech has no scores."""
    known = speech is not None
    return measure(reference, at_rate(heard / 32768.0, HEARD_RATE), with_pesq=known, more=more and known)


def overhead(call: TwoWayCall) -> float:
    """Repair packets and copies per media packet."""
    sent = call.sender.stats
    return (sent.fec_packets + sent.fec_copies) / max(1, sent.packets)


def call_figures(row: Row, call: TwoWayCall, quality: Quality) -> Figures:
    """What both ends and the network say of one call as long as the row."""
    sent, stats, network = call.sender.stats, call.receiver.snapshot(), call.near.stats
    told = network.path
    # A block is written when it has been spoken, and what is read then is heard from that moment on.
    return {
        **quality_figures(quality, BLOCK - row.impairment.delay),
        **(queue_figures(row, call.forth.path.queue) if row.full_line else {}),
        "kbps": 8e-3 * call.forth.ip_bytes / row.seconds,
        "kbps_back": 8e-3 * call.back.ip_bytes / row.seconds,
        "kbps_of_tags": tags_kbps(call.profile, sent.packets + sent.fec_packets, row.seconds),
        "overhead": overhead(call),
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
    if impairment.outage:
        figures["best_r"] = best_r(impairment.loss, impairment.outage)
    return figures


def best_r(loss: float, outage: float) -> float:
    """The R that a call of Opus can have at most in outages of so many seconds: as soon as one is over all is known
    that was lost in it, nothing else is late, and the buffer waits for as long as is best."""
    least = PTIME + LOOK_AHEAD
    waits = (n / 1e3 for n in range(LONGEST_WAIT))
    return max(float(conversation(100.0 * outlasted(loss, outage, wait), 1e3 * (least + wait))["r"]) for wait in waits)


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
    ("plcmos", "PLCMOS", 2),
    ("visqol", "ViSQOL", 2),
    ("missing", "miss %", 2),
    ("delay", "delay", 0),
    ("r", "R", 1),
    ("mos_cq", "MOS-CQ", 2),
    ("kbps", "kbit/s", 0),
    ("queue_p50_ms", "queue50", 0),
    ("queue_p95_ms", "queue95", 0),
    ("drops_pct", "drops %", 2),
    ("short_after_s", "short s", 1),
    ("tcp_kbps", "TCP", 0),
    ("overhead", "FEC", 2),
    ("lost_after_fec_pct", "left %", 2),
    ("no_fec_pct", "no FEC", 2),
    ("late_pct", "late", 2),
    ("block_pct", "(n,k)", 2),
    ("ideal_pct", "ideal", 2),
    ("best_r", "best R", 1),
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
    parser.add_argument("--row", action="append", type=matching, help="a row, or several: line96-* [all of them]")
    parser.add_argument("--fec", type=fec_choice, default=AUTO_FEC, help="as the programs' option of that name [auto]")
    parser.add_argument(
        "--latency-max", type=float, default=LATENCY_MAX, help="seconds of play-out delay at most [0.5]"
    )
    parser.add_argument("--bitrate-max", type=bit_rate, help="as the programs' option of that name")
    parser.add_argument("--plain", action="store_true", help="without encryption, as with --srtp off")
    parser.add_argument("--seeds", type=int, default=1, help="calls of each row; figures are their medians")
    parser.add_argument("--seconds", type=float, help="shorter or longer calls than the rows say")
    add_more_metrics(parser)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="calls at a time")
    parser.add_argument("--fec-off", dest="fec", action="store_const", const=fec_choice("off"), help="like --fec off")
    parser.add_argument("--save", action="store_true", help="put the medians of the defaults into docs/benchmarks.json")


def run(options: argparse.Namespace) -> int:
    """The `virtual` command."""
    speech: Wave | None = None
    try:
        speech = chosen(options.speech)
    except ValueError as reason:
        sys.stderr.write(f"{reason}\nWithout speech: noise, and no PESQ.\n")
    rows: Sequence[Row] = selected(options.row)
    if options.seconds:
        rows = [replace(row, seconds=options.seconds) for row in rows]
    sys.stdout.write(f"{'row':24}" + "".join(f"{title:>8}" for _, title, _ in _COLUMNS) + "\n")
    fec = options.fec if options.fec.pattern is not None else None
    how = How(fec, options.latency_max, options.bitrate_max, not options.plain)
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        seeds, more = range(options.seeds), options.more_metrics
        calls = {row.name: [pool.submit(run_row, row, seed, speech, how, more=more) for seed in seeds] for row in rows}
        for row in rows:
            figures = median([call.result() for call in calls[row.name]])
            sys.stdout.write(table_line(row.name, figures) + "\n")
            sys.stdout.flush()
            if options.save and how == DEFAULTS:
                store(("virtual", row.name), dated(figures))
    return 0
