"""Parity over whole RTP packets, as RFC 8627 section 6.2 (and RFC 5109 section 8.1) protects them.

What is protected of a packet: P, X, CC, M, PT, its length beyond the fixed header, its timestamp, and everything
behind the fixed header (CSRC list, header extension, payload, padding). The sequence number and the SSRC are not: a
repair packet names them. A parity is one integer, little-endian in the order just given, so that shorter packets are
padded with zeros by themselves; at 160 to 1200 bytes Python's integers cost no more than arrays, their XOR far less.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MAX_PACKET = 1500
"""No RTP packet that we repair is larger, IP and UDP headers apart."""
FIXED_HEADER = 12
"""Bytes of the RTP header without its CSRC list (RFC 3550 section 5.1)."""
_TIMESTAMP, _SSRC = 4, 8  # where these fields begin in it
PARITY_HEADER = 8
"""Bytes of a parity before the body: flags and payload type, length, timestamp."""
_FLAGS_MASK = 0x3F  # P, X and CC; the version is not protected
_VERSION_BITS = 0x80  # RTP version 2

_START = struct.Struct("!BBH")
_PARITY = struct.Struct("!BBHI")
_HEADER = struct.Struct("!BBHII")


class RepairHeader(NamedTuple):
    """A parsed repair payload: the packets it covers, the parity over them and the length of its body.

    `ssrc` is that of these packets; None if the format does not say.
    """

    base: int
    positions: tuple[int, ...]
    parity: int
    body: int
    ssrc: int | None = None


def parity_of(datagram: bytes) -> int:
    """The protected part of one serialized RTP packet."""
    flags = datagram[0] & _FLAGS_MASK
    header = _START.pack(flags, datagram[1], len(datagram) - FIXED_HEADER)
    return int.from_bytes(header + datagram[_TIMESTAMP:_SSRC] + datagram[FIXED_HEADER:], "little")


def parity_to_bytes(parity: int, body: int) -> bytes:
    """PARITY_HEADER bytes and `body` bytes, the longest body among the packets in the parity."""
    return parity.to_bytes(PARITY_HEADER + body, "little")


def parity_from_bytes(data: bytes) -> int:
    """The inverse of `parity_to_bytes`; the two bits in the version's place do not count."""
    return int.from_bytes(data, "little") & ~(0xFF & ~_FLAGS_MASK)


def datagram_of(parity: int, body: int, sequence_number: int, ssrc: int) -> bytes | None:
    """The RTP packet whose protected part this is; None if it cannot be that of a single packet.

    `body` is the longest body of the packets that went into the parity: what stands beyond the packet's own length must
    have cancelled out.
    """
    if parity.bit_length() > 8 * (PARITY_HEADER + body):
        return None
    data = parity_to_bytes(parity, body)
    flags, payload_type, length, timestamp = _PARITY.unpack_from(data)
    end = PARITY_HEADER + length
    if length > body or parity >> (8 * end):
        return None
    header = _HEADER.pack(_VERSION_BITS | flags, payload_type, sequence_number, timestamp, ssrc)
    return header + data[PARITY_HEADER:end]
