"""A bad network between two programs on one Linux machine: a UDP relay that loses, delays, reorders and duplicates.

    python -m tests.support.relay --ports 5060,5000-5019 --loss 0.1 --jitter-ms 30 --reorder --spare-port 5060 &
    python receiver.py --bind 127.0.0.1 --public-address 127.0.0.2
    python sender.py --bind 127.0.0.1 --public-address 127.0.0.3 127.0.0.2

All of 127.0.0.0/8 is this machine, so each program is given a second address, which the relay owns and the other one
knows it by. What the sender's port P sends to 127.0.0.2:Q arrives at 127.0.0.1:Q from 127.0.0.3:P, and answers go back
the same way: both sides see one peer with its own port numbers, and nothing in the packets needs rewriting. Ports Q are
given; ports P are opened when the sender first sends from one or names it in SDP.

"forward" is from the sender to the receiver. At SIGINT or SIGTERM one line of JSON tells what became of the datagrams,
for each direction and kind: sip, rtcp, or the encoding of an RTP payload type as the SDP named it.
"""

import argparse
import contextlib
import heapq
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path as FilePath

from tests.support.bottleneck import Bottleneck
from tests.support.mutation import mutated
from tests.support.network import Impairment, Path
from voip.ip import IP_UDP_HEADER

ROOT = FilePath(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
RECEIVER_ALIAS = "127.0.0.2"
SENDER_ALIAS = "127.0.0.3"
STATIC_ENCODINGS = {0: "PCMU", 8: "PCMA", 10: "L16", 11: "L16"}  # RFC 3551 section 6

_RTPMAP = re.compile(rb"a=rtpmap:(\d+) ([\w.-]+)/")
_AUDIO_PORT = re.compile(rb"m=audio (\d+) ")
_RECEIVE_BUFFER = 4 << 20  # bytes: a pause of the relay must not lose packets by itself
_IDLE = 0.2  # seconds between looks at whether to stop
_BATCH = 64  # datagrams read from one socket before the others have their turn
Address = tuple[str, int]


@dataclass
class Count:
    offered: int = 0
    dropped: int = 0
    duplicated: int = 0
    delivered: int = 0


class Direction:
    """One direction: the fate of each datagram, and how often which one was met, by kind."""

    def __init__(self, impairment: Impairment, seed: str) -> None:
        self.counts: dict[str, Count] = {}
        self._path = Path(impairment, seed)

    def departures(self, now: float, kind: str, size: int = 0, *, spared: bool) -> list[float]:
        """When this datagram comes out: once, twice or never."""
        out = self._path.departures(now, size, spared=spared)
        count = self.counts.setdefault(kind, Count())
        count.offered += 1
        count.dropped += not out
        count.duplicated += len(out) == 2
        return out


@dataclass(frozen=True)
class Route:
    """Between whom the relay stands. The ports are the receiver's."""

    ports: tuple[int, ...]
    receiver: str = LOOPBACK
    sender: str = LOOPBACK
    receiver_alias: str = RECEIVER_ALIAS
    sender_alias: str = SENDER_ALIAS


class _Side:
    """One program: its address, the alias that the other knows it by, and the sockets open on that alias."""

    def __init__(self, address: str, alias: str) -> None:
        self.address, self.alias = address, alias
        self.sockets: dict[int, socket.socket] = {}

    def open(self, port: int) -> socket.socket:
        """The socket on the alias that stands for this program's port."""
        if port not in self.sockets:
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            opened.setblocking(False)
            opened.bind((self.alias, port))
            self.sockets[port] = opened
        return self.sockets[port]


class Relay:
    """The relay itself: `run` until told to stop, then read `counts`."""

    def __init__(
        self,
        route: Route,
        forward: Impairment,
        back: Impairment,
        *,
        seed: int = 1,
        spare_ports: frozenset[int] = frozenset(),
        impair: str = "all",
        tap: Callable[[str, bytes], None] = lambda kind, data: None,
        change: Callable[[bytes], bytes] = lambda data: data,
    ) -> None:
        """`tap` is shown every datagram that comes in, with its kind; `change` makes of each what goes on."""
        self._receiver = _Side(route.receiver, route.receiver_alias)
        self._sender = _Side(route.sender, route.sender_alias)
        self._forward = Direction(forward, f"forward {seed}")
        self._back = Direction(back, f"back {seed}")
        self._spare_ports, self._impair, self._tap = spare_ports, impair, tap
        self._change = change
        self._encodings = dict(STATIC_ENCODINGS)
        self._waiting: list[tuple[float, int, bytes, socket.socket, Address, Count]] = []
        self._order = 0
        for port in route.ports:
            self._receiver.open(port)

    @property
    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """What became of the datagrams, by direction and kind."""
        directions = {"forward": self._forward, "back": self._back}
        return {
            name: {kind: asdict(count) for kind, count in direction.counts.items()}
            for name, direction in directions.items()
        }

    def run(self, stop: Callable[[], bool]) -> None:
        """Relay until `stop()` holds (looked at several times a second)."""
        while not stop():
            timeout = _IDLE
            if self._waiting:
                timeout = min(_IDLE, max(0.0, self._waiting[0][0] - time.monotonic()))
            # Not epoll: its time-outs are whole milliseconds.
            listening = {opened: port for port, opened in self._receiver.sockets.items()}
            calling = {opened: port for port, opened in self._sender.sockets.items()}
            readable, _, _ = select.select([*listening, *calling], [], [], timeout)
            for opened in readable:
                if opened in listening:
                    self._take(opened, listening[opened], self._receiver, self._sender, self._forward)
                else:
                    self._take(opened, calling[opened], self._sender, self._receiver, self._back)
            self._deliver()

    def close(self) -> None:
        for side in (self._sender, self._receiver):
            for opened in side.sockets.values():
                opened.close()

    def _take(self, opened: socket.socket, port: int, to: _Side, source: _Side, direction: Direction) -> None:
        for _ in range(_BATCH):
            try:
                data, (_, source_port) = opened.recvfrom(65535)
            except OSError:  # nothing left to read, or the answer to a datagram that nobody was there for
                return
            kind = self._kind(data)
            self._tap(kind, data)
            if kind == "sip":
                self._learn(data, source)
            spared = bool(self._spare_ports & {port, source_port}) or not self._impairs(kind)
            size = len(data) + IP_UDP_HEADER[4]
            for due in direction.departures(time.monotonic(), kind, size, spared=spared):
                self._order += 1
                out = source.open(source_port)
                item = (due, self._order, self._change(data), out, (to.address, port), direction.counts[kind])
                heapq.heappush(self._waiting, item)

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, data, out, destination, count = heapq.heappop(self._waiting)
            with contextlib.suppress(OSError):  # no room, nobody there: then it is not delivered
                out.sendto(data, destination)
                count.delivered += 1

    def _impairs(self, kind: str) -> bool:
        return self._impair == "all" or (kind == "sip") == (self._impair == "sip")

    def _kind(self, data: bytes) -> str:
        if len(data) < 8 or data[0] >> 6 != 2:  # RTP and RTCP carry version 2 in the first two bits
            return "sip"
        if 192 <= data[1] <= 223:  # RFC 5761 section 4
            return "rtcp"
        payload_type = data[1] & 0x7F
        return self._encodings.get(payload_type, f"rtp-{payload_type}")

    def _learn(self, data: bytes, source: _Side) -> None:
        """From SDP: what payload types mean, and ports to be there for before anything is sent from them."""
        for payload_type, encoding in _RTPMAP.findall(data):
            self._encodings[int(payload_type)] = encoding.decode()
        for port in map(int, _AUDIO_PORT.findall(data)):
            if port:
                with contextlib.suppress(OSError, OverflowError):
                    source.open(port)


class RelayProcess:
    """`python -m tests.support.relay` running beside a test."""

    def __init__(self, ports: Iterable[int], *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.support.relay", "--ports", ",".join(map(str, ports)), *arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._output = self._process.stdout
        assert self._output.readline(), "the relay did not start"

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Stop the relay and return what it counted, by direction ("forward", "back") and kind."""
        self._process.terminate()
        counts: dict[str, dict[str, dict[str, int]]] = json.loads(self._output.readline())
        return counts

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._output.close()


@contextlib.contextmanager
def relay(ports: Iterable[int], *arguments: str) -> Iterator[RelayProcess]:
    """A relay for a receiver on these ports, with the options of the command line."""
    process = RelayProcess(ports, *arguments)
    try:
        yield process
    finally:
        process.close()


def parse_ports(text: str) -> tuple[int, ...]:
    """Ports from a list of numbers and ranges such as 5060,5000-5019."""
    ports: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        ports += range(int(first), int(last or first) + 1)
    return tuple(ports)


def changing(share: float, seed: int) -> Callable[[bytes], bytes]:
    """Changes that share of all datagrams."""
    rng = random.Random(f"change {seed}")
    return lambda data: mutated(rng, data) if rng.random() < share else data


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.relay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--ports", type=parse_ports, required=True, help="the receiver's SIP and media ports: 5060,5000-5019")
    add("--loss", type=float, default=0.0, help="long-run share of datagrams lost, 0..1")
    add("--burst", type=float, default=1.0, help="mean run of lost datagrams (default 1: independent losses)")
    add("--delay-ms", type=float, default=0.0)
    add("--jitter-ms", type=float, default=0.0, help="mean of an exponential delay on top of --delay-ms")
    add("--reorder", action="store_true", help="let jitter reorder")
    add("--duplicate", type=float, default=0.0, help="share of datagrams that come twice, 0..1")
    add("--rate-kbps", type=float, default=0.0, help="a bottleneck of so many kbit/s (default: none)")
    add("--queue-ms", type=float, default=100.0, help="the longest wait in the bottleneck's queue")
    add("--direction", choices=["both", "forward", "back"], default="both", help="which way is impaired")
    add("--impair", choices=["all", "media", "sip"], default="all", help="which kind is impaired")
    add("--spare-port", type=int, action="append", default=[], help="a port whose traffic is only delayed (repeatable)")
    add("--mutate", type=float, default=0.0, help="share of datagrams of which bytes are changed, 0..1")
    add("--seed", type=int, default=1)
    add("--receiver", default=LOOPBACK, help="where the receiver is")
    add("--sender", default=LOOPBACK, help="where the sender is")
    add("--receiver-alias", default=RECEIVER_ALIAS, help="how the sender knows the receiver")
    add("--sender-alias", default=SENDER_ALIAS, help="how the receiver knows the sender")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    options = _parse(argv)
    route = Route(options.ports, options.receiver, options.sender, options.receiver_alias, options.sender_alias)
    bad = Impairment(
        loss=options.loss,
        burst=options.burst,
        delay=options.delay_ms / 1e3,
        jitter=options.jitter_ms / 1e3,
        reorder=options.reorder,
        duplicate=options.duplicate,
        bottleneck=Bottleneck.lasting(options.rate_kbps * 1e3, options.queue_ms / 1e3) if options.rate_kbps else None,
    )
    clean = Impairment(delay=bad.delay)
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: stopping.append(number))
    with contextlib.suppress(OSError):
        os.nice(-10)  # its own lateness would look like the network's
    running = Relay(
        route,
        clean if options.direction == "back" else bad,
        clean if options.direction == "forward" else bad,
        seed=options.seed,
        spare_ports=frozenset(options.spare_port),
        impair=options.impair,
        change=changing(options.mutate, options.seed),
    )
    sys.stdout.write(
        f"relay ready: {route.receiver} is {route.receiver_alias}, {route.sender} is {route.sender_alias}\n"
    )
    sys.stdout.flush()
    running.run(lambda: bool(stopping))
    running.close()
    sys.stdout.write(json.dumps(running.counts) + "\n")


if __name__ == "__main__":
    main()
