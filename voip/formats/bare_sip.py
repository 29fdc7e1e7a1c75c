"""The signalling that goes with `seed0`: start lines of SIP (RFC 3261 section 7) and next to no header fields.

INVITE sip:receiver@HOST SIP/2.0 | Call-ID | CSeq    again every 5 s until there is an answer
SIP/2.0 200 OK                                        the whole answer, from whom BYE is for
BYE sip:receiver@HOST SIP/2.0 | Call-ID | CSeq        not answered
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

PORT = 5060
"""UDP port of the one who is called."""
RETRY = 5.0
"""Seconds from one INVITE to the next."""
OK = b"SIP/2.0 200 OK\r\n\r\n"
BUSY = b"SIP/2.0 486 Busy Here\r\n\r\n"
LONGEST = 1024
"""Bytes of a message that are read."""

_REQUEST = re.compile(rb"([A-Z]+) sips?:\S+ SIP/2\.0\r?$", re.MULTILINE)
_VIA = re.compile(rb"^(?:via|v)[ \t]*:", re.MULTILINE | re.IGNORECASE)
_STATUS = re.compile(rb"SIP/2\.0 ([1-6]\d\d)\b")

Address = tuple[str, int]


def method_of(data: bytes) -> str:
    """The method of a request; "" for anything else, whatever words it has in it."""
    found = _REQUEST.match(data[:LONGEST])
    return "" if found is None else found[1].decode("ascii")


def status_of(data: bytes) -> int | None:
    """The status of a response; None for anything else."""
    found = _STATUS.match(data[:LONGEST])
    return None if found is None else int(found[1])


class BareCaller:
    """One call that we make: what is to be sent to `host`, and when."""

    def __init__(self, host: str, rng: random.Random, now: float, timeout: float) -> None:
        """`timeout`: seconds after which there is no answer."""
        self._host, self._rng = host, rng
        self._invite = self._request("INVITE", 1)
        self._next, self._deadline = now, now + timeout
        self.answered = False
        self.failed: str | None = None
        """Why there will be no answer; "" for none at all."""

    def invite(self, now: float) -> bytes | None:
        """An INVITE that is due."""
        if self.answered or self.failed is not None:
            return None
        if now >= self._deadline:
            self.failed = ""
            return None
        if now < self._next:
            return None
        self._next = now + RETRY
        return self._invite

    def receive(self, data: bytes) -> None:
        """A datagram of the one who is called."""
        status = status_of(data)
        if status is None or status < 200 or self.answered:
            return
        self.answered = status < 300
        if not self.answered:
            self.failed = data[:LONGEST].partition(b"\r")[0].decode("ascii", "replace").partition(" ")[2]

    def bye(self) -> bytes:
        """The end of the call."""
        return self._request("BYE", 2)

    def _request(self, method: str, number: int) -> bytes:
        call_id = f"{self._rng.getrandbits(128):032x}"
        lines = (
            f"{method} sip:receiver@{self._host} SIP/2.0",
            f"Call-ID: {call_id}",
            f"CSeq: {number} {method}",
            "",
            "",
        )
        return "\r\n".join(lines).encode()


@dataclass(frozen=True)
class Heard:
    """What a datagram comes to: the answer to it, and whether the caller has hung up; neither: it is ignored."""

    answer: bytes | None = None
    is_over: bool = False


class BareCallee:
    """Calls that come in: one at a time, from one host."""

    def receive(self, data: bytes, source: Address, busy_with: str | None) -> Heard:
        """A datagram at the signalling port; `busy_with`: the host whose sound is played, None: there is none."""
        method = method_of(data)
        if method == "INVITE" and not _VIA.search(data[:LONGEST]):  # with one it is SIP, which is not spoken here
            return Heard(OK if busy_with in (None, source[0]) else BUSY)
        return Heard(is_over=method == "BYE" and busy_with == source[0])
