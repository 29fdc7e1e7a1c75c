"""RFC 8627 once more, byte by byte from its text: an encoder and a decoder that share no code with `voip.fec`.

Packets are `bytes`. `bit_string` is section 6.2's, `recover` sections 6.3.1 to 6.3.3's, with all three kinds of header.
"""

from __future__ import annotations

import struct

MASK_PARTS = (15, 31, 64)


def bit_string(packet: bytes) -> bytes:
    """What is protected of a source packet: its first two octets, its length beyond 12, its timestamp, the rest."""
    return packet[:2] + struct.pack("!H", len(packet) - 12) + packet[4:8] + packet[12:]


def exclusive_or(strings: list[bytes]) -> bytes:
    out = bytearray(max(len(string) for string in strings))
    for string in strings:
        for place, octet in enumerate(string):
            out[place] ^= octet
    return bytes(out)


def mask(positions: list[int]) -> bytes:
    """Figure 10: as many of the three parts as the last position needs."""
    bits = ["0"] * sum(MASK_PARTS)
    for position in positions:
        bits[position] = "1"
    first, second, third = "".join(bits[:15]), "".join(bits[15:46]), "".join(bits[46:])
    last = max(positions, default=0)
    words = [("1" if last >= 15 else "0") + first]
    if last >= 15:
        words.append(("1" if last >= 46 else "0") + second)
    if last >= 46:
        words.append(third)
    return b"".join(int(word, 2).to_bytes(len(word) // 8, "big") for word in words)


class Sender:
    """Writes repair packets of one repair stream."""

    def __init__(self, payload_type: int, ssrc: int, source: int) -> None:
        self.payload_type, self.ssrc, self.source = payload_type, ssrc, source
        self.sequence = 65530

    def flexible(self, packets: list[bytes], *, other_sources: dict[int, bytes] | None = None) -> bytes:
        """R=0, F=0; `other_sources`: further CSRCs with their SN base and mask."""
        base = number_of(packets[0])
        block = struct.pack("!H", base) + mask([(number_of(packet) - base) & 0xFFFF for packet in packets])
        others = other_sources or {}
        return self._parity(0x00, packets, block + b"".join(others.values()), [self.source, *others])

    def fixed(self, packets: list[bytes], columns: int, rows: int) -> bytes:
        """R=0, F=1."""
        return self._parity(0x40, packets, struct.pack("!HBB", number_of(packets[0]), columns, rows), [self.source])

    def retransmission(self, packet: bytes) -> bytes:
        """R=1, F=0: the packet behind another RTP header."""
        return self._rtp([], bytes([0x80 | packet[0] & 0x3F]) + packet[1:])

    def _parity(self, kind: int, packets: list[bytes], blocks: bytes, sources: list[int]) -> bytes:
        parity = bytearray(exclusive_or([bit_string(packet) for packet in packets]))
        parity[0] = parity[0] & 0x3F | kind
        return self._rtp(sources, bytes(parity[:8]) + blocks + bytes(parity[8:]))

    def _rtp(self, sources: list[int], payload: bytes) -> bytes:
        self.sequence = (self.sequence + 1) & 0xFFFF
        head = struct.pack("!BBHII", 0x80 | len(sources), self.payload_type, self.sequence, 5, self.ssrc)
        return head + b"".join(struct.pack("!I", source) for source in sources) + payload


def number_of(packet: bytes) -> int:
    return int.from_bytes(packet[2:4], "big")


def named(repair: bytes) -> list[int]:
    """The sequence numbers that a repair packet of one source protects."""
    return _read(repair)[0]


def recover(repair: bytes, received: dict[int, bytes]) -> bytes | None:
    """The one packet that a repair packet of one source lacks; None unless it lacks exactly one."""
    numbers, protected, ssrc = _read(repair)
    missing = [number for number in numbers if number not in received]
    if len(missing) != 1:
        return None
    bits = exclusive_or([protected] + [bit_string(received[number]) for number in numbers if number in received])
    length = int.from_bytes(bits[2:4], "big")
    head = bytes([0x80 | bits[0] & 0x3F, bits[1]]) + struct.pack("!H", missing[0]) + bits[4:8]
    return head + struct.pack("!I", ssrc) + bits[8 : 8 + length]


def _read(repair: bytes) -> tuple[list[int], bytes, int]:
    """Numbers, FEC bit string, SSRC of the source."""
    assert repair[0] >> 6 == 2
    sources = repair[0] & 15
    payload = repair[12 + 4 * sources :]
    retransmission, fixed = payload[0] >> 7, payload[0] >> 6 & 1
    if retransmission:
        assert not fixed
        return [number_of(payload)], bit_string(payload), int.from_bytes(payload[8:12], "big")
    assert sources == 1
    ssrc = int.from_bytes(repair[12:16], "big")
    base = int.from_bytes(payload[8:10], "big")
    if fixed:
        columns, rows = payload[10], payload[11]
        assert columns > 0
        places, at = ([i * columns for i in range(rows)] if rows > 1 else list(range(columns))), 12
    else:
        places, at, before = [], 10, 0
        for bits in MASK_PARTS:
            size = (bits + 1) // 8 if bits != MASK_PARTS[-1] else 8
            word = int.from_bytes(payload[at : at + size], "big")
            places += [before + i for i in range(bits) if word >> (bits - 1 - i) & 1]
            at, before = at + size, before + bits
            if bits == MASK_PARTS[-1] or not word >> bits & 1:
                break
    return [(base + place) & 0xFFFF for place in places], payload[:8] + payload[at:], ssrc
