"""Keeps what C libraries print on stderr away from the user: ALSA and JACK tell about every card that is not there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
from collections.abc import Iterator

NOISE = (b"ALSA lib", b"Expression '", b"jack", b"Jack", b"JACK", b"Cannot connect to server")
"""Beginnings of lines that ALSA, PortAudio and JACK print."""

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


def mute_alsa() -> None:
    """Make ALSA silent for good, also about xruns in the middle of a call. Does nothing where there is no ALSA."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_say_nothing)
