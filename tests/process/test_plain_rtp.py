"""RTP without signalling: `rtp://` on both scripts, descriptions in files, and tools without SIP."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import LOOPBACK, Program, Receiver, free_ports, receiver, sender
from tests.support.wavdiff import compare_files, load, save, speechlike
from voip import cli, codecs
from voip.calls.watch import LEFT_AFTER
from voip.errors import VoipError
from voip.media import Direction
from voip.sdp import Capabilities, Endpoint, SessionDescription
from voip.sdp.plain import describe, media_of

PATIENT = ("--latency", "400ms")  # a busy machine stands still for longer than a network of its own would
WAITS = "waiting for a stream"
OURS = Endpoint("192.0.2.1", 5002, 0x11111111, 0x22222222, "ours", 1000)


@contextmanager
def listener(folder: Path, stream: str, *arguments: str) -> Iterator[Receiver]:
    with receiver(folder, stream, "--once", *arguments, ready=WAITS) as program:
        yield program


def speech(folder: Path, rate: int, seconds: float = 2.0) -> Path:
    save(folder / "speech.wav", speechlike(rate, seconds), rate)
    return folder / "speech.wav"


# --- between our own --------------------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize("fec", [(), ("--fec", "4")])
def test_a_stream_without_signalling_is_exact_and_ends_with_its_goodbye(tmp_path: Path, fec: tuple[str, ...]) -> None:
    sent, port = speech(tmp_path, 48000), free_ports()[0]
    with (
        listener(tmp_path, f"rtp://:{port}", "-c", "l16", "-o", "heard.wav", *PATIENT, *fec) as far,
        sender(tmp_path, f"rtp://{LOOPBACK}:{port}", "-c", "l16", "-i", str(sent), *fec) as near,
    ):
        ends = near.finish(), far.finish()
    assert [end.status for end in ends] == [0, 0]
    assert [end.call["end_reason"] for end in ends] == ["local-bye", "remote-bye"]
    found = compare_files(sent, tmp_path / "heard.wav")
    assert (found.exact, found.heard) == (True, 1.0)
    assert ends[1].call["fec"]["packets"] == ends[0].call["tx"]["fec_packets"]
    assert (ends[0].call["tx"]["fec_packets"] > 0) is bool(fec)
    assert ends[1].call["duration_s"] == pytest.approx(2.0, abs=0.5)


@pytest.mark.process
def test_both_ways_without_signalling(tmp_path: Path) -> None:
    sent, port = speech(tmp_path, 48000), free_ports()[0]
    both = ("--two-way", "-c", "l16", "-i", str(sent), *PATIENT)
    with (
        listener(tmp_path, f"rtp://:{port}", *both, "-o", "there.wav") as far,
        sender(tmp_path, f"rtp://{LOOPBACK}:{port}", *both, "-o", "back.wav") as near,
    ):
        assert [near.finish().status, far.finish().status] == [0, 0]
    for heard in ("there.wav", "back.wav"):
        found = compare_files(sent, tmp_path / heard)
        assert found.exact
        assert found.heard > 0.9


@pytest.mark.process
def test_a_receiver_without_a_stream_waits_and_then_plays_one_after_the_other(tmp_path: Path) -> None:
    port = free_ports()[0]
    with receiver(tmp_path, f"rtp://:{port}", "-c", "pcmu", "-o", "heard.wav", ready=WAITS) as far:
        for name in ("first", "second"):
            arguments = ("-c", "pcmu", "-i", "tone", "-t", "0.4s")
            with sender(tmp_path, f"rtp://{LOOPBACK}:{port}", *arguments, name=name) as near:
                assert near.finish().status == 0
            far.wait_for("call ended")
            if name == "first":
                far.lines.clear()
        far.stop()
        calls = (far.finish().report or {})["calls"]
    assert [call["end_reason"] for call in calls] == ["remote-bye"] * 2
    # What was sent, and the silence in which the end of each was waited for; nothing of the time before and between.
    assert len(load(tmp_path / "heard.wav")[0]) < 2 * (0.4 + LEFT_AFTER + 0.75) * 8000


@pytest.mark.process
def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    port = free_ports()[0]
    with listener(tmp_path, f"rtp://:{port}"), receiver(tmp_path, f"rtp://:{port}", name="late", ready=None) as late:
        end = late.finish()
    assert end.status == 4
    assert str(port) in end.stderr
    assert "Traceback" not in end.stderr


# --- descriptions -----------------------------------------------------------------------------------------------------


def test_a_description_says_what_is_sent_and_asks_for_nothing() -> None:
    capabilities = Capabilities(tuple(codecs.offerable(["opus", "l16"], 48000, 1)), repair_window=0.1)
    description = SessionDescription.parse(describe(capabilities, OURS).serialize())
    (media,) = description.media
    assert (media.formats, description.host(media), media.port) == (["96", "97"], "192.0.2.1", 5002)
    assert {"rtcp-mux", "rtcp-rsize", "sendrecv"}.isdisjoint(name for name, _ in media.attributes)
    theirs = media_of(description, Capabilities(capabilities.codecs, Direction.RECVONLY), OURS, None)
    assert (theirs.audio.codec.name, theirs.fec, theirs.remote, theirs.rtcp_mux) == (
        "opus",
        "flexfec",
        ("0.0.0.0", 0),
        False,
    )
    ours = media_of(description, capabilities, OURS, ("192.0.2.1", 5002))
    assert (ours.remote_ssrc, ours.remote_rtcp, ours.fec) == (None, ("192.0.2.1", 5003), "flexfec")


@pytest.mark.parametrize("wrong", ["rtp://", "rtp://192.0.2.1", "rtp://:0", "rtp://:99999", "rtp://a:5004/x"])
def test_what_is_no_stream_is_refused_with_a_line(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.receiver_options([wrong])
    assert "STREAM" in capsys.readouterr().err


def test_a_file_that_is_no_description_is_refused_with_a_line(tmp_path: Path) -> None:
    for name, content in {
        "absent": None,
        "text": b"hello",
        "video": b"v=0\no=- 1 1 IN IP4 0\nm=video 9 RTP/AVP 0",
    }.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(VoipError, match=name):
            cli.read_plain_source(tmp_path / name)


# --- with ffmpeg and GStreamer ----------------------------------------------------------------------------------------

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
