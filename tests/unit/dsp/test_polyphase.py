"""The short filter between rates of a whole-number ratio: delay, response, images, drifting phases."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tests.support.sound import sine
from voip.dsp import Pcm, Resampler
from voip.dsp.polyphase import REACH, Polyphase

LOW_HIGH = [(8000, 48000), (16000, 48000), (24000, 48000), (8000, 16000), (12000, 48000), (32000, 48000)]
BOTH_WAYS = LOW_HIGH + [(high, low) for low, high in LOW_HIGH]
PPM = 1e-6
AMPLITUDE = 10000.0


def tone(rate: int, hertz: float, seconds: float = 0.5) -> Pcm:
    angle = 2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate
    return np.asarray(np.rint(AMPLITUDE * np.cos(angle)), np.int16)[:, None]


def converted(sound: Pcm, rates: tuple[int, int], ratio: float = 1.0, block: int = 480) -> Pcm:
    """The whole of it, in blocks."""
    resampler = Resampler(*rates, sound.shape[1])
    resampler.set_ratio(ratio)
    parts = [resampler.process(sound[at : at + block]) for at in range(0, len(sound), block)]
    return np.concatenate([*parts, resampler.flush()])


def amplitude(sound: Pcm, rate: int, hertz: float) -> float:
    """Of that frequency in the middle of the sound, relative to AMPLITUDE, in dB."""
    middle = sound[len(sound) // 4 : -len(sound) // 4, 0].astype(float)
    window = np.hanning(len(middle))
    angle = 2 * np.pi * hertz * np.arange(len(middle)) / rate
    share = 2 * abs(np.sum(middle * window * np.exp(-1j * angle))) / window.sum() / AMPLITUDE
    return float(20 * np.log10(max(share, 1e-9)))


@pytest.mark.parametrize("rates", BOTH_WAYS)
def test_an_impulse_comes_out_where_it_went_in_alike_on_both_sides(rates: tuple[int, int]) -> None:
    sound = np.zeros((rates[0] // 10, 1), np.int16)
    sound[len(sound) // 2] = 30000
    out = converted(sound, rates)[:, 0].astype(int)
    middle = len(out) // 2
    assert len(out) == rates[1] // 10
    assert np.argmax(np.abs(out)) == middle
    reach = min(200, middle - 1)
    assert np.abs(out[middle + 1 : middle + reach] - out[middle - 1 : middle - reach : -1]).max() <= 1


@pytest.mark.parametrize("rates", BOTH_WAYS)
def test_a_filter_holds_back_a_few_periods_of_the_lower_rate_and_no_more(rates: tuple[int, int]) -> None:
    resampler, low = Resampler(*rates, 1), min(rates)
    for _ in range(50):
        resampler.process(np.zeros((rates[0] // 100, 1), np.int16))
        assert resampler.delay <= (REACH + 3) / low
    assert resampler.delay == pytest.approx(REACH / low, abs=3 / low)


@pytest.mark.parametrize("rates", BOTH_WAYS)
def test_speech_passes_flat(rates: tuple[int, int]) -> None:
    low = min(rates)
    for share in (0.02, 0.25, 0.5, 0.8, 0.875):  # 3.5 kHz of 8, 7 of 16
        hertz = share * low / 2
        assert amplitude(converted(tone(rates[0], hertz), rates), rates[1], hertz) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("ratio", [1.0, 1 + 150 * PPM])
@pytest.mark.parametrize(("low", "high"), LOW_HIGH)
def test_images_are_60_db_down(low: int, high: int, ratio: float) -> None:
    for share in (0.05, 0.4, 0.8, 0.96):
        hertz = share * low / 2
        out = converted(tone(low, hertz), (low, high), ratio)
        for image in (low - hertz, low + hertz, 2 * low - hertz):
            if image < high / 2:
                assert amplitude(out, high, image * ratio) < -60


@pytest.mark.parametrize("ratio", [1.0, 1 - 150 * PPM])
@pytest.mark.parametrize(("low", "high"), LOW_HIGH)
def test_what_the_lower_rate_cannot_carry_is_60_db_down(low: int, high: int, ratio: float) -> None:
    for share in (1.04, 1.1, 1.3, 1.7, 1.98):
        hertz = share * low / 2
        if hertz < high / 2:
            out = converted(tone(high, hertz), (high, low), ratio)
            rms = float(np.std(out[len(out) // 4 : -len(out) // 4].astype(float)))
            assert 20 * np.log10(max(rms, 1e-9) * np.sqrt(2) / AMPLITUDE) < -60


@pytest.mark.parametrize("ratio", [1.0, 1 + 30 * PPM, 1 - 400 * PPM])
@pytest.mark.parametrize("rates", [*BOTH_WAYS, (48000, 48000)])
def test_blocks_of_any_size_give_the_same_samples(rates: tuple[int, int], ratio: float) -> None:
    sound = np.random.default_rng(2).integers(-9000, 9000, (rates[0] // 12, 2)).astype(np.int16)
    whole = converted(sound, rates, ratio, len(sound))
    for block in (1, 17, rates[0] // 200, rates[0] // 50):
        assert np.array_equal(converted(sound, rates, ratio, block), whole)


@pytest.mark.parametrize("ppm", [-9000, -300, -20, 20, 300, 9000])
@pytest.mark.parametrize("rates", [(8000, 48000), (48000, 16000), (48000, 48000), (16000, 16000)])
def test_drifting_phases_add_no_noise(rates: tuple[int, int], ppm: int) -> None:
    ratio, hertz = 1 + ppm * PPM, 0.3 * min(rates)
    out = converted(tone(rates[0], hertz, 2.0), rates, ratio)[:, 0].astype(float)
    at = np.arange(len(out)) / rates[1]
    expected = AMPLITUDE * np.cos(2 * np.pi * hertz * ratio * at)
    middle = slice(len(out) // 8, -len(out) // 8)
    assert np.std(out[middle] - expected[middle]) < AMPLITUDE * 10 ** (-60 / 20)


@pytest.mark.parametrize("rates", [(8000, 48000), (48000, 8000), (48000, 16000), (16000, 48000), (32000, 48000)])
def test_a_changing_ratio_is_not_heard(rates: tuple[int, int]) -> None:
    sound, block = sine(rates[0], 3, 700.0), rates[0] // 100
    resampler, rng, parts = Resampler(*rates, 1), np.random.default_rng(4), []
    for at in range(0, len(sound), block):
        resampler.set_ratio(1 + rng.uniform(-500, 500) * PPM)
        parts.append(resampler.process(sound[at : at + block]))
    out = np.concatenate(parts)[rates[1] // 10 :].astype(int)
    still = converted(sound, rates)[rates[1] // 10 : -rates[1] // 10].astype(int)
    assert np.abs(np.diff(out, 2, axis=0)).max() <= np.abs(np.diff(still, 2, axis=0)).max() * 1.02 + 4


def test_a_ratio_back_at_1_leaves_the_phase_where_it_is() -> None:
    sound, resampler = tone(48000, 1000.0, 1.0), Resampler(48000, 48000, 1)
    resampler.set_ratio(1.001)
    first = resampler.process(sound[:24000])
    resampler.set_ratio(1.0)
    out = np.concatenate((first, resampler.process(sound[24000:]))).astype(int)
    assert np.abs(np.diff(out[100:], 2, axis=0)).max() <= np.abs(np.diff(sound.astype(int), 2, axis=0)).max() * 1.02 + 4
    assert resampler.ratio == 1.0


def test_ratios_of_large_numbers_are_left_to_another_filter() -> None:
    assert all(Polyphase.suitable(*rates) for rates in BOTH_WAYS)
    assert not Polyphase.suitable(44100, 48000)
    assert not Polyphase.suitable(8000, 44100)


def test_many_streams_share_what_is_the_same_for_all() -> None:
    """The table of a filter takes 100 kB, and a conference has hundreds of streams."""
    Resampler(8000, 8000, 1), Resampler(8000, 48000, 1)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [Resampler(8000, rate, 1) for rate in (8000, 48000) for _ in range(10)]
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken < 20_000 * len(kept)
