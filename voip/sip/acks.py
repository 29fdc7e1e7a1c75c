"""2xx to INVITE, both ways (RFC 3261): ours are retransmitted until their ACK (section 13.3.1.4), each copy of the
peer's gets the same ACK (13.2.2.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voip.sip.address import Address, is_unproven
from voip.sip.bodies import session_part
from voip.sip.core import COPIES_TO_UNVALIDATED, Core
from voip.sip.dialog import Dialog
from voip.sip.message import Request, Response
from voip.sip.timers import GIVE_UP, T1, T2
from voip.sip.transaction import ClientTransaction, ServerTransaction

MOST_SENT = 3
"""Bytes to an unproven address for each byte of its INVITE, at most (RFC 3261 section 26.1.5 on amplification)."""
BYE_SIZE = 350
"""Bytes that our BYE has, about."""
MAX_ACKS = 4
"""ACKs kept for repeated 2xx."""


class UnackedResponse:
    """A 2xx of ours that is retransmitted until its ACK."""

    def __init__(self, transaction: ServerTransaction, dialog: Dialog, data: bytes, first: bool) -> None:
        self.number = transaction.request.cseq.number
        self.data, self.transaction, self.dialog, self.first = data, transaction, dialog, first
        self.late_offer = not session_part(transaction.request)
        self.copies = 0
        self._interval = T1

    def leaves_room_for(self, times: int) -> bool:
        """Whether so many copies, with the BYE at the end, may be sent to an unproven address."""
        return times * len(self.data) + BYE_SIZE <= MOST_SENT * self.transaction.size

    def count(self) -> None:
        """One more copy is sent."""
        self.copies += 1

    def wait(self) -> float:
        """Seconds until the next copy (13.3.1.4)."""
        self._interval = min(2 * self._interval, T2)
        return self._interval


class UnackedResponses:
    """The 2xx of a call that wait for their ACK; `on_lost` is called when none comes, with the
    time and whether a BYE is for one who has asked for it."""

    def __init__(self, core: Core, on_lost: Callable[[float, bool], object]) -> None:
        self._core, self._on_lost = core, on_lost
        self._waiting: dict[int, UnackedResponse] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def offer_open(self) -> bool:
        """One of them holds our offer, whose answer comes with its ACK."""
        return any(waiting.late_offer for waiting in self._waiting.values())

    def repeat(
        self, transaction: ServerTransaction, response: Response, dialog: Dialog, *, first: bool, now: float
    ) -> None:
        """This 2xx was sent: send it again until it is acknowledged. `first`: to the INVITE that makes the call."""
        if self._is_unproven(dialog, transaction):
            transaction.repeat_by_request()
        waiting = UnackedResponse(transaction, dialog, response.serialize(), first)
        self._waiting[waiting.number] = waiting
        timers = self._core.timers
        timers.set(waiting, "repeat", now + T1, lambda now: self._repeat(waiting, now))
        timers.set(waiting, "give up", now + GIVE_UP, lambda now: self._give_up(waiting, now))

    def acknowledged(self, number: int) -> UnackedResponse | None:
        """The 2xx that an ACK with this CSeq is for, returned once."""
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            self._core.timers.clear_all(waiting)
        return waiting

    def forget(self) -> None:
        for waiting in self._waiting.values():
            self._core.timers.clear_all(waiting)
        self._waiting.clear()

    def _is_unproven(self, dialog: Dialog, transaction: ServerTransaction) -> bool:
        """Nothing shows that it is the source of the INVITE that has sent it: no message since, no media."""
        return not dialog.validated and is_unproven(transaction.source) and not self._core.hears(dialog.call_id)

    def _may_repeat(self, waiting: UnackedResponse) -> bool:
        """To an unproven address not often, and the sum of it, with the BYE at the end, is a small multiple of what
        came: without a body in the INVITE the 2xx holds our offer, and is much the longer of the two."""
        if not self._is_unproven(waiting.dialog, waiting.transaction):
            return True
        return waiting.copies < COPIES_TO_UNVALIDATED and waiting.leaves_room_for(waiting.copies + 2)

    def _repeat(self, waiting: UnackedResponse, now: float) -> None:
        if self._may_repeat(waiting):
            waiting.count()
            self._core.wire.send(waiting.data, waiting.transaction.reply_to)
        self._core.timers.set(waiting, "repeat", now + waiting.wait(), lambda now: self._repeat(waiting, now))

    def _give_up(self, waiting: UnackedResponse, now: float) -> None:
        self.acknowledged(waiting.number)
        unproven = self._is_unproven(waiting.dialog, waiting.transaction)
        self._on_lost(now, not unproven or waiting.leaves_room_for(waiting.copies + 1))


@dataclass
class SentAck:
    data: bytes
    destination: Address


class Acks:
    """The ACKs of the peer's 2xx, made once and sent for each copy."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._sent: dict[int, SentAck] = {}

    def send(self, dialog: Dialog, transaction: ClientTransaction) -> None:
        number = transaction.request.cseq.number
        if number not in self._sent:
            self._sent[number] = make_ack(self._core, dialog, transaction.request)
            while len(self._sent) > MAX_ACKS:
                del self._sent[next(iter(self._sent))]
        ack = self._sent[number]
        self._core.wire.send(ack.data, ack.destination)


def make_ack(core: Core, dialog: Dialog, invite: Request) -> SentAck:
    """The ACK for a 2xx to `invite`: its number, the dialog's route, and, to a host that the user has named, its
    credentials (22.1): Contact and Record-Route of the 2xx say where it goes, and these are the callee's choice."""
    destination = dialog.destination(core.resolver.known)
    request = dialog.request("ACK", core.identity.via(destination), invite.cseq.number)
    if core.digest_client.is_named(invite.call_id, destination.host):
        for name in ("Authorization", "Proxy-Authorization"):
            for value in invite.headers.lines(name):
                request.headers.add(name, value)
    return SentAck(request.serialize(), destination)
