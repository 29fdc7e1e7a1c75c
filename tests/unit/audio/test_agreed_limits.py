"""What a sender keeps to of what its peer has described: repair window, bandwidth (RFC 8627 5.2.1, RFC 3264 5)."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.support.descriptions import ALICE, offer
from tests.support.negotiated import changed
from tests.support.voice import voice
from voip import codecs
from voip.audio import AudioSender
from voip.congestion import RateController
from voip.fec import Agreed, FecController, ladder_window, parse_pattern
from voip.fec.control import START_PATTERN
from voip.fec.flexfec import parse_repair
from voip.fec.prediction import ladder
from voip.media import KeyAgreement, NegotiatedMedia, Security
from voip.rtp import RtpPacket
from voip.sdp import Capabilities, accept_answer, make_offer
from voip.srtp import MasterKey, Profile, SrtpKeys

RATE = 48000
BLOCK = 960
IP_UDP = 28


def agreed(*attributes: str, window: str = "260000", packets: int = 13, sdp_codec: str = "opus") -> NegotiatedMedia:
    """What an answer comes to that takes one codec and FlexFEC."""
    ours = Capabilities(tuple(codecs.offerable([sdp_codec], RATE, 1)), repair_packets=packets)
    sent = make_offer(ours, ALICE)
    (line,) = sent.media
    encodings = {number: line.encoding(number) for number in line.formats}
    number, rate = next((number, found[1]) for number, found in encodings.items() if found and found[0] == "flexfec")
    lines = [f"m=audio 4000 RTP/AVP {line.formats[0]} {number}", f"a=rtpmap:{number} flexfec/{rate}"]
    window_line = [f"a=fmtp:{number} repair-window={window}"] if window else []
    return accept_answer(sent, offer(*lines, *window_line, *attributes), ours, ALICE)


def talk(media: NegotiatedMedia, seconds: float, **how: object) -> tuple[float, float, int]:
    """Send noise: the longest time that a repair packet spans, bit/s on the wire, and how many repair packets."""
    sender = AudioSender(media, sample_rate=RATE, channels=1, rng=random.Random(1), **how)  # type: ignore[arg-type]
    stamps: dict[int, int] = {}
    newest, spans, size = 0, [0.0], 0
    sound = np.random.default_rng(2).integers(-8000, 8000, (BLOCK, 1), np.int16)
    for index in range(round(seconds * RATE / BLOCK)):
        for data in sender.write(sound, index * BLOCK / RATE):
            packet = RtpPacket.parse(data)
            size += 8 * (len(data) + IP_UDP)
            if packet.payload_type != media.fec_payload_type:
                stamps[packet.sequence_number] = newest = packet.timestamp
                continue
            header = parse_repair(packet.payload)
            oldest = stamps[(header.base + header.positions[0]) & 0xFFFF]
            spans.append((newest - oldest) % 2**32 / media.clock_rate + media.packet_time)
    return max(spans), size / seconds, len(spans) - 1


@pytest.mark.parametrize(
    ("window", "attributes"),
    [
        ("260000", ()),
        ("260000", ("a=ptime:60",)),
        ("260000", ("a=ptime:40",)),
        ("900000", ("a=ptime:60",)),
        ("60000", ()),
        ("20000", ()),
        ("", ()),
    ],
)
def test_no_repair_packet_spans_more_than_was_agreed(window: str, attributes: tuple[str, ...]) -> None:
    media = agreed(*attributes, window=window)
    limit = min(0.26, float(window or "260000") / 1e6)
    for control in (FecController(200e3, ptime=media.packet_time), None):
        pattern = None if control else parse_pattern(START_PATTERN)
        span, _, repairs = talk(media, 3.0, control=control, pattern=pattern)
        assert span <= limit + 1e-6
        assert repairs > 0 or limit == 0.02  # of one packet: no pattern of the ladder is so short


def test_a_window_of_no_packet_leaves_nothing_to_send() -> None:
    assert talk(agreed(window="10000"), 2.0, control=FecController(200e3))[2] == 0
    assert talk(agreed(window="10000"), 2.0, pattern=parse_pattern("4"))[2] == 0


def test_a_session_that_allows_more_gets_more_again() -> None:
    narrow, wide = agreed(window="20000"), agreed()
    for control, pattern in ((FecController(200e3), None), (None, parse_pattern("4"))):
        sender = AudioSender(
            narrow, sample_rate=RATE, channels=1, rng=random.Random(1), control=control, pattern=pattern
        )
        sender.update(wide)
        sound = np.zeros((BLOCK, 1), np.int16)
        data = [each for index in range(40) for each in sender.write(sound, index * 0.02)]
        reach = [
            max(parse_repair(packet.payload).positions)
            for packet in map(RtpPacket.parse, data)
            if packet.payload_type == wide.fec_payload_type
        ]
        assert max(reach) >= (3 if pattern else 1)


@pytest.mark.parametrize(
    ("text", "packets", "left"),
    [
        ("4", 4, "4"),
        ("4", 3, "3"),
        ("4", 1, "1"),
        ("4", 0, None),
        ("sliding:0,1,8+0,2,3,12/1", 13, "sliding:0,1,8+0,2,3,12/1"),
        ("sliding:0,1,8+0,2,3,12/1", 12, "sliding:0,1,8+0,2,3/1"),
        ("sliding:0,2,8+0,2,12/2", 5, "sliding:0,2/2"),
        ("sliding:11+12/2", 11, None),
        ("copies:4,8", 4, "copies:4,8@12k"),
    ],
)
def test_a_pattern_is_cut_to_what_repair_packets_may_span(text: str, packets: int, left: str | None) -> None:
    pattern = parse_pattern(text)
    assert pattern is not None
    cut = pattern.within(packets)
    assert (None if cut is None else str(cut)) == left


def test_the_ladder_spans_what_is_announced_for_it() -> None:
    assert ladder_window() == max(rung.pattern.reach for rung in ladder()) + 1 == 13


@pytest.mark.parametrize("limit", [50, 52, 53])
def test_media_and_repair_stay_within_the_bandwidth_that_the_peer_takes(limit: int) -> None:
    free = talk(agreed(), 4.0, control=FecController(200e3))[1]
    media = agreed(f"b=AS:{limit}")
    _, rate, repairs = talk(media, 4.0, control=FecController(200e3))
    assert rate < 1.03 * limit * 1000 < free
    assert repairs > 0


@pytest.mark.parametrize("fec", [None, "1", "auto"])
def test_nothing_beyond_the_user_s_ceiling_is_sent(fec: str | None) -> None:
    automatic = fec == "auto"
    how = {"control": FecController(200e3)} if automatic else {"pattern": parse_pattern(fec or "off")}
    ceiling = 0.8 * talk(agreed(), 6.0, **how)[1]
    how = {"control": FecController(200e3)} if automatic else how
    assert talk(agreed(), 6.0, bitrate_max=ceiling, **how)[1] < 1.03 * ceiling


@pytest.mark.skipif(codecs.missing("aac") is not None, reason="there is no AAC")
@pytest.mark.parametrize("ceiling", [40e3, 60e3])
def test_a_format_whose_bit_rate_is_chosen_before_the_first_packet_keeps_to_the_ceiling(ceiling: float) -> None:
    aac, other = codecs.offerable(["aac"], RATE, 1)[0], codecs.find("l16", RATE, 1)
    assert other is not None
    media, sound = changed(agreed(), codec=aac, ptime=0.064), voice(RATE, 6.0)
    before = changed(media, codec=other)
    rates = []
    for first, maximum in ((media, ceiling), (before, ceiling), (media, None)):
        sender = AudioSender(first, sample_rate=RATE, channels=1, rng=random.Random(1), bitrate_max=maximum)
        sender.update(media)
        blocks = (sound[start : start + BLOCK] for start in range(0, len(sound), BLOCK))
        rates.append(sum(8 * (len(data) + IP_UDP) for block in blocks for data in sender.write(block, 0.0)) / 6.0)
    assert 0.8 * ceiling < rates[0] == rates[1] < ceiling < rates[2]


def test_the_lower_ceiling_holds_and_is_told() -> None:
    told: list[str] = []
    for attributes, maximum, limit, reason in (
        ((), 50e3, 50e3, "bitrate-max"),
        (("b=AS:45",), 50e3, 45e3, "peer"),
        (("b=AS:55",), 50e3, 50e3, "bitrate-max"),
        (("b=AS:45",), None, 45e3, "peer"),
    ):
        sender = AudioSender(
            agreed(*attributes),
            sample_rate=RATE,
            channels=1,
            rng=random.Random(1),
            rate=RateController(),
            bitrate_max=maximum,
            on_decision=told.append,
        )
        sender.write(np.zeros((BLOCK, 1), np.int16), 0.0)
        assert (sender.stats.congestion.limit, sender.stats.congestion.limited_by) == (limit, reason)
    assert ["bitrate-max" in line for line in told] == [True, False, True, False]
    assert ["b=" in line for line in told] == [False, True, False, True]


def test_a_peer_that_takes_less_from_now_on_gets_less() -> None:
    control = FecController(200e3)
    told: list[str] = []
    sender = AudioSender(
        agreed(), sample_rate=RATE, channels=1, rng=random.Random(1), control=control, on_decision=told.append
    )
    sender.update(agreed("b=AS:42"))
    sound = np.random.default_rng(2).integers(-8000, 8000, (BLOCK, 1), np.int16)
    size = sum(8 * (len(data) + IP_UDP) for index in range(200) for data in sender.write(sound, index * 0.02))
    assert size / 4.0 < 1.03 * 42e3
    sender.update(agreed())
    assert told[-1] == "rate no longer bounded by the peer"


def test_the_tag_of_encrypted_packets_counts() -> None:
    """10 bytes each: 4 kbit/s, which make the difference here."""
    profile = Profile.AES_CM_128_HMAC_SHA1_80
    key = MasterKey(bytes(profile.key_length), bytes(profile.salt_length))
    secured = replace(agreed(), security=Security(KeyAgreement.SDES, SrtpKeys(profile, key, key)))
    for media, ptime in ((agreed(), 0.02), (secured, 0.04)):
        sender = AudioSender(media, sample_rate=RATE, channels=1, rng=random.Random(1), bitrate_max=38e3)
        for index in range(4):
            sender.write(np.zeros((BLOCK, 1), np.int16), index * 0.02)
        assert sender.stats.congestion.ptime == ptime


def test_packets_are_no_longer_than_the_peer_takes() -> None:
    for attributes, expected in ((("a=maxptime:20",), 0.02), (("a=maxptime:40",), 0.04), ((), 0.06)):
        media = agreed(*attributes)
        sender = AudioSender(media, sample_rate=RATE, channels=1, rng=random.Random(1), bitrate_max=19e3)
        data = [each for index in range(60) for each in sender.write(np.zeros((BLOCK, 1), np.int16), index * 0.02)]
        packets = [packet for packet in map(RtpPacket.parse, data) if packet.payload_type == media.payload_type]
        steps = {b.timestamp - a.timestamp & 0xFFFFFFFF for a, b in pairwise(packets)}
        assert steps == {round(expected * RATE)}


def test_a_peer_that_wants_no_media_gets_none() -> None:
    assert talk(agreed("b=AS:0"), 1.0, control=FecController(200e3))[1] == 0.0


def test_opus_goes_down_where_there_is_no_room_for_repair() -> None:
    _, rate, _ = talk(agreed("b=AS:32"), 4.0, control=FecController(200e3))
    assert rate < 1.1 * 32_000


@pytest.mark.parametrize(
    ("line", "ptime", "payload"),
    [
        ("b=AS:38", 0.02, 20_000),
        ("b=AS:33", 0.04, 24_000),
        ("b=AS:28", 0.04, 20_000),
        ("b=AS:15", 0.06, 9_000),
        ("b=TIAS:12000", 0.02, 12_000),
    ],
)
def test_what_the_peer_takes_is_used_as_what_the_user_allows(line: str, ptime: float, payload: int) -> None:
    """In longer packets, where so the sound gets more of it."""
    media = agreed(line)
    assert media.bandwidth is not None
    sender = AudioSender(media, sample_rate=RATE, channels=1, rng=random.Random(1))
    sound = voice(RATE, 6.0)
    blocks = (sound[start : start + BLOCK] for start in range(0, len(sound), BLOCK))
    sizes = [len(data) + IP_UDP for block in blocks for data in sender.write(block, 0.0)]
    assert sender.stats.congestion.ptime == ptime
    assert len(sizes) == pytest.approx(6.0 / ptime, abs=1)
    assert 8 * sum(sizes) / 6.0 < 1.05 * media.bandwidth
    assert 8 * sum(size - 40 for size in sizes) / 6.0 == pytest.approx(payload, rel=0.15)


def test_opus_goes_below_its_usual_least_for_a_peer_that_takes_less() -> None:
    """10 kbit/s are too few for any packets of ours, with their headers; 9 of Opus and headers would be 14."""
    assert talk(agreed("b=AS:10"), 6.0)[1] < 12e3


def test_limits_that_leave_no_pattern_are_lived_with() -> None:
    control = FecController(200e3)
    control.set_limits(Agreed(window=0))
    assert control.pattern is None
    assert all(control.sent(number, 100, number * 0.02, repair=False) is None for number in range(400))
    control.set_limits(Agreed(window=3))
    assert control.pattern is not None
    assert control.pattern.reach < 3
