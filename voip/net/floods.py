"""Floods of a media port from elsewhere, dropped by the kernel (socket(7), SO_ATTACH_FILTER).

A datagram that is read only to be dropped costs 5 us, one that a filter of the socket refuses costs its sender alone.
The filter lets pass what comes from hosts of the call, what has the SSRC of the peer, which is how a peer that has
moved shows itself, and a sample of the rest. In a flood that claims to be of the peer it lets pass what has its SSRC
alone. It is there only while there is a flood. Linux only: elsewhere a flood costs time, but hardly any sound.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import socket
import struct
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from voip.net.loop import EventLoop
from voip.session import RtpSession

FLOOD_DATAGRAMS, FLOOD_SECONDS = 200, 0.25
"""So many datagrams of strangers within so many seconds are a flood: twice the packets of a stream of 2.5 ms each."""
PEER_FLOOD_DATAGRAMS = 1000
"""The same for datagrams that come from where the peer is: 4000 a second, more than any format and its repair need."""
CALM_RATE = 100.0
"""Datagrams a second below which the flood is over."""
CHECK_INTERVAL = 1.0
"""Seconds between looks at what the kernel has dropped."""
SAMPLE_MASK = 0xFF
"""One in 256 strangers passes: 200 a second of 50,000."""
COUNTER = 1 << 32
"""What `drops` counts to before it begins anew."""
CAN_FILTER = sys.platform == "linux"
"""Whether sockets take filters."""

Instruction = tuple[int, str, str, int]
"""Code, label if true, label if false ("": the next), operand."""
_ATTACH, _DETACH = 26, 27  # <asm-generic/socket.h>: SO_ATTACH_FILTER, SO_DETACH_FILTER
_MEMORY_INFO, _MEMORY_FIELDS, _DROPS = 55, 9, 8  # SO_MEMINFO, and SK_MEMINFO_DROPS of <linux/sock_diag.h>
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # <linux/filter.h>: BPF_LD|W|ABS, BPF_JEQ, BPF_JSET, BPF_RET
_NETWORK_HEADER, _RANDOM = 0xFFF00000, 0xFFFFF000 + 56  # SKF_NET_OFF, SKF_AD_OFF + SKF_AD_RANDOM
_SOURCE = {4: 12, 6: 8}  # of the address in the IP header
_UDP_HEADER = 8
_SSRC_IN_RTP, _SSRC_IN_RTCP = _UDP_HEADER + 8, _UDP_HEADER + 4
_WHOLE = 0x40000
_INSTRUCTION = struct.Struct("=HBBI")
_PROGRAM = struct.Struct("HP")


class Rules(NamedTuple):
    """What passes: datagrams of these hosts, if they have one of `peer_ssrcs` (None: any), and of others, if they have
    one of `other_ssrcs`."""

    hosts: frozenset[str]
    peer_ssrcs: frozenset[int] | None
    other_ssrcs: frozenset[int]


class FloodCounter:
    """Finds out when `datagrams` have come within FLOOD_SECONDS."""

    def __init__(self, datagrams: int) -> None:
        self._datagrams = datagrams
        self._count, self._since = 0, float("-inf")

    def is_flood(self, now: float) -> bool:
        """One more has come: whether it is the last of so many."""
        self._count += 1
        if self._count < self._datagrams:
            return False
        fast = now - self._since < FLOOD_SECONDS
        self._count, self._since = 0, now
        return fast


class FloodGuard:
    """Watches over the sockets of one media port. Network thread only. What the kernel drops counts as foreign, or, of
    a flood as the peer, as stray."""

    def __init__(
        self,
        loop: EventLoop,
        sockets: Sequence[socket.socket],
        say: Callable[[int, str], object],
        others: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """`others`: hosts that have something to say besides the peer."""
        self._loop, self._sockets, self._say, self._others = loop, sockets, say, others
        self._session: RtpSession | None = None
        self._known: frozenset[str] = frozenset()
        self._strangers, self._peers = FloodCounter(FLOOD_DATAGRAMS), FloodCounter(PEER_FLOOD_DATAGRAMS)
        self._rules: Rules | None = None
        self._doubts_peer = self._doubts_ssrc = False
        self._drops: tuple[int, ...] = ()
        self._dropped = 0

    def watch(self, session: RtpSession) -> None:
        """Begin, for the peer of this session."""
        self._session = session
        self._known = self._hosts(session)

    def note(self, source: tuple[str, int], now: float) -> None:
        """A datagram has come from there."""
        known = source[0] in self._known
        if (self._peers if known else self._strangers).is_flood(now) and self._session is not None and CAN_FILTER:
            self._on_flood(self._session, source[0], as_peer=known)

    def close(self) -> None:
        """Count what was dropped last; the sockets are about to be closed."""
        if self._session is not None and self._rules is not None:
            self._count(self._session)
        self._session = self._rules = None

    def _on_flood(self, session: RtpSession, host: str, *, as_peer: bool) -> None:
        self._known = self._hosts(session)
        if not self._known or as_peer != (host in self._known) or (as_peer and session.ssrc is None):
            return  # anyone may be the peer, it is the peer's own, or there is nothing to know it by
        begins = self._rules is None
        if as_peer:
            self._doubts_peer = True
        elif not begins:  # it has the peer's SSRC: where two claim to be the peer, neither is believed
            self._doubts_ssrc = True
        if begins:
            self._dropped, self._drops = 0, self._read_drops()
            self._loop.call_later(CHECK_INTERVAL, self._check)
            whose = "that claims to be of the peer" if as_peer else "from other addresses"
            self._say(1, f"media port {self._port}: a flood {whose} is dropped by the kernel")
        self._attach(self._rules_for(session))

    def _rules_for(self, session: RtpSession) -> Rules:
        ssrcs = session.ssrcs
        return Rules(self._known, ssrcs if self._doubts_peer else None, frozenset() if self._doubts_ssrc else ssrcs)

    def _attach(self, rules: Rules) -> None:
        if rules != self._rules:
            self._rules = rules
            for sock in self._sockets:
                attach(sock, program(rules, version=6 if sock.family == socket.AF_INET6 else 4))

    def _check(self) -> None:
        session = self._session
        if session is None or self._rules is None:
            return
        self._known = self._hosts(session)
        if self._count(session) >= CALM_RATE * CHECK_INTERVAL:
            self._attach(self._rules_for(session))
            self._loop.call_later(CHECK_INTERVAL, self._check)
            return
        self._rules, self._doubts_peer, self._doubts_ssrc = None, False, False
        for sock in self._sockets:
            detach(sock)
        self._say(1, f"media port {self._port}: the flood is over, {self._dropped} datagrams were dropped")

    def _count(self, session: RtpSession) -> int:
        """What was dropped since the last look."""
        before, self._drops = self._drops, self._read_drops()
        new = sum((now - then) % COUNTER for then, now in zip(before, self._drops, strict=True))
        session.note_filtered(new, as_peer=self._doubts_peer)
        self._dropped += new
        return new

    def _read_drops(self) -> tuple[int, ...]:
        return tuple(drops(sock) for sock in self._sockets)

    def _hosts(self, session: RtpSession) -> frozenset[str]:
        hosts = session.hosts
        return hosts.union(self._others()) if hosts else hosts

    @property
    def _port(self) -> int:
        port: int = self._sockets[0].getsockname()[1]
        return port


def program(rules: Rules, *, version: int) -> list[tuple[int, int, int, int]]:
    """A filter of a UDP socket, which sees datagrams from their UDP header on: code, jumps if true and false, operand.

    Beside what the rules say, one of SAMPLE_MASK + 1 passes of all that they would drop.
    """
    code: list[Instruction] = []
    labels: dict[str, int] = {}
    for number, host in enumerate(sorted(rules.hosts)):
        address = _parsed(host)
        if address is None or address.version != version:
            continue
        words = struct.unpack(f"!{len(address.packed) // 4}I", address.packed)
        for at, word in enumerate(words):
            code.append((_LOAD, "", "", _NETWORK_HEADER + _SOURCE[version] + 4 * at))
            code.append((_EQUAL, "known" if at == len(words) - 1 else "", f"after {number}", word))
        labels[f"after {number}"] = len(code)
    code += _with_ssrc(rules.other_ssrcs)
    labels["known"] = len(code)
    code += [] if rules.peer_ssrcs is None else _with_ssrc(rules.peer_ssrcs)
    labels["pass"] = len(code)
    code.append((_RETURN, "", "", _WHOLE))
    return assembled(code, labels)


def assembled(code: Sequence[Instruction], labels: Mapping[str, int]) -> list[tuple[int, int, int, int]]:
    """Instructions with the places of these labels in them."""

    def jump(at: int, label: str) -> int:
        return labels[label] - at - 1 if label else 0

    return [(kind, jump(at, true), jump(at, false), operand) for at, (kind, true, false, operand) in enumerate(code)]


def _with_ssrc(ssrcs: frozenset[int]) -> list[Instruction]:
    """Pass a sample, and RTP and RTCP of these SSRCs; drop the rest."""
    code: list[Instruction] = [(_LOAD, "", "", _RANDOM), (_ANY_BIT, "", "pass", SAMPLE_MASK)]
    for place in (_SSRC_IN_RTCP, _SSRC_IN_RTP) if ssrcs else ():
        code.append((_LOAD, "", "", place))
        code += [(_EQUAL, "pass", "", ssrc) for ssrc in sorted(ssrcs)]
    return [*code, (_RETURN, "", "", 0)]


def attach(sock: socket.socket, instructions: Sequence[tuple[int, int, int, int]]) -> None:
    """Let the kernel filter what this socket receives; in place of another filter, if it has one."""
    text = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*each) for each in instructions))
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _ATTACH, _PROGRAM.pack(len(instructions), ctypes.addressof(text)))


def detach(sock: socket.socket) -> None:
    """Let everything pass again."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _DETACH, 0)


def drops(sock: socket.socket) -> int:
    """Datagrams for this socket that the kernel has dropped so far."""
    try:
        fields = sock.getsockopt(socket.SOL_SOCKET, _MEMORY_INFO, 4 * _MEMORY_FIELDS)
    except OSError:
        return 0
    return int.from_bytes(fields[4 * _DROPS :][:4], sys.byteorder)


def _parsed(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
