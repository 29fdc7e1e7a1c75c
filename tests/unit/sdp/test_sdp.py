"""Session descriptions: other programs' offers, our own, both roles, and input that is not SDP at all."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.descriptions import ALICE, ALL, BOB, DUPLEX, RECEIVER, SENDER, VECTORS, negotiate, offer, vector
from voip import codecs
from voip.errors import NegotiationError, ProtocolError
from voip.media import Direction, ExtendedReports
from voip.sdp import (
    Capabilities,
    Endpoint,
    PayloadTypes,
    SessionDescription,
    accept_answer,
    effective_ptime,
    make_answer,
    make_offer,
)
from voip.sdp.fec import ACCEPTED_REPAIR_WINDOW

# What other programs offer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "number", "remote", "ptime"),
    [
        ("baresip-l16", "L16/48000/1", 96, ("192.0.2.2", 10008), 0.01),
        ("baresip-default", "L16/48000/2", 97, ("192.0.2.2", 10090), 0.005),
        ("sipp-uac", "PCMU/8000/1", 0, ("127.0.0.1", 6000), 0.02),
        ("linphone", "PCMU/8000/1", 0, ("192.0.2.21", 7078), 0.02),
        ("asterisk", "PCMA/8000/1", 8, ("198.51.100.5", 17654), 0.02),
        ("freeswitch", "PCMU/8000/1", 0, ("203.0.113.40", 28514), 0.02),
        ("cisco-phone", "PCMU/8000/1", 0, ("192.0.2.88", 23456), 0.02),
        ("polycom-srtp-optional", "PCMU/8000/1", 0, ("192.0.2.90", 2232), 0.02),
        ("ffmpeg", "L16/48000/2", 97, ("192.0.2.30", 5004), 0.005),
        ("gstreamer", "L16/44100/1", 96, ("2001:db8::17", 5006), 0.0125),
        ("old-phone", "PCMA/8000/1", 8, ("192.0.2.51", 8000), 0.02),
    ],
)
def test_offers_of_other_programs_are_answered_with_one_codec(
    name: str, codec: str, number: int, remote: tuple[str, int], ptime: float
) -> None:
    answer, media = make_answer(vector(name), RECEIVER, BOB)
    assert (str(media.audio.codec), media.payload_type, media.remote, media.audio.ptime) == (
        codec,
        number,
        remote,
        ptime,
    )
    assert media.direction is Direction.RECVONLY
    assert media.fec is None
    used = [line for line in answer.media if line.port]
    assert [line.formats[0] for line in used] == [str(number)]
    assert used[0].formats[1:] == EVENTS.get(name, [])
    assert len(answer.media) == len(vector(name).media)
    assert used[0].value("ssrc") is None


EVENTS = {  # the telephone events that go with the codec
    "baresip-l16": ["101"],
    "baresip-default": ["109"],
    "linphone": ["100"],
    "asterisk": ["101"],
    "freeswitch": ["101"],
    "cisco-phone": ["101"],
    "polycom-srtp-optional": ["127"],
}


def test_the_answer_refuses_video_and_keeps_the_order_of_the_lines() -> None:
    answer, _ = make_answer(vector("linphone"), RECEIVER, BOB)
    assert [(line.kind, bool(line.port)) for line in answer.media] == [("audio", True), ("video", False)]
    answer, _ = make_answer(vector("polycom-srtp-optional"), RECEIVER, BOB)
    assert [(line.profile, bool(line.port)) for line in answer.media] == [("RTP/SAVP", False), ("RTP/AVP", True)]


def test_an_offer_of_encrypted_media_alone_is_refused_with_what_it_offered() -> None:
    with pytest.raises(NegotiationError, match=r"opus/48000.*SAVPF") as refusal:
        make_answer(vector("webrtc-gateway"), RECEIVER, BOB)
    assert refusal.value.status == 488


def test_the_ssrc_that_a_peer_announces_is_known() -> None:
    assert make_answer(vector("baresip-l16"), RECEIVER, BOB)[1].remote_ssrc == 2423496124
    assert make_answer(vector("sipp-uac"), RECEIVER, BOB)[1].remote_ssrc is None


def test_rtcp_goes_to_the_next_port_the_named_port_or_the_media_port() -> None:
    assert make_answer(vector("asterisk"), RECEIVER, BOB)[1].remote_rtcp == ("198.51.100.5", 17655)
    assert make_answer(vector("freeswitch"), RECEIVER, BOB)[1].remote_rtcp == ("203.0.113.40", 28515)
    other = offer("m=audio 4000 RTP/AVP 0", "a=rtcp:5000 IN IP4 192.0.2.77")
    assert make_answer(other, RECEIVER, BOB)[1].remote_rtcp == ("192.0.2.77", 5000)
    answer, media = make_answer(vector("baresip-default"), RECEIVER, BOB)
    assert (media.rtcp_mux, media.remote_rtcp) == (True, ("192.0.2.2", 10090))
    assert answer.media[0].value("rtcp-mux") == ""
    # RTCP of reduced size must not be used with RTP/AVP (RFC 5506 section 4.1); reports only where they are asked for.
    assert [answer.media[0].value(name) for name in ("rtcp-rsize", "rtcp-xr")] == [None, None]
    unread = make_answer(offer("m=audio 4000 RTP/AVP 0", "a=rtcp:x"), RECEIVER, BOB)
    assert unread[1].remote_rtcp == ("192.0.2.9", 4001)
    last = make_answer(offer("m=audio 65535 RTP/AVP 0"), RECEIVER, BOB)
    assert last[1].remote_rtcp is None
    assert last[0].media[0].value("rtcp-mux") is None


# Our own offers ------------------------------------------------------------------------------------------------------


def test_our_offer_names_codecs_in_order_with_static_and_dynamic_numbers() -> None:
    text = make_offer(SENDER, ALICE).serialize().decode()
    assert text.splitlines() == [
        "v=0",
        "o=- 1000 1 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "m=audio 5002 RTP/AVP 96 11 97 98 0 8 99 101 102",
        "a=rtpmap:96 L16/48000",
        "a=rtpmap:11 L16/44100",
        "a=rtpmap:97 L16/16000",
        "a=rtpmap:98 L16/8000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:99 flexfec/48000",
        "a=fmtp:99 repair-window=80000",
        "a=rtpmap:101 telephone-event/48000",
        "a=fmtp:101 0-15",
        "a=rtpmap:102 telephone-event/8000",
        "a=ptime:10",
        "a=sendonly",
        "a=ssrc:286331153 cname:alice@192.0.2.1",
        "a=ssrc:572662306 cname:alice@192.0.2.1",
        "a=ssrc-group:FEC-FR 286331153 572662306",
        "a=rtcp-mux",
        "a=rtcp-xr:pkt-loss-rle pkt-rcpt-times rcvr-rtt=all voip-metrics",
    ]


def test_sender_and_receiver_agree_on_all_that_both_know() -> None:
    sender, receiver = negotiate(SENDER, RECEIVER)
    assert str(sender.audio.codec) == str(receiver.audio.codec) == "L16/48000/1"
    assert (sender.payload_type, sender.fec_payload_type) == (receiver.payload_type, receiver.fec_payload_type)
    assert (sender.fec, receiver.fec, sender.fec_payload_type) == ("flexfec", "flexfec", 99)
    assert (sender.direction, receiver.direction) == (Direction.SENDONLY, Direction.RECVONLY)
    assert sender.remote == ("192.0.2.2", 5000)
    assert receiver.remote == ("192.0.2.1", 5002)
    assert sender.rtcp_mux is receiver.rtcp_mux is True
    assert (
        sender.rtcp_xr
        == receiver.rtcp_xr
        == ExtendedReports(loss_rle=True, receipts=True, round_trip="all", metrics=True)
    )
    assert (receiver.remote_ssrc, receiver.remote_fec_ssrc) == (sender.ssrc, sender.fec_ssrc)
    assert (sender.remote_ssrc, sender.remote_fec_ssrc) == (None, None)
    assert sender.repair_window == receiver.repair_window == 0.08
    assert sender.audio.ptime == receiver.audio.ptime == 0.01


def test_the_answer_of_a_receiver_accepts_flexfec_without_ssrc_lines() -> None:
    answer, _ = make_answer(make_offer(SENDER, ALICE), RECEIVER, BOB)
    line = answer.media[0]
    assert line.formats == ["96", "99", "101"]
    assert line.values("fmtp") == ["99 repair-window=80000", "101 0-15"]
    assert line.values("rtpmap") == ["96 L16/48000", "99 flexfec/48000", "101 telephone-event/48000"]
    assert line.values("ssrc") == line.values("ssrc-group") == []


def test_a_receiver_may_offer_and_a_sender_answer() -> None:
    receiver, sender = negotiate(RECEIVER, SENDER)
    assert (sender.direction, receiver.direction) == (Direction.SENDONLY, Direction.RECVONLY)
    assert sender.fec == receiver.fec == "flexfec"
    assert (receiver.repair_window, sender.send_repair_window) == (0.08, 0.08)
    assert (receiver.remote_ssrc, receiver.remote_fec_ssrc) == (BOB.ssrc, BOB.fec_ssrc)
    text = make_offer(RECEIVER, ALICE).serialize().decode()
    assert f"repair-window={round(ACCEPTED_REPAIR_WINDOW * 1e6)}" in text
    assert "a=ssrc" not in text


def test_two_duplex_ends_send_and_receive() -> None:
    one, two = negotiate(DUPLEX, DUPLEX)
    assert one.direction is two.direction is Direction.SENDRECV
    assert (one.remote_fec_ssrc, two.remote_fec_ssrc) == (BOB.fec_ssrc, ALICE.fec_ssrc)


@pytest.mark.parametrize(
    ("caller", "callee"),
    [
        (Capabilities(ALL, Direction.SENDONLY, fec=False), RECEIVER),
        (Capabilities(ALL, Direction.SENDONLY, fec=True, repair_packets=0), RECEIVER),
        (SENDER, Capabilities(ALL, Direction.RECVONLY, fec=False)),
        (RECEIVER, Capabilities(ALL, Direction.SENDONLY, fec=True, repair_packets=0)),
    ],
)
def test_fec_is_used_only_if_both_ends_want_it(caller: Capabilities, callee: Capabilities) -> None:
    for media in negotiate(caller, callee):
        assert (media.fec, media.fec_payload_type, media.remote_fec_ssrc, media.repair_window) == (None, None, None, 0)


def test_flexfec_of_any_clock_rate_is_accepted_and_the_draft_format_is_not() -> None:
    lines = ["m=audio 4000 RTP/AVP 0 110", "a=rtpmap:110 FlexFEC/90000", "a=fmtp:110 L=5; repair-window=150000"]
    answer, media = make_answer(offer(*lines), RECEIVER, BOB)
    assert (media.fec_payload_type, media.repair_window) == (110, 0.15)
    assert answer.media[0].values("rtpmap")[1] == "110 flexfec/90000"
    lines[1] = "a=rtpmap:110 flexfec-03/90000"
    assert make_answer(offer(*lines), RECEIVER, BOB)[1].fec is None


def test_the_version_of_a_description_is_that_of_the_endpoint() -> None:
    again = Endpoint("192.0.2.1", 5002, 1, 2, "c", 1000, session_version=7)
    assert b"o=- 1000 7 IN IP4 192.0.2.1\r\n" in make_offer(SENDER, again).serialize()


def test_ipv6_addresses_are_announced_as_such() -> None:
    six = Endpoint("2001:db8::5", 5002, 1, 2, "c", 9)
    text = make_offer(SENDER, six).serialize()
    assert b"c=IN IP6 2001:db8::5\r\n" in text
    assert make_answer(SessionDescription.parse(text), RECEIVER, BOB)[1].remote == ("2001:db8::5", 5002)


# Direction and hold --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "ours", "agreed"),
    [
        ("sendrecv", RECEIVER, "recvonly"),
        ("sendonly", RECEIVER, "recvonly"),
        ("recvonly", RECEIVER, "inactive"),
        ("inactive", RECEIVER, "inactive"),
        ("sendrecv", SENDER, "sendonly"),
        ("recvonly", SENDER, "sendonly"),
        ("sendonly", SENDER, "inactive"),
        ("sendonly", DUPLEX, "recvonly"),
        ("inactive", DUPLEX, "inactive"),
    ],
)
def test_the_answer_does_what_both_can(offered: str, ours: Capabilities, agreed: str) -> None:
    for lines in (["m=audio 4000 RTP/AVP 0", f"a={offered}"], [f"a={offered}", "m=audio 4000 RTP/AVP 0"]):
        answer, media = make_answer(offer(*lines), ours, BOB)
        assert media.direction.value == agreed
        assert answer.media[0].value(agreed) == ""


def test_an_address_of_zeros_puts_on_hold() -> None:
    held = vector("hold-rfc2543")
    assert make_answer(held, SENDER, BOB)[1].direction is Direction.INACTIVE
    assert make_answer(held, RECEIVER, BOB)[1].direction is Direction.RECVONLY


@pytest.mark.parametrize(("answered", "agreed"), [("sendrecv", "sendonly"), ("inactive", "inactive")])
def test_an_answer_cannot_make_us_do_what_we_did_not_offer(answered: str, agreed: str) -> None:
    answer = offer("m=audio 4000 RTP/AVP 0", f"a={answered}")
    assert accept_answer(make_offer(SENDER, ALICE), answer, SENDER, ALICE).direction.value == agreed


# Answers of others to us ---------------------------------------------------------------------------------------------


def test_an_answer_with_several_codecs_means_its_first_one_of_ours() -> None:
    answer = offer("m=audio 4000 RTP/AVP 9 8 0 101", "a=rtpmap:101 telephone-event/8000", "a=ptime:30")
    media = accept_answer(make_offer(SENDER, ALICE), answer, SENDER, ALICE)
    assert (str(media.audio.codec), media.payload_type, media.audio.ptime, media.fec) == ("PCMA/8000/1", 8, 0.03, None)
    assert (media.rtcp_mux, media.remote_rtcp) == (False, ("192.0.2.9", 4001))


def test_an_answer_without_rtpmap_is_understood_by_the_offer() -> None:
    media = accept_answer(make_offer(SENDER, ALICE), offer("m=audio 4000 RTP/AVP 97"), SENDER, ALICE)
    assert (str(media.audio.codec), media.payload_type) == ("L16/16000/1", 97)


def test_an_answer_with_other_numbers_is_sent_these_and_sends_us_ours() -> None:
    answer = offer(
        "m=audio 4000 RTP/AVP 120 121",
        "a=rtpmap:120 L16/48000",
        "a=rtpmap:121 flexfec/48000",
        "a=fmtp:121 repair-window=50000",
    )
    sending = accept_answer(make_offer(SENDER, ALICE), answer, SENDER, ALICE)
    assert (sending.payload_type, sending.fec_payload_type, sending.send_repair_window) == (120, 121, 0.05)
    assert (sending.arriving_payload_type, sending.arriving_fec_payload_type) == (96, 99)
    receiving = accept_answer(make_offer(RECEIVER, ALICE), answer, RECEIVER, ALICE)
    assert (receiving.arriving_payload_type, receiving.arriving_fec_payload_type) == (96, 99)
    assert receiving.repair_window == 0.05


@pytest.mark.parametrize(
    "lines",
    [
        ["m=audio 0 RTP/AVP 0"],
        ["m=video 4000 RTP/AVP 0"],
        ["m=audio 4000 RTP/AVP 9 18"],
        ["m=audio 4000 RTP/AVP 96", "a=rtpmap:96 L16/32000"],
        ["m=audio 4000 RTP/SAVP 0"],
        ["m=audio 4000 RTP/AVP 0", "c=IN IP4 phone.example.com"],
    ],
)
def test_an_answer_that_takes_nothing_of_the_offer_is_an_error(lines: list[str]) -> None:
    with pytest.raises(NegotiationError):
        accept_answer(make_offer(SENDER, ALICE), offer(*lines), SENDER, ALICE)


# Details -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        ["m=audio 0 RTP/AVP 0"],
        ["m=video 4000 RTP/AVP 96"],
        ["m=audio 4000 RTP/AVP"],
        ["m=audio 4000 RTP/AVP 18 \x1b[31m 300", "a=rtpmap:300 PCMU/8000"],
        ["m=audio 4000 RTP/AVP 0", "a=rtpmap:0 speex/8000"],
        ["m=audio 4000 RTP/AVP 0", "c=IN IP4 phone.example.com"],
        ["m=audio 4000 RTP/AVP 0", "c=IN IP4 239.1.1.1/32"],
    ],
)
def test_an_offer_without_a_usable_line_is_refused_in_one_printable_line(lines: list[str]) -> None:
    with pytest.raises(NegotiationError) as refusal:
        make_answer(offer(*lines), RECEIVER, BOB)
    assert str(refusal.value).isprintable()


def test_only_the_codecs_that_we_name_are_taken_but_at_any_rate() -> None:
    lines = ["m=audio 4000 RTP/AVP 0 96", "a=rtpmap:96 L16/32000/2"]
    only_l16 = Capabilities(tuple(codecs.offerable(["l16"], 48000, 1)), Direction.RECVONLY)
    assert str(make_answer(offer(*lines), only_l16, BOB)[1].audio.codec) == "L16/32000/2"


@pytest.mark.parametrize(
    ("attributes", "ptime"),
    [
        ([], 0.02),
        (["a=ptime:60"], 0.06),
        (["a=ptime:2.5"], 0.0025),
        (["a=ptime:0"], 0.02),
        (["a=ptime:1"], 0.02),
        (["a=ptime:9999"], 0.02),
        (["a=ptime:-20"], 0.02),
        (["a=ptime:nan"], 0.02),
        (["a=ptime:40", "a=maxptime:30"], 0.03),
        (["a=maxptime:10"], 0.01),
    ],
)
def test_the_packet_time_is_what_the_peer_asks_for_within_reason(attributes: list[str], ptime: float) -> None:
    assert make_answer(offer("m=audio 4000 RTP/AVP 0", *attributes), SENDER, BOB)[1].audio.ptime == ptime
    assert make_answer(offer(*attributes, "m=audio 4000 RTP/AVP 0"), SENDER, BOB)[1].audio.ptime == ptime


@pytest.mark.parametrize(
    ("rate", "channels", "ptime"),
    [(48000, 1, 0.01), (48000, 2, 0.005), (44100, 2, 0.005), (16000, 1, 0.02), (192000, 2, 0.001), (8000, 1, 0.02)],
)
def test_l16_is_cut_so_that_a_repair_packet_fits_into_a_datagram(rate: int, channels: int, ptime: float) -> None:
    codec = codecs.find("L16", rate, channels)
    assert codec is not None
    assert effective_ptime(codec, 0.02) == ptime
    assert codec.encoded_size(round(rate * ptime)) <= 1140


def test_long_packets_are_cut_no_more_than_needed() -> None:
    pcmu, l16 = codecs.find("PCMU", 8000, 1), codecs.find("L16", 16000, 1)
    assert pcmu is not None
    assert l16 is not None
    assert (effective_ptime(pcmu, 0.2), effective_ptime(l16, 0.06)) == (0.06, 0.03)


def test_the_first_fec_group_names_the_ssrcs() -> None:
    lines = ["m=audio 4000 RTP/AVP 0 110", "a=rtpmap:110 flexfec/8000", "a=fmtp:110 repair-window=40000"]
    ssrcs = ["a=ssrc:7 cname:x", "a=ssrc:9 cname:x", "a=ssrc-group:FID 1 2", "a=ssrc-group:FEC-FR 9 7"]
    media = make_answer(offer(*lines, *ssrcs), RECEIVER, BOB)[1]
    assert (media.remote_ssrc, media.remote_fec_ssrc) == (9, 7)
    bad = make_answer(offer(*lines, "a=ssrc:4294967296 cname:x"), RECEIVER, BOB)[1]
    assert bad.remote_ssrc is None


# Reading -------------------------------------------------------------------------------------------------------------

MINIMAL = "v=0\no=- 1 1 IN IP4 192.0.2.9\nc=IN IP4 192.0.2.9\nm=audio 4000 RTP/AVP 0\n"


def test_line_ends_and_trailing_space_do_not_matter() -> None:
    plain = SessionDescription.parse(MINIMAL.encode())
    for text in (MINIMAL.replace("\n", "\r\n"), MINIMAL.replace("\n", " \t\n"), MINIMAL.strip(), MINIMAL + "\n\n"):
        assert SessionDescription.parse(text.encode()) == plain


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "v=0 is not here\nm = audio\n",
        "v=1\n" + MINIMAL[4:],
        "a=sendrecv\no=- 1 1 IN IP4 192.0.2.9\n",
        MINIMAL + "a=x\n" * 1000,
        MINIMAL + "m=audio 0 RTP/AVP 0\n" * 100,
    ],
)
def test_what_is_no_description_or_beyond_a_limit_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        SessionDescription.parse(text.encode())


@pytest.mark.parametrize(
    ("text", "skipped"),
    [
        ("SDP:\n" + MINIMAL, 1),
        ("\ufeff" + MINIMAL, 0),
        (MINIMAL[4:], 0),
        (MINIMAL.replace("o=- 1 1 IN IP4 192.0.2.9\n", ""), 0),
        (MINIMAL.replace("o=- 1 1 IN", "o=- 1 IN"), 1),
        ("c=IN IP4 192.0.2.9\nm=audio 4000 RTP/AVP 0\n", 0),
        (MINIMAL + "nonsense\n", 1),
        (MINIMAL + "a", 1),
        (MINIMAL + "a = sendrecv\n", 0),
        (MINIMAL + "=\n==\n\x1b[31m\n", 3),
        ("c=ATM NSAP 1\n" + MINIMAL, 1),
        (MINIMAL + "c=IN IP4\nb=AS\nb=AS:-1\nb=:5\n", 3),
        (MINIMAL + "m=video 65536 RTP/AVP 96\nm=video 4000\nm=\n", 3),
        (MINIMAL + "m=video 4000 RTP/AVP " + " ".join(map(str, range(65))), 1),
        (MINIMAL + "a=rtpmap:96 L16/48000000000\na=ptime:20000000000\na=ssrc:42949672960 cname:x\n", 0),
        (MINIMAL + "".join(f"a=candidate:{i} 1 UDP 1 192.0.2.9 {i} typ host\n" for i in range(300)), 0),
    ],
)
def test_what_the_call_does_not_need_is_passed_over_and_counted(text: str, skipped: int) -> None:
    parsed = SessionDescription.parse(text.encode())
    assert (parsed.skipped, len(parsed.notes)) == (skipped, skipped)
    assert all(note.isprintable() for note in parsed.notes)
    answer, media = make_answer(parsed, RECEIVER, BOB)
    assert (str(media.audio.codec), media.remote) == ("PCMU/8000/1", ("192.0.2.9", 4000))
    assert len(answer.media) == len(parsed.media)


def test_only_the_first_of_many_unreadable_lines_are_told() -> None:
    parsed = SessionDescription.parse((MINIMAL + "x" * 200 + "\n" + "grmpf\n" * 300).encode())
    assert parsed.skipped == 301
    assert parsed.notes == ["x" * 60] + ["grmpf"] * 9


@pytest.mark.parametrize("line", ["m=audio 65536 RTP/AVP 0", "m=audio -1 RTP/AVP 0", "m=audio \uff14\uff10 RTP/AVP 0"])
def test_the_audio_of_an_unreadable_line_is_refused_but_not_the_rest(line: str) -> None:
    parsed = SessionDescription.parse(MINIMAL.replace("m=audio 4000 RTP/AVP 0", line).encode())
    with pytest.raises(NegotiationError):
        make_answer(parsed, RECEIVER, BOB)
    both = SessionDescription.parse((MINIMAL.replace("m=audio 4000 RTP/AVP 0", line) + MINIMAL[-23:]).encode())
    answer, media = make_answer(both, RECEIVER, BOB)
    assert [line.port for line in answer.media] == [0, 5000]
    assert media.remote == ("192.0.2.9", 4000)


@pytest.mark.parametrize("text", [MINIMAL[: MINIMAL.index("m=")], "v=0\n", "v=0\ns=x\nt=0 0\n"])
def test_a_description_without_media_is_one_but_offers_nothing(text: str) -> None:
    """RFC 3264 section 5 allows no media line at all; with nothing to send or receive there is no call."""
    with pytest.raises(NegotiationError) as refusal:
        make_answer(SessionDescription.parse(text.encode()), RECEIVER, BOB)
    assert refusal.value.status == 488


@pytest.mark.parametrize(
    ("rtpmap", "codec"),
    [
        ("0 PCMU/8000/1", "PCMU/8000/1"),
        ("0\tpcmu/8000", "PCMU/8000/1"),
        ("0 PCMU/80", "PCMU/8000/1"),
        ("0 PC", "PCMU/8000/1"),
        ("9 G722/16000", "G722/8000/1"),
        ("96 opus/48000/2", "opus/48000/2"),
        ("96 opus/48000", "opus/48000/2"),
        ("96 OPUS/48000/1", "opus/48000/2"),
    ],
)
def test_codecs_are_known_however_their_rtpmap_is_written(rtpmap: str, codec: str) -> None:
    able = Capabilities(tuple(codecs.offerable(["opus", "g722", "pcmu"], 48000, 1)))
    media = make_answer(offer(f"m=audio 4000 RTP/AVP {rtpmap.split()[0]}", f"a=rtpmap:{rtpmap}"), able, BOB)[1]
    assert str(media.audio.codec) == codec


@pytest.mark.parametrize("fmtp", ["98 repair-window=200000", "98; repair-window=200000", "98:repair-window:200000"])
def test_the_repair_window_is_read_as_the_examples_of_its_rfc_have_it(fmtp: str) -> None:
    lines = ["m=audio 4000 RTP/AVP 0 98", "a=rtpmap:98 flexfec/8000", f"a=fmtp:{fmtp}"]
    assert make_answer(offer(*lines), RECEIVER, BOB)[1].repair_window == 0.2


def test_the_longest_description_is_read_and_answered_without_delay() -> None:
    """Work that a stranger asks for by one datagram: media of other calls must not wait for it."""
    formats = " ".join(str(number) for number in range(64, 128))
    lines = [f"m=audio 4000 RTP/AVP {formats}", *(f"a=rtpmap:{number % 30} x/8000" for number in range(990))]
    began = time.process_time()
    for _ in range(5):
        with pytest.raises(NegotiationError):
            make_answer(offer(*lines), DUPLEX, BOB)
    assert (time.process_time() - began) / 5 < 0.1  # takes about 15 ms


def test_numbers_that_are_not_read_may_be_long() -> None:
    parsed = SessionDescription.parse(
        (MINIMAL + "a=ssrc:1 cname:12345678901234567890\n").replace("- 1 1", "- 4611731400430051336 1").encode()
    )
    assert parsed.session_id == "4611731400430051336"


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.sdp")), ids=lambda path: str(path.stem))
def test_writing_and_reading_again_changes_nothing(path: Path) -> None:
    parsed = SessionDescription.parse(path.read_bytes())
    assert SessionDescription.parse(parsed.serialize()) == parsed


TOKENS = ["RTP/AVP", "RTP/SAVP", "IN", "IP4", "IP6", "192.0.2.9", "::", "[::1]", "host.example", "audio", "video"]
TOKENS += ["4000", "0", "96", "-", "x", "AS:64", "TIAS:0", "RR:0", "RS:0"]
ATTRIBUTES = ["rtpmap:96 L16/48000/2", "rtpmap:96 flexfec/8000", "fmtp:96 repair-window=9", "ptime:1", "recvonly"]
ATTRIBUTES += ["rtcp-rsize", "rtcp-xr:", "rtcp-xr:voip-metrics rcvr-rtt=all:= pkt-loss-rle=12 voip-metrics", "rtcp-xr"]
ATTRIBUTES += ["RecvOnly", "x-plays:no", "fmtp:96; repair-window:9", "fmtp:101 0-15,99-3,-", "rtpmap:96 opus/48000"]
ATTRIBUTES += ["rtpmap:101 telephone-event/8000", "rtpmap:9 G722/16000"]
ATTRIBUTES += ["rtcp-xr:rcvr-rtt=sender:9 stat-summary=loss,x"]
ATTRIBUTES += ["rtcp:1", "rtcp-mux", "ssrc:1 cname:x", "ssrc-group:FEC-FR 1 2", "rtpmap:", "rtpmap:96 /", ":", ""]
WORDS = st.lists(st.sampled_from(TOKENS) | st.text(max_size=6), max_size=7).map(" ".join)
LINES = st.one_of(
    st.tuples(st.sampled_from("oscmtbkv"), WORDS).map("=".join),
    st.builds("{} ={}".format, st.sampled_from("ocmtba"), WORDS),
    st.text(max_size=8),
    st.builds("m=audio {} RTP/AVP {}".format, st.integers(0, 65536), WORDS),
    st.builds("a={}".format, st.sampled_from(ATTRIBUTES) | st.text(max_size=12)),
)


def check(data: bytes) -> None:
    """A value or ProtocolError; a value survives the wire and is negotiated, or refused with NegotiationError."""
    try:
        parsed = SessionDescription.parse(data)
    except ProtocolError:
        return
    assert SessionDescription.parse(parsed.serialize()) == parsed
    before = make_answer(offer("m=audio 4000 RTP/AVP 0"), DUPLEX, BOB)[1]
    for capabilities, agreed in ((RECEIVER, None), (DUPLEX, None), (DUPLEX, before)):
        try:
            answer, _ = make_answer(parsed, capabilities, BOB, agreed)
        except NegotiationError:
            continue
        assert SessionDescription.parse(answer.serialize()) == answer
        assert len(answer.media) == len(parsed.media)
    numbers = PayloadTypes()
    numbers.remember(parsed)
    (line,) = make_offer(DUPLEX, ALICE, numbers).media
    assert len(set(line.formats)) == len(line.formats) == len(make_offer(DUPLEX, ALICE).media[0].formats)
    with contextlib.suppress(NegotiationError):
        accept_answer(make_offer(DUPLEX, ALICE), parsed, DUPLEX, ALICE)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_a_protocol_error(data: bytes) -> None:
    check(data)


@settings(deadline=None, max_examples=300)
@given(st.lists(LINES, max_size=12), st.booleans())
def test_anything_like_sdp_is_read_and_negotiated_without_surprises(lines: list[str], complete: bool) -> None:
    check("\n".join(([MINIMAL.strip()] if complete else ["v=0"]) + lines).encode("utf-8", "surrogatepass"))


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(sorted(VECTORS.glob("*.sdp"))), st.integers(0, 900), st.binary(max_size=4), st.integers(0, 4))
def test_damaged_descriptions_are_read_or_refused(path: Path, place: int, inserted: bytes, removed: int) -> None:
    data = path.read_bytes()
    place %= len(data)
    check(data[:place] + inserted + data[place + removed :])
