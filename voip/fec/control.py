"""Adaptive FEC: the cheapest pattern that protects enough on the path, by the peer's reports (RFC 3550, RFC 3611).

What is best on a path, `voip.fec.choice` says; here is decided when to change. Up within one report; down one step at a
time, and only when less has been enough for a while. It starts with half a repair packet for each packet, or one where
the line is known to be wide, because losses are not known yet, and comes down as soon as enough packets have arrived
without loss.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from voip.conversation import missing_points, use_of
from voip.fec.channel import Channel, ChannelEstimator
from voip.fec.choice import Choice, Listener
from voip.fec.pattern import Pattern
from voip.fec.prediction import Rung, ladder
from voip.ip import IP_UDP_HEADER
from voip.rtp import HEADER_BYTES
from voip.stats import PathReport

START_PATTERN = "sliding:0,1,3/2"
"""The pattern until the first report: more might fill the line before anything is known of it. All of it comes within
the 75 ms by which play-out is delayed at first."""
WIDE_START_PATTERN = "sliding:0,2,3/1"
"""The pattern of the first seconds where the line is known to be wide: what the path loses is not known yet, and of
bursts this rebuilds three times as much as START_PATTERN."""
WIDE = 2.0
"""Times of what media and WIDE_START_PATTERN take that such a line carries at least."""
SILENCE_PATTERN = "sliding:0,1,8+0,2,3,12/1"
"""The pattern while the peer's reports are lost: rebuilds 20 % random loss within 60 ms, and most outages of 60 ms in
time."""
UNREPORTED_PATTERN = "sliding:0,1,3,8/2"
"""The pattern towards a peer that sends no reports: rebuilds 5 % random loss within 100 ms."""
MIN_LOSS = 0.007
"""Share of packets that any path is assumed to lose: the first loss comes without notice."""
CLEAN_START_PACKETS = 80
"""Packets that arrived, all of them, before the patterns of the start are given up at once: those of the first two
reports."""
SURE_PACKETS = 400
"""Packets of both kinds that reports have covered before whole copies are trusted as much as repair packets: those of
some three seconds."""
SURE_OUTAGE = 4.0
"""Frames of a mean outage from which on they are trusted at once: bursts of packets, which repair packets between the
media's shorten, are not taken for outages so long."""
REPORT_SILENCE = 5.0
"""Seconds without any report after which the peer is taken to send none."""
SECOND_REPORT_WAIT = 12.0
"""Seconds that the second report may take: REPORT_WAIT_FACTOR times the 8 s that peers take."""
MIN_REPORT_WAIT = 3.0
"""Seconds that the next report may take at least: three lost in a row mean that much is lost."""
REPORT_WAIT_FACTOR = 1.5
"""The next report may take so many times the longest of the last intervals: peers report every 1 to 8 s."""
REMEMBERED_INTERVALS = 8
"""Intervals between reports that are remembered."""
PAUSE_SECONDS = 1.0
"""Seconds without a packet of ours after which waiting for a report begins anew."""
HOLD_SECONDS = 4.0
"""Seconds for which less has to be enough before a step down. With the 20 s for which loss is remembered, the way down
the whole ladder takes less than a minute."""
SOONER_HOLD_SECONDS = 8.0
"""Seconds for which a pattern of the same cost whose repair comes sooner has to be as good before it is taken, on a
path of long outages: they may be rare."""
LONG_OUTAGE = 2.0
"""Frames that such an outage lasts, on average."""
STEP_DOWN_MARGIN = 1.25
"""Factor on loss and jitter: even then less has to be enough before a step down."""
REPAIR_EXTRA = 24
"""Bytes by which a repair packet exceeds the largest packet that it covers: CSRC, FlexFEC header, the middle mask."""
REMEMBERED_SIZES = 100
"""Packets of either kind whose mean size tells how large repair packets become."""


class _Sizes:
    """The mean size of the newest packets."""

    def __init__(self, first: int | None = None) -> None:
        """`first`: bytes of those to come, as far as known."""
        self._sizes: deque[int] = deque([] if first is None else [first], maxlen=REMEMBERED_SIZES)
        self._sum = sum(self._sizes)
        self.mean = float(self._sum)

    def add(self, size: int) -> None:
        sizes = self._sizes
        if len(sizes) == REMEMBERED_SIZES:
            self._sum -= sizes[0]
        sizes.append(size)
        self._sum += size
        self.mean = self._sum / len(sizes)


class Agreed(NamedTuple):
    """What was agreed on with the peer. None: no limit.

    `window`: packets that a repair packet may span (RFC 8627 section 5.2.1). `bandwidth`: bit/s of media, copies and
    repair packets together, all headers included. `parity`: repair packets may be sent. `copies`: packets may repeat
    others, whole or at a low bit rate. `header`: bytes around the payload of a media packet.
    """

    window: int | None = None
    bandwidth: float | None = None
    parity: bool = True
    copies: bool = False
    header: int = IP_UDP_HEADER[4] + HEADER_BYTES

    def allows(self, pattern: Pattern) -> bool:
        """Whether a pattern may be sent."""
        if pattern.copy_bitrate is not None:
            return self.copies
        return self.parity and (self.window is None or pattern.reach < self.window)


class FecController:
    """Which repair packets to send now: `pattern`, None if not even the lightest stays within the maximum.

    `sent` has to be called for every packet, in wire order, and `report` for every report. Both may change the pattern;
    if so they return one line that says why.
    """

    def __init__(
        self, max_rate: float, *, media_factor: float = 0.0, ptime: float = 0.02, saves_bits: bool = False
    ) -> None:
        """`max_rate`: bits per second that repair packets may take on the wire, all headers included.

        `media_factor`: they may take so many times what the media packets take, if that is more. `saves_bits`: see
        `Listener`.
        """
        self._max_rate, self._media_factor = max_rate, media_factor
        self._terms = Agreed()
        self._rungs = [rung for rung in ladder() if self._terms.allows(rung.pattern)]
        self._bandwidth: float | None = None
        self._carries: float | None = None
        self._estimator = ChannelEstimator(ptime)
        self._current: Rung | None = self._find(START_PATTERN)
        self._media_sizes, self._repair_sizes = _Sizes(), _Sizes()
        self._usual = 0.0  # bytes of a media packet while someone speaks
        self._first_at: float | None = None  # moment of the first packet, or of the first one after a pause
        self._last_at = 0.0
        self._last_report_at: float | None = None
        self._intervals: deque[float] = deque(maxlen=REMEMBERED_INTERVALS)
        self._report_wait = self._longest_wait()
        self._before_silence: Rung | None = None
        self._starting = True
        self._listener = Listener(ptime, saves_bits=saves_bits, sure=False)
        self._enough_since: float | None = None  # less than the current pattern has been enough

    @property
    def pattern(self) -> Pattern | None:
        """Which packets the repair packets should cover."""
        return self._current.pattern if self._current is not None else None

    @property
    def channel(self) -> Channel:
        """The path as the reports describe it."""
        return self._estimator.channel

    @property
    def allowed_rate(self) -> float:
        """Bit/s for repair packets: the maximum, or what the media leaves of the bandwidth that the peer takes."""
        return self._allowed_beside(self._media_sizes.mean, self._bandwidth)

    def points_beside(self, size: float, bandwidth: float) -> float:
        """Points of R that the best choice loses on the path as it is known, if media packets have `size` bytes with
        all headers, and share `bandwidth` (bit/s) with it."""
        allowed = self._allowed_beside(size, bandwidth)
        rungs = [rung for rung in self._rungs if self._rate_of(rung.pattern, size, size + REPAIR_EXTRA) <= allowed]
        channel = self._expected
        return self._listener.choose(rungs, channel).points if rungs else missing_points(channel.loss)

    @property
    def _expected(self) -> Channel:
        """The path, with as much loss as any may have."""
        channel = self.channel
        return channel._replace(loss=max(channel.loss, MIN_LOSS))

    def _allowed_beside(self, size: float, bandwidth: float | None) -> float:
        media = size * 8 / self._estimator.ptime
        most = max(self._max_rate, self._media_factor * media)
        return most if bandwidth is None else min(most, max(0.0, bandwidth - media))

    @property
    def ptime(self) -> float:
        """Seconds per packet."""
        return self._estimator.ptime

    def set_ptime(self, ptime: float, size: float) -> None:
        """The packets last so many seconds from now on, and have about so many bytes, all headers included: other ones
        make a new stream, of which nothing is known yet."""
        if ptime != self.ptime:
            self._estimator = ChannelEstimator(ptime)
            self._listener = self._listener._replace(ptime=ptime)
            self._media_sizes, self._repair_sizes = _Sizes(round(size)), _Sizes()

    def set_size(self, size: float) -> None:
        """Media packets have about so many bytes from now on, all headers included: those before say nothing of it."""
        self._media_sizes = _Sizes(round(size))

    def set_limits(self, agreed: Agreed, usual: float = 0.0, carries: float | None = None) -> None:
        """What the peer takes, and the path. `usual`: bytes of a media packet while someone speaks, all headers
        included: those of a pause are smaller, and make no room for more repair than there is then. `carries`: bit/s
        that the path is known to carry at least."""
        self._bandwidth, self._usual, self._carries = agreed.bandwidth, usual, carries
        terms = agreed._replace(bandwidth=None)
        if terms == self._terms:
            return
        self._terms = terms
        before, self._rungs = self._rungs, [rung for rung in ladder() if agreed.allows(rung.pattern)]
        if self._rungs != before and self._current not in self._rungs:
            start = self._find(START_PATTERN)
            strongest = self._rungs[-1] if self._rungs else None
            self._current = start if start in self._rungs else strongest

    def sent(self, number: int, size: int, now: float, *, repair: bool) -> str | None:
        """A packet goes out, of this size with all headers."""
        self._estimator.sent(number, repair=repair)
        if repair:
            self._repair_sizes.add(size)
            return None
        self._media_sizes.add(size)
        if self._first_at is None or now - self._last_at > PAUSE_SECONDS:
            self._first_at = now
        self._last_at = now
        if self._current is not None and not self._affordable(self._current.pattern, self._speech_size):
            return self._limit()
        began, reported = self._first_at, self._last_report_at
        if now - began > self._report_wait and (reported is None or now - reported > self._report_wait):
            return self._without_reports()
        return None

    def report(self, report: PathReport, *, counts: bool = True) -> str | None:
        """A report of the peer has come; unless it `counts`, its losses are those of a full line, and no reason."""
        if self._last_report_at is not None:
            self._intervals.append(report.at - self._last_report_at)
        self._last_report_at = report.at
        self._report_wait = self._longest_wait()
        use = use_of(report.wait_max, report.delay)
        self._estimator.report(report, counts=counts)
        channel = self._expected
        enough = self._estimator.judged.sent >= SURE_PACKETS or channel.outage >= SURE_OUTAGE
        sure = self._listener.sure or enough
        self._listener = self._listener._replace(delay_max=report.delay_max, use=use, sure=sure)
        affordable = self._affordable_rungs(self._speech_size)
        if not affordable:
            return None
        wanted = self._listener.choose(affordable, channel)
        if self._starting and (line := self._use_width(affordable, wanted)):
            return line
        resumed, self._before_silence = self._before_silence, None
        if resumed in affordable and not self._listener.insufficient(resumed, wanted, channel):
            return self._take(Choice(resumed, wanted.wait, self._listener.missing(resumed, channel, wanted.wait)))
        if self._current is None or self._listener.insufficient(self._current, wanted, channel):
            sooner = self._current is not None and _is_sooner(wanted.rung, self._current)
            if sooner and channel.outage >= LONG_OUTAGE:
                return self._come_sooner(wanted, report.at)
            self._enough_since = None
            return self._take(wanted)
        cost = self._current.pattern.overhead
        if affordable[0].pattern.overhead < cost:  # there is something cheaper
            less = self._listener.choose(affordable, channel.worse(STEP_DOWN_MARGIN))
            if less.rung.pattern.overhead < cost and not self._listener.insufficient(less.rung, wanted, channel):
                return self._come_down(less, affordable, report.at)
        self._enough_since = None
        return None

    def _use_width(self, affordable: list[Rung], wanted: Choice) -> str | None:
        """Protect more than `wanted`, and than now, on a wide line of which little is known yet."""
        start, before = self._find(WIDE_START_PATTERN), self._current
        most = max(wanted.rung.pattern.overhead, 0.0 if before is None else before.pattern.overhead)
        if start not in affordable or most >= start.pattern.overhead or self._carries is None:
            return None
        media = max(self._media_sizes.mean, self._usual)
        takes = 8 * media / self.ptime + self._rate_of(start.pattern, media)
        if self._estimator.judged.sent >= CLEAN_START_PACKETS or WIDE * takes > self._carries:
            return None
        self._current = start
        return f"{_direction(before, start)}: the line carries more, and little is known of its losses"

    def _longest_wait(self) -> float:
        """Seconds that the next report may take."""
        if self._intervals:
            return max(MIN_REPORT_WAIT, REPORT_WAIT_FACTOR * max(self._intervals))
        return REPORT_SILENCE if self._last_report_at is None else SECOND_REPORT_WAIT

    def _come_sooner(self, wanted: Choice, now: float) -> str | None:
        """What is rebuilt sooner would be as good: take it when that has been so for a while, as outages may come back,
        and each change of the delay is heard."""
        if self._enough_since is None:
            self._enough_since = now
        if now - self._enough_since < SOONER_HOLD_SECONDS:
            return None
        self._enough_since = None
        return self._take(wanted)

    def _come_down(self, less: Choice, affordable: list[Rung], now: float) -> str | None:
        """Less would be enough, with a margin: take the next step when that has been so for a while."""
        if self._starting and self._estimator.judged.sent >= CLEAN_START_PACKETS:
            self._starting = False
            if not self._estimator.judged.lost:
                return self._take(less)
        if self._enough_since is None:
            self._enough_since = now
        if now - self._enough_since < HOLD_SECONDS:
            return None
        self._enough_since = now
        assert self._current is not None
        cost = self._current.pattern.overhead
        kind = less.rung.pattern.kind  # of another kind, what costs more may protect less
        same = (rung for rung in affordable if rung.pattern.kind == kind)
        steps = [rung for rung in same if less.rung.pattern.overhead <= rung.pattern.overhead < cost]
        next_cost = steps[-1].pattern.overhead
        if next_cost == less.rung.pattern.overhead:
            return self._take(less)
        step = (rung for rung in steps if rung.pattern.overhead == next_cost)
        return self._take(self._listener.best(step, self.channel, less.wait))

    def _take(self, choice: Choice) -> str | None:
        """Change over; the line that says so."""
        before, self._current = self._current, choice.rung
        if before is choice.rung:
            return None
        channel = self.channel
        return (
            f"{_direction(before, choice.rung)}: {100 * channel.loss:.2g} % loss in bursts of {channel.burst:.1f}, "
            f"jitter {1e3 * channel.jitter * self.ptime:.0f} ms; "
            f"predicted missing {100 * choice.missing:.2g} % at {1e3 * choice.wait:.0f} ms"
        )

    def _without_reports(self) -> str | None:
        """No report for a while: either the peer sends none, or they are lost with the rest."""
        wanted = self._find(SILENCE_PATTERN if self._last_report_at is not None else UNREPORTED_PATTERN)
        if wanted not in self._rungs:
            return None
        self._starting = False
        before = self._current
        if not self._affordable(wanted.pattern) or before is None or before is wanted:
            return None
        if self._last_report_at is not None and wanted.pattern.overhead <= before.pattern.overhead:
            return None
        self._current = wanted
        if self._last_report_at is not None:
            self._before_silence = before  # to go on with if it was only the reports that were lost
        return f"{_direction(before, wanted)}: no report for {self._report_wait:.1f} s"

    def _limit(self) -> str | None:
        """The packets have grown: the strongest pattern that stays within the maximum."""
        affordable = self._affordable_rungs(self._speech_size)
        before, self._current = self._current, None
        if not affordable:
            return f"FEC off: the lightest pattern would pass {self.allowed_rate / 1e3:.4g} kbit/s"
        channel = self.channel
        self._current = self._listener.choose(affordable, channel._replace(loss=max(channel.loss, 0.2))).rung
        return f"{_direction(before, self._current)}: more would pass {self.allowed_rate / 1e3:.4g} kbit/s"

    @property
    def _speech_size(self) -> float:
        """Bytes that media packets will have at least, where the line sets the limit: a call may begin with a pause."""
        return 0.0 if self._bandwidth is None else self._usual

    def _affordable_rungs(self, least: float = 0.0) -> list[Rung]:
        """All that are affordable, the cheapest first, if media packets have so many bytes at least."""
        rungs = self._rungs
        if not rungs or self._affordable(rungs[-1].pattern, least):  # the dearest
            return list(rungs)
        media = max(self._media_sizes.mean, least)
        allowed = self._allowed_beside(media, self._bandwidth)
        return [rung for rung in rungs if self._rate_of(rung.pattern, media) <= allowed]

    def _affordable(self, pattern: Pattern, least: float = 0.0) -> bool:
        """Whether its repair packets stay within the maximum, if packets go on as large as lately, or have so many
        bytes: of packets that are `least` bytes long the bandwidth leaves less to them."""
        media = max(self._media_sizes.mean, least)
        return self._rate_of(pattern, media) <= self._allowed_beside(media, self._bandwidth)

    def _rate_of(self, pattern: Pattern, media: float, repair: float | None = None) -> float:
        """Bit/s of its repair packets, for media packets of so many bytes; `repair`: bytes of each of them, None: what
        the last ones had."""
        ptime = self._estimator.ptime
        if pattern.copy_bitrate is not None:
            size = pattern.copies_size(ptime, max(0.0, media - self._terms.header))
        else:
            each = max(self._repair_sizes.mean, media + REPAIR_EXTRA) if repair is None else repair
            size = pattern.overhead * each
        return size * 8 / ptime

    def _find(self, text: str) -> Rung:
        return next(rung for rung in ladder() if str(rung.pattern) == text)


def _is_sooner(wanted: Rung, current: Rung) -> bool:
    """Whether a pattern costs the same as another one, and its repair comes sooner."""
    new, old = wanted.pattern, current.pattern
    return new.overhead == old.overhead and new.reach < old.reach


def _direction(before: Rung | None, after: Rung) -> str:
    """`FEC up to PATTERN (2 per packet, reach 5)`."""
    old = before.pattern.overhead if before is not None else 0.0
    new = after.pattern.overhead
    way = "up" if new > old else "down" if new < old else "over"
    share = f"{new:g} per packet" if new >= 1 else f"{100 * new:.0f} %"
    return f"FEC {way} to {after.pattern} ({share}, reach {after.pattern.reach})"
