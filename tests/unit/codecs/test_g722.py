"""G.722 against another implementation of it, its odd clock, and losses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.call import Call, Link, media
from tests.support.voice import speech, voice
from tests.support.wav import load
from tests.support.wavdiff import compare
from voip import codecs
from voip.codecs import Codec, Pcm
from voip.errors import VoipError
from voip.sdp import effective_ptime

needs_library = pytest.mark.skipif(codecs.missing("g722") is not None, reason=str(codecs.missing("g722")))
VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "g722"
RATE = 16000
FRAME = 320
SNR = 24.0  # dB that speech keeps: 4 bits a sample


def known() -> Codec:
    codec = codecs.find("g722", 8000, 1)
    assert codec is not None
    return codec


def payloads(sound: Pcm) -> list[bytes]:
    encoder = known().encoder()
    return [encoder.encode(sound[at : at + FRAME]) for at in range(0, len(sound), FRAME)]


@needs_library
def test_what_is_encoded_is_bit_for_bit_what_another_program_makes_of_it() -> None:
    assert b"".join(payloads(voice(RATE, 0.6))) == (VECTORS / "voice.g722").read_bytes()


@needs_library
def test_what_is_decoded_is_sample_for_sample_what_another_program_makes_of_it() -> None:
    stream, decoder = (VECTORS / "voice.g722").read_bytes(), known().decoder()
    heard = np.concatenate([decoder.decode(stream[at : at + 160]) for at in range(0, len(stream), 160)])
    expected, rate = load(VECTORS / "voice.wav")
    assert rate == RATE
    assert np.array_equal(heard, expected)


@needs_library
def test_speech_keeps_24_db() -> None:
    said, decoder = speech(RATE, 2.0), known().decoder()
    heard = np.concatenate([decoder.decode(payload) for payload in payloads(said)])
    difference = compare(said, heard, RATE)
    assert difference.holes == 0
    assert difference.snr >= SNR, difference


def test_its_clock_runs_at_half_its_sample_rate_as_rfc_3551_says() -> None:
    codec = codecs.static(9)
    assert codec == known()
    assert codec is not None
    assert (codec.clock_rate, codec.sample_rate, codec.channels) == (8000, RATE, 1)
    assert str(codec) == "G722/8000/1"
    assert codecs.find("G722", 16000, 1) is None
    assert codecs.find("G722", 8000, 2) is None
    assert codecs.offerable(["g722"], 48000, 2) == [codec]


@pytest.mark.parametrize("ptime", [0.0025, 0.01, 0.02, 0.03, 0.1])
def test_any_usual_packet_time_is_kept(ptime: float) -> None:
    assert effective_ptime(known(), ptime) == ptime


@needs_library
def test_a_packet_is_as_long_as_announced_also_with_an_odd_number_of_samples() -> None:
    encoder = known().encoder()
    for samples in (FRAME, 321, 1):
        assert len(encoder.encode(np.zeros((samples, 1), np.int16))) == known().encoded_size(samples)


@needs_library
@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=400))
def test_any_octets_are_some_sound(payload: bytes) -> None:
    assert known().decoder().decode(payload).shape == (2 * len(payload), 1)


@needs_library
def test_after_a_hole_the_sound_is_soon_what_it_was() -> None:
    said = voice(RATE, 2.0)
    stream, whole, broken = payloads(said), known().decoder(), known().decoder()
    reference = [whole.decode(payload) for payload in stream]
    heard = [
        broken.conceal(FRAME, None) if index == 40 else broken.decode(payload) for index, payload in enumerate(stream)
    ]
    assert np.abs(heard[40]).max() > 0
    settled = slice(50, None)  # 200 ms later
    difference = compare(np.concatenate(reference[settled]), np.concatenate(heard[settled]), RATE)
    assert difference.snr >= 30.0, difference


@needs_library
def test_a_call_of_it_is_heard_without_a_hole_over_both_wraps() -> None:
    call = Call(agreed=media(known()))
    call.talk(speech(RATE, 6.0))
    result = call.end()
    assert (result.stats.lost, result.stats.playout.concealed, result.stats.playout.underruns) == (0, 0, 0)
    assert compare(result.sent, result.heard, RATE).snr >= SNR


@needs_library
def test_lost_packets_of_it_are_rebuilt_and_counted_in_its_clock() -> None:
    link = Link(loss=0.05, seed=5)
    call = Call(link, media(known(), fec="sliding:0,1,3/2"), fec="sliding:0,1,3/2", latency=0.12)
    call.talk(voice(RATE, 10.0))
    stats = call.end().stats
    assert stats.lost == link.lost > 10
    assert stats.recovered >= 0.9 * stats.lost
    assert stats.playout.concealed <= stats.lost_after_fec
    assert stats.playout.played_seconds == pytest.approx(10.0, abs=0.2)


def test_without_its_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "G722", None)
    with pytest.raises(VoipError, match="pip install G722"):
        known().encoder()


@pytest.mark.skipif("CI" not in os.environ, reason="a machine of one's own may be without it")
def test_its_library_is_here_in_ci_so_that_no_test_of_it_is_left_out() -> None:
    assert codecs.missing("g722") is None
