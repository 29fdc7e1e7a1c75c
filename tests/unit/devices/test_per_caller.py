"""One file for each caller, on one time line."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from tests.support.sound import noise
from tests.support.wav import load
from voip.devices import PerCaller
from voip.devices.per_caller import file_name
from voip.dsp import Pcm
from voip.errors import DeviceError

RATE, BLOCK = 8000, 80


class Recorder:
    """A `PerCaller` and what it says; a stream has begun once it is in `begun`."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.begun: set[str] = set()
        self.times = iter(["20260101-120000", "20260101-130000"])
        self.made = PerCaller(folder, now=lambda: next(self.times), say=self.said.append)

    def hear(self, *streams: tuple[str, Pcm]) -> None:
        self.made.hear(dict(streams), self.begun.__contains__, RATE)


def blocks(count: int) -> list[Pcm]:
    sound = noise(BLOCK * count)
    return [sound[start : start + BLOCK] for start in range(0, len(sound), BLOCK)]


def test_the_files_of_callers_are_on_one_time_line(tmp_path: Path) -> None:
    recorder, first, second = Recorder(tmp_path / "calls"), blocks(200), blocks(100)
    recorder.begun |= {"a/0", "b/0"}
    recorder.made.name("a/0", "sip:alice@192.0.2.1")
    recorder.made.name("b/0", "sip:bob@192.0.2.2;transport=tcp")
    for n, block in enumerate(first):
        recorder.hear(("a/0", block), *([("b/0", second[n - 70])] if 70 <= n < 170 else []))
    recorder.made.rest()
    recorder.made.close()
    names = sorted(path.name for path in (tmp_path / "calls").iterdir())
    assert names == ["20260101-120000-01-alice_192.0.2.1.wav", "20260101-120000-02-bob_192.0.2.2.wav"]
    alice, bob = (load(tmp_path / "calls" / name)[0] for name in names)
    assert np.array_equal(alice, np.concatenate(first))
    assert not bob[: 70 * BLOCK].any()
    assert np.array_equal(bob[70 * BLOCK :], np.concatenate(second))
    assert len(recorder.said) == 2


def test_a_caller_without_a_packet_has_no_file_and_one_who_comes_later_has_silence_before(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for block in blocks(10):
        recorder.hear(("a/0", block))
    assert [*tmp_path.iterdir()] == []
    recorder.begun.add("a/0")
    sound = blocks(20)
    for n, block in enumerate(sound):
        if n == 15:
            recorder.begun.add("b/0")
        recorder.hear(("a/0", block), ("b/0", block))
    recorder.made.close()
    first, second = (load(path)[0] for path in sorted(tmp_path.iterdir()))
    assert len(first) == len(second) == 20 * BLOCK
    assert not second[: 15 * BLOCK].any()
    assert np.array_equal(second[15 * BLOCK :], first[15 * BLOCK :])


def test_a_time_line_ends_with_its_last_caller(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.begun |= {"a/0", "b/0"}
    recorder.hear(("a/0", blocks(1)[0]))
    recorder.made.rest()
    recorder.hear(("b/0", blocks(1)[0]))
    recorder.made.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["20260101-120000-01.wav", "20260101-130000-01.wav"]
    assert all(len(load(tmp_path / name)[0]) == BLOCK for name in names)


def test_a_file_is_complete_soon_after_its_caller_has_left_and_nothing_waits_for_it(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.begun |= {"a/0", "b/0"}
    block = blocks(1)[0]
    recorder.hear(("a/0", block), ("b/0", block))
    pause, left = threading.Event(), 2000
    recorder.hear(("b/0", block))
    while recorder.made._ended and left:  # the disk may be slow; the one who stays goes on meanwhile
        recorder.hear(("b/0", block))
        pause.wait(0.01)
        left -= 1
    (first,) = tmp_path.glob("*-01.wav")
    assert np.array_equal(load(first)[0], block)
    recorder.made.close()


def test_a_folder_that_cannot_be_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="file"):
        Recorder(tmp_path / "file")


def test_a_recording_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "20260101-120000-01.wav").write_bytes(b"precious")
    recorder = Recorder(tmp_path)
    recorder.begun.add("a/0")
    recorder.hear(("a/0", blocks(1)[0]))
    recorder.made.close()
    assert (tmp_path / "20260101-120000-01.wav").read_bytes() == b"precious"
    assert len(load(tmp_path / "20260101-120000-01-2.wav")[0]) == BLOCK


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        ("sip:alice@192.0.2.1:5060", "alice_192.0.2.1_5060"),
        ("sips:[2001:db8::1]", "2001_db8_1"),
        ("sip:../../etc/passwd@x", "etc_passwd_x"),
        ("sip:\x00\n*?@x", "x"),
        ("", ""),
        ("sip:" + "a" * 500, "a" * 40),
    ],
)
def test_what_a_caller_writes_is_no_path(peer: str, name: str) -> None:
    assert file_name(peer) == name
