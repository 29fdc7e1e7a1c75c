"""DTLS-SRTP on one media port (RFC 5763, RFC 5764): datagrams and time in, datagrams and events out.

What an address gets that has not proved itself: as the server, at most one small record for each ClientHello, which
asks for a cookie (RFC 6347 section 4.2.1), and no state is kept for it. As the client, a ClientHello goes to the
address that the peer's description names; all copies of it together are no more than the description itself.

A handshake from an address that the peer has not named ends nothing if it fails: anybody may try it. Keys are released
only if the peer's certificate is the one that its description names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from voip.dtls.association import Association, Context, HandshakeFailed, Listener
from voip.dtls.certificate import Certificate
from voip.dtls.handshake import Address, Handshake
from voip.dtls.records import clear_alert, is_client_hello, split
from voip.errors import ProtocolError
from voip.srtp import SrtpKeys
from voip.srtp.association import AssociationTerms, Role, names

HANDSHAKE_TIMEOUT = 15.0
"""Seconds from the agreement on until a handshake must be done: OpenSSL has repeated each flight three times by then,
after 1, 3 and 7 s."""
MAX_HANDSHAKES = 4
"""Addresses that a server shakes hands with at once: one is the peer's."""
MAX_ATTEMPTS = 24
"""Handshakes of one agreement with addresses that the peer has not named: each costs about a millisecond."""
MAX_CONNECTS = 3
"""Attempts of a client: before anything is authentic, a forged message may end one."""
ALERT_GRACE = 3.0
"""Seconds that a handshake may still take when an alert in clear has come, which anybody may have sent."""
_RANDOM = slice(27, 59)
"""The random of a ClientHello in its record: behind the headers of record (13) and message (12), and its version."""
WRONG_CERTIFICATE = "the DTLS certificate of the other side is not the one that its SDP names"


@dataclass(frozen=True)
class Connected:
    """A handshake is done and the peer's certificate is the right one; `channel`: what only both ends know."""

    keys: SrtpKeys
    remote: Address
    role: Role
    channel: bytes = field(repr=False)


@dataclass(frozen=True)
class Received:
    """Application data of the peer, which came to it whole and unchanged."""

    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Failed:
    """There will be no keys; `reason` is for people."""

    reason: str


@dataclass(frozen=True)
class Closed:
    """The peer has ended the association (close_notify): its keys are of no more use (RFC 5764 section 3)."""


Event = Connected | Received | Failed | Closed


class Endpoint:
    """The DTLS side of one media port.

    From the beginning it takes ClientHellos, for the peer's may come before its answer (RFC 5763 section 6.2); `agree`
    says whose certificate is right. After each call ask for `datagrams_to_send` and `take_events`.

    Counters of datagrams: `malformed` hold no record of DTLS, `foreign` come from an address without a handshake and
    begin none; `refused` are handshakes that failed.
    """

    def __init__(self, certificate: Certificate, secret: bytes) -> None:
        """`secret`: random bytes, of this endpoint alone."""
        self.malformed = self.foreign = self.refused = 0
        self._context = Context(certificate, secret, self._is_expected)
        self._listener = Listener(self._context)
        self._terms: AssociationTerms | None = None
        self._remote: Address | None = None
        self._handshakes: dict[Address, Handshake] = {}
        self._chosen: Handshake | None = None
        self._deadline: float | None = None
        self._attempts = 0
        self._reason = ""
        self._output: list[tuple[bytes, Address]] = []
        self._events: list[Event] = []
        self._over = False

    # --- what is agreed on ----------------------------------------------------------------------------------------

    @property
    def established(self) -> bool:
        """Whether keys have been released by the present agreement."""
        return self._chosen is not None

    def agree(self, terms: AssociationTerms, remote: Address | None, now: float) -> None:
        """Offer and answer say this; `remote` is the peer's media address, None on hold.

        The same terms as before change nothing but the address. Others begin another association; the keys of the one
        before stay in use until then.
        """
        moved, self._remote = remote != self._remote, remote
        if self._over:
            return
        if self._terms is None or not self._terms.continues(terms):
            self._begin(terms, now)
        elif moved and self._chosen is None and terms.role is Role.CLIENT:
            self._handshakes.clear()
            self._connect(now)

    def _begin(self, terms: AssociationTerms, now: float) -> None:
        first, self._terms = self._terms is None, terms
        self._deadline, self._attempts, self._reason = now + HANDSHAKE_TIMEOUT, 0, ""
        if self._chosen is not None:
            self._send(self._chosen.close(), self._chosen.remote)
            self._chosen = None
        if not first or terms.role is Role.CLIENT:
            self._handshakes.clear()
        if terms.role is Role.CLIENT:
            self._connect(now)
        for handshake in list(self._handshakes.values()):
            self._advance(handshake, self._finish, now)

    def _connect(self, now: float) -> None:
        if self._remote is None or not self._remote[1]:
            return
        self._attempts += 1
        handshake = Handshake(Association.connect(self._context), self._remote)
        self._handshakes[self._remote] = handshake
        self._advance(handshake, lambda each: each.association.proceed(), now)

    # --- in -------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """A datagram whose first byte is that of DTLS."""
        if self._over:
            return
        records = split(data)
        self.malformed += not records
        for record in records:
            self._receive(record, source, now)

    def _receive(self, record: bytes, source: Address, now: float) -> None:
        handshake = self._handshakes.get(source)
        if self._chosen is not None:
            if source != self._chosen.remote:
                self.foreign += 1
                return
            handshake = self._chosen
        elif self._listens(source) and is_client_hello(record) and self._is_new(record, handshake):
            self._listen(record, source, now)
            return
        if handshake is None:
            self.foreign += 1
            return
        alert = clear_alert(record)
        if alert is not None:
            self._note_alert(handshake, alert, now)
            return
        self._advance(handshake, lambda each: self._feed(each, record), now)

    def _note_alert(self, handshake: Handshake, alert: str, now: float) -> None:
        """An alert that anybody may have sent ends nothing, but the wait for more is shorter."""
        if alert and not handshake.association.established and self._deadline is not None:
            self._reason = f"the other side refused the DTLS handshake ({alert})"
            self._deadline = min(self._deadline, now + ALERT_GRACE)

    def _listens(self, source: Address) -> bool:
        """Whether a handshake from there may begin; the peer's own always may."""
        is_server = self._terms is None or self._terms.role is Role.SERVER
        return is_server and (self._attempts < MAX_ATTEMPTS or source == self._remote)

    @staticmethod
    def _is_new(record: bytes, handshake: Handshake | None) -> bool:
        return handshake is None or handshake.random != record[_RANDOM]

    def _listen(self, record: bytes, source: Address, now: float) -> None:
        association, cookies = self._listener.receive(record, f"{source[0]} {source[1]}")
        self._send(cookies, source)
        if association is None:
            return
        self._attempts += 1
        self._handshakes.pop(source, None)
        while len(self._handshakes) >= MAX_HANDSHAKES:
            self._handshakes.pop(next(each for each in self._handshakes if each != self._remote))
        handshake = self._handshakes[source] = Handshake(association, source, record[_RANDOM])
        self._advance(handshake, lambda each: each.association.proceed(), now)

    def _feed(self, handshake: Handshake, record: bytes) -> None:
        association = handshake.association
        before = association.closed
        handshake.receive(record)
        if handshake is self._chosen:
            self._events += [Received(data) for data in association.take_data()]
        if association.closed and not before and handshake is self._chosen:
            self._events.append(Closed())

    def _advance(self, handshake: Handshake, step: Callable[[Handshake], object], now: float) -> None:
        """Take a step of one handshake, send what comes of it, and see whether it is done or has failed."""
        try:
            step(handshake)
            self._finish(handshake)
        except ProtocolError as error:
            self._fail(handshake, str(error), now)
        else:
            self._send(handshake.collect(now), handshake.remote)

    def _finish(self, handshake: Handshake) -> None:
        """Release the keys if the handshake is done, and with whom the description names."""
        association, terms = handshake.association, self._terms
        if not association.established or terms is None or handshake is self._chosen:
            return
        certificate = association.certificate
        if certificate is None or not names(terms.fingerprints, certificate):
            association.shut_down()
            raise HandshakeFailed(WRONG_CERTIFICATE)
        keys = association.keys()
        self._chosen, self._deadline = handshake, None
        self._handshakes = {handshake.remote: handshake}
        self._events.append(Connected(keys, handshake.remote, association.role, association.channel()))

    def _is_expected(self, certificate: bytes) -> bool:
        """As soon as the certificate comes, so that the peer gets an alert for a wrong one; `_finish` asks again."""
        return self._terms is None or names(self._terms.fingerprints, certificate)

    def _fail(self, handshake: Handshake, reason: str, now: float) -> None:
        """One handshake is over: the peer's own ends the endpoint, but for a client's that may try again."""
        self.refused += 1
        self._handshakes.pop(handshake.remote, None)
        self._send(handshake.collect(now), handshake.remote)
        if "certificate verify failed" in reason:
            reason = WRONG_CERTIFICATE
        self._reason = reason
        if self._terms is None or handshake.remote != self._remote:
            return
        if reason != WRONG_CERTIFICATE and self._terms.role is Role.CLIENT and self._attempts < MAX_CONNECTS:
            self._connect(now)
        elif reason == WRONG_CERTIFICATE or self._terms.role is Role.CLIENT:
            self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        self._over, self._deadline = True, None
        self._handshakes.clear()
        self._events.append(Failed(reason))

    # --- out ------------------------------------------------------------------------------------------------------

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """What is to be sent now, each with its destination; once."""
        output, self._output = self._output, []
        return output

    def take_events(self) -> list[Event]:
        """What has happened; once."""
        events, self._events = self._events, []
        return events

    def send(self, data: bytes) -> None:
        """Send application data, once there are keys; it may be lost."""
        if self._chosen is not None and not self._over:
            self._chosen.association.send(data)
            self._send(self._chosen.once(), self._chosen.remote)

    def close(self) -> None:
        """The call is over: the peer is told so by close_notify, and nothing is taken any more."""
        if self._chosen is not None and not self._over:
            self._send(self._chosen.close(), self._chosen.remote)
        self._over, self._deadline = True, None
        self._handshakes.clear()

    def _send(self, datagrams: list[bytes], remote: Address) -> None:
        self._output += [(datagram, remote) for datagram in datagrams]

    # --- time -----------------------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        timers = [handshake.next_timer() for handshake in self._handshakes.values()]
        return min((at for at in (self._deadline, *timers) if at is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Repeat what may be lost; give up when it has taken too long."""
        if self._deadline is not None and self._deadline <= now:
            self._give_up(self._reason or f"no DTLS handshake within {HANDSHAKE_TIMEOUT:g} s")
            return
        for handshake in list(self._handshakes.values()):
            due = handshake.next_timer()
            if due is None or due > now:
                continue
            try:
                self._send(handshake.handle_timer(now), handshake.remote)
            except HandshakeFailed as error:
                self._fail(handshake, str(error), now)
