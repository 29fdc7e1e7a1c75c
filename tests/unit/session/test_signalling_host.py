"""A peer behind a NAT is where its signalling comes from: strangers cannot come before it, or stay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.session_lab import NAT, PEER, PTIME, SENDER_REPORT, SSRC, STRANGER, Wire, media, packet
from voip.media import Direction
from voip.session import Address, RtpSession

SECOND_STRANGER = ("203.0.113.67", 6667)
ATTACKS = {"other-ssrc": (0xBAD, 0), "same-sequence": (SSRC, 0), "sequence-ahead": (SSRC, 3)}


def behind_nat(announced: int | None = None) -> Wire:
    """A call whose SIP comes from the NAT, and whose description names an address behind it."""
    return Wire(RtpSession(media(remote_ssrc=announced, direction=Direction.SENDRECV), signalling_host=NAT[0]))


def inject(w: Wire, index: int, ssrc: int, ahead: int, source: Address = STRANGER) -> None:
    forged = replace(packet(index, ssrc=ssrc, ahead=ahead), payload=b"stranger")
    w.send(forged, source, after=0.0)


def strangers(w: Wire) -> int:
    return sum(p.payload == b"stranger" for p in w.passed)


@pytest.mark.parametrize("source", [NAT, PEER])
@pytest.mark.parametrize("lead", [1, 15, 45])
@pytest.mark.parametrize("announced", [None, SSRC])
@pytest.mark.parametrize(("ssrc", "ahead"), ATTACKS.values(), ids=ATTACKS)
def test_s1_a_stranger_who_begins_earlier_gets_nothing_through(
    ssrc: int, ahead: int, announced: int | None, lead: int, source: Address
) -> None:
    w = behind_nat(announced)
    for index in range(lead):
        w.now += PTIME
        inject(w, index, ssrc, ahead)
    heard = []
    for index in range(lead, 200):
        heard += w.stream([index], source)
        inject(w, index, ssrc, ahead)
    assert heard == list(range(lead, 200))
    assert (strangers(w), w.session.remote) == (0, source)


def test_s1_two_strangers_do_not_keep_the_peer_waiting() -> None:
    w = behind_nat()
    heard = []
    for index in range(100):
        inject(w, index, 0xBAD, 0)
        inject(w, index, 0xBAD, 0, SECOND_STRANGER)
        heard += w.stream([index], NAT)
    assert heard == list(range(100))


@pytest.mark.parametrize("announced", [None, SSRC])
@pytest.mark.parametrize("source", [NAT, PEER])
def test_s1_a_stranger_in_a_long_silence_at_the_beginning_is_gone_when_the_peer_speaks(
    source: Address, announced: int | None
) -> None:
    w = behind_nat(announced)
    for index in range(100):
        w.now += PTIME
        inject(w, index, announced or 0xBAD, 0)
    before = strangers(w)
    assert before > 0
    heard = []
    for index in range(100, 200):
        heard += w.stream([index], source)
        inject(w, index, announced or 0xBAD, 0)
    assert heard == list(range(100, 200))
    assert (strangers(w) - before <= 5, w.session.remote) == (True, source)


def test_media_from_an_address_that_nothing_names_is_heard_after_a_second_of_silence() -> None:
    w = behind_nat()
    index = 0
    while not w.stream([index], STRANGER):
        index += 1
    assert 0.95 <= index * PTIME <= 1.05
    assert w.stream(range(index + 1, index + 10), STRANGER) == list(range(index + 1, index + 10))


def test_a_peer_that_moves_with_its_signalling_goes_on_at_once() -> None:
    """It has signalled another address behind the same NAT, and is heard from a third one."""
    w = behind_nat()
    w.stream(range(50), NAT)
    w.session.update(media(remote=("192.0.2.11", 5004), direction=Direction.SENDRECV))
    new = ("198.51.100.200", 40000)
    assert w.stream(range(50, 60), new) == list(range(50, 60))


def test_rtcp_of_a_muted_peer_behind_a_nat_is_its_own() -> None:
    w = behind_nat()
    w.send(SENDER_REPORT, (NAT[0], 50123))
    w.send(SENDER_REPORT, STRANGER)
    assert (w.session.stats.rtcp, w.session.stats.foreign) == (1, 1)
    w.stream(range(10), NAT)
    w.send(SENDER_REPORT, (NAT[0], 50123))
    assert w.session.stats.rtcp == 1
