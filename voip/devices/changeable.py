"""A source and a sink that can be exchanged for others while they are used: another microphone in the middle of a call.

The rest of the program sees one device, whose format does not change with it: what the new one has of another sample
rate or other channels is converted. As with all devices, one thread reads or writes, and exchanges.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voip.audio.convert import Converter
from voip.devices.device import Device, Sink, Source
from voip.dsp import Pcm


class Troubles:
    """What went wrong with devices that have been exchanged, and is still to be told at the end."""

    def __init__(self) -> None:
        self.xruns = 0
        self.written: tuple[Path, ...] = ()
        self._faults: list[str] = []

    def note(self, device: Device) -> None:
        """This device is used no longer."""
        self.xruns += device.xruns
        self.written += written_by(device)
        if found := device.faults():
            self._faults.append(f"{device.description}: {found}")

    def with_those_of(self, device: Device) -> str:
        """All of them, and those of the device that is used now."""
        return "; ".join(filter(None, [*self._faults, device.faults()]))


def written_by(device: object) -> tuple[Path, ...]:
    """The files that a device has written, if it writes any."""
    found: tuple[Path, ...] = getattr(device, "written", ())
    return found


class ChangeableSource:
    """A Source in front of another, which `change` replaces. `problem`: why there is none yet, "" if there is."""

    def __init__(self, source: Source, problem: str = "") -> None:
        self._source, self._before = source, Troubles()
        self.problem = problem
        self.sample_rate, self.channels, self.block = source.sample_rate, source.channels, source.block
        self._converter: Converter | None = None
        self._ready: Pcm = np.zeros((0, source.channels), np.int16)
        self._begun = False

    @property
    def description(self) -> str:
        return self._source.description

    @property
    def live(self) -> bool:
        """Whether it captures the world around it."""
        return self._source.live

    @property
    def available(self) -> bool:
        """False while there is none, or it is gone."""
        return not self.problem and self._source.available

    @property
    def latency(self) -> float | None:
        """Seconds that a sound card takes by its own account; None for other sources."""
        return getattr(self._source, "latency", None)

    @property
    def xruns(self) -> int:
        return self._before.xruns + self._source.xruns

    def faults(self) -> str:
        """Of all that were used."""
        return self._before.with_those_of(self._source)

    def change(self, source: Source) -> Source:
        """Go on with another one; the one before, for the caller to close. The thread that reads."""
        before, self._source = self._source, source
        self._before.note(before)
        form, own = (source.sample_rate, source.channels), (self.sample_rate, self.channels)
        self._converter = None if form == own else Converter(form, own)
        self._ready, self.problem = self._ready[:0], ""
        if self._begun:
            source.start()
        return before

    def start(self) -> None:
        """Sound counts from now on."""
        self._begun = True
        self._ready = self._ready[:0]
        self._source.start()

    def read(self) -> Pcm | None:
        """The next block when it is due; None once the input has ended."""
        if self._converter is None:
            return self._source.read()
        while len(self._ready) < self.block:
            pcm = self._source.read()
            if pcm is None:
                return None
            self._ready = np.concatenate([self._ready, self._converter.process(pcm)])
        block, self._ready = self._ready[: self.block], self._ready[self.block :]
        return block

    def close(self) -> None:
        self._source.close()


class ChangeableSink:
    """A Sink in front of another, which `change` replaces. `problem`: why there is none yet, "" if there is."""

    def __init__(self, sink: Sink, problem: str = "") -> None:
        self._sink, self._before = sink, Troubles()
        self.problem = problem
        self._format: tuple[int, int, int] | None = None  # rate, channels, block: since the first was exchanged
        self._rest = 0.0  # seconds to be idle that the sink has not been yet; negative: it was for longer
        self._converter: Converter | None = None

    @property
    def sample_rate(self) -> int:
        return self._sink.sample_rate if self._format is None else self._format[0]

    @property
    def channels(self) -> int:
        return self._sink.channels if self._format is None else self._format[1]

    @property
    def block(self) -> int:
        return self._sink.block if self._format is None else self._format[2]

    @property
    def description(self) -> str:
        return self._sink.description

    @property
    def available(self) -> bool:
        """False while there is none, or it is gone."""
        return not self.problem and self._sink.available

    @property
    def latency(self) -> float | None:
        """Seconds that a sound card takes by its own account; None for other sinks."""
        return getattr(self._sink, "latency", None)

    @property
    def xruns(self) -> int:
        return self._before.xruns + self._sink.xruns

    @property
    def lateness(self) -> float:
        return self._sink.lateness

    @property
    def written(self) -> tuple[Path, ...]:
        """The files that were written so far."""
        return self._before.written + written_by(self._sink)

    def faults(self) -> str:
        """Of all that were used."""
        return self._before.with_those_of(self._sink)

    def change(self, sink: Sink) -> Sink:
        """Go on with another one; the one before, for the caller to close. The thread that writes."""
        form = (self.sample_rate, self.channels, self.block)
        before, self._sink, self._format = self._sink, sink, form
        self._before.note(before)
        sink.configure(form[0], form[1])
        theirs = sink.sample_rate, sink.channels
        self._converter = None if theirs == form[:2] else Converter(form[:2], theirs)
        self.problem = ""
        return before

    def configure(self, rate: int, channels: int) -> None:
        """A stream of this format begins."""
        if self._format is None:
            self._sink.configure(rate, channels)

    def write(self, pcm: Pcm) -> None:
        """Take a block and return when it is due."""
        if self._converter is not None:
            pcm = self._converter.process(pcm)
        self._sink.write(pcm)

    def idle(self) -> None:
        """Let the time of one block pass: of ours, which may be longer or shorter than that of the sink."""
        self._rest += self.block / self.sample_rate
        while self._rest > 0.0:
            self._rest -= self._sink.block / self._sink.sample_rate
            self._sink.idle()

    def close(self) -> None:
        self._sink.close()
