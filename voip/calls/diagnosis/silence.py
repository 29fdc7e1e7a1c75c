"""Dead air: nothing arrives, nothing comes back, a closed port, and when sound is back (RFC 3550 for what should come).

Silence is no fault on hold, after comfort noise (RFC 3389), and when the peer has said BYE by RTCP.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from statistics import median

from voip.calls.diagnosis.situation import NAMED_AFTER, STOOD_STILL, Event, Finding, Situation, length
from voip.media import ExtendedReports
from voip.report.shares import remote_share

PAUSE_FACTOR = 4.0
"""After a silence in which the peer sent nothing, the next must be so many times as long: some telephones send nothing
while their user listens, and do not say so by comfort noise."""
LONGEST_PAUSE = 160.0
"""Seconds of silence that are named in any case."""
CUT_SHARE = 0.5
"""Share of a silence that is missing in the sequence numbers, from which it was the network that was silent."""
MANY_DROPPED = 10
"""Packets that cannot be played from which they are what the peer sends: fewer may be keep-alives (RFC 6263)."""
SLOW_REPORT = 5.0
"""Seconds until the first report of a peer of which only RTCP is to come: with the minimum of RFC 3550 (section 6.2)
it comes after 1.0 to 3.1 s."""
LATE_REPORT = 12.5
"""Seconds that the next report may take while the interval is not known: two of RFC 3550 at their longest (6.2 s)."""
KNOWN_INTERVALS = 3
"""Intervals between reports that make it known."""
STEADY_INTERVALS = 16
"""Intervals from which it is known so well that a report may be missed sooner than after SLOW_REPORT: of fewer, those
of a network that loses 30 % may all be short by chance."""
VERY_LATE_REPORT = 25.0
"""Seconds that a report may take if those before took more than NAMED_AFTER, and there were few: four of RFC 3550 at
their longest, as three in a row may be lost."""
LATE_REPORT_FACTOR, STEADY_REPORT_FACTOR = 3.0, 2.5
"""A report may take so many times the longest of those before: two in a row may be lost on a bad network. Of many, the
longest has those that were lost in it."""
REMEMBERED_REPORTS = 128
"""Intervals between reports that say how long the next one may take: on a network that loses 30 % the longest of them
has two or three reports that were lost, so that many more must be lost in a row for a false alarm."""
BY_CHANCE = 0.001
"""The probability that a network which goes on loses all the reports whose absence is named: a call has some 16 of them
before their intervals are known."""
EXPECTED_LOSS = (1, 12)
"""Reports that count as lost, and as sent, before the first one: a twelfth is lost until more is known."""
MOST_TYPICAL = 1.0
"""Seconds between reports of such a peer; longer ones have reports that were lost in them."""
MOST_LOST = 0.6
"""The highest share of lost reports that is reckoned with."""
REPORTLESS_AFTER = 10.0
"""Seconds without RTCP after which a peer counts as one that sends none: two intervals of RFC 3550 at their longest."""
REFUSED_FOR = 1.0
"""Seconds for which ICMP errors must come, and nothing else, before the port counts as closed: a telephone may open
it a moment after it has answered."""
REFUSED_LATELY = 1.5
"""Seconds since the last ICMP error until which they go on: Linux sends one a second (icmp_ratelimit)."""


class Silence:
    """Whether the peer is heard: its sound where it is to be played, else anything that shows that it is there."""

    def __init__(self) -> None:
        self._sound, self._signs = _Quiet(), _Quiet()
        self._reports, self._refusals, self._pauses = _Reports(), _PortRefusals(), _Pauses()
        self._expected = (False, False)  # sound, and signs of life
        self._looked_at = float("-inf")
        self._told = ""
        self._noted = False

    def look(self, situation: Situation) -> Iterator[Finding]:
        """What is to be said of silence now."""
        network, now = situation.network, situation.now
        expected = (situation.expects_sound, situation.is_sending)
        stood_still, self._looked_at = now - self._looked_at > STOOD_STILL, now
        if expected != self._expected or (stood_still and not self._told):
            self._expected, self._told = expected, ""  # the call has come up, was put on hold or resumed
            self._sound.restart(now)
            self._signs.restart(now)
        self._reports.look(network.rtcp, now)
        sound = self._sound.look(network.bytes, now)
        self._pauses.look(situation, sound)
        signs = self._signs.look(network.bytes + network.rtcp + network.unknown_payload_type, now)
        self._refusals.look(network.icmp_errors, now, refuted=signs is not None)
        if expected == (False, False) or situation.over:
            return
        ended = sound if situation.expects_sound else signs
        if ended is not None:
            if self._told:
                yield Finding(self._told, self._back(situation, ended), Event.CLEARED)
                self._told = ""
        elif network.comfort_noise and situation.expects_sound:
            self._sound.restart(now)
        elif not self._told:
            yield from self._name(situation)
        yield from self._note_missing_reports(situation)

    def _name(self, situation: Situation) -> Iterator[Finding]:
        """The cause of a silence, once it is one."""
        now = situation.now
        found = None
        if situation.is_sending and self._refusals.go_on(now):
            found = Finding("port-closed", _port_closed(situation))
        elif situation.expects_sound:
            quiet = self._sound.seconds(now)
            if quiet >= self._pauses.named_after:
                found = self._dead_air(situation, quiet) if self._sound.came else _nothing_arrives(situation)
        else:
            quiet = self._signs.seconds(now)
            if quiet >= self._patience(situation):
                found = self._nothing_back(situation, quiet)
        if found is not None:
            self._told = found.cause
            yield found

    def _dead_air(self, situation: Situation, quiet: float) -> Finding:
        peer, seconds = situation.peer, length(quiet)
        if self._reports.came_within(quiet, situation.now):
            text = f"no sound from {peer} for {seconds}, though its RTCP arrives: is it muted there?"
        else:
            text = f"no sound from {peer} for {seconds}, and no RTCP: the network or the program there is down"
        return Finding("dead-air", text)

    def _patience(self, situation: Situation) -> float:
        """Seconds without any sign of the peer that say something; infinite if none has to come."""
        media = situation.media
        if self._reports.count:
            if _reports_each_second(media.rtcp_xr) and self._reports.known and not self._reports.steady:
                return self._reports.by_chance(remote_share(situation.network))
            return self._reports.patience
        if self._signs.came or not situation.signalled:
            return float("inf")
        if media.remote_direction.sends:
            return NAMED_AFTER
        if media.rtcp_off:  # a listener without RTCP (RFC 3556) gives no sign
            return float("inf")
        if _reports_each_second(media.rtcp_xr):
            return NAMED_AFTER
        return SLOW_REPORT if media.rtcp_mux else float("inf")

    def _nothing_back(self, situation: Situation, quiet: float) -> Finding:
        peer, port = situation.peer, situation.media.remote[1]
        if self._signs.came:
            text = f"nothing has come back from {peer} for {length(quiet)}: the network or the program there is down"
        else:
            text = f"nothing comes back from {peer}: a firewall may drop what is sent; open UDP {port} there"
        return Finding("nothing-comes-back", text)

    def _back(self, situation: Situation, ended: float) -> str:
        if situation.expects_sound:
            return f"sound is back after {length(ended)}"
        return f"{situation.peer} responds again after {length(ended)}"

    def _note_missing_reports(self, situation: Situation) -> Iterator[Finding]:
        if self._noted or self._told or self._reports.count or not situation.is_sending:
            return
        if situation.record.duration >= REPORTLESS_AFTER:
            self._noted = True
            text = f"{situation.peer} sends no RTCP: whether it hears us is unknown"
            if situation.media.rtcp_off:
                text = f"{situation.peer} has switched RTCP off (b=RR:0 in its SDP): whether it hears us stays unknown"
            yield Finding("no-rtcp", text, Event.DETAIL)


def _reports_each_second(asked: ExtendedReports) -> bool:
    """Whether the peer asks for what this program asks for, which reports so often."""
    return asked.loss_rle and asked.metrics


def _nothing_arrives(situation: Situation) -> Finding:
    network, peer = situation.network, situation.peer
    dropped = network.unknown_payload_type + network.malformed
    if network.unauthenticated >= MANY_DROPPED:
        text = f"no sound from {peer}: {network.unauthenticated} packets came that its key does not open (SRTP)"
    elif network.foreign >= MANY_DROPPED:
        source = situation.media.remote[0]
        text = f"no sound from {peer}: {network.foreign} packets came, but not from {source}, the address in its SDP"
    elif dropped >= MANY_DROPPED:
        text = f"what arrives from {peer} is not what was agreed on ({dropped} packets dropped); try another --codec"
    elif network.rtcp:
        text = f"no sound from {peer}, though its RTCP arrives: is it muted there?"
    else:
        ports = " and ".join(map(str, situation.ports)) or "the media ports"
        text = f"nothing has arrived from {peer} yet: open UDP {ports} here; behind a NAT try --stun HOST"
    return Finding("nothing-arrives", text)


def _port_closed(situation: Situation) -> str:
    port = situation.media.remote[1]
    return f"UDP {port} of {situation.peer} is closed (ICMP port unreachable): has the program there ended?"


class _Quiet:
    """How long a count has stood still."""

    def __init__(self) -> None:
        self.came = False
        """Whether it has ever moved."""
        self._count, self._since = 0, float("-inf")

    def restart(self, now: float) -> None:
        """Only from now on does standing still mean anything."""
        self._since = now

    def look(self, count: int, now: float) -> float | None:
        """The seconds of the silence that has ended by now, None while the count stands still."""
        if count == self._count:
            return None
        quiet, self._count, self._since, self.came = self.seconds(now), count, now, True
        return quiet

    def seconds(self, now: float) -> float:
        return now - self._since


class _Pauses:
    """How long a silence must be to be named: longer each time if the peer itself was silent, as a telephone may be."""

    def __init__(self) -> None:
        self.named_after = NAMED_AFTER
        self._lost = 0
        self._ended = 0.0  # seconds of the silence that has just ended

    def look(self, situation: Situation, ended: float | None) -> None:
        """`ended`: the seconds of a silence that is over now."""
        rx = situation.record.rx
        if rx is None:
            return
        if self._ended:  # the figures of sound are a moment behind those of the network
            missing = (rx.lost - self._lost) * situation.media.packet_time
            cut = missing >= CUT_SHARE * self._ended
            self.named_after = NAMED_AFTER if cut else min(LONGEST_PAUSE, PAUSE_FACTOR * self.named_after)
            self._ended = 0.0
        if ended is not None and ended >= self.named_after:
            self._ended = ended
        else:
            self._lost = rx.lost


class _Reports:
    """When RTCP came, as far as its count says."""

    def __init__(self) -> None:
        self.count = 0
        self._last_at = 0.0
        self._intervals: deque[float] = deque(maxlen=REMEMBERED_REPORTS)

    def look(self, count: int, now: float) -> None:
        if count == self.count:
            return
        if self.count:
            self._intervals.append(now - self._last_at)
        self.count, self._last_at = count, now

    @property
    def known(self) -> bool:
        """Whether the intervals are known at all."""
        return len(self._intervals) >= KNOWN_INTERVALS

    @property
    def steady(self) -> bool:
        """Whether the intervals are known well."""
        return len(self._intervals) >= STEADY_INTERVALS

    @property
    def patience(self) -> float:
        """Seconds that the next report may take."""
        if not self.known:
            return LATE_REPORT
        longest = max(self._intervals)
        if not self.steady:
            least = SLOW_REPORT if longest <= NAMED_AFTER else VERY_LATE_REPORT
            return max(least, LATE_REPORT_FACTOR * longest)
        factor = STEADY_REPORT_FACTOR if longest <= NAMED_AFTER else LATE_REPORT_FACTOR
        return max(NAMED_AFTER, factor * longest)

    def by_chance(self, loss: float) -> float:
        """Seconds that the next report may take of a peer that reports each second: after them more are missing in a
        row than are lost by chance. `loss`: share of our packets that is lost on the way there."""
        typical = min(MOST_TYPICAL, median(self._intervals))
        missing = sum(max(0, round(each / typical) - 1) for each in self._intervals)
        lost, sent = EXPECTED_LOSS
        share = min(MOST_LOST, max(loss, (missing + lost) / (missing + self.count + sent)))
        return max(NAMED_AFTER, typical * (1.0 + math.log(BY_CHANCE) / math.log(share)))

    def came_within(self, seconds: float, now: float) -> bool:
        return bool(self.count) and now - self._last_at < seconds


class _PortRefusals:
    """ICMP errors that go on, while nothing comes."""

    def __init__(self) -> None:
        self._count = 0
        self._first_at: float | None = None
        self._last_at = float("-inf")

    def look(self, count: int, now: float, *, refuted: bool) -> None:
        """`refuted`: something has come from the peer since."""
        if refuted:
            self._first_at = None
        if count != self._count:
            self._count, self._last_at = count, now
            self._first_at = now if self._first_at is None else self._first_at

    def go_on(self, now: float) -> bool:
        """Whether they have come for long enough, and still do."""
        long_enough = self._first_at is not None and now - self._first_at >= REFUSED_FOR
        return long_enough and now - self._last_at <= REFUSED_LATELY
