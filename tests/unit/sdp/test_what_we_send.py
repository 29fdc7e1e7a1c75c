"""A peer chooses among what our source has: it cannot make us send more."""

from __future__ import annotations

import pytest

from tests.support.descriptions import BOB, offer
from voip import codecs
from voip.errors import NegotiationError
from voip.media import Direction, NegotiatedMedia
from voip.sdp import Capabilities, make_answer


def answered(*lines: str, direction: Direction = Direction.SENDRECV, rate: int = 48000) -> NegotiatedMedia:
    """What comes of these lines where our source is mono."""
    ours = Capabilities(tuple(codecs.offerable(["opus", "l16", "g722", "pcmu"], rate, 1)), direction)
    return make_answer(offer(*lines), ours, BOB)[1]


WIDE = ("m=audio 4000 RTP/AVP 96 97 0", "a=rtpmap:96 L16/192000/2", "a=rtpmap:97 L16/48000/2")


def test_s9_the_first_format_that_our_source_has_is_sent() -> None:
    media = answered(*WIDE)
    assert (str(media.audio.codec), media.direction) == ("PCMU/8000/1", Direction.SENDRECV)


@pytest.mark.parametrize("rtpmap", ["L16/192000/1", "L16/48000/2", "L16/96000/2", "PCMU/16000", "PCMU/8000/2"])
def test_s9_what_is_too_wide_to_send_is_played_but_not_sent(rtpmap: str) -> None:
    lines = ("m=audio 4000 RTP/AVP 96", f"a=rtpmap:96 {rtpmap}")
    media = answered(*lines)
    assert media.direction is Direction.RECVONLY
    assert str(media.audio.codec).startswith(rtpmap)


@pytest.mark.parametrize("direction", [Direction.SENDONLY, Direction.SENDRECV])
def test_s9_a_listener_that_wants_more_than_our_source_has_is_refused(direction: Direction) -> None:
    with pytest.raises(NegotiationError) as refusal:
        answered("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 L16/192000/2", "a=recvonly", direction=direction)
    assert "L16/192000/2" in str(refusal.value)


@pytest.mark.parametrize("rtpmap", ["opus/48000/2", "L16/8000", "L16/44100", "L16/48000"])
def test_formats_within_our_source_are_sent(rtpmap: str) -> None:
    media = answered("m=audio 4000 RTP/AVP 96", f"a=rtpmap:96 {rtpmap}")
    assert media.direction is Direction.SENDRECV


def test_who_only_listens_takes_any_rate() -> None:
    assert str(answered(*WIDE, direction=Direction.RECVONLY).audio.codec) == "L16/192000/2"
    assert str(answered(*WIDE, "a=sendonly").audio.codec) == "L16/192000/2"
