"""What goes over the network besides sound, as text with the time of day: SIP with its bodies, and RTCP.

Secrets are left out: what digest authentication computes from passwords, and keys of media.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime

from voip.errors import ProtocolError
from voip.printable import one_line, printable
from voip.rtcp.packets import parse
from voip.session import Allowance
from voip.sip import Address
from voip.sip.grammar import format_host

RTCP_TYPES = range(192, 224)
"""Of the second byte: RTCP on a port that RTP may share (RFC 5761 section 4)."""
RTCP_RATE, RTCP_BURST = 20.0, 40.0
"""RTCP datagrams a second that are shown, and at once: to read and write each takes milliseconds."""
MOST_PACKETS = 20
"""Packets of one datagram that are shown."""
_VALUE = r'\s*=\s*(?:"(?:[^"\\\r\n]|\\.)*"?|[^\s,;]+)'
_SECRETS = (
    (re.compile(rf"(?i)\b(response|c?nonce|nextnonce|rspauth|opaque){_VALUE}"), r"\1=..."),
    (re.compile(r"(?im)^((?:proxy-)?authorization\s*:\s*basic\s).*"), r"\1..."),
    (re.compile(r"(?im)^(a=crypto:.*?\binline:)\S+"), r"\1..."),
    (re.compile(r"(?im)^(k=\w+:).*"), r"\1..."),
)
"""What is left out, and what stands in its place: RFC 7616 sections 3.3 to 3.5, 7617, 4568, 8866 section 5.12."""


class Trace:
    """Writes each message and packet, if it is on. `write` takes lines; None: off, and then it costs a comparison."""

    def __init__(
        self,
        write: Callable[[str], object] | None = None,
        clock: Callable[[], datetime] = datetime.now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is for people, `monotonic` (seconds) for the rate."""
        self._write, self._clock, self._monotonic = write, clock, monotonic
        self._rtcp, self._unshown = Allowance(RTCP_RATE, RTCP_BURST), 0

    def sip(self, verb: str, data: bytes, address: Address) -> None:
        """A SIP message that was "sent to" or "received from" this address."""
        if self._write is None:
            return
        text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n").rstrip("\n")
        for secret, instead in _SECRETS:
            text = secret.sub(instead, text)
        body = "\n".join(f"  | {printable(line)}" for line in text.split("\n"))
        place = f"{format_host(address.host, address.port)} by {address.protocol.upper()}"
        self._write(f"{self._time()} SIP {verb} {place}, {len(data)} bytes\n{body}")

    def rtcp(self, verb: str, data: bytes, address: tuple[str, int]) -> None:
        """A datagram, if it is RTCP; of a flood a part, and how many were left out."""
        if self._write is None or len(data) < 2 or data[1] not in RTCP_TYPES:
            return
        if not self._rtcp.take(self._monotonic()):
            self._unshown += 1
            return
        try:
            packets = [one_line(str(packet)) for packet in parse(data, reduced_size=True)]
        except ProtocolError as error:
            packets = [f"cannot be read: {error}"]
        more = [f"and {len(packets) - MOST_PACKETS} more"] if len(packets) > MOST_PACKETS else []
        more += [f"before it {self._unshown} were not shown"] if self._unshown else []
        self._unshown = 0
        body = "".join(f"\n  | {packet}" for packet in [*packets[:MOST_PACKETS], *more])
        self._write(f"{self._time()} RTCP {verb} {format_host(*address)}, {len(data)} bytes{body}")

    def _time(self) -> str:
        return self._clock().strftime("%H:%M:%S.%f")[:-3]
