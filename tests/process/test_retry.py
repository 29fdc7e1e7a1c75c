"""A sender whose call was lost calls again: the peer restarted, or not there yet. Time to sound again."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.support.calling_again import BACK_WITHIN, SOON, moments, reasons, sound_after, wait_for_call
from tests.support.processes import LOOPBACK, free_ports, receiver, sender

pytestmark = pytest.mark.process

SLOW_MACHINE = 3.0
"""Seconds on top that the start of a program, or a busy machine, may take here."""
NOTICED_WITHIN = 5.0
"""Seconds until a sender knows that its peer is gone, whatever the media time-out: ICMP, and no response to OPTIONS."""
SURELY_BEFORE = 2.0
"""Seconds before that in which a sender surely does not know it yet."""


@pytest.mark.parametrize("gone", [0.0, 2.0, 8.0])
def test_sound_is_back_within_5_s_of_the_start_of_a_receiver_that_was_killed(tmp_path: Path, gone: float) -> None:
    """Started again at once it no longer knows the call (481); later its ports are closed (ICMP)."""
    ports = free_ports(LOOPBACK)
    with receiver(tmp_path, name="first", ports=ports) as first, sender(tmp_path, first.target) as near:
        wait_for_call(first, 1)
        time.sleep(1.0)
        first.send_signal(signal.SIGKILL)
        first.process.wait()
        killed = time.monotonic()
        time.sleep(gone)
        with receiver(tmp_path, name="second", ports=ports) as second:
            ready = moments(second, "waiting for a call")[0]
            up = wait_for_call(second, 1)
            time.sleep(1.0)
            near.stop()
            second.wait_for("ended by the other side")
            second.stop()
            sent, heard = near.finish(), second.finish()
    silence = up + sound_after(heard, 1) - ready
    print(f"killed, started {gone:.0f} s later: sound {silence:.2f} s after the receiver was ready")  # noqa: T201
    assert silence < BACK_WITHIN
    assert moments(near, "calling again in")[0] - killed < NOTICED_WITHIN + SLOW_MACHINE
    assert sent.status == heard.status == 0, sent.stderr
    if gone > NOTICED_WITHIN:
        assert reasons(sent)[0] == "media-timeout"
    elif ready - killed < NOTICED_WITHIN - SURELY_BEFORE:  # else the machine was too slow to tell
        assert reasons(sent)[0] == "timeout"
    assert reasons(sent)[-1] == "local-bye"
    assert heard.call["rx"]["received"] > 0


def test_tries_that_are_used_up_end_with_the_last_failure(tmp_path: Path) -> None:
    with receiver(tmp_path) as far, sender(tmp_path, far.target, *SOON, "--retry", "2") as near:
        wait_for_call(far, 1)
        far.send_signal(signal.SIGKILL)
        sent = near.finish(60.0)
    assert sent.status == 4, sent.stderr  # its port is closed
    assert sent.stderr.count("calling again in") == 2
    assert reasons(sent) == ["media-timeout"]


def test_a_sender_that_is_told_to_waits_for_a_receiver_that_is_not_there_yet(tmp_path: Path) -> None:
    ports = free_ports(LOOPBACK)
    options = ("--retry", "forever", "--connect-timeout", "1s", "--duration", "1s")
    with sender(tmp_path, f"{LOOPBACK}:{ports[0]}", *options) as near:
        near.wait_for("calling again in")
        with receiver(tmp_path, "--once", ports=ports) as far:
            sent, heard = near.finish(), far.finish()
    assert sent.status == heard.status == 0, sent.stderr
