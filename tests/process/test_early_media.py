"""What comes between 183 and the final response is played (RFC 3960 section 3.2); ours is not sent before the 200."""

from __future__ import annotations

import select
from pathlib import Path

import pytest

from tests.support.processes import Outcome, sender
from tests.support.raw_peer import PACKET, PCMU, Pace, RawPeer, raw_peer, rtp
from tests.support.text_phone import media_port

pytestmark = pytest.mark.process

ANNOUNCED = 50
"""Packets of 20 ms before the final response."""


def announce(raw: RawPeer, invite: tuple[str, tuple[str, int]], final: int, phrase: str) -> list[int]:
    """183, a second of sound, the final response: the payload types of what had come by then."""
    description = raw.description((PCMU,))
    raw.answer(invite, 183, "Session Progress", body=description)
    destination, pace = (invite[1][0], media_port(invite[0])), Pace()
    for number in range(ANNOUNCED):
        pace.wait()
        packet = rtp(number, number * PACKET, b"\x10" * PACKET, ssrc=7, payload_type=PCMU)
        raw.rtp.sendto(packet, destination)
    came = []
    while select.select([raw.rtp], [], [], 0)[0]:
        came.append(raw.rtp.recv(2048)[1] & 0x7F)
    raw.answer(invite, final, phrase, body=description if final == 200 else "")
    raw.wait("ACK ")
    return came


def played(outcome: Outcome) -> int:
    return int(outcome.call["heard"]["frames_played"])


OPTIONS = ("--two-way", "--codec", "pcmu", "--input", "tone", "--output", "null")


def test_an_announcement_is_heard_when_the_call_then_fails(tmp_path: Path) -> None:
    with raw_peer() as raw, sender(tmp_path, raw.target, *OPTIONS) as near:
        came = announce(raw, raw.wait("INVITE "), 480, "Temporarily Unavailable")
        sent = near.finish()
    assert PCMU not in came, "our sound was sent before the call was answered"
    assert sent.status == 5, sent.stderr
    assert sent.call["rx"]["received"] == ANNOUNCED
    assert played(sent) > 0.8 * ANNOUNCED
    assert sent.call["duration_s"] == 0.0
    assert sent.call["tx"] is None or sent.call["tx"]["packets"] == 0


def test_an_announcement_is_heard_before_the_call_and_then_sound_goes_both_ways(tmp_path: Path) -> None:
    with raw_peer() as raw, sender(tmp_path, raw.target, *OPTIONS, "--duration", "1s") as near:
        came = announce(raw, raw.wait("INVITE "), 200, "OK")
        raw.media(20)
        raw.answer(raw.wait("BYE "), 200, "OK")
        sent = near.finish()
    assert PCMU not in came, "our sound was sent before the call was answered"
    assert sent.status == 0, sent.stderr
    assert sent.call["rx"]["received"] == ANNOUNCED
    assert sent.call["tx"]["packets"] > 0
    assert sent.call["setup_ms"] > 900  # the call is up from the 200 on
