"""Calls whose packets repeat earlier ones at a lower bit rate (RFC 2198), in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.support.call import FEC_PAYLOAD_TYPE, RED_PAYLOAD_TYPE, Call, CallResult, Link, call, l16, media
from tests.support.voice import speech
from voip import codecs
from voip.audio import AudioSender
from voip.codecs import Codec, find
from voip.dsp import Pcm
from voip.fec import Pattern, parse_pattern, red
from voip.fec.channel import Channel
from voip.fec.copies import CopiesRung
from voip.rtp import RtpPacket

STEP = 960
"""Ticks of a packet of 20 ms."""

pytestmark = pytest.mark.skipif(codecs.missing("opus") is not None, reason="there is no libopus")


def opus() -> Codec:
    codec = find("opus", 48000, 2)
    assert codec is not None
    return codec


def sent(fec: str, seconds: float = 2.0, codec: Codec | None = None, *, ptime: float = 0.02) -> list[RtpPacket]:
    """What goes on the wire for some speech."""
    agreed = media(codec or opus(), fec=fec, scheme="red", ptime=ptime)
    rate = agreed.audio.codec.sample_rate
    pattern = parse_pattern(fec)
    source = AudioSender(agreed, sample_rate=rate, channels=1, rng=random.Random(1), pattern=pattern)
    return [RtpPacket.parse(data) for data in source.write(speech(rate, seconds), 0.0)]


def blocks_of(packet: RtpPacket) -> dict[int, bytes]:
    """The copies in a packet, by how many ticks older they are."""
    assert packet.payload_type == RED_PAYLOAD_TYPE
    return {block.offset: block.payload for block in red.parse(packet.payload)[0]}


def test_a_packet_repeats_those_at_the_distances_at_the_lower_bit_rate() -> None:
    packets = sent("copies:4,8")
    assert [sorted(blocks_of(packet)) for packet in packets[:9]] == [[]] * 4 + [[4 * STEP]] * 4 + [[4 * STEP, 8 * STEP]]
    copies = [blocks_of(packet) for packet in packets[8:]]
    assert [copy[8 * STEP] for copy in copies[4:]] == [copy[4 * STEP] for copy in copies[:-4]]  # made once
    seconds = 0.02 * len(copies)
    spoken = 8 * sum(len(red.unwrap(packet)[0].payload) for packet in packets[8:]) / seconds
    repeated = 8 * sum(len(copy[4 * STEP]) for copy in copies) / seconds
    assert repeated < min(14000.0, 0.7 * spoken)


@pytest.mark.parametrize(("fec", "farthest"), [("copies:4,8@9k", 9000), ("copies:4,8@16k", 16000)])
def test_copies_have_the_bit_rate_that_was_asked_for(fec: str, farthest: int) -> None:
    copies = [blocks_of(packet)[4 * STEP] for packet in sent(fec, 10)[8:]]
    assert 8 * sum(map(len, copies)) / (0.02 * len(copies)) == pytest.approx(farthest, rel=0.2)


def test_a_format_of_one_bit_rate_is_repeated_as_it_is() -> None:
    packets = sent("copies:2", codec=l16(8000))
    payloads = [red.unwrap(packet)[0].payload for packet in packets]
    assert [list(blocks_of(packet).values()) for packet in packets[2:]] == [[payload] for payload in payloads[:-2]]


def test_no_copy_is_older_than_a_block_header_can_say() -> None:
    """14 bits of 48 kHz are 341 ms: 5 packets of 60 ms."""
    assert sorted(blocks_of(sent("copies:4,8", 3, ptime=0.06)[-1])) == [4 * 3 * STEP, 5 * 3 * STEP]
    assert sorted(blocks_of(sent("copies:8,9", 3, ptime=0.06)[-1])) == [5 * 3 * STEP]


def talk(fec: str, link: Link, seconds: float = 20.0, latency: float = 0.2) -> CallResult:
    return call(seconds, link=link, agreed=media(opus(), fec=fec, scheme="red"), fec=fec, latency=latency)


def outage(first: int, packets: int) -> Callable[[RtpPacket], bool]:
    """So many packets in a row are lost, from the `first` on, once."""
    numbers: list[int] = []

    def drop(packet: RtpPacket) -> bool:
        numbers.append(packet.sequence_number)
        return first <= (packet.sequence_number - numbers[0]) & 0xFFFF < first + packets

    return drop


@pytest.mark.parametrize(("lost", "left"), [(4, 0), (8, 0), (9, 1)])
def test_an_outage_as_long_as_the_distance_is_played_from_copies(lost: int, left: int) -> None:
    result = talk("copies:4,8", Link(drop=outage(200, lost)))
    stats = result.stats
    assert (stats.lost, stats.recovered, stats.lost_after_fec) == (lost, lost - left, left)
    assert stats.playout.concealed == left
    assert stats.fec_rejected == 0


@pytest.mark.parametrize("loss", [0.05, 0.1])
def test_copies_leave_what_the_closed_form_says(loss: float) -> None:
    stats = talk("copies:4,8", Link(loss=loss, seed=9), 120).stats
    expected = loss**3 * 6000
    assert abs(stats.lost_after_fec - expected) < 3 * (3 * expected) ** 0.5 + 1
    assert (stats.expected, stats.fec_rejected) == (6000, 0)


@pytest.mark.parametrize(("outage", "burst"), [(0.06, 1.0), (0.0, 3.0)], ids=["outages", "bursts"])
@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_copies_leave_of_bursts_and_outages_what_is_reckoned_with(loss: float, outage: float, burst: float) -> None:
    """Without repair packets between, a burst of packets is one of frames. Repeating what is small needs no encoder."""
    left = lost = packets = 0
    for seed in (1, 5, 6):  # with no outage at the very beginning or end, of which a receiver cannot know
        link = Link(seed=seed, loss=loss, outage=outage, burst=burst)
        agreed = media(l16(8000), fec="copies:4,8", scheme="red")
        stats = call(120, link=link, agreed=agreed, fec="copies:4,8", latency=0.2).stats
        left, lost, packets = left + stats.lost_after_fec, lost + stats.lost, packets + stats.expected
    assert lost / packets == pytest.approx(loss, rel=0.25)
    channel = Channel(lost / packets, outage=3.0, burst=3.0)
    reckoned = CopiesRung(Pattern.copies((4, 8))).left(channel, 10)
    assert left / packets == pytest.approx(reckoned, rel=0.4)


def test_two_copies_take_half_the_bits_of_two_repair_packets() -> None:
    sizes = []
    for fec, scheme in (("copies:4,8", "red"), ("sliding:4+8/1", "flexfec")):
        result = call(10, link=Link(), agreed=media(opus(), fec=fec, scheme=scheme), fec=fec, latency=0.2)
        sizes.append(8 * result.link.ip_bytes / 10)
    assert sizes[0] < 75e3
    assert sizes[0] < 0.56 * sizes[1]


def test_what_comes_late_itself_is_played_and_not_its_copy() -> None:
    """With the packets in disorder, but in time, the sound is that of a clean line."""
    clean, shaken = (talk("copies:1", link, 10) for link in (Link(), Link(jitter=0.03, seed=3)))
    assert shaken.stats.reordered > 50
    assert shaken.stats.playout.concealed == clean.stats.playout.concealed == 0
    assert in_common(clean.heard, shaken.heard) > 0.9


def in_common(first: Pcm, second: Pcm, piece: int = 64) -> float:
    """The share of one sound, in pieces, that is in the other, too."""
    places = {second[i : i + piece].tobytes() for i in range(len(second) - piece)}
    starts = range(0, len(first) - piece, 50 * piece)
    return sum(first[i : i + piece].tobytes() in places for i in starts) / len(starts)


# -- beside FlexFEC ---------------------------------------------------------------------------------------


def both(fec: str, link: Link, latency: float = 0.2) -> Call:
    """A call whose peer takes repair packets and copies."""
    agreed = media(opus(), fec="4", red_payload_type=RED_PAYLOAD_TYPE)
    return Call(link, agreed, fec=fec, latency=latency)


def test_the_pattern_says_which_of_both_is_sent() -> None:
    talking = both("copies:4,8", Link())
    talking.talk(speech(48000, 2))
    assert (talking.sender.stats.fec_packets, talking.sender.stats.fec_copies) == (0, 2 * 100 - 4 - 8)
    talking.sender.set_pattern(parse_pattern("sliding:0,1/1"))
    talking.talk(speech(48000, 2))
    repairs, copies = talking.sender.stats.fec_packets, talking.sender.stats.fec_copies
    assert (repairs, copies) == (100, 188)
    talking.sender.set_pattern(parse_pattern("copies:4,8"))
    talking.talk(speech(48000, 2))
    assert talking.sender.stats.fec_packets - repairs <= 1  # what the last pattern has left open
    assert talking.sender.stats.fec_copies == 388
    stats = talking.end().stats
    assert talking.sender.stats.fec_packets - repairs > 1  # for what no packet follows to repeat
    assert (stats.lost, stats.fec_rejected, stats.playout.concealed) == (0, 0, 0)


@pytest.mark.parametrize("first", ["copies:2,4", "sliding:0,1,2/1"])
def test_nothing_is_lost_by_a_change_between_them(first: str) -> None:
    """Parity covers packets with copies in them as they were sent, so either kind rebuilds what the other began."""
    patterns = [first, "sliding:0,1,2/1" if first != "sliding:0,1,2/1" else "copies:2,4"]
    turns: list[int] = []

    def drop(packet: RtpPacket) -> bool:
        turns.append(packet.payload_type)
        return len(turns) % 7 == 0 and packet.payload_type != FEC_PAYLOAD_TYPE

    talking = both(first, Link(drop=drop))
    for turn in range(20):
        talking.sender.set_pattern(parse_pattern(patterns[turn % 2]))
        talking.talk(speech(48000, 0.5))
    stats = talking.end().stats
    assert stats.lost > 40
    assert (stats.lost_after_fec, stats.fec_rejected) == (0, 0)


def test_parity_rebuilds_a_packet_with_the_copies_in_it() -> None:
    """The packets of an outage, copies and all: the newest of them by parity, the others from the copies in that."""
    talking = both("copies:1,2", Link())
    talking.talk(speech(48000, 2))
    talking.link.drop = outage(0, 3)
    talking.talk(speech(48000, 0.06))  # three packets
    talking.link.drop = lambda packet: False
    talking.sender.set_pattern(parse_pattern("sliding:1/1"))
    talking.talk(speech(48000, 1))
    stats = talking.end().stats
    assert (stats.lost, stats.lost_after_fec, stats.fec_rejected) == (3, 0, 0)
