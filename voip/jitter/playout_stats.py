"""What was heard: packets played, holes concealed, silences that were no loss."""

from __future__ import annotations

from voip.jitter.bursts import Bursts
from voip.stats import PlayoutStats

EXPLAINED = 1.0
"""Seconds of silence that need no explanation: before the first packet, and from the last one to the BYE."""
MEASURABLE = 1e-4
"""Seconds of sound, a few samples: less is an error of rounding."""


class DelaySeries:
    """The play-out delay over a stream's life, in seconds: as it is, the least, the most, the mean. None: no stream."""

    def __init__(self) -> None:
        self.last: float | None = None
        self.least: float | None = None
        self.most: float | None = None
        self._sum, self._count = 0.0, 0

    def add(self, delay: float) -> None:
        """The delay as it is now."""
        self.last = delay
        self.least = delay if self.least is None else min(self.least, delay)
        self.most = delay if self.most is None else max(self.most, delay)
        self._sum += delay
        self._count += 1

    @property
    def mean(self) -> float | None:
        """The mean of all measured delays."""
        return self._sum / self._count if self._count else None


class Silence:
    """Time in which nothing came. Kept apart (`unexplained`) until the next packet tells what it was: lost or late
    sound, or a pause of the sender. If none comes, it counts as silence in which sound was due, unless it is as short
    as that between the last packet and the BYE. Seconds throughout.
    """

    def __init__(self) -> None:
        self.unexplained = 0.0
        self._due = 0.0  # of that: while the peer was to send
        self._settled = 0.0
        self._awaited = 0.0

    @property
    def longest(self) -> float:
        """The longest silence of those that count that are not over, or never will be."""
        return max(self._counted(self._due), self._counted_before_first)

    @property
    def total(self) -> float:
        """All that counts."""
        return self._settled + self._counted(self._due) + self._counted_before_first

    def await_first(self, seconds: float) -> None:
        """The peer may send, and nothing has come so far."""
        self._awaited += seconds

    def grow(self, seconds: float, *, due: bool) -> None:
        """Nothing is here to be played. `due`: the peer is expected to send."""
        self.unexplained += seconds
        if due:
            self._due += seconds

    def explain(self) -> None:
        """A packet has told what it was."""
        self.unexplained = self._due = 0.0

    def leave(self) -> None:
        """Another stream begins: what this silence was will not be known."""
        self._settled, self._due = self._settled + self._counted(self._due), 0.0

    @property
    def _counted_before_first(self) -> float:
        return max(0.0, self._awaited - EXPLAINED)

    @staticmethod
    def _counted(seconds: float) -> float:
        return seconds if seconds > EXPLAINED else 0.0


class PlayoutCounters:
    """Counts of one stream's play-out, in packets and seconds; `PlayoutStats` says what each is."""

    def __init__(self) -> None:
        self.played = 0
        self.played_seconds = 0.0
        self.concealed = 0
        self.concealed_seconds = 0.0
        self.longest_gap = 0.0
        self.underruns = 0
        self.resyncs = 0
        self.late = 0
        self.discarded = 0
        self.bursts = Bursts()
        """What became of each packet, in the order of sequence numbers."""
        self.skipped = 0
        self.skipped_seconds = 0.0
        self.silence = Silence()
        self._delays = DelaySeries()
        self._unheard = 0.0
        self._lost = 0.0
        self._waited = 0.0
        self._run = 0.0

    def play(self, seconds: float) -> None:
        """A packet is heard."""
        if self._waited:
            self.conceal(self._waited, seconds)
            self._waited = 0.0
        if self._lost - self._run > MEASURABLE:  # more is missing before it than was filled with other sound
            self._unheard += self._lost - self._run
            self.longest_gap = max(self.longest_gap, self._lost)
        self._lost = 0.0
        self.played += 1
        self.played_seconds += seconds
        self._run = 0.0

    def conceal(self, seconds: float, step: float) -> None:
        """Sound is synthesized for `seconds`, where packets last `step`."""
        self.concealed += max(1, round(seconds / step))
        self.concealed_seconds += seconds
        self._run += seconds
        self.longest_gap = max(self.longest_gap, self._run)

    def wait(self, seconds: float) -> None:
        """Sound is synthesized while the next packet is waited for: counted when it, or one after it, is heard."""
        self._waited += seconds

    def discard_wait(self) -> None:
        """What was waited for had never been sent."""
        self._waited = 0.0

    def skip(self, seconds: float, *, rebuilt: bool = False) -> None:
        """A packet that was here is left out, so that the delay becomes shorter."""
        self.skipped += 1
        self.discarded += not rebuilt
        self.skipped_seconds += seconds

    def count_late(self, *, rebuilt: bool = False) -> None:
        """A packet came, or was `rebuilt`, after its turn."""
        self.late += 1
        self.discarded += not rebuilt

    def count_resync(self) -> None:
        """Play-out starts over, or drops what is too much at once."""
        self.resyncs += 1

    def note_lost(self, seconds: float) -> None:
        """Of the sound before the packet that is played next, so much more was lost or came too late."""
        self._lost += seconds

    def note_unheard(self, seconds: float) -> None:
        """What was played was not heard: the device is gone."""
        seconds = min(seconds, self.played_seconds)
        self.played_seconds -= seconds
        self._unheard += seconds

    def resume(self, missing: float, step: float) -> None:
        """The stream goes on; `missing` seconds of it should have been heard since the underrun began."""
        missing = min(missing, self.silence.unexplained)
        if missing > 0.0:
            self.underruns += 1
            self.conceal(missing, step)
        self.silence.explain()

    def jump(self, skipped: float) -> None:
        """Play-out has gone on further on, at once; `skipped_seconds` was so much before."""
        self.count_resync()
        self.longest_gap = max(self.longest_gap, self.skipped_seconds - skipped)

    def restart(self) -> None:
        """Another stream begins."""
        self.count_resync()
        self.silence.leave()

    def measure(self, delay: float) -> None:
        """The play-out delay as it is now."""
        self._delays.add(delay)

    def snapshot(self, target: float | None, wait_max: float | None = None) -> PlayoutStats:
        """The figures as they are now; `target`: seconds of delay aimed at, `wait_max`: up to which repair is waited
        for, None: no stream yet."""
        return PlayoutStats(
            played=self.played,
            played_seconds=self.played_seconds,
            concealed=self.concealed,
            concealed_seconds=self.concealed_seconds,
            skipped=self.skipped,
            skipped_seconds=self.skipped_seconds,
            longest_gap=max(self.longest_gap, self.silence.longest),
            late=self.late,
            discarded=self.discarded,
            underruns=self.underruns,
            resyncs=self.resyncs,
            silent_seconds=self.silence.total,
            unheard_seconds=self._unheard,
            delay=self._delays.last,
            delay_min=self._delays.least,
            delay_mean=self._delays.mean,
            delay_max=self._delays.most,
            target=target,
            wait_max=wait_max,
        )
