"""What the listener did not get is never told as heard, and packet counts and what was heard agree in every ending."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.support.call import BLOCK, Call, Link
from tests.support.sound import noise
from voip.dsp import Pcm
from voip.media import Direction
from voip.report.shares import altered_percent
from voip.stats import ReceiverStats

TALK = 5.0  # seconds
START = 1.0  # seconds of silence that need no explanation


def speech(seconds: float) -> Pcm:
    return noise(round(8000 * seconds))


def finished(call: Call) -> ReceiverStats:
    """The last figures of a call that is ended by signalling, without another packet."""
    call.receiver.finish(call.now)
    while not call.receiver.drained:
        call.listen()
    return call.receiver.snapshot()


def test_an_ordinary_end_is_heard_as_sent() -> None:
    call = Call()
    call.talk(speech(TALK))
    call.end()
    stats = call.receiver.snapshot()
    assert altered_percent(stats) == 0.0
    assert stats.playout.silent_seconds == stats.playout.unheard_seconds == 0.0


def test_a_call_in_which_nothing_came_was_not_heard_at_all() -> None:
    call = Call()
    call.wait(TALK)
    stats = finished(call)
    assert altered_percent(stats) == 100.0
    assert stats.playout.silent_seconds == pytest.approx(TALK - START, abs=0.05)
    assert stats.playout.longest_gap == stats.playout.silent_seconds


def test_a_call_that_ends_before_anything_was_due_was_not_heard_either() -> None:
    call = Call()
    call.wait(START / 2)
    assert altered_percent(finished(call)) == 100.0


@pytest.mark.parametrize("silence", [3.0, 20.0])
def test_silence_after_a_sender_that_was_killed_is_not_as_sent(silence: float) -> None:
    call = Call()
    call.talk(speech(TALK))
    call.wait(silence)
    stats = finished(call)
    heard = stats.playout
    assert heard.silent_seconds == pytest.approx(silence, abs=0.1)
    assert heard.longest_gap == heard.silent_seconds
    assert altered_percent(stats) == pytest.approx(100 * silence / (TALK + silence), abs=1.0)


def test_silence_shows_while_it_lasts_and_goes_when_it_was_a_pause() -> None:
    """A sender that leaves out silence: the numbers go on without a gap, the timestamps do not."""
    call = Call()
    call.talk(speech(TALK))
    call.sender.update(replace(call.media, direction=Direction.RECVONLY))
    call.talk(speech(4.0))
    assert call.receiver.snapshot().playout.silent_seconds == pytest.approx(4.0, abs=0.2)
    call.sender.update(call.media)
    call.talk(speech(TALK))
    call.end()
    stats = call.receiver.snapshot()
    assert stats.playout.silent_seconds == 0.0
    assert altered_percent(stats) < 1.0


def test_hold_is_no_missing_sound() -> None:
    call = Call()
    call.talk(speech(TALK))
    call.receiver.update(replace(call.media, direction=Direction.SENDONLY))
    call.wait(30.0)
    stats = finished(call)
    assert stats.playout.silent_seconds == 0.0
    assert altered_percent(stats) == 0.0


def test_a_peer_that_is_not_to_send_is_not_awaited() -> None:
    call = Call()
    call.receiver.update(replace(call.media, direction=Direction.SENDONLY))
    call.wait(TALK)
    assert finished(call).playout.silent_seconds == 0.0


def test_what_comes_after_another_start_of_the_sender_does_not_explain_the_silence() -> None:
    call = Call()
    call.talk(speech(TALK))
    call.wait(6.0)
    sender = call.new_sender(random.Random(9))
    other = replace(call.media, ssrc=0x33333333)
    sender.update(other)
    call.sender = sender
    call.talk(speech(TALK))
    call.end()
    stats = call.receiver.snapshot()
    assert stats.playout.silent_seconds == pytest.approx(6.0, abs=0.3)


@pytest.mark.parametrize("room", [0.0, 3.0, 10.0])
def test_a_process_that_stood_still_did_not_hear(room: float) -> None:
    """10 s; its socket held the first `room` seconds of them, the rest was dropped."""
    frozen, link = 10.0, Link()
    call = Call(link)
    call.talk(speech(TALK))
    began = call.now
    link.drop = lambda packet: call.now - began > room
    call.freeze(frozen, speech(frozen))
    link.drop = None
    call.talk(speech(TALK))
    call.end()
    stats = call.receiver.snapshot()
    assert altered_percent(stats) == pytest.approx(100 * frozen / (2 * TALK + frozen), abs=1.5)
    assert stats.playout.longest_gap == pytest.approx(frozen, abs=0.5)
    assert stats.playout.delay_max is not None
    assert stats.playout.delay_max < 0.5  # what nobody chose is no play-out delay


def test_what_was_played_while_the_device_was_gone_was_not_heard() -> None:
    call = Call()
    call.talk(speech(TALK))
    sound = speech(3.0)
    block = round(BLOCK * 8000)
    for start in range(0, len(sound), block):
        call.talk(sound[start : start + block])
        call.receiver.note_unheard(BLOCK)
    call.talk(speech(TALK))
    call.end()
    stats = call.receiver.snapshot()
    assert stats.playout.unheard_seconds == pytest.approx(3.0, abs=0.01)
    assert altered_percent(stats) == pytest.approx(100 * 3 / 13, abs=0.5)


@pytest.mark.parametrize("loss", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("jitter", [0.0, 0.03])
def test_what_was_lost_was_not_heard(loss: float, jitter: float) -> None:
    """Every packet that was lost, or came too late, is missing from what was heard."""
    call = Call(Link(loss=loss, jitter=jitter, seed=8))
    call.talk(speech(30.0))
    call.end()
    stats = call.receiver.snapshot()
    missing = 100 * (stats.lost_after_fec + stats.playout.late) / stats.expected
    assert altered_percent(stats) >= missing - 1.0
