"""STUN Binding (RFC 8489): asking a server for our public address, and the checks of an ICE peer. Bytes in, bytes out.

No password is shared with a server, so that its MESSAGE-INTEGRITY is not checked. The checks of a peer (RFC 8445
section 7) have short-term credentials (section 9.1).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import struct
import zlib
from collections.abc import Collection, Iterator
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
USERNAME, MESSAGE_INTEGRITY, UNKNOWN_ATTRIBUTES = 0x0006, 0x0008, 0x000A
PRIORITY, USE_CANDIDATE, ICE_CONTROLLED, ICE_CONTROLLING = 0x0024, 0x0025, 0x8029, 0x802A
"""Attributes of ICE (RFC 8445 section 16.1)."""
FINGERPRINT_XOR = 0x5354554E
OPTIONAL_FROM = 0x8000
"""Attribute types from here on are optional to understand (section 14)."""
UNDERSTOOD = (
    MAPPED_ADDRESS,
    XOR_MAPPED_ADDRESS,
    ERROR_CODE,
    0x0004,  # SOURCE-ADDRESS and CHANGED-ADDRESS of RFC 3489
    0x0005,
    USERNAME,
    MESSAGE_INTEGRITY,
    UNKNOWN_ATTRIBUTES,
    0x0014,  # REALM
    0x0015,  # NONCE
    0x001C,  # MESSAGE-INTEGRITY-SHA256
    0x001D,  # PASSWORD-ALGORITHM
    0x001E,  # USERHASH
)
UNDERSTOOD_IN_REQUESTS = (*UNDERSTOOD, PRIORITY, USE_CANDIDATE)
MAX_ATTRIBUTES = 32
"""A request with more is refused: those of browsers have ten."""
INTEGRITY_SIZE, FINGERPRINT_SIZE = 24, 8
"""Bytes of these attributes, with their headers."""
_FAMILIES = {1: 4, 2: 16}  # section 14.1: bytes of an address


class StunResponse(NamedTuple):
    """A server's response: our address as it sees it, or None and the reason in `error`."""

    transaction_id: bytes
    mapped: tuple[str, int] | None
    error: str = ""


class StunRequest(NamedTuple):
    """A Binding request with short-term credentials, not proved yet: ask `is_authentic`.

    username has the receiver's part before the colon. priority is that of the pair's remote candidate, None without.
    unknown: attributes that have to be understood, and are not.
    """

    transaction_id: bytes
    username: str
    priority: int | None
    nominates: bool
    controlled: bool
    unknown: tuple[int, ...]
    covered: bytes
    integrity: bytes

    def is_authentic(self, password: str) -> bool:
        """Whether the sender knows the password (section 9.1.3)."""
        return hmac.compare_digest(self.integrity, _integrity(self.covered, password))


def is_stun(data: bytes) -> bool:
    """Whether a datagram is STUN and not RTP, RTCP or SIP (section 5, RFC 7983)."""
    return len(data) >= HEADER and data[0] in FIRST_BYTES and data[4:8] == MAGIC_COOKIE.to_bytes(4, "big")


def binding_request(transaction_id: bytes) -> bytes:
    """A request with no attribute but FINGERPRINT."""
    return _with_fingerprint(BINDING_REQUEST, transaction_id)


def binding_indication(transaction_id: bytes) -> bytes:
    """What nothing responds to: it opens and keeps a NAT binding (section 6.3.2)."""
    return _with_fingerprint(BINDING_INDICATION, transaction_id)


def is_request(data: bytes) -> bool:
    """Whether a STUN message is a Binding request."""
    return data[:2] == BINDING_REQUEST.to_bytes(2, "big")


def parse_request(data: bytes) -> StunRequest:
    """Read a connectivity check; ProtocolError if it is malformed, or lacks USERNAME, MESSAGE-INTEGRITY or
    FINGERPRINT (RFC 8445 section 7.1). What follows MESSAGE-INTEGRITY is not protected by it and does not count."""
    if not is_stun(data) or not is_request(data):
        raise ProtocolError("not a STUN request")
    if int.from_bytes(data[2:4], "big") % 4 or HEADER + int.from_bytes(data[2:4], "big") != len(data):
        raise ProtocolError(f"STUN request of {len(data)} bytes with a wrong length field")
    found: dict[int, bytes] = {}
    unknown: list[int] = []
    covered, integrity, last = b"", b"", 0
    for count, (at, attribute, value) in enumerate(_positions(data)):
        last = attribute
        if count >= MAX_ATTRIBUTES:
            raise ProtocolError("STUN request with too many attributes")
        if attribute == FINGERPRINT and value != _fingerprint(data[:at]):
            raise ProtocolError("STUN message with a wrong fingerprint")
        if integrity:
            continue
        if attribute == MESSAGE_INTEGRITY:
            covered, integrity = _before_integrity(data[:at]), value
        elif attribute < OPTIONAL_FROM and attribute not in UNDERSTOOD_IN_REQUESTS:
            unknown.append(attribute)
        found.setdefault(attribute, value)
    if USERNAME not in found or not integrity or last != FINGERPRINT:
        raise ProtocolError("STUN request without credentials or fingerprint")
    priority = found.get(PRIORITY, b"")
    return StunRequest(
        data[8:HEADER],
        found[USERNAME].decode("utf-8", "replace"),
        int.from_bytes(priority, "big") if len(priority) == 4 else None,
        USE_CANDIDATE in found,
        ICE_CONTROLLED in found,
        tuple(unknown),
        covered,
        integrity,
    )


def success_response(transaction_id: bytes, mapped: tuple[str, int], password: str) -> bytes:
    """The response to a check: where it came from (section 7.3.1.1), with short-term credentials."""
    address = ipaddress.ip_address(mapped[0])
    mask = MAGIC_COOKIE.to_bytes(4, "big") + transaction_id
    host = bytes(byte ^ other for byte, other in zip(address.packed, mask, strict=False))
    value = struct.pack("!BBH", 0, 2 if address.version == 6 else 1, mapped[1] ^ MAGIC_COOKIE >> 16) + host
    return _with_credentials(BINDING_SUCCESS, transaction_id, _attribute(XOR_MAPPED_ADDRESS, value), password)


def error_response(
    transaction_id: bytes, code: int, reason: str, password: str, unknown: Collection[int] = ()
) -> bytes:
    """An error response (sections 14.8 and 14.13) to a request that was authentic."""
    attributes = _attribute(ERROR_CODE, struct.pack("!HBB", 0, code // 100, code % 100) + reason.encode())
    if unknown:
        attributes += _attribute(UNKNOWN_ATTRIBUTES, b"".join(each.to_bytes(2, "big") for each in unknown))
    return _with_credentials(BINDING_ERROR, transaction_id, attributes, password)


def check_request(transaction_id: bytes, username: str, password: str, attributes: bytes = b"") -> bytes:
    """A Binding request with short-term credentials; `attributes` go before them."""
    return _with_credentials(
        BINDING_REQUEST, transaction_id, attributes + _attribute(USERNAME, username.encode()), password
    )


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


def _positions(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Where each attribute begins, its type and its value."""
    at = HEADER
    while at < len(data):
        attribute, length = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : at + 4 + length]
        if len(value) < length:
            raise ProtocolError("STUN attribute that ends beyond its message")
        yield at, attribute, value
        at += 4 + (length + 3) // 4 * 4


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    for at, attribute, value in _positions(data):
        if attribute < OPTIONAL_FROM and attribute not in UNDERSTOOD:
            raise ProtocolError(f"STUN attribute {attribute:#06x} must be understood, but is unknown")
        if attribute == FINGERPRINT and value != _fingerprint(data[:at]):
            raise ProtocolError("STUN message with a wrong fingerprint")
        found.append((attribute, value))
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


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _with_credentials(kind: int, transaction_id: bytes, attributes: bytes, password: str) -> bytes:
    """A message with MESSAGE-INTEGRITY and FINGERPRINT behind its attributes."""
    size = len(attributes) + INTEGRITY_SIZE
    covered = struct.pack("!HHI", kind, size, MAGIC_COOKIE) + transaction_id + attributes
    integrity = _attribute(MESSAGE_INTEGRITY, _integrity(covered, password))
    message = covered[:2] + struct.pack("!H", size + FINGERPRINT_SIZE) + covered[4:] + integrity
    return message + struct.pack("!HH", FINGERPRINT, 4) + _fingerprint(message)


def _before_integrity(before: bytes) -> bytes:
    """What MESSAGE-INTEGRITY is computed over: the length is that of a message that ends with it (section 14.5)."""
    return before[:2] + struct.pack("!H", len(before) - HEADER + INTEGRITY_SIZE) + before[4:]


def _integrity(covered: bytes, password: str) -> bytes:
    return hmac.new(password.encode(), covered, hashlib.sha1).digest()


def _fingerprint(before: bytes) -> bytes:
    """Section 14.7: over everything before it, where the length already counts the attribute."""
    return (zlib.crc32(before) ^ FINGERPRINT_XOR).to_bytes(4, "big")
