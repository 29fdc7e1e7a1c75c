"""One recording for each caller, all on one time line: sample n of each file was heard at the same moment.

A time line begins with the first caller who comes when there is none, and ends with the last one. Who comes later has
silence before, so that the files fit together when each is played from its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from voip.devices.recording import Recording
from voip.dsp import Pcm
from voip.errors import DeviceError

MOST_TOLD = 100
"""Files that are remembered to be offered on a page."""
NAME_LENGTH = 40
"""Characters of a caller's name in that of a file."""


class PerCaller:
    """Records what each caller sends, as it came, before any gain. Playback thread only."""

    def __init__(self, folder: Path, *, now: Callable[[], str], say: Callable[[str], object]) -> None:
        """`now` gives the date and time that the files of a time line begin their names with; `say` tells of files.
        DeviceError if there can be no files in `folder`, which is created if need be."""
        self._folder, self._now, self._say = folder, now, say
        self._names: dict[str, str] = {}
        self._tracks: dict[str, Recording] = {}
        self._ended: list[Recording] = []  # that may still wait for the disk
        self._samples = self._count = 0  # of the time line
        self._begun_at = ""
        self.written: tuple[Path, ...] = ()
        """The files so far, the newest MOST_TOLD of them. Any thread may read it."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeviceError(f"cannot write to {folder}: {error.strerror}") from None
        Recording(folder / "caller.wav")  # DeviceError now, rather than in the first call

    def name(self, key: str, caller: str) -> None:
        """Who the stream of this key is, before its first block."""
        self._names[key] = caller

    def hear(self, streams: Mapping[str, Pcm], begun: Callable[[str], bool], rate: int) -> None:
        """The next block of all streams; a file begins with the first one of a stream that has `begun`. DeviceError."""
        for key in [key for key in self._tracks if key not in streams]:
            self._end(key)
        self._release()
        for key, pcm in streams.items():
            if key not in self._tracks and begun(key):
                self._begin(key, rate, pcm.shape[1])
            if key in self._tracks:
                self._tracks[key].append(pcm)
        if self._count:
            self._samples += len(next(iter(streams.values())))

    def rest(self) -> None:
        """There is no caller: the time line is over. DeviceError."""
        for key in [*self._tracks]:
            self._end(key)
        self._samples = self._count = 0
        self._release()

    def close(self) -> None:
        """Wait until all files are complete. DeviceError."""
        self.rest()
        while self._ended:
            self._ended.pop().close()

    def _begin(self, key: str, rate: int, channels: int) -> None:
        if not self._count:
            self._begun_at, self._samples = self._now(), 0
        self._count += 1
        caller = file_name(self._names.get(key, ""))
        path = self._folder / f"{self._begun_at}-{self._count:02}{'-' if caller else ''}{caller}.wav"
        recording = Recording(path, checked=False, on_created=self._on_created)
        recording.open(rate, channels)
        if self._samples:
            recording.append_silence(self._samples)
        self._tracks[key] = recording

    def _on_created(self, name: Path) -> None:
        self.written = (*self.written, name)[-MOST_TOLD:]
        self._say(f"recording to {name}")

    def _end(self, key: str) -> None:
        self._names.pop(key, None)
        recording = self._tracks.pop(key)
        recording.end()
        self._ended.append(recording)

    def _release(self) -> None:
        """Forget the files that are complete."""
        for recording in [recording for recording in self._ended if recording.complete]:
            self._ended.remove(recording)
            recording.close()


def file_name(peer: str) -> str:
    """What a caller's address is called in the name of a file: letters, digits, `.`, `_` and `-` alone."""
    address = peer.partition(":")[2] if peer.startswith(("sip:", "sips:")) else peer
    return re.sub(r"[^A-Za-z0-9._-]+", "_", address.partition(";")[0]).strip("._-")[:NAME_LENGTH]
