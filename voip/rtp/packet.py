"""One RTP packet to and from bytes (RFC 3550 section 5.1), and telling RTCP from it (RFC 5761 section 4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from voip.errors import ProtocolError

MAX_DATAGRAM = 1200
"""UDP payload bytes; no packet of ours is larger, so that none is ever fragmented."""

_VERSION = 2
_VERSION_BITS = _VERSION << 6
_VERSION_MASK = 0xC0
_PADDING_BIT = 0x20
_EXTENSION_BIT = 0x10
_CSRC_MASK = 0x0F
_MARKER_BIT = 0x80
_PAYLOAD_TYPE_MASK = 0x7F
_HEADER = struct.Struct("!BBHII")
HEADER_BYTES = _HEADER.size
"""Of a packet without CSRCs and extensions (RFC 3550 section 5.1)."""
_EXTENSION_HEADER = struct.Struct("!HH")
_WORD = 4
_MAX_CSRCS = 15

_RTCP_TYPES = range(192, 224)  # RFC 5761 section 4

_unpack_header = _HEADER.unpack_from
_pack_header = _HEADER.pack


def unwrap(value: int, near: int, bits: int = 16) -> int:
    """The integer nearest to `near` whose low `bits` bits are `value`; of two equally near ones the lower."""
    half = 1 << (bits - 1)
    return near + ((value - near + half) & ((1 << bits) - 1)) - half


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram of a port that carries both is RTCP (RFC 5761 section 4)."""
    return len(data) > 1 and data[1] in _RTCP_TYPES and data[0] & _VERSION_MASK == _VERSION_BITS


@dataclass(slots=True)
class RtpPacket:
    """One RTP packet (RFC 3550 section 5.1); for every valid datagram, serialize(parse(datagram)) is the datagram.

    `extension` is (profile, data of whole 32-bit words). `padding` holds the padding octets as they were, the final
    count included. `recovered` marks a packet that FEC rebuilt; it is not on the wire.

    A packet keeps the bytes that it was parsed from, or that `serialize` made once, so no field of it that is on the
    wire may change after either: `dataclasses.replace` makes another packet, without those bytes.
    """

    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None
    padding: bytes = b""
    recovered: bool = False
    _datagram: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, data: bytes) -> RtpPacket:
        """Read a datagram; ProtocolError, and nothing else, if it is not one whole RTP packet."""
        if len(data) < _HEADER.size:
            raise ProtocolError(f"RTP packet of {len(data)} bytes: shorter than its header")
        first, second, sequence_number, timestamp, ssrc = _unpack_header(data)
        payload_type = second & _PAYLOAD_TYPE_MASK
        marker = second >= _MARKER_BIT
        if first == _VERSION_BITS:  # nearly every packet: no padding, extension or CSRC
            packet = cls(payload_type, sequence_number, timestamp, ssrc, data[_HEADER.size :], marker)
            packet._datagram = data
            return packet
        if first & _VERSION_MASK != _VERSION_BITS:
            raise ProtocolError(f"RTP version {first >> 6}")
        csrcs, extension, start = _parse_header_options(data, first)
        end = len(data) - _padding_size(data, start) if first & _PADDING_BIT else len(data)
        payload, padding = data[start:end], data[end:]
        packet = cls(payload_type, sequence_number, timestamp, ssrc, payload, marker, csrcs, extension, padding)
        packet._datagram = data
        return packet

    def serialize(self) -> bytes:
        """The datagram; ValueError if a field does not fit its place."""
        if self._datagram is None:
            self._datagram = self._serialize()
        return self._datagram

    def _serialize(self) -> bytes:
        first, options = _VERSION_BITS, b""
        second = self.payload_type | _MARKER_BIT if self.marker else self.payload_type
        if self.payload_type > _PAYLOAD_TYPE_MASK:
            raise ValueError(f"payload type {self.payload_type}: at most {_PAYLOAD_TYPE_MASK}")
        try:
            if self.csrcs or self.extension is not None:
                first, options = _serialize_header_options(self.csrcs, self.extension)
            if self.padding:
                first |= _PADDING_BIT
            header = _pack_header(first, second, self.sequence_number, self.timestamp, self.ssrc)
        except struct.error as error:
            raise ValueError(f"RTP header: {error}") from error
        if self.padding and self.padding[-1] != len(self.padding):
            raise ValueError("the last padding octet must count the padding octets")
        return header + options + self.payload + self.padding


def _parse_header_options(data: bytes, first: int) -> tuple[tuple[int, ...], tuple[int, bytes] | None, int]:
    """CSRCs, header extension and where the payload begins."""
    start = _HEADER.size
    csrc_count = first & _CSRC_MASK
    end = start + csrc_count * _WORD
    if end > len(data):
        raise ProtocolError("RTP packet ends inside its CSRC list")
    csrcs = struct.unpack_from(f"!{csrc_count}I", data, start)
    if not first & _EXTENSION_BIT:
        return csrcs, None, end
    start = end + _EXTENSION_HEADER.size
    if start > len(data):
        raise ProtocolError("RTP packet ends inside its header extension")
    profile, words = _EXTENSION_HEADER.unpack_from(data, end)
    end = start + words * _WORD
    if end > len(data):
        raise ProtocolError("RTP packet ends inside its header extension")
    return csrcs, (profile, data[start:end]), end


def _serialize_header_options(csrcs: tuple[int, ...], extension: tuple[int, bytes] | None) -> tuple[int, bytes]:
    """The first octet and what stands between the fixed header and the payload."""
    if len(csrcs) > _MAX_CSRCS:
        raise ValueError(f"{len(csrcs)} CSRCs: at most {_MAX_CSRCS} fit")
    first = _VERSION_BITS | len(csrcs)
    options = struct.pack(f"!{len(csrcs)}I", *csrcs)
    if extension is None:
        return first, options
    profile, data = extension
    if len(data) % _WORD or len(data) // _WORD > 0xFFFF:
        raise ValueError(f"header extension of {len(data)} bytes: must be whole 32-bit words")
    return first | _EXTENSION_BIT, options + _EXTENSION_HEADER.pack(profile, len(data) // _WORD) + data


def _padding_size(data: bytes, start: int) -> int:
    """Padding octets at the end of a packet whose payload begins at `start`, by its last octet."""
    count = data[-1]
    if not 0 < count <= len(data) - start:
        raise ProtocolError(f"RTP padding of {count} octets in {len(data) - start}")
    return count
