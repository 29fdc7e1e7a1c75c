"""Programs that were suspended, or whose peer was, as by a laptop that is closed: the time to sound again."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.support.following import FORMAT, seconds_to_sound
from tests.support.processes import receiver, sender

pytestmark = pytest.mark.process

BACK_WITHIN = 5.0
"""Seconds until there is sound again from when the process goes on."""
SUSPENDED = 10.0
"""Seconds: less than the media time-out, so that the call stays up."""


@pytest.mark.parametrize("who", ["sender", "receiver", "both"])
def test_sound_is_back_within_5_s_of_the_end_of_a_suspension(tmp_path: Path, who: str) -> None:
    with (
        receiver(tmp_path, "--output", "-", *FORMAT, "--once") as far,
        sender(tmp_path, far.target) as near,
    ):
        played = tmp_path / "receiver.stdout"
        far.wait_for("call from")
        seconds_to_sound(played, time.monotonic(), BACK_WITHIN)
        suspended = [program for program, name in ((near, "sender"), (far, "receiver")) if who in (name, "both")]
        for program in suspended:
            program.send_signal(signal.SIGSTOP)
        time.sleep(SUSPENDED)
        for program in suspended:
            program.send_signal(signal.SIGCONT)
        silence = seconds_to_sound(played, time.monotonic(), 2 * BACK_WITHIN)
        near.stop()
        sent, heard = near.finish(), far.finish()
    print(f"{who} suspended for {SUSPENDED:.0f} s: sound {silence:.2f} s after it goes on")  # noqa: T201
    assert silence < BACK_WITHIN
    assert sent.status == heard.status == 0, sent.stderr + heard.stderr
    assert (sent.call["end_reason"], heard.call["end_reason"]) == ("local-bye", "remote-bye")
