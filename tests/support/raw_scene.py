"""A receiver in a call with a peer made by hand, and what it leaves behind: recording, report, complaints."""

import contextlib
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from tests.support.processes import Outcome, Receiver, free_ports, receiver
from tests.support.raw_peer import FEC, L16, PACKET, RATE, Address, RawPeer, Samples, Stream, raw_peer
from tests.support.virtual_sound import ALSA as SOUND_SERVER_ALONE

PATIENT = "200ms"  # a delay that lets a busy machine come late
GOOD = 0.97  # share of packets that came and were heard as sent: where a busy machine was late one is left out
T = TypeVar("T")


@dataclass(frozen=True)
class Heard:
    """What a receiver left: its outcome, and for each packet sent where its second half is in the recording."""

    outcome: Outcome
    places: list[int]

    def share(self, start: int = 0, end: int | None = None) -> float:
        """Of these packets, how many were heard as they were sent."""
        places = self.places[start:end]
        return sum(place >= 0 for place in places) / len(places)


@dataclass
class Scene:
    """A receiver in a call with a peer that has a stream."""

    folder: Path
    far: Receiver
    peer: RawPeer
    stream: Stream

    @property
    def target(self) -> Address:
        return self.far.host, self.far.sip_port

    def end(self, *, bye: bool = True) -> Heard:
        """Hang up, stop the receiver, and look at what it leaves."""
        if bye:
            assert self.stream.dialog.bye() == 200
            self.far.wait_for("ended by the other side")
        self.far.stop()
        outcome = finish(self.far)
        return Heard(outcome, find(self.stream.sent, load(self.folder / "heard.wav")))


@contextlib.contextmanager
def scene(
    folder: Path, *arguments: str, fec: bool = False, ports: tuple[int, range] | None = None, more: str = ""
) -> Iterator[Scene]:
    """A call that has just been taken. `fec`: FlexFEC is agreed on, with the payload type 127. `more`: further lines of
    the peer's description."""
    options = ("--output", "heard.wav", "--latency", PATIENT, *arguments)
    with receiver(folder, *options, ports=ports) as far, raw_peer() as peer:
        description = peer.description((L16, FEC) if fec else (L16,))
        dialog = peer.call((far.host, far.sip_port), description + more)
        assert (f"a=rtpmap:{FEC} " in dialog.opening) == fec
        yield Scene(folder, far, peer, Stream(dialog))


def finish(far: Receiver) -> Outcome:
    outcome = far.finish()
    assert outcome.status == 0, outcome.stderr
    assert "Traceback" not in outcome.stderr
    return outcome


def load(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def find(sent: list[Samples], heard: Samples) -> list[int]:
    """Where the second half of each packet begins (the first may be blended into a concealment); -1: nowhere."""
    raw = heard.astype("<i2").tobytes()
    places = []
    for samples in sent:
        half = samples[PACKET // 2 :].astype("<i2").tobytes()
        place = raw.find(half)
        places.append(place // 2)
    assert [place for place in places if place >= 0] == sorted(place for place in places if place >= 0)
    return places


def has_ended(far: Receiver) -> bool:
    return any("call ended" in line for _, line in far.lines)


def together(*jobs: Callable[[], T]) -> list[T]:
    """What these jobs return; they mostly wait, so they do it at the same time."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]


def different_ports(count: int) -> list[tuple[int, range]]:
    """Free ports for so many receivers."""
    found: dict[int, range] = {}
    while len(found) < count:
        sip_port, media_ports = free_ports()
        found[sip_port] = media_ports
    return list(found.items())


def complaint(outcome: Outcome, code: int) -> str:
    """The one line of a program that could not start."""
    assert outcome.status == code, outcome.stderr
    lines = outcome.stderr.splitlines()
    assert len(lines) == 1, outcome.stderr
    assert outcome.report is not None
    assert outcome.report["error"]
    assert outcome.report["error"] in lines[0]
    return lines[0]


def without_devices(folder: Path) -> dict[str, str]:
    """An environment in which no sound library finds anything."""
    (folder / "alsa.conf").write_text(SOUND_SERVER_ALONE)
    nowhere = f"unix:{folder}/none"
    return {"ALSA_CONFIG_PATH": str(folder / "alsa.conf"), "PULSE_SERVER": nowhere, "JACK_NO_START_SERVER": "1"}


def without_pyaudio(folder: Path) -> dict[str, str]:
    (folder / "pyaudio.py").write_text("raise ImportError('No module named pyaudio')\n")
    return {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
