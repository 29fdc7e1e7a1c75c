"""A program of which one thread is stuck ends by itself, with a report and a line that names the thread."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.frozen import frozen_thread, threads
from tests.support.processes import receiver, sender, until

pytestmark = pytest.mark.process

ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""No threads but those that the program starts."""


@pytest.mark.parametrize(("number", "thread", "status"), [(1, "network", 1), (2, "playback", 3)])
def test_a_receiver_with_a_stuck_thread_ends(tmp_path: Path, number: int, thread: str, status: int) -> None:
    with receiver(tmp_path, environment=ALONE) as far, sender(tmp_path, far.target) as near:
        far.wait_for("call from")
        until(lambda: len(threads(far.pid)) == 3, "main, network and playback thread")
        with frozen_thread(far.pid, number):
            far.wait_for(f"the {thread} thread has stood still for 10 s", timeout=60.0)
        heard = far.finish()
        near.stop()
        near.finish()
    assert heard.status == status, heard.stderr
    assert heard.report is not None
    assert heard.report["exit"] == status
    assert thread in heard.report["error"]
