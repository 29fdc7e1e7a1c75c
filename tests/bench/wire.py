"""Two hosts on one Linux machine, joined by a wire in user space that loses, delays, reorders and duplicates.

    python -m tests.bench wire --loss 0.1 --jitter-ms 30 &
    nsenter --net=/proc/PID/fd/A python receiver.py ...         (the wire prints both commands)
    nsenter --net=/proc/PID/fd/B python sender.py 10.77.0.2

Each host is a network namespace without a name, kept alive by this process alone, with one TUN interface whose other
end is read and written here. So any number of wires can run at once with the same addresses, and nothing is left to
clean up, however this process ends. Needs root, iproute2 and /dev/net/tun.

At its end it prints one line of JSON: packets and bytes for each direction and kind ("sip", "rtcp", "rtp 96", ...),
and how punctual it was. `--log FILE` gets a line for every RTP and RTCP packet.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import heapq
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any, TextIO

from tests.bench.rows import Row, find
from tests.support.bottleneck import Bottleneck
from tests.support.network import Impairment, Path, Step

ADDRESSES = ("10.77.0.1", "10.77.0.2")
"""Of near, where the sender is, and far."""
SIP_PORT = 5060

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
_IDLE = 0.2  # seconds between looks at whether to stop
_LARGEST = 65535  # bytes
_BATCH = 128  # packets read from one side before the other has its turn
_TCP, _UDP = 6, 17
_RTCP_TYPES = range(192, 224)  # second byte of a packet, RFC 5761 section 4
_RTP_HEADER = 12


@dataclass
class Count:
    """Of one direction and kind; bytes are those of whole IP packets as offered."""

    packets: int = 0
    bytes: int = 0
    dropped: int = 0
    duplicated: int = 0


@dataclass(frozen=True)
class Packet:
    """An IPv4 packet and what the wire reads in it: kind, ports, and of RTP sequence number and timestamp."""

    data: bytes
    kind: str
    ports: tuple[int, int] = (0, 0)
    sequence: int = 0
    timestamp: int = 0

    @property
    def is_rtp(self) -> bool:
        return self.kind.startswith("rtp ")


def dissect(data: bytes, sip_ports: frozenset[int]) -> Packet:
    """What an IP packet is; anything not understood is of kind "other"."""
    header = (data[0] & 15) * 4 if data else 0
    if len(data) < header + 8 or header < 20 or data[9] not in (_TCP, _UDP):
        return Packet(data, "other")
    ports: tuple[int, int] = struct.unpack_from("!HH", data, header)
    if sip_ports.intersection(ports):
        return Packet(data, "sip", ports)
    body = data[header + 8 :]
    if data[9] != _UDP or len(body) < 8 or body[0] >> 6 != 2:
        return Packet(data, "other", ports)
    if body[1] in _RTCP_TYPES:
        return Packet(data, "rtcp", ports)
    if len(body) < _RTP_HEADER:
        return Packet(data, "other", ports)
    sequence, timestamp = struct.unpack_from("!HI", body, 2)
    return Packet(data, f"rtp {body[1] & 127}", ports, sequence, timestamp)


@dataclass
class Direction:
    """One way through the wire: where packets come in and go out, their fate, and what was counted."""

    name: str
    source: int
    target: int
    path: Path
    counts: dict[str, Count] = field(default_factory=dict)
    delivered: int = 0
    refused: int = 0
    delay_sum: float = 0.0

    def count(self, packet: Packet, copies: int) -> None:
        count = self.counts.setdefault(packet.kind, Count())
        count.packets += 1
        count.bytes += len(packet.data)
        count.dropped += copies == 0
        count.duplicated += max(0, copies - 1)

    def summary(self) -> dict[str, Any]:
        total = Count()
        for count in self.counts.values():
            total.packets += count.packets
            total.bytes += count.bytes
            total.dropped += count.dropped
            total.duplicated += count.duplicated
        delay = 1e3 * self.delay_sum / self.delivered if self.delivered else None
        kinds = {kind: asdict(count) for kind, count in sorted(self.counts.items())}
        return {
            **asdict(total),
            "delivered": self.delivered,
            "refused": self.refused,
            "delay_ms": delay,
            "kinds": kinds,
        }


class Wire:
    """Moves packets between two file descriptors, one IP packet per read and write, until told to stop."""

    def __init__(
        self,
        ends: tuple[int, int],
        steps: Sequence[Step],
        *,
        seed: int = 1,
        spare: frozenset[int] = frozenset({SIP_PORT}),
        log: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        near, far = ends
        self._forth = Direction("near>far", near, far, Path(steps, f"{seed} near"))
        self._back = Direction("far>near", far, near, Path(steps, f"{seed} far"))
        self._by_source = {near: self._forth, far: self._back}
        self._spare, self._log, self._clock = spare, log, clock
        self._order = 0
        self._queue: list[tuple[float, int, float, Direction, bytes]] = []
        self.lateness: list[float] = []
        """Seconds by which each packet came out later than it should have."""

    def run(self, go_on: Callable[[], bool]) -> None:
        """Shuttle until `go_on` says no."""
        while go_on():
            left = self._queue[0][0] - self._clock() if self._queue else _IDLE
            ready, _, _ = select.select([*self._by_source], [], [], max(0.0, min(_IDLE, left)))
            for source in ready:
                self._take(self._by_source[source])
            self._release()

    def _take(self, direction: Direction) -> None:
        for _ in range(_BATCH):
            try:
                data = os.read(direction.source, _LARGEST)
            except BlockingIOError:
                return
            if data[:1] and data[0] >> 4 == 4:
                self.offer(direction, data, self._clock())

    def offer(self, direction: Direction, data: bytes, now: float) -> None:
        """A packet enters."""
        packet = dissect(data, self._spare)
        if packet.is_rtp and direction is self._forth:
            self._forth.path.start(now)
            self._back.path.start(now)
        out = direction.path.departures(now, len(data), spared=packet.kind == "sip")
        direction.count(packet, len(out))
        for due in out:
            self._order += 1
            heapq.heappush(self._queue, (due, self._order, now, direction, data))
        if self._log is not None and (packet.is_rtp or packet.kind == "rtcp"):
            delays = ",".join(f"{1e3 * (due - now):.3f}" for due in out)
            row = (f"{now:.6f}", direction.name, packet.kind, packet.sequence, packet.timestamp, len(data), delays)
            self._log.write("\t".join(map(str, row)) + "\n")

    def _release(self) -> None:
        while self._queue and self._queue[0][0] <= (now := self._clock()):
            due, _, since, direction, data = heapq.heappop(self._queue)
            try:
                os.write(direction.target, data)
            except OSError:
                direction.refused += 1
                continue
            direction.delivered += 1
            direction.delay_sum += now - since
            self.lateness.append(now - due)

    def summary(self) -> dict[str, Any]:
        """What happened to the packets, and the wire's own lateness in milliseconds."""
        late = sorted(self.lateness)
        own = {f"p{share}": 1e3 * late[min(len(late) - 1, len(late) * share // 100)] for share in (50, 99, 100) if late}
        directions = {direction.name: direction.summary() for direction in (self._forth, self._back)}
        return {**directions, "lateness_ms": own}


def _libc_call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def new_host(address: str) -> tuple[int, int]:
    """A network namespace with this address: descriptors of the namespace and of the far end of its interface."""
    import fcntl  # there is none on Windows, where the rest of this module can still be tested

    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        _libc_call("unshare", _CLONE_NEWNET)
        try:
            namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
            end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", b"wire", _IFF_TUN | _IFF_NO_PI))
            for command in (
                f"address add {address}/24 dev wire",
                "link set wire up txqueuelen 1000",
                "link set lo up",
                "route add default dev wire",
            ):
                subprocess.run(["ip", *command.split()], check=True, stdout=subprocess.DEVNULL)
        finally:
            _libc_call("setns", home, _CLONE_NEWNET)
    finally:
        os.close(home)
    return namespace, end


def available() -> str | None:
    """Why there can be no wire on this machine; None: there can."""
    if sys.platform != "linux":
        return "a wire needs Linux"
    if os.geteuid() != 0:
        return "a wire needs root"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    paths = os.environ.get("PATH", "").split(":")
    missing = [name for name in ("ip", "nsenter") if not any(os.access(f"{path}/{name}", os.X_OK) for path in paths)]
    return f"{' and '.join(missing)} missing: apt-get install iproute2 util-linux" if missing else None


def parse_step(text: str, first: Impairment) -> Step:
    """`60:loss=0.2,jitter=0.03`: from second 60 on these fields of `first` are others. ValueError if unknown."""
    at, _, rest = text.partition(":")
    known = ("loss", "burst", "outage", "delay", "jitter", "duplicate")
    pairs = dict(part.split("=", 1) for part in rest.split(",") if part)
    if unknown := set(pairs) - {*known}:
        raise ValueError(f"{', '.join(sorted(unknown))}: a step changes {', '.join(known)}")
    changed = {name: float(value) for name, value in pairs.items()}
    return Step(float(at), replace(first, **changed))  # type: ignore[arg-type]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m tests.bench wire`."""
    parser.add_argument("--row", type=find, help="all of a row of the matrix at once: clean, loss10, ...")
    parser.add_argument("--loss", type=float, default=0.0, help="long-run share, 0 to 1")
    parser.add_argument("--burst", type=float, default=1.0, help="mean run of lost packets; 1: independent")
    parser.add_argument("--outage-ms", type=float, default=0.0, help="losses in periods of this mean length instead")
    parser.add_argument("--delay-ms", type=float, default=20.0)
    parser.add_argument("--jitter-ms", type=float, default=0.0, help="mean of an exponential delay on top")
    parser.add_argument("--in-order", action="store_true", help="jitter does not reorder")
    parser.add_argument("--duplicate", type=float, default=0.0, help="share of packets that come twice")
    parser.add_argument("--rate-kbps", type=float, default=0.0, help="a bottleneck of so many kbit/s [none]")
    parser.add_argument("--queue-ms", type=float, default=100.0, help="the longest wait in the bottleneck's queue")
    parser.add_argument("--step", action="append", default=[], metavar="SECOND:NAME=VALUE,...", help="later another")
    parser.add_argument("--spare", type=int, action="append", help="ports that are only delayed [5060]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0, help="end after so long [at a signal]")
    parser.add_argument("--log", type=FilePath, help="one line per RTP and RTCP packet")
    parser.add_argument("--owner", type=int, default=0, help=argparse.SUPPRESS)


def steps_of(options: argparse.Namespace) -> tuple[Step, ...]:
    row: Row | None = options.row
    if row is not None:
        return row.steps
    first = Impairment(
        loss=options.loss,
        burst=options.burst,
        outage=options.outage_ms / 1e3,
        delay=options.delay_ms / 1e3,
        jitter=options.jitter_ms / 1e3,
        reorder=not options.in_order,
        duplicate=options.duplicate,
        bottleneck=Bottleneck.lasting(options.rate_kbps * 1e3, options.queue_ms / 1e3) if options.rate_kbps else None,
    )
    return (Step(0.0, first), *(parse_step(text, first) for text in options.step))


def run(options: argparse.Namespace) -> int:
    """The `wire` command."""
    if problem := available():
        sys.stderr.write(problem + "\n")
        return 1
    hosts = [new_host(address) for address in ADDRESSES]
    spare = frozenset(options.spare or {SIP_PORT})
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: stopped.append(number))
    with contextlib.suppress(OSError):  # a wire does not wait for a busy machine
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    prefixes = [f"nsenter --net=/proc/{os.getpid()}/fd/{namespace}" for namespace, _ in hosts]
    up = {"near": prefixes[0], "far": prefixes[1], "addresses": ADDRESSES}
    end = time.monotonic() + options.seconds if options.seconds else None

    def go_on() -> bool:
        orphan = options.owner and os.getppid() != options.owner
        return not stopped and not orphan and (end is None or time.monotonic() < end)

    with contextlib.ExitStack() as stack:
        log = stack.enter_context(options.log.open("w")) if options.log else None
        wire = Wire((hosts[0][1], hosts[1][1]), steps_of(options), seed=options.seed, spare=spare, log=log)
        sys.stdout.write(json.dumps(up) + "\n")
        sys.stdout.flush()
        wire.run(go_on)
    sys.stdout.write(json.dumps(wire.summary()) + "\n")
    return 0
