"""What a scene asks of a phone, whoever made it; and what several phones at a time must not share: ports."""

from __future__ import annotations

import abc
import itertools
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.interop import judgement
from tests.support.processes import LOOPBACK, Outcome

_FIRST_PORT, _LAST_PORT, PORTS = 12_000, 19_960, 40  # clear of those that processes.free_ports takes
_SIDE_BY_SIDE = 3
"""Test processes whose ports are apart until each has used a third of all."""
_SIP_TRANSPORTS = {"udp": "", "tcp": ";transport=tcp", "tls": ";transport=tls"}


class Ports:
    """Hands out blocks of free ports, each to one program; a block is not given twice."""

    def __init__(self) -> None:
        """Those that run side by side begin at different places."""
        self._lock = threading.Lock()
        bases = range(_FIRST_PORT, _LAST_PORT, PORTS)
        begin = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) * len(bases) // _SIDE_BY_SIDE % len(bases)
        self._bases: Iterator[int] = itertools.cycle([*bases[begin:], *bases[:begin]])

    def block(self) -> int:
        """The first of `PORTS` free ports, even."""
        with self._lock:
            for base in itertools.islice(self._bases, (_LAST_PORT - _FIRST_PORT) // PORTS):
                if all(_is_free(port) for port in range(base, base + PORTS)):
                    return base
        raise AssertionError("no free ports")


PORT_BLOCKS = Ports()


@dataclass(frozen=True)
class Certificates:
    """Files in PEM of a certificate authority of the laboratory, and a certificate of this host by it."""

    authority: Path
    certificate: Path
    key: Path
    both: Path


class Phone(abc.ABC):
    """A running peer that speaks SIP over one transport, with one call at a time; used as a context manager.

    `says` is the WAV that it sends; `target` the URI at which it is called. What is not overridden it cannot do.
    """

    target: str
    says: Path
    says_back: bool = False
    """Whether it sends back what it hears, instead of something of its own."""
    moves: bool = False
    """Whether it leaves out, or repeats, some of what it plays or sends."""
    cannot_hold: str | None = None
    """Why it does not put calls on hold."""

    @abc.abstractmethod
    def __enter__(self) -> Phone: ...

    @abc.abstractmethod
    def __exit__(self, *error: object) -> None: ...

    @abc.abstractmethod
    def listen(self) -> None:
        """Make ready for the next call."""

    @abc.abstractmethod
    def call(self, target: str) -> None:
        """Call that SIP URI."""

    @abc.abstractmethod
    def wait_up(self) -> None:
        """Until a call is up, the one just made or awaited."""

    @abc.abstractmethod
    def hang_up(self) -> None:
        """By a BYE of its own."""

    @abc.abstractmethod
    def wait_over(self) -> None:
        """Until it knows that the call is over."""

    def hold(self) -> None:
        """By a re-INVITE; the call is on hold when this returns. Only those that have it are asked."""
        raise NotImplementedError(f"{type(self).__name__} has no hold")

    def resume(self) -> None:
        """The other re-INVITE."""
        raise NotImplementedError(f"{type(self).__name__} has no hold")

    @abc.abstractmethod
    def heard_seconds(self) -> float:
        """Of the recording of this call so far."""

    @abc.abstractmethod
    def heard(self) -> Path:
        """The recording of the last call, after its end."""

    def judge_resumed(self, codec: str, says: Path, outcome: Outcome) -> str:
        """Empty if it heard us again after hold, else what is wrong; `outcome` is what we left behind."""
        del outcome
        return "" if self.says_back else judgement.judge_end(codec, says, self.heard())

    def log(self) -> str:
        """What it said, for the reader of a failure."""
        return ""

    def wait(self, seconds: float) -> None:
        """Let the call go on for so long."""
        threading.Event().wait(seconds)


def uri(user: str, port: int, transport: str, *, tls_port: int | None = None) -> str:
    """The SIP URI of somebody on this machine."""
    if transport == "tls":
        port = port + 1 if tls_port is None else tls_port
    return f"sip:{user}@{LOOPBACK}:{port}{_SIP_TRANSPORTS[transport]}"


_OPENSSL = """[req]
distinguished_name=names
[names]
[authority]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[host]
basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature
subjectAltName=IP:127.0.0.1,DNS:localhost
extendedKeyUsage=serverAuth,clientAuth
"""


def certificates(folder: Path) -> Certificates:
    """Make them, by the openssl command; good for a day."""
    (folder / "openssl.cnf").write_text(_OPENSSL)
    new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -config openssl.cnf"
    for command in (
        f"req -x509 {new_key} -keyout ca.key -out ca.pem -days 1 -subj /CN=laboratory -extensions authority",
        f"req {new_key} -keyout host.key -out host.csr -subj /CN={LOOPBACK}",
        "x509 -req -in host.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -out host.pem "
        "-extfile openssl.cnf -extensions host",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True, timeout=60)
    both = folder / "both.pem"
    both.write_bytes((folder / "host.pem").read_bytes() + (folder / "host.key").read_bytes())
    return Certificates(folder / "ca.pem", folder / "host.pem", folder / "host.key", both)


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                return False
    return True
