"""Facts of IP and UDP that several layers need (RFC 791, RFC 8200, RFC 768)."""

from __future__ import annotations

MAX_PORT = 65535
"""The largest port number: the field has 16 bits."""
MAX_UDP_DATAGRAM = 65535
"""Bytes that one read from a UDP socket may return: the length field has 16 bits."""
IP_UDP_HEADER = {4: 28, 6: 48}
"""Bytes of IP and UDP headers per datagram, by IP version."""
