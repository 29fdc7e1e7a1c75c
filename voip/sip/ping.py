"""Asking the peer of a call whether it is there: OPTIONS within the dialog (RFC 3261 section 11).

Any final response is a sign of life, a refusal too, but for 408 and 481: those say that the dialog is gone (12.2.1.2).
"""

from __future__ import annotations

from collections.abc import Callable

from voip.sip.address import Address
from voip.sip.events import PeerAlive
from voip.sip.leg import GONE, Leg, Reason
from voip.sip.message import Response
from voip.sip.methods import SDP
from voip.sip.transaction import ClientTransaction


class Ping:
    """One at a time; `on_gone` is called where the peer has no such dialog any more."""

    def __init__(self, leg: Leg, on_gone: Callable[[Reason, float], object]) -> None:
        self._leg, self._on_gone = leg, on_gone
        self._sent: ClientTransaction | None = None

    def send(self, now: float) -> None:
        if self._sent is None or self._sent.answered:
            request = self._leg.request("OPTIONS")
            request.headers.add("Accept", SDP)
            self._sent = self._leg.core.send(request, self._leg.destination(), self, now)

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        again = self._leg.authenticate(transaction, response, source, now)
        if again is not None:
            self._sent = again
        elif response.status < 200 or not self._leg.live:
            return
        elif response.status in GONE:
            self._on_gone(Reason("timeout", response.status, response.reason), now)
        else:
            self._leg.core.events.append(PeerAlive(self._leg.call_id))

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        return
