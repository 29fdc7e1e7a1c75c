"""A man in the middle, who does to each datagram of a call what a plan says: one piece of bytes for each misdeed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from tests.support.virtual_calls import ELSEWHERE, Endpoint, Wires

MOST_MISDEEDS = 24
LONGEST_DELAY = 2000
"""Milliseconds by which a datagram is held back at most."""
SKIPPED_BITS, PLACE = 3, 2
"""Bits of a control octet below the number of datagrams that pass unharmed; octets of a place."""
_LENGTH = re.compile(rb"(?i)(\r\n(?:content-length|l)[ \t]*:[ \t]*)\d+")
_HEADERS_END = b"\r\n\r\n"


class Middle:
    """Between both programs: `pass_on` is for `Wires.meddle`. The first octet of each piece says after how many
    datagrams it has its turn, and what is done then; what follows is a place, where one is needed, and bytes."""

    def __init__(self, wires: Wires, plan: Iterable[tuple[int, bytes]]) -> None:
        self._wires = wires
        self._plan: Iterator[tuple[int, bytes]] = iter([*plan][:MOST_MISDEEDS])
        self._seen: list[tuple[bytes, Endpoint]] = []
        self._misdeeds: tuple[Callable[[bytes, Endpoint, Endpoint, bytes], None], ...] = (
            *(self._turn_bits, self._drop, self._double, self._delay),
            *(self._splice, self._replace_line, self._forge, self._replay),
        )
        self._take_next()

    def pass_on(self, data: bytes, source: Endpoint, destination: Endpoint) -> None:
        self._seen.append((data, source))
        if self._next is None:
            self._wires.carry(data, source, destination)
        elif self._skipped:
            self._skipped -= 1
            self._wires.carry(data, source, destination)
        else:
            misdeed, change = self._next
            self._take_next()
            misdeed(data, source, destination, change)

    def _take_next(self) -> None:
        self._next: tuple[Callable[[bytes, Endpoint, Endpoint, bytes], None], bytes] | None = None
        self._skipped = 0
        for control, change in self._plan:
            self._skipped = control >> SKIPPED_BITS
            self._next = self._misdeeds[control & (1 << SKIPPED_BITS) - 1], change
            return

    # --- misdeeds -------------------------------------------------------------------------------------------------

    def _turn_bits(self, data: bytes, source: Endpoint, destination: Endpoint, change: bytes) -> None:
        place, masks = _place(change, len(data)), change[PLACE:]
        turned = bytes(byte ^ mask for byte, mask in zip(data[place:], masks, strict=False))
        self._wires.carry(data[:place] + turned + data[place + len(turned) :], source, destination)

    def _drop(self, data: bytes, source: Endpoint, destination: Endpoint, change: bytes) -> None:
        """It never arrives."""

    def _double(self, data: bytes, source: Endpoint, destination: Endpoint, change: bytes) -> None:
        for late in (0.0, _place(change, LONGEST_DELAY) / 1000.0):
            self._wires.carry(data, source, destination, late)

    def _delay(self, data: bytes, source: Endpoint, destination: Endpoint, change: bytes) -> None:
        self._wires.carry(data, source, destination, _place(change, LONGEST_DELAY) / 1000.0)

    def _splice(self, data: bytes, source: Endpoint, destination: Endpoint, change: bytes) -> None:
        """Some octets in the place of some others."""
        place, count = _place(change, len(data)), sum(change[PLACE : PLACE + 1])
        self._wires.carry(_mended(data[:place] + change[PLACE + 1 :] + data[place + count :]), source, destination)

    def _replace_line(self, data: bytes, source: Endpoint, destination: Endpoint, change: bytes) -> None:
        """Another line in the place of one, or none."""
        lines = data.split(b"\r\n")
        place = _place(change, len(lines))
        lines[place : place + 1] = change[PLACE:].split(b"\n") if change[PLACE:] else []
        self._wires.carry(_mended(b"\r\n".join(lines)), source, destination)

    def _forge(self, data: bytes, source: Endpoint, destination: Endpoint, change: bytes) -> None:
        """Something of our own, before it."""
        self._wires.carry(change, source, destination)
        self._wires.carry(data, source, destination)

    def _replay(self, data: bytes, source: Endpoint, destination: Endpoint, change: bytes) -> None:
        """One that has passed already, from where it came or from elsewhere, before this one."""
        again, its_source = self._seen[_place(change, len(self._seen))]
        self._wires.carry(again, (ELSEWHERE, 6666) if change[PLACE:] else its_source, destination)
        self._wires.carry(data, source, destination)


def _place(change: bytes, length: int) -> int:
    return int.from_bytes(change[:PLACE], "big") % max(1, length)


def _mended(data: bytes) -> bytes:
    """With the length of its body as it is."""
    head, end, body = data.partition(_HEADERS_END)
    return _LENGTH.sub(lambda found: found[1] + b"%d" % len(body), head) + end + body
