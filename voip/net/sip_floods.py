"""Floods of what cannot be SIP at the UDP port of SIP, dropped by the kernel (RFC 3261 section 7).

While there is such a flood the sockets have a filter. It lets pass what begins as a request, a response, a keep-alive
or STUN does and is long enough, and a sample of the rest. Requests pass: how many of those are read is decided by the
user agent, which knows hosts and calls. Linux only, as in `floods`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection

from voip.net.floods import (
    CALM_RATE,
    CAN_FILTER,
    CHECK_INTERVAL,
    COUNTER,
    FLOOD_DATAGRAMS,
    SAMPLE_MASK,
    FloodCounter,
    Instruction,
    assembled,
    attach,
    detach,
    drops,
)
from voip.net.loop import EventLoop

SHORTEST = 16
"""Bytes below which nothing that begins with letters is a message: "SIP/2.0 200" and the ends of three lines are
more."""
LETTERS = 3
"""Letters that each message begins with: no method is shorter than ACK and BYE."""
LAST_OF_STUN, STUN_COOKIE, COOKIE_AT = 3, 0x2112A442, 4
"""The highest first byte of STUN (RFC 7983), and what stands where in it (RFC 8489 section 5)."""
SPACES = b"\n\r "
"""What a keep-alive, or a message behind one, may begin with."""
_UDP_HEADER = 8
_LOAD_BYTE, _LOAD_WORD, _LOAD_LENGTH = 0x30, 0x20, 0x80  # <linux/filter.h>: BPF_LD with B|ABS, W|ABS, W|LEN
_EQUAL, _GREATER, _AT_LEAST, _ANY_BIT, _OR, _RETURN = 0x15, 0x25, 0x35, 0x45, 0x44, 0x06  # BPF_JEQ to BPF_RET
_RANDOM = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM
_CASE = 0x20
_WHOLE = 0x40000


def can_be_sip(data: bytes) -> bool:
    """Whether a datagram begins as SIP, a keep-alive or STUN does; the filter asks the same."""
    if data[:1] and data[0] <= LAST_OF_STUN:
        return data[COOKIE_AT : COOKIE_AT + 4] == STUN_COOKIE.to_bytes(4, "big")
    return data[:1] in (b"\n", b"\r", b" ") or (data[:LETTERS].isalpha() and len(data) >= SHORTEST)


def program() -> list[tuple[int, int, int, int]]:
    """The filter of a UDP socket, as `floods.program` makes one. What is too short for a question is dropped."""
    code: list[Instruction] = [
        (_LOAD_BYTE, "", "", _UDP_HEADER),
        *((_EQUAL, "pass", "", each) for each in SPACES),
        (_GREATER, "text", "", LAST_OF_STUN),
        (_LOAD_WORD, "", "", _UDP_HEADER + COOKIE_AT),
        (_EQUAL, "pass", "sample", STUN_COOKIE),
    ]
    text = len(code)
    for place in range(LETTERS):
        code += [
            (_LOAD_BYTE, "", "", _UDP_HEADER + place),
            (_OR, "", "", _CASE),
            (_AT_LEAST, "", "sample", ord("a")),
            (_GREATER, "sample", "", ord("z")),
        ]
    code += [(_LOAD_LENGTH, "", "", 0), (_AT_LEAST, "pass", "", _UDP_HEADER + SHORTEST)]
    sample = len(code)
    code += [(_LOAD_WORD, "", "", _RANDOM), (_ANY_BIT, "", "pass", SAMPLE_MASK), (_RETURN, "", "", 0)]
    return assembled([*code, (_RETURN, "", "", _WHOLE)], {"text": text, "sample": sample, "pass": len(code)})


class SipFloodGuard:
    """Watches over the UDP sockets of SIP. Network thread only. `on_dropped` is told how many the kernel has dropped
    since it was told last, `say` prints a line from a verbosity on."""

    def __init__(
        self,
        loop: EventLoop,
        sockets: Callable[[], Collection[socket.socket]],
        on_dropped: Callable[[int], object],
        say: Callable[[int, str], object],
    ) -> None:
        self._loop, self._sockets, self._on_dropped, self._say = loop, sockets, on_dropped, say
        self._counter = FloodCounter(FLOOD_DATAGRAMS)
        self._drops: dict[socket.socket, int] = {}
        self._dropped = 0

    def note(self, data: bytes, now: float) -> None:
        """This datagram has come."""
        if CAN_FILTER and not can_be_sip(data) and self._counter.is_flood(now) and not self._drops:
            self._begin()

    def close(self) -> None:
        """Count what was dropped last; the sockets are about to be closed."""
        self._count()
        self._drops = {}

    def _begin(self) -> None:
        self._drops, self._dropped = {sock: drops(sock) for sock in self._sockets()}, 0
        for sock in self._drops:
            attach(sock, program())
        self._say(1, "SIP port: a flood of what is no SIP is dropped by the kernel")
        self._loop.call_later(CHECK_INTERVAL, self._check)

    def _check(self) -> None:
        if not self._drops:
            return
        if self._count() >= CALM_RATE * CHECK_INTERVAL:
            self._loop.call_later(CHECK_INTERVAL, self._check)
            return
        for sock in self._drops:
            detach(sock)
        self._drops = {}
        self._say(1, f"SIP port: the flood is over, {self._dropped} datagrams were dropped")

    def _count(self) -> int:
        """What was dropped since the last look."""
        new = 0
        for sock, before in self._drops.items():
            self._drops[sock] = drops(sock)
            new += (self._drops[sock] - before) % COUNTER
        self._dropped += new
        self._on_dropped(new)
        return new
