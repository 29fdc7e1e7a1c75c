"""STUN Binding (RFC 8489): asking a server for our public address. Bytes in, bytes out.

No credentials and no ICE. MESSAGE-INTEGRITY is not checked, as no password is shared with the server.
"""

from __future__ import annotations

import ipaddress
import struct
import zlib
from typing import NamedTuple

from voip.errors import ProtocolError

MAGIC_COOKIE = 0x2112A442
HEADER = 20
"""Bytes (section 5)."""
STUN_PORT = 3478
TRANSACTION_ID = 12
"""Bytes."""
FIRST_BYTES = range(4)
"""First bytes of STUN messages, distinct from those of RTP, RTCP, DTLS and SIP (RFC 7983 section 7)."""
RESEND_AFTER = (0.1, 0.3)
"""Seconds after the first request at which it is repeated. Section 6.2.1 has 500 ms for the first and 39.5 s in all,
but a call waits here, and if all requests are lost it has no more than a wrong address."""
GIVE_UP = 0.7
"""Seconds after the first request until it has failed."""

BINDING_REQUEST, BINDING_INDICATION, BINDING_SUCCESS, BINDING_ERROR = 0x0001, 0x0011, 0x0101, 0x0111
MAPPED_ADDRESS, XOR_MAPPED_ADDRESS = 0x0001, 0x0020
ERROR_CODE, FINGERPRINT = 0x0009, 0x8028
FINGERPRINT_XOR = 0x5354554E
OPTIONAL_FROM = 0x8000
"""Attribute types from here on are optional to understand (section 14)."""
UNDERSTOOD = (
    MAPPED_ADDRESS,
    XOR_MAPPED_ADDRESS,
    ERROR_CODE,
    0x0004,  # SOURCE-ADDRESS and CHANGED-ADDRESS of RFC 3489
    0x0005,
    0x0006,  # USERNAME
    0x0008,  # MESSAGE-INTEGRITY
    0x000A,  # UNKNOWN-ATTRIBUTES
    0x0014,  # REALM
    0x0015,  # NONCE
    0x001C,  # MESSAGE-INTEGRITY-SHA256
    0x001D,  # PASSWORD-ALGORITHM
    0x001E,  # USERHASH
)
_FAMILIES = {1: 4, 2: 16}  # section 14.1: bytes of an address


class StunResponse(NamedTuple):
    """A server's response: our address as it sees it, or None and the reason in `error`."""

    transaction_id: bytes
    mapped: tuple[str, int] | None
    error: str = ""


def is_stun(data: bytes) -> bool:
    """Whether a datagram is STUN and not RTP, RTCP or SIP (section 5, RFC 7983)."""
    return len(data) >= HEADER and data[0] in FIRST_BYTES and data[4:8] == MAGIC_COOKIE.to_bytes(4, "big")


def binding_request(transaction_id: bytes) -> bytes:
    """A request with no attribute but FINGERPRINT."""
    return _with_fingerprint(BINDING_REQUEST, transaction_id)


def binding_indication(transaction_id: bytes) -> bytes:
    """What nothing responds to: it opens and keeps a NAT binding (section 6.3.2)."""
    return _with_fingerprint(BINDING_INDICATION, transaction_id)


def parse_response(data: bytes) -> StunResponse:
    """Read the response to a Binding request; ProtocolError if it is none, or malformed."""
    if not is_stun(data):
        raise ProtocolError("not a STUN message")
    kind, length = struct.unpack_from("!HH", data)
    if kind not in (BINDING_SUCCESS, BINDING_ERROR):
        raise ProtocolError(f"STUN message of type {kind:#06x}, which is no response")
    if length % 4 or HEADER + length != len(data):
        raise ProtocolError(f"STUN message of {len(data)} bytes with a length field of {length}")
    transaction_id = data[8:HEADER]
    found: dict[int, bytes] = {}
    for attribute, value in _attributes(data):
        found.setdefault(attribute, value)
    if kind == BINDING_ERROR:
        return StunResponse(transaction_id, None, _reason(found.get(ERROR_CODE, b"")))
    if XOR_MAPPED_ADDRESS in found:
        mask = data[4:8] + transaction_id
        return StunResponse(transaction_id, _address(found[XOR_MAPPED_ADDRESS], mask))
    if MAPPED_ADDRESS in found:  # a server of RFC 3489
        return StunResponse(transaction_id, _address(found[MAPPED_ADDRESS], bytes(HEADER)))
    raise ProtocolError("STUN response without an address")


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = HEADER
    while at < len(data):
        attribute, length = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : at + 4 + length]
        if len(value) < length:
            raise ProtocolError("STUN attribute that ends beyond its message")
        if attribute < OPTIONAL_FROM and attribute not in UNDERSTOOD:
            raise ProtocolError(f"STUN attribute {attribute:#06x} must be understood, but is unknown")
        if attribute == FINGERPRINT and value != _fingerprint(data[:at]):
            raise ProtocolError("STUN message with a wrong fingerprint")
        found.append((attribute, value))
        at += 4 + (length + 3) // 4 * 4
    return found


def _address(value: bytes, mask: bytes) -> tuple[str, int]:
    """Sections 14.1 and 14.2; port and address are masked so that no NAT rewrites them."""
    size = _FAMILIES.get(value[1]) if len(value) > 1 else None
    if size is None or len(value) != 4 + size:
        raise ProtocolError("malformed address in a STUN response")
    port = int.from_bytes(value[2:4], "big") ^ int.from_bytes(mask[:2], "big")
    host = bytes(byte ^ other for byte, other in zip(value[4:], mask, strict=False))
    return str(ipaddress.ip_address(host)), port


def _reason(value: bytes) -> str:
    """Section 14.8: class, number, phrase."""
    if len(value) < 4:
        return "an error without a code"
    phrase = value[4:].decode("utf-8", "replace")
    return f"{(value[2] & 7) * 100 + value[3]} {phrase}".strip()[:100]


def _with_fingerprint(kind: int, transaction_id: bytes) -> bytes:
    message = struct.pack("!HHI", kind, 8, MAGIC_COOKIE) + transaction_id
    return message + struct.pack("!HH", FINGERPRINT, 4) + _fingerprint(message)


def _fingerprint(before: bytes) -> bytes:
    """Section 14.7: over everything before it, where the length already counts the attribute."""
    return (zlib.crc32(before) ^ FINGERPRINT_XOR).to_bytes(4, "big")
