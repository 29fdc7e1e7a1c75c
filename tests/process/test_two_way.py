"""Calls in both directions between the two real scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.processes import receiver, sender
from tests.support.sound import noise
from tests.support.wav import load, save
from tests.support.wavdiff import compare

PATIENT = ("--latency", "400ms")
"""A busy machine stands still for longer than a network of its own would make anybody wait."""


def waves(folder: Path, seconds: float) -> tuple[Path, Path]:
    """Two sounds that have nothing in common."""
    both = noise(round(2 * seconds * 48000)) // 8
    half = len(both) // 2
    return save(folder / "there.wav", both[:half]), save(folder / "back.wav", both[half:])


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


@pytest.mark.process
def test_sound_that_the_caller_does_not_play_is_counted_by_both(tmp_path: Path) -> None:
    with (
        receiver(tmp_path, "--two-way", "-i", "tone", "-o", "null", "--once") as far,
        sender(tmp_path, far.target, "-i", "tone", "-t", "2s") as near,
    ):
        sent, heard = near.finish(), far.finish()
    assert sent.status == heard.status == 0
    assert sent.call["tx"]["unplayed"] == 0
    assert sent.call["unplayed_here"] > 0
    assert heard.call["tx"]["packets"] > 0
    assert heard.call["tx"]["unplayed"] == heard.call["tx"]["packets"]
    assert heard.call["unplayed_here"] == 0
