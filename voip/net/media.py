"""Media ports: a UDP socket for RTP, and one for RTCP beside it (RFC 3550 section 11)."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from voip.errors import NetworkError
from voip.ip import MAX_PORT
from voip.net.sockets import try_bind
from voip.net.zones import sockaddr

PORT_TRIES = 64
"""Ports asked of the system until one is even."""


@dataclass
class MediaPort:
    """An even UDP port for RTP and, where it was free, the odd one above for RTCP (RFC 3550 section 11).

    `send` may be called from any thread. `icmp_errors` counts sends refused by what came back for earlier ones.
    """

    rtp: socket.socket
    rtcp: socket.socket | None
    host: str
    port: int
    icmp_errors: int = 0
    unsent: int = 0
    sent: int = 0
    """Datagrams from the RTP port."""

    @property
    def ip_version(self) -> int:
        """4 or 6: packets can go to addresses of this version alone."""
        return 6 if self.rtp.family == socket.AF_INET6 else 4

    def send(self, destination: tuple[str, int], datagram: bytes) -> None:
        self._send(self.rtp, destination, datagram)

    def send_rtcp(self, destination: tuple[str, int], datagram: bytes, *, shared: bool) -> None:
        """`shared`: RTCP has no port of its own (RFC 5761)."""
        self._send(self.rtp if shared or self.rtcp is None else self.rtcp, destination, datagram)

    def _send(self, sock: socket.socket, destination: tuple[str, int], datagram: bytes) -> None:
        self.sent += sock is self.rtp
        try:
            sock.sendto(datagram, sockaddr(*destination, sock.family))
        except ConnectionRefusedError:
            self.icmp_errors += 1
        except (OSError, TypeError, ValueError):
            # No buffer, no route for now, no address of this socket's: RTP is lost like on any wire, the media time-out
            # decides.
            self.unsent += 1

    def close(self) -> None:
        self.rtp.close()
        if self.rtcp is not None:
            self.rtcp.close()


def open_pair(
    family: socket.AddressFamily, host: str, ports: tuple[int, int] | None, dscp: int
) -> tuple[socket.socket, socket.socket | None]:
    """The sockets of a media port, within `ports` (first, last) if that is given; NetworkError when all are taken."""
    candidates = [0] * PORT_TRIES
    if ports is not None:
        first, last = ports
        candidates = list(range(first + first % 2, last + 1, 2)) or [first]
    for candidate in candidates:
        rtp = try_bind(family, host, candidate, dscp)
        if rtp is None:
            continue
        port = rtp.getsockname()[1]
        if port % 2 and candidate == 0:
            rtp.close()
            continue
        rtcp = try_bind(family, host, port + 1, dscp) if port < MAX_PORT else None
        return rtp, rtcp
    raise NetworkError(f"no free media port among {ports}; choose others with --rtp-port")
