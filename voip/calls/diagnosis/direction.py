"""Directions that do not fit, as far as SDP tells (RFC 3264 sections 5.1 and 8.4), and hold."""

from __future__ import annotations

from collections.abc import Iterator

from voip.calls.diagnosis.situation import Event, Finding, Situation, length


class Directions:
    """What each side sends and the other does not play; said when the call comes up, and when it changes."""

    def __init__(self) -> None:
        self._known: tuple[bool, bool] | None = None  # whether the peer sends and takes what we want, at the last look
        self._held_since: float | None = None
        self._told: set[str] = set()

    def look(self, situation: Situation) -> Iterator[Finding]:
        """What is to be said of directions now."""
        remote = situation.media.remote_direction
        sends = not situation.plays or (remote.sends and situation.media.direction.receives)
        takes = not situation.sends or (remote.receives and situation.media.direction.sends)
        before, self._known = self._known, (sends, takes)
        if before is None:
            yield from self._begin(situation, sends=sends, takes=takes)
        elif before != self._known:
            yield from self._change(situation, sends=sends, takes=takes)
        yield from self._unplayed(situation)

    def _begin(self, situation: Situation, *, sends: bool, takes: bool) -> Iterator[Finding]:
        peer, remote = situation.peer, situation.media.remote_direction
        if not remote.sends and not remote.receives:
            self._held_since = situation.now
            yield Finding("on-hold", f"{peer} has the call on hold", Event.NOTE)
        elif not sends:
            yield Finding("peer-sends-nothing", f"{peer} sends no sound: start it with --two-way to hear it here")
        elif not takes:
            yield Finding("peer-takes-nothing", f"{peer} takes no sound ({remote.value}): nothing is sent to it")

    def _change(self, situation: Situation, *, sends: bool, takes: bool) -> Iterator[Finding]:
        peer, now = situation.peer, situation.now
        if sends and takes:
            if self._held_since is not None:
                text = f"{peer} has resumed the call after {length(now - self._held_since)}"
                yield Finding("on-hold", text, Event.CLEARED)
            self._held_since = None
        elif self._held_since is None:
            self._held_since = now
            what = (
                f"{peer} has put the call on hold"
                if not takes or not situation.sends
                else f"{peer} has stopped sending"
            )
            yield Finding("on-hold", f"{what} ({situation.media.remote_direction.value})", Event.NOTE)

    def _unplayed(self, situation: Situation) -> Iterator[Finding]:
        """Sound that one side sends and the other throws away."""
        peer, media = situation.peer, situation.media
        if situation.is_sending and not media.remote_plays and "peer-plays-nothing" not in self._told:
            self._told.add("peer-plays-nothing")
            text = f"{peer} does not play what is sent from here: start it with --two-way to be heard there"
            yield Finding("peer-plays-nothing", text)
        sends = media.remote_direction.sends and media.direction.receives
        if situation.signalled and sends and not situation.plays and "not-played-here" not in self._told:
            self._told.add("not-played-here")
            text = f"{peer} sends sound, too, which is not played here; --two-way plays it"
            yield Finding("not-played-here", text, Event.NOTE)
