"""Where packets are noted for a capture: UDP sockets, and the messages of a connection."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from voip.net.arrivals import ANCILLARY_BYTES, stamp_of
from voip.net.capture import PacketCapture
from voip.net.capture_file import Flow
from voip.net.ip_headers import Endpoint
from voip.net.masking import masked
from voip.net.sockets import udp_socket
from voip.net.zones import learned
from voip.sip import Address
from voip.stats import CaptureStats

MSG_ERRQUEUE = getattr(socket, "MSG_ERRQUEUE", 0)
SEGMENT = 32_768
"""Bytes of a segment of TCP at most: a longer message is several."""
BY_TLS = "SIP over TLS, shown here as it was before encryption"


class Tap:
    """Makes what goes into a capture, or, without one, what does not."""

    def __init__(self, capture: PacketCapture | None = None) -> None:
        self.capture = capture

    def signalling_socket(self, family: socket.AddressFamily) -> socket.socket:
        """A UDP socket for messages, which are masked; not bound yet."""
        return self._socket(family, signalling=True)

    def media_socket(self, family: socket.AddressFamily) -> socket.socket:
        """A UDP socket for media; not bound yet."""
        return self._socket(family, signalling=False)

    def stream(self, sock: socket.socket, address: Address) -> CapturedStream | None:
        """What notes the messages of a connection to this address."""
        return None if self.capture is None else CapturedStream(self.capture, sock, address)

    @property
    def stats(self) -> CaptureStats | None:
        """What has come of the capture so far; None without one. Any thread."""
        return None if self.capture is None else self.capture.stats

    def close(self) -> None:
        """Nothing comes any more."""
        if self.capture is not None:
            self.capture.close()

    def _socket(self, family: socket.AddressFamily, *, signalling: bool) -> socket.socket:
        return udp_socket(family) if self.capture is None else CapturedSocket(family, self.capture, signalling)


class CapturedSocket(socket.socket):
    """A UDP socket whose datagrams are noted as they come and go: those that are read, and those that the system takes.

    A datagram that is sent has the time of before, one that came that of the kernel: so a response is behind what it
    responds to, however late it is read, and before what it causes.
    """

    def __init__(self, family: socket.AddressFamily, capture: PacketCapture, signalling: bool) -> None:
        super().__init__(family, socket.SOCK_DGRAM)
        self._capture, self._signalling = capture, signalling
        self._flow: Flow | None = None

    def sendto(self, data: Any, *rest: Any) -> int:  # noqa: ANN401
        """See `socket.socket`."""
        at = self._capture.clock.now()
        sent = super().sendto(data, *rest)
        host, port, *_ = rest[-1]
        self._capture.note(at, self._known_flow(), (host, port), bytes(data), inbound=False)
        return sent

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """See `socket.socket`; with the time of the kernel, where it tells."""
        if not ANCILLARY_BYTES:
            data, source = super().recvfrom(bufsize, flags)
            self._note(self._capture.clock.now(), source, data)
            return data, source
        data, _, _, source = self.recvmsg(bufsize, ANCILLARY_BYTES, flags)
        return data, source

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, Any, int, Any]:
        """See `socket.socket`. What ICMP says comes this way, too, and is no packet of ours."""
        received = super().recvmsg(bufsize, ancbufsize, flags)
        if not flags & MSG_ERRQUEUE:
            stamp, clock = stamp_of(received[1]), self._capture.clock
            self._note(clock.now() if stamp is None else clock.stamped(stamp), received[3], received[0])
        return received

    def note_read(self, datagrams: Iterable[tuple[bytes, Endpoint, float]]) -> None:
        """Datagrams that were read without this object, with their sources and the times of their arrival by the
        monotonic clock."""
        for data, source, arrival in datagrams:
            self._note(self._capture.clock.of_monotonic(arrival), source, data)

    def _note(self, at: float, source: tuple[Any, ...], data: bytes) -> None:
        self._capture.note(at, self._known_flow(), (learned(source), source[1]), data, inbound=True)

    def _known_flow(self) -> Flow:
        if self._flow is None:
            bound = self.getsockname()
            self._flow = Flow((learned(bound), bound[1]), self._signalling)
        return self._flow


class CapturedStream:
    """The messages of one connection of SIP, noted as segments of TCP. Network thread only."""

    def __init__(self, capture: PacketCapture, sock: socket.socket, address: Address) -> None:
        self._capture, self._sock, self._address = capture, sock, address
        self._flow: Flow | None = None
        self._waiting: list[bytes] = []
        self._sent = self._received = 1

    def open(self) -> None:
        """The connection is up: what was to be sent before goes now. Idempotent."""
        if self._flow is None:
            bound = self._sock.getsockname()
            comment = BY_TLS if self._address.protocol == "tls" else ""
            self._flow = Flow((learned(bound), bound[1]), signalling=True, is_stream=True, comment=comment)
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            self._note(self._flow, message, inbound=False)

    def send(self, message: bytes) -> None:
        """A message that is sent as soon as the connection is up."""
        if self._flow is None:
            self._waiting.append(message)
        else:
            self._note(self._flow, message, inbound=False)

    def receive(self, message: bytes) -> None:
        """One that has come."""
        self.open()
        assert self._flow is not None
        self._note(self._flow, message, inbound=True)

    def _note(self, flow: Flow, message: bytes, *, inbound: bool) -> None:
        at, remote = self._capture.clock.now(), (self._address.host, self._address.port)
        if len(message) > SEGMENT:
            message = masked(message)  # whole: a secret may be at a border
        for begin in range(0, len(message), SEGMENT):
            part = message[begin : begin + SEGMENT]
            numbers = (self._received, self._sent) if inbound else (self._sent, self._received)
            self._capture.note(at, flow, remote, part, inbound=inbound, numbers=numbers)
            self._received += len(part) * inbound
            self._sent += len(part) * (not inbound)
