"""Sound devices through PortAudio: the only module that imports PyAudio, and only when a device is asked for.

PortAudio's traps: a device index that does not exist is a segmentation fault and an ALSA without configuration an
abort, so both are looked at first; a handle made while the sound server was down never works, so every attempt begins
anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from voip.devices.card import QUICK_BLOCK_SECONDS, Opened, Opener
from voip.devices.choice import MICROPHONE, SPEAKER, DeviceInfo, DeviceKind, choose
from voip.devices.paced import block_samples
from voip.devices.quiet import library_noise_hidden, mute_alsa
from voip.errors import DeviceError
from voip.printable import one_line

COMMON_RATE = 48000
"""Tried first on ALSA, where PortAudio reports 44100 Hz for every device that can do it, whatever its own rate is."""
ALSA_CONFIG = "/usr/share/alsa/alsa.conf"
"""Where libasound2 looks unless ALSA_CONFIG_PATH says otherwise."""
_library = threading.Lock()
"""PortAudio's initialise, open, close and terminate may not run at the same time."""


ASKABLE = sys.platform == "linux"
"""Whether a device is asked if a block would wait. Measured on Linux only; elsewhere reading and writing wait."""
OPTIONS = {MICROPHONE: ("input", "input_device_index"), SPEAKER: ("output", "output_device_index")}
"""PyAudio's arguments for the direction of a stream and for its device."""


class PortAudioStream:
    """A stream of PyAudio as a `CardStream`, with the handle that it was opened by."""

    def __init__(self, audio: Any, stream: Any) -> None:  # noqa: ANN401 -- PyAudio has no types
        self._audio, self._stream = audio, stream

    def start(self) -> None:
        self._stream.start_stream()

    def read(self, samples: int) -> bytes:
        """An overflow is no exception: PyAudio would close the stream."""
        data: bytes = self._stream.read(samples, exception_on_overflow=False)
        return data

    def readable(self) -> int:
        return int(self._stream.get_read_available())

    def write(self, data: bytes) -> None:
        self._stream.write(data)

    def writable(self) -> int:
        return int(self._stream.get_write_available())

    def close(self) -> None:
        with _library:
            with contextlib.suppress(OSError):
                self._stream.close()
            with contextlib.suppress(OSError):
                self._audio.terminate()


# --- what exists ------------------------------------------------------------------------------------------------------


def list_devices(*, quiet: bool = True) -> list[DeviceInfo]:
    """Every sound device, none if there is none. DeviceError without PyAudio."""
    with _library, _hidden(quiet):
        audio = _pyaudio().PyAudio()
        try:
            return _devices(audio)
        finally:
            audio.terminate()


def _devices(audio: Any) -> list[DeviceInfo]:  # noqa: ANN401 -- PyAudio has no types
    defaults = [_default(audio.get_default_input_device_info), _default(audio.get_default_output_device_info)]
    found = []
    for index in range(audio.get_device_count()):
        raw = audio.get_device_info_by_index(index)
        found.append(
            DeviceInfo(
                index=index,
                name=_text(raw["name"]).strip(),
                host_api=str(audio.get_host_api_info_by_index(raw["hostApi"])["name"]),
                inputs=int(raw["maxInputChannels"]),
                outputs=int(raw["maxOutputChannels"]),
                rate=round(raw["defaultSampleRate"]),
                input_latency=float(raw["defaultLowInputLatency"]),
                output_latency=float(raw["defaultLowOutputLatency"]),
                default_input=index == defaults[0],
                default_output=index == defaults[1],
            )
        )
    return found


def _text(name: str | bytes) -> str:
    """PyAudio leaves a name as bytes if it is not UTF-8."""
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name


def _default(ask: Callable[[], Any]) -> int | None:
    try:
        return int(ask()["index"])
    except OSError:
        return None


def library_version() -> str | None:
    """What PortAudio says of itself; None without PyAudio."""
    try:
        return str(_imported().get_portaudio_version_text())
    except ImportError:
        return None


def _imported() -> Any:  # noqa: ANN401 -- PyAudio has no types
    with contextlib.redirect_stdout(io.StringIO()):  # it prints there when its C part is missing
        import pyaudio
    return pyaudio


def _pyaudio() -> Any:  # noqa: ANN401 -- PyAudio has no types
    try:
        pyaudio = _imported()
    except ImportError as error:
        system = {"darwin": "brew install portaudio && ", "win32": ""}.get(
            sys.platform, "apt-get install gcc python3-dev portaudio19-dev && "
        )
        raise DeviceError(
            f"sound devices need PyAudio ({error}): {system}pip install PyAudio; "
            f"without it: {MICROPHONE.instead}, {SPEAKER.instead}"
        ) from None
    if sys.platform == "linux" and not _alsa_is_configured():
        raise DeviceError(
            f"there is no sound device: ALSA is not configured here (apt-get install libasound2-data); "
            f"without it: {MICROPHONE.instead}, {SPEAKER.instead}"
        )
    return pyaudio


def _alsa_is_configured() -> bool:
    """Whether ALSA knows of anything at all: PortAudio aborts the process where it does not."""
    for name in os.environ.get("ALSA_CONFIG_PATH", ALSA_CONFIG).split(":"):
        with contextlib.suppress(OSError):
            if b"pcm" in Path(name).read_bytes():
                return True
    return False


# --- opening ----------------------------------------------------------------------------------------------------------


def opener(wanted: str, kind: DeviceKind, *, quiet: bool) -> Opener:
    """How to open this device, the first time and again. Opened again it must be the same: name, rate and channels."""

    def open_device(lost: Opened | None) -> Opened:
        with _library, _hidden(quiet):
            module = _pyaudio()
            audio = module.PyAudio()
            try:
                # By name again: after unplugging, an index may mean another device.
                name = lost.name if lost and wanted else wanted
                device = choose(_devices(audio), name, kind)
                block = lost.block if lost else QUICK_BLOCK_SECONDS
                stream, rate, channels = _open(module, audio, device, kind, lost)
            except BaseException:
                audio.terminate()
                raise
            latency = stream.get_input_latency() if kind is MICROPHONE else stream.get_output_latency()
            return Opened(PortAudioStream(audio, stream), device.name, rate, channels, latency, ASKABLE, block)

    return open_device


def _open(
    module: Any,  # noqa: ANN401 -- PyAudio has no types
    audio: Any,  # noqa: ANN401
    device: DeviceInfo,
    kind: DeviceKind,
    lost: Opened | None,
) -> tuple[Any, int, int]:
    """The stream at the first format that the device takes, with its rate and channels."""
    direction, device_index = OPTIONS[kind]
    block = lost.block if lost else QUICK_BLOCK_SECONDS
    reason = ""
    for rate, channels in [(lost.rate, lost.channels)] if lost else _formats(device, kind):
        arguments = {
            "format": module.paInt16,
            "rate": rate,
            "channels": channels,
            "frames_per_buffer": block_samples(rate, block),
            direction: True,
            device_index: device.index,
        }
        stream, refusal = _attempt(audio, arguments)
        if stream is not None:
            return stream, rate, channels
        reason = reason or refusal
    raise DeviceError(
        f"cannot open {kind.name} {device.index} {one_line(device.name)}: {reason}; "
        f"is another program using it? See --list-devices, or use {kind.instead}",
        may_come=True,
    )


def _attempt(audio: Any, arguments: dict[str, Any]) -> tuple[Any, str]:  # noqa: ANN401 -- PyAudio has no types
    """A stream that waits to be started, or None and the reason."""
    try:
        return audio.open(start=False, **arguments), ""
    except OSError as error:
        return None, str(error.args[-1])


def _formats(device: DeviceInfo, kind: DeviceKind) -> Iterator[tuple[int, int]]:
    rates = [device.rate]
    if device.host_api == "ALSA" and device.rate != COMMON_RATE:
        rates.insert(0, COMMON_RATE)
    for rate in rates:
        for channels in kind.channels(device):
            yield rate, channels


@contextlib.contextmanager
def _hidden(quiet: bool) -> Iterator[None]:
    if not quiet:
        yield
        return
    mute_alsa()
    with library_noise_hidden():
        yield
