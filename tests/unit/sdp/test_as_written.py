"""Descriptions as other programs write them, by the letter or not: what is meant is what counts."""

from __future__ import annotations

import pytest

from tests.support.descriptions import BOB, DUPLEX, RECEIVER, offer
from voip.media import Direction
from voip.sdp import SessionDescription, make_answer


@pytest.mark.parametrize(
    ("lines", "direction"),
    [
        (["c=IN IP4 000.000.000.000"], Direction.RECVONLY),
        (["c=IN IP6 ::"], Direction.RECVONLY),
        (["c=IN IP6 ::ffff:0.0.0.0", "a=sendrecv"], Direction.RECVONLY),
        (["c=IN IP4 0.0.0.0", "a=recvonly"], Direction.INACTIVE),
        (["c=IN IP4 0.0.0.0", "a=inactive"], Direction.INACTIVE),
        (["b=AS:0"], Direction.RECVONLY),
    ],
)
def test_each_way_of_holding_stops_what_we_send(lines: list[str], direction: Direction) -> None:
    assert make_answer(offer("m=audio 4000 RTP/AVP 0", *lines), DUPLEX, BOB)[1].direction is direction


def test_a_description_that_is_cut_off_behind_its_media_line_means_what_is_left() -> None:
    """A Content-Length that is too small (RFC 3261 section 18.3 drops what is beyond)."""
    kept = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101"
    rest = b"\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
    for size in range(len(rest) + 1):
        media = make_answer(SessionDescription.parse(kept + rest[:size]), RECEIVER, BOB)[1]
        assert (media.remote, str(media.audio.codec), media.packet_time) == (("192.0.2.9", 4000), "PCMU/8000/1", 0.02)


@pytest.mark.parametrize("attribute", ["a=RecvOnly", "a = recvonly", "A=recvonly".replace("A", "a"), "a= recvonly "])
def test_the_direction_is_read_however_it_is_written(attribute: str) -> None:
    media = make_answer(offer("m=audio 4000 RTP/AVP 0", attribute), DUPLEX, BOB)[1]
    assert media.direction is Direction.SENDONLY


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["M=AUDIO 4000 rtp/avp 0", "C=IN IP4 192.0.2.5"], id="capitals and small letters"),
        pytest.param(["m= audio\t4000  RTP/AVP 0 ", "c=in ip4 192.0.2.5 "], id="spaces"),
        pytest.param(["m=audio 4000/1 RTP/AVP 300 x 0 0", "c=IN IP4 192.0.2.5/127"], id="formats that are none"),
        pytest.param(["m=audio 4000 RTP/AVP 0", "c=IN IP4 192.000.002.005"], id="zeros before numbers"),
        pytest.param(["m=audio 4000 RTP/AVP 0", "c=IN IP6 192.0.2.5"], id="the other version named"),
        pytest.param(["", "m=audio 4000 RTP/AVP 0", "", "c=IN IP4 192.0.2.5", "\0\0"], id="empty lines, NUL"),
        pytest.param(["m=audio 4000 RTP/AVP 0", "c=IN IP4 192.0.2.5", "a=x:" + "y" * 60_000], id="60 kB in a line"),
    ],
)
def test_a_line_is_read_however_it_is_written(lines: list[str]) -> None:
    answer, media = make_answer(offer(*lines), RECEIVER, BOB)
    assert (media.remote, media.payload_type) == (("192.0.2.5", 4000), 0)
    assert [(line.kind, bool(line.port)) for line in answer.media] == [("audio", True)]


def test_an_ipv6_address_in_brackets_is_one() -> None:
    held = offer("m=audio 4000 RTP/AVP 0", "c=IN IP6 [2001:db8::5]")
    assert make_answer(held, RECEIVER, BOB)[1].remote == ("2001:db8::5", 4000)
