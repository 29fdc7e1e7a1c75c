"""Time-scaling: the length changes, the pitch does not, and nobody hears where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.sound import column, sine, speech_noise
from voip.dsp import Pcm, TimeScaler, level_dbfs

RATES = [8000, 16000, 44100, 48000]
FAR = 10**6


def tone(rate: int, seconds: float = 2.0, hertz: float = 440.0) -> Pcm:
    return sine(rate, seconds, hertz)


def noise(rate: int, seconds: float = 2.0, peak: float = 8000.0) -> Pcm:
    return speech_noise(rate, seconds, peak)


def vowel(rate: int, seconds: float = 2.0) -> Pcm:
    """A voice that glides from 100 to 220 Hz, with two formants."""
    time = np.arange(round(rate * seconds)) / rate
    phase = 2 * np.pi * np.cumsum(100 + 60 * (1 - np.cos(np.pi * time / seconds))) / rate
    pitch = np.gradient(phase) * rate / (2 * np.pi)
    wave = np.zeros(len(time))
    for k in range(1, 16):
        strength = 1 / (1 + ((k * pitch - 600) / 200) ** 2) + 0.5 / (1 + ((k * pitch - 1300) / 300) ** 2) + 0.02
        wave += strength * np.sin(k * phase + k * k)
    return column(12000 * wave / np.abs(wave).max())


SOUNDS = {"tone": tone, "vowel": vowel, "noise": noise}


def scaled(sound: Pcm, rate: int, change: int, block: float = 0.02, every: int = 1, *, urgent: bool = False) -> Pcm:
    """The sound with that wish at every so-manieth block."""
    scaler, size = TimeScaler(sound.shape[1], rate), round(rate * block)
    wishes = [change if number % every == 0 else 0 for number in range(len(sound) // size)]
    parts = [scaler.process(sound[n * size : (n + 1) * size], wish, urgent=urgent) for n, wish in enumerate(wishes)]
    return np.concatenate(parts)


def sharpest(sound: Pcm) -> int:
    """The largest second difference: a click has a far larger one than the sound."""
    return int(np.abs(np.diff(sound.astype(int), 2, axis=0)).max())


def spectrum(sound: Pcm, rate: int) -> NDArray[np.float64]:
    """Mean power in 40 bands of equal width up to 4 kHz, in dB."""
    size = rate // 20
    frames = sound[: len(sound) // size * size, 0].reshape(-1, size) * np.hanning(size)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1))).mean(axis=0)
    return np.asarray(10 * np.log10(power[:200].reshape(40, 5).mean(axis=1) + 1))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("block", [0.01, 0.02, 0.06])
@pytest.mark.parametrize("change", [-FAR, FAR])
@pytest.mark.parametrize("kind", ["tone", "vowel"])
def test_a_changed_voice_has_no_click(kind: str, change: int, block: float, rate: int) -> None:
    sound = SOUNDS[kind](rate)
    heard = scaled(sound, rate, change, block)
    assert abs(len(heard) - len(sound)) > 0.03 * len(sound)
    assert sharpest(heard) <= 1.2 * sharpest(sound)


@pytest.mark.parametrize("change", [-FAR, FAR])
def test_noise_is_left_alone_until_the_wish_is_urgent_and_then_has_no_click(change: int) -> None:
    sound = noise(48000)
    assert np.array_equal(scaled(sound, 48000, change), sound)
    heard = scaled(sound, 48000, change, urgent=True)
    assert abs(len(heard) - len(sound)) > 0.03 * len(sound)
    assert sharpest(heard) <= 1.2 * sharpest(sound)
    assert level_dbfs(heard) == pytest.approx(level_dbfs(sound), abs=0.3)


@pytest.mark.parametrize("change", [-FAR, FAR])
@pytest.mark.parametrize("kind", ["tone", "vowel"])
def test_the_spectrum_stays(kind: str, change: int) -> None:
    sound = SOUNDS[kind](16000, 4.0)
    before, after = spectrum(sound, 16000), spectrum(scaled(sound, 16000, change, every=10), 16000)
    loud = before > before.max() - 30
    assert np.abs(before - after)[loud].max() < 1.0


@pytest.mark.parametrize("change", [-FAR, FAR])
def test_a_tone_keeps_its_frequency_and_stays_a_tone(change: int) -> None:
    heard = scaled(tone(48000, hertz=437), 48000, change)[:48000, 0]
    power = np.square(np.abs(np.fft.rfft(heard * np.blackman(48000))))
    assert abs(int(np.argmax(power)) - 437) <= 1
    assert power[:430].sum() + power[445:].sum() < 1e-4 * power.sum()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("change", [-FAR, FAR])
def test_the_tempo_changes_by_a_quarter_at_most(change: int, rate: int) -> None:
    sound = tone(rate, hertz=200)
    grown = len(scaled(sound, rate, change)) - len(sound)
    assert 0.2 * len(sound) < abs(grown) <= 0.25 * len(sound)


@pytest.mark.parametrize("wish", [1, 100, 119])
def test_less_than_a_period_cannot_be_done_where_it_would_be_heard(wish: int) -> None:
    sound = tone(48000)
    for change in (wish, -wish):
        assert np.array_equal(scaled(sound, 48000, change), sound)


def test_no_wish_changes_nothing() -> None:
    sound = vowel(48000)
    assert np.array_equal(scaled(sound, 48000, 0), sound)


@pytest.mark.parametrize("change", [-863, -480, -1, 1, 480, 863])
def test_quiet_becomes_exactly_as_long_as_wished(change: int) -> None:
    scaler, sound = TimeScaler(1, 48000), noise(48000, peak=100)
    out = scaler.process(sound[:960], change)
    assert len(out) == 960 + change
    assert sharpest(np.concatenate((out, scaler.process(sound[960:1920], 0)))) <= 1.2 * sharpest(sound)


def test_both_channels_keep_in_phase() -> None:
    left = vowel(48000)
    sound = np.concatenate((left, -left), axis=1)
    for change in (-FAR, FAR):
        heard = scaled(sound, 48000, change)
        assert len(heard) != len(sound)
        assert np.array_equal(heard[:, 0], -heard[:, 1])


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("kind", SOUNDS)
@pytest.mark.parametrize("length", [0.005, 0.02, 0.1])
def test_made_up_sound_continues_the_last_block_and_the_next_one_continues_it(
    length: float, kind: str, rate: int
) -> None:
    sound, scaler, size = SOUNDS[kind](rate), TimeScaler(1, rate), rate // 50
    before = [scaler.process(sound[first : first + size], 0) for first in range(0, rate, size)]
    made_up = scaler.extend(round(rate * length))
    assert len(made_up) == round(rate * length)
    after = [scaler.process(sound[first : first + size], 0) for first in range(rate, len(sound), size)]
    heard = np.concatenate([*before, made_up, *after])
    assert sharpest(heard) <= 1.5 * sharpest(sound)
    assert np.array_equal(heard[-rate // 2 :], sound[-rate // 2 :])


@pytest.mark.parametrize("kind", ["tone", "vowel"])
def test_a_jump_is_faded_over(kind: str) -> None:
    sound, scaler = SOUNDS[kind](48000), TimeScaler(1, 48000)
    before = [scaler.process(sound[first : first + 960], 0) for first in range(0, 48000, 960)]
    scaler.join()
    after = [scaler.process(sound[first : first + 960], 0) for first in range(50200, 60000, 960)]
    assert sharpest(np.concatenate(before + after)) <= 1.5 * sharpest(sound)


@pytest.mark.parametrize("change", [-480, 480])
@pytest.mark.parametrize("length", [0.006, 0.0125, 0.0171])
def test_a_joint_is_brought_in_phase_within_the_wish(length: float, change: int) -> None:
    sound, scaler = tone(48000, hertz=210), TimeScaler(1, 48000)
    for first in range(0, 48000, 960):
        scaler.process(sound[first : first + 960], 0)
    made_up = round(48000 * length)
    scaler.extend(made_up)
    out = scaler.process(sound[48000:48960], change)
    period = 48000 / 210
    grown = made_up + len(out) - 960
    assert abs(grown - period * round(grown / period)) < 5
    loud = [np.abs(piece.astype(int)).max() for piece in np.array_split(out[: len(out) // 238 * 238], len(out) // 238)]
    assert min(loud) > 0.75 * 12000  # out of phase, the cross-fade would have a hole


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from(["process", "extend", "join"]), st.integers(0, 3000), st.integers(-4000, 4000))),
    st.sampled_from([8000, 11025, 48000, 192000]),
    st.integers(1, 2),
    st.booleans(),
)
def test_no_block_overshoots_the_wish(
    calls: list[tuple[str, int, int]], rate: int, channels: int, urgent: bool
) -> None:
    scaler, random = TimeScaler(channels, rate), np.random.default_rng(3)
    for name, samples, change in calls:
        if name == "join":
            scaler.join()
        elif name == "extend":
            assert scaler.extend(samples).shape == (samples, channels)
        else:
            loud = int(random.choice([50, 32767]))
            block = random.integers(-loud, loud, (samples, channels), np.int16)
            out = scaler.process(block, change, urgent=urgent)
            assert out.dtype == np.int16
            assert out.shape[1] == channels
            assert min(0, change) <= len(out) - samples <= max(0, change)
