"""Opus in session descriptions (RFC 7587 sections 6 and 7): what we offer, what we answer, what becomes of both."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.descriptions import ALICE, BOB, negotiate, offer, vector
from voip import codecs
from voip.codecs import Codec, opus
from voip.media import Direction
from voip.sdp import Capabilities, accept_answer, effective_ptime, make_answer, make_offer

NAMES = ("opus", "l16", "pcmu", "pcma")


def side(direction: Direction, *, rate: int = 48000, channels: int = 1, bitrate: int = 24000) -> Capabilities:
    return Capabilities(tuple(codecs.offerable(NAMES, rate, channels, bitrate)), direction)


CALLER, CALLEE = side(Direction.SENDRECV), side(Direction.RECVONLY)


def agreed(fmtp: str, *lines: str, caller: Capabilities = CALLER) -> Codec:
    """What a caller makes of an answer with these format parameters."""
    sent = make_offer(caller, ALICE)
    number = sent.media[0].formats[0]
    answer = offer(
        f"m=audio 4000 RTP/AVP {number}", f"a=rtpmap:{number} opus/48000/2", f"a=fmtp:{number} {fmtp}", *lines
    )
    return accept_answer(sent, answer, caller, ALICE).audio.codec


def test_it_is_offered_first_as_two_channels_whatever_is_sent() -> None:
    media = make_offer(CALLER, ALICE).media[0]
    assert media.formats[0] == "96"
    assert media.value("rtpmap") == "96 opus/48000/2"
    assert media.value("fmtp") == "96 useinbandfec=1"
    assert media.value("ptime") == "20"


def test_the_offer_tells_what_the_source_is() -> None:
    narrow = make_offer(side(Direction.SENDRECV, rate=16000), ALICE).media[0]
    assert narrow.parameter("96", "sprop-maxcapturerate") == "16000"
    stereo = make_offer(side(Direction.SENDRECV, channels=2), ALICE).media[0]
    assert (stereo.parameter("96", "sprop-stereo"), stereo.parameter("96", "stereo")) == ("1", None)


def test_two_of_us_agree_on_mono() -> None:
    near, far = negotiate(CALLER, CALLEE)
    assert (str(near.audio.codec), near.audio.codec.channels, far.audio.codec.channels) == ("opus/48000/2", 1, 1)
    assert near.audio.ptime == far.audio.ptime == 0.02
    assert near.audio.codec.sample_rate == far.audio.codec.sample_rate == 48000
    assert "useinbandfec=1" in near.audio.codec.remote_fmtp
    assert near.audio.codec.bitrate == 24000


def test_two_of_us_agree_on_stereo_where_the_source_has_it() -> None:
    near, far = negotiate(side(Direction.SENDRECV, channels=2), CALLEE)
    assert (near.audio.codec.channels, far.audio.codec.channels) == (2, 2)
    assert "stereo=1" in near.audio.codec.remote_fmtp.split(";")


@pytest.mark.parametrize(
    ("channels", "fmtp", "sent"),
    [
        (1, "stereo=1;sprop-stereo=1", 1),
        (2, "stereo=1", 2),
        (2, "stereo=0;sprop-stereo=1", 1),
        (2, "useinbandfec=1", 1),
    ],
)
def test_stereo_is_sent_only_to_who_prefers_it(channels: int, fmtp: str, sent: int) -> None:
    assert agreed(fmtp, caller=side(Direction.SENDRECV, channels=channels)).channels == sent


@pytest.mark.parametrize(
    ("fmtp", "channels", "answered"),
    [
        ("sprop-stereo=1;stereo=1", 2, "stereo=1;useinbandfec=1"),
        ("stereo=1", 1, "useinbandfec=1"),
        ("minptime=10;useinbandfec=1;strange=7", 1, "useinbandfec=1"),
    ],
)
def test_the_answer_takes_stereo_where_it_is_announced_and_repeats_no_parameter_of_the_offer(
    fmtp: str, channels: int, answered: str
) -> None:
    description = offer("m=audio 4000 RTP/AVP 111", "a=rtpmap:111 opus/48000/2", f"a=fmtp:111 {fmtp}")
    answer, media = make_answer(description, CALLEE, BOB)
    assert media.audio.codec.channels == channels
    assert answer.media[0].value("rtpmap") == "111 opus/48000/2"
    assert answer.media[0].value("fmtp") == f"111 {answered}"


@pytest.mark.parametrize(
    ("fmtp", "most"), [("maxaveragebitrate=16000", 16000), ("maxaveragebitrate=64000", 24000), ("", 24000)]
)
def test_the_bit_rate_is_ours_within_what_the_peer_takes(fmtp: str, most: int) -> None:
    codec = agreed(fmtp)
    assert codec.encoded_size(960) == pytest.approx(1.25 * most / 8 * 0.02 + 100, abs=1)


@pytest.mark.parametrize(
    ("name", "number", "channels"), [("linphone", 96, 1), ("freeswitch", 102, 1), ("baresip-default", 96, 2)]
)
def test_offers_of_other_programs_are_answered_with_it(name: str, number: int, channels: int) -> None:
    _, media = make_answer(vector(name), CALLEE, BOB)
    assert (media.audio.codec.name, media.payload_type, media.audio.codec.channels) == ("opus", number, channels)


def test_it_is_taken_in_any_case_and_in_no_other_format() -> None:
    description = offer("m=audio 4000 RTP/AVP 96 97 98 0", "a=rtpmap:96 opus/16000", "a=rtpmap:97 opus/8000/2")
    assert make_answer(description, CALLEE, BOB)[1].audio.codec.name == "PCMU"
    description = offer("m=audio 4000 RTP/AVP 0 96", "a=rtpmap:96 OPUS/48000/2")
    assert make_answer(description, CALLEE, BOB)[1].audio.codec.name == "PCMU"  # the caller's first choice
    assert make_answer(offer("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 OPUS/48000/2"), CALLEE, BOB)[1].payload_type == 96


@pytest.mark.parametrize(
    ("wanted", "ptime"),
    [("10", 0.01), ("20", 0.02), ("30", 0.02), ("3", 0.0025), ("5", 0.005), ("60", 0.06), ("120", 0.12), ("200", 0.12)],
)
def test_packets_have_a_duration_that_opus_has(wanted: str, ptime: float) -> None:
    description = offer("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 opus/48000/2", f"a=ptime:{wanted}")
    media = make_answer(description, CALLEE, BOB)[1]
    assert media.audio.ptime == ptime
    assert media.audio.ptime in opus.PACKET_TIMES


@pytest.mark.parametrize(
    ("fmtp", "ours", "ptime"),
    [
        ("minptime=10", 0.02, 0.02),
        ("minptime=40", 0.02, 0.04),
        ("maxptime=10", 0.02, 0.01),
        ("maxptime=3", 0.02, 0.0025),
        ("maxptime=1", 0.02, 0.02),
        ("minptime=60;maxptime=20", 0.02, 0.02),
        ("ptime=20; minptime=10; maxptime=40", 0.06, 0.04),
    ],
)
def test_packet_times_among_the_format_parameters_are_kept(fmtp: str, ours: float, ptime: float) -> None:
    description = offer("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 opus/48000/2", f"a=fmtp:96 {fmtp}")
    assert make_answer(description, replace(CALLEE, ptime=ours), BOB)[1].audio.ptime == ptime


def test_a_high_bit_rate_shortens_packets_that_would_be_too_large() -> None:
    codec = side(Direction.SENDRECV, bitrate=510000).codecs[0]
    assert effective_ptime(codec, 0.02) == 0.01
    assert codec.encoded_size(480) <= 1140


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=60))
def test_any_format_parameters_are_read(text: str) -> None:
    found = codecs.find("opus", 48000, 2)
    assert found is not None
    for sends in (True, False):
        codec = found.negotiated(CALLER.codecs[0], text, sends=sends)
        assert codec.channels in (1, 2)
        assert 100 < codec.encoded_size(960) < 2000
