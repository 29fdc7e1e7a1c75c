"""Which sound device is meant by what the user wrote, among those that a back-end has found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voip.errors import DeviceError
from voip.printable import one_line


@dataclass(frozen=True)
class DeviceInfo:
    """One device: channels each way, default rate in Hz, latencies in seconds."""

    index: int
    name: str
    host_api: str
    inputs: int
    outputs: int
    rate: int
    input_latency: float
    output_latency: float
    default_input: bool
    default_output: bool


@dataclass(frozen=True)
class DeviceKind:
    """What differs between microphones and speakers. `instead`: what to use where there is none."""

    name: str
    option: str
    instead: str
    channels: Callable[[DeviceInfo], tuple[int, ...]]
    """Channels that a device of this kind may be opened with, best first; none: it is of the other kind."""
    is_default: Callable[[DeviceInfo], bool]


MICROPHONE = DeviceKind(
    name="microphone",
    option="mic",
    instead="--input FILE.wav, tone, demo or - (stdin)",
    channels=lambda device: (1, 2)[: device.inputs],
    is_default=lambda device: device.default_input,
)
SPEAKER = DeviceKind(
    name="speaker",
    option="speaker",
    instead="--output FILE.wav, - (stdout) or null",
    channels=lambda device: (2, 1) if device.outputs >= 2 else (1, 2)[: device.outputs],
    is_default=lambda device: device.default_output,
)


def choose(devices: list[DeviceInfo], wanted: str, kind: DeviceKind) -> DeviceInfo:
    """The device meant by an index, a name or a part of it, or "" for the default. DeviceError if not exactly one."""
    able = [device for device in devices if kind.channels(device)]
    if not able:
        raise DeviceError(
            f"no {kind.name} found ({_catalogue(devices)}); connect one, start the sound server, or use {kind.instead}",
            may_come=True,
        )
    if not wanted:
        return next((device for device in able if kind.is_default(device)), able[0])
    if wanted.isdecimal():
        found = [device for device in able if device.index == int(wanted)]
    else:
        name = wanted.casefold()
        found = [device for device in able if name in device.name.casefold()]
        found = [device for device in found if device.name.casefold() == name] or found
    if len(found) > 1:  # the same card shows up once for each driver interface of the system
        home = choose(devices, "", kind).host_api
        found = [device for device in found if device.host_api == home] or found
    if len(found) == 1:
        return found[0]
    problem = "matches several" if found else "matches no"
    hint = f"choose by number, e.g. {kind.option}:{choose(found or able, '', kind).index}"
    text = f"'{wanted}' {problem} {kind.name}{'s' * bool(found)} ({_catalogue(found or able)}); {hint}"
    raise DeviceError(text, may_come=not found)


def _catalogue(devices: list[DeviceInfo]) -> str:
    if not devices:
        return "there is no sound device"
    return "there are: " + ", ".join(f"{device.index} {one_line(device.name)}" for device in devices)
