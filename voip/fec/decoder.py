"""FlexFEC decoder: rebuilds lost packets from any flexible masks (RFC 8627 section 6.3), bounded and iterative.

Everything that a peer can make it hold sits in rings of fixed size, and a repair packet is looked at again only when
a packet that it covers arrives or is rebuilt. Parity says nothing about who made it: what is rebuilt has to fit the
stream around it, or it is dropped and counted.
"""

from __future__ import annotations

from typing import NamedTuple

from voip.errors import ProtocolError
from voip.fec.flexfec import SEQUENCE_MASK, RepairHeader, parse_repair
from voip.fec.xor import datagram_of, parity_of
from voip.rtp import MAX_DROPOUT, RtpPacket, unwrap

MEDIA_RING = 512
"""Media packets kept, around the newest one: half of them behind it, half ahead."""
REPAIR_RING = 256
"""Repair packets that wait for more of the packets that they cover."""
_HALF = MEDIA_RING // 2
_INDEX = MEDIA_RING - 1
_FIRST_CYCLE = 1 << 16  # extended numbers start here, so that those before the first packet stay positive
_NEIGHBOUR_REACH = 16  # packets around a rebuilt one that are asked for their timestamps: a long burst of losses
_TIMESTAMP_MASK = 0xFFFFFFFF
_TIMESTAMP_HALF = 1 << 31


class _Media(NamedTuple):
    number: int  # extended sequence number
    timestamp: int
    parity: int
    received: bool  # rather than rebuilt


class _Repair:
    """One repair packet that waits: for `missing` to come down to one, or for a neighbour of that one."""

    __slots__ = ("body", "members", "missing", "parity", "slot", "watched")

    def __init__(self, header: RepairHeader, members: tuple[int, ...], missing: set[int], slot: int) -> None:
        self.members = members
        self.missing = missing
        self.parity = header.parity
        self.body = header.body
        self.slot = slot
        self.watched = list(missing)


class FlexFecDecoder:
    """Media and repair packets of one stream in, in any order; the media packets that they make available out.

    A media packet is always given back first, even if it has been rebuilt before: what is a duplicate is for the jitter
    buffer to say. `media_ssrc` None: that of the first packet. Counters: `repair_packets` seen, `recovered`, and
    `rejected` repair packets or results that cannot be true. They outlive `reset`.
    """

    def __init__(self, *, media_ssrc: int | None, media_payload_types: frozenset[int], fec_payload_type: int) -> None:
        self.media_ssrc = media_ssrc
        self.media_payload_types = media_payload_types
        self.fec_payload_type = fec_payload_type
        self.repair_packets = 0
        self.recovered = 0
        self.rejected = 0
        self.last_named: tuple[int, ...] = ()
        self.reset()

    def reset(self) -> None:
        """Forget all packets: after a new SSRC or a jump of the sequence numbers, old parity means nothing."""
        self.last_named = ()
        self._newest: int | None = None  # extended number around which packets are believed
        self._anchored = False  # by a media packet, not only by a repair packet
        self._next_after_jump: int | None = None
        self._step: int | None = None  # timestamp ticks between two packets that came one after the other
        self._media: list[_Media | None] = [None] * MEDIA_RING
        self._repairs: list[_Repair | None] = [None] * REPAIR_RING
        self._slot = 0
        self._waiting: dict[int, dict[int, _Repair]] = {}  # extended number -> repair packets, by slot, that it helps

    def receive(self, packet: RtpPacket) -> list[RtpPacket]:
        """A packet arrived: media comes back, then whatever it or a repair packet allows to rebuild.

        `last_named` then holds the sequence numbers that this repair packet says exist; () for a media packet or a
        rejected one.
        """
        self.last_named = ()
        if packet.payload_type == self.fec_payload_type:
            return self._rebuild_all(self._receive_repair(packet))
        number = self._place(packet)
        if number is None:
            return [packet]
        known = self._known(number)
        if known is not None and known.received:
            return [packet]
        self._store(number, packet.timestamp, parity_of(packet.serialize()))
        if not self._waiting:
            return [packet]
        return [packet, *self._rebuild_all(self._helped_by(number))]

    def _place(self, packet: RtpPacket) -> int | None:
        """The extended number of a media packet; None if it is too old, or the first one after a jump, to be of use."""
        if packet.ssrc != self.media_ssrc:
            if self.media_ssrc is not None:
                self.reset()
            self.media_ssrc = packet.ssrc
        if self._newest is None:
            self._newest = packet.sequence_number + _FIRST_CYCLE
        number = unwrap(packet.sequence_number, self._newest)
        if not -_HALF < number - self._newest < (MAX_DROPOUT if self._anchored else _HALF):
            expected, self._next_after_jump = self._next_after_jump, packet.sequence_number + 1 & SEQUENCE_MASK
            if self._anchored and packet.sequence_number != expected:
                return None
            self.reset()
            self._newest = number = packet.sequence_number + _FIRST_CYCLE
        self._anchored = True
        self._newest = max(self._newest, number)
        return number

    def _known(self, number: int) -> _Media | None:
        media = self._media[number & _INDEX]
        return media if media is not None and media.number == number else None

    def _store(self, number: int, timestamp: int, parity: int, *, received: bool = True) -> None:
        self._media[number & _INDEX] = _Media(number, timestamp, parity, received)
        before = self._media[(number - 1) & _INDEX]
        if received and before is not None and before.received and before.number == number - 1:
            self._step = (timestamp - before.timestamp) & _TIMESTAMP_MASK

    def _receive_repair(self, packet: RtpPacket) -> list[_Repair]:
        """Keep a repair packet that can still help; it is in the result if it can at once."""
        self.repair_packets += 1
        try:
            header = parse_repair(packet.payload)
        except ProtocolError:
            self.rejected += 1
            return []
        members = self._plausible_members(packet, header)
        if members is None:
            self.rejected += 1
            return []
        self.last_named = tuple(number & SEQUENCE_MASK for number in members)
        missing = {number for number in members if self._known(number) is None}
        if not missing:
            return []
        repair = self._keep(header, members, missing)
        return [repair] if len(missing) == 1 else []

    def _plausible_members(self, packet: RtpPacket, header: RepairHeader) -> tuple[int, ...] | None:
        """The extended numbers that a repair packet covers, if it is for this stream and near its newest packet."""
        if len(packet.csrcs) != 1 or self.media_ssrc not in (None, packet.csrcs[0]):
            return None
        self.media_ssrc = packet.csrcs[0]
        if self._newest is None:
            self._newest = header.base + header.positions[-1] + _FIRST_CYCLE
        base = unwrap(header.base, self._newest)
        if base + header.positions[0] <= self._newest - _HALF or base + header.positions[-1] > self._newest + _HALF:
            return None
        return tuple([base + position for position in header.positions])

    def _keep(self, header: RepairHeader, members: tuple[int, ...], missing: set[int]) -> _Repair:
        slot = self._slot
        self._slot = (slot + 1) % REPAIR_RING
        oldest = self._repairs[slot]
        if oldest is not None:
            self._retire(oldest)
        repair = self._repairs[slot] = _Repair(header, members, missing, slot)
        for number in missing:
            self._waiting.setdefault(number, {})[slot] = repair
        return repair

    def _retire(self, repair: _Repair) -> None:
        """Nothing waits for anything on behalf of this repair packet any more."""
        self._repairs[repair.slot] = None
        for number in repair.watched:
            waiting = self._waiting.get(number)
            if waiting is not None:
                waiting.pop(repair.slot, None)
                if not waiting:
                    del self._waiting[number]

    def _helped_by(self, number: int) -> list[_Repair]:
        """This packet is known now: the repair packets that are left with one missing packet."""
        ready = []
        for repair in self._waiting.pop(number, {}).values():
            repair.missing.discard(number)
            if len(repair.missing) == 1:
                ready.append(repair)
            elif not repair.missing:
                self._retire(repair)
        return ready

    def _rebuild_all(self, ready: list[_Repair]) -> list[RtpPacket]:
        """Rebuild until nothing more follows from it."""
        rebuilt = []
        for repair in ready:  # grows while it is walked through
            if len(repair.missing) != 1:
                continue  # another repair packet was faster
            (number,) = repair.missing
            packet = self._rebuild(repair, number)
            if packet is not None:
                self.recovered += 1
                rebuilt.append(packet)
                self._store(number, packet.timestamp, parity_of(packet.serialize()), received=False)
                ready += self._helped_by(number)
        return rebuilt

    def _rebuild(self, repair: _Repair, number: int) -> RtpPacket | None:
        """The one missing packet, if the others are still here and the result is plausible."""
        parity = repair.parity
        for member in repair.members:
            if member != number:
                media = self._known(member)
                if media is None:
                    self._retire(repair)
                    return None
                parity ^= media.parity
        packet = self._parse_rebuilt(parity, repair.body, number & SEQUENCE_MASK)
        plausible = packet is not None and self._fits(number, packet.timestamp)
        if plausible is None:
            self._watch(repair, number + 1)
            return None
        if not plausible:
            self.rejected += 1
            self._retire(repair)
            return None
        return packet

    def _parse_rebuilt(self, parity: int, body: int, sequence_number: int) -> RtpPacket | None:
        assert self.media_ssrc is not None
        datagram = datagram_of(parity, body, sequence_number, self.media_ssrc)
        if datagram is None:
            return None
        try:
            packet = RtpPacket.parse(datagram)
        except ProtocolError:
            return None
        packet.recovered = True
        return packet if packet.payload_type in self.media_payload_types else None

    def _watch(self, repair: _Repair, number: int) -> None:
        """Try again when this packet is known: its timestamp will tell."""
        self._waiting.setdefault(number, {})[repair.slot] = repair
        repair.watched.append(number)

    def _fits(self, number: int, timestamp: int) -> bool | None:
        """Whether a timestamp is right for a packet, by the packets around it; None if that will show later."""
        before, after = self._neighbour(number, -1), self._neighbour(number, +1)
        if before is not None and not _in_order(before.timestamp, timestamp):
            return False
        if after is not None and not _in_order(timestamp, after.timestamp):
            return False
        if before is not None and after is not None:
            return not self._in_step(before, after.number, after.timestamp) or self._in_step(before, number, timestamp)
        one = before or after
        if one is None or self._step is None or self._in_step(one, number, timestamp):
            return True
        return None if after is None else False

    def _neighbour(self, number: int, direction: int) -> _Media | None:
        """The nearest known packet on one side, within reach."""
        for other in range(number + direction, number + direction * (_NEIGHBOUR_REACH + 1), direction):
            media = self._known(other)
            if media is not None:
                return media
        return None

    def _in_step(self, media: _Media, number: int, timestamp: int) -> bool:
        """Whether the packets from one to the other are evenly spaced, as the last ones that arrived were."""
        if self._step is None:
            return False
        return not (media.timestamp + (number - media.number) * self._step - timestamp) & _TIMESTAMP_MASK


def _in_order(first: int, second: int) -> bool:
    """Serial comparison of timestamps: `second` is not before `first`."""
    return (second - first) & _TIMESTAMP_MASK < _TIMESTAMP_HALF
