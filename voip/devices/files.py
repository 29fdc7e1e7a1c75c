"""Sound in files and pipes: WAV (RIFF, the PCM, float and extensible formats) and raw 16-bit little-endian samples.

The chunks of a WAV file are read here because the standard library's `wave` refuses the extensible format before
Python 3.12, and float always. Layout: Multimedia Programming Interface and Data Specifications 1.0, "WAVE".
"""

from __future__ import annotations

import errno
import os
import select
import shlex
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from voip.devices.device import faults_in_words
from voip.devices.paced import Clock, Fill, NullSink, Pacer, Sleep, block_samples
from voip.devices.recording import FORMAT_PCM, RIFF_LIMIT, Recording
from voip.dsp import Pcm
from voip.errors import DeviceError

FORMAT_FLOAT, FORMAT_EXTENSIBLE = 3, 0xFFFE
PCM_BITS, FLOAT_BITS = (8, 16, 24, 32), (32, 64)
RATES = range(4000, 192001)
"""Sample rates taken for sound; others are a sign of a broken header."""
CHANNELS = range(1, 33)

PIECE_BYTES = 65536
"""Bytes of a chunk read at a time."""
AHEAD_SECONDS = 0.1
"""Sound that is read at a time, and not block by block: from files only, a pipe may be no faster than the sound."""

PIPE_PIECE_BYTES = 512
"""Bytes that a pipe takes without blocking once select calls it writable (POSIX: PIPE_BUF is at least this)."""
FLUSH_SECONDS = 0.2
"""How long the last block may take into a pipe whose reader is slow."""


# --- WAV in -----------------------------------------------------------------------------------------------------------


class WavReader:
    """An open WAV file as 16-bit sound; more than two channels are averaged into one."""

    def __init__(self, path: str | Path, *, loop: bool = False) -> None:
        """DeviceError if it is missing, unreadable, not a WAV file, of an unknown format or empty."""
        self.path, self._loop = Path(path), loop
        self._file = _open_to_read(self.path)
        self._start = self._size = self._left = 0
        try:
            self._read_header()
            self._ahead: Pcm = np.zeros((0, self.channels), np.int16)
            self._piece = round(AHEAD_SECONDS * self.sample_rate) if self._file.seekable() else 0
        except (OSError, DeviceError) as error:
            self._file.close()
            raise error if isinstance(error, DeviceError) else self._unreadable(error) from None

    def from_start(self) -> Fill:
        """`read`, from the beginning of the file; a pipe goes on where it is."""
        if self._file.seekable():
            self._rewind()
            self._ahead = self._ahead[:0]
        return self.read

    def _rewind(self) -> None:
        self._file.seek(self._start)
        self._left = self._size

    def read(self, samples: int) -> Pcm:
        """The next samples: fewer at the end of the file, unless it loops."""
        if len(self._ahead) < samples:
            more = self._load(max(samples - len(self._ahead), self._piece))
            self._ahead = np.concatenate([self._ahead, more])
        pcm, self._ahead = self._ahead[:samples], self._ahead[samples:]
        return pcm

    def _load(self, samples: int) -> Pcm:
        pcm = self._read_once(samples)
        while self._loop and len(pcm) < samples:
            self._rewind()
            more = self._read_once(samples - len(pcm))
            if not len(more):  # the file was emptied meanwhile
                break
            pcm = np.concatenate([pcm, more])
        return pcm

    def close(self) -> None:
        self._file.close()

    def _read_once(self, samples: int) -> Pcm:
        wanted = min(samples * self._frame, self._left)
        try:
            data = self._file.read(wanted)
        except OSError as error:
            raise self._unreadable(error) from None
        self._left -= len(data)
        if len(data) < wanted:  # shorter than its header says
            self._left = 0
        whole = len(data) // self._frame * self._frame
        return _fold(_to_int16(data[:whole], self._kind, self._bits).reshape(-1, self._file_channels))

    def _read_header(self) -> None:
        head = self._file.read(12)
        if not head:
            raise DeviceError(f"{self.path} is empty (0 bytes)")
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise DeviceError(f"{self.path} is not a WAV file; {self._how_to_convert()}")
        found = False
        while len(chunk := self._file.read(8)) == 8:
            name, size = chunk[:4], int.from_bytes(chunk[4:], "little")
            if name == b"data":
                break
            body = self._read_chunk(size + size % 2)  # chunks are padded to even sizes
            if name == b"fmt ":
                self._read_format(body)
                found = True
        else:
            raise DeviceError(f"{self.path} holds no audio: it has no data chunk")
        if not found:
            raise DeviceError(f"{self.path} has no format chunk; {self._how_to_convert()}")
        self._measure(size)

    def _read_chunk(self, size: int) -> bytes:
        """The beginning of a chunk's body; the rest is skipped, never held: a broken size may be 4 GB."""
        body = self._file.read(min(size, PIECE_BYTES))
        size -= len(body)
        while size > 0 and (skipped := len(self._file.read(min(size, PIECE_BYTES)))):
            size -= skipped
        return body

    def _read_format(self, body: bytes) -> None:
        if len(body) < 16:
            raise DeviceError(f"{self.path} has a broken header; {self._how_to_convert()}")
        kind, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", body)
        if kind == FORMAT_EXTENSIBLE and len(body) >= 26:
            (kind,) = struct.unpack_from("<H", body, 24)  # the sub-format begins with the plain format's number
        if channels:  # 20 valid bits travel in 24: the container counts
            bits = frame * 8 // channels if frame % channels == 0 else 0
        if kind not in (FORMAT_PCM, FORMAT_FLOAT) or bits not in (PCM_BITS if kind == FORMAT_PCM else FLOAT_BITS):
            raise DeviceError(
                f"{self.path}: WAV format {kind} with {bits} bits is not supported "
                f"(PCM of 8 to 32 bits and float are); {self._how_to_convert()}"
            )
        if rate not in RATES or channels not in CHANNELS:
            raise DeviceError(f"{self.path}: {rate} Hz and {channels} channels are out of range")
        self._kind, self._bits, self._frame, self._file_channels = kind, bits, frame, channels
        self.sample_rate, self.channels = rate, channels if channels <= 2 else 1

    def _measure(self, size: int) -> None:
        """Where the samples are. Programs that wrote into a pipe leave the size 0 or at its maximum: to the end."""
        if self._loop and not self._file.seekable():
            raise DeviceError(f"{self.path} cannot be repeated: it is not a regular file")
        if self._file.seekable():
            self._start = self._file.tell()
            left = self._file.seek(0, os.SEEK_END) - self._start
            self._file.seek(self._start)
            size = min(size, left) or left
            if size < self._frame:
                raise DeviceError(f"{self.path} holds no audio")
        size = size or RIFF_LIMIT
        self._size = self._left = size // self._frame * self._frame

    def _unreadable(self, error: OSError) -> DeviceError:
        return DeviceError(f"cannot read {self.path}: {error.strerror or error}")

    def _how_to_convert(self) -> str:
        converted = f"{self.path.with_suffix('')}-16bit.wav"
        return f"convert it: ffmpeg -i {shlex.quote(str(self.path))} {shlex.quote(converted)}"


def _open_to_read(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        there = sorted(str(found) for found in path.parent.glob("*.[wW][aA][vV]"))[:5]
        others = f"; there are {', '.join(there)}" if there else ""
        raise DeviceError(f"{path} does not exist{others}") from None
    except OSError as error:
        raise DeviceError(f"cannot read {path}: {error.strerror}") from None


def _to_int16(data: bytes, kind: int, bits: int) -> NDArray[np.int16]:
    """Samples of any width as 16 bits: integers keep their upper bits, floats are scaled and limited."""
    if kind == FORMAT_FLOAT:
        sound = np.nan_to_num(np.frombuffer(data, f"<f{bits // 8}")).clip(-1.0, 1.0)
        scaled: NDArray[np.int16] = np.rint(sound * 32767).astype(np.int16)
        return scaled
    if bits == 8:  # the only unsigned width
        return (np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8
    width = bits // 8
    upper = np.frombuffer(data, np.uint8).reshape(-1, width)[:, width - 2 :]
    return np.ascontiguousarray(upper).view("<i2").astype(np.int16, copy=False).reshape(-1)


def _fold(pcm: Pcm) -> Pcm:
    if pcm.shape[1] <= 2:
        return pcm
    mono: Pcm = np.rint(pcm.mean(axis=1, keepdims=True)).astype(np.int16)
    return mono


# --- WAV out ----------------------------------------------------------------------------------------------------------


class WavSink(NullSink):
    """Writes a 16-bit WAV file in real time, in the format of the first stream: a Sink. See `Recording`."""

    def __init__(
        self,
        path: str | Path,
        *,
        rate: int = 48000,
        channels: int = 1,
        overwrite: bool = False,
        say: Callable[[str], object] = lambda line: None,
        clock: Clock = time.monotonic,
        sleep: Sleep = time.sleep,
    ) -> None:
        """`say` is told, on any thread, if the sound goes to another name. DeviceError if no file can be created."""
        self._path, self._say = Path(path), say
        self.written: tuple[Path, ...] = ()
        """The file, once it is there. Any thread may read it."""
        self.recording = Recording(path, overwrite=overwrite, on_created=self._on_created)
        description = f"file {self.recording.name}"
        super().__init__(rate=rate, channels=channels, description=description, clock=clock, sleep=sleep)
        self.recording.open(rate, channels)

    def configure(self, rate: int, channels: int) -> None:
        """The first call decides the format, later ones change nothing."""
        super().configure(rate, channels)
        self.recording.open(self.sample_rate, self.channels)

    def write(self, pcm: Pcm) -> None:
        """Return when this block is due; DeviceError if the file could not grow by one before."""
        self.recording.append(pcm)
        super().write(pcm)

    def close(self) -> None:
        """The last samples and the final header. DeviceError if they cannot be written. May be called again."""
        self.recording.close()

    def _on_created(self, name: Path) -> None:
        self.description, self.written = f"file {name}", (name,)
        if name != self._path:
            self._say(f"recording to {name}: {self._path} is kept (--overwrite replaces it)")


# --- raw samples in pipes ---------------------------------------------------------------------------------------------


class RawSource:
    """16-bit little-endian samples from a pipe or file descriptor, in real time: a Source.

    A pipe that has nothing when a block is due gives a block of silence (counted in `underruns`): a program that stalls
    never holds up the thread that reads. A file is not read faster than it sounds. Half a sample at the end is dropped.
    """

    available, live, xruns = True, False, 0

    def __init__(
        self, fd: int, rate: int, channels: int, *, clock: Clock = time.monotonic, sleep: Sleep = time.sleep
    ) -> None:
        _use_binary(fd)
        self.sample_rate, self.channels, self.block = rate, channels, block_samples(rate)
        self.description = f"stdin, {rate} Hz"
        self.underruns = 0
        self._fd, self._clock, self._frame = fd, clock, 2 * channels
        self._pacer = Pacer(rate, clock=clock, sleep=sleep)
        self._data, self._ended = b"", False

    def start(self) -> None:
        """The first block is due now."""
        self._pacer.start()

    def read(self) -> Pcm | None:
        """The next block when it is due; the last one may be short; None once that is over, too."""
        wanted = self.block * self._frame
        self._collect(wanted)
        whole = len(self._data) // self._frame * self._frame
        if len(self._data) < wanted and not self._ended:
            self.underruns += 1
            pcm = np.zeros((self.block, self.channels), np.int16)
        else:
            pcm = np.frombuffer(self._data[:whole], "<i2").astype(np.int16, copy=False).reshape(-1, self.channels)
            self._data = b""
        self._pacer.wait(len(pcm))
        return pcm if len(pcm) else None

    def faults(self) -> str:
        """The blocks that a slow program left out."""
        return faults_in_words(
            (self.underruns, "block that stdin did not have in time", "blocks that stdin did not have in time")
        )

    def close(self) -> None:
        """The descriptor belongs to the process: it stays open."""

    def _collect(self, wanted: int) -> None:
        """Have so many bytes, or all that come before the block is due."""
        due = self._pacer.due
        try:
            while len(self._data) < wanted and not self._ended and _readable(self._fd, due - self._clock()):
                data = os.read(self._fd, wanted - len(self._data))
                self._data += data
                self._ended = not data
        except BlockingIOError:
            return
        except OSError as error:
            raise DeviceError(f"cannot read stdin: {error.strerror}") from None


class RawSink(NullSink):
    """16-bit little-endian samples into a pipe or file descriptor, in real time, in a format set beforehand: a Sink.

    While its reader is slower than real time blocks are dropped and counted in `dropped`, never parts of one.
    """

    def __init__(
        self, fd: int, rate: int, channels: int, *, clock: Clock = time.monotonic, sleep: Sleep = time.sleep
    ) -> None:
        _use_binary(fd)
        super().__init__(rate=rate, channels=channels, description=f"stdout, {rate} Hz", clock=clock, sleep=sleep)
        self._configured = True
        self.dropped = 0
        self._fd, self._data = fd, b""

    def write(self, pcm: Pcm) -> None:
        """Return when this block is due; DeviceError if the reader is gone."""
        self._pass_on(0.0)
        if self._data:
            self.dropped += 1
        else:
            self._data = pcm.astype("<i2", copy=False).tobytes()
            self._pass_on(0.0)
        super().write(pcm)

    def faults(self) -> str:
        """The blocks that a slow program missed."""
        return faults_in_words(
            (self.dropped, "block that stdout did not take in time", "blocks that stdout did not take in time")
        )

    def close(self) -> None:
        """Give what is left a moment; the descriptor belongs to the process: it stays open."""
        try:
            self._pass_on(FLUSH_SECONDS)
        except DeviceError:
            self._data = b""

    def _pass_on(self, timeout: float) -> None:
        """Write what the pipe takes without waiting; `timeout`: seconds to wait for each piece."""
        try:
            while self._data and _writable(self._fd, timeout):
                self._data = self._data[os.write(self._fd, self._data[:PIPE_PIECE_BYTES]) :]
        except BlockingIOError:
            return
        except OSError as error:
            why = "the program reading it has exited" if error.errno == errno.EPIPE else error.strerror
            raise DeviceError(f"cannot write to stdout: {why}") from None


def _readable(fd: int, timeout: float) -> bool:
    """Wait for input. Windows can wait for sockets only: there, reading blocks."""
    return sys.platform == "win32" or bool(select.select([fd], [], [], max(0.0, timeout))[0])


def _writable(fd: int, timeout: float) -> bool:
    return sys.platform == "win32" or bool(select.select([], [fd], [], timeout)[1])


def _use_binary(fd: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(fd, os.O_BINARY)
