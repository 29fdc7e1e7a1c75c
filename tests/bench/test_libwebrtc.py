"""What the call of libwebrtc says in its descriptions; the call itself is a benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.libwebrtc import limited, only_opus, publish

OFFER = "\r\n".join(
    (
        "v=0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 110",
        "c=IN IP4 0.0.0.0",
        "a=rtpmap:111 opus/48000/2",
        "a=rtcp-fb:111 transport-cc",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=rtpmap:63 red/48000/2",
        "a=fmtp:63 111/111",
        "a=rtpmap:9 G722/8000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:110 telephone-event/48000",
        "a=mid:0",
        "",
    )
)


def test_an_offer_is_reduced_to_opus() -> None:
    lines = only_opus(OFFER, red=False).split("\r\n")
    assert lines == [
        "v=0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=rtpmap:111 opus/48000/2",
        "a=rtcp-fb:111 transport-cc",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=mid:0",
        "",
    ]


def test_red_comes_first_with_opus_in_it() -> None:
    lines = only_opus(OFFER, red=True).split("\r\n")
    assert lines[1] == "m=audio 9 UDP/TLS/RTP/SAVPF 63 111"
    assert "a=fmtp:63 111/111" in lines
    assert not any("G722" in line or "telephone" in line for line in lines)


def test_the_answer_limits_opus_and_nothing_else() -> None:
    before, after = OFFER.split("\r\n"), limited(OFFER).split("\r\n")
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [(before[5], "a=fmtp:111 minptime=10;useinbandfec=1;maxaveragebitrate=24000")]
    with pytest.raises(StopIteration):
        limited("v=0")


def test_a_description_is_there_whole(tmp_path: Path) -> None:
    publish(tmp_path / "offer.sdp", OFFER)
    assert (tmp_path / "offer.sdp").read_bytes().decode() == OFFER
    assert [path.name for path in tmp_path.iterdir()] == ["offer.sdp"]
