"""Datagrams that could not be delivered, as ICMP tells of them (RFC 792), by the sender's socket.

A socket that is not connected learns nothing of ICMP unless it asks for it: Linux then keeps a queue of errors beside
the data (ip(7), IP_RECVERR). Elsewhere nothing is known, and time-outs decide alone. Whoever knows our port can forge
such a message: it is a hint, never a proof.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import sys
from collections.abc import Iterator

from voip.net.zones import learned

IP_RECVERR = 11
"""<linux/in.h>; Python has no name for it."""
IPV6_RECVERR = 25
"""<linux/in6.h>"""
_OPTIONS = {socket.AF_INET: (socket.IPPROTO_IP, IP_RECVERR), socket.AF_INET6: (socket.IPPROTO_IPV6, IPV6_RECVERR)}
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
"""struct sock_extended_err of <linux/errqueue.h>: errno, origin, type, code, pad, info, data."""
_FROM_ICMP = (2, 3)
"""SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6."""
_ERRORS_PER_TURN = 100
_ANCILLARY_BYTES = 512
QUEUES_ERRORS = sys.platform == "linux"
"""Whether sockets can be asked."""


def ask_for_refusals(sock: socket.socket) -> None:
    """Let this UDP socket keep what ICMP says of what it sent."""
    if QUEUES_ERRORS:
        level, option = _OPTIONS[sock.family]
        with contextlib.suppress(OSError):
            sock.setsockopt(level, option, 1)


def refusals(sock: socket.socket) -> Iterator[tuple[str, int]]:
    """The hosts and ports that have refused a datagram of this socket, one for each; empties its queue of errors."""
    if not QUEUES_ERRORS:
        return
    for _ in range(_ERRORS_PER_TURN):
        try:
            _, ancillary, _, destination = sock.recvmsg(0, _ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
        except OSError:
            return
        if destination and any(_is_refusal(level, kind, data) for level, kind, data in ancillary):
            yield learned(destination), destination[1]


def _is_refusal(level: int, kind: int, data: bytes) -> bool:
    """Whether a control message says that nothing listens at a port."""
    if (level, kind) not in _OPTIONS.values() or len(data) < _EXTENDED_ERROR.size:
        return False
    number, origin, *_ = _EXTENDED_ERROR.unpack_from(data)
    return origin in _FROM_ICMP and number == errno.ECONNREFUSED


def send_datagram(sock: socket.socket, datagram: bytes, address: tuple[object, ...]) -> None:
    """Send, once more if an error of an earlier datagram, perhaps to somebody else, was in the way. OSError."""
    try:
        sock.sendto(datagram, address)
    except ConnectionRefusedError:
        sock.sendto(datagram, address)
