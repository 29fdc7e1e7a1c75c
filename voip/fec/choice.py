"""Which pattern, and which wait for its repair, is best on a path: by predicted R (ITU-T G.107), or by what is missing.

A repair that comes later rebuilds more, and is heard later. Within FREE_WAIT the delay costs next to nothing: the
cheapest pattern wins that leaves MAX_MISSING after the shortest wait. Where none does, a peer that talks gets the
pattern and the wait that together lose least of R, and one that only listens the pattern that leaves least missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from voip.conversation import FREE_WAIT, Use, delay_points, missing_points
from voip.fec.channel import Channel
from voip.fec.prediction import Rung

MAX_MISSING = 0.0005
"""Share of media packets missing at their turn that is good enough. One in a thousand, concealed, is inaudible; half
of that leaves room for errors in the estimate of the path."""
WAITS = (0.06, 0.08, 0.1, 0.12, 0.14, 0.18, 0.25)
"""Play-out delays in seconds, beyond the path's own, that a pattern may need: the shortest that will do is preferred to
a cheaper pattern."""
LONGEST_TALK = 0.14
"""Of these, the longest for a conversation. Repair packets three and seven packets later, in time, leave PESQ 4.00 in
outages of 60 ms, those three and six 3.95, and those four and eight 4.00 to 4.02, at 20 ms more and 2 points of R
less."""
LONGEST_COPIES = 0.18
"""The same where whole copies are sent and the path is known. With 10 % lost in outages of 60 ms, copies three and
seven packets later leave PESQ 3.74 and R 74.2 at 181 ms, those four and nine 3.87 and 74.3 at 216 ms, those five and
nine 3.89 and 76.4, those five and ten 3.92 and 75.7 at 234 ms (sent for the whole call; medians of nine)."""
TOLERANCE = 1.5
"""Factor on the missing share of the best choice, and on MAX_MISSING, up to which a cheaper pattern stays."""
NEARLY_BEST = 1.2
"""Factor on the missing share of the best, where none is good enough, up to which a cheaper one is preferred."""
EQUAL_TOLERANCE = 3.0
"""The same for a pattern of equal cost: the change would help only if the estimate of the path is right."""
NEARLY_BEST_POINTS = 0.25
"""Points of R that a cheaper pattern may lose more than the best."""
COPIES_POINTS = 3.0
"""Points of R that copies may lose more than the best repair packets, if those take twice their bits or more."""
ROUNDED = 1.12
"""Factor by which the tables of repair packets are rounded, up or down in all: by that much more may be missing with
whole copies, which are computed exactly. In an outage as many of both rebuild as much, and copies save the headers."""
SOONER_POINTS = 1.0
"""Points of R that a shorter wait may lose, where losses come in bursts, and is taken all the same. Bursts are shorter
than the outages of the tables, which hit all packets of a frame, so that less is missing than is predicted; and the
network, whose delay is not known here, may make each moment count."""
LATER_POINTS = 2.0
"""Points of R that a longer wait has to gain beyond TOLERANCE_POINTS before a pattern is changed for it, and repair
packets in place of whole copies: outages are rare, so that what is believed of them changes, and each change of a
pattern and of a delay has holes of its own."""
TOLERANCE_POINTS = 0.5
"""Points of R that a pattern that is in use may lose more than one that costs or waits as much or more; none where the
other one waits less: an estimate of the path that was too bad for a while is not to be paid for with delay."""


class Choice(NamedTuple):
    """A rung, the wait in seconds that it was chosen for, and the share that it leaves missing then."""

    rung: Rung
    wait: float
    missing: float

    @property
    def points(self) -> float:
        """Points of R that delay and holes cost a conversation."""
        return delay_points(self.wait) + missing_points(self.missing)

    @property
    def good(self) -> bool:
        """Whether what is missing is too little to be heard."""
        return self.missing < MAX_MISSING


class Listener(NamedTuple):
    """The one for whom packets are repaired: seconds per packet, the longest wait if it is known, and what it does.

    `saves_bits`: copies are preferred to repair packets of twice their bits that lose little less of R. `sure`: the
    path has been looked at for long enough to tell outages, against which copies help as much, from bursts of packets;
    only then may whole copies take LONGEST_COPIES.
    """

    ptime: float
    delay_max: float | None = None
    use: Use = Use.CONVERSATION
    saves_bits: bool = False
    sure: bool = True

    @property
    def waits(self) -> Sequence[float]:
        """The waits that are possible, the shortest first."""
        return self._up_to(LONGEST_TALK)

    def waits_for(self, rung: Rung) -> Sequence[float]:
        """Those that are possible with this rung."""
        return self._up_to(LONGEST_COPIES if self.sure and rung.pattern.repeats_whole else LONGEST_TALK)

    def _up_to(self, longest: float) -> Sequence[float]:
        if self.use is not Use.CONVERSATION:
            longest = WAITS[-1]
        if self.delay_max is not None:
            longest = min(longest, self.delay_max)
        return [wait for wait in WAITS if wait <= longest] or [WAITS[0]]

    def choose(self, rungs: Sequence[Rung], channel: Channel) -> Choice:
        """The best of some rungs, which are given the cheapest first."""
        if self.use is Use.CONVERSATION:
            return self._sooner(self._choose(rungs, channel), rungs, channel)
        return self._choose(rungs, channel)

    def _choose(self, rungs: Sequence[Rung], channel: Channel) -> Choice:
        talks = self.use is Use.CONVERSATION
        for wait in self.waits:
            if talks and wait > FREE_WAIT:
                break
            if good := self._cheapest_good(rungs, channel, wait):
                return self.best(good, channel, wait)
        return self._least_loss_of_r(rungs, channel) if talks else self._least_missing(rungs, channel)

    def _cheapest_good(self, rungs: Sequence[Rung], channel: Channel, wait: float) -> list[Rung]:
        """The cheapest of those that are good enough; dearer ones are not looked at."""
        good: list[Rung] = []
        for rung in rungs:
            if good and rung.pattern.overhead != good[0].pattern.overhead:
                break
            if self.missing(rung, channel, wait) < MAX_MISSING:
                good.append(rung)
        return good

    def best(self, rungs: Iterable[Rung], channel: Channel, wait: float) -> Choice:
        """The one that leaves least missing."""
        missing, _, rung = min((self.missing(rung, channel, wait), i, rung) for i, rung in enumerate(rungs))
        return Choice(rung, wait, missing)

    def at_best(self, rung: Rung, channel: Channel) -> Choice:
        """A rung with the wait that loses least of R."""
        first, *longer = self.waits_for(rung)
        best = Choice(rung, first, self.missing(rung, channel, first))
        least = best.points
        for wait in longer:
            if delay_points(wait) >= least:  # of that alone; those after it are longer still
                break
            choice = Choice(rung, wait, self.missing(rung, channel, wait))
            points = choice.points
            if points < least:
                best, least = choice, points
        return best

    def missing(self, rung: Rung, channel: Channel, wait: float) -> float:
        """The share of media packets that are neither here nor rebuilt after so many seconds."""
        return rung.missing(channel, wait / self.ptime + 1e-6)

    def insufficient(self, current: Rung, wanted: Choice, channel: Channel) -> bool:
        """Whether another pattern would be so much better that it is worth the change. What costs less protects less,
        unless it is of the other kind."""
        more = wanted.rung.pattern.overhead - current.pattern.overhead
        same_kind = wanted.rung.pattern.kind == current.pattern.kind
        if wanted.rung is current or (more < 0.0 and same_kind):
            return False
        if self.use is Use.CONVERSATION and not (wanted.good and wanted.wait <= FREE_WAIT):
            now = self.at_best(current, channel)
            tolerance = 0.0 if more <= 0.0 and wanted.wait < now.wait else TOLERANCE_POINTS
            further = wanted.rung.pattern.reach - current.pattern.reach
            if more > 0.0 and current.pattern.repeats_whole and not same_kind:
                tolerance += LATER_POINTS
            if more <= 0.0 and further:
                tolerance += LATER_POINTS if further > 0 else -SOONER_POINTS
            return now.points > wanted.points + tolerance
        factor = TOLERANCE if more > 0.0 else EQUAL_TOLERANCE
        return self.missing(current, channel, wanted.wait) > factor * max(wanted.missing, MAX_MISSING)

    def _sooner(self, choice: Choice, rungs: Sequence[Rung], channel: Channel) -> Choice:
        """A shorter wait, by a pattern of the same cost, where that loses next to nothing. Whole copies are left alone:
        they are for outages, and what is predicted of those is what comes."""
        if channel.outage > 0.0 and not choice.rung.pattern.repeats_whole:
            equal = [rung for rung in rungs if rung.pattern.overhead == choice.rung.pattern.overhead]
            for wait in self.waits:
                sooner = self.best(equal, channel, wait)
                if wait < choice.wait and sooner.points <= choice.points + SOONER_POINTS:
                    return sooner
        return choice

    def _least_loss_of_r(self, rungs: Sequence[Rung], channel: Channel) -> Choice:
        """The pattern and the wait of least points; a cheaper one if it is nearly as good."""
        choices = [self.at_best(rung, channel) for rung in rungs]
        rated = [(choice.points, choice) for choice in choices]
        copies = [each for each in rated if each[1].rung.pattern.reduced]
        repairs = [each for each in rated if not each[1].rung.pattern.reduced]
        saves = self.saves_bits and bool(copies) and _save_bits(_least(copies), _least(rated))
        if saves:
            rated = copies
        elif not self.saves_bits:  # copies that are only nearly as good save nothing that anybody asked for
            rated = min((kind for kind in (repairs, copies) if kind), key=lambda kind: _least(kind)[0])
        enough = _least(rated)[0] + NEARLY_BEST_POINTS
        near = [each for each in rated if (_rounded(each[1]) if self.sure else each[0]) <= enough]
        cost = near[0][1].rung.pattern.overhead
        equal = [each for each in near if each[1].rung.pattern.overhead == cost]
        if saves:  # as good: the one that outlasts a longer outage
            return max((choice for _, choice in equal), key=lambda choice: choice.rung.pattern.reach)
        return _least(equal)[1]

    def _least_missing(self, rungs: Sequence[Rung], channel: Channel) -> Choice:
        """After the longest wait, the cheapest pattern that leaves nearly as little missing as the best."""
        wait = self.waits[-1]
        best = self.best(rungs, channel, wait)
        near = [rung for rung in rungs if self.missing(rung, channel, wait) <= best.missing * NEARLY_BEST]
        return self.best(_cheapest(near), channel, wait)


_Rated = tuple[float, Choice]
"""A choice, and the points of R that it loses."""


def _rounded(choice: Choice) -> float:
    """Points of R that it may be said to lose, where those of repair packets are taken as they are."""
    exactly = choice.rung.pattern.repeats_whole
    return (choice._replace(missing=choice.missing / ROUNDED) if exactly else choice).points


def _least(rated: Iterable[_Rated]) -> _Rated:
    """The one that loses least of R."""
    return min(rated, key=itemgetter(0))


def _save_bits(copies: _Rated, best: _Rated) -> bool:
    """Whether copies take half the bits of the best choice at most, and lose little against it."""
    saved = 2 * copies[1].rung.pattern.overhead <= best[1].rung.pattern.overhead
    return saved and copies[0] <= best[0] + COPIES_POINTS


def _cheapest(rungs: Sequence[Rung]) -> list[Rung]:
    """Those that cost as little as the first."""
    return [rung for rung in rungs if rung.pattern.overhead == rungs[0].pattern.overhead]
