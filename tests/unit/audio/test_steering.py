"""How long the packets are that a limit leaves, and when repair packets have to make room for the sound."""

from __future__ import annotations

import pytest

from tests.support.negotiated import negotiated
from voip import codecs
from voip.audio.steering import Steering
from voip.congestion import SHORTEN_AFTER, RateController
from voip.fec import FecController
from voip.ip import IP_UDP_HEADER
from voip.media import NegotiatedMedia
from voip.stats import Arrivals, PathReport

FULL = 24_000
"""Bit/s of Opus."""
pytestmark = pytest.mark.skipif(codecs.missing("opus") is not None, reason="only Opus can send less")


def media(**more: object) -> NegotiatedMedia:
    (opus,) = codecs.offerable(["opus"], 48000, 1)
    return negotiated(codec=opus, payload_type=96, remote=("192.0.2.1", 4000), fec="flexfec", **more)


def steering(agreed: NegotiatedMedia, control: FecController | None = None) -> Steering:
    found = Steering(None, control, RateController(), None, agreed)
    found.update(agreed, IP_UDP_HEADER[4], FULL)
    return found


def report(at: float, arrivals: Arrivals | None = None) -> PathReport:
    return PathReport(at, 0.0, 0, 0, 0.0, media=arrivals)


def test_packets_become_shorter_again_when_there_was_room_for_them_for_a_while() -> None:
    found = steering(media(bandwidth=33_000))
    assert found.ptime == 0.04
    found.update(media(), IP_UDP_HEADER[4], FULL)
    lengths = []
    for second in range(round(SHORTEN_AFTER) + 2):
        found.report(report(100.0 + second))
        lengths.append(found.ptime)
    assert lengths.count(0.04) == SHORTEN_AFTER
    assert lengths[-1] == 0.02


def test_room_that_goes_again_counts_anew() -> None:
    found = steering(media(bandwidth=33_000))
    found.update(media(), IP_UDP_HEADER[4], FULL)
    found.report(report(100.0))
    found.update(media(bandwidth=33_000), IP_UDP_HEADER[4], FULL)
    found.report(report(105.0))
    found.update(media(), IP_UDP_HEADER[4], FULL)
    found.report(report(111.0))
    assert found.ptime == 0.04


def test_packets_stay_as_they_are_where_shorter_ones_would_sound_no_better() -> None:
    """36 kbit/s: 20 in packets of 20 ms are worth what 24 in packets of 40 ms are."""
    found = steering(media(bandwidth=33_000))
    found.update(media(bandwidth=37_000), IP_UDP_HEADER[4], FULL)
    for second in range(30):
        found.report(report(100.0 + second))
    assert found.ptime == 0.04


def test_another_length_that_is_agreed_on_counts_at_once() -> None:
    found = steering(media(bandwidth=33_000))
    found.update(media(ptime=0.01), IP_UDP_HEADER[4], FULL)
    assert found.ptime == 0.01


@pytest.mark.parametrize(("lost", "repairs"), [(0, False), (20, True)])
def test_repair_packets_leave_their_bits_to_the_sound_unless_packets_are_lost(lost: int, repairs: bool) -> None:
    control = FecController(200e3)
    found = steering(media(bandwidth=39_000), control)  # 20 kbit/s in packets of 20 ms: 36
    for number in range(400):
        found.sent(number, 80, number * 0.02, repair=False)
        if number % 50 == 49:
            first = number - 49
            flags = tuple(not lost or (each - first) % (50 * 8 // lost) > 0 for each in range(first, number + 1))
            found.report(report(number * 0.02, Arrivals(first, flags)))
    assert (control.pattern is not None) is repairs
