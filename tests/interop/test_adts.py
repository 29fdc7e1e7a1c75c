"""AAC in ADTS frames with ffmpeg: its byte stream over UDP, and our datagrams in its decoder."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.datagrams import collecting
from tests.support.peers import require
from tests.support.plain_rtp import PATIENT, listener
from tests.support.processes import LOOPBACK, free_ports, sender
from tests.support.sound import sine
from tests.support.wav import load, save

FFMPEG = ("ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y")


def sounding(path: Path) -> float:
    """Seconds in which the sine is heard, at its level."""
    heard, rate = load(path)
    piece = rate // 100
    level = np.abs(heard[: len(heard) // piece * piece, 0].astype(float)).reshape(-1, piece).max(axis=1)
    return float(((level > 10000) & (level < 14000)).sum() / 100)


@pytest.mark.interop
@pytest.mark.parametrize("rate", [12000, 48000])
def test_a_stream_of_ffmpeg_is_played_whatever_its_rate(tmp_path: Path, rate: int) -> None:
    require("ffmpeg")
    sent, port = save(tmp_path / "sine.wav", sine(rate, 4.0), rate), free_ports()[0]
    with listener(tmp_path, f"adts://:{port}", "-o", "heard.wav", *PATIENT, "--media-timeout", "2s") as far:
        time.sleep(0.5)  # its port is open
        target = f"udp://{LOOPBACK}:{port}?pkt_size=1472"
        coder = ("-ac", "1", "-c:a", "aac", "-b:a", "64k", "-f", "adts")
        subprocess.run([*FFMPEG, "-re", "-i", str(sent), *coder, target], check=True, timeout=20)
        end = far.finish()
    assert end.status == 0, end.stderr
    assert end.call["clock_rate"] == 12000  # that of the target; each frame says its own
    assert sounding(tmp_path / "heard.wav") == pytest.approx(4.0, abs=0.5)


@pytest.mark.interop
def test_our_datagrams_one_after_the_other_are_a_file_for_ffmpeg(tmp_path: Path) -> None:
    require("ffmpeg")
    sent = save(tmp_path / "sine.wav", sine(12000, 3.0), 12000)
    with collecting() as (port, datagrams):
        with sender(tmp_path, f"adts://{LOOPBACK}:{port}", "-i", str(sent)) as near:
            end = near.finish()
        time.sleep(0.3)
    assert end.status == 0
    assert end.call["tx"]["bytes"] == sum(map(len, datagrams))
    (tmp_path / "ours.aac").write_bytes(b"".join(datagrams))
    subprocess.run([*FFMPEG, "-i", "ours.aac", "heard.wav"], cwd=tmp_path, check=True, timeout=20)
    assert sounding(tmp_path / "heard.wav") == pytest.approx(3.0, abs=0.1)
