"""What was heard: packets played, holes concealed, silences that were no loss."""

from __future__ import annotations

from voip.jitter.bursts import Bursts
from voip.stats import PlayoutStats


class PlayoutCounters:
    """Counts of one stream's play-out, in packets and seconds; `PlayoutStats` says what each is.

    Silence in a stream that has gone quiet is kept apart (`unexplained`) until the next packet tells what it was: lost
    or late sound, or a pause of the sender. What follows the last packet is never counted.
    """

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
        self.unexplained = 0.0
        self._waited = 0.0
        self._run = 0.0
        self.delay: float | None = None
        self.delay_min: float | None = None
        self.delay_max: float | None = None
        self._delay_sum = 0.0
        self._delay_count = 0

    def play(self, seconds: float) -> None:
        """A packet is heard."""
        if self._waited:
            self.conceal(self._waited, seconds)
            self._waited = 0.0
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

    def fall_silent(self, seconds: float) -> None:
        """Nothing is here to be played: loss, stall or pause."""
        self.unexplained += seconds

    def resume(self, missing: float, step: float) -> None:
        """The stream goes on; `missing` seconds of it should have been heard since the underrun began."""
        missing = min(missing, self.unexplained)
        if missing > 0.0:
            self.underruns += 1
            self.conceal(missing, step)
        self.unexplained = 0.0

    def measure(self, delay: float) -> None:
        """The play-out delay as it is now."""
        self.delay = delay
        self.delay_min = delay if self.delay_min is None else min(self.delay_min, delay)
        self.delay_max = delay if self.delay_max is None else max(self.delay_max, delay)
        self._delay_sum += delay
        self._delay_count += 1

    def snapshot(self, target: float | None) -> PlayoutStats:
        """The figures as they are now; `target`: seconds of delay aimed at, None: no stream yet."""
        return PlayoutStats(
            played=self.played,
            played_seconds=self.played_seconds,
            concealed=self.concealed,
            concealed_seconds=self.concealed_seconds,
            skipped=self.skipped,
            skipped_seconds=self.skipped_seconds,
            longest_gap=self.longest_gap,
            late=self.late,
            discarded=self.discarded,
            underruns=self.underruns,
            resyncs=self.resyncs,
            delay=self.delay,
            delay_min=self.delay_min,
            delay_mean=self.delay_mean,
            delay_max=self.delay_max,
            target=target,
        )

    @property
    def delay_mean(self) -> float | None:
        """The mean of all measured delays."""
        return self._delay_sum / self._delay_count if self._delay_count else None
