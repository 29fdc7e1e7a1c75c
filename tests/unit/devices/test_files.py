"""WAV files and pipes as sources and sinks, in virtual time."""

from __future__ import annotations

import contextlib
import errno
import os
import pty
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sound import Time, noise, read_all
from tests.support.wav import Samples, load, save
from voip.devices import open_sink, open_source
from voip.devices.files import RawSink, RawSource, WavReader, WavSink
from voip.errors import DeviceError, VoipError

ROOT = Path(__file__).resolve().parents[3]
BLOCK = 480


@pytest.fixture
def time() -> Time:
    return Time()


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


# --- WAV in -----------------------------------------------------------------------------------------------------------


def test_a_wav_file_is_read_exactly_with_a_short_last_block(tmp_path: Path, time: Time) -> None:
    sent = noise(1000, 2)
    path = save(tmp_path / "a.wav", sent, 44100)
    source = open_source(str(path), clock=time.clock, sleep=time.sleep)
    assert (source.sample_rate, source.channels, source.block) == (44100, 2, 441)
    source.start()
    blocks = [source.read() for _ in range(4)]
    source.close()
    assert [None if block is None else len(block) for block in blocks] == [441, 441, 118, None]
    np.testing.assert_array_equal(np.concatenate([block for block in blocks if block is not None]), sent)
    assert time.now == pytest.approx(1000.0 + 1000 / 44100)


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
    source = open_source(str(save(tmp_path / "a.wav", sent)), loop=True, clock=time.clock, sleep=time.sleep)
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
        (riff((b"data", bytes(10))), "has no format chunk"),
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
    save(tmp_path / "hello.wav", noise(10))
    with pytest.raises(DeviceError, match=r"hallo\.wav does not exist; there are .*hello\.wav"):
        open_source(str(tmp_path / "hallo.wav"))
    with pytest.raises(DeviceError, match="cannot read"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("spec", ["microphone", "speaker", "", "null", "mike"])
def test_an_unknown_source_is_refused_and_the_known_ones_are_named(spec: str) -> None:
    with pytest.raises(VoipError, match=r"mic, mic:NAME-OR-INDEX, FILE\.wav") as refused:
        open_source(spec)
    assert not isinstance(refused.value, DeviceError)


@pytest.mark.parametrize("name", ["song.mp3", "folder/song", "a song.flac"])
def test_a_source_that_looks_like_a_file_does_not_exist(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeviceError, match=r"song(\.\w+)? does not exist"):
        open_source(str(tmp_path / name))


def test_how_to_convert_a_file_can_be_pasted_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "a song.mp3").write_bytes(b"ID3")
    with pytest.raises(DeviceError, match=r"ffmpeg -i '.*a song\.mp3' '.*a song-16bit\.wav'"):
        open_source(str(tmp_path / "a song.mp3"))


@pytest.mark.parametrize("spec", ["speakr", "mic", "", "tone", "out.mp3"])
def test_an_unknown_sink_is_refused_and_creates_no_file(tmp_path: Path, spec: str) -> None:
    with pytest.raises(VoipError, match=r"speaker, speaker:NAME-OR-INDEX, FILE\.wav") as refused:
        open_sink(spec)
    assert not isinstance(refused.value, DeviceError)


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
    heard, rate = load(path)
    assert rate == 16000
    np.testing.assert_array_equal(heard, sent)
    assert time.now == pytest.approx(1000.0 + 1.0 + 0.3)


@pytest.mark.parametrize("overwrite", [False, True])
def test_without_a_call_no_file_is_created_and_none_is_touched(tmp_path: Path, time: Time, *, overwrite: bool) -> None:
    (tmp_path / "precious.wav").write_bytes(b"precious")
    for name in ("a.wav", "precious.wav"):
        sink = WavSink(tmp_path / name, overwrite=overwrite, clock=time.clock, sleep=time.sleep)
        sink.idle()
        sink.configure(8000, 1)
        sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["precious.wav"]
    assert (tmp_path / "precious.wav").read_bytes() == b"precious"


def record(path: Path, time: Time, sound: Samples, **options: Any) -> list[str]:  # noqa: ANN401
    """A recording of this sound; what was said about it."""
    said: list[str] = []
    sink = WavSink(path, say=said.append, clock=time.clock, sleep=time.sleep, **options)
    sink.configure(48000, 1)
    sink.write(sound)
    sink.close()
    return [*said, sink.description]


def test_a_recording_that_is_there_is_kept_and_the_next_name_taken(tmp_path: Path, time: Time) -> None:
    path, sounds = tmp_path / "call.wav", [noise(480) for _ in range(3)]
    assert record(path, time, sounds[0]) == [f"file {path}"]
    for number in (2, 3):
        name = tmp_path / f"call-{number}.wav"
        said = f"recording to {name}: {path} is kept (--overwrite replaces it)"
        assert record(path, time, sounds[number - 1]) == [said, f"file {name}"]
    for written, sound in zip(("call.wav", "call-2.wav", "call-3.wav"), sounds, strict=True):
        np.testing.assert_array_equal(load(tmp_path / written)[0], sound)


def test_a_recording_is_replaced_on_request_and_a_device_is_written_to(tmp_path: Path, time: Time) -> None:
    path, sound = tmp_path / "call.wav", noise(480)
    record(path, time, noise(960))
    assert record(path, time, sound, overwrite=True) == [f"file {path}"]
    np.testing.assert_array_equal(load(path)[0], sound)
    (tmp_path / "null.wav").symlink_to("/dev/null")
    assert record(tmp_path / "null.wav", time, sound) == [f"file {tmp_path / 'null.wav'}"]


def test_another_program_that_takes_the_name_meanwhile_loses_nothing(tmp_path: Path, time: Time) -> None:
    sink = WavSink(tmp_path / "call.wav", clock=time.clock, sleep=time.sleep)
    (tmp_path / "call.wav").write_bytes(b"theirs")
    sink.write(noise(480))
    sink.close()
    assert (tmp_path / "call.wav").read_bytes() == b"theirs"
    assert len(load(tmp_path / "call-2.wav")[0]) == 480


def test_a_named_pipe_is_refused_with_what_to_do(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(DeviceError, match="--output - > "):
        open_sink(str(tmp_path / "pipe.wav"))


def wait_for_disk(sink: WavSink) -> None:
    """Until all is written that was given to the sink so far."""
    done = threading.Event()
    assert sink.recording._writer is not None
    sink.recording._writer.put(done.set)
    assert done.wait(20.0)


def test_the_header_of_a_wav_file_is_right_at_any_moment(tmp_path: Path, time: Time) -> None:
    path = tmp_path / "a.wav"
    sink = WavSink(path, clock=time.clock, sleep=time.sleep)
    sink.configure(8000, 1)
    sent = noise(80 * 250)
    for n in range(250):
        sink.write(sent[80 * n : 80 * n + 80])
        wait_for_disk(sink)
        heard, rate = load(path)
        assert rate == 8000
        assert len(heard) >= 80 * (n - 100)
        np.testing.assert_array_equal(heard, sent[: len(heard)])
    sink.close()


def test_a_killed_program_leaves_a_file_that_plays(tmp_path: Path) -> None:
    script = """
import os, signal, sys, threading
import numpy as np
from voip.devices.files import WavSink
sink = WavSink(sys.argv[1], clock=lambda: 0.0, sleep=lambda seconds: None)
sink._pacer.wait = lambda samples: None
for n in range(250):
    sink.write(np.full((480, 1), n, np.int16))
done = threading.Event()
sink.recording._writer.put(done.set)
assert done.wait(20.0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.wav")], cwd=ROOT, check=False)
    assert done.returncode == -9
    heard, _ = load(tmp_path / "a.wav")
    assert len(heard) >= 480 * 200
    np.testing.assert_array_equal(heard[::480, 0], np.arange(len(heard) // 480))


def test_a_disk_that_stalls_holds_nobody_up_and_loses_nothing(tmp_path: Path, time: Time) -> None:
    sink = WavSink(tmp_path / "a.wav", clock=time.clock, sleep=time.sleep)
    sink.configure(8000, 1)
    sink.write(noise(80))
    wait_for_disk(sink)
    disk, reached, sent = threading.Event(), threading.Event(), noise(80 * 300)
    grow = sink.recording._append

    def stalls(data: bytes) -> None:
        reached.set()
        assert disk.wait(20.0)
        grow(data)

    sink.recording._append = stalls  # type: ignore[method-assign]
    for n in range(300):
        sink.write(sent[80 * n : 80 * n + 80])
    assert reached.wait(20.0)
    assert time.now == pytest.approx(1000.0 + 3.0)
    assert len(load(tmp_path / "a.wav")[0]) <= 80
    disk.set()
    sink.close()
    np.testing.assert_array_equal(load(tmp_path / "a.wav")[0][80:], sent)


def test_the_file_is_there_with_the_first_block_and_the_disk_is_troubled_twice_a_second(
    tmp_path: Path, time: Time
) -> None:
    path = tmp_path / "a.wav"
    sink = WavSink(path, rate=48000, clock=time.clock, sleep=time.sleep)
    written: list[int] = []
    append = sink.recording._append

    def counted(data: bytes) -> None:
        append(data)
        written.append(len(data))

    sink.recording._append = counted  # type: ignore[method-assign]
    blocks = [noise(480) for _ in range(1000)]
    sink.write(blocks[0])
    while not written:
        threading.Event().wait(0.001)
    assert path.exists()
    for block in blocks[1:]:
        sink.write(block)
    sink.close()
    assert len(written) <= 22
    assert np.array_equal(load(path)[0], np.concatenate(blocks))


def test_a_full_disk_is_told_with_the_next_block_and_at_the_end(tmp_path: Path, time: Time) -> None:
    sink = WavSink(tmp_path / "a.wav", clock=time.clock, sleep=time.sleep)

    def fails(data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    sink.recording._append = fails  # type: ignore[method-assign]
    sink.write(noise(480))
    assert sink.recording._writer is not None
    while sink.recording._writer.error is None:
        threading.Event().wait(0.001)
    with pytest.raises(DeviceError, match="No space left"):
        sink.write(noise(480))
    with pytest.raises(DeviceError, match="No space left"):
        sink.close()
    sink.close()


def test_a_wav_file_that_cannot_be_created_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"cannot write .*No such file or directory"):
        open_sink(str(tmp_path / "nowhere" / "a.wav"))
    (tmp_path / "full.wav").symlink_to("/dev/full")
    with pytest.raises(DeviceError, match="No space left"):
        open_sink(str(tmp_path / "full.wav"))
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(DeviceError, match="Is a directory"):
        open_sink(str(tmp_path / "folder.wav"))


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
    assert source.underruns == 0
    source.close()


def test_a_pipe_that_stalls_gives_silence_in_real_time_and_loses_nothing(pipe: tuple[int, int], time: Time) -> None:
    source = RawSource(pipe[0], 48000, 1, clock=time.clock, sleep=time.sleep)
    source.start()
    sent = noise(2 * BLOCK)
    data = sent.astype("<i2").tobytes()
    os.write(pipe[1], data[:701])
    first = [source.read() for _ in range(5)]
    assert source.underruns == 5
    assert source.faults() == "5 blocks that stdin did not have in time"
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
    with pytest.raises(DeviceError, match="stdout: the program reading it has exited"):
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
    with pytest.raises(VoipError, match="--format"):
        open_sink("-", format=format)
