"""Statistics as frozen snapshots: the owner thread replaces one whole, anybody reads it without a lock.

Times are seconds, counts are packets unless the name says otherwise. `None` means unknown, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

EMPTY_REPORTS = 2
"""Reports in a row about no source at all that prove that nothing arrives: the first may be older than our media."""
REPORTS_DUE = 8.0
"""Seconds of sending after which a peer with RTCP has reported: its first report has half of 5 s, by 0.5 to 1.5, the
next one 5 s by as much (RFC 3550 section 6.2): 2.5 s and 5 s on average, and seldom more than this together."""
GMIN = 16
"""Packets that must be heard between two missing ones for these not to belong to one burst (RFC 3611 section 4.7.2)."""


def no_runs() -> dict[str, int]:
    """Loss runs by length, all zero: how many holes of one, of two, of three and more packets."""
    return {"1": 0, "2": 0, "3+": 0}


@dataclass(frozen=True)
class Levels:
    """How loud sound was, as sums over `samples`, so that two snapshots tell what was between them.

    `energy` is the sum of the squares of all samples, full scale being 1; `peak` (0 to 1) the largest absolute value of
    all, `recent_peak` that of the newest tenth of a second. `silent` counts samples of digital silence (zero, give or
    take one), `clipped` those at full scale.
    """

    samples: int = 0
    energy: float = 0.0
    peak: float = 0.0
    recent_peak: float = 0.0
    silent: int = 0
    clipped: int = 0

    @property
    def rms_dbfs(self) -> float | None:
        """RMS in dB below full scale (a full-scale square wave is 0); None for no sound, or nothing but zeros."""
        return 10.0 * math.log10(self.energy / self.samples) if self.samples and self.energy else None

    @property
    def peak_dbfs(self) -> float | None:
        """The peak in dB below full scale; None for no sound, or nothing but zeros."""
        return 20.0 * math.log10(self.peak) if self.peak else None

    @property
    def silence(self) -> float | None:
        """Share (0 to 1) of digital silence; None without a sample."""
        return self.silent / self.samples if self.samples else None


LimitedBy = Literal["untried", "line", "rfc8083", "peer", "bitrate-max"]
"""Why no more than a limit is sent: the line has not been seen to carry more, or was full; the circuit breaker; the b=
lines of the peer; the user's `--bitrate-max`."""


@dataclass(frozen=True)
class Congestion:
    """What a full line makes of a stream: the most that may be sent in bit/s with all headers, None without a limit;
    seconds that packets waited in a queue on the path, by the newest report and at most; how often the line was full.

    `limited_by`: what sets the limit. `ptime`: seconds of sound in each packet, None before the first. `full`: it is
    full now, so that what it drops is no loss of the path's own. `ended`: RFC 8083 demands that nothing more is sent.
    """

    limit: float | None = None
    limited_by: LimitedBy | None = None
    queue: float | None = None
    queue_max: float | None = None
    times_full: int = 0
    ptime: float | None = None
    full: bool = False
    ended: bool = False


class SenderStats(NamedTuple):
    """What one stream has sent: media and repair packets, bytes of both (`ip_bytes`: IP and UDP headers too). Made anew
    with each packet: a dataclass would take four times as long.

    `fec_copies` counts packets that were sent once more within another one (RFC 2198).

    `payload_bytes` and `fec_payload_bytes` are without any header, as sender reports count (RFC 3550 section 6.4.1).
    `timestamp` is the RTP timestamp of a recent packet, `timestamp_at` the monotonic moment at which it was sent;
    `fec_timestamp` and `fec_timestamp_at` are those of the newest repair packet.
    `levels` are those of the sound that was captured for it. `unplayed` counts media packets that went to a peer of
    which offer and answer say that it does not receive, or plays nothing. `fec_pattern` is what repair packets cover
    now, None for none of them, and `fec_reason` why, in words, where that was decided in the call.
    """

    packets: int = 0
    fec_packets: int = 0
    fec_copies: int = 0
    unplayed: int = 0
    bytes: int = 0
    ip_bytes: int = 0
    seconds: float = 0.0
    payload_bytes: int = 0
    fec_payload_bytes: int = 0
    timestamp: int | None = None
    timestamp_at: float | None = None
    fec_timestamp: int | None = None
    fec_timestamp_at: float | None = None
    levels: Levels = Levels()
    congestion: Congestion = Congestion()
    fec_pattern: str | None = None
    fec_reason: str | None = None


@dataclass(frozen=True)
class Arrivals:
    """Which packets of a stream have arrived: flag i is for sequence number `first` + i (modulo 2^16)."""

    first: int
    flags: tuple[bool, ...]


@dataclass(frozen=True)
class PathReport:
    """What the peer's newest RTCP compound says of one stream that we send, before any repair.

    `at` is when it came. `fraction_lost` (0 to 1) is since the report before, `highest` the extended sequence number.
    `media` and `repair` are from loss RLE blocks (RFC 3611 section 4.1); `receipts` and `repair_receipts` from packet
    receipt times (section 4.3): sequence numbers, and seconds by one clock of the peer's; `delay`, `delay_max`
    (absolute) and `wait_max` (at present) of the peer's jitter buffer are from its VoIP metrics (section 4.7), as are
    `r`, `mos_lq` and `mos_cq` and the share `discarded` (0 to 1) that came too late for it.
    """

    at: float
    fraction_lost: float
    cumulative_lost: int
    highest: int
    jitter: float
    rtt: float | None = None
    media: Arrivals | None = None
    repair: Arrivals | None = None
    receipts: tuple[tuple[int, float], ...] = ()
    repair_receipts: tuple[tuple[int, float], ...] = ()
    delay: float | None = None
    delay_max: float | None = None
    wait_max: float | None = None
    r: float | None = None
    mos_lq: float | None = None
    mos_cq: float | None = None
    discarded: float | None = None


class BurstFigures(NamedTuple):
    """Shares of missing packets (0 to 1) within bursts and gaps, and their mean lengths in packets."""

    burst_density: float = 0.0
    gap_density: float = 0.0
    burst_length: float = 0.0
    gap_length: float = 0.0


NO_BURSTS = BurstFigures()
"""Before the first packet."""


@dataclass(frozen=True)
class PlayoutStats:
    """What was heard of one stream; `PlayoutCounters` (voip.jitter) counts it.

    `late` packets arrived (or were rebuilt) after their turn to be played; `skipped` ones were left out to shorten the
    delay; `discarded` are those of both that had arrived by themselves (RFC 3611 section 4.7.1). `concealed` counts
    packets in whose place sound was synthesized, and `longest_gap` is the longest such time. `underruns`: how often no
    packet was here though the sender had sent some; `resyncs`: how often play-out started over elsewhere in the stream.
    `silent_seconds`: the peer was to send and nothing came; `unheard_seconds`: what came was not heard, since the
    device was gone or the process stood still. `delay` is the play-out delay over the fastest packets, `target` the one
    aimed at, and `wait_max` the one up to which packets are waited for that have to be rebuilt.
    """

    played: int = 0
    played_seconds: float = 0.0
    concealed: int = 0
    concealed_seconds: float = 0.0
    skipped: int = 0
    skipped_seconds: float = 0.0
    longest_gap: float = 0.0
    late: int = 0
    discarded: int = 0
    underruns: int = 0
    resyncs: int = 0
    silent_seconds: float = 0.0
    unheard_seconds: float = 0.0
    delay: float | None = None
    delay_min: float | None = None
    delay_mean: float | None = None
    delay_max: float | None = None
    target: float | None = None
    wait_max: float | None = None


@dataclass(frozen=True)
class InMix:
    """How one stream is heard among others: `gain_db` is what the user has set (0: as it comes), `muted` that it is
    left out. `level_dbfs` is its RMS of the last moments before either (a full-scale square wave is 0; None: silence),
    and `speaking` whether it is the loudest of those that speak.
    """

    gain_db: float = 0.0
    muted: bool = False
    level_dbfs: float | None = None
    speaking: bool = False


@dataclass(frozen=True)
class ReceiverStats:
    """What one stream has received, and what was heard of it (`playout`).

    expected == received + lost and lost == recovered + lost_after_fec hold in every snapshot; repair packets are
    in none of the four. `first_audio_at` is the monotonic moment of the first sound. `clock_ppm` is how much faster
    than ours the sender's clock runs, in millionths. `levels` are those of the sound that was played; `in_mix` is how
    it is heard among others.

    `missing_packets` were not heard, each by its sequence number: lost and not rebuilt in time, too late, or left out;
    they came in `missing_runs` runs in a row (their mean length is the quotient), and `bursts` has where they were
    dense. A packet is judged when one after it is heard: those after the last that was heard are not among them.
    """

    received: int = 0
    expected: int = 0
    recovered: int = 0
    duplicate: int = 0
    reordered: int = 0
    loss_runs: Mapping[str, int] = field(default_factory=no_runs)
    jitter: float | None = None
    jitter_max: float | None = None
    jitter_mean: float | None = None
    fec_packets: int = 0
    fec_copies: int = 0
    fec_rejected: int = 0
    missing_packets: int = 0
    missing_runs: int = 0
    bursts: BurstFigures = NO_BURSTS
    playout: PlayoutStats = PlayoutStats()
    first_audio_at: float | None = None
    clock_ppm: float | None = None
    levels: Levels = Levels()
    in_mix: InMix = InMix()

    @property
    def lost(self) -> int:
        """Media packets that never arrived on the network."""
        return self.expected - self.received

    @property
    def lost_after_fec(self) -> int:
        """Lost media packets that FEC did not rebuild in time."""
        return self.lost - self.recovered


@dataclass(frozen=True)
class SessionStats:
    """What the network side of one media port has seen, accepted or not; bytes count accepted RTP datagrams.

    `stray` counts packets of another SSRC, or of a jump in the numbers, that nothing confirmed; `looped` those of our
    own SSRC, which a peer has sent back; `excess` RTCP and repair packets of the peer beyond what is worked on. Of an
    encrypted call `unauthenticated` counts packets that the peer's key does not open, `replayed` those whose number had
    come before, or was too old to tell. `icmp_errors` (the last at `icmp_at`, without a gap since `icmp_since`),
    `unsent` and `withheld` count datagrams of ours: those refused because of what came back for earlier ones, those
    that the system did not take, those that were meant for an address that has not proved itself; `overruns` the
    packets that came while their thread was too far behind. `rtcp` counts RTCP datagrams received, `rtcp_sent` those
    sent; their bytes include IP and UDP headers. `rtt` is the round trip by RTCP (the median of the last few),
    `rtt_min` the shortest one. `path` is the newest report about our media, and `path_packets` how many we had sent
    when it came; `empty_reports` counts the last reports in a row that tell of no source at all. `comfort_noise`: the
    newest media packet was comfort noise (RFC 3389), after which nothing has to come until there is sound again.
    `unplayed` counts packets, empty ones apart, that were thrown away since nothing is played here.
    """

    malformed: int = 0
    foreign: int = 0
    unknown_payload_type: int = 0
    stray: int = 0
    looped: int = 0
    excess: int = 0
    unauthenticated: int = 0
    replayed: int = 0
    rtcp: int = 0
    icmp_errors: int = 0
    icmp_at: float | None = None
    icmp_since: float | None = None
    unsent: int = 0
    withheld: int = 0
    unplayed: int = 0
    overruns: int = 0
    bytes: int = 0
    ip_bytes: int = 0
    rtcp_ip_bytes: int = 0
    rtcp_sent: int = 0
    rtcp_sent_ip_bytes: int = 0
    rtt: float | None = None
    rtt_min: float | None = None
    path: PathReport | None = None
    path_packets: int = 0
    empty_reports: int = 0
    comfort_noise: bool = False


@dataclass(frozen=True)
class CaptureStats:
    """A capture of packets: `packets` are in its `file`, `dropped` are not, since they found no room or it could not be
    written: then `error` says why."""

    file: str
    packets: int = 0
    dropped: int = 0
    error: str | None = None
