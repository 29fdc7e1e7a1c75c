"""What every source and sink of sound offers: the protocols that the engine and the scripts know."""

from __future__ import annotations

from typing import Protocol

from voip.dsp import Pcm


class Device(Protocol):
    """What sources and sinks share. All calls but the first come from one thread, `close` the last one."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def block(self) -> int:
        """Samples per turn, 5 to 10 ms; may change from turn to turn, a sink's also with `configure`."""

    @property
    def description(self) -> str: ...
    @property
    def available(self) -> bool:
        """False while a device is gone; it is silent then, in real time. May be read by any thread."""

    @property
    def xruns(self) -> int:
        """How often samples were lost or missing between the device and us. May be read by any thread."""

    def faults(self) -> str:
        """What went wrong between the device and us so far, in words; empty if nothing did."""

    def close(self) -> None: ...


class Source(Device, Protocol):
    """Sound coming in."""

    @property
    def live(self) -> bool:
        """Whether it captures the world around it, which is never digitally silent: a microphone, not a file."""

    def start(self) -> None:
        """Sound counts from now on; what has a beginning begins there, also the next time."""

    def read(self) -> Pcm | None:
        """The next block when it is due; None: the input has ended. DeviceError if it cannot go on."""


class Sink(Device, Protocol):
    """Sound going out."""

    @property
    def lateness(self) -> float:
        """Seconds by which the block that is written next is made later than it should be, without being heard any
        later for it; 0.0 where that is not known."""

    def configure(self, rate: int, channels: int) -> None:
        """A stream of this format begins: files adopt the first one's, devices keep their own."""

    def write(self, pcm: Pcm) -> None:
        """Take a block and return when it is due. DeviceError if the output cannot go on."""

    def idle(self) -> None:
        """Let the time of a block pass while no call is up: a device is silent, a file does not grow."""


def faults_in_words(*counted: tuple[int, str, str]) -> str:
    """The counts that are not zero, each with what was counted, once and several times: `1 overrun, 2 underruns`."""
    return ", ".join(f"{count} {one if count == 1 else several}" for count, one, several in counted if count)
