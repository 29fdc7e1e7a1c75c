"""Resampling, channel layout, concealment, level and mixing."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sound import column, pitch, sine, speech_noise
from voip import dsp
from voip.dsp import Concealer, Pcm, Resampler
from voip.errors import VoipError

RATES = [(44100, 48000), (48000, 44100), (16000, 48000), (48000, 16000), (8000, 48000)]


def voice(rate: int, seconds: float = 1.0) -> Pcm:
    """A harmonic tone of 200 Hz, like a vowel."""
    time = np.arange(round(rate * seconds)) / rate
    wave = sum(np.sin(2 * np.pi * 200 * k * time + k * k) / k for k in range(1, 16))
    return column(6000 * np.asarray(wave))


def distortion(pcm: Pcm, rate: int, hertz: float = 440.0) -> float:
    """What is left without the sine, in dB below it."""
    angle = 2 * np.pi * hertz * np.arange(len(pcm)) / rate
    basis = np.stack((np.sin(angle), np.cos(angle)), axis=1)
    fitted = basis @ np.linalg.lstsq(basis, pcm[:, 0].astype(float), rcond=None)[0]
    return float(20 * np.log10((pcm[:, 0] - fitted).std() / fitted.std()))


def stream(resampler: Resampler, pcm: Pcm, block: int) -> Pcm:
    out = [resampler.process(pcm[start : start + block]) for start in range(0, len(pcm), block)]
    return np.concatenate([*out, resampler.flush()])


@pytest.mark.parametrize(("source", "target"), RATES)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_tone_keeps_its_frequency_level_and_length(source: int, target: int, channels: int) -> None:
    out = stream(Resampler(source, target, channels), sine(source, channels=channels), source // 100)
    assert out.shape == (target, channels)
    assert pitch(out, target) == pytest.approx(440, abs=1)
    middle = slice(target // 10, -target // 10)
    assert dsp.level_dbfs(out[middle]) == pytest.approx(dsp.level_dbfs(sine(source)), abs=0.1)
    assert distortion(out[middle], target) < -75


@pytest.mark.parametrize(("source", "target"), RATES)
def test_blocks_of_10_ms_give_the_same_samples_as_one_block(source: int, target: int) -> None:
    sound = speech_noise(source)
    parts = stream(Resampler(source, target, 1), sound, source // 100)
    assert np.array_equal(parts, stream(Resampler(source, target, 1), sound, len(sound)))


@pytest.mark.parametrize(("source", "target"), RATES)
def test_the_resampler_gives_a_block_for_each_block_and_holds_back_30_ms_at_most(source: int, target: int) -> None:
    resampler, sound = Resampler(source, target, 1), sine(source)
    blocks = [resampler.process(sound[start : start + source // 100]) for start in range(0, source, source // 100)]
    assert {len(block) for block in blocks[10:]} <= {target // 100 - 1, target // 100, target // 100 + 1}
    assert 0 <= resampler.delay <= 0.0301


def test_a_flushed_resampler_starts_a_new_stream() -> None:
    resampler, sound = Resampler(44100, 48000, 1), sine(44100, 0.2)
    first = stream(resampler, sound, 441)
    assert np.array_equal(stream(resampler, sound, 441), first)
    assert resampler.delay == pytest.approx(0, abs=1e-3)


def test_equal_rates_pass_the_same_array_without_the_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    sound = sine(48000)
    resampler = Resampler(48000, 48000, 1)
    assert resampler.process(sound) is sound
    assert resampler.flush().shape == (0, 1)


def test_a_missing_converter_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if name == "soxr":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(VoipError, match="pip install soxr"):
        Resampler(44100, 48000, 1)


def test_mono_becomes_two_equal_channels_and_back() -> None:
    sound = speech_noise(8000)
    stereo = dsp.to_channels(sound, 2)
    assert stereo.shape == (8000, 2)
    assert np.array_equal(stereo[:, 0], stereo[:, 1])
    assert np.array_equal(dsp.to_channels(stereo, 1), sound)
    assert dsp.to_channels(sound, 1) is sound


def test_the_mean_of_two_loud_channels_does_not_overflow() -> None:
    loud = np.array([[32767, 32767], [-32768, -32768], [32767, -32768]], np.int16)
    assert dsp.to_channels(loud, 1).ravel().tolist() == [32767, -32768, -1]
    assert dsp.to_channels(loud, 1).dtype == np.int16


def test_a_stereo_tone_made_mono_at_another_rate_is_still_the_tone() -> None:
    mono = dsp.to_channels(sine(44100, channels=2), 1)
    assert pitch(stream(Resampler(44100, 48000, 1), mono, 441), 48000) == pytest.approx(440, abs=1)


def test_levels_are_relative_to_full_scale() -> None:
    square = np.array([[32767], [-32768]] * 100, np.int16)
    assert dsp.level_dbfs(square) == pytest.approx(0, abs=0.01)
    full_sine = column(32767 * np.sin(np.arange(48000) / 10))
    assert dsp.level_dbfs(full_sine) == pytest.approx(-3.01, abs=0.01)
    assert dsp.level_dbfs(np.zeros((10, 2), np.int16)) == dsp.SILENCE_DBFS
    assert dsp.level_dbfs(np.zeros((0, 1), np.int16)) == dsp.SILENCE_DBFS


def test_sounds_are_added_without_a_limit_and_left_as_they_are() -> None:
    one, two = np.array([[20000], [-20000], [5]], np.int16), np.array([[20000], [-20000], [-7]], np.int16)
    assert dsp.add([one, two], 3, 1).ravel().tolist() == [40000, -40000, -2]
    assert one.ravel().tolist() == [20000, -20000, 5]


def test_a_sum_of_hundreds_is_exact_and_takes_floats_as_well() -> None:
    rng = np.random.default_rng(3)
    blocks = [rng.integers(-32768, 32768, (40, 2)).astype(np.int16) for _ in range(500)]
    exact = np.sum([block.astype(np.int64) for block in blocks], axis=0)
    assert (dsp.add(blocks, 40, 2) == exact).all()
    half = np.full((40, 2), 0.5, np.float32)
    assert (dsp.add([half, *blocks[:3], half], 40, 2) == sum(block.astype(np.int64) for block in blocks[:3]) + 1).all()
    assert not dsp.add([], 40, 2).any()


SOUNDS = {"voice": voice, "noise": speech_noise, "tone": sine}


def with_hole(sound: Pcm, rate: int, start: float, length: float, block: float = 0.01) -> Pcm:
    """The sound as heard when the blocks from start on are missing."""
    concealer, size = Concealer(sound.shape[1], rate), round(rate * block)
    heard = []
    for first in range(0, len(sound) - size + 1, size):
        missing = round(start * rate) <= first < round((start + length) * rate)
        heard.append(concealer.conceal(size) if missing else concealer.join(sound[first : first + size]))
    return np.concatenate(heard)


def steepest(sound: Pcm) -> int:
    return int(np.abs(np.diff(sound.astype(int), axis=0)).max())


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("length", [0.01, 0.02, 0.04, 0.1])
@pytest.mark.parametrize("kind", SOUNDS)
def test_a_concealed_hole_has_no_click(kind: str, length: float, rate: int) -> None:
    sound = SOUNDS[kind](rate)
    heard = with_hole(sound, rate, 0.5, length)
    assert len(heard) == len(sound)
    assert steepest(heard) <= 1.5 * steepest(sound)


@pytest.mark.parametrize("rate", [8000, 48000])
def test_one_lost_packet_of_a_vowel_is_replaced_almost_exactly(rate: int) -> None:
    sound = voice(rate)
    heard = with_hole(sound, rate, 0.5, 0.01)
    error = heard.astype(np.int32) - sound
    assert dsp.level_dbfs(error.astype(np.int16)) < dsp.level_dbfs(sound) - 40


def test_only_the_hole_and_the_first_milliseconds_after_it_are_changed() -> None:
    sound = speech_noise(48000)
    changed = np.flatnonzero(with_hole(sound, 48000, 0.5, 0.02) != sound)
    assert changed[0] >= 24000
    assert changed[-1] < 24000 + 960 + round(48000 * Concealer.JOIN)


def test_a_long_hole_fades_to_silence_and_stays_silent() -> None:
    concealer = Concealer(2, 16000)
    concealer.good(sine(16000, channels=2))
    levels = [dsp.level_dbfs(concealer.conceal(160)) for _ in range(10)]
    assert levels[0] == pytest.approx(dsp.level_dbfs(sine(16000)), abs=1)
    assert levels == sorted(levels, reverse=True)
    assert levels[6:] == [dsp.SILENCE_DBFS] * 4


def test_concealment_does_not_depend_on_how_the_hole_is_cut() -> None:
    whole, pieces = Concealer(1, 48000), Concealer(1, 48000)
    for concealer in (whole, pieces):
        concealer.good(voice(48000))
    assert np.array_equal(whole.conceal(1920), np.concatenate([pieces.conceal(n) for n in (1, 479, 960, 480)]))


def test_nothing_heard_yet_is_concealed_by_silence() -> None:
    concealer = Concealer(2, 8000)
    assert not concealer.conceal(160).any()
    sound = sine(8000, 0.02, channels=2)
    assert np.array_equal(concealer.join(sound)[-100:], sound[-100:])


def test_the_two_channels_are_concealed_each_from_its_own_past() -> None:
    left, right = voice(48000), sine(48000, hertz=400)
    heard = with_hole(np.concatenate((left, right), axis=1), 48000, 0.5, 0.01)
    assert np.abs(heard[:, :1].astype(int) - left).max() < 600
    assert np.abs(heard[:, 1:].astype(int) - right).max() < 600


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from(["good", "conceal", "join"]), st.integers(0, 700)), max_size=12),
    st.sampled_from([8000, 11025, 48000, 192000]),
    st.integers(1, 2),
)
def test_any_sequence_of_calls_gives_blocks_of_the_length_asked_for(
    calls: list[tuple[str, int]], rate: int, channels: int
) -> None:
    concealer, random = Concealer(channels, rate), np.random.default_rng(3)
    for name, samples in calls:
        block = random.integers(-32768, 32767, (samples, channels), np.int16)
        if name == "good":
            concealer.good(block)
            continue
        out = concealer.conceal(samples) if name == "conceal" else concealer.join(block)
        assert out.shape == (samples, channels)
        assert out.dtype == np.int16
