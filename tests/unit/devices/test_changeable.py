"""A device that is exchanged while it is used, in virtual time: nothing else of the program sees another format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.sound import Time
from voip.devices import ChangeableSink, ChangeableSource, open_sink, open_source
from voip.devices.device import Sink, Source
from voip.devices.files import WavSink
from voip.devices.generate import tone
from voip.devices.paced import NullSink, PacedSource
from voip.dsp import Pcm

FORMATS = [(48000, 1), (44100, 1), (16000, 1), (48000, 2), (44100, 2), (8000, 2)]


@pytest.fixture
def time() -> Time:
    return Time()


def source(spec: str, time: Time) -> Source:
    return open_source(spec, endless=True, clock=time.clock, sleep=time.sleep)


def sound(rate: int, channels: int, time: Time) -> Source:
    def fill(samples: int) -> Pcm:
        return np.full((samples, channels), 8000, np.int16)

    return PacedSource(
        lambda: fill, rate=rate, channels=channels, description=f"{rate}", clock=time.clock, sleep=time.sleep
    )


@pytest.mark.parametrize(("rate", "channels"), FORMATS)
def test_another_source_is_heard_from_the_next_block_on_in_the_format_of_the_first(
    rate: int, channels: int, time: Time
) -> None:
    first = source("silence", time)
    changeable = ChangeableSource(first)
    changeable.start()
    before = changeable.read()
    assert before is not None
    assert not before.any()
    assert changeable.change(sound(rate, channels, time)) is first
    began = time.clock()
    blocks = [changeable.read() for _ in range(100)]
    assert {block.shape for block in blocks if block is not None} == {(480, 1)}
    assert None not in [None if block is None else 1 for block in blocks]
    assert time.clock() - began == pytest.approx(1.0, abs=0.05)
    last = blocks[-1]
    assert last is not None
    assert np.abs(last.astype(int) - 8000).max() < 100


def test_a_source_that_is_missing_is_silent_and_says_why_until_there_is_another(time: Time) -> None:
    changeable = ChangeableSource(source("silence", time), "no microphone found")
    assert (changeable.available, changeable.problem) == (False, "no microphone found")
    changeable.change(source("tone", time))
    assert (changeable.available, changeable.problem) == (True, "")
    assert changeable.description.startswith("tone")


def test_the_end_of_the_input_is_still_the_end(time: Time) -> None:
    def fill(samples: int) -> Pcm:
        return np.zeros((0, 1), np.int16)

    changeable = ChangeableSource(source("silence", time))
    changeable.change(
        PacedSource(lambda: fill, rate=8000, channels=1, description="", clock=time.clock, sleep=time.sleep)
    )
    assert changeable.read() is None


def sink(spec: str, time: Time) -> Sink:
    return open_sink(spec, clock=time.clock, sleep=time.sleep)


def test_what_is_played_goes_on_in_the_format_of_the_first_sink(tmp_path: Path, time: Time) -> None:
    path = tmp_path / "heard.wav"
    changeable = ChangeableSink(sink("null", time))
    changeable.configure(16000, 1)
    before = changeable.change(WavSink(path, rate=44100, channels=2, clock=time.clock, sleep=time.sleep))
    before.close()
    assert (changeable.sample_rate, changeable.channels, changeable.block) == (16000, 1, 160)
    changeable.configure(48000, 2)  # of the next stream: what was begun stays
    assert (changeable.sample_rate, changeable.channels, changeable.block) == (16000, 1, 160)
    fill, began = tone(440.0), time.clock()
    for _ in range(50):
        changeable.write(fill(160))
        changeable.idle()
    changeable.close()
    assert changeable.written == (path,)
    assert time.clock() - began == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("rate", "theirs"), [(48000, 240), (48000, 480), (44100, 221), (16000, 80)])
def test_what_is_played_and_what_is_not_takes_its_own_time_whatever_the_block_of_the_sink(
    rate: int, theirs: int, time: Time
) -> None:
    class Short(NullSink):
        """One whose blocks are not of 10 ms."""

        def __init__(self) -> None:
            super().__init__(rate=rate, channels=1, description="", clock=time.clock, sleep=time.sleep)
            self.block = theirs

        def configure(self, rate: int, channels: int) -> None:
            """It keeps its own format, as sound cards do."""

    changeable = ChangeableSink(sink("null", time))
    changeable.configure(48000, 1)
    changeable.change(Short())
    began = time.clock()
    for _ in range(50):
        changeable.write(np.zeros((480, 1), np.int16))
        changeable.idle()
    assert time.clock() - began == pytest.approx(1.0, abs=0.02)


def test_faults_and_files_of_those_before_are_not_forgotten(tmp_path: Path, time: Time) -> None:
    class Faulty:
        xruns, description, written = 3, "speaker 1", (tmp_path / "a.wav",)
        sample_rate, channels, block, available, lateness = 48000, 1, 480, True, 0.0

        def faults(self) -> str:
            return "1 interruption"

        def configure(self, rate: int, channels: int) -> None: ...
        def write(self, pcm: Pcm) -> None: ...
        def idle(self) -> None: ...
        def close(self) -> None: ...

    changeable = ChangeableSink(Faulty())
    changeable.change(Faulty())
    assert changeable.xruns == 6
    assert changeable.faults() == "speaker 1: 1 interruption; 1 interruption"
    assert changeable.written == (tmp_path / "a.wav",) * 2
