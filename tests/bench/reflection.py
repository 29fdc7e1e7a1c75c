"""What one INVITE that nobody acknowledges draws from a program: bytes sent for each byte of it.

    python -m tests.bench reflection [--seconds 20]

A reflector is what a stranger can have send more than he sends himself, to whom he likes: by a forged source address
all that comes back by SIP, and by a session description that names somebody else the media. Both are counted, for
receiver.py as it is and with --two-way, and for baresip and linphonec, as far as they are installed; all of them answer
by themselves. RFC 3261 section 13.3.1.4 has a 200 repeated until it is acknowledged, for 32 s.

Needs root and iproute2, on Linux: the INVITE has an address beside those of loopback, which nobody can forge, in a
network namespace of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.linphone import Linphone
from tests.interop.phone import certificates
from tests.support.baresip import baresip
from tests.support.processes import receiver
from tests.support.raw_peer import PCMU, Address, raw_peer
from tests.support.text_phone import token
from tests.support.tones import say
from voip.sip import SipUri, parse_target

CALLER = "10.66.0.66"
THIRD = "127.0.0.3"
"""Whom the session description names."""
LARGEST = 65535
BUFFER = 1 << 22
"""Bytes of the socket that counts: a hundredth of a second at the rate of loopback."""
LOOK = 0.05
"""Seconds between two looks at what has come."""
HEAD = f"{'':24}{'INVITE':>9}{'by SIP':>9}{'to a third':>12}{'times':>9}"


@dataclass(frozen=True)
class Drawn:
    """Bytes of UDP payload: of the INVITE, of all SIP that came for it, and of RTP at the address that SDP named."""

    invite: int
    signalling: int
    media: int

    @property
    def factor(self) -> float:
        """Bytes for each byte."""
        return (self.signalling + self.media) / self.invite


def draw(target: Address, seconds: float) -> Drawn:
    """What comes within this time."""
    with raw_peer(CALLER) as peer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as third:
        third.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        third.bind((THIRD, 0))
        body = peer.description((PCMU,)).replace(f"c=IN IP4 {peer.host}", f"c=IN IP4 {THIRD}")
        body = body.replace(f"m=audio {peer.rtp.getsockname()[1]} ", f"m=audio {third.getsockname()[1]} ")
        invite = peer.request("INVITE", target, call_id=token(), body=body)
        peer.send(invite, target)
        end, signalling, media = time.monotonic() + seconds, 0, 0
        while time.monotonic() < end:
            time.sleep(LOOK)
            signalling += _arrived(peer.sip)
            media += _arrived(third)
    return Drawn(len(invite), signalling, media)


def _arrived(sock: socket.socket) -> int:
    """Bytes that have come, which are read."""
    found = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            found += len(sock.recv(LARGEST, socket.MSG_DONTWAIT))
    return found


@contextlib.contextmanager
def _ours(folder: Path, *options: str) -> Iterator[Address]:
    with receiver(folder, *options) as far:
        yield far.host, far.sip_port


@contextlib.contextmanager
def _baresip(folder: Path) -> Iterator[Address]:
    with baresip(folder, "PCMU/8000/1", says=say(folder / "said.wav", 440.0, rate=8000)) as phone:
        yield _address(phone.target)


@contextlib.contextmanager
def _linphone(folder: Path) -> Iterator[Address]:
    said = say(folder / "said.wav", 440.0, rate=8000)
    with Linphone(folder, "pcmu", "udp", certificates(folder), said) as phone:
        yield _address(phone.target)


def _address(uri: str) -> Address:
    target = parse_target(uri)
    assert isinstance(target, SipUri)
    assert target.port is not None
    return target.host, target.port


def _programs(folder: Path) -> Iterator[tuple[str, AbstractContextManager[Address]]]:
    """Each program that is here, running while its context is entered."""
    both = ("--two-way", "--input", "tone", "--output", "null")
    yield "receiver.py", _ours(folder, "--output", "null")
    yield "receiver.py --two-way", _ours(folder, *both)
    if shutil.which("baresip"):
        yield "baresip", _baresip(folder)
    if shutil.which("linphonec"):
        yield "linphonec", _linphone(folder)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m tests.bench reflection`."""
    parser.add_argument("--seconds", type=float, default=20.0, help="to wait for what comes  [%(default)s]")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Print a row for each program, in a namespace."""
    if options.inside:
        return _measure(options.seconds)
    bench = [sys.executable, "-m", "tests.bench", "reflection"]
    again = shlex.join([*bench, "--inside", "--seconds", str(options.seconds)])
    steps = f"ip link set lo up && ip address add {CALLER}/32 dev lo && exec {again}"
    return subprocess.run(["unshare", "--net", "sh", "-c", steps]).returncode


def _measure(seconds: float) -> int:
    sys.stdout.write(f"{HEAD}\n")
    with tempfile.TemporaryDirectory() as home:
        for name, program in _programs(Path(home)):
            with program as target:
                drawn = draw(target, seconds)
            sys.stdout.write(f"{name:24}{drawn.invite:9}{drawn.signalling:9}{drawn.media:12}{drawn.factor:9.1f}\n")
            sys.stdout.flush()
    return 0
