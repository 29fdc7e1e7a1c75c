"""Calls in both directions: the parts that begin and end with each call."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from tests.support.sound import Time, noise
from tests.support.wav import save
from voip import codecs
from voip.audio import AudioSender
from voip.devices import generate, open_source
from voip.devices.paced import PacedSource
from voip.engine import Capture
from voip.media import AudioFormat, NegotiatedMedia


def test_an_endless_source_is_silent_after_its_end_and_begins_anew(tmp_path: Path) -> None:
    sound = noise(1000)
    time = Time()
    path = save(tmp_path / "short.wav", sound)
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
            rng, encoders = random.Random(1), capture.fanout.encoders
            caller = AudioSender(media, sample_rate=48000, channels=1, rng=rng, encoders=encoders)
            capture.fanout.add("caller", caller, sent.append)
        elif turn in (20, 40):
            capture.fanout.remove("caller")
        return turn is None

    capture.run(silenced, lambda: True)
    assert len(starts) == 2
    assert 2 * 4 <= len(sent) <= 2 * 6
