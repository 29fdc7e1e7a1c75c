"""What the keys of the terminal do while a receiver runs: answer a call that rings, and set how loud each caller is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from voip.audio import GAIN_LIMIT
from voip.calls import AudioStreams, CallManager
from voip.report import CallRecord, Console, is_running, short_name

GAIN_STEP = 3.0
"""dB of a key press."""
HELP = "keys      1-9 choose a caller, 0 all in turn; m mutes the one that is shown, + and - make it louder, softer"
"""What the keys do, for people."""


class _Setting(NamedTuple):
    """How loud one caller is."""

    gain_db: float = 0.0
    muted: bool = False


class Attendant:
    """Acts on keys. Main thread only; calls are reached by `post`, on the network thread."""

    def __init__(
        self,
        manager: CallManager,
        streams: AudioStreams,
        console: Console,
        post: Callable[..., object],
    ) -> None:
        self.selected: str | None = None
        """Call-ID of the caller that was chosen; None: none is."""
        self._manager, self._streams, self._console, self._post = manager, streams, console, post
        self._settings: dict[str, _Setting] = {}

    def press(self, key: str) -> None:
        """What one key does; others than those of `HELP` and the question do nothing."""
        if key in "yYnN":
            self._reply(answers=key in "yY")
        elif key.isdecimal() and key.isascii():
            self._choose(int(key))
        elif key in "mM+-":
            self._adjust(key)

    def _reply(self, *, answers: bool) -> None:
        """To the call that has rung for the longest."""
        ringing, answering = self._manager.answering.ringing, self._manager.answering
        if ringing:
            self._post(answering.answer if answers else answering.decline, ringing[0][0])

    @property
    def _running(self) -> list[CallRecord]:
        return [call for call in self._manager.records if is_running(call)]

    def _choose(self, number: int) -> None:
        calls = self._running
        if number > len(calls):
            self._console.say(0, f"there is no caller {number}")
            return
        self.selected = calls[number - 1].call_id if number else None
        if number:
            self._console.say(0, f"caller {number}: {calls[number - 1].peer}")

    def _adjust(self, key: str) -> None:
        calls = self._running
        chosen = next((call for call in calls if call.call_id == self.selected or len(calls) == 1), None)
        if chosen is None:
            self._console.say(0, "choose a caller first: 1 to 9" if calls else "there is no caller")
            return
        self._settings = {call.call_id: self._settings.get(call.call_id, _Setting()) for call in calls}
        gain_db, muted = self._settings[chosen.call_id]
        if key in "mM":
            muted = not muted
        else:
            gain_db = max(-GAIN_LIMIT, min(GAIN_LIMIT, gain_db + (GAIN_STEP if key == "+" else -GAIN_STEP)))
        self._settings[chosen.call_id] = _Setting(gain_db, muted)
        self._streams.adjust(chosen.call_id, gain_db=gain_db, muted=muted)
        text = f"{short_name(chosen.peer)}: {'muted' if muted else f'{gain_db:+.0f} dB'}"
        self._console.event("adjusted", text, call_id=chosen.call_id, gain_db=gain_db, muted=muted)
