"""L16 and G.711 against their standards and against the classic G.711 code."""

from __future__ import annotations

import hashlib
import os
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voip import codecs
from voip.codecs import Codec, Pcm
from voip.codecs.pcm import decode_table, encode_table
from voip.errors import ProtocolError


def known(name: str, clock_rate: int = 8000, channels: int = 1) -> Codec:
    codec = codecs.find(name, clock_rate, channels)
    assert codec is not None
    return codec


def pcm(*samples: int) -> Pcm:
    return np.array(samples, np.int16).reshape(-1, 1)


ALL_SAMPLES = np.arange(65536, dtype=np.uint16).view(np.int16)


@pytest.mark.parametrize(
    ("name", "code", "sample"),
    [
        ("PCMU", 0x00, -32124),
        ("PCMU", 0x7F, 0),
        ("PCMU", 0x80, 32124),
        ("PCMU", 0xFF, 0),
        ("PCMU", 0xFE, 8),
        ("PCMA", 0x55, -8),
        ("PCMA", 0xD5, 8),
        ("PCMA", 0x2A, -32256),
        ("PCMA", 0xAA, 32256),
    ],
)
def test_known_codes_have_their_known_samples(name: str, code: int, sample: int) -> None:
    assert known(name).decoder().decode(bytes([code]))[0, 0] == sample


@pytest.mark.parametrize(
    ("name", "sample", "code"),
    [
        ("PCMU", 32767, 0x80),
        ("PCMU", -32768, 0x00),
        ("PCMU", 0, 0xFF),
        ("PCMA", 32767, 0xAA),
        ("PCMA", -32768, 0x2A),
        ("PCMA", 0, 0xD5),
        ("PCMA", -1, 0x55),
    ],
)
def test_known_samples_have_their_known_codes(name: str, sample: int, code: int) -> None:
    assert known(name).encoder().encode(pcm(sample)) == bytes([code])


@pytest.mark.parametrize("name", ["PCMU", "PCMA"])
def test_every_code_survives_decoding_and_encoding(name: str) -> None:
    codes = bytes(code for code in range(256) if (name, code) != ("PCMU", 0x7F))  # 0x7F is -0: it becomes 0xFF, +0
    decoded = known(name).decoder().decode(codes)
    assert known(name).encoder().encode(decoded) == codes


@pytest.mark.parametrize("name", ["PCMU", "PCMA"])
def test_the_tables_equal_the_classic_g711_code_for_all_samples_and_codes(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        audioop = pytest.importorskip("audioop", reason="gone in Python 3.13")
    encode, decode = {"PCMU": (audioop.lin2ulaw, audioop.ulaw2lin), "PCMA": (audioop.lin2alaw, audioop.alaw2lin)}[name]
    assert encode_table(name).tobytes() == encode(ALL_SAMPLES.tobytes(), 2)
    assert decode_table(name).tobytes() == decode(bytes(range(256)), 2)


@pytest.mark.parametrize(
    ("name", "encoding", "decoding"),
    [
        ("PCMU", "617fa4850d68d390", "3dab54339e520bb2"),
        ("PCMA", "f77c76aa923ee256", "e04788d110e58ff8"),
    ],
)
def test_the_tables_have_not_changed_since_they_were_compared(name: str, encoding: str, decoding: str) -> None:
    assert hashlib.sha256(encode_table(name).tobytes()).hexdigest()[:16] == encoding
    assert hashlib.sha256(decode_table(name).astype("<i2").tobytes()).hexdigest()[:16] == decoding


def test_l16_is_big_endian_with_interleaved_channels() -> None:
    codec = known("L16", 44100, 2)
    sound = np.array([[1, -2], [0x1234, -32768]], np.int16)
    assert codec.encoder().encode(sound) == bytes.fromhex("0001 fffe 1234 8000")
    assert np.array_equal(codec.decoder().decode(bytes.fromhex("0001 fffe 1234 8000")), sound)


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=64), st.integers(1, 2))
def test_any_l16_payload_is_decoded_or_refused(payload: bytes, channels: int) -> None:
    codec = known("L16", 16000, channels)
    if len(payload) % (2 * channels):
        with pytest.raises(ProtocolError):
            codec.decoder().decode(payload)
    else:
        assert codec.encoder().encode(codec.decoder().decode(payload)) == payload


def test_a_g711_payload_that_ends_between_channels_is_refused() -> None:
    with pytest.raises(ProtocolError):
        known("PCMA", 8000, 2).decoder().decode(b"\x55\x55\x55")


@pytest.mark.parametrize(("number", "text"), [(0, "PCMU/8000/1"), (8, "PCMA/8000/1"), (10, "L16/44100/2")])
def test_static_payload_types_are_those_of_rfc_3551(number: int, text: str) -> None:
    codec = codecs.static(number)
    assert codec is not None
    assert (str(codec), codec.payload_type) == (text, number)


def test_numbers_without_a_codec_of_ours_are_not_known() -> None:
    assert [codecs.static(number) for number in (3, 5, 96, 127)] == [None] * 4


def test_names_are_found_in_any_case_and_odd_formats_are_not() -> None:
    assert known("l16", 44100, 1).payload_type == 11
    assert known("pcmu", 8000, 1).payload_type == 0
    assert known("pcmu", 16000, 1).payload_type is None
    assert codecs.find("opus", 16000, 1) is None
    assert codecs.find("opus", 48000, 3) is None
    assert codecs.find("L16", 4_000_000_000, 1) is None
    assert codecs.find("L16", 48000, 6) is None


def test_l16_is_offered_at_the_rate_of_the_device_first_and_never_twice() -> None:
    offered = [str(codec) for codec in codecs.offerable(["pcmu", "l16"], 48000, 2)]
    assert offered == ["PCMU/8000/1", "L16/48000/2", "L16/48000/1", "L16/44100/1"]
    assert len(codecs.offerable(["l16"], 48000, 1)) == 2


def test_an_unknown_codec_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="opus, g722, pcmu, pcma, l16"):
        codecs.offerable(["speex"], 48000, 1)


@pytest.mark.parametrize(("name", "size"), [("L16", 640), ("PCMU", 320)])
def test_the_encoded_size_is_what_the_encoder_makes(name: str, size: int) -> None:
    codec = known(name, 8000, 2)
    assert codec.encoded_size(160) == len(codec.encoder().encode(np.zeros((160, 2), np.int16))) == size


def test_a_decoder_without_losses_changes_nothing_and_conceals_after_one() -> None:
    codec = known("L16", 48000, 1)
    tone = (8000 * np.sin(2 * np.pi * 200 * np.arange(4800) / 48000)).astype(np.int16)[:, None]
    decoder, encoder = codec.decoder(), codec.encoder()
    blocks = [tone[start : start + 480] for start in range(0, 4800, 480)]
    heard = [decoder.decode(encoder.encode(block)) for block in blocks[:5]]
    assert np.array_equal(np.concatenate(heard), tone[:2400])
    hole = decoder.conceal(480, None)
    assert hole.shape == (480, 1)
    assert np.abs(hole - blocks[5].astype(int)).max() < 200
    assert np.abs(decoder.decode(encoder.encode(blocks[6])) - blocks[6].astype(int)).max() < 200
    assert np.array_equal(decoder.decode(encoder.encode(blocks[7])), blocks[7])


@pytest.mark.skipif("CI" not in os.environ, reason="a machine of one's own may be without libopus")
def test_opus_is_here_in_ci_so_that_no_test_of_it_is_left_out() -> None:
    assert codecs.missing("opus") is None
