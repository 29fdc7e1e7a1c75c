"""Calls in both directions: the two real scripts, and the parts that begin and end with each call."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tests.support.processes import receiver, sender
from tests.support.sound import Time, noise, write_wav
from tests.support.wavdiff import compare, load
from voip import codecs
from voip.audio import AudioSender
from voip.devices import generate, open_source
from voip.devices.paced import PacedSource
from voip.engine import Capture
from voip.media import AudioFormat, NegotiatedMedia

PATIENT = ("--latency", "400ms")
"""A busy machine stands still for longer than a network of its own would make anybody wait."""


def waves(folder: Path, seconds: float) -> tuple[Path, Path]:
    """Two sounds that have nothing in common."""
    both = noise(round(2 * seconds * 48000)) // 8
    half = len(both) // 2
    return write_wav(folder / "there.wav", both[:half]), write_wav(folder / "back.wav", both[half:])


@pytest.mark.process
@pytest.mark.parametrize("fec", ["4", "off"])
def test_both_directions_arrive_as_they_were_sent(tmp_path: Path, fec: str) -> None:
    there, back = waves(tmp_path, 1.5)
    both = ("--two-way", "--codec", "l16", "--fec", fec, *PATIENT)
    with (
        receiver(tmp_path, *both, "-i", str(back), "-o", "heard_there.wav", "--once") as far,
        sender(tmp_path, far.target, *both, "-i", str(there), "-o", "heard_back.wav") as near,
    ):
        ends = near.finish(), far.finish()
    for sent, heard in ((there, "heard_there.wav"), (back, "heard_back.wav")):
        found = compare(load(sent)[0], load(tmp_path / heard)[0], 48000)
        assert found.exact
        assert found.heard > 0.97  # the two directions do not begin and end at the same moment
    for end in ends:
        assert end.status == 0
        assert end.call["rx"]["received"] == pytest.approx(end.call["tx"]["packets"], abs=20)
        assert end.call["rx"]["lost"] == end.call["heard"]["concealed"] == 0
        assert (end.call["tx"]["fec_packets"] > 0) is (fec != "off")
        assert end.call["remote"]["cumulative_lost"] == 0
        assert end.call["timing"]["rtt_ms"] is not None
        assert end.stderr.count("round trip") == 1
    for end, other in (ends, reversed(ends)):
        assert end.call["fec"]["packets"] == pytest.approx(other.call["tx"]["fec_packets"], abs=5)


@pytest.mark.process
def test_each_caller_hears_the_file_from_its_beginning(tmp_path: Path) -> None:
    _, back = waves(tmp_path, 0.5)
    both = ("--two-way", "--codec", "l16", "-i")
    with receiver(tmp_path, *both, str(back)) as far:
        for name in ("first", "second"):
            with sender(tmp_path, far.target, *both, "tone", "-t", "0.9s", "-o", f"{name}.wav", name=name) as near:
                assert near.finish().status == 0
        far.stop()
        calls = (far.finish().report or {})["calls"]
    assert [call["end_reason"] for call in calls] == ["remote-bye"] * 2
    for name in ("first", "second"):
        sent, heard = load(back)[0], load(tmp_path / f"{name}.wav")[0]
        found = compare(sent, heard, 48000)
        assert found.heard > 0.9
        assert 0.0 <= found.lag < 0.5  # all of it is there, from its first sample on
        assert len(heard) > 0.7 * 48000  # silence goes on where the file has ended


@pytest.mark.process
def test_a_two_way_sender_and_a_receiver_that_only_plays_agree_on_one_direction(tmp_path: Path) -> None:
    with (
        receiver(tmp_path, "--once") as far,
        sender(tmp_path, far.target, "--two-way", "-o", "null", "-t", "0.5s") as near,
    ):
        sent, heard = near.finish(), far.finish()
    assert sent.status == heard.status == 0
    assert heard.call["rx"]["received"] > 10
    assert sent.call["rx"]["received"] == 0


def test_an_endless_source_is_silent_after_its_end_and_begins_anew(tmp_path: Path) -> None:
    sound = noise(1000)
    time = Time()
    path = write_wav(tmp_path / "short.wav", sound)
    source = open_source(str(path), endless=True, clock=time.clock, sleep=time.sleep)
    for _ in range(2):
        source.start()
        blocks = [source.read() for _ in range(4)]
        heard = np.concatenate([block for block in blocks if block is not None])
        assert len(heard) == 4 * source.block
        assert np.array_equal(heard[:1000], sound)
        assert not heard[1000:].any()
    source.close()


def test_capture_serves_one_caller_after_the_other() -> None:
    """Each start of the source is a caller that came when nobody was there."""
    starts: list[float] = []

    class Counted(PacedSource):
        def start(self) -> None:
            starts.append(time.now)
            super().start()

    time, turns, sent = Time(), iter(range(60)), list[bytes]()
    silence = Counted(generate.silence, rate=48000, channels=1, description="", clock=time.clock, sleep=time.sleep)
    capture = Capture(silence, again=True)
    codec = codecs.find("PCMU", 8000, 1)
    assert codec is not None
    media = NegotiatedMedia(AudioFormat(codec), 0, ("192.0.2.2", 5000))

    def silenced() -> bool:
        """Somebody is there in turns 10 to 19 and 30 to 39, and in each of them a block of 10 ms is sent."""
        turn = next(turns, None)
        if turn in (10, 30):
            caller = AudioSender(media, sample_rate=48000, channels=1, rng=random.Random(1))
            capture.fanout.add("caller", caller, sent.append)
        elif turn in (20, 40):
            capture.fanout.remove("caller")
        return turn is None

    capture.run(silenced, lambda: True)
    assert len(starts) == 2
    assert 2 * 4 <= len(sent) <= 2 * 6
