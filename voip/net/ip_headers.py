"""The headers of packets that a program sees without: IPv4 (RFC 791), IPv6 (RFC 8200), UDP (RFC 768), TCP (RFC 9293).

Addresses, ports, lengths and checksums (RFC 1071) are those of the packet. What only the system knows of it is not: the
hop limit is 64, DSCP and identification are 0.
"""

from __future__ import annotations

import socket
import struct

UDP, TCP = socket.IPPROTO_UDP, socket.IPPROTO_TCP
HOP_LIMIT = 64
DONT_FRAGMENT = 0x4000
ACK_AND_PUSH = 0x18
"""Flags of a TCP segment that ends with a message."""
WINDOW = 0xFFFF
_UDP = struct.Struct("!HHHH")
_TCP = struct.Struct("!HHIIBBHHH")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_SUM = 0xFFFF

Endpoint = tuple[str, int]
"""A literal address without a zone, and a port."""


def udp_packet(source: Endpoint, destination: Endpoint, payload: bytes) -> bytes:
    """An IP packet with this datagram."""
    length = _UDP.size + len(payload)
    header = _UDP.pack(source[1], destination[1], length, 0)
    sum_ = _checksum(_pseudo_header(source[0], destination[0], UDP, length) + header + payload)
    header = _UDP.pack(source[1], destination[1], length, sum_ or _SUM)  # 0 would be: none was computed
    return ip_packet(source[0], destination[0], UDP, header + payload)


def tcp_packet(source: Endpoint, destination: Endpoint, payload: bytes, sequence: int, acknowledged: int) -> bytes:
    """An IP packet with this segment, which ends with a message; `sequence`: the number of its first byte."""

    def header(sum_: int) -> bytes:
        numbers = sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF
        return _TCP.pack(source[1], destination[1], *numbers, _TCP.size << 2, ACK_AND_PUSH, WINDOW, sum_, 0)

    length = _TCP.size + len(payload)
    sum_ = _checksum(_pseudo_header(source[0], destination[0], TCP, length) + header(0) + payload)
    return ip_packet(source[0], destination[0], TCP, header(sum_) + payload)


def ip_packet(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    """A packet of IPv6 where both addresses are, else of IPv4."""
    if ":" in source:
        first = 6 << 28
        return _IPV6.pack(first, len(payload), protocol, HOP_LIMIT, *_packed(source, destination)) + payload
    length = _IPV4.size + len(payload)
    fields = 0x45, 0, length, 0, DONT_FRAGMENT, HOP_LIMIT, protocol
    sum_ = _checksum(_IPV4.pack(*fields, 0, *_packed(source, destination)))
    return _IPV4.pack(*fields, sum_, *_packed(source, destination)) + payload


def _pseudo_header(source: str, destination: str, protocol: int, length: int) -> bytes:
    """What the checksum of UDP and TCP covers of the IP header."""
    return b"".join(_packed(source, destination)) + struct.pack("!II", length, protocol)


def _packed(source: str, destination: str) -> tuple[bytes, bytes]:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    return socket.inet_pton(family, source), socket.inet_pton(family, destination)


def _checksum(data: bytes) -> int:
    """The ones' complement of the ones' complement sum of 16-bit words (RFC 1071): a sum that carries around is one
    modulo 2^16 - 1, and 2^16 is 1 there, so that the words are the digits of one long number."""
    words = int.from_bytes(data + b"\0" if len(data) % 2 else data, "big")
    remainder = words % _SUM
    return _SUM - remainder if remainder or not words else 0
