"""One sender.py and several receivers, one of which is killed, and one of which is not there."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.support.processes import LOOPBACK, PATIENCE, free_ports, receiver, sender
from tests.support.voice import voice
from tests.support.wav import load, save

pytestmark = pytest.mark.process

RATE = 48000
SECONDS = 8.0


def test_one_receiver_that_is_killed_and_one_that_is_not_there_disturb_no_other(tmp_path: Path) -> None:
    sound = save(tmp_path / "said.wav", voice(RATE, SECONDS), RATE)
    absent = f"{LOOPBACK}:{free_ports()[0]}"
    with contextlib.ExitStack() as running:
        far = [
            running.enter_context(receiver(tmp_path, "--once", "--output", f"heard{number}.wav", name=f"far{number}"))
            for number in range(3)
        ]
        rooms = tmp_path / "rooms"
        rooms.write_text(f"{far[1].target}  # to be killed\n{far[2].target}\n{absent}  # not there\n")
        given = ("--targets-file", str(rooms), "--input", str(sound), "--retry", "off", "--media-timeout", "2s")
        near = running.enter_context(sender(tmp_path, far[0].target, *given))
        for each in far:
            each.wait_for("call from")
        near.wait_for(f"cannot reach {LOOPBACK}")
        far[1].send_signal(signal.SIGKILL)
        end = near.finish(timeout=SECONDS + 2 * PATIENCE)
        heard = [far[number].finish() for number in (0, 2)]

    assert end.status == 4, end.stderr
    assert end.report is not None
    statuses = {target["target"].partition(":")[2]: target["exit"] for target in end.report["targets"]}
    assert statuses == {far[0].target: 0, far[1].target: 8, far[2].target: 0, absent: 4}
    assert end.report["total"]["failed"] == 2
    assert end.report["error"].startswith("2 of 4 targets failed; the most serious: cannot reach")
    assert "4 targets   2 had the sound   2 failed" in end.stderr
    for number, outcome in zip((0, 2), heard, strict=True):
        assert outcome.status == 0, outcome.stderr
        rx = outcome.call["rx"]
        assert rx["lost_after_fec"] == 0, rx
        assert rx["received"] * 0.02 == pytest.approx(SECONDS, abs=1.5)  # one begins when it has answered
        written, rate = load(tmp_path / f"heard{number}.wav")
        assert len(written) / rate == pytest.approx(rx["received"] * 0.02, abs=1.5)
        assert np.abs(written).max() > 1000


def test_a_target_whose_host_has_no_address_ends_no_stream_to_another(tmp_path: Path) -> None:
    port = free_ports()[1][0]
    with receiver(
        tmp_path, f"rtp://:{port}", "--once", "--media-timeout", "2s", ready="waiting for a stream", name="far"
    ) as far:
        targets = ("rtp://no.such.host.invalid:5004", f"rtp://{LOOPBACK}:{port}")
        with sender(tmp_path, targets[0], targets[1], "--duration", "1.5s") as near:
            end = near.finish(timeout=2 * PATIENCE)
        heard = far.finish()
    assert end.status == 4, end.stderr
    assert "1 of 2 targets failed: cannot find the host no.such.host.invalid" in end.stderr
    assert heard.call["rx"]["received"] > 50, heard.stderr
