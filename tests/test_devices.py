"""Sources and sinks in virtual time: pacing, files, pipes, generated sound, and a sound card made of paper."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import struct
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voip.devices import generate, latency, open_sink, open_source
from voip.devices.card import Card, Microphone, Opened, SlipMeter, Speaker
from voip.devices.files import RawSink, RawSource, WavReader, WavSink
from voip.devices.paced import NullSink, PacedSource, Pacer
from voip.devices.portaudio import MICROPHONE, SPEAKER, DeviceInfo, choose
from voip.devices.quiet import library_noise_hidden
from voip.dsp import Pcm, level_dbfs
from voip.errors import DeviceError

ROOT = Path(__file__).resolve().parent.parent
BLOCK = 480


class Time:
    """Virtual time: sleeping moves it, nothing else does."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def noise(samples: int, channels: int = 1) -> Pcm:
    return np.random.default_rng(1).integers(-32768, 32767, (samples, channels), np.int16)


def write_wav(path: Path, pcm: Pcm, rate: int = 48000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(pcm.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.astype("<i2").tobytes())
    return path


def read_wav(data: bytes | Path) -> tuple[Pcm, int]:
    content = data.read_bytes() if isinstance(data, Path) else data
    with wave.open(io.BytesIO(content)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        return pcm, file.getframerate()


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def form(kind: int, channels: int, bits: int, rate: int = 48000) -> bytes:
    frame = channels * bits // 8
    return struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, bits)


def extensible(kind: int, channels: int, bits: int) -> bytes:
    guid_tail = bytes.fromhex("000000001000800000aa00389b71")
    return form(0xFFFE, channels, bits) + struct.pack("<HHIH", 22, bits, 3, kind) + guid_tail


def open_bytes(path: Path, data: bytes) -> WavReader:
    path.write_bytes(data)
    return WavReader(path)


def pitch(pcm: Pcm, rate: int) -> float:
    """The strongest frequency, between the bins of a windowed spectrum."""
    sound = pcm[:, 0] * np.hanning(len(pcm))
    spectrum = np.log(np.abs(np.fft.rfft(sound)) + 1e-9)
    peak = int(spectrum[1:-1].argmax()) + 1
    left, middle, right = spectrum[peak - 1 : peak + 2]
    return float((peak + (left - right) / (2 * (left - 2 * middle + right))) * rate / len(pcm))


# --- pacing -----------------------------------------------------------------------------------------------------------


def paced(time: Time, rate: int = 48000) -> PacedSource:
    return PacedSource(generate.silence(), rate=rate, channels=1, description="", clock=time.clock, sleep=time.sleep)


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


def read_all(read: Callable[[], Pcm | None], most: int = 100000) -> Pcm:
    blocks: list[Pcm] = []
    while (pcm := read()) is not None:
        blocks.append(pcm)
        assert len(blocks) < most
    return np.concatenate(blocks)


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
    with pytest.raises(DeviceError, match="tone:440"):
        open_source(spec)


# --- WAV in -----------------------------------------------------------------------------------------------------------


def test_a_wav_file_is_read_exactly_with_a_short_last_block(tmp_path: Path, time: Time) -> None:
    sent = noise(1000, 2)
    path = write_wav(tmp_path / "a.wav", sent, 44100)
    source = open_source(str(path), clock=time.clock, sleep=time.sleep)
    assert (source.sample_rate, source.channels, source.block) == (44100, 2, 441)
    source.start()
    blocks = [source.read() for _ in range(4)]
    source.close()
    assert [None if block is None else len(block) for block in blocks] == [441, 441, 118, None]
    np.testing.assert_array_equal(np.concatenate([block for block in blocks if block is not None]), sent)
    assert time.now == pytest.approx(1000.0 + 1000 / 44100)
    assert latency(source) == 0.0


@pytest.mark.parametrize(
    ("bits", "data", "expected"),
    [
        (8, bytes([0, 128, 255]), [-32768, 0, 127 << 8]),
        (16, struct.pack("<3h", -32768, 1, 32767), [-32768, 1, 32767]),
        (24, bytes.fromhex("000080 ff0100 ffff7f"), [-32768, 1, 32767]),
        (32, struct.pack("<3i", -(2**31), 0x1FFFF, 2**31 - 1), [-32768, 1, 32767]),
    ],
)
@pytest.mark.parametrize("make_form", [form, extensible])
def test_pcm_of_every_width_becomes_16_bits(
    tmp_path: Path, bits: int, data: bytes, expected: list[int], make_form: Callable[[int, int, int], bytes]
) -> None:
    reader = open_bytes(tmp_path / "a.wav", riff((b"fmt ", make_form(1, 1, bits)), (b"data", data)))
    assert reader.read(10)[:, 0].tolist() == expected
    assert len(reader.read(10)) == 0
    reader.close()


@pytest.mark.parametrize(("bits", "code"), [(32, "f"), (64, "d")])
def test_float_samples_are_scaled_and_limited(tmp_path: Path, bits: int, code: str) -> None:
    data = struct.pack(f"<5{code}", 0.0, 0.5, -1.0, 7.0, float("nan"))
    reader = open_bytes(tmp_path / "a.wav", riff((b"fmt ", extensible(3, 1, bits)), (b"data", data)))
    assert reader.read(10)[:, 0].tolist() == [0, 16384, -32767, 32767, 0]
    reader.close()


def test_more_than_two_channels_are_averaged_into_one(tmp_path: Path) -> None:
    data = struct.pack("<6h", 32767, 32767, 32767, 32767, 32767, 32767) + struct.pack("<6h", 600, 0, 0, 0, 0, 0)
    reader = open_bytes(tmp_path / "a.wav", riff((b"fmt ", extensible(1, 6, 16)), (b"data", data)))
    assert reader.channels == 1
    assert reader.read(10).tolist() == [[32767], [100]]
    reader.close()


def test_other_chunks_and_odd_sizes_are_stepped_over(tmp_path: Path) -> None:
    junk = (b"LIST", b"odd")
    data = riff(junk, (b"fmt ", form(1, 1, 16)), junk, (b"data", struct.pack("<2h", 5, 6)), junk)
    reader = open_bytes(tmp_path / "a.wav", data)
    assert reader.read(10)[:, 0].tolist() == [5, 6]
    reader.close()


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_a_size_that_was_never_filled_in_means_to_the_end_of_the_file(tmp_path: Path, size: int) -> None:
    data = riff((b"fmt ", form(1, 1, 16)), (b"data", b""))[:-4] + struct.pack("<I", size) + struct.pack("<3h", 1, 2, 3)
    reader = open_bytes(tmp_path / "a.wav", data + b"x")
    assert reader.read(10)[:, 0].tolist() == [1, 2, 3]
    reader.close()


def test_a_wav_file_may_be_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    script = "import sys; open(sys.argv[1], 'wb').write(bytes.fromhex(sys.argv[2]))"
    data = riff((b"fmt ", form(1, 1, 16)), (b"data", struct.pack("<3h", 1, 2, 3)))
    with subprocess.Popen([sys.executable, "-c", script, str(path), data.hex()]):
        reader = WavReader(path)
        assert reader.read(10)[:, 0].tolist() == [1, 2, 3]
        reader.close()


@pytest.mark.parametrize("samples", [1, 7, 480, 481, 1000])
def test_a_looped_file_repeats_without_a_seam(tmp_path: Path, time: Time, samples: int) -> None:
    sent = noise(samples)
    source = open_source(str(write_wav(tmp_path / "a.wav", sent)), loop=True, clock=time.clock, sleep=time.sleep)
    blocks = [source.read() for _ in range(10)]
    source.close()
    sound = np.concatenate([block for block in blocks if block is not None])
    np.testing.assert_array_equal(sound, np.resize(sent[:, 0], (4800,))[:, None])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"ID3\x03" + bytes(100), "not a WAV file; convert it: ffmpeg"),
        (b"RIFF", "not a WAV file"),
        (riff((b"fmt ", form(1, 1, 16))), "holds no audio"),
        (riff((b"fmt ", form(1, 1, 16)), (b"data", b"")), "holds no audio"),
        (riff((b"fmt ", form(1, 2, 16)), (b"data", b"abc")), "holds no audio"),
        (riff((b"data", bytes(10))), "does not say its format"),
        (riff((b"fmt ", bytes(5)), (b"data", bytes(10))), "broken header"),
        (riff((b"fmt ", form(6, 1, 8)), (b"data", bytes(10))), "format 6 with 8 bits is not supported"),
        (riff((b"fmt ", form(1, 1, 40)), (b"data", bytes(10))), "40 bits"),
        (riff((b"fmt ", form(3, 1, 16)), (b"data", bytes(10))), "format 3 with 16 bits"),
        (riff((b"fmt ", form(1, 1, 16, rate=3)), (b"data", bytes(10))), "out of range"),
        (riff((b"fmt ", form(1, 0, 16)), (b"data", bytes(10))), "out of range"),
    ],
)
def test_a_bad_wav_file_is_refused_with_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(DeviceError, match=message) as caught:
        open_bytes(tmp_path / "bad.wav", data)
    assert "bad.wav" in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=200), cut=st.integers(0, 60), at=st.integers(0, 43), byte=st.integers(0, 255))
def test_any_bytes_are_sound_or_a_device_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int, at: int, byte: int
) -> None:
    good = bytearray(riff((b"fmt ", form(1, 2, 16)), (b"data", data)))
    good[at] = byte
    for content in (data, bytes(good), bytes(good[:cut])):
        path = tmp_path_factory.getbasetemp() / "fuzz.wav"
        try:
            reader = open_bytes(path, content)
        except DeviceError:
            continue
        while len(pcm := reader.read(50)):
            assert pcm.dtype == np.int16
            assert pcm.shape[1] == reader.channels
        reader.close()


def test_a_missing_file_is_refused_and_the_files_that_exist_are_named(tmp_path: Path) -> None:
    write_wav(tmp_path / "hello.wav", noise(10))
    with pytest.raises(DeviceError, match=r"hallo\.wav does not exist; there are .*hello\.wav"):
        open_source(str(tmp_path / "hallo.wav"))
    with pytest.raises(DeviceError, match="cannot read"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("spec", ["microphone", "speaker", "", "null", "mike"])
def test_an_unknown_source_is_refused_and_the_known_ones_are_named(spec: str) -> None:
    with pytest.raises(DeviceError, match=r"mic, mic:NAME-OR-INDEX, FILE\.wav"):
        open_source(spec)


@pytest.mark.parametrize("spec", ["speakr", "mic", "", "tone", "out.mp3"])
def test_an_unknown_sink_is_refused_and_creates_no_file(tmp_path: Path, spec: str) -> None:
    with pytest.raises(DeviceError, match=r"speaker, speaker:NAME-OR-INDEX, FILE\.wav"):
        open_sink(spec)


# --- WAV out ----------------------------------------------------------------------------------------------------------


def test_a_written_wav_file_has_the_format_of_the_first_stream(tmp_path: Path, time: Time) -> None:
    path = tmp_path / "a.wav"
    sink = open_sink(str(path), clock=time.clock, sleep=time.sleep)
    assert (sink.sample_rate, sink.channels) == (48000, 1)
    for _ in range(100):
        sink.idle()
    sink.configure(16000, 2)
    sink.configure(8000, 1)
    assert (sink.sample_rate, sink.channels, sink.block) == (16000, 2, 160)
    sent = noise(160 * 30, 2)
    for start in range(0, len(sent), 160):
        sink.write(sent[start : start + 160])
    sink.idle()
    sink.close()
    sink.close()
    heard, rate = read_wav(path)
    assert rate == 16000
    np.testing.assert_array_equal(heard, sent)
    assert time.now == pytest.approx(1000.0 + 1.0 + 0.3)


def test_a_wav_file_without_a_call_is_valid_and_empty(tmp_path: Path) -> None:
    sink = WavSink(tmp_path / "a.wav")
    while_open = (tmp_path / "a.wav").read_bytes()
    sink.close()
    for data in (while_open, tmp_path / "a.wav"):
        heard, rate = read_wav(data)
        assert (len(heard), rate) == (0, 48000)


def test_the_header_of_a_wav_file_is_right_at_any_moment(tmp_path: Path, time: Time) -> None:
    path = tmp_path / "a.wav"
    sink = WavSink(path, clock=time.clock, sleep=time.sleep)
    sink.configure(8000, 1)
    sent = noise(80 * 250)
    for n in range(250):
        sink.write(sent[80 * n : 80 * n + 80])
        heard, rate = read_wav(path)
        assert rate == 8000
        assert len(heard) >= 80 * (n - 100)
        np.testing.assert_array_equal(heard, sent[: len(heard)])
    sink.close()


def test_a_killed_program_leaves_a_file_that_plays(tmp_path: Path) -> None:
    script = """
import os, signal, sys
import numpy as np
from voip.devices.files import WavSink
sink = WavSink(sys.argv[1], clock=lambda: 0.0, sleep=lambda seconds: None)
sink._pacer.wait = lambda samples: None
for n in range(250):
    sink.write(np.full((480, 1), n, np.int16))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.wav")], cwd=ROOT, check=False)
    assert done.returncode == -9
    heard, _ = read_wav(tmp_path / "a.wav")
    assert len(heard) >= 480 * 200
    np.testing.assert_array_equal(heard[::480, 0], np.arange(len(heard) // 480))


def test_a_wav_file_that_cannot_be_created_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"cannot write .*No such file or directory"):
        open_sink(str(tmp_path / "nowhere" / "a.wav"))
    (tmp_path / "full.wav").symlink_to("/dev/full")
    with pytest.raises(DeviceError, match="No space left"):
        open_sink(str(tmp_path / "full.wav"))


# --- pipes ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        with contextlib.suppress(OSError):  # the test may have closed it
            os.close(fd)


def test_raw_samples_from_a_pipe_are_paced_and_half_a_sample_is_dropped(pipe: tuple[int, int], time: Time) -> None:
    sent = noise(1000, 2)
    os.write(pipe[1], sent.astype("<i2").tobytes() + b"abc")
    os.close(pipe[1])
    source = RawSource(pipe[0], 48000, 2, clock=time.clock, sleep=time.sleep)
    source.start()
    np.testing.assert_array_equal(read_all(source.read), sent)
    assert time.now == pytest.approx(1000.0 + 1000 / 48000)
    assert source.starved == 0
    source.close()


def test_a_pipe_that_stalls_gives_silence_in_real_time_and_loses_nothing(pipe: tuple[int, int], time: Time) -> None:
    source = RawSource(pipe[0], 48000, 1, clock=time.clock, sleep=time.sleep)
    source.start()
    sent = noise(2 * BLOCK)
    data = sent.astype("<i2").tobytes()
    os.write(pipe[1], data[:701])
    first = [source.read() for _ in range(5)]
    assert source.starved == 5
    assert all(block is not None and not block.any() for block in first)
    os.write(pipe[1], data[701:])
    rest = [source.read(), source.read()]
    np.testing.assert_array_equal(np.concatenate([block for block in rest if block is not None]), sent)
    assert time.now == pytest.approx(1000.06)


def test_raw_samples_go_into_a_pipe_in_the_format_asked_for(pipe: tuple[int, int], time: Time) -> None:
    sink = RawSink(pipe[1], 8000, 2, clock=time.clock, sleep=time.sleep)
    sink.configure(48000, 1)
    assert (sink.sample_rate, sink.channels, sink.block) == (8000, 2, 80)
    sent = noise(800, 2)
    for start in range(0, 800, 80):
        sink.write(sent[start : start + 80])
        sink.idle()
    sink.close()
    os.close(pipe[1])
    assert os.read(pipe[0], 10000) == sent.astype("<i2").tobytes()
    assert time.now == pytest.approx(1000.19)


def test_a_slow_reader_loses_whole_blocks_and_stops_nobody(pipe: tuple[int, int], time: Time) -> None:
    sink = RawSink(pipe[1], 48000, 1, clock=time.clock, sleep=time.sleep)
    for n in range(200):
        sink.write(np.full((BLOCK, 1), n, np.int16))
    assert sink.dropped > 0
    assert time.now == pytest.approx(1001.99)
    data = os.read(pipe[0], 1 << 20)
    for n in range(200, 210):
        sink.write(np.full((BLOCK, 1), n, np.int16))
    sink.close()
    os.close(pipe[1])
    heard = np.frombuffer(data + os.read(pipe[0], 1 << 20), "<i2").reshape(-1, BLOCK)
    assert (heard == heard[:, :1]).all()
    assert heard[-10:, 0].tolist() == list(range(200, 210))
    assert len(heard) + sink.dropped == 210


def test_a_reader_that_goes_away_is_a_device_error(pipe: tuple[int, int], time: Time) -> None:
    os.close(pipe[0])
    sink = RawSink(pipe[1], 48000, 1, clock=time.clock, sleep=time.sleep)
    with pytest.raises(DeviceError, match="stdout: the program that read it has gone"):
        sink.write(noise(BLOCK))
    sink.close()


def test_stdin_and_stdout_are_sound_and_a_terminal_is_not() -> None:
    script = """
import sys
from voip.devices import open_sink, open_source
source = open_source("-", format=(8000, 1))
sink = open_sink("-", format=(8000, 1))
while (pcm := source.read()) is not None:
    sink.write(pcm)
sink.close()
"""
    sent = noise(8 * 100).astype("<i2").tobytes()
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, input=sent, capture_output=True, check=True)
    assert done.stdout == sent
    terminal, other_end = pty.openpty()
    refused = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, stdin=other_end, capture_output=True, check=False
    )
    assert b"DeviceError: '-': stdin is a terminal; pipe 16-bit samples into it" in refused.stderr
    os.close(terminal)
    os.close(other_end)


@pytest.mark.parametrize("format", [(3000, 1), (48000, 3), (48000, 0), (500000, 1)])
def test_an_impossible_raw_format_is_refused(format: tuple[int, int]) -> None:
    with pytest.raises(DeviceError, match="--format"):
        open_sink("-", format=format)


# --- which device -----------------------------------------------------------------------------------------------------


def device(index: int, name: str, inputs: int, outputs: int, api: str = "ALSA", default: bool = False) -> DeviceInfo:
    return DeviceInfo(index, name, api, inputs, outputs, 48000, 0.01, 0.01, default and inputs > 0, default)


DEVICES = [
    device(0, "HDA Intel: Analog", 2, 2),
    device(1, "HDA Intel: HDMI", 0, 8),
    device(2, "USB Audio", 1, 0, default=True),
    device(3, "USB Audio Speaker", 0, 2, default=True),
    device(4, "USB Audio", 1, 0, api="Other"),
]


@pytest.mark.parametrize(
    ("wanted", "index"), [("", 2), ("0", 0), ("2", 2), ("4", 4), ("usb audio", 2), ("intel", 0), ("ANALOG", 0)]
)
def test_a_microphone_is_chosen_by_index_name_or_default(wanted: str, index: int) -> None:
    assert choose(DEVICES, wanted, MICROPHONE).index == index


@pytest.mark.parametrize(("wanted", "index"), [("", 3), ("1", 1), ("usb", 3), ("hdmi", 1)])
def test_a_speaker_is_chosen_by_index_name_or_default(wanted: str, index: int) -> None:
    assert choose(DEVICES, wanted, SPEAKER).index == index


@pytest.mark.parametrize(
    ("wanted", "problem"), [("99", "matches no"), ("2", "matches no"), ("intel", "matches several")]
)
def test_a_wrong_choice_is_refused_and_what_exists_is_named(wanted: str, problem: str) -> None:
    with pytest.raises(DeviceError, match=f"'{wanted}' {problem} speaker.*there are: 0 HDA Intel: Analog, 1 "):
        choose(DEVICES, wanted, SPEAKER)


def test_without_a_device_of_the_kind_the_alternatives_are_named() -> None:
    with pytest.raises(DeviceError, match=r"no microphone found \(there is no sound device\).*--input FILE\.wav, tone"):
        choose([], "", MICROPHONE)
    with pytest.raises(DeviceError, match=r"no microphone found \(there are: 1 HDA Intel: HDMI\)"):
        choose(DEVICES[1:2], "0", MICROPHONE)


def test_without_a_default_the_first_device_is_taken() -> None:
    assert choose(DEVICES[:2], "", SPEAKER).index == 0


# --- the sound card ---------------------------------------------------------------------------------------------------


class Stream:
    """A sound card of 48 kHz mono in virtual time. `end`: it dies then; `stalls`: it stands still between two times."""

    buffer = 3 * BLOCK

    def __init__(self, time: Time, *, end: float = 1e9, stalls: tuple[float, float] = (1e9, 1e9)) -> None:
        self.time, self.end, self.stalls = time, end, stalls
        self.origin, self.moved, self.lost, self.closed = 0.0, 0, 0, False

    def start_stream(self) -> None:
        self.origin = self.time.now

    def clock(self) -> int:
        """Samples that the card has recorded or played since its start."""
        now = self.time.now
        return int(
            (self.stalls[0] if self.stalls[0] <= now < self.stalls[1] else now) * 48000 - self.origin * 48000 + 0.5
        )

    def get_read_available(self) -> int:
        return -9999 if self.time.now > self.end else self.clock() - self.moved

    def get_write_available(self) -> int:
        return self.clock() + self.buffer - self.moved

    def read(self, samples: int, exception_on_overflow: bool) -> bytes:
        assert not exception_on_overflow, "PyAudio closes a stream that it reports an overflow of"
        if self.time.now > self.end:
            raise OSError(-9999, "Unanticipated host error")
        while self.get_read_available() < samples:
            self.time.now += 0.0001
        first = self.moved
        self.moved += samples
        return (np.arange(first, first + samples) % 30000 + 1).astype(np.int16).tobytes()

    def write(self, data: bytes) -> None:
        if self.time.now > self.end:
            raise OSError(-9999, "Unanticipated host error")
        if self.clock() > self.moved:  # played dry
            self.lost += self.clock() - self.moved
            self.moved = self.clock()
        while self.get_write_available() < len(data) // 2:
            self.time.now += 0.0001
        self.moved += len(data) // 2


def card(make: Callable[..., Card], time: Time, *streams: Stream | None, askable: bool = True) -> Card:
    """A card that gives these streams one after the other; None: opening fails."""
    left = list(streams)

    def open_device(lost: Opened | None) -> Opened:
        stream = left.pop(0)
        if stream is None:
            raise DeviceError("no such device")

        def close() -> None:
            stream.closed = True

        return Opened(stream, "Paper", 48000, 1, 0.02, close)

    return make(open_device, askable=askable, clock=time.clock, sleep=time.sleep)


def microphone(time: Time, *streams: Stream | None, askable: bool = True) -> Microphone:
    made = card(Microphone, time, *streams, askable=askable)
    assert isinstance(made, Microphone)
    return made


def speaker(time: Time, *streams: Stream | None) -> Speaker:
    made = card(Speaker, time, *streams)
    assert isinstance(made, Speaker)
    return made


@pytest.mark.parametrize("askable", [True, False])
def test_a_microphone_gives_every_sample_in_order(time: Time, askable: bool) -> None:
    stream = Stream(time)
    mic = microphone(time, stream, askable=askable)
    assert (mic.description, mic.sample_rate, mic.channels, mic.block) == ("Paper, 48000 Hz", 48000, 1, BLOCK)
    assert latency(mic) == 0.02
    mic.start()
    sound = np.concatenate([block for _ in range(200) if (block := mic.read()) is not None])
    assert sound[:, 0].tolist() == [n % 30000 + 1 for n in range(200 * BLOCK)]
    assert time.now == pytest.approx(1002.0, abs=0.002)
    assert (mic.xruns, mic.failures, mic.available) == (0, 0, True)
    mic.close()
    mic.close()
    assert stream.closed


def test_a_microphone_that_fails_is_silent_in_real_time_and_comes_back(time: Time) -> None:
    dies, lives = Stream(time, end=1000.5), Stream(time)
    mic = microphone(time, dies, None, None, lives)
    levels = []
    for _ in range(600):
        pcm = mic.read()
        assert pcm is not None
        assert pcm.shape == (BLOCK, 1)
        levels.append((time.now, bool(pcm.any()), mic.available))
    assert time.now == pytest.approx(1006.0, abs=0.05)
    assert dies.closed
    assert mic.failures == 1
    silent = [now for now, heard, _ in levels if not heard]
    assert silent[0] == pytest.approx(1000.5, abs=0.03)
    assert silent[-1] == pytest.approx(1003.5, abs=0.1)
    assert all(heard == there for _, heard, there in levels)
    mic.close()


def test_a_microphone_that_stands_still_is_not_waited_for_and_old_sound_is_thrown_away(time: Time) -> None:
    mic = microphone(time, Stream(time, stalls=(1000.5, 1003.0)))
    sound: list[tuple[float, int]] = []
    longest = 0.0
    for _ in range(500):
        before = time.now
        pcm = mic.read()
        assert pcm is not None
        longest = max(longest, time.now - before)
        sound.append((time.now, int(pcm[0, 0])))
    assert longest < 0.3
    assert mic.failures == 1
    assert time.now == pytest.approx(1005.0, abs=0.1)
    for now, first in sound[-190:]:
        age = ((now - 1000.0) * 48000 - first) % 30000
        assert age < 3 * BLOCK
    mic.close()


def test_a_process_that_was_frozen_sends_no_old_sound(time: Time) -> None:
    mic = microphone(time, Stream(time))
    for _ in range(50):
        mic.read()
    time.now += 3.0
    woken = time.now
    pcm = mic.read()
    assert pcm is not None
    assert (time.now - woken) < 0.03
    assert ((time.now - 1000.0) * 48000 - int(pcm[0, 0])) % 30000 < 2 * BLOCK
    mic.close()


def test_a_speaker_is_written_at_the_pace_of_the_card(time: Time) -> None:
    stream = Stream(time)
    out = speaker(time, stream)
    out.configure(8000, 2)
    assert (out.sample_rate, out.channels, out.block) == (48000, 1, BLOCK)
    for n in range(200):
        if n % 2:
            out.idle()
        else:
            out.write(noise(BLOCK))
    assert time.now == pytest.approx(1000.0 + 1.97, abs=0.005)
    assert (stream.lost, out.xruns, out.failures) == (0, 0, 0)
    played = stream.moved
    out.close()
    assert stream.clock() >= played
    assert stream.closed


def test_a_speaker_that_fails_takes_blocks_in_real_time_and_comes_back(time: Time) -> None:
    dies, lives = Stream(time, end=1000.5), Stream(time)
    out = speaker(time, dies, None, lives)
    for _ in range(400):
        out.write(noise(BLOCK))
    assert time.now == pytest.approx(1004.0, abs=0.1)
    assert out.available
    assert lives.moved > 100 * BLOCK
    out.close()


def test_a_speaker_that_stands_still_is_not_waited_for(time: Time) -> None:
    out = speaker(time, Stream(time, stalls=(1000.5, 1003.0)))
    longest, seen = 0.0, set()
    for _ in range(400):
        before = time.now
        out.write(noise(BLOCK))
        longest = max(longest, time.now - before)
        seen.add(out.available)
    assert longest < 0.3
    assert seen == {True, False}
    assert out.available
    assert time.now == pytest.approx(1004.0, abs=0.1)
    out.close()


def test_a_card_that_is_missing_at_the_start_is_an_error(time: Time) -> None:
    with pytest.raises(DeviceError, match="no such device"):
        microphone(time, None)


def test_lost_samples_are_counted_and_a_drifting_clock_is_not() -> None:
    for ppm in (-300, 300):
        meter = SlipMeter(48000)
        for n in range(6000):
            jitter = 0.004 * (n * 7919 % 13) / 13
            lost = 0.03 * (n >= 2000) + 0.05 * (n >= 4000)
            meter.count(BLOCK, n * 0.01 * (1 + ppm * 1e-6) + jitter + lost)
        assert meter.slips == 2


# --- what libraries print, and what is imported -----------------------------------------------------------------------


def test_library_noise_is_hidden_and_what_others_say_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with library_noise_hidden():
        os.write(2, b"ALSA lib conf.c:5180: no such card\njack server is not running\nthe report\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "the report\nafterwards\n"


def test_pyaudio_is_imported_only_when_a_device_is_asked_for(tmp_path: Path) -> None:
    script = """
import sys
from voip.devices import open_sink, open_source
from voip.errors import DeviceError
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
