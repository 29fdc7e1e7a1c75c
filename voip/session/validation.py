"""Which RTP packets from the peer belong to its stream (RFC 3550 A.1; repair packets: RFC 8627 section 4.2.1).

Payload type, then SSRC, then sequence number. Another SSRC, or a sequence number far from the last, waits until a
second packet in sequence confirms it. A stream that another SSRC has replaced, and that goes on, was not over: it comes
back at once, and from then on silence has to be longer before another SSRC is believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from voip.media import FIRST_DYNAMIC, ULPFEC, NegotiatedMedia
from voip.rtcp import RtcpSession
from voip.rtp import MAX_DROPOUT, MAX_MISORDER, ReceptionStats, RtpPacket, unwrap
from voip.session.latch import StreamPosition
from voip.session.repair import RepairStream
from voip.session.run import PacketRun, ReceivedPacket

CONFIRM_PACKETS = 2
"""Packets in sequence that confirm a jump (RFC 3550 A.1)."""
CONFIRM_HELD = 16
"""Packets kept until a jump is confirmed."""
EVENT_STEP = 100
"""Sequence numbers from one telephone event to the next: as for any stream (MAX_MISORDER of RFC 3550 A.1)."""
CONFIRM_SILENCE = 1.5
"""Packet times since the last packet of the stream that is to be replaced."""
CONTESTED_SILENCE = 0.500
"""Seconds of that, once a stream has come back: two packets in a row are lost anywhere."""
RETURN_WITHIN = 2.0
"""Seconds since its replacement within which a stream that goes on is back at its first packet."""


class PayloadTypes(NamedTuple):
    """What each payload type that may come is for; `clock_rates` are those of the formats of sound, in Hz."""

    clock_rates: Mapping[int, int]
    audio: frozenset[int | None]
    media: frozenset[int | None]
    expected: frozenset[int | None]
    events: frozenset[int]

    @staticmethod
    def of(media: NegotiatedMedia) -> PayloadTypes:
        """By what was negotiated."""
        clock_rates = {number: codec.clock_rate for number, codec in media.arriving_formats.items()}
        audio = frozenset({*clock_rates, media.arriving_red_payload_type})
        shared = audio | media.shared_payload_types
        events = frozenset(media.audio.arriving_telephone_events)
        return PayloadTypes(clock_rates, audio, shared, shared | {media.arriving_fec_payload_type}, events)


class _Replaced(NamedTuple):
    """A stream in whose place another SSRC came: its SSRC, highest extended sequence number, and when that was."""

    ssrc: int
    highest: int
    time: float

    def goes_on_with(self, received: ReceivedPacket) -> bool:
        """Whether a packet shows that the stream is not over."""
        packet = received.packet
        ahead = unwrap(packet.sequence_number, self.highest) - self.highest
        return packet.ssrc == self.ssrc and 0 < ahead <= MAX_DROPOUT and received.time - self.time <= RETURN_WITHIN


class StreamValidator:
    """Validates the packets of one media stream and of its repair stream, and counts them.

    `stray` counts packets of another SSRC, or after a jump that no second packet confirmed; `looped` those of our own
    SSRC: echo tests send media back as it is, and are to be heard (RFC 3550 section 8.2 would ignore them). `reception`
    counts the media as it arrived, before repair, and `repair_reception` the repair packets. `rtcp` is informed of
    both. `in_comfort_noise`: the newest media packet was comfort noise (RFC 3389).
    """

    def __init__(
        self,
        media: NegotiatedMedia,
        reception: ReceptionStats,
        repair_reception: ReceptionStats,
        rtcp: RtcpSession | None = None,
    ) -> None:
        self.reception = reception
        self.repair = RepairStream(media, repair_reception, rtcp)
        self.ssrc: int | None = None
        self.stray = 0
        self.in_comfort_noise = False
        self.looped = 0
        self._use(media)
        self._rtcp = rtcp
        self._guessed: int | None = None  # without signalling: the payload type that the peer uses for the expected one
        self._events: PacketRun | None = None  # telephone events of an SSRC of their own
        self._pending: PacketRun | None = None  # another SSRC, or a jump, until it is confirmed
        self._timestamp: int | None = None  # of the last audio packet
        self._timestamp_at = float("-inf")  # its arrival
        self._accepted_at = float("-inf")  # arrival of the last media packet, audio or not
        self._replaced: _Replaced | None = None
        self._contested = False  # two SSRCs claim to be the stream

    @property
    def ssrcs(self) -> frozenset[int | None]:
        """Those of the media, of its repair packets and of its telephone events."""
        return frozenset({self.ssrc, self.repair.ssrc, self._events.last.ssrc if self._events is not None else None})

    def note_stray(self, count: int) -> None:
        """So many packets of other SSRCs did not get here."""
        self.stray += count

    @property
    def position(self) -> StreamPosition:
        """How far the accepted stream has come."""
        return StreamPosition(self.ssrc, self.reception.highest, self._timestamp, self._timestamp_at)

    def update(self, media: NegotiatedMedia) -> None:
        """Continue with renegotiated media."""
        self.reception.set_clock_rate(media.clock_rate)
        self.reception.keep_receipts(media.rtcp_xr.receipts)
        self.repair.update(media)
        self._use(media)

    def forget(self) -> None:
        """The stream so far was not the peer's: the next one begins at its first packet."""
        self._drop_pending()
        self.ssrc = self._replaced = None
        self._contested = False

    def _use(self, media: NegotiatedMedia) -> None:
        self._media = media
        self._types = PayloadTypes.of(media)

    # -- payload type -------------------------------------------------------------------------------------------------

    def is_expected(self, packet: RtpPacket) -> bool:
        """Whether the payload type was negotiated."""
        return packet.payload_type in self._types.expected

    def is_audio(self, packet: RtpPacket) -> bool:
        """Whether the packet is audio, or RED with any content."""
        return packet.payload_type in self._types.audio

    def with_expected_type(self, packet: RtpPacket) -> RtpPacket:
        """Without signalling our dynamic payload type is a guess: the first that arrives stands for it."""
        arrived, expected = packet.payload_type, self._media.arriving_payload_type
        dynamic = arrived >= FIRST_DYNAMIC and expected >= FIRST_DYNAMIC
        if self.ssrc is None and self._guessed is None and dynamic and not self.is_expected(packet):
            self._guessed = arrived
        return replace(packet, payload_type=expected) if arrived == self._guessed else packet

    def counts_unknown(self, received: ReceivedPacket) -> bool:
        """Count a packet of a payload type that was not negotiated if its SSRC and number are those of the stream.

        It has been received (RFC 3550 A.3): what is left out of the count would be called lost. It begins no stream,
        and moves none far.
        """
        packet, highest = received.packet, self.reception.highest
        if packet.ssrc != self.ssrc or highest is None:
            return False
        if abs(unwrap(packet.sequence_number, highest) - highest) > MAX_MISORDER:
            return False
        self.reception.count(packet, received.time, timed=False)
        if self._rtcp is not None:
            self._rtcp.note_media(packet.ssrc, received.time)
        return True

    # -- SSRC and sequence number -------------------------------------------------------------------------------------

    def validate(self, received: ReceivedPacket) -> list[ReceivedPacket]:
        """The packets now known to belong to the stream, in order: usually this one, sometimes also held ones."""
        packet = received.packet
        if self.repair.is_excess(received):
            return []
        if packet.ssrc == self._media.ssrc:
            self.looped += 1
        if packet.payload_type not in self._types.media:
            # ULPFEC has no SSRC of its own: its packets count among the media, as they do in the numbers (voip.fec).
            shares_numbers = self._media.fec == ULPFEC and packet.ssrc == self.ssrc
            if not shares_numbers:
                return self._validate_repair(received)
        if packet.ssrc != self.ssrc:
            return self._validate_other(received)
        if not self.reception.in_window(packet.sequence_number):
            return self._confirm(received)
        if self._pending is not None:
            self._drop_pending()
        self._accept(received)
        return [received]

    def _validate_repair(self, received: ReceivedPacket) -> list[ReceivedPacket]:
        if self.repair.accept(received, self.ssrc):
            return [received]
        self.stray += 1
        return []

    def _validate_other(self, received: ReceivedPacket) -> list[ReceivedPacket]:
        """Media, or what comes in its numbers, of another SSRC."""
        packet, announced = received.packet, self._media.remote_ssrc
        if packet.payload_type in self._types.events and packet.ssrc != announced:
            return self._validate_event(received)
        if packet.ssrc == announced or (announced is None and self.ssrc is None) or self._comes_back(received):
            return self._begin([received])
        return self._confirm(received)

    def _validate_event(self, received: ReceivedPacket) -> list[ReceivedPacket]:
        """A telephone event of an SSRC and of numbers of its own: the second in sequence confirms the first.

        They are no part of the stream, neither counted with it nor a rival of it.
        """
        run = self._events
        if run is None or not run.extend(received, EVENT_STEP):
            self.stray += len(run.held) if run is not None else 0
            self._events = PacketRun(received, CONFIRM_HELD)
            return []
        if run.count < CONFIRM_PACKETS:
            return []
        confirmed = list(run.held)
        run.held.clear()
        return confirmed

    def _confirm(self, received: ReceivedPacket) -> list[ReceivedPacket]:
        """Another SSRC, or a sequence number far away: wait for a second packet in sequence (RFC 3550 A.1)."""
        run = self._pending
        if run is None or not run.extend(received, 1):
            self._drop_pending()
            run = self._pending = PacketRun(received, CONFIRM_HELD)
        if run.count < CONFIRM_PACKETS:
            return []
        silence = CONFIRM_SILENCE * self._media.packet_time
        if self._contested and run.last.ssrc != self.ssrc:
            silence = max(silence, CONTESTED_SILENCE)
        if received.time - self._accepted_at < silence:
            return []  # the current stream has not ended
        if self.ssrc not in (None, run.last.ssrc) and self.reception.highest is not None:
            self._replaced = _Replaced(self.ssrc, self.reception.highest, received.time)
        return self._begin(list(run.held))

    def _comes_back(self, received: ReceivedPacket) -> bool:
        """Whether this is of the stream that another SSRC has replaced, which was not over then."""
        replaced = self._replaced
        if replaced is None or self.ssrc == self._media.remote_ssrc or not replaced.goes_on_with(received):
            return False
        self._replaced, self._contested = None, True
        return True

    def _drop_pending(self) -> None:
        if self._pending is not None:
            self.stray += len(self._pending.held)
            self._pending = None

    def _begin(self, packets: list[ReceivedPacket]) -> list[ReceivedPacket]:
        """A stream begins, or continues after a jump, with these packets."""
        first = packets[0].packet
        if first.ssrc != self.ssrc:
            self.repair.begin_anew(first.ssrc)
        self.ssrc = first.ssrc
        self._pending = None
        self.reception.restart(first)
        for received in packets:
            self._accept(received)
        return packets

    def _accept(self, received: ReceivedPacket) -> None:
        packet, arrival = received.packet, received.time
        timed = packet.payload_type not in self._types.events
        clock_rate = self._types.clock_rates.get(packet.payload_type)
        if clock_rate is not None:
            self.reception.set_clock_rate(clock_rate)  # RFC 7160: another codec of the same stream
        self.reception.count(packet, arrival, timed=timed)
        self._accepted_at = arrival
        self.in_comfort_noise = packet.payload_type == self._media.audio.comfort_noise_payload_type
        if timed:  # a telephone event has the timestamp of its beginning
            self._timestamp, self._timestamp_at = packet.timestamp, arrival
        if self._rtcp is not None:
            self._rtcp.note_media(packet.ssrc, arrival)
