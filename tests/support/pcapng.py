"""A reader of captures that shares no code with what writes them: blocks and options of pcapng, IP, UDP and TCP.

Whatever a reader may rely on is asserted: lengths at both ends of a block, padding, checksums.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LITTLE_ENDIAN = bytes.fromhex("4d3c2b1a")
RAW_IP = 101
DIRECTIONS = {1: True, 2: False}
PROTOCOLS = {17: "udp", 6: "tcp"}


@dataclass(frozen=True)
class Seen:
    """A packet of a capture. `sequence` and `acknowledged` are of TCP."""

    at: float
    inbound: bool
    comment: str
    protocol: str
    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes
    sequence: int = 0
    acknowledged: int = 0


@dataclass(frozen=True)
class Contents:
    """What is in a capture; `noticed` and `dropped` of its end, None if it has none."""

    application: str
    packets: list[Seen]
    noticed: int | None
    dropped: int | None

    @property
    def payloads(self) -> list[bytes]:
        return [packet.payload for packet in self.packets]


def read_capture(source: Path | bytes) -> Contents:
    """All of it; AssertionError for what is not as it has to be."""
    found = list(blocks(source.read_bytes() if isinstance(source, Path) else source))
    (kind, header), (second, interface), *rest = found
    assert kind == 0x0A0D0D0A
    assert header[4:16] == bytes.fromhex("01000000") + bytes(8 * [0xFF]), "version 1.0, of no known length"
    assert second == 1
    assert struct.unpack("<HHI", interface[:8]) == (RAW_IP, 0, 0)
    assert 9 not in options(interface[8:]), "the resolution is that of a section that says none: 10^-6 s"
    packets, counts = [], dict[int, bytes]()
    for number, (kind, body) in enumerate(rest):
        if kind == 5:
            assert number == len(rest) - 1, "statistics are the end"
            counts = options(body[12:])
        else:
            assert kind == 6
            packets.append(packet_of(body))
    noticed, dropped = (struct.unpack("<Q", counts[code])[0] if code in counts else None for code in (4, 5))
    return Contents(options(header[16:])[4].decode(), packets, noticed, dropped)


def blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each."""
    assert data[8:12] == LITTLE_ENDIAN
    while data:
        kind, length = struct.unpack("<II", data[:8])
        assert length % 4 == 0
        assert 12 <= length <= len(data), "the last block is whole"
        assert data[length - 4 : length] == data[4:8]
        yield kind, data[8 : length - 4]
        data = data[length:]


def options(data: bytes) -> dict[int, bytes]:
    """Value by code, up to the end that has to be there."""
    found: dict[int, bytes] = {}
    while True:
        code, length = struct.unpack("<HH", data[:4])
        padded = (length + 3) // 4 * 4
        value, padding, data = data[4 : 4 + length], data[4 + length : 4 + padded], data[4 + padded :]
        if code == 0:
            assert length == 0
            assert data == b""
            return found
        assert len(value) == length
        assert not any(padding)
        found[code] = value


def packet_of(body: bytes) -> Seen:
    interface, high, low, captured, length = struct.unpack("<5I", body[:20])
    assert (interface, captured) == (0, length)
    padded = (length + 3) // 4 * 4
    assert not any(body[20 + length : 20 + padded])
    told = options(body[20 + padded :])
    at = (high * 2**32 + low) / 1e6
    (flags,) = struct.unpack("<I", told[2])
    return transport(at, DIRECTIONS[flags], told.get(1, b"").decode(), *ip(body[20 : 20 + length]))


def ip(packet: bytes) -> tuple[str, list[str], bytes]:
    """Protocol, source, destination and what is in an IP packet; its checksum, and that within, have to be right."""
    if packet[0] >> 4 == 4:
        assert packet[0] == 0x45
        assert ones_sum(packet[:20]) == 0xFFFF
        assert struct.unpack("!H", packet[2:4])[0] == len(packet)
        protocol, hosts, payload = packet[9], (packet[12:16], packet[16:20]), packet[20:]
    else:
        assert packet[:4] == bytes.fromhex("60000000")
        assert struct.unpack("!H", packet[4:6])[0] == len(packet) - 40
        protocol, hosts, payload = packet[6], (packet[8:24], packet[24:40]), packet[40:]
    pseudo = b"".join(hosts) + struct.pack("!II", len(payload), protocol)
    assert ones_sum(pseudo + payload) == 0xFFFF
    return PROTOCOLS[protocol], [str(ipaddress.ip_address(host)) for host in hosts], payload


def transport(at: float, inbound: bool, comment: str, protocol: str, hosts: list[str], data: bytes) -> Seen:
    """UDP or TCP."""
    ports = struct.unpack("!HH", data[:4])
    source, destination = zip(hosts, ports, strict=True)
    if protocol == "udp":
        length, checksum = struct.unpack("!HH", data[4:8])
        assert length == len(data)
        assert checksum != 0, "0 says that none was computed"
        return Seen(at, inbound, comment, protocol, source, destination, data[8:])
    sequence, acknowledged, offset, flags = struct.unpack("!IIBB", data[4:14])
    assert (offset, flags) == (5 << 4, 0x18)
    return Seen(at, inbound, comment, protocol, source, destination, data[20:], sequence, acknowledged)


def ones_sum(data: bytes) -> int:
    """The ones' complement sum of 16-bit words, word by word."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total
