"""The file of a capture, and what packets are in it: one thread writes, any may read how far that has come."""

from __future__ import annotations

import contextlib
import itertools
import struct
import time
from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from voip.errors import NetworkError
from voip.net.ip_headers import Endpoint, tcp_packet, udp_packet
from voip.net.masking import masked
from voip.net.pcapng import enhanced_packet, interface_description, interface_statistics, section_header
from voip.net.sockets import local_address_towards
from voip.private import private_and_regular
from voip.stats import CaptureStats

ROUTES_KEPT, ROUTE_LIFE = 256, 5.0
"""Hosts whose local address is remembered, and for how many seconds: the address of a machine may change."""
INTERFACE = "calls"
"""What the one interface of the file is called."""
ANY_HOST = ("0.0.0.0", "::")


class Flow(NamedTuple):
    """What the packets of a socket have in common. `local`: as it is bound, perhaps to any address. `signalling`: it
    carries messages, which are masked. `comment`: for people who read the file."""

    local: Endpoint
    signalling: bool
    is_stream: bool = False
    comment: str = ""


class Packet(NamedTuple):
    """One of them. `number` keeps the order of those of one moment; `numbers` are of a segment of TCP: its first byte,
    and what it acknowledges."""

    at: float
    number: int
    flow: Flow
    remote: Endpoint
    payload: bytes
    inbound: bool
    numbers: tuple[int, int]


class Routes:
    """The local address of packets to and from a host, for sockets that are bound to any. Where this machine has
    several, what came may have come to another than what is sent there leaves from."""

    def __init__(
        self, find: Callable[[str], str] = local_address_towards, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._find, self._clock = find, clock
        self._known: dict[str, tuple[float, str]] = {}

    def local(self, bound: str, remote: str) -> str:
        """The address that the socket `bound` to this one has towards `remote`; as it is bound without a route."""
        if bound not in ANY_HOST:
            return bound
        until, host = self._known.get(remote, (0.0, bound))
        now = self._clock()
        if now >= until:
            with contextlib.suppress(NetworkError, OSError):
                host = self._find(remote)
            if len(self._known) >= ROUTES_KEPT:
                self._known.clear()
            self._known[remote] = now + ROUTE_LIFE, host
        return host


class CaptureFile:
    """A file that is created with its first packets. OSError from `append` and `end`; what is in it then is whole."""

    def __init__(self, path: Path, application: str, routes: Routes | None = None) -> None:
        self.path, self._application, self._routes = path, application, routes or Routes()
        self._file: FileIO | None = None
        self.packets = self.size = 0
        """Packets that are in it, and bytes up to the last whole one. Any thread may read them."""

    def append(self, packets: Sequence[Packet]) -> None:
        """Write these packets; those that cannot be told in the file are left out."""
        blocks = [block for packet in packets if (block := self._block(packet)) is not None]
        if self._file is None:
            self._file = _create(self.path)
            self._put([section_header(self._application) + interface_description(INTERFACE)])
        self._put(blocks, packets=True)

    def end(self, at: float, stats: CaptureStats) -> None:
        """The last block: how many packets there were, and how many of them are missing."""
        if self._file is not None:
            self._put([interface_statistics(at, stats.packets + stats.dropped, stats.dropped)])

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what cannot be written has been reported already
                self._file.close()

    def _put(self, blocks: Sequence[bytes], *, packets: bool = False) -> None:
        """Write blocks. What could be written only in part, on a full disk, is cut off."""
        assert self._file is not None
        whole = memoryview(b"".join(blocks))
        left = whole
        try:
            while left:
                left = left[self._file.write(left) :]
        finally:
            ends = itertools.accumulate(map(len, blocks))
            done = sum(1 for end in ends if end <= len(whole) - len(left))
            self.size += sum(map(len, blocks[:done]))
            self.packets += done if packets else 0
            if left:
                with contextlib.suppress(OSError):
                    self._file.truncate(self.size)

    def _block(self, packet: Packet) -> bytes | None:
        """A packet as it is in the file; None if its addresses are none, or it is longer than a packet can be."""
        flow, remote = packet.flow, packet.remote
        local = self._routes.local(flow.local[0], remote[0]), flow.local[1]
        source, destination = (remote, local) if packet.inbound else (local, remote)
        payload = masked(packet.payload) if flow.signalling else packet.payload
        try:
            if flow.is_stream:
                whole = tcp_packet(source, destination, payload, *packet.numbers)
            else:
                whole = udp_packet(source, destination, payload)
        except (OSError, ValueError, struct.error):
            return None
        return enhanced_packet(packet.at, whole, inbound=packet.inbound, comment=flow.comment)


def _create(path: Path) -> FileIO:
    return open(path, "wb", buffering=0, opener=private_and_regular)
