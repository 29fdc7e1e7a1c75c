"""A registration at a registrar (RFC 3261 section 10): made, refreshed before it ends, and taken back.

The address that the registrar sees our requests come from (RFC 3581) is the contact that it gets: behind a NAT that
is another address than the one we have. Where it fails it is tried again for ever, after pauses that grow
(RFC 5626 section 4.5); whether that is of use is for the owner to say. Its service route (RFC 3608) is that of calls.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from voip.errors import ProtocolError
from voip.sip.address import Address
from voip.sip.core import CALL_ID_BITS, Core
from voip.sip.dialog import is_secure
from voip.sip.events import Registered, RegistrationFailed
from voip.sip.keepalive import KeepAlive
from voip.sip.message import Response
from voip.sip.pauses import FIRST_PAUSE, TRY_TIMEOUT, Pauses
from voip.sip.timers import Timers
from voip.sip.transaction import ClientTransaction
from voip.sip.uri import NameAddr, SipUri, uri_equal

EXPIRES = 300
"""Seconds that are asked for: a registrar that has lost its memory knows us again after that, at most."""
MAX_EXPIRES = 86400
"""Seconds that a registrar may make of it, at most."""
REFRESH = (0.5, 0.9)
"""Share of the time granted after which it is asked for anew: not in step with all others that came when we did."""
MAX_RETRY_AFTER = 300
KEEP_ALIVE_INTERVAL = (24.0, 29.0)
"""Seconds between empty messages, which keep a NAT's mapping open between refreshes (RFC 5626 section 4.4.2)."""
INTERVAL_TOO_BRIEF = 423
PATIENCE = 2.0
"""Seconds that a call waits for the first response of the registrar."""
MAX_SERVICE_ROUTE = 8
"""Proxies of a service route that are taken: an IMS has one or two."""


class Gate:
    """Actions that wait: from the first `close` on until `open`, PATIENCE at most; never again after that."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._closed, self._opened = False, False
        self._waiting: list[Callable[[float], object]] = []

    def close(self) -> None:
        self._closed = not self._opened

    def open(self, now: float) -> None:
        """What waits is done now."""
        self._closed, self._opened = False, True
        self._timers.clear(self, "patience")
        actions, self._waiting = self._waiting, []
        for action in actions:
            action(now)

    def pass_through(self, action: Callable[[float], object], now: float) -> None:
        """Do this now, or when the gate opens."""
        if not self._closed:
            action(now)
            return
        self._waiting.append(action)
        self._timers.set(self, "patience", now + PATIENCE, self.open)


class Registration:
    """Keeps `account` (sip:user@host) reachable through `registrar`. All times are in seconds."""

    def __init__(self, core: Core, account: SipUri, registrar: SipUri) -> None:
        self._core, self._account, self._registrar = core, account, registrar
        self._call_id, self._tag, self._number = core.token(CALL_ID_BITS), core.token(), 0
        self._keep_alive = KeepAlive(core.wire, self._to_keep_alive, lambda: core.rng.uniform(*KEEP_ALIVE_INTERVAL))
        self._transaction: ClientTransaction | None = None
        self._expires = EXPIRES
        self._contact, self._former = "", ""  # the last one that the registrar got, and the one before
        self._moved = False
        self._pauses = Pauses(core.rng)
        self._leaving = False
        self.calls = Gate(core.timers)
        """What calls wait at until the registrar has responded for the first time, with its service route, or is
        silent: one that comes before its caller is registered is often refused."""
        self.hosts: set[str] = set()
        """The addresses of the registrar: calls that we are registered for come from there."""
        self.destination: Address | None = None
        """Where the last REGISTER went."""
        self.waiting_since: float | None = None
        """When what has no response yet was begun, lookup of the registrar or REGISTER; None: all is answered."""
        self.registered = False
        self.over = False
        """It was taken back, or there was nothing to take back."""

    # --- what the user asks ---------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Register now, whatever the timers say: at the start, or because our address is another."""
        if self.waiting_since is None and not self._leaving:
            self.waiting_since = now
        if not self._leaving:
            self.calls.close()
            self._core.resolver.resolve(self._core.next_hop(self._registrar, "REGISTER"), now, self._found)

    def stop(self, now: float) -> None:
        """Take it back (10.2.2); `over` says when."""
        if self._leaving:
            return
        self._leaving = True
        self.waiting_since = None
        self._core.timers.clear_all(self)
        self.calls.open(now)
        self._keep_alive.stop()
        under_way, self._transaction = self._transaction, None
        if under_way is not None and not under_way.answered:
            under_way.drop()
        elif not self.registered:
            self._end()
            return
        self._send(now)

    def connection_lost(self, address: Address, now: float) -> None:
        """The connection to the registrar is gone, or its port is closed: it may have been started again."""
        if self.registered and not self._pauses.failures and not self._leaving and address == self.destination:
            self._core.timers.set(self, "register", now + self._core.rng.uniform(0.0, FIRST_PAUSE), self.start)

    def resend_pending(self) -> None:
        """One more copy of what has no response yet."""
        if self._leaving and self._transaction is not None and not self._transaction.answered:
            self._transaction.send_again()

    def _is_waiting(self) -> bool:
        """A REGISTER is under way; one whose response cannot come is given up."""
        if self._transaction is None or self._transaction.answered:
            return False
        if not self._core.is_stranded(self._transaction):
            return True
        self._transaction.drop()
        return False

    # --- the request ----------------------------------------------------------------------------------------------

    def _found(self, destinations: Sequence[Address], now: float) -> None:
        if self._leaving or self._is_waiting():
            return
        if not destinations:
            self.waiting_since = None
            self._fail(None, f"cannot find the host {self._registrar.host}", now)
            return
        for destination in destinations:
            self.hosts.add(destination.host)
            self._core.digest_client.allow(self._call_id, destination.host)
        self.destination = destinations[self._pauses.failures % len(destinations)]
        self._send(now)

    def _send(self, now: float) -> None:
        assert self.destination is not None
        destination = self.destination
        contact = self._core.identity.contact(destination, secure=is_secure(self._registrar))
        if contact != self._contact:
            self._contact, self._former = contact, self._contact
        fields = [("Contact", self._contact)]
        if self._former:
            fields.append(("Contact", f"{self._former};expires=0"))
        fields.append(("Expires", "0" if self._leaving else str(self._expires)))
        self._core.timers.clear(self, "register")
        self._transaction = self._core.request(
            "REGISTER",
            self._registrar,
            destination,
            self,
            now,
            sender=f"<{self._account}>;tag={self._tag}",
            recipient=f"<{self._account}>",
            call_id=self._call_id,
            number=self._next_number(),
            fields=fields,
        )
        self._await_response(now)

    def _await_response(self, now: float) -> None:
        """For TRY_TIMEOUT, until there is any: the next try may go to another server, or over another connection."""
        if not self._leaving:
            self._core.timers.set(self, "silent", now + TRY_TIMEOUT, self._give_up)

    def _give_up(self, now: float) -> None:
        if self._transaction is not None:
            self._transaction.drop()
            self.on_no_response(self._transaction, now)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    # --- its responses --------------------------------------------------------------------------------------------

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if transaction is not self._transaction:
            return
        self._core.timers.clear(self, "silent")
        if response.status < 200:
            return
        self.waiting_since = None
        again = self._core.authenticate(transaction, response, source, self._next_number, now)
        if again is not None:
            self._transaction = again
            self.waiting_since = now
            self._await_response(now)
            return
        self._transaction = None
        if self._leaving:
            self._end()
        elif response.status < 300:
            self._succeed(response, now)
        elif response.status == INTERVAL_TOO_BRIEF and self._ask_for_more(response):
            self._send(now)
        else:
            self._fail(response.status, response.reason, now, _seconds(response.headers.get("Retry-After")))

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is not self._transaction:
            return
        self._transaction = self.waiting_since = None
        self._core.timers.clear(self, "silent")
        if self._leaving:
            self._end()
        else:
            self._fail(None, transaction.failure or "no answer", now)

    def _succeed(self, response: Response, now: float) -> None:
        granted = min(self._granted(response), MAX_EXPIRES)
        if granted <= 0:
            self._fail(response.status, "the registrar grants no time", now)
            return
        self.registered, self._former = True, ""
        self._pauses.restart()
        self._core.take_service_route(_service_route(response))
        self.calls.open(now)
        self._core.timers.set(self, "expired", now + granted, self._expired)
        if self._learn_address(response) and not self._moved:
            self._moved = True  # once for each refresh: some NATs give every packet another port
            self._send(now)
            return
        self._moved = False
        self._keep_alive.restart(now)
        self._core.timers.set(self, "register", now + granted * self._core.rng.uniform(*REFRESH), self.start)
        self._core.events.append(Registered(str(self._account), granted, str(NameAddr.parse(self._contact).uri)))

    def _granted(self, response: Response) -> int:
        """For how long: what it says of our contact, else of all of them, else what we asked for (10.2.4).

        A border controller may have put itself in the place of our host and port, or made another URI of ours. Where
        more than one may be ours the shortest time counts: to refresh too early does no harm.
        """
        ours = NameAddr.parse(self._contact).uri
        times = [(contact.uri, _seconds(_lasting(contact))) for contact in response.contacts]
        said = [(uri, seconds) for uri, seconds in times if seconds is not None]
        equal = [seconds for uri, seconds in said if uri_equal(uri, ours)]
        alike = [seconds for uri, seconds in said if _user(uri) == _user(ours)]
        if equal or alike:
            return equal[0] if equal else min(alike)
        seconds = _seconds(response.headers.get("Expires"))
        return min([seconds for _, seconds in said], default=self._expires) if seconds is None else seconds

    def _learn_address(self, response: Response) -> bool:
        """Whether the registrar sees us at another address than our contact says."""
        assert self.destination is not None
        self._core.identity.learn_address(self.destination, response.via[0])
        return self._core.identity.contact(self.destination, secure=is_secure(self._registrar)) != self._contact

    def _ask_for_more(self, response: Response) -> bool:
        """10.2.8: the least that the registrar grants, if that is more than was asked for."""
        least = _seconds(response.headers.get("Min-Expires"))
        if least is None or not self._expires < least <= MAX_EXPIRES:
            return False
        self._expires = least
        return True

    def _fail(self, status: int | None, reason: str, now: float, wait: int | None = None) -> None:
        self.calls.open(now)
        pause = self._pauses.after_silence(now) if status is None else self._pauses.after_refusal()
        pause = max(pause, min(wait or 0, MAX_RETRY_AFTER))
        self._core.timers.set(self, "register", now + pause, self.start)
        self._core.events.append(RegistrationFailed(str(self._account), status, reason, pause))

    def _to_keep_alive(self) -> list[Address]:
        return [self.destination] if self.destination is not None and not self.destination.reliable else []

    def _expired(self, now: float) -> None:
        self.registered = False

    def _end(self) -> None:
        self.registered, self.over = False, True
        self._core.take_service_route([])
        self._core.timers.clear_all(self)
        self._keep_alive.stop()
        self._core.digest_client.forget(self._call_id)


def _user(uri: SipUri | str) -> str | None:
    return uri.user if isinstance(uri, SipUri) else None


def _service_route(response: Response) -> list[NameAddr]:
    """The proxies that requests of ours are to pass, in order (RFC 3608 section 5); none where it names none."""
    found = []
    for value in response.headers.get_all("Service-Route")[:MAX_SERVICE_ROUTE]:
        with contextlib.suppress(ProtocolError):
            route = NameAddr.read_route(value)
            if isinstance(route.uri, SipUri):
                found.append(route)
    return found


def _lasting(contact: NameAddr) -> str | None:
    """How long a registrar says that a contact lasts; some write it within the angle brackets."""
    inner = contact.uri.params if isinstance(contact.uri, SipUri) else {}
    return contact.params.get("expires") or inner.get("expires")


def _seconds(text: str | None) -> int | None:
    """A number of seconds; what may follow it (Retry-After) is ignored, and None made of anything else."""
    digits = (text or "").partition(";")[0].partition("(")[0].strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else None
