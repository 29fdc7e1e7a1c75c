"""What a format of datagrams is, and one port's datagrams of it to and from RTP packets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from voip.codecs import Codec
from voip.errors import ProtocolError
from voip.ip import IP_UDP_HEADER
from voip.media import ReceiveFormat
from voip.rtp import RtpPacket

PAYLOAD_TYPE = 96
"""Of the packets that stand for datagrams: the first dynamic one (RFC 3551 section 3)."""
SSRC = 1
"""Of all packets that stand for datagrams: no format names its sources, so any may follow one that falls silent."""
ETHERNET_MTU = 1500
"""Bytes of the longest IP packet of an Ethernet (RFC 894): a longer one is cut into fragments."""
IP_HEADER = 20
"""Bytes of an IPv4 header without options (RFC 791 section 3.1)."""
FRAGMENT_UNIT = 8
"""Bytes of which every fragment but the last is a multiple (RFC 791 section 3.1)."""
MAX_SOURCES = 8
"""Addresses whose datagrams are followed at a time; the one that was heard least recently is forgotten first."""
NUMBERS_APART = 9973
"""Between the first numbers of two sources: none may seem to go on with the numbers of another."""
_NOTHING = b""

Address = tuple[str, int]


class Placed(NamedTuple):
    """A packet, and the moment (monotonic seconds) at which the first of its samples may count as arrived."""

    packet: RtpPacket
    arrival: float


class Reader(Protocol):
    """Datagrams of one source to packets."""

    def read(self, data: bytes, arrival: float) -> list[Placed]:
        """What a datagram holds, nothing for one that only shows life. ProtocolError if it is no such datagram."""


class Writer(Protocol):
    """Packets of one stream to datagrams."""

    def write(self, packet: RtpPacket) -> list[bytes]:
        """The datagrams for a packet."""

    def ping(self) -> bytes:
        """A datagram that shows life and holds no sound; empty where the format has none."""


@dataclass(frozen=True)
class DatagramFormat:
    """A format: the `codec` in which its sound is handed on, `samples` of each channel in a datagram that is sent.

    `datagram_bytes` is the size of such a datagram, `header_change` how many bytes more than the RTP packet has that
    stands for it. `new_reader` is given the number of its first packet, if the format has none. `payload_type` is that
    of packets; `receive_formats` are all that may come, where datagrams tell. `needs`: what to install, if any.
    `fec_payload_type` is that of the FlexFEC that stands for the format's own; `receive_samples` those of a packet that
    comes, if they are not as many as in one that is sent. `is_called`: it has signalling of its own. `acknowledge`
    gives what a datagram that came is acknowledged by, nothing for one that is not.
    """

    scheme: str
    codec: Codec
    samples: int
    header_change: int
    datagram_bytes: int
    new_reader: Callable[[int], Reader]
    new_writer: Callable[[], Writer]
    payload_type: int = PAYLOAD_TYPE
    receive_formats: tuple[ReceiveFormat, ...] = ()
    needs: str = ""
    fec_payload_type: int | None = None
    receive_samples: int | None = None
    is_called: bool = False
    acknowledge: Callable[[bytes], bytes] | None = None

    @property
    def packet_time(self) -> float:
        """Seconds of sound in a datagram."""
        return self.samples / self.codec.sample_rate

    @property
    def fragments(self) -> int:
        """IP fragments that an Ethernet cuts each datagram into that we send; 1: none (RFC 791 section 3.2)."""
        udp = self.datagram_bytes + IP_UDP_HEADER[4] - IP_HEADER
        return -(-udp // ((ETHERNET_MTU - IP_HEADER) // FRAGMENT_UNIT * FRAGMENT_UNIT))


class Framing:
    """What comes to one port, as RTP packets, and what is sent from it, as datagrams of the format.

    Threads: `write` belongs to the capture thread, the rest to the network thread.
    """

    def __init__(self, form: DatagramFormat) -> None:
        self._form = form
        self._writer = form.new_writer()
        self._readers: dict[Address, Reader] = {}
        self._sources = 0

    def read(self, data: bytes, source: Address, now: float) -> list[tuple[bytes, float]]:
        """RTP packets and their arrival. For a datagram of no sense there is one of no bytes: it is to be counted."""
        reader = self._readers.pop(source, None)
        if reader is None:
            reader = self._form.new_reader(self._sources * NUMBERS_APART & 0xFFFF)
            self._sources += 1
            if len(self._readers) >= MAX_SOURCES:
                del self._readers[next(iter(self._readers))]
        self._readers[source] = reader
        try:
            return [(placed.packet.serialize(), placed.arrival) for placed in reader.read(data, now)]
        except ProtocolError:
            return [(_NOTHING, now)]

    def write(self, datagram: bytes) -> list[bytes]:
        """The datagrams for an RTP packet of ours."""
        return self._writer.write(RtpPacket.parse(datagram))

    def acknowledgement(self, data: bytes) -> bytes:
        """What the source of a datagram is told of it; empty for nothing."""
        return _NOTHING if self._form.acknowledge is None else self._form.acknowledge(data)

    def ping(self) -> bytes:
        """What shows life in place of sound; empty where the format has nothing for that."""
        return self._writer.ping()
