"""The file format of captures: pcapng (draft-ietf-opsawg-pcapng-03), as far as one program needs it to write.

A section header block (section 4.1), an interface description block (4.2), an enhanced packet block for each packet
(4.3), and at the end an interface statistics block (4.6), with their options (3.5). Packets begin with their IP header
(LINKTYPE_RAW of draft-ietf-opsawg-pcaplinktype). All numbers are little-endian, which the section header says.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

LINKTYPE_RAW = 101
SECTION_HEADER, INTERFACE_DESCRIPTION, INTERFACE_STATISTICS, ENHANCED_PACKET = 0x0A0D0D0A, 1, 5, 6
"""Block types."""
BYTE_ORDER_MAGIC = 0x1A2B3C4D
TICKS = 1_000_000
"""Of time stamps, in a second: the resolution of a section that names no other (if_tsresol, section 4.2)."""
UNKNOWN_LENGTH = 0xFFFF_FFFF_FFFF_FFFF
"""Of a section: that it goes on to the end of the file."""
COMMENT, USER_APPLICATION, INTERFACE_NAME = 1, 4, 2
"""Options of any block (opt_comment), of a section header (shb_userappl), and of an interface (if_name)."""
PACKET_FLAGS, INBOUND, OUTBOUND = 2, 1, 2
"""The option epb_flags, and its values for packets that came and that were sent."""
RECEIVED, DROPPED = 4, 5
"""Options of statistics: packets noticed (isb_ifrecv), those of them that are not in the file (isb_ifdrop)."""
_PACKET = struct.Struct("<IIIII")
_FLAGS = struct.Struct("<HHIHH")
_DIRECTION = {way: _FLAGS.pack(PACKET_FLAGS, 4, way, 0, 0) for way in (INBOUND, OUTBOUND)}
"""The options of a packet without a comment, their end included."""

Options = Iterable["tuple[int, bytes]"]


def section_header(application: str) -> bytes:
    """The beginning of a file that this program has written."""
    body = struct.pack("<IHHQ", BYTE_ORDER_MAGIC, 1, 0, UNKNOWN_LENGTH)
    return _block(SECTION_HEADER, body + _options([(USER_APPLICATION, application.encode())]))


def interface_description(name: str) -> bytes:
    """The one interface of the file; packets are whole, however long."""
    body = struct.pack("<HHI", LINKTYPE_RAW, 0, 0)
    return _block(INTERFACE_DESCRIPTION, body + _options([(INTERFACE_NAME, name.encode())]))


def enhanced_packet(at: float, packet: bytes, *, inbound: bool, comment: str = "") -> bytes:
    """A packet that came, or was sent, at this time (seconds since 1970)."""
    high, low = _stamp(at)
    way = INBOUND if inbound else OUTBOUND
    options = _DIRECTION[way]
    if comment:
        options = _options([(COMMENT, comment.encode()), (PACKET_FLAGS, struct.pack("<I", way))])
    return _block(ENHANCED_PACKET, _PACKET.pack(0, high, low, len(packet), len(packet)) + _padded(packet) + options)


def interface_statistics(at: float, received: int, dropped: int) -> bytes:
    """The end of a capture at this time: packets that there were, and those that are missing from the file."""
    counts = [(RECEIVED, struct.pack("<Q", received)), (DROPPED, struct.pack("<Q", dropped))]
    return _block(INTERFACE_STATISTICS, struct.pack("<III", 0, *_stamp(at)) + _options(counts))


def _stamp(at: float) -> tuple[int, int]:
    """The upper and lower half of a time stamp."""
    return divmod(round(at * TICKS), 1 << 32)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def _options(options: Options) -> bytes:
    parts = [struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options]
    return b"".join(parts) + bytes(4)  # opt_endofopt


def _padded(value: bytes) -> bytes:
    """Up to a multiple of four bytes."""
    return value + bytes(-len(value) % 4)
