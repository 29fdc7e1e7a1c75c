"""RTP without signalling with ffmpeg and GStreamer, by descriptions in files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.plain_rtp import PATIENT, listener, speech
from tests.support.processes import LOOPBACK, Program, free_ports, sender
from tests.support.wavdiff import compare_files

ENCODERS = {
    "pcmu": (8000, ["-c:a", "pcm_mulaw"], 37.0),
    "pcma": (8000, ["-c:a", "pcm_alaw"], 37.0),
    "l16": (48000, ["-c:a", "pcm_s16be"], float("inf")),
}


def ffmpeg(*arguments: str) -> list[str]:
    return ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments]


@pytest.mark.interop
@pytest.mark.parametrize("codec", ENCODERS)
def test_what_ffmpeg_sends_is_played_by_its_own_description(tmp_path: Path, codec: str) -> None:
    rate, encoder, least = ENCODERS[codec]
    sent, port = speech(tmp_path, rate), free_ports()[0]
    target = f"rtp://{LOOPBACK}:{port}"
    stream = ["-re", "-i", str(sent), "-ac", "1", *encoder, "-f", "rtp", "-rtpflags", "send_bye"]
    subprocess.run(
        ffmpeg("-t", "0.1", *stream[1:], "-sdp_file", "stream.sdp", f"rtp://{LOOPBACK}:{free_ports()[0]}"),
        cwd=tmp_path,
        check=True,
        timeout=20,
    )
    text = (tmp_path / "stream.sdp").read_text()
    other = next(line.split()[1] for line in text.splitlines() if line.startswith("m=audio"))
    (tmp_path / "stream.sdp").write_text(text.replace(f"m=audio {other}", f"m=audio {port}"))
    with listener(tmp_path, "stream.sdp", "-o", "heard.wav", *PATIENT) as far:
        subprocess.run(ffmpeg(*stream, target), cwd=tmp_path, check=True, timeout=20)
        end = far.finish()
    assert (end.status, end.call["end_reason"]) == (0, "remote-bye")
    found = compare_files(sent, tmp_path / "heard.wav")
    assert found.snr >= least
    assert (found.holes, found.heard) == (0, 1.0)


@pytest.mark.interop
@pytest.mark.parametrize("codec", ENCODERS)
def test_what_we_send_is_heard_by_ffmpeg_by_our_description(tmp_path: Path, codec: str) -> None:
    rate, _, least = ENCODERS[codec]
    sent, port = speech(tmp_path, rate), free_ports()[0]
    target = f"rtp://{LOOPBACK}:{port}"
    with sender(tmp_path, target, "-c", codec, "-i", str(sent), "--sdp", "ours.sdp", "-t", "0.05s", name="first") as it:
        assert it.finish().status == 0
    play = ("-protocol_whitelist", "file,udp,rtp", "-i", "ours.sdp", "-t", "1.5", "-c:a", "pcm_s16le", "heard.wav")
    with (
        Program(ffmpeg(*play), folder=tmp_path, name="ffmpeg") as player,
        sender(tmp_path, target, "-c", codec, "-i", str(sent), "--loop", "-t", "4s", name="second") as near,
    ):
        assert player.finish().status == 0
        near.stop()
        assert near.finish().status == 0
    found = compare_files(sent, tmp_path / "heard.wav")
    assert found.snr >= least
    assert found.holes == 0
