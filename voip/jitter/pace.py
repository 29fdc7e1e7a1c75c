"""How far play-out is behind the fastest packets, and how much longer or shorter the sound should become.

The reader pulls a little late now and then, and catches up by pulling twice: its earliest pulls of the last moment
say where play-out stands, as the earliest packets say what the network needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from voip.jitter.delays import SlidingMinimum

PHASE_WINDOW = 0.3
"""Seconds over which the reader's punctuality is judged: its earliest pull counts, as it catches up after late ones."""
BAND = 0.0101
"""Seconds of deviation from the target for which only pauses are changed: other sound is played sample by sample. A
hair over 10 ms, the usual block of a device and a step of many packet times."""
SLIGHT = 0.14
"""Share of the target by which the delay may be off, up to BAND, before pauses are made longer or shorter: that is not
heard, and 9 ms count where the delay is 25 ms, as they do not where it is 75."""
FAR = 0.040
"""Seconds of deviation at which it matters more that the delay gets right than that it is not heard."""
CLOSE = 0.002
"""Seconds of deviation at which a correction that has begun ends."""
EDGE = 0.005
"""Seconds between the arrival of the fastest packets and their turn: less than that is as good as too late."""
ONLY_PAUSES_FOR = 4.0
"""Seconds for which only pauses are made longer or shorter, unless packets are late: people mostly pause more often."""
ANY_SOUND_AFTER = 15.0
"""Seconds after which the delay gets right whatever the sound: noise and music have neither pauses nor a pitch."""
AHEAD_MEMORY = 0.99
"""What is left, at the next pull, of the most that was taken out ahead of its time."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """How the reader should change the length of the sound: `seconds` longer (shorter: negative).

    `urgent`: that matters more than that it is not heard; `only_in_pauses`: it should be done where there is silence.
    """

    seconds: float
    urgent: bool
    only_in_pauses: bool


UNCHANGED = Stretch(0.0, urgent=False, only_in_pauses=False)
"""The sound as it was sent."""


class Pace:
    """The delay of play-out over the fastest packets, and the wish for another one. Seconds throughout."""

    def __init__(self) -> None:
        self.delay = 0.0
        """How long the fastest packets wait for their turn."""
        self.ahead = 0.0
        """How long before its turn a packet is taken out, at most and of late."""
        # now - position - shift, where shift sums up what play-out itself has left out or added
        self._phase = SlidingMinimum(PHASE_WINDOW)
        self._shift = 0.0
        self._measured: float | None = None
        self._steady_since = 0.0
        self._direction = 0
        self._since = 0.0
        self._slight = False  # whether the present wish has never been for more than BAND
        self._risen = False

    def restart(self, heard: float) -> None:
        """Play-out begins, at another place."""
        self._phase.clear()
        self._shift = 0.0
        self._steady_since = heard
        self._direction = 0
        self._risen = False

    def measure(self, heard: float, position: float, ahead: float, fastest: float) -> None:
        """What is at `position` of the stream, taken out `ahead` of its time, will be heard at `heard`.

        The fastest packets take `fastest`.
        """
        if self._measured is not None and heard - self._measured > PHASE_WINDOW:
            self._steady_since = heard
        self._measured = heard
        self._phase.add(heard - position - self._shift, heard)
        # What is taken out ahead of its time must be here earlier. The most of the recent past counts.
        self.ahead = max(ahead, AHEAD_MEMORY * self.ahead)
        phase = self._phase.value
        assert phase is not None
        self.delay = phase + self._shift - fastest

    def shift(self, seconds: float) -> None:
        """Play-out has added so much sound of its own, or left out (negative)."""
        self._shift += seconds
        self.delay += seconds

    def stretch(self, target: float, heard: float, *, risen: bool) -> Stretch:
        """What brings the delay to `target`; `risen`: that has just risen, because packets came too late."""
        self._risen |= risen
        wish = self._wish(target)
        urgent = self._is_urgent(wish)
        only_in_pauses = not urgent and (self._slight or self._waited < ONLY_PAUSES_FOR)
        if wish >= 0.0:
            self._risen &= wish > 0.0
        else:
            self._risen = False
            if heard - self._steady_since < PHASE_WINDOW:  # a reader that has just stood still says nothing
                wish = 0.0
        return Stretch(wish, urgent, only_in_pauses)

    def _wish(self, target: float) -> float:
        """Seconds of delay that are lacking (too much: negative); 0.0 while the delay is near its target."""
        lack = target - self.delay
        direction = 1 if lack > 0.0 else -1
        going_on = direction == self._direction or (self._risen and lack > 0.0)
        band = min(BAND, max(CLOSE, SLIGHT * target))
        if abs(lack) <= (CLOSE if going_on else band):
            self._direction = 0
            return 0.0
        if direction != self._direction:
            self._direction, self._since = direction, self._measured or 0.0
            self._slight = True
        self._slight &= abs(lack) <= BAND
        return lack

    def _is_urgent(self, wish: float) -> bool:
        """Whether to fulfil that wish even where the sound does not lend itself to it."""
        on_edge = self.delay < self.ahead + EDGE  # packets are used up as fast as they come
        if wish > 0.0 and (self._risen or on_edge):
            return True
        return not self._slight and self._waited > (ONLY_PAUSES_FOR if abs(wish) > FAR else ANY_SOUND_AFTER)

    @property
    def _waited(self) -> float:
        """Seconds since the present wish came up."""
        return (self._measured or 0.0) - self._since
