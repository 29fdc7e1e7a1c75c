"""The frame of DTLS records (RFC 6347 section 4.1), as far as it tells whether a datagram can be one of ours."""

from __future__ import annotations

import struct

FIRST_BYTES = range(20, 64)
"""First bytes of what is DTLS on a port that is shared with STUN and RTP (RFC 7983 section 7)."""
_HEADER = struct.Struct("!BHHIHH")  # type, version, epoch, the upper and lower part of the sequence number (48), length
_HEADER_LENGTH = 13
_CONTENT_TYPES = range(20, 24)
_VERSIONS = (0xFEFF, 0xFEFD)
"""DTLS 1.0, which the first record of a handshake may name, and 1.2."""
_MAX_LENGTH = (1 << 14) + 2048
"""Bytes that a record may hold (RFC 6347 section 4.1)."""
_ALERT, _HANDSHAKE, _CLIENT_HELLO = 21, 22, 1
_FATAL = 2
_ALERTS = {
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
}
"""Descriptions of alerts that a handshake may end with (RFC 5246 section 7.2)."""
MAX_RECORDS = 64
"""Records of one datagram that are read: the rest is junk, for no flight of a handshake has as many."""


def is_dtls(data: bytes) -> bool:
    """Whether a datagram is DTLS by its first byte."""
    return bool(data) and data[0] in FIRST_BYTES


def split(data: bytes) -> list[bytes]:
    """The whole records of a datagram; what follows the last one that can be read is left out."""
    records: list[bytes] = []
    while len(data) >= _HEADER_LENGTH and len(records) < MAX_RECORDS:
        kind, version, _, _, _, length = _HEADER.unpack_from(data)
        end = _HEADER_LENGTH + length
        if kind not in _CONTENT_TYPES or version not in _VERSIONS or not 0 < length <= _MAX_LENGTH or end > len(data):
            break
        records.append(data[:end])
        data = data[end:]
    return records


def is_client_hello(record: bytes) -> bool:
    """Whether a record can begin a handshake: only that is answered to an address which is not known."""
    return record[0] == _HANDSHAKE and record[3:5] == b"\0\0" and record[_HEADER_LENGTH] == _CLIENT_HELLO


def clear_alert(record: bytes) -> str | None:
    """What an alert in clear says; None for any other record. Anybody may have sent it (RFC 6347 section 4.1.2.7)."""
    if record[0] != _ALERT or record[3:5] != b"\0\0":
        return None
    level, code = record[_HEADER_LENGTH], record[_HEADER_LENGTH + 1 : _HEADER_LENGTH + 2]
    return _ALERTS.get(code[0], f"alert {code[0]}") if level == _FATAL and code else ""


def pack(records: list[bytes], mtu: int) -> list[bytes]:
    """Records as datagrams of at most `mtu` bytes, as many records in each as it holds."""
    datagrams: list[bytes] = []
    for record in records:
        if datagrams and len(datagrams[-1]) + len(record) <= mtu:
            datagrams[-1] += record
        else:
            datagrams.append(record)
    return datagrams
