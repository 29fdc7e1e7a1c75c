"""The network half of a receiver: what arrived, what FEC rebuilt in time, and the accounts of both."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from voip.errors import ProtocolError
from voip.fec import MediaNumbers, ParityDecoder, RedDecoder, create_decoder, red
from voip.jitter import Playout, PutResult
from voip.media import FLEXFEC, ULPFEC, NegotiatedMedia
from voip.rtp import MAX_REPAIR_REACH, ReceptionStats, RtpPacket, unwrap

REMEMBERED = 1024
"""Rebuilt packets whose own arrival would still be noticed."""


REACHES = 32
"""Repair packets whose reach is remembered: some hundred milliseconds, so that a change of pattern soon counts."""


class _Types(NamedTuple):
    """What each payload type that may come is for. `sound` is of the clock rate that comes, `agreed` of any."""

    sound: frozenset[int]
    agreed: frozenset[int]
    non_audio: frozenset[int]
    events: frozenset[int]
    fec: int | None
    red: int | None

    @staticmethod
    def of(media: NegotiatedMedia) -> _Types:
        """By what was negotiated, and comes at present."""
        formats = media.arriving_formats
        return _Types(
            sound=frozenset(number for number, codec in formats.items() if codec.clock_rate == media.clock_rate),
            agreed=frozenset(formats) | media.shared_payload_types,
            non_audio=media.shared_payload_types,
            events=frozenset(media.audio.arriving_telephone_events),
            fec=media.arriving_fec_payload_type,
            red=media.arriving_red_payload_type,
        )


class Reception:
    """Sorts a stream's packets into FEC decoder and play-out, and keeps count.

    A rebuilt packet counts as `recovered` if it was in time to be played and has not arrived by itself. `stats` has the
    numbers of media packets alone, also where repair packets take sequence numbers of the same stream.
    """

    def __init__(
        self,
        media: NegotiatedMedia,
        playout: Playout,
        on_event: Callable[[RtpPacket, float], None] = lambda packet, arrival: None,
    ) -> None:
        """`on_event` is given the packets of telephone events, received or rebuilt."""
        self._on_event = on_event
        self.stats = ReceptionStats(media.clock_rate)
        self.recovered = 0
        self.fec_packets = 0
        self.fec_copies = 0
        """Blocks that came within other packets (RFC 2198)."""
        self._rebuilt: dict[int, None] = {}  # extended sequence numbers
        self._reaches: deque[int] = deque(maxlen=REACHES)
        self._newest: tuple[int, int] | None = None  # number and timestamp of the last media packet
        self._ssrc: int | None = None
        self._rejected_before = 0
        self._fec: ParityDecoder | None = None
        self._numbers: MediaNumbers | None = None
        self._red: RedDecoder | None = None
        self._protects_carried = False
        self._fec_terms: tuple[object, ...] = ()
        self.renew(media, playout)

    @property
    def fec_rejected(self) -> int:
        """Repair packets, or what they would have rebuilt, that were not believed."""
        parity = self._fec.rejected if self._fec is not None else 0
        return self._rejected_before + parity + (self._red.rejected if self._red is not None else 0)

    def renew(self, media: NegotiatedMedia, playout: Playout) -> None:
        """Go on with what a re-INVITE agreed; the sums go on, too."""
        self._playout = playout
        self.stats.set_clock_rate(media.clock_rate)
        self._types = _Types.of(media)
        # No honest repair packet is further ahead of what has arrived than its window: a strange one invents no loss.
        window = round(media.repair_window / media.packet_time)
        self._believed = min(window, MAX_REPAIR_REACH) if window else MAX_REPAIR_REACH
        numbers = (self._types.sound, media.arriving_fec_payload_type, media.arriving_red_payload_type)
        terms = (media.fec, numbers, self._types.non_audio, media.remote_ssrc, media.packet_time, media.clock_rate)
        if terms == self._fec_terms:
            return
        self._fec_terms = terms
        self._rejected_before = self.fec_rejected
        self._renew_decoders(media)

    def _renew_decoders(self, media: NegotiatedMedia) -> None:
        media_types, step = self._types.sound, round(media.packet_time * media.clock_rate)
        self._fec = create_decoder(
            media.fec,
            payload_type=media.arriving_fec_payload_type,
            media_ssrc=media.remote_ssrc,
            media_payload_types=media_types | self._types.non_audio | self._carrying_types(media),
            step=step,
        )
        if media.fec != ULPFEC:
            self._numbers = None
        elif self._numbers is None:
            self._numbers = MediaNumbers(step)
        # Ticks between two packets, by which the timestamp of a repair packet tells when it was sent; 0: it does not.
        self._step = step if self._numbers is None and media.repair_clock_rate == media.clock_rate else 0
        self._red = None
        if self._types.red is not None:
            self._red = RedDecoder(media_ssrc=media.remote_ssrc, media_payload_types=media_types, step=step)

    def _carrying_types(self, media: NegotiatedMedia) -> frozenset[int]:
        """That of RED, where parity covers the packets as they come (RFC 8627), not what RED carries (RFC 5109)."""
        carrier = self._types.red if media.fec == FLEXFEC else None
        self._protects_carried = carrier is not None
        return frozenset() if carrier is None else frozenset({carrier})

    def put(self, packet: RtpPacket, arrival: float) -> None:
        """A packet has arrived."""
        if packet.payload_type in self._types.events and self._ssrc not in (None, packet.ssrc):
            self._on_event(packet, arrival)  # of a stream of its own: its numbers say nothing of the sound's
            return
        received, found = packet, self._unwrapped(packet)
        if found is None:
            self._rejected_before += 1
            return
        packet, blocks = found
        protected = received if self._protects_carried else packet
        if packet.payload_type == self._types.fec:
            if self._numbers is not None:
                self._numbers.repair(packet)
            self.fec_packets += 1
            self._repair(packet, arrival)
        else:
            copies = [block for block in blocks if block.payload_type != self._types.fec]
            self._receive(packet, arrival, copies, protected)
        for block in blocks:
            if block.payload_type == self._types.fec:  # parity within another packet: RFC 5109 section 14.2
                self._repair(replace(packet, payload_type=block.payload_type, payload=block.payload), arrival)

    def _unwrapped(self, packet: RtpPacket) -> tuple[RtpPacket, list[red.Block]] | None:
        """The packet, and what else was in it if RED carried it; None if that makes no sense."""
        if packet.payload_type != self._types.red:
            return packet, []
        try:
            packet, blocks = red.unwrap(packet)
        except ProtocolError:
            return None
        self.fec_copies += len(blocks)
        carried = packet.payload_type
        known = carried in self._types.sound or carried in self._types.non_audio or carried == self._types.fec
        return (packet, blocks) if known else None

    def _receive(self, packet: RtpPacket, arrival: float, blocks: list[red.Block], protected: RtpPacket) -> None:
        """A packet has come; `protected`: as parity covers it."""
        stats = self.stats
        agreed = packet.payload_type in self._types.agreed
        if self._numbers is not None and packet.payload_type not in self._types.sound:
            self._receive_unnumbered(packet, arrival)
            return
        placed = packet if self._numbers is None else self._numbers.place(packet)
        if self._ssrc is not None and (packet.ssrc != self._ssrc or not stats.in_window(placed.sequence_number)):
            self._restart(placed)
        self._ssrc = packet.ssrc
        before = stats.received
        timed = agreed and packet.payload_type not in self._types.events
        if timed:
            self._newest = placed.sequence_number, placed.timestamp
        extended = stats.count(placed, arrival, timed=timed)
        if stats.received > before and extended in self._rebuilt:
            del self._rebuilt[extended]
            self.recovered -= 1
        rebuilt = [] if self._fec is None else self._fec.receive(protected)[1:]
        if agreed:
            self._pass_on(placed, arrival, blocks)
        else:
            self._playout.note(placed, known=False)
        for available in rebuilt:
            self._pass_on_parity(available, arrival)

    def _receive_unnumbered(self, packet: RtpPacket, arrival: float) -> None:
        """No sound, where sound is counted by its timestamps: as little as a repair packet is."""
        assert self._numbers is not None
        self._numbers.repair(packet)
        for available in [] if self._fec is None else self._fec.receive(packet)[1:]:
            self._pass_on_parity(available, arrival)
        if packet.payload_type in self._types.non_audio:
            self._note_non_audio(packet, arrival)

    def _restart(self, packet: RtpPacket) -> None:
        self.stats.restart(packet)
        self._rebuilt.clear()
        if self._fec is not None:
            self._fec.reset()
        if self._red is not None:
            self._red.reset()
        if packet.ssrc != self._ssrc:
            self._playout.restart()

    def _repair(self, packet: RtpPacket, arrival: float) -> None:
        if self._fec is None:
            return
        rebuilt = self._fec.receive(packet)
        named = self._fec.last_named
        if named:
            self._learn_reach(packet, named)
        highest = self.stats.highest
        if highest is not None:
            for name in named if self._numbers is None else self._numbers.named(named):
                extended = unwrap(name, highest)
                if extended <= highest + self._believed:
                    self.stats.known(extended)
        for available in rebuilt:
            self._pass_on_parity(available, arrival)

    def _learn_reach(self, packet: RtpPacket, named: Sequence[int]) -> None:
        """How far back the sender's repair packets look: the most of the last few.

        One that covers a single packet may be sent any time after it: its timestamp tells, as that is of the newest
        media packet (RFC 8627 section 4.2.1). Where it tells nothing of the kind, the packets named do.
        """
        reach = (named[-1] - named[0]) & 0xFFFF
        if self._newest is not None and self._step:
            number, timestamp = self._newest
            later = round(unwrap(packet.timestamp - timestamp, 0, 32) / self._step)
            since = unwrap(number + later - named[-1], 0, 16)
            if since >= 0 and reach + since <= self._believed:
                reach += since
        self._note_reach(reach)

    def _note_reach(self, reach: int) -> None:
        self._reaches.append(reach)
        self._playout.note_repair_span(max(self._reaches))

    def _pass_on_parity(self, packet: RtpPacket, arrival: float) -> None:
        """A packet that parity has rebuilt, with a number of its own stream's."""
        if self._protects_carried and packet.payload_type == self._types.red:
            found = self._unwrapped(packet)
            if found is None:
                self._rejected_before += 1
            else:
                self._pass_on(found[0], arrival, found[1])
            return
        if self._numbers is None:
            self._pass_on(packet, arrival, [])
        elif packet.payload_type in self._types.non_audio:
            self._numbers.repair(packet)
            self._note_non_audio(packet, arrival)
        else:
            self._pass_on(self._numbers.place(packet), arrival, [])

    def _pass_on(self, packet: RtpPacket, arrival: float, blocks: list[red.Block]) -> None:
        """A packet is here, and copies of others with it."""
        self._hand_over(packet, arrival)
        if self._red is not None:
            for copy in self._red.receive(packet, blocks):
                self._hand_over(copy, arrival)
            if blocks:
                self._note_reach(self._red.reach)

    def _hand_over(self, packet: RtpPacket, arrival: float) -> None:
        if packet.payload_type in self._types.non_audio:
            outcome = self._note_non_audio(packet, arrival)
        elif packet.payload_type in self._types.sound:
            outcome = self._playout.put(packet, arrival)
        else:  # of a clock rate that is over
            self._playout.counters.count_late()
            return
        highest = self.stats.highest
        if not packet.recovered or outcome is not PutResult.QUEUED or highest is None:
            return
        extended = unwrap(packet.sequence_number, highest)
        self.stats.known(extended)
        if self.stats.lost > self.recovered:
            self.recovered += 1
            self._rebuilt[extended] = None
            if len(self._rebuilt) > REMEMBERED:
                del self._rebuilt[next(iter(self._rebuilt))]

    def _note_non_audio(self, packet: RtpPacket, arrival: float) -> PutResult:
        """A packet that is no sound."""
        event = packet.payload_type in self._types.events
        if event:
            self._on_event(packet, arrival)
        return self._playout.note(packet, comfort=not event, numbered=self._numbers is None)
