"""Where sound comes from and where it goes: microphone, speaker, WAV files, pipes, generated sound.

Every Source and Sink is a clock: `read` and `write` return when a block of about 10 ms is due, and never wait for
anything else. `open_source` and `open_sink` turn the words of the command line into one.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol, TextIO

from voip.devices import generate
from voip.devices.card import Microphone, Speaker
from voip.devices.files import RATES, RawSink, RawSource, WavReader, WavSink
from voip.devices.paced import Clock, Fill, NullSink, PacedSource, Sleep
from voip.devices.portaudio import MICROPHONE, SPEAKER, DeviceInfo, list_devices, opener
from voip.dsp import Pcm
from voip.errors import DeviceError

__all__ = ["Device", "DeviceInfo", "Sink", "Source", "faults", "latency", "list_devices", "open_sink", "open_source"]

INPUTS = "mic, mic:NAME-OR-INDEX, FILE.wav, - (stdin), tone, tone:HZ, silence or demo"
OUTPUTS = "speaker, speaker:NAME-OR-INDEX, FILE.wav, - (stdout) or null"
DEFAULT_FORMAT = (48000, 1)


class Device(Protocol):
    """What sources and sinks share. All calls but the first come from one thread, `close` the last one."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def block(self) -> int:
        """Samples per turn, about 10 ms; a sink's may change with `configure`."""

    @property
    def description(self) -> str: ...
    @property
    def available(self) -> bool:
        """False while a device is gone; it is silent then, in real time. May be read by any thread."""

    def close(self) -> None: ...


class Source(Device, Protocol):
    """Sound coming in."""

    def start(self) -> None:
        """Sound counts from now on; what has a beginning begins there, also the next time."""

    def read(self) -> Pcm | None:
        """The next block when it is due; None: the input has ended. DeviceError if it cannot go on."""


class Sink(Device, Protocol):
    """Sound going out."""

    def configure(self, rate: int, channels: int) -> None:
        """A stream of this format begins: files adopt the first one's, devices keep their own."""

    def write(self, pcm: Pcm) -> None:
        """Take a block and return when it is due. DeviceError if the output cannot go on."""

    def idle(self) -> None:
        """Let the time of a block pass while no call is up: a device is silent, a file does not grow."""


def open_source(
    spec: str,
    *,
    format: tuple[int, int] = DEFAULT_FORMAT,
    loop: bool = False,
    endless: bool = False,
    quiet: bool = True,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> Source:
    """Open what `--input` names. `format`: rate and channels of `-`; `quiet`: hide what sound libraries print.
    `endless`: silence follows the end of a file or a piece.

    DeviceError, one line that says what exists and what to do, if that is impossible.
    """
    name, _, detail = spec.partition(":")
    if name == "mic":
        return Microphone(opener(detail, MICROPHONE, quiet=quiet), clock=clock, sleep=sleep)
    if spec == "-":
        return RawSource(_pipe(sys.stdin, "stdin"), *_checked(format), clock=clock, sleep=sleep)
    generator = _generator(spec, loop=loop)
    if generator is not None:
        hertz = generate.RATE
        return PacedSource(
            generator,
            rate=hertz,
            channels=1,
            description=f"{spec}, {hertz} Hz",
            endless=endless,
            clock=clock,
            sleep=sleep,
        )
    if not spec or not (_is_wav(spec) or Path(spec).exists()):
        raise DeviceError(f"'{spec}' is not a sound source: {INPUTS}")
    wav = WavReader(spec, loop=loop)
    return PacedSource(
        wav.from_start,
        rate=wav.sample_rate,
        channels=wav.channels,
        description=f"{spec}, {wav.sample_rate} Hz",
        endless=endless,
        on_close=wav.close,
        clock=clock,
        sleep=sleep,
    )


def open_sink(
    spec: str,
    *,
    format: tuple[int, int] = DEFAULT_FORMAT,
    quiet: bool = True,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> Sink:
    """Open what `--output` names. `format`: rate and channels of `-`; `quiet`: hide what sound libraries print.

    DeviceError, one line that says what exists and what to do, if that is impossible.
    """
    name, _, detail = spec.partition(":")
    if name == "speaker":
        return Speaker(opener(detail, SPEAKER, quiet=quiet), clock=clock, sleep=sleep)
    if spec == "-":
        return RawSink(_pipe(sys.stdout, "stdout"), *_checked(format), clock=clock, sleep=sleep)
    rate, channels = DEFAULT_FORMAT
    if spec == "null":
        return NullSink(rate=rate, channels=channels, description="null", clock=clock, sleep=sleep)
    if not _is_wav(spec):
        raise DeviceError(f"'{spec}' is not a place for sound: {OUTPUTS}")
    return WavSink(spec, rate=rate, channels=channels, clock=clock, sleep=sleep)


def latency(device: Device) -> float:
    """Seconds that sound spends in the device beyond the block: 0 for files and pipes."""
    return device.latency if isinstance(device, Microphone | Speaker) else 0.0


def faults(device: Device) -> str:
    """What went wrong between us and the device so far, in words; empty if nothing did."""
    counted = {
        "times lost": getattr(device, "failures", 0),
        "overruns or underruns of the sound card": getattr(device, "xruns", 0),
        "blocks that stdin did not have in time": getattr(device, "starved", 0),
        "blocks that stdout did not take in time": getattr(device, "dropped", 0),
    }
    return ", ".join(f"{count} {what}" for what, count in counted.items() if count)


def _generator(spec: str, *, loop: bool) -> Callable[[], Fill] | None:
    name, colon, detail = spec.partition(":")
    if name == "tone":
        return partial(generate.tone, _hertz(detail) if colon else generate.TONE_HZ)
    if spec == "silence":
        return generate.silence
    if spec == "demo":
        return partial(generate.demo, loop=loop)
    return None


def _hertz(text: str) -> float:
    highest = generate.RATE // 2
    try:
        frequency = float(text)
    except ValueError:
        frequency = 0.0
    if not 0.0 < frequency < highest:
        raise DeviceError(f"tone:{text}: the pitch is a number of Hz above 0 and below {highest}, e.g. tone:440")
    return frequency


def _is_wav(spec: str) -> bool:
    return Path(spec).suffix.lower() in (".wav", ".wave")


def _checked(format: tuple[int, int]) -> tuple[int, int]:
    rate, channels = format
    if rate not in RATES or channels not in (1, 2):
        raise DeviceError(f"--format {rate}/{channels}: a rate from {RATES[0]} to {RATES[-1]} Hz, 1 or 2 channels")
    return format


def _pipe(stream: TextIO | None, name: str) -> int:
    """The descriptor of stdin or stdout; sound on a terminal is a slip of the user."""
    try:
        fd = stream.fileno() if stream is not None else None
    except OSError:
        fd = None
    if fd is None:
        raise DeviceError(f"'-': {name} is closed")
    if os.isatty(fd):
        direction = "pipe 16-bit samples into it" if name == "stdin" else "pipe it into a program or a file"
        raise DeviceError(f"'-': {name} is a terminal; {direction}")
    return fd
