"""A sender with a real PyAudio microphone that is mute, and one that clips, over a virtual sound card."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.processes import receiver, sender
from tests.support.virtual_sound import RATE, VirtualSound, require
from tests.support.wav import save

pytestmark = pytest.mark.interop

SECONDS = 20


@pytest.fixture(scope="module")
def sound() -> Iterator[VirtualSound]:
    require()
    with VirtualSound() as started:
        yield started


def test_a_mute_microphone_is_named_and_sound_again_is_told(sound: VirtualSound, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    said = save(tmp_path / "said.wav", rng.integers(-3000, 3000, (SECONDS * RATE, 1), np.int16), RATE)
    with (
        receiver(tmp_path) as far,
        sender(tmp_path, far.target, "--input", "mic", environment=sound.environment) as near,
    ):
        assert "--list-devices" in near.wait_for("gives digital silence")
        with sound.speaking(said):
            near.wait_for("the microphone gives sound again after ")
        near.stop()
        near.finish()


def test_a_microphone_that_clips_is_named_and_one_at_its_level_is_not(sound: VirtualSound, tmp_path: Path) -> None:
    loud = np.full((SECONDS * RATE, 1), 32767, np.int16)
    loud[::2] = -3000
    for name, pcm in (("fine", loud // 4), ("loud", loud)):
        said = save(tmp_path / f"{name}.wav", pcm, RATE)
        with (
            receiver(tmp_path) as far,
            sound.speaking(said),
            sender(tmp_path, far.target, "--input", "mic", environment=sound.environment, name=name) as near,
        ):
            if name == "loud":
                near.wait_for("the microphone clips")
            else:
                near.wait_for("call to")
                time.sleep(5.0)
            near.stop()
            ended = near.finish()
        assert ("clips" in ended.stderr) == (name == "loud")
