"""Sources and sinks in virtual time: pacing, generated sound, what libraries print and when they are imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.sound import Time, pitch, read_all
from voip.devices import generate, open_sink, open_source
from voip.devices.paced import NullSink, PacedSource, Pacer
from voip.devices.quiet import library_noise_hidden, library_noise_kept_away
from voip.dsp import level_dbfs
from voip.errors import DeviceError, VoipError

ROOT = Path(__file__).resolve().parents[3]
BLOCK = 480


@pytest.fixture
def time() -> Time:
    return Time()


# --- pacing -----------------------------------------------------------------------------------------------------------


def paced(time: Time, rate: int = 48000) -> PacedSource:
    return PacedSource(generate.silence, rate=rate, channels=1, description="", clock=time.clock, sleep=time.sleep)


def test_every_block_is_due_at_start_plus_n_blocks_whatever_the_consumer_does(time: Time) -> None:
    source = paced(time)
    source.start()
    for n in range(1000):
        source.read()
        assert time.now == pytest.approx(1000.0 + n * 0.01, abs=1e-9)
        time.now += (0.0, 0.003, 0.0099)[n % 3]


def test_blocks_of_a_rate_that_is_no_multiple_of_100_do_not_drift(time: Time) -> None:
    source = paced(time, rate=11025)
    for _ in range(11025 // 5):
        source.read()
    assert time.now == pytest.approx(1000.0 + (2205 - 1) * 110 / 11025)


def test_a_delay_under_a_second_is_caught_up(time: Time) -> None:
    source = paced(time)
    for _ in range(10):
        source.read()
    time.now += 0.9
    for _ in range(91):
        source.read()
    assert time.now == pytest.approx(1001.0)


def test_a_process_that_was_frozen_sends_no_burst(time: Time) -> None:
    source = paced(time)
    for _ in range(10):
        source.read()
    time.now += 3.0
    woken = time.now
    for _ in range(11):
        source.read()
    assert time.now == pytest.approx(woken + 0.1)


def test_a_pacer_that_changes_its_rate_keeps_its_place(time: Time) -> None:
    pacer = Pacer(48000, clock=time.clock, sleep=time.sleep)
    pacer.wait(480)
    pacer.change_rate(8000)
    pacer.wait(80)
    pacer.wait(80)
    assert time.now == pytest.approx(1000.02)


def test_a_null_sink_is_a_clock_and_takes_the_first_format(time: Time) -> None:
    sink = open_sink("null", clock=time.clock, sleep=time.sleep)
    assert isinstance(sink, NullSink)
    sink.idle()
    sink.configure(8000, 2)
    sink.configure(44100, 1)
    assert (sink.sample_rate, sink.channels, sink.block, sink.available) == (8000, 2, 80, True)
    for _ in range(100):
        sink.write(np.zeros((80, 2), np.int16))
    assert time.now == pytest.approx(1001.0)
    sink.close()


# --- generated sound --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spec", "hertz"), [("tone", 440.0), ("tone:1000", 1000.0), ("tone:333.3", 333.3)])
def test_a_tone_has_its_pitch_its_level_and_no_jump_of_phase(time: Time, spec: str, hertz: float) -> None:
    source = open_source(spec, clock=time.clock, sleep=time.sleep)
    sound = np.concatenate([block for _ in range(200) if (block := source.read()) is not None])
    assert (source.sample_rate, source.channels, source.block) == (48000, 1, BLOCK)
    assert pitch(sound, 48000) == pytest.approx(hertz, abs=0.05)
    assert np.abs(sound).max() == pytest.approx(32767 * 10 ** (-12 / 20), rel=0.001)
    steps = np.abs(np.diff(sound[:, 0].astype(int)))
    assert steps.max() <= 2 * np.pi * hertz / 48000 * np.abs(sound).max() + 1


def test_silence_is_silent_and_endless(time: Time) -> None:
    source = open_source("silence", clock=time.clock, sleep=time.sleep)
    for _ in range(500):
        pcm = source.read()
        assert pcm is not None
        assert pcm.shape == (BLOCK, 1)
        assert not pcm.any()


def test_the_demo_is_a_piece_of_ten_seconds_that_never_clips(time: Time) -> None:
    source = open_source("demo", clock=time.clock, sleep=time.sleep)
    sound = read_all(source.read)
    assert 10.0 <= len(sound) / source.sample_rate <= 12.0
    assert time.now == pytest.approx(1000.0 + len(sound) / 48000)
    assert np.abs(sound.astype(int)).max() == 16384
    assert level_dbfs(sound) > -30
    assert abs(float(sound[-1, 0])) < 10


def test_the_demo_begins_with_its_theme() -> None:
    sound = generate.piece()
    notes = [sound[round((0.2 * n + 0.02) * 48000) : round((0.2 * n + 0.19) * 48000)] for n in range(4)]
    theme = [round(12 * np.log2(pitch(note, 48000) / 440.0)) for note in notes]
    assert theme == [7, 6, 7, 6]


def test_the_demo_is_the_same_every_time() -> None:
    first = generate.piece()
    generate.piece.cache_clear()
    generate._pluck.cache_clear()
    np.testing.assert_array_equal(first, generate.piece())


def test_the_demo_loops_without_a_seam() -> None:
    piece = generate.piece()
    fill = generate.demo(loop=True)
    sound = np.concatenate([fill(BLOCK) for _ in range(2 * len(piece) // BLOCK)])
    np.testing.assert_array_equal(sound, np.concatenate([piece, piece])[: len(sound)])


@pytest.mark.parametrize("spec", ["tone:", "tone:-1", "tone:0", "tone:24000", "tone:high", "tone:nan", "tone:inf"])
def test_an_impossible_tone_is_refused(spec: str) -> None:
    with pytest.raises(VoipError, match="tone:440") as refused:
        open_source(spec)
    assert not isinstance(refused.value, DeviceError)


@pytest.mark.parametrize("spec", ["", "silence:2", "demo:", "-:", "loudspeaker", "speaker"])
def test_what_is_no_input_is_refused_with_what_exists(spec: str) -> None:
    with pytest.raises(VoipError, match=f"'{spec}' is not an input: mic, .* or demo") as refused:
        open_source(spec)
    assert not isinstance(refused.value, DeviceError)


@pytest.mark.parametrize("spec", ["", "null:0", "-:", "tone", "mic"])
def test_what_is_no_output_is_refused_with_what_exists(spec: str) -> None:
    with pytest.raises(VoipError, match=f"'{spec}' is not an output: speaker, .* or null") as refused:
        open_sink(spec)
    assert not isinstance(refused.value, DeviceError)


# --- what libraries print, and what is imported -----------------------------------------------------------------------


def test_library_noise_is_hidden_and_what_others_say_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with library_noise_hidden():
        os.write(2, b"ALSA lib conf.c:5180: no such card\njack server is not running\nthe report\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "the report\nafterwards\n"


def test_library_noise_is_kept_away_during_a_call_and_what_others_say_comes_at_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with library_noise_kept_away():
        os.write(
            2, b"Expression 'alsa_snd_pcm_prepare( pcm )' failed in 'pa_linux_alsa.c', line: 3355\nfrom elsewhere\n"
        )
        sys.stderr.write("ours\n")
        os.write(2, b"unfinished")
    os.write(2, b" afterwards\n")
    assert sorted(capfd.readouterr().err.splitlines()) == ["from elsewhere", "ours", "unfinished afterwards"]


def test_pyaudio_is_imported_only_when_a_device_is_asked_for(tmp_path: Path) -> None:
    script = """
import sys
from voip.devices import open_sink, open_source
from voip.errors import DeviceError, VoipError
for spec in ("tone", "silence", "demo"):
    open_source(spec).read()
open_sink("null").idle()
assert "pyaudio" not in sys.modules
sys.modules["pyaudio"] = None
for open_device, spec in ((open_source, "mic"), (open_sink, "speaker:usb")):
    try:
        open_device(spec)
    except DeviceError as error:
        sys.stdout.write(f"{error}\\n")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "pip install PyAudio" in line
        assert "--input FILE.wav, tone, demo" in line
    if sys.platform == "linux":
        assert "apt-get install gcc python3-dev portaudio19-dev" in lines[0]


def test_a_block_that_is_made_late_is_known_to_be_and_heard_in_time_all_the_same() -> None:
    time = Time()
    sink = NullSink(rate=8000, channels=1, description="null", clock=time.clock, sleep=time.sleep)
    block = np.zeros((sink.block, 1), np.int16)
    assert sink.lateness == 0.0, "nothing has been written yet"
    moments = []
    for busy in (0.0, 0.0, 0.025, 0.0, 0.0, 0.0, 0.0):
        time.now += busy
        moments.append(round(time.now - sink.lateness - 1000.0, 6))
        sink.write(block)
    assert moments == [0.0, 0.0, 0.01, 0.02, 0.03, 0.04, 0.05]
    time.now += 5.0
    assert sink.lateness == 0.0, "what was missed is not made up for"
