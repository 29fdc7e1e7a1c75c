"""Whole calls with ULPFEC and RED in virtual time, what is agreed on for them, and how they are asked for."""

from __future__ import annotations

import argparse
import math
import random
from dataclasses import replace

import pytest

from tests.support.call import (
    FEC_PAYLOAD_TYPE,
    RECEIVER,
    RED_PAYLOAD_TYPE,
    SENDER,
    Call,
    CallResult,
    Link,
    call,
    is_media,
    l16,
    media,
    noise,
)
from voip import codecs
from voip.audio import AudioSender
from voip.cli.values import fec_choice
from voip.codecs import find
from voip.fec import FecController, Pattern, parse_pattern, red
from voip.media import Direction
from voip.rtcp import ReportSources
from voip.rtp import RtpPacket
from voip.sdp import Capabilities, Endpoint, SessionDescription, accept_answer, make_answer, make_offer
from voip.session import RtpSession
from voip.stats import SenderStats

SCHEMES = ("ulpfec", "ulpfec red")


def talk(seconds: float, scheme: str, fec: str, link: Link, *, latency: float | None = 0.08) -> CallResult:
    return call(seconds, link=link, agreed=media(fec=fec, scheme=scheme), fec=fec, latency=latency)


# -- calls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "fec"),
    [("ulpfec", "1"), ("ulpfec", "4"), ("ulpfec red", "4"), ("ulpfec", "sliding:0,1+0,2/1"), ("red", "sliding:1+2/1")],
)
def test_a_clean_call_is_bit_exact_and_nothing_is_missing(scheme: str, fec: str) -> None:
    result = talk(10, scheme, fec, Link())
    assert result.exact()
    stats = result.stats
    assert (stats.received, stats.lost, stats.playout.concealed, stats.fec_rejected) == (500, 0, 0, 0)
    assert stats.fec_packets == result.sender.fec_packets
    assert stats.fec_copies == result.sender.fec_copies


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("loss", [0.05, 0.1])
@pytest.mark.parametrize("size", [1, 4])
def test_blocks_leave_what_the_closed_form_says(scheme: str, loss: float, size: int) -> None:
    """A packet stays lost if another one of its block, or the repair packet, is lost, too; `call` counts the truth."""
    result = talk(120, scheme, str(size), Link(loss=loss, seed=size))
    stats, packets = result.stats, 6000
    expected = loss * (1.0 - (1.0 - loss) ** size)
    sigma = math.sqrt(expected * packets) * math.sqrt(size)  # losses of a block go together
    assert stats.expected == packets
    assert abs(stats.lost_after_fec - expected * packets) < 3 * sigma
    assert stats.playout.concealed <= stats.lost_after_fec + 2
    assert stats.fec_rejected == 0


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("loss", [0.05, 0.1])
def test_copies_leave_what_the_closed_form_says(copies: int, loss: float) -> None:
    """A packet stays lost if all the packets that repeat it are lost, too."""
    result = talk(120, "red", str(red.repetition(copies)), Link(loss=loss, seed=9))
    stats, packets = result.stats, 6000
    expected = loss ** (copies + 1) * packets
    assert abs(stats.lost_after_fec - expected) < 3 * math.sqrt(expected * (copies + 1)) + 1
    assert (stats.expected, stats.fec_rejected) == (packets, 0)


@pytest.mark.parametrize(("scheme", "fec"), [("ulpfec", "4"), ("ulpfec", "1"), ("red", "sliding:1/1")])
def test_jitter_duplicates_and_bursts_are_counted_right(scheme: str, fec: str) -> None:
    for link in (Link(loss=0.1, jitter=0.015, duplicate=0.05, seed=4), Link(loss=0.2, burst=3, seed=4)):
        result = talk(40, scheme, fec, link, latency=0.12)
        assert result.stats.expected == 2000  # and `call` compares what was lost with the truth
        assert result.stats.fec_rejected == 0


def test_a_repair_packet_that_is_lost_is_no_hole() -> None:
    link = Link(drop=lambda packet: not is_media(packet))
    result = talk(10, "ulpfec", "1", link)
    assert result.exact()
    assert (result.stats.lost, result.stats.playout.concealed, result.stats.fec_packets) == (0, 0, 0)


def test_a_delay_that_is_given_grows_to_what_the_repair_packets_need() -> None:
    """Neither ULPFEC nor RED announces how far its repair reaches: it shows."""
    agreed = replace(media(fec="10", scheme="ulpfec"), repair_window=0.0)
    result = call(40, link=Link(loss=0.03, seed=2), agreed=agreed, fec="10", latency=0.03)
    assert result.stats.recovered > 0.5 * result.stats.lost
    assert result.stats.playout.delay_max is not None
    assert result.stats.playout.delay_max > 0.18


def test_a_sender_that_restarts_is_followed_and_repaired() -> None:
    both = Call(Link(loss=0.05, seed=3), media(fec="4", scheme="ulpfec"), fec="4", latency=0.08)
    both.talk(noise(10))
    both.sender = both.new_sender(random.Random(99))
    both.talk(noise(10, seed=8))
    stats = both.end().stats
    assert abs(stats.expected - 1000) <= 4  # what was lost around the restart, nobody knows
    assert stats.recovered > 0.6 * stats.lost
    assert stats.fec_rejected <= 2


@pytest.mark.parametrize("scheme", ["ulpfec", "ulpfec red", "red"])
def test_the_controller_steers_any_scheme(scheme: str) -> None:
    agreed = media(find("opus", 48000, 2) if codecs.missing("opus") is None else l16(8000), fec="4", scheme=scheme)
    rate, channels = agreed.audio.codec.sample_rate, agreed.audio.codec.channels
    control = FecController(200e3)
    source = AudioSender(agreed, sample_rate=rate, channels=channels, rng=random.Random(1), control=control)
    sent = [RtpPacket.parse(data) for data in source.write(noise(2, rate, channels), 0.0)]
    assert source.stats.fec_packets + source.stats.fec_copies >= 48  # it begins with one for two
    numbers = [(packet.sequence_number - sent[0].sequence_number) & 0xFFFF for packet in sent]
    assert numbers == list(range(len(sent)))
    assert max(len(packet.serialize()) for packet in sent) <= 1200


def test_reports_count_repair_packets_among_the_media_that_they_share_an_ssrc_with() -> None:
    agreed = media(fec="4", scheme="ulpfec", remote_ssrc=None, remote_fec_ssrc=None)
    sent = SenderStats(100, 25, timestamp=1, timestamp_at=1000.0, payload_bytes=5, ip_bytes=9)
    reports = ReportSources(sender_stats=lambda: sent)
    session = RtpSession(agreed, cname="here", rng=random.Random(1), reports=reports)
    source = AudioSender(agreed, sample_rate=8000, channels=1, rng=random.Random(1), pattern=parse_pattern("4"))
    for i, data in enumerate(source.write(noise(2), 0.0)):
        assert len(session.receive_datagram(data, SENDER, 1000.0 + i / 60)) == 1
    assert (session.reception.received, session.reception.lost, session.stray) == (125, 0, 0)
    exchange = session.rtcp_session
    assert exchange is not None
    assert exchange.parameters.repair_ssrc is None
    (compound,) = session.final_report(1002.5)
    assert int.from_bytes(compound[20:24], "big") == 125  # the sender's packet count, RFC 3550 section 6.4.1


def test_a_peer_behind_a_nat_is_found_by_its_ulpfec_stream() -> None:
    agreed = media(fec="2", scheme="ulpfec", remote_ssrc=None, remote_fec_ssrc=None)
    session = RtpSession(agreed)
    source = AudioSender(agreed, sample_rate=8000, channels=1, rng=random.Random(1), pattern=parse_pattern("2"))
    for i, data in enumerate(source.write(noise(1), 0.0)):
        session.receive_datagram(data, ("203.0.113.9", 4444), 1000.0 + i / 75)
    assert session.remote == ("203.0.113.9", 4444)
    assert session.reception.lost == 0


def test_what_red_carries_that_nobody_agreed_to_is_dropped() -> None:
    both = Call(agreed=media(fec="4", scheme="ulpfec red"), fec="4")
    both.talk(noise(1))
    before = both.receiver.snapshot()
    for payload in (b"", b"\x80", bytes([99]) + b"x", bytes([0x80 | 96, 0, 0, 200, 96])):
        packet = RtpPacket(RED_PAYLOAD_TYPE, 1, 1, both.media.ssrc, payload)
        both.receiver.put(packet, both.now)
    after = both.receiver.snapshot()
    assert after.fec_rejected - before.fec_rejected == 4
    assert (after.received, after.expected) == (before.received, before.expected)


# -- offer and answer -------------------------------------------------------------------------------------


def endpoint(number: int) -> Endpoint:
    return Endpoint(f"192.0.2.{number}", 5000, number, number + 100, "cname", 1)


def caller(scheme: str, *, packets: int = 4) -> Capabilities:
    return Capabilities((l16(8000), found("PCMU")), Direction.SENDONLY, repair_packets=packets, fec_scheme=scheme)


def callee(**changes: object) -> Capabilities:
    values: dict[str, object] = {"codecs": (l16(8000), found("PCMU")), "direction": Direction.RECVONLY}
    return Capabilities(**(values | changes))  # type: ignore[arg-type]


def found(name: str) -> codecs.Codec:
    codec = find(name, 8000, 1)
    assert codec is not None
    return codec


@pytest.mark.parametrize("scheme", ["flexfec", "ulpfec", "red"])
def test_the_scheme_that_is_offered_is_agreed_on(scheme: str) -> None:
    offer = make_offer(caller(scheme), endpoint(1))
    answer, theirs = make_answer(SessionDescription.parse(offer.serialize()), callee(), endpoint(2))
    ours = accept_answer(offer, SessionDescription.parse(answer.serialize()), caller(scheme), endpoint(1))
    assert ours.fec == theirs.fec == scheme
    numbers = (ours.fec_payload_type, ours.red_payload_type)
    assert numbers == (theirs.arriving_fec_payload_type, theirs.arriving_red_payload_type)
    assert [number is None for number in numbers] == [scheme == "red", scheme != "red"]
    windows = (ours.repair_window, ours.send_repair_window, theirs.repair_window)
    assert windows == ((0.08, 0.08, 0.08) if scheme == "flexfec" else (0.0, None, 0.0))  # only FlexFEC names one


@pytest.mark.parametrize(("copies", "numbers"), [(True, 2), (False, 1)])
def test_copies_are_agreed_on_beside_flexfec_by_two_that_have_them(copies: bool, numbers: int) -> None:
    """A peer that knows RED alone, or FlexFEC alone, gets that."""
    opus = codecs.find("opus", 48000, 2)
    assert opus is not None
    capable = {"codecs": (opus, l16(8000)), "repair_packets": 4}
    ours = callee(**capable, direction=Direction.SENDONLY, copies=copies)
    offer = SessionDescription.parse(make_offer(ours, endpoint(1)).serialize())
    plain = make_offer(callee(**capable, direction=Direction.SENDONLY), endpoint(1))
    longer = len(offer.serialize()) - len(plain.serialize())
    assert 0 < longer < 60 if copies else longer == 0  # a request of more than 1300 bytes goes by TCP
    answer, theirs = make_answer(offer, callee(**capable), endpoint(2))
    agreed = accept_answer(offer, SessionDescription.parse(answer.serialize()), ours, endpoint(1))
    assert agreed.fec == theirs.fec == "flexfec"
    assert agreed.red_payload_type == theirs.arriving_red_payload_type
    if copies:
        number = str(agreed.red_payload_type)
        assert answer.media[0].parameters(number) == "/".join(
            [str(agreed.payload_type)] * 2
        )  # no repair packets in RED
    types = {agreed.fec_payload_type, agreed.red_payload_type} - {None}
    assert len(types) == numbers
    for missing, left in ((agreed.fec_payload_type, "red"), (agreed.red_payload_type, "flexfec")):
        if missing is not None:
            shortened = SessionDescription.parse(answer.serialize())
            shortened.media[0].formats.remove(str(missing))
            known = accept_answer(offer, shortened, ours, endpoint(1))
            wanted = left if copies else None
            assert known.fec == wanted
            assert (known.red_payload_type is None) == (known.fec != "red")


@pytest.mark.parametrize("scheme", ["ulpfec", "red"])
def test_a_side_that_wants_no_fec_gets_none(scheme: str) -> None:
    offer = make_offer(caller(scheme), endpoint(1))
    answer, theirs = make_answer(offer, callee(fec=False), endpoint(2))
    ours = accept_answer(offer, answer, caller(scheme), endpoint(1))
    assert theirs.fec is ours.fec is None
    assert theirs.arriving_red_payload_type is ours.arriving_red_payload_type is None


def offer_of(formats: str, *attributes: str) -> SessionDescription:
    lines = ["v=0", "o=- 1 1 IN IP4 192.0.2.9", "s=-", "c=IN IP4 192.0.2.9", "t=0 0", f"m=audio 4000 RTP/AVP {formats}"]
    return SessionDescription.parse("\r\n".join([*lines, *(f"a={text}" for text in attributes), ""]).encode())


ULPFEC, FLEXFEC = "rtpmap:122 ulpfec/8000", "rtpmap:123 flexfec/8000"
RED = ("rtpmap:121 red/8000", "fmtp:121 0/0")


@pytest.mark.parametrize(
    ("formats", "attributes", "fec"),
    [
        pytest.param("0 121", RED, ("red", None, 121), id="red"),
        pytest.param("0 121", RED[:1], ("red", None, 121), id="red without a list"),
        pytest.param("0 8 121", (RED[0], "fmtp:121 8/8"), (None, None, None), id="red of another codec"),
        pytest.param("0 121", ("rtpmap:121 red/48000", RED[1]), (None, None, None), id="red of another clock"),
        pytest.param("0 122", (ULPFEC,), ("ulpfec", 122, None), id="ulpfec"),
        pytest.param("0 121 122", (*RED, ULPFEC), ("ulpfec", 122, 121), id="ulpfec carried by red"),
        pytest.param("0 122 123", (ULPFEC, FLEXFEC), ("flexfec", 123, None), id="the best of two"),
        pytest.param("0 121 122 123", (*RED, ULPFEC, FLEXFEC), ("flexfec", 123, 121), id="the best of all, and copies"),
        pytest.param("0 122", ("rtpmap:122 ulpfec-x/8000",), (None, None, None), id="something else"),
    ],
)
def test_what_others_offer_is_answered(
    formats: str, attributes: tuple[str, ...], fec: tuple[str | None, int | None, int | None]
) -> None:
    answer, agreed = make_answer(offer_of(formats, *attributes), callee(), endpoint(2))
    assert (agreed.fec, agreed.fec_payload_type, agreed.red_payload_type) == fec
    wanted = {0, *(number for number in fec[1:] if number is not None)}
    assert {int(number) for number in answer.media[0].formats} == wanted
    if agreed.red_payload_type is not None:
        older = agreed.fec_payload_type if agreed.fec == "ulpfec" else 0  # FlexFEC has packets of its own
        assert answer.media[0].parameters("121") == f"0/{older}"


def test_a_scheme_that_is_asked_for_is_preferred() -> None:
    _, agreed = make_answer(offer_of("0 122 123", ULPFEC, FLEXFEC), callee(fec_scheme="ulpfec"), endpoint(2))
    assert agreed.fec == "ulpfec"


def test_red_is_offered_for_each_clock_rate() -> None:
    wide = find("L16", 16000, 1)
    assert wide is not None
    capabilities = replace(caller("red"), codecs=(wide, l16(8000), found("PCMU")))
    (line,) = make_offer(capabilities, endpoint(1)).media
    assert line.values("fmtp")[:2] == ["98 96/96", "99 97/97/0"]
    assert line.encoding("98") == ("red", 16000, 1)
    assert line.encoding("99") == ("red", 8000, 1)


def test_packets_leave_room_for_their_copies() -> None:
    wide = find("L16", 48000, 1)
    assert wide is not None
    capabilities = replace(caller("red"), codecs=(wide,), max_payload=red.payload_limit(2))
    offer = make_offer(capabilities, endpoint(1))
    answer, _ = make_answer(offer, callee(codecs=(wide,)), endpoint(2))
    agreed = accept_answer(offer, answer, capabilities, endpoint(1))
    source = AudioSender(agreed, sample_rate=48000, channels=1, rng=random.Random(1), pattern=red.repetition(2))
    sent = source.write(noise(0.5, 48000), 0.0)
    assert max(len(data) for data in sent) <= 1200
    assert source.stats.fec_copies == 2 * source.stats.packets - 3


# -- options ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "scheme", "pattern"),
    [
        ("auto", "flexfec", "auto"),
        ("off", "flexfec", None),
        ("4", "flexfec", parse_pattern("4")),
        ("sliding:0,1,3/2", "flexfec", parse_pattern("sliding:0,1,3/2")),
        ("ulpfec", "ulpfec", "auto"),
        ("ulpfec:auto", "ulpfec", "auto"),
        ("ULPFEC:4", "ulpfec", parse_pattern("4")),
        ("ulpfec:sliding:0,1/1", "ulpfec", parse_pattern("sliding:0,1/1")),
        ("red", "red", red.repetition(1)),
        ("red:2", "red", red.repetition(2)),
        ("copies:8,4", "red", Pattern.copies((4, 8), 12000)),
        ("copies:6@9k", "red", Pattern.copies((6,), 9000)),
        ("COPIES:6@9500", "red", Pattern.copies((6,), 9500)),
        ("copies", "flexfec", "auto"),
        ("copies:auto", "flexfec", "auto"),
    ],
)
def test_schemes_are_asked_for_by_their_names(text: str, scheme: str, pattern: Pattern | str | None) -> None:
    copies = scheme == "flexfec" and pattern == "auto"
    assert fec_choice(text) == (scheme, pattern, copies, copies and text.startswith("copies"))


@pytest.mark.parametrize(
    "text",
    [
        *("ulpfec:x", "ulpfec:49", "ulpfec:sliding:0,47/1", "red:0", "red:6", "red:x", "red:²", "rot"),
        *(
            "copies:0",
            "copies:17",
            "copies:4@5k",
            "copies:4@70k",
            "copies:4@",
            "copies:1,2,3,4,5,6",
        ),
        *("ulpfec:copies:4", "copies:x"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        fec_choice(text)
    assert "\n" not in str(caught.value)


def test_the_harness_tells_media_from_parity() -> None:
    """What the calls above compare with: the truth of the link."""
    assert not is_media(RtpPacket(RED_PAYLOAD_TYPE, 1, 1, 1, bytes([FEC_PAYLOAD_TYPE])))
    assert is_media(RtpPacket(RED_PAYLOAD_TYPE, 1, 1, 1, b"\x60"))
    assert RECEIVER != SENDER
