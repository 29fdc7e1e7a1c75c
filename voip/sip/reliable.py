"""Reliable provisional responses (RFC 3262): ours, and those of callees in their early dialogs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from voip.sip.address import Address, is_unproven
from voip.sip.bodies import session_part
from voip.sip.core import COPIES_TO_UNVALIDATED, Core
from voip.sip.dialog import Dialog
from voip.sip.fitting import Fields
from voip.sip.message import Request, Response
from voip.sip.methods import RELIABLE
from voip.sip.timers import GIVE_UP, T1
from voip.sip.transaction import ClientTransaction, ServerTransaction

FIRST_RSEQ = 2**31
"""The first number is below this, at random (section 3)."""
MAX_EARLY = 8
"""Early dialogs of one INVITE that are followed."""
_RSEQ = re.compile(r"[0-9]{1,10}")
_RACK = re.compile(r"([0-9]{1,10})[ \t]+([0-9]{1,10})[ \t]+INVITE")


def requires_reliable(message: Request | Response) -> bool:
    return RELIABLE in (value.lower() for value in message.headers.get_all("Require"))


class ReliableProvisionals:
    """The 1xx of ours to one INVITE, each retransmitted until its PRACK (section 3); `on_lost` is called when none
    comes.

    They carry no session descriptions, so that the final response need not wait for PRACKs.
    """

    def __init__(self, core: Core, on_lost: Callable[[float], object]) -> None:
        self._core, self._on_lost = core, on_lost
        self._number = core.rng.randrange(1, FIRST_RSEQ)
        self._waiting: Response | None = None
        self._transaction: ServerTransaction | None = None
        self._interval = T1
        self._copies = 0

    def send(self, transaction: ServerTransaction, status: int, fields: Fields, now: float) -> None:
        """The next one; not while one is waiting for its PRACK."""
        if self._waiting is not None:
            return
        self._number += 1
        fields = [*fields, ("Require", RELIABLE), ("RSeq", str(self._number))]
        self._transaction, self._interval, self._copies = transaction, T1, 0
        self._waiting = self._core.respond(transaction, status, now, fields=fields)
        self._core.timers.set(self, "repeat", now + self._interval, self._repeat)
        self._core.timers.set(self, "give up", now + GIVE_UP, self._give_up)

    def acknowledged(self, prack: Request) -> bool:
        """Whether this PRACK is for what waits for one (section 3: 481 if not)."""
        found = _RACK.fullmatch(prack.headers.get("RAck") or "")
        if found is None or self._waiting is None:
            return False
        if (int(found[1]), int(found[2])) != (self._number, self._waiting.cseq.number):
            return False
        self._waiting = None
        self.stop()
        return True

    def stop(self) -> None:
        """The final response has been sent: nothing is repeated any more."""
        self._core.timers.clear_all(self)

    def _repeat(self, now: float) -> None:
        assert self._transaction is not None
        proven = not is_unproven(self._transaction.source) or self._core.hears(self._transaction.request.call_id)
        if not proven and self._copies >= COPIES_TO_UNVALIDATED:
            return
        self._copies += 1
        self._transaction.send_again()
        self._interval *= 2
        self._core.timers.set(self, "repeat", now + self._interval, self._repeat)

    def _give_up(self, now: float) -> None:
        self.stop()
        self._on_lost(now)


class IgnoreResponses:
    """Owner of requests whose responses do not matter."""

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        return

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        return


class Prack(IgnoreResponses):
    """Owner of a PRACK: its response matters only where it is a challenge."""

    def __init__(self, core: Core, dialog: Dialog) -> None:
        self._core, self._dialog = core, dialog

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        self._core.authenticate(transaction, response, source, self._dialog.next_number, now)


@dataclass
class EarlyDialog:
    """What one callee has sent before its final response (RFC 3261 section 12.1.2)."""

    dialog: Dialog
    number: int = 0
    """RSeq of the newest reliable response; 0: there was none."""
    answer: bytes = b""
    settled: bool = False
    """`answer` came in a reliable response, so that it counts whatever the 2xx holds (RFC 3261 section 13.2.1)."""
    changed: bool = False
    """The callee has made an offer since, which we have answered (UPDATE)."""

    def answer_with(self, final: Response) -> bytes:
        """The callee's answer to our offer: the first in a reliable response (RFC 3261 section 13.2.1), else that of
        the 2xx, else that of a provisional response; nothing if it has been replaced since."""
        if self.changed:
            return b""
        return self.answer if self.settled else session_part(final) or self.answer


class EarlyDialogs:
    """The early dialogs of our INVITE, by the callee's tag."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._dialogs: dict[str, EarlyDialog] = {}

    def __bool__(self) -> bool:
        return bool(self._dialogs)

    def find(self, tag: str) -> EarlyDialog | None:
        return self._dialogs.get(tag)

    def receive(self, invite: Request, response: Response, source: Address, now: float) -> bool:
        """Note a 1xx, and acknowledge it if it asks for that; False if it is a repetition, or one before it is missing
        (section 4)."""
        tag, number = response.to.tag, _rseq(response) if requires_reliable(response) else 0
        reliable = number > 0  # without a number there is nothing to acknowledge, and the rest of it is worth as much
        if not tag or response.status == 100:
            return True
        early = self._dialogs.get(tag)
        if early is None:
            if len(self._dialogs) >= MAX_EARLY:
                return not reliable
            early = self._dialogs[tag] = EarlyDialog(Dialog.of_response(invite, response, source))
        if reliable and early.number and number != early.number + 1:
            return False
        session = session_part(response)
        if session and not early.settled:
            early.answer, early.settled = session, reliable
        if reliable:
            early.number = number
            self._acknowledge(early, invite.cseq.number, now)
        return True

    def clear(self) -> None:
        """Another INVITE is sent: early dialogs of the one before do not count."""
        self._dialogs.clear()

    def _acknowledge(self, early: EarlyDialog, cseq: int, now: float) -> None:
        destination = early.dialog.destination(self._core.resolver.known)
        prack = early.dialog.request("PRACK", self._core.identity.via(destination))
        prack.headers.add("RAck", f"{early.number} {cseq} INVITE")
        self._core.send(prack, destination, Prack(self._core, early.dialog), now)


def _rseq(response: Response) -> int:
    text = response.headers.get("RSeq") or ""
    return int(text) if _RSEQ.fullmatch(text) else 0
