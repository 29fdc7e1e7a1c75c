"""A muted and a clipping microphone are named within three seconds; speech with pauses, claps and files are not."""

from __future__ import annotations

import random

import pytest

from tests.support.diagnosis import LOOK_INTERVAL
from voip.calls.diagnosis import Event, Finding, MicrophoneWatch
from voip.stats import Levels

RATE = 48000
NAME = "USB microphone, 48000 Hz"
WITHIN = 2.9


class Microphone:
    """Levels as they grow; `said` has what was found, with its moment."""

    def __init__(self, watch: MicrophoneWatch | None = None) -> None:
        self.watch, self.now, self.levels = watch or MicrophoneWatch(), 50.0, Levels()
        self.said: list[tuple[float, Finding]] = []
        self.name = NAME
        self.look()

    def look(self) -> None:
        self.said += [(self.now - 50.0, finding) for finding in self.watch.look(self.name, self.levels, self.now)]

    def hear(self, seconds: float, *, silent: float = 0.0, clipped: float = 0.0) -> list[Finding]:
        """So many seconds in which these shares of the samples are digital silence, and clipped."""
        start = len(self.said)
        for _ in range(round(seconds / LOOK_INTERVAL)):
            self.now += LOOK_INTERVAL
            samples = round(RATE * LOOK_INTERVAL)
            before = self.levels
            self.levels = Levels(
                samples=before.samples + samples,
                silent=before.silent + round(samples * silent),
                clipped=before.clipped + round(samples * clipped),
            )
            self.look()
        return [finding for _, finding in self.said[start:]]


def test_digital_silence_is_named_within_three_seconds_once_and_sound_again_once() -> None:
    microphone = Microphone()
    (silent,) = microphone.hear(20, silent=1.0)
    assert microphone.said[0][0] <= WITHIN
    assert silent.cause == "microphone-silent"
    assert silent.text == f"the microphone ({NAME}) gives digital silence: muted, or the wrong one? see --list-devices"
    (back,) = microphone.hear(20, silent=0.3)
    assert (back.event, back.cause) == (Event.CLEARED, "microphone-silent")
    assert back.text == "the microphone gives sound again after 20.2 s"


def test_a_microphone_that_is_muted_in_the_call_is_named() -> None:
    microphone = Microphone()
    assert microphone.hear(10, silent=0.2) == []
    assert [finding.cause for finding in microphone.hear(3, silent=1.0)] == ["microphone-silent"]


def test_a_quiet_room_is_not_digitally_silent() -> None:
    """A converter's noise: most samples zero, give or take one, but never all."""
    assert Microphone().hear(120, silent=0.98) == []


def test_a_noise_gate_that_closes_between_words_is_named_less_and_less() -> None:
    microphone, rng = Microphone(), random.Random(1)
    for _ in range(60):
        microphone.hear(rng.uniform(1, 4), silent=0.1)
        microphone.hear(rng.uniform(1, 9), silent=1.0)
    warnings = [finding for _, finding in microphone.said if finding.event is Event.WARNING]
    assert len(warnings) == 1


def test_a_device_that_is_gone_is_said_elsewhere_and_starts_anew() -> None:
    microphone = Microphone()
    microphone.hear(5, silent=0.1)
    microphone.name = ""
    assert microphone.hear(60, silent=1.0) == []
    microphone.name = NAME
    assert microphone.hear(30, silent=0.1) == []


def test_another_call_counts_from_its_own_beginning() -> None:
    microphone = Microphone()
    microphone.hear(5, silent=0.1)
    microphone.levels = Levels()
    assert microphone.hear(2, silent=1.0) == []
    assert [finding.cause for finding in microphone.hear(1, silent=1.0)] == ["microphone-silent"]


def test_a_program_that_stood_still_has_not_heard_silence() -> None:
    microphone = Microphone()
    microphone.hear(5, silent=0.2)
    microphone.hear(1, silent=1.0)
    microphone.now += 30.0
    assert microphone.hear(1, silent=1.0) == []


@pytest.mark.parametrize("share", [0.011, 0.3])
def test_clipping_is_named_within_three_seconds_and_once(share: float) -> None:
    microphone = Microphone()
    (finding,) = microphone.hear(300, clipped=share)
    assert microphone.said[0][0] <= WITHIN
    assert finding.cause == "clipping"
    percent = f"{100 * share:.0f} %"
    assert finding.text == f"the microphone clips ({percent} of the last 3 s at full scale): turn its level down"


def test_a_clap_and_a_few_loud_syllables_are_no_clipping() -> None:
    microphone = Microphone()
    for _ in range(20):
        microphone.hear(LOOK_INTERVAL, clipped=0.06)  # 15 ms at full scale
        microphone.hear(3)
    assert microphone.hear(60, clipped=0.008) == []
    assert microphone.said == []


def test_clipping_that_comes_again_is_named_again_after_a_minute() -> None:
    microphone = Microphone()
    for _ in range(4):
        microphone.hear(3, clipped=0.1)
        microphone.hear(27)
    assert [finding.cause for _, finding in microphone.said] == ["clipping", "clipping"]
