"""Which sound device is meant, and a sound card made of paper that fails in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.support.sound import Time, noise
from voip.devices.card import QUICK_BLOCK_SECONDS, Card, Microphone, Opened, SlipMeter, Speaker
from voip.devices.choice import MICROPHONE, SPEAKER, DeviceInfo, choose
from voip.devices.portaudio import PortAudioStream, _open
from voip.errors import DeviceError

BLOCK = 480


@pytest.fixture
def time() -> Time:
    return Time()


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


def test_pyaudio_is_never_asked_to_report_an_overflow_as_it_would_close_the_stream() -> None:
    class Native:
        def read(self, samples: int, exception_on_overflow: bool) -> bytes:
            assert not exception_on_overflow
            return bytes(2 * samples)

    assert PortAudioStream(None, Native()).read(480) == bytes(960)


# --- the sound card ---------------------------------------------------------------------------------------------------


class Stream:
    """A sound card of 48 kHz mono in virtual time. `end`: it dies then; `stalls`: it stands still between two times."""

    buffer = 3 * BLOCK

    def __init__(self, time: Time, *, end: float = 1e9, stalls: tuple[float, float] = (1e9, 1e9)) -> None:
        self.time, self.end, self.stalls = time, end, stalls
        self.origin, self.moved, self.lost, self.closed = 0.0, 0, 0, False

    def start(self) -> None:
        self.origin = self.time.now

    def clock(self) -> int:
        """Samples that the card has recorded or played since its start."""
        now = self.time.now
        return int(
            (self.stalls[0] if self.stalls[0] <= now < self.stalls[1] else now) * 48000 - self.origin * 48000 + 0.5
        )

    def readable(self) -> int:
        return -9999 if self.time.now > self.end else self.clock() - self.moved

    def writable(self) -> int:
        return self.clock() + self.buffer - self.moved

    def read(self, samples: int) -> bytes:
        if self.time.now > self.end:
            raise OSError(-9999, "Unanticipated host error")
        while self.readable() < samples:
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
        while self.writable() < len(data) // 2:
            self.time.now += 0.0001
        self.moved += len(data) // 2

    def close(self) -> None:
        self.closed = True


def card(make: Callable[..., Card], time: Time, *streams: Stream | None, askable: bool = True) -> Card:
    """A card that gives these streams one after the other; None: opening fails."""
    left = list(streams)

    def open_device(lost: Opened | None) -> Opened:
        stream = left.pop(0)
        if stream is None:
            raise DeviceError("no such device")

        return Opened(stream, "Paper", 48000, 1, 0.02, askable)

    return make(open_device, clock=time.clock, sleep=time.sleep)


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
    assert mic.latency == 0.02
    mic.start()
    sound = np.concatenate([block for _ in range(200) if (block := mic.read()) is not None])
    assert sound[:, 0].tolist() == [n % 30000 + 1 for n in range(200 * BLOCK)]
    assert time.now == pytest.approx(1002.0, abs=0.002)
    assert (mic.xruns, mic.failures, mic.available, mic.faults()) == (0, 0, True, "")
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
    assert mic.faults() == "1 interruption"
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


class Sleepy(Time):
    """Counts how often somebody sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.naps = 0

    def sleep(self, seconds: float) -> None:
        self.naps += 1
        super().sleep(seconds)


@pytest.mark.parametrize("drift", [-200e-6, 0.0, 200e-6])
def test_a_device_is_asked_about_once_for_each_block_and_read_within_a_millisecond(drift: float) -> None:
    time = Sleepy()

    class Drifting(Stream):
        def clock(self) -> int:  # it gives its sound in blocks, by a clock that is not ours
            return int((self.time.now - self.origin) * (1.0 + drift) * 48000 + 1e-6) // (BLOCK // 2) * (BLOCK // 2)

    stream = Drifting(time)
    mic, _ = quick_microphone(time, stream)
    late = []
    for _ in range(2000):
        assert mic.read() is not None
        late.append((time.now - stream.origin) * (1.0 + drift) - stream.moved / 48000)
    assert time.naps < 1.4 * 2000
    assert max(late) < 0.0011


def test_a_reader_that_was_late_is_in_time_with_the_next_block(time: Time) -> None:
    stream = Stream(time)
    mic, _ = quick_microphone(time, stream)
    for _ in range(50):
        mic.read()
    time.now += 0.004
    mic.read()  # a thread that was woken too late
    mic.read()
    assert time.now - stream.origin - stream.moved / 48000 < 0.0011
    mic.close()


class Slipping(Stream):
    """A microphone that loses samples at these moments."""

    def __init__(self, time: Time, *slips: float) -> None:
        super().__init__(time)
        self.slips = [*slips]

    def readable(self) -> int:
        while self.slips and self.slips[0] <= self.time.now:
            self.slips.pop(0)
            self.moved += BLOCK
        return super().readable()


def quick_microphone(time: Time, stream: Stream) -> tuple[Microphone, list[float]]:
    """One that is opened with blocks of 5 ms at first, and the blocks that it is opened with, in seconds."""
    blocks: list[float] = []

    def open_device(lost: Opened | None) -> Opened:
        blocks.append(lost.block if lost else QUICK_BLOCK_SECONDS)
        return Opened(stream if lost is None else Stream(time), "Paper", 48000, 1, 2 * blocks[-1], block=blocks[-1])

    return Microphone(open_device, clock=time.clock, sleep=time.sleep), blocks


def test_a_device_that_is_too_slow_for_short_blocks_gets_longer_ones(time: Time) -> None:
    stream = Slipping(time, 1002.3, 1004.3, 1006.3)
    mic, blocks = quick_microphone(time, stream)
    seen = []
    while time.now < 1012.0:
        pcm = mic.read()
        assert pcm is not None
        assert pcm.any()
        seen.append((time.now, len(pcm)))
    assert {length for now, length in seen if now < 1006.0} == {BLOCK // 2}
    assert {length for now, length in seen if now > 1007.5} == {BLOCK}
    assert blocks == [0.005, 0.01]
    assert stream.closed
    assert (mic.xruns, mic.failures, mic.latency, mic.block) == (3, 0, 0.02, BLOCK)
    assert mic.faults() == "3 overruns or underruns of the sound card, 1 change to longer blocks"
    mic.close()


@pytest.mark.parametrize("slips", [(), (1002.3, 1003.3), (1002.3, 1003.3, 1040.3, 1041.3, 1080.3)])
def test_a_device_keeps_short_blocks_while_they_are_rarely_missed(time: Time, slips: tuple[float, ...]) -> None:
    mic, blocks = quick_microphone(time, Slipping(time, *slips))
    while time.now < 1090.0:
        mic.read()
    assert (blocks, mic.xruns, mic.block) == ([0.005], len(slips), BLOCK // 2)
    mic.close()


def test_what_is_written_to_a_speaker_that_is_gone_takes_its_own_time(time: Time) -> None:
    """In blocks of another length than its own, as they are after another device was exchanged for it."""

    def open_device(lost: Opened | None) -> Opened:
        if lost:
            raise DeviceError("no such device")
        return Opened(Stream(time, end=time.now + 0.5), "Paper", 48000, 1, 0.0, block=QUICK_BLOCK_SECONDS)

    speaker = Speaker(open_device, clock=time.clock, sleep=time.sleep)
    began, written = time.now, 0
    while time.now < began + 5.0:
        speaker.write(np.zeros((BLOCK, 1), np.int16))
        written += BLOCK
    assert not speaker.available
    assert written / 48000 == pytest.approx(5.0, abs=0.1)


def test_a_device_that_does_not_come_back_with_longer_blocks_is_awaited(time: Time) -> None:
    left: list[Stream | None] = [Slipping(time, 1001.3, 1002.3, 1003.3), None, None, Stream(time)]

    def open_device(lost: Opened | None) -> Opened:
        stream = left.pop(0)
        if stream is None:
            raise DeviceError("no such device")
        return Opened(stream, "Paper", 48000, 1, 0.0, block=lost.block if lost else QUICK_BLOCK_SECONDS)

    mic = Microphone(open_device, clock=time.clock, sleep=time.sleep)
    while time.now < 1008.0:
        mic.read()
    assert (mic.available, mic.failures, mic.block) == (True, 1, BLOCK)
    assert time.now == pytest.approx(1008.0, abs=0.02)
    mic.close()


# --- opening ----------------------------------------------------------------------------------------------------------


class Audio:
    """PyAudio with a device that takes one format only."""

    paInt16 = 8

    def __init__(self, rate: int, channels: int) -> None:
        self.takes = (rate, channels)
        self.tried: list[tuple[object, object]] = []
        self.blocks: list[object] = []

    def open(self, **arguments: object) -> str:
        assert arguments["start"] is False
        self.tried.append((arguments["rate"], arguments["channels"]))
        self.blocks.append(arguments["frames_per_buffer"])
        if self.tried[-1] != self.takes:
            raise OSError(-9997, "Invalid sample rate")
        return "stream"


def test_blocks_are_short_until_a_device_has_been_too_slow_for_them(time: Time) -> None:
    audio, info = Audio(48000, 1), device(2, "Card", 1, 0)
    _open(audio, audio, info, MICROPHONE, None)
    _open(audio, audio, info, MICROPHONE, Opened(Stream(time), "Card", 48000, 1, 0.0, block=0.01))
    assert audio.blocks == [240, 480]


@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (48000, 1), (44100, 2), (44100, 1)])
def test_a_speaker_is_opened_at_the_first_format_it_takes(rate: int, channels: int) -> None:
    audio = Audio(rate, channels)
    info = replace(device(3, "Card", 0, 2), rate=44100)
    assert _open(audio, audio, info, SPEAKER, None) == ("stream", rate, channels)


def test_a_microphone_is_mono_unless_it_can_only_be_stereo() -> None:
    for channels in (1, 2):
        audio = Audio(48000, channels)
        assert _open(audio, audio, device(2, "Card", 2, 0), MICROPHONE, None) == ("stream", 48000, channels)
        assert audio.tried == [(48000, 1), (48000, 2)][:channels]


def test_a_device_that_comes_back_has_to_take_the_same_format(time: Time) -> None:
    audio = Audio(48000, 1)
    lost = Opened(Stream(time), "Card", 44100, 1, 0.0)
    with pytest.raises(DeviceError, match=r"cannot open microphone 2 Card: Invalid sample rate.*--input FILE\.wav"):
        _open(audio, audio, device(2, "Card", 1, 0), MICROPHONE, lost)
    assert audio.tried == [(44100, 1)]
