"""Opus: other programs' streams, our own round trip, losses, in-band FEC, and bytes that are no packet."""

from __future__ import annotations

import contextlib
import ctypes.util
import gc
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.ogg import opus_stream
from tests.support.sound import sine
from tests.support.voice import voice
from tests.support.wav import load
from tests.support.wavdiff import compare
from voip import cli, codecs
from voip.codecs import Codec, Pcm, libopus
from voip.codecs.opus import OpusDecoder, OpusEncoder
from voip.errors import ProtocolError, VoipError

pytestmark = pytest.mark.skipif(codecs.missing("opus") is not None, reason=str(codecs.missing("opus")))

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "opus"
RATE = 48000
FRAME = 960
LOOKAHEAD = 312  # samples: 6.5 ms at 48 kHz
SECONDS = 2.0


def known(*, bitrate: int | None = None, remote: str = "useinbandfec=1", channels: int = 1) -> Codec:
    codec = codecs.find("OPUS", RATE, 2)
    assert codec is not None
    return replace(codec, bitrate=bitrate, remote_fmtp=remote, channels=channels)


def encoder(codec: Codec) -> OpusEncoder:
    made = codec.encoder()
    assert isinstance(made, OpusEncoder)
    return made


def decoder(codec: Codec | None = None) -> OpusDecoder:
    made = (codec or known()).decoder()
    assert isinstance(made, OpusDecoder)
    return made


def payloads(sound: Pcm, encoding: OpusEncoder, samples: int = FRAME) -> list[bytes]:
    return [encoding.encode(sound[at : at + samples]) for at in range(0, len(sound) - samples + 1, samples)]


def likeness(one: Pcm, other: Pcm) -> float:
    """The correlation of two waves at the best of the small shifts that codecs make."""
    a, b = one.astype(float).ravel(), other.astype(float).ravel()
    longest = 96
    middle = a[longest:-longest]
    norms = [np.linalg.norm(middle) * np.linalg.norm(b[at : at + len(middle)]) for at in range(2 * longest)]
    return max(float(middle @ b[at : at + len(middle)]) / max(float(norm), 1.0) for at, norm in enumerate(norms))


@pytest.fixture(scope="module")
def spoken() -> Pcm:
    return voice(RATE, SECONDS)


# --- other programs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "snr"), [("silk", 26.0), ("hybrid", 25.0), ("celt-stereo", 60.0), ("ffmpeg", 45.0)])
def test_streams_of_another_program_sound_as_its_own_decoder_has_them(name: str, snr: float) -> None:
    channels, skip, stream = opus_stream(VECTORS / f"{name}.opus")
    decoding = decoder(known(channels=channels))
    sound = np.concatenate([decoding.decode(packet) for packet in stream])[skip:]
    reference, rate = load(VECTORS / f"{name}.wav")
    difference = compare(reference, sound[: len(reference)], rate)
    assert difference.compared >= len(reference) / rate - 0.001
    assert abs(difference.lag) * rate <= 3  # the two resample SILK's 16 kHz in different ways
    assert difference.snr >= snr
    assert difference.gain == pytest.approx(1.0, abs=0.02)


def test_stereo_is_decoded_to_one_channel_where_one_was_agreed() -> None:
    _, _, stream = opus_stream(VECTORS / "celt-stereo.opus")
    both, one = decoder(known(channels=2)), decoder(known(channels=1))
    for packet in stream:
        mean = both.decode(packet).mean(axis=1, keepdims=True)
        assert np.abs(one.decode(packet) - mean).max() < 700


# --- round trip -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("milliseconds", [2.5, 5, 10, 20, 40, 60, 80, 100, 120])
def test_packets_of_every_duration_come_back_as_long_as_they_went(spoken: Pcm, milliseconds: float) -> None:
    samples = round(milliseconds * 48)
    codec = known(bitrate=64000)
    encoding, decoding = encoder(codec), decoder()
    heard = [decoding.decode(payload) for payload in payloads(spoken, encoding, samples)]
    assert {len(pcm) for pcm in heard} == {samples}
    sound = np.concatenate(heard)
    ahead = round(encoding.delay * RATE)
    assert likeness(spoken[: len(sound) - ahead], sound[ahead:]) > 0.9


def test_a_voice_keeps_its_wave_the_better_the_higher_the_bit_rate(spoken: Pcm) -> None:
    ratios = []
    for bitrate in (16000, 24000, 32000, 64000, 128000):
        codec = known(bitrate=bitrate)
        encoding, decoding = encoder(codec), decoder()
        stream = payloads(spoken, encoding)
        difference = compare(spoken, np.concatenate([decoding.decode(payload) for payload in stream]), RATE)
        ratios.append(difference.snr)
        assert encoding.delay == LOOKAHEAD / RATE == pytest.approx(difference.lag, abs=5 / RATE)
        assert sum(map(len, stream)) * 8 / SECONDS == pytest.approx(bitrate, rel=0.15)
        assert max(map(len, stream)) <= codec.encoded_size(FRAME)
    assert ratios == sorted(ratios)
    assert ratios[0] > 6.5  # dB; the encoder's high-pass filter alone keeps it from more than 10


def test_stereo_keeps_its_sides(spoken: Pcm) -> None:
    sides = np.concatenate((spoken, np.roll(spoken, 4000) // 3), axis=1)
    codec = known(bitrate=96000, channels=2)
    encoding, decoding = encoder(codec), decoder(codec)
    sound = np.concatenate([decoding.decode(payload) for payload in payloads(sides, encoding)])[LOOKAHEAD:]
    left, right = (likeness(sides[: len(sound), side], sound[:, side]) for side in (0, 1))
    crossed = likeness(sides[: len(sound), 0], sound[:, 1])
    assert min(left, right) > 0.9 > crossed + 0.3


def test_a_last_packet_of_any_length_is_filled_up_with_silence(spoken: Pcm) -> None:
    encoding, decoding = encoder(known()), decoder()
    assert len(decoding.decode(encoding.encode(spoken[:137]))) == 240
    assert len(decoding.decode(encoding.encode(spoken[:961]))) == 1920
    with pytest.raises(ValueError, match="5761"):
        encoding.encode(spoken[:5761])


def test_what_the_peer_wants_rules_the_encoder(spoken: Pcm) -> None:
    assert encoder(known(bitrate=64000, remote="maxaveragebitrate=20000")).bitrate == 20000
    assert encoder(known(bitrate=64000, remote="maxaveragebitrate=9000000000")).bitrate == 64000
    assert encoder(known(remote="maxaveragebitrate=6000")).bitrate == 6000
    for ignored in ("1", "100", "5999", "510001", "0"):  # RFC 7587 section 6.1
        assert encoder(known(bitrate=64000, remote=f"maxaveragebitrate={ignored}")).bitrate == 64000
    assert len({len(packet) for packet in payloads(spoken, encoder(known(remote=" CBR = 1 ")))}) == 1
    narrow = payloads(spoken, encoder(known(remote="maxplaybackrate=8000")))
    assert {packet[0] >> 3 for packet in narrow} <= set(range(4)) | set(range(16, 20))  # narrow band: RFC 6716 table 2


# --- losses -----------------------------------------------------------------------------------------------------------


def test_in_band_fec_brings_back_the_packet_before(spoken: Pcm) -> None:
    encoding = encoder(known(bitrate=32000))
    encoding.set_loss(0.2, in_band_fec=True)
    stream = payloads(spoken, encoding)
    plain, recovered = [], []
    for lost in range(10, len(stream) - 1, 7):
        whole, without, with_copy = decoder(), decoder(), decoder()
        for payload in stream[:lost]:
            for decoding in (whole, without, with_copy):
                decoding.decode(payload)
        sent = whole.decode(stream[lost])
        plain.append(likeness(sent, without.conceal(FRAME, None)))
        recovered.append(likeness(sent, with_copy.conceal(FRAME, stream[lost + 1])))
    assert np.mean(recovered) > 0.85
    assert np.mean(plain) < np.mean(recovered) - 0.15


def test_only_the_last_frame_of_a_longer_hole_comes_from_the_packet_behind_it(spoken: Pcm) -> None:
    encoding = encoder(known(bitrate=32000))
    encoding.set_loss(0.2, in_band_fec=True)
    stream = payloads(spoken, encoding)
    plain, recovered = [], []
    for lost in range(10, len(stream) - 3, 7):
        whole, without, with_copy = decoder(), decoder(), decoder()
        for payload in stream[:lost]:
            for decoding in (whole, without, with_copy):
                decoding.decode(payload)
        sent = [whole.decode(payload) for payload in stream[lost : lost + 3]]
        unhelped, heard = without.conceal(3 * FRAME, None), with_copy.conceal(3 * FRAME, stream[lost + 3])
        assert heard.shape == (3 * FRAME, 1)
        assert np.array_equal(heard[: 2 * FRAME], unhelped[: 2 * FRAME])
        plain.append(likeness(sent[-1], unhelped[-FRAME:]))
        recovered.append(likeness(sent[-1], heard[-FRAME:]))
    assert np.mean(recovered) > np.mean(plain) + 0.25


def test_in_band_fec_is_sent_only_where_losses_are_expected_and_the_peer_makes_use_of_it(spoken: Pcm) -> None:
    def carried(remote: str, fraction: float, *, in_band_fec: bool = True) -> int:
        encoding = encoder(known(bitrate=32000, remote=remote))
        encoding.set_loss(fraction, in_band_fec=in_band_fec)
        return sum(map(libopus.has_in_band_fec, payloads(spoken, encoding)))

    assert carried("useinbandfec=1", 0.1) > 50
    assert carried("useinbandfec=1", 0.001) > 50  # any loss at all
    assert carried("useinbandfec=1", 0.0) == 0
    assert carried("useinbandfec=1", 0.1, in_band_fec=False) == 0
    assert carried("useinbandfec=0", 0.1) == 0
    assert carried("", 0.1) == 0


def test_settings_change_between_two_packets(spoken: Pcm) -> None:
    encoding = encoder(known(bitrate=32000))
    assert not any(map(libopus.has_in_band_fec, payloads(spoken, encoding)))
    encoding.set_loss(0.1, in_band_fec=True)
    assert sum(map(libopus.has_in_band_fec, payloads(spoken, encoding))) > 50
    encoding.set_loss(0.0, in_band_fec=True)
    assert sum(map(libopus.has_in_band_fec, payloads(spoken, encoding))) <= 1


@pytest.mark.parametrize("samples", [1, 119, 120, 121, 480, 960, 1000, 2400, 5760, 48001])
def test_a_hole_of_any_length_is_filled_to_the_sample(spoken: Pcm, samples: int) -> None:
    stream = payloads(spoken, encoder(known()))
    decoding = decoder()
    for payload in stream[:10]:
        decoding.decode(payload)
    for following in (None, stream[10], b"", b"\xff\xff\xff"):
        assert decoding.conceal(samples, following).shape == (samples, 1)
    assert len(decoding.decode(stream[10])) == FRAME


def test_odd_pieces_of_a_hole_join_into_what_even_ones_give(spoken: Pcm) -> None:
    stream = payloads(spoken, encoder(known()))
    one, many = decoder(), decoder()
    for payload in stream[:10]:
        one.decode(payload)
        many.decode(payload)
    pieces = [many.conceal(length, None) for length in (1, 100, 19, 121, 239, 480)]
    whole = [one.conceal(length, None) for length in (120, 240, 120, 480)]  # as the library was asked for them
    assert np.array_equal(np.concatenate(pieces), np.concatenate(whole))


def test_sound_goes_on_without_a_step_after_a_hole_of_odd_length(spoken: Pcm) -> None:
    stream = payloads(spoken, encoder(known(bitrate=64000)))
    for samples in range(900, 1020, 13):
        decoding = decoder()
        before = [decoding.decode(payload) for payload in stream[:30]]
        sound = np.concatenate([*before, decoding.conceal(samples, None), decoding.decode(stream[31])])
        usual = np.abs(np.diff(np.concatenate(before)[:, 0].astype(int))).max()
        at = 30 * FRAME + samples
        assert np.abs(np.diff(sound[at - 5 : at + 130, 0].astype(int))).max() <= usual


def test_a_long_hole_falls_silent(spoken: Pcm) -> None:
    stream = payloads(spoken, encoder(known()))
    decoding = decoder()
    heard = np.concatenate([decoding.decode(payload) for payload in stream[:20]])
    hole = decoding.conceal(RATE, None).astype(float)
    assert np.sqrt(np.mean(hole[-RATE // 4 :] ** 2)) < 0.05 * np.sqrt(np.mean(heard.astype(float) ** 2))


def test_a_hole_before_the_first_packet_is_silence(spoken: Pcm) -> None:
    assert not decoder().conceal(FRAME, None).any()


# --- bytes that are no packet -----------------------------------------------------------------------------------------


def test_an_empty_payload_stands_for_the_duration_of_the_last(spoken: Pcm) -> None:
    decoding = decoder()
    for payload in payloads(spoken[:9600], encoder(known()), 480):
        decoding.decode(payload)
    assert decoding.decode(b"").shape == (480, 1)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=200), max_size=5), st.integers(1, 2))
def test_any_payload_is_decoded_or_refused_and_the_decoder_goes_on(stream: list[bytes], channels: int) -> None:
    decoding = decoder(known(channels=channels))
    for payload in stream:
        with contextlib.suppress(ProtocolError):
            assert 0 < len(decoding.decode(payload)) <= libopus.MAX_SAMPLES
        assert decoding.conceal(FRAME, payload).shape == (FRAME, channels)
        assert isinstance(libopus.has_in_band_fec(payload), bool)
    good = encoder(known()).encode(np.zeros((FRAME, 1), np.int16))
    assert decoding.decode(good).shape == (FRAME, channels)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_damaged_packets_are_decoded_or_refused(data: st.DataObject) -> None:
    _, _, stream = opus_stream(VECTORS / data.draw(st.sampled_from(["silk.opus", "hybrid.opus", "celt-stereo.opus"])))
    decoding = decoder()
    for packet in stream[:6]:
        damaged = bytearray(packet)
        for _ in range(data.draw(st.integers(0, 3))):
            damaged[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
        with contextlib.suppress(ProtocolError):
            assert len(decoding.decode(bytes(damaged))) <= libopus.MAX_SAMPLES


# --- the library ------------------------------------------------------------------------------------------------------


def test_handles_are_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[object] = []
    library = libopus.load()
    monkeypatch.setattr(library, "opus_encoder_destroy", freed.append)
    made = encoder(known())
    handle = made._native._handle
    del made
    gc.collect()
    assert freed == [handle]
    monkeypatch.undo()
    library.opus_encoder_destroy(handle)


def test_without_the_library_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> None:
        raise VoipError(libopus.INSTALL)

    monkeypatch.setattr(libopus, "load", absent)
    assert cli.sender_options([]).codecs == ("g722", "pcmu", "pcma", "l16")
    assert capsys.readouterr().err == f"sender.py: without opus: {libopus.INSTALL}\n"
    assert cli.receiver_options(["--quiet"]).codecs == ("g722", "pcmu", "pcma", "l16")
    assert cli.receiver_options(["--codec", "pcmu"]).codecs == ("pcmu",)
    assert capsys.readouterr().err == ""
    with pytest.raises(SystemExit) as stop:
        cli.receiver_options(["--codec", "pcmu,opus"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert libopus.INSTALL in said
    assert said.count("\n") == 1


def test_a_library_that_is_not_there_is_a_line_and_the_one_of_pyav_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libopus, "_SONAMES", ("libnothing-by-this-name.so.9", "libc.so.6"))  # the latter is not Opus
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    try:
        if importlib.util.find_spec("av") is None:
            with pytest.raises(VoipError, match="pip install av"):
                libopus.load.__wrapped__()
        else:
            loaded = "av" in sys.modules  # by a test of AAC, perhaps
            assert libopus.load.__wrapped__() is not None
            assert ("av" in sys.modules) is loaded
    finally:
        monkeypatch.undo()


# --- which library, and how far an encoder looks ahead ----------------------------------------------------------------


class Library:
    """What stands for a libopus of some version."""

    def __init__(self, version: bytes | None) -> None:
        self.version = version

    def __getattr__(self, name: str) -> object:
        return Function(self.version)


class Function:
    """Any of its functions; all return the version."""

    def __init__(self, result: bytes | None) -> None:
        self.result = result

    def __call__(self) -> bytes | None:
        return self.result


@pytest.mark.parametrize(
    ("system", "wheel", "best"),
    [
        (b"libopus 1.3.1", b"libopus 1.6.1", "wheel"),
        (b"libopus 1.6.1", b"libopus 1.6", "system"),
        (b"libopus 1.10", b"libopus 1.9.2-rc1-5-gabc", "system"),
        (b"libopus 1.4", b"libopus 1.4", "system"),
        (b"libopus unknown", b"libopus 1.1", "wheel"),
        (b"libopus 1.3.1", None, "system"),
        (None, b"libopus 1.5", "wheel"),
    ],
)
def test_the_newer_library_is_taken(
    system: bytes | None, wheel: bytes | None, best: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = {"libopus.so.0": system and Library(system), "wheel": wheel and Library(wheel)}

    def open_library(name: str) -> object:
        if not libraries.get(name):
            raise OSError(name)
        return libraries[name]

    monkeypatch.setattr(ctypes, "CDLL", open_library)
    monkeypatch.setattr(libopus, "_of_wheel", lambda: iter(["wheel"]))
    found: object = libopus.load.__wrapped__()
    assert found is libraries["libopus.so.0" if best == "system" else "wheel"]


def test_packets_shorter_than_10_ms_come_with_less_delay() -> None:
    (codec,) = codecs.offerable(["opus"], 48000, 1)
    delays = {}
    for milliseconds in (2.5, 5, 10, 20):
        encoder = OpusEncoder(codec)
        encoder.encode(sine(48000, milliseconds / 1000, 440.0))
        delays[milliseconds] = round(1e3 * encoder.delay, 1)
    assert delays == {2.5: 2.5, 5: 2.5, 10: 6.5, 20: 6.5}


def test_an_encoder_that_gets_longer_packets_makes_use_of_them() -> None:
    (codec,) = codecs.offerable(["opus"], 48000, 1, 64000)
    encoder, decoder = OpusEncoder(codec), OpusDecoder(codec)
    encoder.set_complexity(3)
    assert len(decoder.decode(encoder.encode(sine(48000, 0.005, 440.0)))) == 240
    assert len(decoder.decode(encoder.encode(sine(48000, 0.02, 440.0)))) == 960
    assert encoder.delay == 0.0065
    assert len(encoder.encode(sine(48000, 0.02, 440.0))) > 100  # the bit rate is still the one that was asked for
    encoder.encode(sine(48000, 0.003, 440.0))  # the last of a stream
    assert encoder.delay == 0.0065
