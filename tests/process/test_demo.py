"""What `make demo` runs: it ends well, and leaves something to listen to."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.support.wav import load

pytestmark = pytest.mark.process


def test_the_demonstration_is_heard(tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    command = [sys.executable, "-m", "tools.demo", "--no-play", "--output", str(heard)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    shown = done.stdout.replace(str(heard), heard.name)
    assert max(map(len, shown.splitlines())) <= 80, shown
    assert "\x1b" not in done.stdout, "no colours off a terminal"
    assert "were rebuilt from the others" in done.stdout
    samples, rate = load(heard)
    assert len(samples) > 8 * rate
    assert int(abs(samples.astype(int)).max()) > 8000
