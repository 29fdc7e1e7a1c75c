"""The network half of a receiver: what arrived, what FEC rebuilt in time, and the accounts of both."""

from __future__ import annotations

from collections import deque

from voip.fec import FlexFecDecoder, create_decoder
from voip.jitter import Arrival, JitterBuffer
from voip.rtp import MAX_REPAIR_REACH, ReceptionStats, RtpPacket, unwrap
from voip.sdp import NegotiatedMedia

REMEMBERED = 1024
"""Rebuilt packets whose own arrival would still be noticed."""


REACHES = 32
"""Repair packets whose reach is remembered: some hundred milliseconds, so that a change of pattern soon counts."""


class Reception:
    """Sorts a stream's packets into FEC decoder and jitter buffer, and keeps count.

    A rebuilt packet counts as `recovered` if it was in time to be played and has not arrived by itself.
    """

    def __init__(self, media: NegotiatedMedia, buffer: JitterBuffer) -> None:
        self.stats = ReceptionStats(media.codec.clock_rate)
        self.recovered = 0
        self.fec_packets = 0
        self._rebuilt: dict[int, None] = {}  # extended sequence numbers
        self._reaches: deque[int] = deque(maxlen=REACHES)
        self._ssrc: int | None = None
        self._rejected_before = 0
        self._fec: FlexFecDecoder | None = None
        self._fec_terms: tuple[object, ...] = ()
        self.renew(media, buffer)

    @property
    def fec_rejected(self) -> int:
        """Repair packets, or what they would have rebuilt, that were not believed."""
        return self._rejected_before + (self._fec.rejected if self._fec is not None else 0)

    def renew(self, media: NegotiatedMedia, buffer: JitterBuffer) -> None:
        """Go on with what a re-INVITE agreed; the sums go on, too."""
        self._buffer = buffer
        self.stats.clock_rate = media.codec.clock_rate
        self._fec_payload_type = media.arriving_fec_payload_type
        # No honest repair packet is further ahead of what has arrived than its window: a strange one invents no loss.
        window = round(media.repair_window / media.ptime)
        self._believed = min(window, MAX_REPAIR_REACH) if window else MAX_REPAIR_REACH
        terms = (media.fec, media.arriving_fec_payload_type, media.arriving_payload_type, media.remote_ssrc)
        if terms == self._fec_terms:
            return
        self._fec_terms = terms
        self._rejected_before = self.fec_rejected
        self._fec = create_decoder(
            media.fec,
            payload_type=media.arriving_fec_payload_type,
            media_ssrc=media.remote_ssrc,
            media_payload_types=frozenset({media.arriving_payload_type}),
        )

    def put(self, packet: RtpPacket, arrival: float) -> None:
        """A packet has arrived."""
        if packet.payload_type == self._fec_payload_type:
            self._repair(packet, arrival)
        else:
            self._receive(packet, arrival)

    def _receive(self, packet: RtpPacket, arrival: float) -> None:
        stats = self.stats
        if self._ssrc is not None and (packet.ssrc != self._ssrc or not stats.in_window(packet.sequence_number)):
            self._restart(packet)
        self._ssrc = packet.ssrc
        before = stats.received
        extended = stats.receive(packet, arrival)
        if stats.received > before and extended in self._rebuilt:
            del self._rebuilt[extended]
            self.recovered -= 1
        if self._fec is None:
            self._buffer.put(packet, arrival)
            return
        for available in self._fec.receive(packet):
            self._pass_on(available, arrival)

    def _restart(self, packet: RtpPacket) -> None:
        self.stats.restart(packet)
        self._rebuilt.clear()
        if self._fec is not None:
            self._fec.reset()
        if packet.ssrc != self._ssrc:
            self._buffer.restart()

    def _repair(self, packet: RtpPacket, arrival: float) -> None:
        self.fec_packets += 1
        if self._fec is None:
            return
        rebuilt = self._fec.receive(packet)
        self._learn_reach(self._fec.last_named)
        highest = self.stats.highest
        if highest is not None:
            for name in self._fec.last_named:
                extended = unwrap(name, highest)
                if extended <= highest + self._believed:
                    self.stats.known(extended)
        for available in rebuilt:
            self._pass_on(available, arrival)

    def _learn_reach(self, named: tuple[int, ...]) -> None:
        """How far back the sender's repair packets look: the most of the last few."""
        if named:
            self._reaches.append((named[-1] - named[0]) & 0xFFFF)
            self._buffer.reach = max(self._reaches)

    def _pass_on(self, packet: RtpPacket, arrival: float) -> None:
        outcome = self._buffer.put(packet, arrival)
        highest = self.stats.highest
        if not packet.recovered or outcome is not Arrival.QUEUED or highest is None:
            return
        extended = unwrap(packet.sequence_number, highest)
        self.stats.known(extended)
        if self.stats.lost > self.recovered:
            self.recovered += 1
            self._rebuilt[extended] = None
            if len(self._rebuilt) > REMEMBERED:
                del self._rebuilt[next(iter(self._rebuilt))]
