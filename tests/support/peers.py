"""Other people's programs: whether they are here, and tshark, which reads what went over the wire."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import LOOPBACK, PATIENCE, Program, until

_CAPTURE_ENDS = b"the capture ends here"


def require(*programs: str) -> None:
    """Skip the test where a program that it needs is missing; in CI that is a failure."""
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    reason = f"needs {', '.join(missing)}: apt-get install sip-tester baresip tshark"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(frozen=True)
class Stream:
    """One row of tshark's table of RTP streams; `mean_jitter` is in seconds."""

    source: str
    port: int
    ssrc: int
    payload: str
    packets: int
    lost: int
    mean_jitter: float


@dataclass(frozen=True)
class Capture:
    """A finished capture of the loopback interface."""

    file: Path
    sip_port: int

    def read(self, *arguments: str) -> list[str]:
        """Lines that tshark prints of the capture, SIP decoded at our port."""
        command = ["tshark", "-n", "-r", str(self.file), "-d", f"udp.port=={self.sip_port},sip", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE * 3)
        return done.stdout.splitlines()

    def malformed(self) -> list[str]:
        """Every packet that tshark finds malformed or in error."""
        return self.read("-Y", "_ws.malformed || _ws.expert.severity == error")

    def protocols(self) -> Counter[str]:
        """How many packets of each kind, by the name of the topmost protocol."""
        return Counter(self.read("-T", "fields", "-e", "_ws.col.Protocol"))

    def ip_bytes(self, wanted: str) -> int:
        """Bytes of the IP datagrams that a display filter selects, headers included."""
        return sum(int(line) for line in self.read("-Y", wanted, "-T", "fields", "-e", "ip.len"))

    def frames(self, wanted: str) -> list[int]:
        """The numbers of the packets that a display filter selects."""
        return [int(line) for line in self.read("-Y", wanted, "-T", "fields", "-e", "frame.number")]

    def first(self, wanted: str) -> int:
        """The number of the first packet that a display filter selects."""
        return self.frames(wanted)[0]

    def streams(self) -> list[Stream]:
        """RTP streams as tshark counts them."""
        rows = [line.split() for line in self.read("-q", "-z", "rtp,streams")]
        return [_stream(row) for row in rows if len(row) > 10 and row[6].startswith("0x")]


def _stream(row: list[str]) -> Stream:
    """Columns: start and end, source and its port, destination and its port, SSRC, payload, packets, lost (share)..."""
    payload_end = next(index for index in range(8, len(row)) if row[index].isdigit())
    return Stream(
        source=row[2],
        port=int(row[3]),
        ssrc=int(row[6], 16),
        payload=" ".join(row[7:payload_end]),
        packets=int(row[payload_end]),
        lost=int(row[payload_end + 1]),
        mean_jitter=float(row[payload_end + 7]) / 1e3,
    )


@contextlib.contextmanager
def capture(folder: Path, sip_port: int, media_ports: range) -> Iterator[Capture]:
    """Capture what these ports send and receive on the loopback interface while the block runs."""
    require("tshark")
    file = folder / "call.pcapng"
    wanted = f"udp and (port {sip_port} or portrange {media_ports[0]}-{media_ports[-1]})"
    command = ["tshark", "-q", "-i", "lo", "-f", wanted, "-w", str(file)]
    with Program(command, folder=folder, name="tshark") as program:
        until(
            lambda: program.process.poll() is not None or (file.exists() and file.stat().st_size > 0), "capture begins"
        )
        if program.process.poll() is not None:
            raise AssertionError(f"tshark cannot capture:\n{program.stderr}")
        yield Capture(file, sip_port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as marker:
            marker.sendto(_CAPTURE_ENDS, (LOOPBACK, media_ports[-1]))
        until(lambda: _CAPTURE_ENDS in file.read_bytes(), "everything captured is written")
        program.stop()
        program.finish()
