"""A program of which one thread is stuck ends by itself, with a report and a line that names the thread."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.frozen import frozen_thread, threads
from tests.support.processes import PATIENCE, receiver, sender, until

pytestmark = pytest.mark.process

ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""No threads but those that the program starts."""


def test_a_service_manager_is_told_that_the_receiver_is_ready_alive_and_stopping(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(PATIENCE)
        with receiver(tmp_path, environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "300000"}) as far:
            told = [sock.recv(100) for _ in range(4)]
            far.stop()
            far.finish()
            while told[-1] != b"STOPPING=1":
                told.append(sock.recv(100))
    assert told[:4] == [b"READY=1", *[b"WATCHDOG=1"] * 3]


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


def test_a_test_that_fails_while_a_thread_is_held_leaves_no_process() -> None:
    code = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); time.sleep(60)"
    waits = code.replace("time.sleep(60)", "[time.sleep(0.05) for _ in range(1200)]")
    with subprocess.Popen([sys.executable, "-c", waits], env=os.environ | ALONE) as child:
        until(lambda: len(threads(child.pid)) == 2, "two threads")
        with pytest.raises(ValueError, match="failed"), frozen_thread(child.pid, 1):
            raise ValueError("failed")
        child.kill()
        assert child.wait(timeout=30.0) == -signal.SIGKILL
