"""What a long hole fades into: the background, if there was one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from voip.dsp import SILENCE_DBFS, Concealer, Pcm, level_dbfs


def room(rate: int, seconds: float, level: float = -60.0, channels: int = 1, seed: int = 5) -> Pcm:
    """Noise with the falling spectrum of a room."""
    white = np.random.default_rng(seed).normal(0, 1, (round(rate * seconds), channels))
    smooth = np.stack([np.convolve(column, np.exp(-np.arange(40) / 8), "same") for column in white.T], axis=1)
    return np.asarray(np.rint(smooth * 32768 * 10 ** (level / 20) / smooth.std()), np.int16)


def speech(rate: int, seconds: float) -> Pcm:
    """A vowel of 150 Hz that comes and goes three times a second, in a room."""
    time = np.arange(round(rate * seconds)) / rate
    vowel = sum(np.sin(2 * np.pi * 150 * k * time + k * k) / k for k in range(1, 10))
    envelope = np.maximum(np.sin(2 * np.pi * 3 * time), 0.0)
    return np.asarray(room(rate, seconds) + np.rint(6000 * envelope * vowel)[:, None], np.int16)


def after(sound: Pcm, rate: int, *, hole: float = 1.0, good: float = 0.02) -> Pcm:
    """What is heard in a hole after that sound."""
    concealer, size = Concealer(sound.shape[1], rate), round(rate * good)
    for first in range(0, len(sound), size):
        concealer.good(sound[first : first + size])
    return np.concatenate([concealer.conceal(rate // 100) for _ in range(round(hole * 100))])


def bands(sound: Pcm, rate: int) -> NDArray[np.float64]:
    """Power in eight bands up to half the rate, in dB."""
    frames = sound[: len(sound) // 512 * 512, 0].reshape(-1, 512) * np.hanning(512)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1))).mean(axis=0)[:256]
    return np.asarray(10 * np.log10(power.reshape(8, 32).mean(axis=1) + 1e-3))


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("good", [0.0025, 0.02, 0.06])
def test_a_long_hole_fades_into_the_noise_of_the_room(good: float, rate: int) -> None:
    heard = after(speech(rate, 3.1), rate, good=good)
    steady = heard[round(0.06 * rate) :]
    assert -66 < level_dbfs(steady) < -59
    pieces = [level_dbfs(piece) for piece in np.array_split(steady, 20)]
    assert max(pieces) < -57


def test_the_noise_has_the_spectrum_of_the_room() -> None:
    sound = room(16000, 3)
    assert bands(after(sound, 16000)[960:], 16000) == pytest.approx(bands(sound, 16000), abs=6)


def test_nothing_is_repeated_within_half_a_second() -> None:
    steady = after(room(8000, 3, -50), 8000, hole=2)[480:, 0].astype(float)
    whole = np.correlate(steady, steady[:2000])
    assert np.abs(whole[100:4000]).max() < 0.3 * whole[0]


def test_a_tone_or_music_without_pause_is_no_background() -> None:
    tone = np.rint(3000 * np.sin(np.arange(48000) * 0.05)).astype(np.int16)[:, None]
    assert level_dbfs(after(tone, 16000)[960:]) == SILENCE_DBFS


def test_digital_silence_stays_silent() -> None:
    sound = speech(16000, 3)
    sound[32000:33600] = 0
    assert not after(sound, 16000)[960:].any()
    assert not after(np.zeros((48000, 2), np.int16), 16000).any()


def test_a_stream_that_has_just_begun_has_no_background() -> None:
    assert not after(room(16000, 0.1), 16000)[960:].any()


def test_each_channel_has_its_own_noise() -> None:
    sound = room(16000, 3, channels=2)
    sound[:, 1] //= 4
    heard = after(sound, 16000)[960:].astype(float)
    assert heard[:, 0].std() == pytest.approx(4 * heard[:, 1].std(), rel=0.6)
    assert abs(float(np.corrcoef(heard.T)[0, 1])) < 0.1


def test_the_noise_does_not_depend_on_how_the_hole_is_cut() -> None:
    sound, whole, pieces = speech(16000, 3), Concealer(1, 16000), Concealer(1, 16000)
    whole.good(sound)
    pieces.good(sound)
    assert np.array_equal(whole.conceal(3200), np.concatenate([pieces.conceal(n) for n in (1, 319, 640, 2240)]))


def test_sound_that_was_made_up_is_no_background() -> None:
    concealer, sound = Concealer(1, 16000), room(16000, 3, -50)
    concealer.good(sound)
    for _ in range(5):
        concealer.conceal(16000)
        concealer.join(sound[:320])
    concealer.conceal(960)
    assert level_dbfs(concealer.conceal(8000)) == pytest.approx(-50, abs=4)


def test_speech_returns_from_the_noise_without_a_click() -> None:
    sound, concealer = speech(16000, 4), Concealer(1, 16000)
    concealer.good(sound[:48000])
    made_up = concealer.conceal(3200)
    heard = np.concatenate((sound[:48000], made_up, concealer.join(sound[52000:55200])))
    sharpest = [int(np.abs(np.diff(wave.astype(int), 2, axis=0)).max()) for wave in (heard, sound)]
    assert sharpest[0] <= 1.2 * sharpest[1]
