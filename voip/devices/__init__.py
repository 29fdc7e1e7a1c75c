"""Where sound comes from and where it goes: microphone, speaker, WAV files, pipes, generated sound.

Every Source and Sink is a clock: `read` and `write` return when a block of 5 to 10 ms is due, and never wait for
anything else. `open_source` and `open_sink` turn the words of the command line into one.

device      Device, Source, Sink: what all of them offer
paced       real time for what has no clock: PacedSource, NullSink
files       WAV files and pipes
recording   a WAV file that grows           writer    its disk's own thread     new_file   created late
generate    tone, silence, a piece
card        Microphone, Speaker: a sound card that may go away and come back
changeable  a device that is exchanged for another while it is used
choice      which sound card is meant
portaudio   the back-end of card, by PyAudio   quiet   what its libraries print

Another back-end is one module in place of portaudio, with its `list_devices` and `opener`: a `CardStream` for a device.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO, TypeVar

from voip.devices import generate
from voip.devices.card import Microphone, Speaker
from voip.devices.changeable import ChangeableSink, ChangeableSource, written_by
from voip.devices.choice import MICROPHONE, SPEAKER, DeviceInfo
from voip.devices.device import Device, Sink, Source
from voip.devices.files import RATES, RawSink, RawSource, WavReader, WavSink
from voip.devices.paced import Clock, Fill, NullSink, PacedSource, Sleep
from voip.devices.per_caller import PerCaller
from voip.devices.portaudio import list_devices, opener
from voip.devices.quiet import library_noise_kept_away
from voip.errors import DeviceError, VoipError

__all__ = [
    "ChangeableSink",
    "ChangeableSource",
    "Device",
    "DeviceInfo",
    "PerCaller",
    "Sink",
    "Source",
    "is_card",
    "library_noise_kept_away",
    "list_devices",
    "open_sink",
    "open_source",
    "written_by",
]

INPUTS = "mic, mic:NAME-OR-INDEX, FILE.wav, - (stdin), tone, tone:HZ, silence or demo"
OUTPUTS = "speaker, speaker:NAME-OR-INDEX, FILE.wav, - (stdout) or null"
DEFAULT_FORMAT = (48000, 1)
"""Rate in Hz and channels."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class _Wanted:
    """What is to be opened: the whole text, what follows its colon (None without one), and how."""

    spec: str
    detail: str | None
    format: tuple[int, int]
    quiet: bool
    clock: Clock
    sleep: Sleep
    loop: bool = False
    endless: bool = False
    overwrite: bool = False
    say: Callable[[str], object] = lambda line: None


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

    One line that says what exists and what to do: VoipError if there is no such input, DeviceError if it is not there.
    """
    wanted = _Wanted(spec, _detail(spec), format, quiet, clock, sleep, loop, endless)
    return _named(_SOURCES, wanted, _wav_source)(wanted)


def open_sink(
    spec: str,
    *,
    format: tuple[int, int] = DEFAULT_FORMAT,
    overwrite: bool = False,
    say: Callable[[str], object] = lambda line: None,
    quiet: bool = True,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> Sink:
    """Open what `--output` names. `format`: rate and channels of `-`; `quiet`: hide what sound libraries print.
    `overwrite`: a file that exists is replaced once sound comes; else `say` is told which one takes its place.

    One line that says what exists and what to do: VoipError if there is no such output, DeviceError if it is not there.
    """
    wanted = _Wanted(spec, _detail(spec), format, quiet, clock, sleep, overwrite=overwrite, say=say)
    return _named(_SINKS, wanted, _wav_sink)(wanted)


def is_card(spec: str) -> bool:
    """Whether `--input` or `--output` names a sound card."""
    return spec.partition(":")[0] in ("mic", "speaker")


def _detail(spec: str) -> str | None:
    _, colon, detail = spec.partition(":")
    return detail if colon else None


def _named(table: Mapping[str, _T], wanted: _Wanted, otherwise: _T) -> _T:
    """What opens it, by the word before the colon; `otherwise` if there is no such word, or none that takes a colon."""
    name = wanted.spec.partition(":")[0]
    return table.get(name, otherwise) if wanted.detail is None or name in _DETAILED else otherwise


# --- sources ----------------------------------------------------------------------------------------------------------


def _microphone(wanted: _Wanted) -> Source:
    opened = opener(wanted.detail or "", MICROPHONE, quiet=wanted.quiet)
    return Microphone(opened, clock=wanted.clock, sleep=wanted.sleep)


def _stdin(wanted: _Wanted) -> Source:
    fd = _pipe(sys.stdin, "stdin")
    return RawSource(fd, *_checked(wanted.format), clock=wanted.clock, sleep=wanted.sleep)


def _tone(wanted: _Wanted) -> Source:
    hertz = generate.TONE_HZ if wanted.detail is None else _hertz(wanted.detail)
    return _generated(wanted, partial(generate.tone, hertz))


def _silence(wanted: _Wanted) -> Source:
    return _generated(wanted, generate.silence)


def _demo(wanted: _Wanted) -> Source:
    return _generated(wanted, partial(generate.demo, loop=wanted.loop))


def _generated(wanted: _Wanted, sound: Callable[[], Fill]) -> Source:
    return _paced(wanted, sound, generate.RATE, 1)


def _wav_source(wanted: _Wanted) -> Source:
    spec = wanted.spec
    if not _is_wav(spec) and not _looks_like_a_file(spec):
        raise VoipError(f"'{spec}' is not an input: {INPUTS}")
    wav = WavReader(spec, loop=wanted.loop)
    return _paced(wanted, wav.from_start, wav.sample_rate, wav.channels, on_close=wav.close)


def _paced(
    wanted: _Wanted, sound: Callable[[], Fill], rate: int, channels: int, on_close: Callable[[], object] = lambda: None
) -> Source:
    return PacedSource(
        sound,
        rate=rate,
        channels=channels,
        description=f"{wanted.spec}, {rate} Hz",
        endless=wanted.endless,
        on_close=on_close,
        clock=wanted.clock,
        sleep=wanted.sleep,
    )


# --- sinks ------------------------------------------------------------------------------------------------------------


def _speaker(wanted: _Wanted) -> Sink:
    opened = opener(wanted.detail or "", SPEAKER, quiet=wanted.quiet)
    return Speaker(opened, clock=wanted.clock, sleep=wanted.sleep)


def _stdout(wanted: _Wanted) -> Sink:
    fd = _pipe(sys.stdout, "stdout")
    return RawSink(fd, *_checked(wanted.format), clock=wanted.clock, sleep=wanted.sleep)


def _null(wanted: _Wanted) -> Sink:
    rate, channels = DEFAULT_FORMAT
    return NullSink(rate=rate, channels=channels, description="null", clock=wanted.clock, sleep=wanted.sleep)


def _wav_sink(wanted: _Wanted) -> Sink:
    spec = wanted.spec
    if not _is_wav(spec):
        other = f"; sound is written as WAV: --output {Path(spec).with_suffix('.wav')}" if Path(spec).suffix else ""
        raise VoipError(f"'{spec}' is not an output: {OUTPUTS}{other}")
    rate, channels = DEFAULT_FORMAT
    return WavSink(
        spec,
        rate=rate,
        channels=channels,
        overwrite=wanted.overwrite,
        say=wanted.say,
        clock=wanted.clock,
        sleep=wanted.sleep,
    )


_SOURCES: Mapping[str, Callable[[_Wanted], Source]] = {
    "mic": _microphone,
    "-": _stdin,
    "tone": _tone,
    "silence": _silence,
    "demo": _demo,
}
_SINKS: Mapping[str, Callable[[_Wanted], Sink]] = {"speaker": _speaker, "-": _stdout, "null": _null}
_DETAILED = frozenset({"mic", "tone", "speaker"})
"""Words that a colon may follow."""


# --- what the options say ---------------------------------------------------------------------------------------------


def _hertz(text: str) -> float:
    highest = generate.RATE // 2
    try:
        frequency = float(text)
    except ValueError:
        frequency = 0.0
    if not 0.0 < frequency < highest:
        raise VoipError(f"tone:{text}: the pitch is a number of Hz above 0 and below {highest}, e.g. tone:440")
    return frequency


def _is_wav(spec: str) -> bool:
    return Path(spec).suffix.lower() in (".wav", ".wave")


def _looks_like_a_file(spec: str) -> bool:
    """Whether a file is meant, be it there or not: `song.mp3`, `folder/song`, but not `speker`."""
    return bool(spec) and (Path(spec).suffix != "" or os.sep in spec or Path(spec).exists())


def _checked(format: tuple[int, int]) -> tuple[int, int]:
    rate, channels = format
    if rate not in RATES or channels not in (1, 2):
        raise VoipError(f"--format {rate}/{channels}: a rate from {RATES[0]} to {RATES[-1]} Hz, 1 or 2 channels")
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
