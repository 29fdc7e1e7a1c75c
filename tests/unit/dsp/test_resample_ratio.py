"""Resampling by a ratio that follows a clock: no click, no hole, nothing twice."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sound import sine
from voip.dsp import Pcm, Resampler
from voip.errors import VoipError

PPM = 1e-6


def noise(samples: int) -> Pcm:
    """Noise below 4 kHz at 48 kHz."""
    white = np.random.default_rng(1).normal(0, 1, samples)
    smooth = np.convolve(white, np.hanning(24), "same")
    return np.asarray(smooth * 8000 / np.abs(smooth).max(), np.int16)[:, None]


def stream(resampler: Resampler, sound: Pcm, block: int, ratios: dict[int, float] | None = None) -> Pcm:
    """The sound as it comes out, with the ratio set before the blocks of these numbers."""
    parts = []
    for number, first in enumerate(range(0, len(sound), block)):
        if ratios and number in ratios:
            resampler.set_ratio(ratios[number])
        parts.append(resampler.process(sound[first : first + block]))
    return np.concatenate([*parts, resampler.flush()])


def snr(sound: Pcm, rate: int, hertz: float) -> float:
    """Of a tone of that frequency, in dB."""
    angle = 2 * np.pi * hertz * np.arange(len(sound)) / rate
    basis = np.stack((np.sin(angle), np.cos(angle)), axis=1)
    fitted = basis @ np.linalg.lstsq(basis, sound[:, 0].astype(float), rcond=None)[0]
    return float(20 * np.log10(fitted.std() / (sound[:, 0] - fitted).std()))


def sharpest(sound: Pcm) -> int:
    return int(np.abs(np.diff(sound.astype(int), 2, axis=0)).max())


@pytest.mark.parametrize(("source", "target"), [(48000, 48000), (16000, 48000), (44100, 48000), (48000, 16000)])
@pytest.mark.parametrize("ppm", [-500, -100, 100, 500])
def test_a_fast_clock_gives_that_much_less_sound(ppm: int, source: int, target: int) -> None:
    resampler = Resampler(source, target, 1)
    resampler.set_ratio(1 + ppm * PPM)
    out = stream(resampler, sine(source, 10, 1000.0), source // 50)
    assert len(out) == pytest.approx(10 * target / (1 + ppm * PPM), abs=2)
    middle = out[target // 2 : -target // 2]
    assert snr(middle, target, 1000 * (1 + ppm * PPM)) > 80  # rounding to 16 bits allows 89


def test_delay_tells_what_is_held_back_however_long_the_stream() -> None:
    resampler, silence = Resampler(48000, 48000, 1), np.zeros((48000, 1), np.int16)
    resampler.set_ratio(1.000123)
    given = sum(len(resampler.process(silence)) for _ in range(600))
    assert resampler.delay == pytest.approx(600 - given * 1.000123 / 48000, abs=1e-9)
    assert resampler.delay == pytest.approx(25 / 48000, abs=1 / 48000)


@pytest.mark.parametrize("block", [120, 240, 960, 2880])
@pytest.mark.parametrize("ppm", [-300, 20, 300])
def test_switching_in_leaves_no_click_hole_or_doubled_sample(ppm: int, block: int) -> None:
    sound = sine(48000, 2, hertz=437)
    number = 48000 // block
    out = stream(Resampler(48000, 48000, 1), sound, block, {number: 1 + ppm * PPM})
    start = number * block
    assert np.array_equal(out[:start], sound[:start])
    assert sharpest(out[:-480]) <= 1.1 * sharpest(sound)
    two_samples = 2 * int(np.abs(np.diff(sound, axis=0)).max())
    assert np.abs(out[start : start + 1000].astype(int) - sound[start : start + 1000]).max() < two_samples
    assert len(out) == pytest.approx(start + (96000 - start) / (1 + ppm * PPM), abs=3)


def test_the_filter_continues_the_sound_where_it_was() -> None:
    sound = noise(96000)
    out = stream(Resampler(48000, 48000, 1), sound, 960, {50: 1 + 1e-9})
    assert len(out) == len(sound)
    assert np.abs(out.astype(int) - sound).max() <= 1


@pytest.mark.parametrize("block", [1, 7, 24, 25, 26, 480])
def test_the_filter_has_the_past_however_short_the_blocks_were(block: int) -> None:
    sound = noise(5000)
    out = stream(Resampler(48000, 48000, 1), sound, block, {3000 // block: 1 + 1e-9})
    assert np.abs(out.astype(int) - sound).max() <= 1


def test_a_filter_switched_in_at_once_begins_with_the_sound() -> None:
    resampler, sound = Resampler(48000, 48000, 2), np.repeat(noise(9600), 2, axis=1)
    resampler.set_ratio(1.0001)
    out = stream(resampler, sound, 480)
    assert out.shape[1] == 2
    assert len(out) == pytest.approx(9600, abs=3)


def test_a_changing_ratio_is_not_heard() -> None:
    sound = sine(48000, 4, 1000.0)
    ratios = {number: 1 + np.sin(number) * 400 * PPM for number in range(20, 200, 3)}
    out = stream(Resampler(48000, 48000, 1), sound, 960, ratios)
    assert sharpest(out[:-480]) <= 1.1 * sharpest(sound)


def test_a_flushed_resampler_keeps_its_ratio() -> None:
    resampler, sound = Resampler(48000, 48000, 1), sine(48000, 1, 1000.0)
    resampler.set_ratio(0.9997)
    lengths = [len(stream(resampler, sound, 480)) for _ in range(3)]
    assert lengths == [pytest.approx(48000 / 0.9997, abs=2)] * 3
    assert resampler.ratio == 0.9997
    assert resampler.delay == pytest.approx(0, abs=1e-3)


def test_a_ratio_far_from_1_is_refused() -> None:
    for ratio in (0.9, 1.2, float("nan")):
        with pytest.raises(ValueError, match="ratio"):
            Resampler(48000, 48000, 1).set_ratio(ratio)


def test_whole_number_ratios_need_no_other_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    resampler, sound = Resampler(48000, 48000, 1), sine(48000, 0.02, 1000.0)
    resampler.set_ratio(1.0)
    assert resampler.process(sound) is sound
    resampler.set_ratio(1.0001)
    assert len(resampler.process(sound)) == pytest.approx(len(sound) - 25, abs=1)
    assert len(Resampler(48000, 8000, 1).process(sound)) > 0
    with pytest.raises(VoipError, match="pip install soxr"):
        Resampler(44100, 48000, 1)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(["process", "ratio", "flush"]), st.integers(0, 3000)), max_size=12),
    st.sampled_from([(8000, 8000), (48000, 48000), (16000, 48000), (48000, 24000)]),
    st.integers(1, 2),
)
def test_any_sequence_of_calls_loses_no_sound(
    calls: list[tuple[str, int]], rates: tuple[int, int], channels: int
) -> None:
    resampler, taken, given_out = Resampler(*rates, channels), 0, 0
    for name, number in calls:
        if name == "ratio":
            resampler.set_ratio(1 + (number - 1500) * 0.3 * PPM)
            continue
        if name == "process":
            taken += number
            given_out += len(resampler.process(np.ones((number, channels), np.int16)))
            continue
        given_out += len(resampler.flush())
        assert resampler.delay == 0
        assert given_out == pytest.approx(taken * rates[1] / rates[0], rel=1e-3, abs=3)
        taken = given_out = 0


@pytest.mark.parametrize("block", [3, 7, 160])
def test_where_the_filter_is_switched_in_the_sound_before_counts_in_whatever_blocks_it_came(block: int) -> None:
    sound = np.random.default_rng(2).integers(-9000, 9000, (960, 1), np.int16)
    whole, pieces = Resampler(8000, 8000, 1), Resampler(8000, 8000, 1)
    whole.process(sound)
    for start in range(0, len(sound), block):
        pieces.process(sound[start : start + block])
    for resampler in (whole, pieces):
        resampler.set_ratio(1.0002)
    assert np.array_equal(whole.process(sound), pieces.process(sound))
