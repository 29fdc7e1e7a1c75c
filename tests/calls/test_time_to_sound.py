"""How long after the answer the first sound is there: keys by DTLS take round trips of the media's path.

RFC 5763 section 6.7.1: the handshake begins with the answer, and may be over before the ACK. Virtual time; a datagram
takes 20 ms, a round trip 40.
"""

from __future__ import annotations

import math
from functools import partial

import pytest

from tests.support.virtual_calls import BLOCK, DELAY, RATE, Endpoint, Party, Scene, Terms
from voip.sdp import SrtpRule

BOUND = 0.25
"""Seconds from the answer to the first packet that can be played, with a handshake."""
PACKET = BLOCK / RATE
"""Seconds of sound in a packet: one more may pass until the next is full."""


def hears(party: Party) -> bool:
    return party.heard > 0


def time_to_sound(terms: Terms) -> dict[str, float]:
    """Seconds from the callee's 200 to the first sound that each side hears, by who hears it."""
    scene, answered = Scene(terms), math.nan

    def note_answer(data: bytes, source: Endpoint, destination: Endpoint) -> None:
        nonlocal answered
        if math.isnan(answered) and data.startswith(b"SIP/2.0 200 "):
            answered = scene.wires.now
        scene.wires.carry(data, source, destination)

    scene.wires.meddle = note_answer
    scene.dial()
    found: dict[str, float] = {}
    for name, party in (("callee", scene.callee), ("caller", scene.caller)):
        scene.run(5.0, partial(hears, party))
        assert party.heard, f"the {name} hears nothing"
        found[name] = scene.wires.now - answered
    scene.finish()
    return found


@pytest.mark.parametrize("password", [None, "correct horse"])
def test_with_a_handshake_sound_is_there_within_250_ms_of_the_answer(password: str | None) -> None:
    found = time_to_sound(Terms(srtp=SrtpRule.REQUIRED, passwords=(password, password)))
    assert max(found.values()) < BOUND, found


def test_in_clear_sound_is_there_a_round_trip_after_the_answer() -> None:
    found = time_to_sound(Terms(srtp=SrtpRule.OFF))
    assert max(found.values()) <= 3 * DELAY + PACKET, found
