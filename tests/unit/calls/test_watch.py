"""Silence is asked about, whatever the direction, before it ends a call; ICMP alone ends none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from voip.calls.call import Call
from voip.calls.liveness import Liveness
from voip.calls.outcome import outcome_of
from voip.calls.watch import CallWatch
from voip.errors import EXIT_NO_MEDIA
from voip.sip import CallEnded, UserAgent

TIMEOUT = 20.0
LOOK = 0.25
"""Seconds between looks, as in the manager."""


@dataclass
class Peer:
    """A call as the watch sees it, whose peer responds to OPTIONS, sends media until a moment, or closes its port."""

    responds: bool = False
    media_until: float = 0.0
    closed_from: float = float("inf")
    signalled: bool = True
    heard: float = 0.0
    asked: list[float] = field(default_factory=list)
    established: float | None = 0.0
    ending: CallEnded | None = None
    ended: float | None = None
    call_id: str = "x"
    port_refusals: int = 0
    lines: tuple[object, ...] = ()
    is_beyond_the_line: bool = False
    liveness: Liveness = field(default_factory=Liveness)

    def silence(self, now: float) -> float:
        return now - self.heard

    def ping(self, call_id: str, now: float) -> None:
        self.asked.append(now)
        if self.responds:
            self.heard = now

    def hang_up(self, call_id: str, now: float) -> None:
        """The BYE is for the peer's sake."""

    def run(self, seconds: float) -> Peer:
        def end(call: Call, ending: CallEnded, at: float) -> None:
            self.ending, self.ended = ending, at

        watch = CallWatch(cast(UserAgent, self), TIMEOUT, end, plays=True)
        for look in range(1, round(seconds / LOOK) + 1):
            now = look * LOOK
            self.heard = now if now <= self.media_until else self.heard
            self.port_refusals += now >= self.closed_from
            watch.check(cast(Call, self), now)
        return self


def test_a_peer_that_is_silent_and_responds_stays_for_as_long_as_it_likes() -> None:
    peer = Peer(responds=True, media_until=3.0).run(90.0)
    assert peer.ending is None
    assert 90 / TIMEOUT * 2 < len(peer.asked) < 90 / TIMEOUT * 5  # not so often that it costs anything


def test_a_peer_that_sends_is_never_asked() -> None:
    assert Peer(media_until=90.0).run(90.0).asked == []


def test_a_peer_that_does_not_respond_is_given_up_after_the_time_out() -> None:
    peer = Peer(media_until=5.0).run(60.0)
    assert peer.ending == CallEnded("x", "media-timeout", None, "nothing heard for 20 s")
    assert peer.ended == pytest.approx(5.0 + TIMEOUT, abs=2 * LOOK)
    assert len(peer.asked) >= 3


def test_a_closed_port_is_asked_about_at_once_and_silence_then_ends_the_call_within_seconds() -> None:
    peer = Peer(media_until=30.0, closed_from=30.25).run(60.0)
    assert peer.asked[0] == pytest.approx(30.25, abs=LOOK)
    assert peer.ended == pytest.approx(34.5, abs=3 * LOOK)
    assert peer.ending is not None
    assert "port is closed" in peer.ending.phrase


def test_forged_icmp_ends_no_call_whose_peer_responds_or_sends() -> None:
    responding = Peer(responds=True, media_until=1.0, closed_from=2.0).run(90.0)
    assert responding.ending is None
    assert len(responding.asked) <= 90 / TIMEOUT * 4  # and makes us send next to nothing
    sending = Peer(media_until=90.0, closed_from=2.0).run(90.0)
    assert (sending.ending, sending.asked) == (None, [])


def test_a_single_icmp_error_long_ago_does_not_shorten_the_time_out() -> None:
    peer = Peer(media_until=2.0, closed_from=float("inf"), port_refusals=1).run(15.0)
    assert peer.ending is None


def test_a_stream_without_signalling_is_not_asked() -> None:
    peer = Peer(media_until=1.0, signalled=False, lines=()).run(1.5)
    assert (peer.ending, peer.asked) == (None, [])


def test_a_path_that_does_not_carry_the_least_ends_the_call_and_says_so() -> None:
    peer = Peer(media_until=90.0, is_beyond_the_line=True).run(5.0)
    assert peer.ending == CallEnded("x", "congestion", None, "")
    outcome = outcome_of("sip:far@192.0.2.1", peer.ending)
    assert outcome.status == EXIT_NO_MEDIA
    assert "sip:far@192.0.2.1 loses too much" in outcome.error
