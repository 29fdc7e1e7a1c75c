"""Copies within what congestion control allows: which of them are sent, and what is told to either controller."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from tests.support.negotiated import negotiated
from voip import codecs
from voip.audio.copies import CopyEncoder
from voip.audio.steering import Steering
from voip.codecs import Codec
from voip.congestion import RateController
from voip.fec import FecController, Pattern, parse_pattern
from voip.ip import IP_UDP_HEADER
from voip.media import FLEXFEC, RED, NegotiatedMedia

PTIME = 0.02
IP_HEADER = IP_UDP_HEADER[4]
HEADERS = 8 * (IP_HEADER + 12) / PTIME
"""Bit/s of the headers of IP, UDP and RTP."""
FULL = 24_000
"""Bit/s of Opus."""
MEDIA = HEADERS + FULL
"""Bit/s of its packets."""
COPY = 8 * (4 + 30) / PTIME
"""Bit/s of one copy at 12 kbit/s in each packet, with its header."""
pytestmark = pytest.mark.skipif(codecs.missing("opus") is not None, reason="only Opus can send less")


class Rate:
    """What stands in for a rate controller: it allows what the test says, and notes what it is told."""

    limited_by = "line"
    carries = None

    def __init__(self, limit: float | None = None) -> None:
        self.limit = limit
        self.floor = 0.0
        self.sizes: list[int] = []

    def set_floor(self, floor: float) -> None:
        self.floor = floor

    def sent(self, number: int, size: int, now: float, *, repair: bool) -> None:
        self.sizes.append(size)


def found(name: str, rate: int = 48000) -> Codec:
    codec = codecs.find(name, rate, 1 if name != "opus" else 2)
    assert codec is not None
    return codec


def media(name: str = "opus", **more: object) -> NegotiatedMedia:
    """Of FlexFEC, or of copies in its place."""
    fields = {"fec": FLEXFEC, "red_payload_type": 120, "payload_type": 96, "ptime": PTIME, **more}
    return negotiated(codec=found(name, 48000 if name == "opus" else 8000), remote=("192.0.2.1", 4000), **fields)


def steering(agreed: NegotiatedMedia, pattern: str, rate: Rate | None = None, ceiling: float | None = None) -> Steering:
    made = Steering(parse_pattern(pattern), None, cast(RateController, rate) if rate else None, ceiling, agreed)
    made.update(agreed, IP_HEADER, FULL if agreed.audio.codec.name == "opus" else None)
    return made


@pytest.mark.parametrize("sets_it", ["line", "peer", "user"])
@pytest.mark.parametrize(
    ("room", "left"),
    [
        (None, "copies:4,8@12k"),
        (2.01, "copies:4,8@12k"),
        (1.99, "copies:8@12k"),
        (1.01, "copies:8@12k"),
        (0.99, None),
        (0.0, None),
    ],
)
def test_as_many_copies_are_sent_as_there_is_room_for_beside_the_media(
    room: float | None, left: str | None, sets_it: str
) -> None:
    """The one that outlasts the longest outage is kept, whichever limit leaves the room."""
    limit = None if room is None else MEDIA + room * COPY
    agreed = media(bandwidth=limit if sets_it == "peer" else None)
    rate = Rate(limit) if sets_it == "line" else None
    pattern = steering(agreed, "copies:4,8", rate, limit if sets_it == "user" else None).pattern
    assert (None if pattern is None else str(pattern)) == left


def test_longer_packets_leave_no_room_for_copies_that_shorter_ones_do_not_leave() -> None:
    """28 kbit/s: 20 at 40 ms, and 0 left; the sound comes first."""
    made = steering(media(), "copies:4,8", Rate(28_000))
    assert made.ptime == 0.04
    assert made.pattern is None


def test_the_room_for_copies_in_longer_packets_counts_by_their_length() -> None:
    copy, size = 8 * (4 + 60) / 0.04, FULL + 8 * (IP_HEADER + 12) / 0.04
    for room, left in ((1.01, "copies:4@12k"), (0.99, None)):
        made = steering(media(ptime=0.04), "copies:2,4", Rate(size + room * copy))
        assert made.ptime == 0.04
        assert (None if made.pattern is None else str(made.pattern)) == left


@pytest.mark.parametrize(("name", "bytes_each"), [("pcmu", 160), ("l16", 320)])
def test_repair_of_a_format_of_one_bit_rate_counts_as_it_is(name: str, bytes_each: int) -> None:
    """Before the first packet as after it."""
    size = bytes_each + IP_HEADER + 12
    for share, fits in ((1.51, True), (1.49, False)):
        rate = Rate(share * 8 * size / PTIME)
        made = steering(media(name, red_payload_type=None), "2", rate)
        assert (made.pattern is not None) is fits
        assert rate.floor == pytest.approx(8 * size / PTIME)
        made.sent(1, size, 0.0, repair=False)
        assert (made.pattern is not None) is fits


@pytest.mark.parametrize("size", [150, 400])
def test_what_packets_really_take_counts_where_the_codec_only_knows_a_bound(size: int) -> None:
    """As AAC: its packets are smaller than its largest."""
    made = steering(media("pcmu"), "2", Rate(1.6 * 8 * size / PTIME))
    for number in range(60):
        made.sent(number, size, number * PTIME, repair=False)
    assert made.pattern is not None
    made.update(media("pcmu", ptime=0.04), IP_HEADER, None)
    assert (made.pattern is not None) is (size == 400)  # of another length nothing is known yet: 360 bytes


def test_a_peer_that_takes_no_copies_is_sent_the_packets_again() -> None:
    assert steering(media(red_payload_type=None), "copies:4,8").pattern == parse_pattern("sliding:4+8/1")


def test_the_line_is_told_of_copies_and_fec_of_the_media_alone() -> None:
    rate, control = Rate(), FecController(200e3, ptime=PTIME)
    made = Steering(None, control, cast(RateController, rate), None, media())
    made.update(media(), IP_HEADER, FULL)
    for number in range(200):
        made.sent(number, 168, number * PTIME, repair=False, copies=68)
    assert set(rate.sizes) == {168}
    assert control.allowed_rate == 200e3
    made.update(media(bandwidth=8 * 100 / PTIME + 1.5 * COPY), IP_HEADER, FULL)
    assert control.allowed_rate == pytest.approx(1.5 * COPY)


@pytest.mark.parametrize("sets_it", ["peer", "user"])
@pytest.mark.parametrize(("room", "most"), [(2.1, 2), (1.1, 1), (0.9, 0)])
def test_the_controller_chooses_no_more_copies_than_there_is_room_for(room: float, most: int, sets_it: str) -> None:
    limit = 8 * 100 / PTIME + room * COPY
    agreed = media(fec=RED, bandwidth=limit if sets_it == "peer" else None)
    made = Steering(None, FecController(200e3, ptime=PTIME), None, limit if sets_it == "user" else None, agreed)
    made.update(agreed, IP_HEADER, FULL)
    for number in range(200):
        made.sent(number, 100, number * PTIME, repair=False)
    assert (0 if made.pattern is None else len(made.pattern.sets)) == most


def test_copies_too_leave_their_bits_to_the_sound_while_nothing_is_lost() -> None:
    """Of 39 kbit/s packets with Opus at 20 leave 3."""
    control = FecController(200e3, ptime=PTIME)
    made = Steering(None, control, None, 39_000, media(fec=RED))
    made.update(media(fec=RED), IP_HEADER, FULL)
    assert control.allowed_rate == 0.0


def test_packets_are_repeated_as_they_are_while_they_have_no_more_bits_than_copies() -> None:
    first, again = found("opus").encoder(48000), CopyEncoder(found("opus"), 48000)
    sound, pattern = np.zeros((960, 1), np.int16), Pattern.copies((4,), 12000)
    for bitrate, made in ((24000, True), (16000, True), (12000, False), (9000, False), (24000, True)):
        first.set_bitrate(bitrate)
        assert (again.encode(sound, pattern, first) is not None) == made
    assert again.encode(sound, None, first) is None
    assert again.encode(sound, parse_pattern("sliding:4/1"), first) is None
