"""A receiver of a stream without signalling, and something to send to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import Receiver, receiver
from tests.support.sound import speechlike
from tests.support.wav import save

PATIENT = ("--latency", "400ms")  # a busy machine stands still for longer than a network of its own would
WAITS = "waiting for a stream"


@contextmanager
def listener(folder: Path, stream: str, *arguments: str) -> Iterator[Receiver]:
    with receiver(folder, stream, "--once", *arguments, ready=WAITS) as program:
        yield program


def speech(folder: Path, rate: int, seconds: float = 2.0) -> Path:
    save(folder / "speech.wav", speechlike(rate, seconds), rate)
    return folder / "speech.wav"
