"""Other people's programs over the same wire, sending the same speech as Opus of the same bit rate.

    python -m tests.bench others [--row loss10] [--program gst-red] [--speech FILE.wav] [--save]

What protects a stream is set by hand before the call with all of them, and the play-out delay with all but libwebrtc,
the engine of Chrome's calls. GStreamer and ffmpeg run without SIP. What is not installed is left out, and said so.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench import libwebrtc
from tests.bench.beside import Bulk
from tests.bench.figures import Figures, dated, median, quality_figures, rtp_begin, store, wire_figures
from tests.bench.ours import add_if_possible, heads, line, ready
from tests.bench.quality import add_more_metrics, measure
from tests.bench.queueing import queue_figures, record_of, tcp_figures
from tests.bench.rows import Row, find, matching, selected
from tests.bench.running import ROOT, BenchError, Job, Listener, LogLine, WireJob
from tests.bench.speech import add_speech_option, write_reference
from tests.bench.waves import Wave, at_rate, load_wave, save_wave
from tests.support.baresip import READY, Setup, plays

BITRATE = 24000
"""Bits per second of Opus, as in our programs by default."""
FEC_BITRATE = 32000
"""With in-band FEC, which takes its share: of 24 kbit/s, and for much loss, it leaves too little to the speech."""
FEC_LOSS = 10
"""Percent of loss that the coder is told to expect there."""
LATENCY = 100
"""Milliseconds of play-out delay where the user has to choose one."""
_CLOCK, _PTIME = 48000, 0.02  # of RTP's Opus (RFC 7587 section 4.1), and of all packets here
_PORT = 5004
_SSRC = 0x5EED
_MEDIA_PT, _REPAIR_PT = 96, 100
_READY = 1.5  # seconds after which a program without a word about it is listening
_TAIL = 1.0  # seconds after the sender's end in which the last sound is played
_END = 40.0


@dataclass(frozen=True)
class Heard:
    """What a call left: sound at the rate of the meter, when its first sample was handed over, processor seconds."""

    received: Wave
    begin: Callable[[Sequence[LogLine]], float | None]
    cpu_near: float
    cpu_far: float


@dataclass(frozen=True)
class Rival:
    """One program in one setting; `call` makes a call over a wire with the speech in FOLDER/speech.wav."""

    name: str
    title: str
    needs: tuple[str, ...]
    elements: tuple[str, ...]
    call: Callable[[Row, WireJob, Path], Heard]
    module: str | None = None

    def missing(self) -> str | None:
        """What this machine lacks for it; None: nothing."""
        if lacking := [program for program in self.needs if shutil.which(program) is None]:
            return f"needs {', '.join(lacking)}"
        if self.module is not None and importlib.util.find_spec(self.module) is None:
            return f"needs the Python module {self.module}"
        for element in self.elements:
            if subprocess.run(["gst-inspect-1.0", element], capture_output=True, check=False).returncode:
                return f"GStreamer here has no {element}"
        return None


# --- GStreamer --------------------------------------------------------------------------------------------------------

_GST = ("gst-launch-1.0", "gst-inspect-1.0")
_GST_BASIC = ("opusenc", "opusdec", "rtpopuspay", "rtpjitterbuffer", "wavparse", "udpsrc", "audiorate")
_RED = f"rtpredenc pt={_REPAIR_PT} allow-no-red-blocks=true distance="


def _gst(coder: str, protect: str, recover: str, *, decode: str = "", payload: int = _MEDIA_PT) -> Callable[..., Heard]:
    """A pair of pipelines; `protect` and `recover` are the elements around the network, "" or ending in "!".

    The receiver plays to its pipeline's clock; what is not there in time is made up by Opus, what Opus does not make
    up is silence.
    """

    def call(row: Row, wire: WireJob, folder: Path) -> Heard:
        near = (
            "filesrc location=speech.wav ! wavparse ! audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=1 "
            f"! opusenc {coder} bitrate-type=vbr audio-type=voice frame-size=20 "
            f"! rtpopuspay pt={_MEDIA_PT} ssrc={_SSRC} ! {protect} udpsink host={wire.far_address} port={_PORT}"
        )
        caps = f"application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,payload={payload},ssrc=(uint){_SSRC}"
        far = (
            f"udpsrc port={_PORT} caps={caps} ! {recover.format(latency=LATENCY)} rtpopusdepay "
            f"! opusdec plc=true {decode} ! audioconvert ! audioresample ! audiorate skip-to-first=true "
            "! audio/x-raw,format=S16LE,rate=48000,channels=1 ! fdsink fd=1 sync=true"
        )
        commands = (
            [*wire.near, "gst-launch-1.0", "-q", *near.split()],
            [*wire.far, "gst-launch-1.0", "-q", *far.split()],
        )
        return _piped(row, commands, folder, clocked=True)

    return call


def _piped(row: Row, commands: tuple[list[str], list[str]], folder: Path, *, clocked: bool) -> Heard:
    """A call whose receiver writes raw samples to stdout; `clocked`: it does so when they are to be played."""
    near, far = commands
    with Job("far", far, folder, listen=True) as receiver:
        listener = Listener(receiver, _CLOCK)
        time.sleep(_READY)
        with Job("near", near, folder) as sender:
            sent = sender.finish(row.seconds + _END)
            if sent.status:
                raise BenchError(f"the sender ended with {sent.status}:\n{sender.talk[-2000:]}")
        time.sleep(_TAIL)
        received = receiver.stop(signal.SIGINT)
        sound = at_rate(listener.finish() / 32768.0, _CLOCK)
        if not len(sound):
            raise BenchError(f"nothing was heard:\n{receiver.talk[-2000:]}")
    return Heard(sound, lambda _: listener.begin if clocked else None, sent.cpu, received.cpu)


# --- ffmpeg -----------------------------------------------------------------------------------------------------------


def _ffmpeg(row: Row, wire: WireJob, folder: Path) -> Heard:
    """RTP described by an SDP file. It writes what it decodes at once: there is no play-out, so no delay to tell."""
    description = (
        f"v=0\no=- 0 0 IN IP4 {wire.near_address}\ns=-\nc=IN IP4 {wire.far_address}\nt=0 0\n"
        f"m=audio {_PORT} RTP/AVP {_MEDIA_PT}\na=rtpmap:{_MEDIA_PT} opus/48000/2\n"
    )
    (folder / "call.sdp").write_text(description)
    quiet = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error"]
    opus = ["-c:a", "libopus", "-b:a", str(BITRATE), "-application", "voip", "-frame_duration", "20"]
    near = [*quiet, "-re", "-i", "speech.wav", *opus, "-payload_type", str(_MEDIA_PT), "-f", "rtp"]
    far = [*quiet, "-protocol_whitelist", "file,udp,rtp", "-max_delay", str(LATENCY * 1000), "-i", "call.sdp"]
    fill = "aresample=async=1:min_hard_comp=0.01"  # silence in place of what is lost, or all after it would come early
    far += ["-af", fill, "-ar", str(_CLOCK), "-ac", "1", "-f", "s16le", "pipe:1"]
    target = f"rtp://{wire.far_address}:{_PORT}"
    return _piped(row, ([*wire.near, *near, target], [*wire.far, *far]), folder, clocked=False)


# --- libwebrtc --------------------------------------------------------------------------------------------------------


def _libwebrtc(red: int) -> Callable[..., Heard]:
    """A call between two processes of Chrome's engine; `red`: older packets in each."""

    def call(row: Row, wire: WireJob, folder: Path) -> Heard:
        wide = at_rate(*load_wave(folder / "speech.wav"), libwebrtc.RATE)
        save_wave(folder / libwebrtc.SPEECH, wide, libwebrtc.RATE)
        program = [sys.executable, "-m", "tests.bench.libwebrtc"]
        here = {"PYTHONPATH": str(ROOT)}
        far = [*wire.far, *program, "hear", "--red", str(red)]
        near = [*wire.near, *program, "speak", "--red", str(red)]
        with Job("far", far, folder, listen=True, environment=here) as receiver:
            listener = Listener(receiver, libwebrtc.RATE)
            receiver.wait_for(libwebrtc.READY)
            with Job("near", near, folder, environment=here) as sender:
                sent = sender.finish(row.seconds + _END)
                if sent.status:
                    raise BenchError(f"the sender ended with {sent.status}:\n{sender.talk[-2000:]}")
            played = receiver.stop(signal.SIGKILL)
            sound = at_rate(listener.finish() / 32768.0, libwebrtc.RATE)
        if not len(sound):
            raise BenchError(f"nothing was heard:\n{receiver.talk[-2000:]}")
        return Heard(sound, lambda _: listener.begin, sent.cpu, played.cpu)

    return call


# --- baresip ----------------------------------------------------------------------------------------------------------


def _baresip(row: Row, wire: WireJob, folder: Path) -> Heard:
    """A SIP call between two baresips.

    The far one's player is bridged to its microphone: what it sends back is what it has played, by a real-time clock,
    and it records that. So the moment of each sample is known from the packets that come back, and its processor time
    includes coding them.
    """
    wide = folder / "speech48.wav"  # its own resampler would cost quality
    save_wave(wide, at_rate(*load_wave(folder / "speech.wav"), _CLOCK), _CLOCK)
    near = _baresip_home(folder / "near-home", wire.near_address, plays(wide, _CLOCK, 1))
    bridge = [f"ausrc_srate {_CLOCK}", "ausrc_channels 1", "module aubridge.so"]
    bridge += ["audio_source aubridge,heard", "audio_player aubridge,heard"]
    far = _baresip_home(folder / "far-home", wire.far_address, bridge)
    dial = ["-e", f"d sip:peer@{wire.far_address}"]
    with Job("far", [*wire.far, *far], folder, environment={"HOME": str(folder)}) as receiver:
        receiver.wait_for(READY)
        with Job("near", [*wire.near, *near, *dial], folder, environment={"HOME": str(folder)}) as sender:
            sender.wait_for("Call established")
            time.sleep(row.seconds + _TAIL)
            sent = sender.stop(signal.SIGINT)
        time.sleep(_TAIL)
        played = receiver.stop(signal.SIGINT)
        recordings = sorted((folder / "far-home").glob("dump-*-enc.wav"))
        if len(recordings) != 1:
            raise BenchError(f"{len(recordings)} recordings:\n{receiver.talk[-2000:]}")
    sound, rate = load_wave(recordings[0])

    def begin(log: Sequence[LogLine]) -> float | None:
        return rtp_begin(log, _CLOCK, _PTIME, "far>near")

    return Heard(at_rate(sound, rate), begin, sent.cpu, played.cpu)


def _baresip_home(home: Path, address: str, sound: Sequence[str]) -> list[str]:
    """Configure one phone in a folder: the command that starts it."""
    home.mkdir()
    setup = Setup(
        listen=f"{address}:5060",
        address=f"peer@{address}",
        parameters="regint=0",
        modules=("opus", "sndfile"),
        jitter_buffer=f"{round(LATENCY / 20)}-{round(LATENCY / 10)}",
        recordings=home,
        more=(
            f"auplay_srate {_CLOCK}",
            "auplay_channels 1",
            *sound,
            f"opus_bitrate {FEC_BITRATE}",
            "opus_inbandfec yes",
            f"opus_packet_loss {FEC_LOSS}",
            "opus_stereo no",
            "opus_sprop_stereo no",
        ),
    )
    return setup.write(home)


# --- all of them ------------------------------------------------------------------------------------------------------

_BUFFER = "rtpjitterbuffer latency={latency} do-lost=true !"
_UNRED = f"rtpreddec pt={_REPAIR_PT} ! {_BUFFER}"
_ULPFEC = f"rtpulpfecenc pt={_REPAIR_PT} multipacket=false percentage=100 percentage-important=100 !"
_UNULPFEC = f"rtpstorage size-time=250000000 ! {_BUFFER} rtpulpfecdec pt={_REPAIR_PT} !"
_PLAIN = f"bitrate={BITRATE}"
_LBRR = f"bitrate={FEC_BITRATE} inband-fec=true packet-loss-percentage={FEC_LOSS}"

RIVALS = (
    Rival("gst", "GStreamer, Opus", _GST, _GST_BASIC, _gst(_PLAIN, "", _BUFFER)),
    Rival(
        "gst-lbrr",
        "GStreamer, Opus 32k with in-band FEC",
        _GST,
        _GST_BASIC,
        _gst(_LBRR, "", _BUFFER, decode="use-inband-fec=true"),
    ),
    *(
        Rival(
            f"gst-red{distance}",
            f"GStreamer, Opus + RED, distance {distance}",
            _GST,
            (*_GST_BASIC, "rtpredenc", "rtpreddec"),
            _gst(_PLAIN, f"{_RED}{distance} !", _UNRED),
        )
        for distance in (1, 2)
    ),
    Rival(
        "gst-ulpfec",
        "GStreamer, Opus + ULPFEC, 100 %",
        _GST,
        (*_GST_BASIC, "rtpulpfecenc", "rtpulpfecdec", "rtpstorage"),
        _gst(_PLAIN, _ULPFEC, _UNULPFEC),
    ),
    Rival("ffmpeg", "ffmpeg, Opus", ("ffmpeg",), (), _ffmpeg),
    Rival("baresip", "baresip, Opus 32k with in-band FEC", ("baresip",), (), _baresip),
    Rival("libwebrtc", "libwebrtc, Opus with in-band FEC", (), (), _libwebrtc(0), "webrtc"),
    Rival("libwebrtc-red2", "libwebrtc, Opus + RED, 2 copies", (), (), _libwebrtc(2), "webrtc"),
)
SOME_ROWS = ("clean", "loss10", "loss20", "loss30", "burst10", "jitter30", "jitter60")
"""What they run on unless told otherwise: an hour for all of them. Two calls at a time are for ours alone."""


def run_row(rival: Rival, row: Row, seed: int, speech: Wave, keep: Path | None, more: bool = False) -> Figures:
    """One call and all its figures. BenchError if there was no call."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        reference = write_reference(folder / "speech.wav", speech, row.seconds)
        wire = stack.enter_context(WireJob(row, seed, folder))
        beside = Bulk(wire, folder, stack) if row.tcp else None
        if beside is not None:
            beside.start()
        heard = rival.call(row, wire, folder)
        samples = None if beside is None else beside.finish()
        summary, log = wire.finish()
        begin, spoken = heard.begin(log), rtp_begin(log, _CLOCK, _PTIME)
        offset = None if begin is None or spoken is None else begin - spoken - row.impairment.delay
        if keep is not None:
            target = keep / f"{rival.name}-{row.name}-{seed}"
            target.mkdir(parents=True, exist_ok=True)
            save_wave(target / "heard.wav", heard.received)
            for name in ("speech.wav", "near.log", "far.log", "wire.tsv"):
                shutil.copy(folder / name, target / name)
        minutes = row.seconds / 60.0
        return {
            **quality_figures(measure(reference, heard.received, more=more), offset),
            **wire_figures(summary, log, row.seconds),
            **(queue_figures(row, record_of(log)) if row.full_line else {}),
            **({} if samples is None else tcp_figures(row, samples, log)),
            "cpu_near": heard.cpu_near / minutes,
            "cpu_far": heard.cpu_far / minutes,
        }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m tests.bench others`."""
    add_speech_option(parser)
    names = [rival.name for rival in RIVALS]
    parser.add_argument("--program", action="append", choices=names, help="one of them, or several [all]")
    parser.add_argument("--row", action="append", type=matching, help=f"rows of the matrix [{' '.join(SOME_ROWS)}]")
    parser.add_argument("--runs", type=int, default=1, help="calls of each row; figures are their medians")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="shorter or longer calls than the rows say")
    add_more_metrics(parser)
    parser.add_argument("--keep", type=Path, help="leave recordings and the wire's log in this folder")
    parser.add_argument("--save", action="store_true", help="put the medians into docs/benchmarks.json")
    add_if_possible(parser)


def run(options: argparse.Namespace) -> int:
    """The `others` command."""
    speech = ready(options)
    if speech is None:
        return 0 if options.if_possible else 1
    rows = [row for row in selected(options.row, [find(name) for name in SOME_ROWS]) if row.second is None]
    for rival in RIVALS:
        if options.program and rival.name not in options.program:
            continue
        if lacking := rival.missing():
            sys.stdout.write(f"{rival.title}: left out, {lacking}\n")
            continue
        sys.stdout.write(f"{rival.title}\n{heads()}\n")
        for row in rows:
            _tell(rival, replace(row, seconds=options.seconds or row.seconds), speech, options)
    return 0


def _tell(rival: Rival, row: Row, speech: Wave, options: argparse.Namespace) -> None:
    """Run a row, show its figures, and keep them."""
    seeds = range(options.seed, options.seed + options.runs)
    try:
        runs = [run_row(rival, row, seed, speech, options.keep, options.more_metrics) for seed in seeds]
    except BenchError as problem:
        sys.stdout.write(f"{row.name}: {problem}\n")
        return
    figures = {**median(runs), "runs": len(runs)}
    sys.stdout.write(line(row.name, figures) + "\n")
    sys.stdout.flush()
    if options.save:
        store(("others", rival.name, row.name), dated(figures))
