"""Peers that leave without a word: silence is asked about (OPTIONS), and ends a call after the media time-out.

Whatever the direction: who responds is there, and stays for as long as it likes without a sound. A path that does not
carry even the least that a stream can send ends a call, too (RFC 8083).
"""

from __future__ import annotations

from collections.abc import Callable

from voip.calls.call import Call
from voip.sip import CallEnded, UserAgent

PINGS_PER_TIMEOUT = 4
"""A silent peer is asked this many times (OPTIONS in the dialog) before its media time-out."""
LEFT_AFTER = 2.0
"""Seconds of silence after RTCP's BYE until a stream without signalling is over: anybody could have sent that BYE."""


class CallWatch:
    """Watches calls that are up. `end(call, ending, at)` ends one, as of that monotonic moment.

    plays: what peers send is played, so that a stream without signalling has to be heard to go on.
    """

    def __init__(
        self, agent: UserAgent, media_timeout: float, end: Callable[[Call, CallEnded, float], None], *, plays: bool
    ) -> None:
        self._agent, self._media_timeout, self._end, self._plays = agent, media_timeout, end, plays

    def check(self, call: Call, now: float) -> None:
        """End a call whose peer is gone; ask a silent one whether it is still there. To be called often."""
        if call.established is None or call.ending is not None:
            return
        if call.is_beyond_the_line:
            self._agent.hang_up(call.call_id, now)
            self._end(call, CallEnded(call.call_id, "congestion", None, ""), now)
            return
        silent = call.silence(now)
        call.liveness.note_refusals(call.port_refusals, now)
        left = not call.signalled and silent > LEFT_AFTER and all(line.peer_left for line in call.lines)
        if left or (self._plays and silent > self._media_timeout and _ends_in_silence(call)):
            self._end(call, CallEnded(call.call_id, "remote-bye", None, ""), now - silent)
        elif silent > self._media_timeout and (call.signalled or self._plays):
            self._give_up(call, f"nothing heard for {self._media_timeout:g} s", now)
        elif not call.signalled:
            return
        elif call.liveness.is_unreachable(now, silent):
            self._give_up(call, "its port is closed (ICMP port unreachable) and it does not respond", now)
        elif call.liveness.should_ask(now, silent, self._media_timeout / PINGS_PER_TIMEOUT):
            self._agent.ping(call.call_id, now)

    def _give_up(self, call: Call, phrase: str, now: float) -> None:
        self._agent.hang_up(call.call_id, now)
        self._end(call, CallEnded(call.call_id, "media-timeout", None, phrase), now)


def _ends_in_silence(call: Call) -> bool:
    """Whether its peer has no other way to say goodbye: there is neither signalling nor RTCP, and it was heard."""
    return not call.signalled and call.last_heard is not None and all(line.media.rtcp_off for line in call.lines)
