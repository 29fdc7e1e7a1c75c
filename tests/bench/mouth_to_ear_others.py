"""Other programs' calls between the two virtual sound cards, for `python -m tests.bench mouth-to-ear`.

As they are by default, and with the shortest buffers with which they still play. GStreamer and ffmpeg run without SIP;
Chromium has both ends of its call in one page.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.bench.running import BenchError
from tests.bench.waves import save_wave
from tests.support.baresip import READY, Setup, on_loopback, plays
from tests.support.processes import LOOPBACK, Program, free_ports
from tests.support.virtual_sound import SINKS, VirtualSound

GSTREAMER = ("gst-launch-1.0",)
_MICROPHONE, _SPEAKER = f"{SINKS[0]}.monitor", SINKS[1]
_BITRATE = 24000  # of Opus, as in our programs by default
_RATE = 48000
_PT = 96  # the first dynamic payload type (RFC 3551 section 6)
_SILENCE = 60  # seconds of it that the phone says which only hears
_LISTENS = 1.5  # seconds after which a program without a word about it is listening

Call = Callable[[VirtualSound, Path], contextlib.AbstractContextManager[tuple[int, ...]]]
"""A call between the two devices for as long as the context lasts, with a folder of its own: the process that speaks
and the process that hears, or the one that does both. Their children count as they do."""


def missing(programs: tuple[str, ...]) -> list[str]:
    """Those of them that are not installed."""
    return [program for program in programs if shutil.which(program) is None]


def _in_pair(near: list[str], far: list[str], sound: VirtualSound, folder: Path) -> Iterator[tuple[int, ...]]:
    """Two programs that say nothing, the one that hears first."""
    with Program(far, folder=folder, name="far", environment=sound.environment) as listener:
        time.sleep(_LISTENS)
        with Program(near, folder=folder, name="near", environment=sound.environment) as speaker:
            yield speaker.pid, listener.pid
            for program in (speaker, listener):
                if program.process.poll() is not None:
                    raise BenchError(f"{program.name} ended by itself:\n{program.stderr}")


def gstreamer(device_ms: int | None = None, latency_ms: int | None = None) -> Call:
    """`device_ms`: what either device may hold; `latency_ms`: of the jitter buffer. None: as it comes, 200 ms each."""

    @contextlib.contextmanager
    def call(sound: VirtualSound, folder: Path) -> Iterator[tuple[int, ...]]:
        port = free_ports()[1][0]
        device = "" if device_ms is None else f"buffer-time={device_ms * 1000} latency-time={device_ms * 250}"
        jitter = "" if latency_ms is None else f"latency={latency_ms}"
        near = (
            f"pulsesrc device={_MICROPHONE} {device} ! audioconvert ! audioresample "
            f"! audio/x-raw,rate={_RATE},channels=1 ! opusenc bitrate={_BITRATE} audio-type=voice frame-size=20 "
            f"! rtpopuspay pt={_PT} ! udpsink host={LOOPBACK} port={port}"
        )
        caps = f"application/x-rtp,media=audio,encoding-name=OPUS,clock-rate={_RATE},payload={_PT}"
        far = (
            f"udpsrc port={port} caps={caps} ! rtpjitterbuffer {jitter} ! rtpopusdepay ! opusdec plc=true "
            f"! audioconvert ! audioresample ! pulsesink device={_SPEAKER} {device}"
        )
        launch = ["gst-launch-1.0", "-q"]
        yield from _in_pair([*launch, *near.split()], [*launch, *far.split()], sound, folder)

    return call


def ffmpeg(device_ms: int | None = None) -> Call:
    """`device_ms`: what either device may hold, and then nothing is buffered on the way; None: as it comes."""

    @contextlib.contextmanager
    def call(sound: VirtualSound, folder: Path) -> Iterator[tuple[int, ...]]:
        port = free_ports()[1][0]
        (folder / "call.sdp").write_text(
            f"v=0\no=- 0 0 IN IP4 {LOOPBACK}\ns=-\nc=IN IP4 {LOOPBACK}\nt=0 0\n"
            f"m=audio {port} RTP/AVP {_PT}\na=rtpmap:{_PT} opus/{_RATE}/2\n"
        )
        quiet = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error"]
        block, at_once, held = [], [], []
        if device_ms is not None:
            block = ["-fragment_size", str(_RATE * 2 * device_ms // 1000)]  # bytes of 16-bit samples
            at_once = ["-fflags", "nobuffer", "-flags", "low_delay", "-probesize", "32", "-analyzeduration", "0"]
            held = ["-buffer_duration", str(device_ms)]
        near = [*quiet, *at_once, "-f", "pulse", "-channels", "1", "-sample_rate", str(_RATE), *block]
        near += ["-i", _MICROPHONE, "-c:a", "libopus", "-b:a", str(_BITRATE), "-application", "voip"]
        near += ["-frame_duration", "20", "-payload_type", str(_PT), "-f", "rtp", f"rtp://{LOOPBACK}:{port}"]
        far = [*quiet, *at_once, "-protocol_whitelist", "file,udp,rtp", "-i", "call.sdp"]
        far += ["-ac", "1", "-f", "pulse", *held, "-device", _SPEAKER, "call"]
        yield from _in_pair(near, far, sound, folder)

    return call


def baresip(jitter_buffer: str) -> Call:
    """A SIP call between two phones; `jitter_buffer`: packets, at least and at most ("5-10" by default)."""

    def phone(home: Path, name: str) -> tuple[list[str], str]:
        home.mkdir()
        sip_port, media_ports = free_ports()
        source = [f"ausrc_srate {_RATE}", "ausrc_channels 1", "audio_source alsa,virtual_microphone"]
        if name == "far":  # what it says is played by the same speaker
            save_wave(home / "silence.wav", np.zeros(_RATE * _SILENCE), _RATE)
            source = plays(home / "silence.wav", _RATE, 1)
        setup = Setup(
            listen=f"{LOOPBACK}:{sip_port}",
            address=f"{name}@{LOOPBACK}:{sip_port}",
            parameters="regint=0",
            modules=("opus", "alsa"),
            jitter_buffer=jitter_buffer,
            recordings=home,
            more=(
                *on_loopback(media_ports),
                *source,
                f"auplay_srate {_RATE}",
                "auplay_channels 1",
                "audio_player alsa,virtual_speaker",
                f"opus_bitrate {_BITRATE}",
                "opus_stereo no",
                "opus_sprop_stereo no",
            ),
        )
        return setup.write(home), f"sip:{setup.address}"

    @contextlib.contextmanager
    def call(sound: VirtualSound, folder: Path) -> Iterator[tuple[int, ...]]:
        far, target = phone(folder / "far-home", "far")
        near, _ = phone(folder / "near-home", "near")
        environment = sound.environment
        with Program(far, folder=folder, name="far", environment=environment, merged=True) as listener:
            listener.wait_for(READY)
            dial = [*near, "-e", f"d {target}"]
            with Program(dial, folder=folder, name="near", environment=environment, merged=True) as speaker:
                speaker.wait_for("Call established")
                yield speaker.pid, listener.pid

    return call


_PAGE = """<!doctype html><title>call</title><script>
async function call() {
  const processing = {echoCancellation: false, noiseSuppression: false, autoGainControl: false};
  const stream = await navigator.mediaDevices.getUserMedia({audio: processing});
  const near = new RTCPeerConnection(), far = new RTCPeerConnection();
  near.onicecandidate = (event) => far.addIceCandidate(event.candidate);
  far.onicecandidate = (event) => near.addIceCandidate(event.candidate);
  far.ontrack = (event) => {
    const player = new Audio();
    player.srcObject = event.streams[0];
    player.play();
  };
  stream.getTracks().forEach((track) => near.addTrack(track, stream));
  await near.setLocalDescription();
  await far.setRemoteDescription(near.localDescription);
  await far.setLocalDescription();
  await near.setRemoteDescription(far.localDescription);
}
call();
</script>
"""
_CHROMIUM = (
    "chromium",
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--use-fake-ui-for-media-stream",  # it asks nobody whether it may have the microphone
    "--autoplay-policy=no-user-gesture-required",
)


@contextlib.contextmanager
def chromium(sound: VirtualSound, folder: Path) -> Iterator[tuple[int, ...]]:
    """A page that calls itself, by WebRTC."""
    (folder / "call.html").write_text(_PAGE)
    # What is but the monitor of a sink is no microphone to it.
    for command in (
        ["load-module", "module-remap-source", f"master={_MICROPHONE}", "source_name=microphone"],
        ["set-default-source", "microphone"],
    ):
        subprocess.run(["pactl", *command], env=sound.environment, check=True, capture_output=True)
    command = [*_CHROMIUM, f"--user-data-dir={folder / 'profile'}", f"file://{folder / 'call.html'}"]
    with Program(command, folder=folder, name="chromium", environment=sound.environment) as program:
        yield (program.pid,)
        program.stop()
        program.finish()
