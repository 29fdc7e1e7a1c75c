"""The called side (RFC 3261 section 13.3): ringing until we respond to the INVITE for good."""

from __future__ import annotations

from collections.abc import Callable

from voip.sip.bodies import session_part
from voip.sip.dialog import Dialog, is_secure
from voip.sip.events import IncomingCall
from voip.sip.leg import Leg
from voip.sip.message import Request
from voip.sip.reliable import ReliableProvisionals, requires_reliable
from voip.sip.transaction import ServerTransaction, merge_key


class Called:
    """The strategy of a call that came in with `invite`: `take` has the user asked about it, `on_no_prack` is called
    when our ringing is not acknowledged."""

    def __init__(
        self,
        leg: Leg,
        invite: ServerTransaction,
        take: Callable[[ServerTransaction], object],
        on_no_prack: Callable[[float], object],
    ) -> None:
        self._leg, self._invite, self._take = leg, invite, take
        self.invited_by = merge_key(invite.request)
        self._provisionals = ReliableProvisionals(leg.core, on_no_prack)

    def start(self, now: float) -> None:
        """Ask the user."""
        self._take(self._invite)
        request = self._invite.request
        self._leg.core.events.append(
            IncomingCall(self._leg.call_id, request.from_, self._invite.source, session_part(request))
        )

    def ring(self, now: float) -> None:
        """180: the user is being asked."""
        request, core = self._invite.request, self._leg.core
        fields = [("Record-Route", value) for value in request.headers.lines("Record-Route")]
        fields.append(("Contact", core.identity.contact(self._invite.source, secure=is_secure(request.uri))))
        if not requires_reliable(request):
            core.respond(self._invite, 180, now, fields=fields)
        elif session_part(request):
            # Without an offer the first reliable response would have to hold ours (RFC 3262 section 5): 100 will do.
            self._provisionals.send(self._invite, 180, fields, now)

    def early_dialog(self, tag: str) -> Dialog | None:
        """None: the call has its one dialog from the start."""
        return None

    def has_open_offer(self, tag: str) -> bool:
        """No: the offer of the INVITE is the peer's."""
        return False

    def session_changed(self, tag: str) -> None:
        """An offer of the peer is answered."""

    def acknowledges(self, prack: Request) -> bool:
        """Whether a response of ours waits for this PRACK."""
        return self._provisionals.acknowledged(prack)

    def withdraw(self, now: float) -> None:
        """Nothing of ours is on its way that could be cancelled."""

    def resend(self) -> None:
        """The same."""

    def stop(self) -> None:
        """The final response is sent: none before it is repeated any more."""
        self._provisionals.stop()

    def drop(self) -> None:
        """No response to anything is expected."""
