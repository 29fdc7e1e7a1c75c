"""Whole calls with Opus in virtual time: to the last sample, over losses, repaired by FlexFEC or in-band."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.support.call import FEC_PAYLOAD_TYPE, Call, CallResult, Link, media
from tests.support.voice import voice
from tests.support.wavdiff import compare
from voip import codecs
from voip.codecs import Codec, Pcm
from voip.rtp import RtpPacket
from voip.stats import PathReport

pytestmark = pytest.mark.skipif(codecs.missing("opus") is not None, reason=str(codecs.missing("opus")))

RATE = 48000
SECONDS = 6.0


def known(bitrate: int = 24000) -> Codec:
    (codec,) = codecs.offerable(["opus"], RATE, 1, bitrate)
    return replace(codec, remote_fmtp="useinbandfec=1")


@pytest.fixture(scope="module")
def spoken() -> Pcm:
    return voice(RATE, SECONDS)


def called(
    spoken: Pcm,
    *,
    loss: float = 0.0,
    drop: Callable[[RtpPacket], bool] | None = None,
    fec: str = "off",
    in_band: bool = False,
    bitrate: int = 24000,
) -> CallResult:
    both = Call(Link(loss=loss, drop=drop), media(known(bitrate), fec=fec), fec=fec, latency=0.1)
    both.sender.report(PathReport(both.now, loss if in_band else 0.0, 0, 65536, 0.0))
    both.talk(spoken)
    return both.end()


def quality(result: CallResult) -> float:
    """Signal to noise in dB, of what was heard against what was sent."""
    difference = compare(result.sent, result.heard, RATE)
    assert difference.compared > SECONDS - 0.1
    return difference.snr


def test_a_call_without_losses_is_decoded_as_it_was_encoded(spoken: Pcm) -> None:
    result = called(spoken)
    encoder, decoder = known().encoder(), known().decoder()
    frames = [decoder.decode(encoder.encode(spoken[at : at + 960])) for at in range(0, len(spoken), 960)]
    alone = np.concatenate(frames)
    start = next(i for i in range(len(result.heard)) if np.array_equal(result.heard[i : i + 4800], alone[:4800]))
    assert np.array_equal(result.heard[start : start + len(alone)], alone)
    assert (result.stats.lost, result.stats.playout.concealed) == (0, 0)
    assert result.sender.ip_bytes * 8 / SECONDS == pytest.approx(40_000, rel=0.05)


def test_packets_of_varying_size_are_rebuilt_by_flexfec_to_the_last_bit(spoken: Pcm) -> None:
    def lost(packet: RtpPacket) -> bool:
        return packet.payload_type != FEC_PAYLOAD_TYPE and packet.sequence_number % 10 == 3

    clean, lossy = called(spoken), called(spoken, fec="4", drop=lost)
    assert lossy.stats.recovered == lossy.stats.lost >= 29
    assert lossy.stats.playout.concealed == 0
    assert np.array_equal(lossy.heard[: len(clean.heard)], clean.heard[: len(lossy.heard)])


def test_in_band_fec_helps_where_nothing_else_does(spoken: Pcm) -> None:
    plain = called(spoken, loss=0.1, bitrate=32000)
    helped = called(spoken, loss=0.1, in_band=True, bitrate=32000)
    assert plain.stats.lost == helped.stats.lost > 15
    assert plain.stats.recovered == helped.stats.recovered == 0
    assert quality(helped) > quality(plain) + 1.0
