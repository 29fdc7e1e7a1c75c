"""FlexFEC (RFC 8627) and copies within the media packets (RFC 2198) for one stream: which of them, the pattern says.

Parity covers the media packets as they are sent, those with copies in them, too: so a change needs no break.
"""

from __future__ import annotations

from voip.fec.flexfec import FlexFecEncoder
from voip.fec.pattern import Pattern
from voip.fec.red import RedEncoder
from voip.rtp import RtpPacket


class CombinedEncoder:
    """Repair packets, or copies in their place."""

    def __init__(self, pattern: Pattern, parity: FlexFecEncoder, copies: RedEncoder) -> None:
        """`parity` and `copies`: without a pattern of their own."""
        self._parity, self._copies = parity, copies
        self.blocks = 0
        self._pattern: Pattern | None = None
        self._carried: RtpPacket | None = None
        self.set_pattern(pattern)

    @property
    def pattern(self) -> Pattern | None:
        """Which packets are covered or repeated."""
        return self._pattern

    def set_pattern(self, pattern: Pattern | None) -> None:
        """Cover or repeat others from now on; what parity has left open is covered before."""
        repeats = pattern is not None and pattern.copy_bitrate is not None
        self._pattern = pattern
        self._parity.set_pattern(None if repeats else pattern)
        self._copies.set_pattern(pattern if repeats else None)

    def carry(self, packet: RtpPacket, copy: bytes | None = None) -> RtpPacket:
        """A media packet with the copies that are due."""
        self._carried = self._copies.carry(packet, copy)
        self.blocks = self._copies.blocks
        return self._carried

    def protect(self, packet: RtpPacket, time: int | None = None) -> list[RtpPacket]:
        """The repair packets to send right after this media packet."""
        carried, self._carried = self._carried, None
        sent = carried if carried is not None and carried.sequence_number == packet.sequence_number else packet
        return self._parity.protect(sent, time)

    def flush(self) -> list[RtpPacket]:
        """The repair packets at the stream's end: also for what no packet follows to repeat."""
        self._copies.flush()
        self._parity.set_pattern(self._pattern)
        return self._parity.flush()
