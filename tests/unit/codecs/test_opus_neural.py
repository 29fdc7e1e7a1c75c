"""The neural parts of libopus: found where they are, used where they help, and never missed where they are not.

What they do to sound is tested with a library that has them: the system's, or the file that LIBOPUS_WITH_PARTS names.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

import numpy as np
import pytest

from tests.support.voice import speech
from voip import codecs
from voip.codecs import Codec, find, libopus, libopus_dred
from voip.codecs.opus import OpusDecoder, OpusEncoder
from voip.codecs.opus_enhancement import CONCEALING, ENHANCING, Enhancement
from voip.dsp import Pcm

FRAME = 960
"""Samples of 20 ms."""
UNIMPLEMENTED = -5
NEEDED = "no libopus with {}: LIBOPUS_WITH_PARTS names none, and the system's has it not"

pytestmark = pytest.mark.skipif(codecs.missing("opus") is not None, reason="there is no libopus")


class Function:
    """One of a library's functions; its types are set by those that declare them."""

    def __init__(self, answer: object) -> None:
        self._answer = answer
        self.restype: object = None
        self.argtypes: object = None
        self.calls: list[tuple[object, ...]] = []

    def __call__(self, *arguments: object) -> object:
        self.calls.append(arguments)
        return self._answer(*arguments) if callable(self._answer) else self._answer


class Library:
    """What stands in for a libopus: it decodes nothing, and refuses these requests."""

    def __init__(self, *, refused: frozenset[int] = frozenset(), functions: dict[str, object] | None = None) -> None:
        self.opus_decoder_create = Function(1)
        self.opus_decoder_destroy = Function(None)
        self.opus_encoder_create = Function(2)
        self.opus_encoder_destroy = Function(None)
        self.settings: list[tuple[int, int]] = []
        self._refused = refused
        self.opus_decoder_ctl = self.opus_encoder_ctl = Function(self._ctl)
        self.opus_decode = Function(lambda handle, packet, length, pcm, samples, fec: samples if fec else FRAME)
        for name, answer in (functions or {}).items():
            setattr(self, name, Function(answer))

    def _ctl(self, handle: int, request: int, value: ctypes.c_int32) -> int:
        if request in self._refused:
            return UNIMPLEMENTED
        self.settings.append((request, value.value))
        return 0


def as_library(library: Library) -> ctypes.CDLL:
    return library  # type: ignore[return-value]


def opus(bitrate: int | None = None, remote: str = "useinbandfec=1") -> Codec:
    codec = find("opus", 48000, 2)
    assert codec is not None
    return Codec(**{**vars(codec), "bitrate": bitrate, "remote_fmtp": remote, "channels": 1})


# -- probing --------------------------------------------------------------------------------------------------


def test_a_library_without_the_parts_is_used_without_them() -> None:
    library = Library(refused=frozenset({libopus.SET_COMPLEXITY}))
    decoder = OpusDecoder(opus(), as_library(library))
    for _ in range(200):
        assert len(decoder.decode(b"\x00" * 20)) == FRAME
    assert library.settings == []
    assert len(library.opus_decoder_ctl.calls) == 1  # asked once


@pytest.mark.parametrize("kept", ["opus_dred_alloc", "opus_dred_decoder_create", None])
def test_a_library_with_the_names_of_dred_alone_has_none(kept: str | None) -> None:
    """Built without it, 1.5 and later have the functions, which refuse."""
    names = ("opus_dred_decoder_create", "opus_dred_decoder_destroy", "opus_dred_alloc", "opus_dred_free")
    functions: dict[str, object] = dict.fromkeys((*names, "opus_dred_parse", "opus_decoder_dred_decode"), 0)
    if kept is not None:
        functions[kept] = 7
    assert libopus_dred.find(as_library(Library(functions=functions))) is None
    assert libopus_dred.find(as_library(Library())) is None
    functions |= {"opus_dred_alloc": 7, "opus_dred_decoder_create": 8}
    assert libopus_dred.find(as_library(Library(functions=functions))) is not None


def test_speech_of_a_low_bit_rate_is_enhanced_and_no_other() -> None:
    library = Library()
    enhancement = Enhancement(libopus.Decoder(1, as_library(library)))
    chosen: list[int | None] = []
    for rate in (24000, 16000, 12000, 16000, 9000, 24000):
        for _ in range(150):
            enhancement.receive(rate // 400, FRAME)
        chosen.append(enhancement.complexity)
    assert chosen == [CONCEALING, CONCEALING, ENHANCING, ENHANCING, ENHANCING, CONCEALING]
    wanted = [CONCEALING, ENHANCING, CONCEALING]
    assert library.settings == [(libopus.SET_COMPLEXITY, complexity) for complexity in wanted]


def test_pauses_and_copies_do_not_make_speech_of_a_low_bit_rate() -> None:
    """Half a second of copies at 12 kbit/s, or of silence, in speech at 24 kbit/s."""
    enhancement = Enhancement(libopus.Decoder(1, as_library(Library())))
    for turn in range(300):
        enhancement.receive(30 if turn % 100 > 75 else 60, FRAME)
        assert enhancement.complexity == CONCEALING


@pytest.mark.parametrize("has_dred", [True, False])
def test_dred_is_asked_for_only_while_losses_are_expected_and_where_it_is(has_dred: bool) -> None:
    refused = frozenset() if has_dred else frozenset({libopus.SET_DRED_DURATION})
    library = Library(refused=refused)
    encoder = OpusEncoder(opus(), 48000, as_library(library))
    durations = []
    for loss, in_band in ((0.0, True), (0.05, True), (0.05, False), (0.05, True), (0.0, True)):
        library.settings.clear()
        encoder.set_loss(loss, in_band_fec=in_band)
        durations.append(dict(library.settings).get(libopus.SET_DRED_DURATION))
        assert dict(library.settings)[libopus.SET_INBAND_FEC] == int(loss > 0 and in_band)
    assert durations == ([0, 30, 0, 30, 0] if has_dred else [None] * 5)


# -- with a library that has them -------------------------------------------------------------------------------


@cache
def with_parts(part: str) -> ctypes.CDLL:
    """The library that has a part, or skips the test."""
    try:
        library = libopus.open_library(os.environ.get("LIBOPUS_WITH_PARTS") or "libopus.so.0")
    except (OSError, AttributeError):
        pytest.skip(NEEDED.format(part))
    found = libopus_dred.find(library) if part == "DRED" else _enhances(library)
    if not found:
        pytest.skip(NEEDED.format(part))
    return library


def _enhances(library: ctypes.CDLL) -> bool:
    packets = coded(12000)
    plain, enhanced = (
        np.concatenate([decoder.decode(packet) for packet in packets])
        for decoder in (decoder_at(library, complexity) for complexity in (0, ENHANCING))
    )
    return not np.array_equal(plain, enhanced)


def decoder_at(library: ctypes.CDLL, complexity: int) -> libopus.Decoder:
    decoder = libopus.Decoder(1, library)
    decoder.try_set(libopus.SET_COMPLEXITY, complexity)
    return decoder


def sound(seconds: float = 4.0) -> list[Pcm]:
    whole = speech(48000, seconds)
    return [whole[at : at + FRAME] for at in range(0, len(whole) - FRAME + 1, FRAME)]


def coded(bitrate: int, library: ctypes.CDLL | None = None, *, loss: float = 0.0, peer: str = "") -> list[bytes]:
    encoder = OpusEncoder(opus(bitrate, peer), 48000, library)
    encoder.set_loss(loss, in_band_fec=True)
    return [encoder.encode(frame) for frame in sound()]


@pytest.mark.parametrize(("bitrate", "complexity"), [(12000, ENHANCING), (24000, CONCEALING)])
def test_a_stream_is_decoded_at_the_complexity_for_its_bit_rate(bitrate: int, complexity: int) -> None:
    library = with_parts("NoLACE")
    packets = coded(bitrate)
    ours, plain = OpusDecoder(opus(), library), decoder_at(library, CONCEALING)
    pairs = [(ours.decode(packet), plain.decode(packet)) for packet in packets]
    different = [not np.array_equal(*pair) for pair in pairs[60:]]
    assert any(different) == (complexity == ENHANCING)
    level = [
        float(np.sqrt(np.mean(np.square(np.concatenate(half).astype(float))))) for half in zip(*pairs, strict=True)
    ]
    assert level[0] == pytest.approx(level[1], rel=0.2)


def spectrum(pcm: Pcm) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Levels in thirty bands up to 6 kHz, in dB: what a vocoder keeps."""
    power = np.abs(np.fft.rfft(pcm[:, 0] * np.hanning(len(pcm)))) ** 2
    limit = len(pcm) * 6000 // 48000
    bands = np.array_split(power[:limit], 30)
    return np.array([10 * np.log10(band.mean() + 1e3) for band in bands])


def test_what_dred_tells_of_an_outage_is_nearer_to_the_sound_than_concealment() -> None:
    library = with_parts("DRED")
    packets = coded(48000, library, loss=0.2)
    assert any(libopus_dred.Redundancy(library).read(packet, 10 * FRAME) for packet in packets)
    errors: dict[bool, list[float]] = {True: [], False: []}
    for told in errors:
        decoder, clean = OpusDecoder(opus(), library), OpusDecoder(opus(), library)
        at = 0
        while at + 12 < len(packets):
            for packet in packets[at : at + 6]:
                decoder.decode(packet)
                clean.decode(packet)
            made = decoder.conceal(6 * FRAME, packets[at + 12] if told else None)
            truth = np.concatenate([clean.decode(packet) for packet in packets[at + 6 : at + 12]])
            assert len(made) == len(truth)
            errors[told].append(float(np.abs(spectrum(made) - spectrum(truth)).mean()))
            at += 12
    assert np.mean(errors[True]) < 0.8 * np.mean(errors[False])


def test_old_decoders_play_packets_with_dred_as_they_are() -> None:
    library = with_parts("DRED")
    packets = coded(48000, library, loss=0.2)
    old = libopus.Decoder(1)
    heard = np.concatenate([old.decode(packet) for packet in packets])
    new = decoder_at(library, 0)
    expected = np.concatenate([new.decode(packet) for packet in packets])
    assert len(heard) == len(expected)
    assert np.sqrt(np.mean(np.square(heard - expected.astype(float)))) < 0.05 * expected.astype(float).std()
