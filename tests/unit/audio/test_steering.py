"""Copies within what congestion control allows: which of them are sent, and what is told to either controller."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from voip import codecs
from voip.audio.copies import CopyEncoder
from voip.audio.steering import Steering
from voip.codecs import Encoder
from voip.congestion import RateController
from voip.dsp import Pcm
from voip.fec import Agreed, FecController, Pattern, parse_pattern

PTIME = 0.02
IP_HEADER = 28
HEADERS = 8 * (IP_HEADER + 12) / PTIME
"""Bit/s of the headers of IP, UDP and RTP."""
COPY = 8 * (4 + 30) / PTIME
"""Bit/s of one copy at 12 kbit/s in each packet, with its header."""


class Rate:
    """What stands in for a rate controller: it allows what the test says, and notes what it is told."""

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.floor = 0.0
        self.sizes: list[int] = []

    def set_floor(self, floor: float) -> None:
        self.floor = floor

    def sent(self, number: int, size: int, now: float, *, repair: bool) -> None:
        self.sizes.append(size)


class Fixed(Encoder):
    """Encodes nothing, at a bit rate that may be lowered, or at one that leaves no choice."""

    def __init__(self, bitrate: int | None) -> None:
        super().__init__(48000)
        self.full_bitrate = bitrate

    def encode(self, pcm: Pcm) -> bytes:
        return b""


def steering(pattern: str, limit: float | None, *, bitrate: int | None = 24000, copies: bool = True) -> Steering:
    made = Steering(parse_pattern(pattern), None, cast(RateController, Rate(limit)), IP_HEADER)
    made.update(PTIME, Agreed(copies=copies), IP_HEADER)
    made.prepare(Fixed(bitrate), 0.0, repaired=True)
    return made


@pytest.mark.parametrize(
    ("room", "left"),
    [
        (None, "copies:4,8@12k"),
        (2.01, "copies:4,8@12k"),
        (1.99, "copies:8@12k"),
        (1.01, "copies:8@12k"),
        (0.99, None),
        (-1.0, None),
    ],
)
def test_as_many_copies_are_sent_as_there_is_room_for_beside_the_media(room: float | None, left: str | None) -> None:
    """The one that outlasts the longest outage is kept."""
    limit = None if room is None else HEADERS + 24000 + room * COPY
    pattern = steering("copies:4,8", limit).pattern
    assert (None if pattern is None else str(pattern)) == left


@pytest.mark.parametrize("size", [100, 400])
def test_a_format_of_one_bit_rate_counts_as_it_is(size: int) -> None:
    rate = Rate(8 * (size + 40) / PTIME)
    made = Steering(parse_pattern("copies:4,8"), None, cast(RateController, rate), IP_HEADER)
    made.update(PTIME, Agreed(copies=True), IP_HEADER)
    made.prepare(Fixed(None), 0.0, repaired=True)
    made.sent(1, size + 68, 0.0, repair=False, copies=68)
    assert made.pattern == Pattern.copies((8,))
    assert rate.floor == 8 * size / PTIME


def test_a_peer_that_takes_no_copies_is_sent_the_packets_again() -> None:
    assert steering("copies:4,8", None, copies=False).pattern == parse_pattern("sliding:4+8/1")


def test_the_line_is_told_of_copies_and_fec_of_the_media_alone() -> None:
    rate, control = Rate(None), FecController(200e3, ptime=PTIME)
    made = Steering(None, control, cast(RateController, rate), IP_HEADER)
    made.update(PTIME, Agreed(copies=True), IP_HEADER)
    for number in range(200):
        made.sent(number, 168, number * PTIME, repair=False, copies=68)
    assert set(rate.sizes) == {168}
    assert control.allowed_rate == 200e3
    made.update(PTIME, Agreed(copies=True, bandwidth=8 * 100 / PTIME + 1.5 * COPY), IP_HEADER)
    assert control.allowed_rate == pytest.approx(1.5 * COPY)


@pytest.mark.parametrize(("room", "most"), [(2.1, 2), (1.1, 1), (0.9, 0)])
def test_the_controller_chooses_no_more_copies_than_there_is_room_for(room: float, most: int) -> None:
    control = FecController(200e3, ptime=PTIME)
    made = Steering(None, control, None, IP_HEADER)
    made.update(PTIME, Agreed(copies=True, parity=False, bandwidth=8 * 100 / PTIME + room * COPY), IP_HEADER)
    for number in range(200):
        made.sent(number, 100, number * PTIME, repair=False)
    assert (0 if made.pattern is None else len(made.pattern.sets)) == most


@pytest.mark.skipif(codecs.missing("opus") is not None, reason="there is no libopus")
def test_packets_are_repeated_as_they_are_while_they_have_no_more_bits_than_copies() -> None:
    opus = codecs.find("opus", 48000, 2)
    assert opus is not None
    first, again = opus.encoder(48000), CopyEncoder(opus, 48000)
    sound, pattern = np.zeros((960, 1), np.int16), Pattern.copies((4,), 12000)
    for bitrate, made in ((24000, True), (16000, True), (12000, False), (9000, False), (24000, True)):
        first.set_bitrate(bitrate)
        assert (again.encode(sound, pattern, first) is not None) == made
    assert again.encode(sound, None, first) is None
    assert again.encode(sound, parse_pattern("sliding:4/1"), first) is None
