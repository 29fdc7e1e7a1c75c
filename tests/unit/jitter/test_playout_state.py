"""The states of play-out: what moves between them, and what is heard in each. Packets of 20 ms at 8 kHz."""

from __future__ import annotations

import pytest

from voip.jitter import DelayTarget, Playout, PlayoutState
from voip.jitter.playout import MAX_HOLD, POLL
from voip.rtp import RtpPacket

CLOCK = 8000
STEP = 160
TICK = 0.02


def packet(index: int, ssrc: int = 1) -> RtpPacket:
    return RtpPacket(96, index, index * STEP, ssrc, b"%d" % index)


class Stream:
    """Packets of a stream, put in as they arrive, and what is heard of them."""

    def __init__(self, *, hold: bool = False) -> None:
        self.playout = Playout(CLOCK, DelayTarget(0.06, 0.5), step=TICK, hold_for_late=hold)
        self.now = 0.0

    def hear(self, arriving: list[int], until: float) -> list[str]:
        """Take out what is to be heard until then: names of gaps, and numbers of packets that came when due."""
        heard = []
        arriving = sorted(arriving)
        while self.now < until - 1e-9:
            while arriving and arriving[0] * TICK <= self.now + 1e-9:
                self.playout.put(packet(arriving[0]), arriving.pop(0) * TICK)
            item, _ = self.playout.get(self.now)
            if isinstance(item, RtpPacket):
                self.playout.advance(STEP)
                heard.append(item.payload.decode())
                self.now += TICK
            else:
                heard.append(item.reason.name if item else "-")
                self.now += item.samples / CLOCK if item else TICK
        return heard

    @property
    def state(self) -> str:
        return self.playout.state.name


def test_it_buffers_until_the_delay_has_passed_and_then_plays() -> None:
    stream = Stream()
    assert stream.state == "BUFFERING"
    assert stream.hear([0, 1, 2], 0.06) == ["-", "-", "-"]
    assert stream.state == "BUFFERING"
    assert stream.hear([3], 0.08) == ["0"]
    assert stream.state == "PLAYING"


def test_without_packets_it_is_an_underrun() -> None:
    stream = Stream()
    stream.hear(list(range(5)), 0.16)
    assert stream.state == "PLAYING"
    assert stream.hear([], 0.20) == ["UNDERRUN", "UNDERRUN"]
    assert stream.state == "UNDERRUN"
    assert stream.hear(list(range(5, 13)), 0.30)[-1].isdigit()
    assert stream.state == "PLAYING"


def test_the_packet_that_is_due_is_waited_for_and_then_it_is_an_underrun() -> None:
    stream = Stream(hold=True)
    stream.hear(list(range(5)), 0.16)
    assert stream.hear([], 0.165) == ["WAIT"]
    assert stream.state == "WAITING"
    assert set(stream.hear([], 0.16 + MAX_HOLD)) == {"WAIT"}
    assert stream.hear([], 0.16 + MAX_HOLD + POLL + TICK)[-1] == "UNDERRUN"
    assert stream.state == "UNDERRUN"


def test_a_packet_that_is_missing_is_held_for_while_its_repair_may_come() -> None:
    stream = Stream(hold=True)
    stream.playout.note_repair_span(6)
    stream.hear([0, 1, 3, 4, 5], 0.10)
    assert stream.hear([], 0.105) == ["WAIT"]
    assert stream.state == "WAITING"
    stream.playout.put(packet(2), stream.now)
    assert stream.hear([], stream.now + TICK) == ["2"]
    assert stream.state == "PLAYING"


def test_nothing_is_waited_for_on_hold() -> None:
    stream = Stream(hold=True)
    stream.hear(list(range(5)), 0.16)
    stream.playout.set_on_hold(True)
    assert stream.hear([], 0.18) == ["UNDERRUN"]
    assert stream.state == "UNDERRUN"


@pytest.mark.parametrize("played", [0.04, 0.12, 0.30], ids=["while buffering", "while playing", "in an underrun"])
def test_after_the_end_what_is_here_is_played_without_waiting(played: float) -> None:
    stream = Stream(hold=True)
    stream.hear(list(range(5)), played)
    stream.playout.finish()
    rest = stream.hear([], stream.now + 0.2)
    assert stream.state == "DRAINING"
    assert rest[-1] == "-"
    assert "WAIT" not in rest
    assert stream.playout.drained


@pytest.mark.parametrize("played", [0.12, 0.30], ids=["while playing", "in an underrun"])
def test_another_stream_is_buffered_anew(played: float) -> None:
    stream = Stream()
    stream.hear(list(range(5)), played)
    stream.playout.restart()
    assert stream.playout.state is PlayoutState.BUFFERING
    assert stream.hear([], stream.now + 0.01) == ["UNDERRUN", "UNDERRUN"]
    first = round(stream.now / TICK) + 1
    assert str(first) in stream.hear(list(range(first, first + 8)), stream.now + 0.12)
    assert stream.state == "PLAYING"


def test_another_time_line_is_played_at_once_if_it_is_old_enough() -> None:
    stream = Stream()
    stream.hear(list(range(10)), 0.2)
    for index in range(3000, 3004):
        stream.playout.put(packet(index), stream.now - 0.07 + (index - 3000) * TICK)
    assert stream.hear([], stream.now + TICK) == ["3000"]
    assert (stream.state, stream.playout.counters.resyncs) == ("PLAYING", 1)
