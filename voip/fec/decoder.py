"""Parity decoder: rebuilds lost packets from repair packets over any sets (RFC 8627 section 6.3, RFC 5109 section 9).

Bounded and iterative: everything that a peer can make it hold sits in rings of fixed size, and a repair packet is
looked at again only when a packet that it covers arrives or is rebuilt. Parity is not authenticated: what is
rebuilt has to fit the stream around it, or it is dropped and counted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from voip.errors import ProtocolError
from voip.fec.memory import FIRST_CYCLE, HALF_RING, SEQUENCE_MASK, PacketMemory
from voip.fec.xor import RepairHeader, datagram_of, parity_of
from voip.rtp import RtpPacket, unwrap

REPAIR_RING = 256
"""Repair packets kept until enough of the packets that they cover have arrived."""


class _Repair:
    """A pending repair packet: until `missing` is down to one packet, or until a neighbour of that one is known."""

    __slots__ = ("body", "members", "missing", "parity", "slot", "watched")

    def __init__(self, header: RepairHeader, members: tuple[int, ...], missing: set[int], slot: int) -> None:
        self.members = members
        self.missing = missing
        self.parity = header.parity
        self.body = header.body
        self.slot = slot
        self.watched = list(missing)


class ParityDecoder(PacketMemory, ABC):
    """Takes media and repair packets of one stream in any order; returns the media packets that they make available.

    A media packet is always returned first, even if it was rebuilt before: the jitter buffer recognizes duplicates.
    Counters, which outlive `reset`: `recovered` packets, and `rejected` repair packets or implausible results. A
    subclass knows the repair packets of one scheme.
    """

    def __init__(
        self,
        *,
        media_ssrc: int | None,
        media_payload_types: frozenset[int],
        fec_payload_type: int,
        step: int | None = None,
        shared_numbers: bool = False,
    ) -> None:
        super().__init__(media_ssrc, step=step, shared_numbers=shared_numbers)
        self.media_payload_types = media_payload_types
        self.fec_payload_type = fec_payload_type
        self.recovered = 0
        self.rejected = 0

    def reset(self) -> None:
        """Forget all packets: after a new SSRC or a jump of the sequence numbers, old parity is useless."""
        super().reset()
        self.last_named: tuple[int, ...] = ()
        self._repairs: list[_Repair | None] = [None] * REPAIR_RING
        self._slot = 0
        self._waiting: dict[int, dict[int, _Repair]] = {}  # extended number -> repair packets, by slot, that it helps

    @abstractmethod
    def parse(self, packet: RtpPacket) -> RepairHeader:
        """Read a repair packet; ProtocolError, and nothing else, if it is not one."""

    @abstractmethod
    def protected_ssrc(self, packet: RtpPacket, header: RepairHeader) -> int | None:
        """The SSRC of the media that a repair packet protects; None if it is not given, or cannot be ours."""

    def protected_part(self, parity: int, body: int) -> int:
        """The part of the recovered parity that the scheme really protects."""
        return parity

    def receive(self, packet: RtpPacket) -> list[RtpPacket]:
        """Take a packet that arrived; returns it if it is media, then everything that can be rebuilt now.

        `last_named` then holds the sequence numbers that this repair packet covers; () for a media packet or a rejected
        one.
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

    def _receive_repair(self, packet: RtpPacket) -> list[_Repair]:
        """Keep a repair packet that can still help; it is returned if it can at once."""
        try:
            header = self.parse(packet)
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
        """The extended numbers that a repair packet covers; None if it is of another stream or too far off."""
        ssrc = self.protected_ssrc(packet, header)
        if ssrc is None or self.media_ssrc not in (None, ssrc):
            return None
        self.media_ssrc = ssrc
        if self._newest is None:
            self._newest = header.base + header.positions[-1] + FIRST_CYCLE
        base = unwrap(header.base, self._newest)
        if (
            base + header.positions[0] <= self._newest - HALF_RING
            or base + header.positions[-1] > self._newest + HALF_RING
        ):
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
        """Drop a repair packet from all waiting lists."""
        self._repairs[repair.slot] = None
        for number in repair.watched:
            waiting = self._waiting.get(number)
            if waiting is not None:
                waiting.pop(repair.slot, None)
                if not waiting:
                    del self._waiting[number]

    def _helped_by(self, number: int) -> list[_Repair]:
        """A packet has become known; returns the repair packets that now lack only one packet."""
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
                continue  # already rebuilt by another repair packet
            (number,) = repair.missing
            packet = self._rebuild(repair, number)
            if packet is not None:
                self.recovered += 1
                rebuilt.append(packet)
                self._store(number, packet.timestamp, parity_of(packet.serialize()), received=False)
                ready += self._helped_by(number)
        return rebuilt

    def _rebuild(self, repair: _Repair, number: int) -> RtpPacket | None:
        """The one missing packet, if the others are still stored and the result is plausible."""
        parity = repair.parity
        for member in repair.members:
            if member != number:
                media = self._known(member)
                if media is None:
                    self._retire(repair)
                    return None
                parity ^= media.parity
        parity = self.protected_part(parity, repair.body)
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
        """Try again when this packet is known, because its timestamp decides."""
        self._waiting.setdefault(number, {})[repair.slot] = repair
        repair.watched.append(number)
