"""A WAV file that grows while it is recorded, without a clock of its own.

Layout: Multimedia Programming Interface and Data Specifications 1.0, "WAVE".
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from voip.devices import new_file
from voip.devices.writer import Writer
from voip.dsp import Pcm
from voip.errors import DeviceError

FORMAT_PCM = 1
PATCH_SECONDS = 1.0
"""How often the header of a WAV file being written is brought up to date. A killed program loses that at most, and
BATCH_SECONDS."""
BATCH_SECONDS = 0.5
"""Sound that is handed to the disk at a time, after the first block: to wake a thread for each costs more than to write
it."""
HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
RIFF_LIMIT = 0xFFFFFFFF
"""Sizes in a header are 32 bits; a longer recording keeps this one and is still played."""


class Recording:
    """A 16-bit WAV file. It is created when the first sound comes: until then, a file of that name is as it was. If
    there is one, the sound goes to a numbered name beside it, unless it is to be replaced. The header is right once a
    second and at the end, so that also a killed program leaves a file that plays. A disk that stalls delays no sound:
    the file belongs to a thread of its own.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        overwrite: bool = False,
        checked: bool = True,
        on_created: Callable[[Path], object] = lambda name: None,
    ) -> None:
        """`on_created` is told, on any thread, which file it is. DeviceError if no file can be created: not `checked`,
        the first sound tells."""
        self._path, self._overwrite, self._on_created = Path(path), overwrite, on_created
        self._format = (0, 0)
        self._writer: Writer | None = None
        self._file: BinaryIO | None = None  # the writer's, once that runs
        self._bytes = self._unpatched = 0
        self._collected = bytearray()  # not yet the writer's
        self._closed = self._ended = False
        self.name = self._path
        """What the file is going to be called, as far as that is known."""
        if checked:
            self._check()

    def _check(self) -> None:
        try:
            new_file.check(self._path, replace=self._overwrite)
            self.name = new_file.free_name(self._path, replace=self._overwrite)
        except OSError as error:
            raise self._failure(error) from None
        if new_file.is_pipe(self._path):
            raise DeviceError(
                f"{self._path} is a pipe, which a WAV file cannot be written to: use --output - > {self._path}"
            )

    def open(self, rate: int, channels: int) -> None:
        """The format of the sound, before its first sample; a device of the system is opened at once. DeviceError."""
        self._format = (rate, channels)
        if self._file is None and self._writer is None and new_file.is_device(self._path):
            try:
                self._create()
            except OSError as error:
                self._shut()
                raise self._failure(error) from None

    def append(self, pcm: Pcm) -> None:
        """Have sound written soon; DeviceError if the file could not grow before."""
        self._check_writer()
        self._collected += pcm.astype("<i2", copy=False).tobytes()
        if self._writer is None or len(self._collected) >= BATCH_SECONDS * self._format[0] * self._format[1] * 2:
            self._hand_over()

    def append_silence(self, samples: int) -> None:
        """Have so many samples of silence written; a file system that can keeps no room for them."""
        self._hand_over()
        self._put(partial(self._skip, samples * self._format[1] * 2))

    def end(self) -> None:
        """Nothing more comes: have the file completed soon, without waiting for the disk. `close` is still to come."""
        if self._writer is not None and not self._ended:
            self._ended = True
            self._hand_over()
            self._put(self._patch)
            self._put(self._shut)
            self._writer.end()

    @property
    def complete(self) -> bool:
        """Whether `close` will not wait."""
        return self._writer is None or self._writer.ended

    def close(self) -> None:
        """The last samples and the final header. DeviceError if they cannot be written. May be called again."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._writer is not None:
                with contextlib.suppress(DeviceError):  # an earlier error, which close() raises
                    self._hand_over()
                    self._put(lambda: None if self._ended else self._patch())
                self._writer.close()
        except OSError as error:
            raise self._failure(error) from None
        finally:
            self._shut()

    def _check_writer(self) -> None:
        if self._writer is not None and self._writer.error is not None:
            raise self._failure(self._writer.error)

    def _hand_over(self) -> None:
        """What was collected is the writer's."""
        if self._collected:
            self._put(partial(self._append, bytes(self._collected)))
            self._collected.clear()

    def _put(self, job: Callable[[], object]) -> None:
        if self._writer is None:
            self._writer = Writer("wav-writer")
        self._check_writer()
        self._writer.put(job)

    def _shut(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what cannot be written has been reported already
                self._file.close()

    # --- the writer's thread --------------------------------------------------------------------------------------

    def _create(self) -> BinaryIO:
        """The file, valid and without sound."""
        self._file, self.name = new_file.create(self._path, replace=self._overwrite)
        self._on_created(self.name)
        self._patch()
        return self._file

    def _append(self, data: bytes) -> None:
        file = self._file or self._create()
        file.write(data)
        self._grown(len(data))

    def _skip(self, size: int) -> None:
        file = self._file or self._create()
        file.seek(size, os.SEEK_CUR)
        file.truncate()
        self._grown(size)

    def _grown(self, size: int) -> None:
        rate, channels = self._format
        self._bytes += size
        self._unpatched += size
        if self._unpatched >= PATCH_SECONDS * rate * channels * 2:
            self._patch()

    def _patch(self) -> None:
        """Bring the file on disk, if there is one, up to date: the samples first, then the header that speaks of
        them."""
        if self._file is None:
            return
        self._file.flush()
        self._file.seek(0)
        self._file.write(_header(*self._format, self._bytes))
        self._file.seek(0, os.SEEK_END)
        self._file.flush()
        self._unpatched = 0

    def _failure(self, error: OSError) -> DeviceError:
        return DeviceError(f"cannot write {self._path}: {error.strerror or error}")


def _header(rate: int, channels: int, size: int) -> bytes:
    size = min(size, RIFF_LIMIT - HEADER.size)
    riff, frame = HEADER.size - 8 + size, 2 * channels
    form = (FORMAT_PCM, channels, rate, rate * frame, frame, 16)
    return HEADER.pack(b"RIFF", riff, b"WAVE", b"fmt ", 16, *form, b"data", size)
