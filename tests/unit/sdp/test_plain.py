"""RTP without signalling: what its descriptions say, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from voip import cli, codecs
from voip.errors import NegotiationError, VoipError
from voip.media import Direction
from voip.sdp import Capabilities, Endpoint, SessionDescription
from voip.sdp.plain import describe, media_of

OURS = Endpoint("192.0.2.1", 5002, 0x11111111, 0x22222222, "ours", 1000)


def test_a_description_says_what_is_sent_and_asks_for_nothing() -> None:
    offered = tuple(codecs.offerable(["opus", "l16"], 48000, 1))
    capabilities = Capabilities(offered, repair_packets=5, plays=False)
    description = SessionDescription.parse(describe(capabilities, OURS).serialize())
    (media,) = description.media
    assert (media.formats, description.host(media), media.port) == (["96", "97"], "192.0.2.1", 5002)
    assert {"rtcp-mux", "rtcp-rsize", "sendrecv", "x-plays"}.isdisjoint(name for name, _ in media.attributes)
    theirs = media_of(description, Capabilities(capabilities.codecs, Direction.RECVONLY), OURS, None)
    assert (theirs.audio.codec.name, theirs.fec, theirs.remote, theirs.rtcp_mux) == (
        "opus",
        "flexfec",
        ("0.0.0.0", 0),
        False,
    )
    ours = media_of(description, capabilities, OURS, ("192.0.2.1", 5002))
    assert (ours.remote_ssrc, ours.remote_rtcp, ours.fec) == (None, ("192.0.2.1", 5003), "flexfec")


@pytest.mark.parametrize(
    "connection", ["c=IN IP4 192.0.2.1", "c=IN IP4 encoder.example", "c=IN IP6 [::1]", "c=IN IP4", ""]
)
def test_where_a_description_says_that_media_goes_is_not_needed_to_receive_it(connection: str) -> None:
    text = f"{connection}\nm=video 5000 RTP/AVP 96\nm=audio 5002 RTP/AVP 97\na=rtpmap:97 opus/48000\n"
    able = Capabilities(tuple(codecs.offerable(["opus"], 48000, 1)), Direction.RECVONLY)
    media = media_of(SessionDescription.parse(text.encode()), able, OURS, None)
    assert (str(media.audio.codec), media.remote, media.direction) == ("opus/48000/2", ("0.0.0.0", 0), able.direction)


def test_a_multicast_group_is_not_joined() -> None:
    text = "c=IN IP4 239.1.2.3/32\nm=audio 5002 RTP/AVP 0\n"
    able = Capabilities(tuple(codecs.offerable(["pcmu"], 48000, 1)), Direction.RECVONLY)
    with pytest.raises(NegotiationError):
        media_of(SessionDescription.parse(text.encode()), able, OURS, None)


@pytest.mark.parametrize("wrong", ["rtp://", "rtp://192.0.2.1", "rtp://:0", "rtp://:99999", "rtp://a:5004/x"])
def test_what_is_no_stream_is_refused_with_a_line(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.receiver_options([wrong])
    assert "STREAM" in capsys.readouterr().err


def test_a_file_that_is_no_description_is_refused_with_a_line(tmp_path: Path) -> None:
    for name, content in {
        "absent": None,
        "text": b"hello",
        "video": b"v=0\no=- 1 1 IN IP4 0\nm=video 9 RTP/AVP 0",
    }.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(VoipError, match=name):
            cli.read_plain_source(tmp_path / name)
