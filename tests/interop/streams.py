"""ffmpeg and GStreamer: RTP without SIP, in one direction at a time, as session descriptions say: ours by --sdp, theirs
as ffmpeg writes it; GStreamer's is written here, by what its payloaders say."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.interop import judgement
from tests.interop.cells import WE, Cell
from tests.interop.ours import PATIENT, SPEECH
from tests.interop.phone import PORT_BLOCKS
from tests.interop.scenes import Findings
from tests.support.processes import LOOPBACK, PATIENCE, Program, receiver, sender, until

RATES = {"opus": 48_000, "l16": 48_000, "g722": 16_000, "pcmu": 8_000, "pcma": 8_000, "aac": 48_000}
WAITS = "waiting for a stream"
"""What receiver.py says when it is ready for one without SIP."""
_BEYOND = 1.5  # seconds of AAC more than is judged at least: FFmpeg's packets change our delay in a pause, at 4 s
_SAMPLES = "audio/x-raw,format=S16LE,rate={rate},channels=1"
_FFMPEG = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
_FFMPEG_CODERS = {
    "opus": "-c:a libopus -b:a 48k -application voip -frame_duration 20",
    "l16": "-c:a pcm_s16be",
    "g722": "-c:a g722",
    "pcmu": "-c:a pcm_mulaw",
    "pcma": "-c:a pcm_alaw",
    "aac": "-c:a aac -b:a 64k",
}
_PACKETS = "min-ptime=20000000 max-ptime=20000000"  # nanoseconds; by itself GStreamer fills packets to 1400 bytes
_PAYERS = {
    "opus": "opusenc bitrate=48000 audio-type=voice ! rtpopuspay pt=96",
    "l16": f"rtpL16pay pt=96 {_PACKETS.replace('20000000', '10000000')}",
    "g722": f"avenc_g722 ! rtpg722pay pt=9 {_PACKETS}",
    "pcmu": f"mulawenc ! rtppcmupay {_PACKETS}",
    "pcma": f"alawenc ! rtppcmapay {_PACKETS}",
    "aac": "avenc_aac bitrate=64000 ! aacparse ! rtpmp4gpay pt=96",
}
_UNPAYERS = {
    "opus": "rtpopusdepay ! opusdec",
    "l16": "rtpL16depay",
    "g722": "rtpg722depay ! avdec_g722",
    "pcmu": "rtppcmudepay ! mulawdec",
    "pcma": "rtppcmadepay ! alawdec",
    "aac": "rtpmp4gdepay ! aacparse ! avdec_aac",
}
_FORMATS = {  # payload type and attributes of GStreamer's streams
    "opus": (96, ["rtpmap:96 opus/48000/2"]),
    "l16": (96, ["rtpmap:96 L16/48000/1"]),
    "g722": (9, ["rtpmap:9 G722/8000"]),
    "pcmu": (0, ["rtpmap:0 PCMU/8000"]),
    "pcma": (8, ["rtpmap:8 PCMA/8000"]),
    "aac": (
        96,
        [
            "rtpmap:96 MPEG4-GENERIC/48000/1",
            "fmtp:96 streamtype=5;profile-level-id=2;mode=AAC-hbr;config=1188;sizelength=13;indexlength=3;"
            "indexdeltalength=3",
        ],
    ),
}


def stream_scene(cell: Cell, folder: Path, says: Path, seconds: float = 0.0) -> Findings:
    """One stream into heard.wav, until that many seconds of it are heard; 0: as much as is to be judged."""
    enough = seconds or judgement.seconds(cell.codec) + (_BEYOND if cell.codec == "aac" else 0.0)
    scene = _we_send if cell.who == WE else _it_sends
    return scene(cell, folder, says, enough)


def _we_send(cell: Cell, folder: Path, says: Path, enough: float) -> Findings:
    """A first run of ours writes the description that the tool is started with."""
    findings = Findings()
    target = f"rtp://{LOOPBACK}:{PORT_BLOCKS.block()}"
    told = ["--codec", cell.codec, "--input", str(says), *SPEECH]
    with sender(folder, target, *told, "--sdp", "ours.sdp", "--duration", "0.1s", name="first") as near:
        findings.require(near.finish().status == 0, "the run for the description failed")
    heard = folder / "heard.wav"
    with (
        Program(_player(cell), folder=folder, name="player") as player,
        sender(folder, target, *told, name="second") as near,
    ):
        until(lambda: judgement.length(heard) >= enough, f"{enough} s are heard: {player.stderr}", enough + PATIENCE)
        near.stop()
        outcome = near.finish()
        player.stop()
        player.finish()
    findings.require(outcome.status == 0, f"exit code {outcome.status}: {outcome.stderr[-300:]}")
    verdict = judgement.judge(cell.codec, says, heard)
    findings.there = verdict.figure
    findings.require(not verdict.problem, f"what it heard of us: {verdict.problem}")
    return findings


def _it_sends(cell: Cell, folder: Path, says: Path, enough: float) -> Findings:
    findings = Findings()
    port = PORT_BLOCKS.block()
    description = _description(cell, folder, says, port)
    heard = folder / "heard.wav"
    told = [str(description), "--codec", cell.codec, "--output", str(heard), *PATIENT]
    with receiver(folder, *told, ready=WAITS) as far, Program(_player_of(cell, says, port), folder=folder, name="tool"):
        until(lambda: judgement.length(heard) >= enough, f"{enough} s are heard ({far.stderr})", enough + PATIENCE)
        far.stop()
        outcome = far.finish()
    findings.require(outcome.status == 0, f"exit code {outcome.status}: {outcome.stderr[-300:]}")
    findings.require(outcome.call["codec"] == cell.codec, f"codec {outcome.call['codec']}")
    findings.require(outcome.call["rx"]["lost"] == 0, f"{outcome.call['rx']['lost']} packets lost")
    pieces = cell.codec not in judgement.JUDGED_BY_EAR
    verdict = judgement.judge(cell.codec, says, heard, moves=pieces, by_ear=judgement.BY_MOVED_DELAY)
    findings.back = verdict.figure
    findings.require(not verdict.problem, f"what we heard of it: {verdict.problem}")
    return findings


def _player(cell: Cell) -> list[str]:
    """The command that plays our stream into heard.wav."""
    rate = RATES[cell.codec]
    if cell.peer == "ffmpeg":
        there = ["-protocol_whitelist", "file,udp,rtp", "-i", "ours.sdp", "-c:a", "pcm_s16le", "-ar", str(rate)]
        return [*_FFMPEG, *there, "-ac", "1", "-flush_packets", "1", "heard.wav"]
    elements = (
        f"filesrc location=ours.sdp ! sdpdemux latency=300 ! {_UNPAYERS[cell.codec]} ! audioconvert ! audioresample "
        f"! {_SAMPLES.format(rate=rate)} ! wavenc ! filesink location=heard.wav buffer-mode=unbuffered"
    )
    return ["gst-launch-1.0", "-q", "-e", *elements.split()]


def _player_of(cell: Cell, says: Path, port: int) -> list[str]:
    """The command that sends us a recording."""
    if cell.peer == "ffmpeg":
        coder = _FFMPEG_CODERS[cell.codec].split()
        return [*_FFMPEG, "-re", "-i", str(says), "-ac", "1", *coder, "-f", "rtp", f"rtp://{LOOPBACK}:{port}"]
    elements = (
        f"filesrc location={says} ! wavparse ! audioconvert ! {_PAYERS[cell.codec]} "
        f"! udpsink host={LOOPBACK} port={port}"
    )
    return ["gst-launch-1.0", "-q", *elements.split()]


def _description(cell: Cell, folder: Path, says: Path, port: int) -> Path:
    file = folder / "theirs.sdp"
    if cell.peer == "ffmpeg":  # it writes the file as it starts: too late for whoever wants to hear the beginning
        command = _player_of(cell, says, port)
        command[command.index("-re")] = "-t"
        command.insert(command.index("-t") + 1, "0.1")
        command[-1:-1] = ["-sdp_file", str(file)]
        subprocess.run(command, cwd=folder, check=True, timeout=PATIENCE, capture_output=True)
        return file
    number, attributes = _FORMATS[cell.codec]
    lines = ["v=0", f"o=- 1 1 IN IP4 {LOOPBACK}", "s=-", f"c=IN IP4 {LOOPBACK}", "t=0 0"]
    lines += [f"m=audio {port} RTP/AVP {number}", *(f"a={attribute}" for attribute in attributes)]
    file.write_text("\r\n".join([*lines, ""]))
    return file
