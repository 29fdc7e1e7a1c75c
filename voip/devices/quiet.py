"""Keeps what C libraries print on stderr away from the user: ALSA and JACK tell about every card that is not there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
import threading
from collections.abc import Iterator

NOISE = (b"ALSA lib", b"Expression '", b"jack", b"Jack", b"JACK", b"Cannot connect to server")
"""Beginnings of lines that ALSA, PortAudio and JACK print."""

FLUSH_SECONDS = 0.5
"""How long what was printed last may take to the terminal at the end."""

_STDERR = 2
_Handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)
_say_nothing = _Handler(lambda *_: None)
"""Kept here for as long as ALSA may call it."""


@contextlib.contextmanager
def library_noise_hidden() -> Iterator[None]:
    """Drop what the sound libraries print meanwhile; other lines on stderr come out at the end."""
    try:
        stderr = os.dup(_STDERR)
    except OSError:  # closed: the noise goes nowhere
        yield
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(stderr, _STDERR)
            os.close(stderr)
            caught.seek(0)
            others = [line for line in caught if not line.startswith(NOISE)]
            if others:
                with contextlib.suppress(OSError):
                    os.write(_STDERR, b"".join(others))


@contextlib.contextmanager
def library_noise_kept_away() -> Iterator[None]:
    """Drop what the sound libraries print meanwhile, on any thread, line by line; other lines come out at once.

    What Python itself prints goes past this: `sys.stderr` is another object meanwhile.
    """
    python, real = sys.stderr, os.dup(_STDERR)
    reading, writing = os.pipe()
    sys.stderr = open(  # noqa: SIM115 -- closed below
        os.dup(real), "w", buffering=1, encoding=getattr(python, "encoding", "utf-8"), errors="backslashreplace"
    )
    os.dup2(writing, _STDERR)
    os.close(writing)
    reader = threading.Thread(target=_pass_on, args=(reading, real), name="stderr of libraries", daemon=True)
    reader.start()
    try:
        yield
    finally:
        ours, sys.stderr = sys.stderr, python
        ours.close()
        os.dup2(real, _STDERR)  # the end of the pipe
        reader.join(FLUSH_SECONDS)
        if not reader.is_alive():  # else a child that has inherited the pipe is still there
            os.close(real)


def _pass_on(reading: int, to: int) -> None:
    with open(reading, "rb") as lines:
        for line in lines:
            if not line.startswith(NOISE):
                with contextlib.suppress(OSError):
                    os.write(to, line)


def mute_alsa() -> None:
    """Make ALSA silent for good, also about xruns in the middle of a call. Does nothing where there is no ALSA."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_say_nothing)
