"""The telephones that are registered here, as the call API needs them: how a program reaches one, by way of the proxy,
and how one is had to call.

A telephone dials when it is asked to by REFER, as a click in a directory does it (RFC 3515, RFC 5359 section 2.19); its
call goes through the proxy then, where it is followed. What it would tell of that by NOTIFY is not wanted (RFC 4488).
Many take a REFER within a call alone: these are called, without sound, and once somebody has picked up they are asked
to transfer that call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from voip.directory.flows import addresses_on
from voip.directory.location import Location
from voip.directory.response_context import cancel_of
from voip.directory.site import Site
from voip.directory.users import Done
from voip.sip.address import Address
from voip.sip.core import Core
from voip.sip.dialog import Dialog
from voip.sip.headers import Headers
from voip.sip.message import Request, Response
from voip.sip.methods import SDP
from voip.sip.timers import GIVE_UP
from voip.sip.transaction import ClientTransaction
from voip.sip.uri import SipUri

ANY_PORT = 5060
"""Of a program of which only the host is known: our address towards it is the same for all of its ports."""
CALL_ID_BITS = 128
ONLY_IN_CALLS = (400, 403, 404, 405, 481, 489, 500, 501)
"""What telephones respond to a REFER outside of a call that would take one within it."""
PICK_UP = 60.0
"""Seconds that a telephone rings before it dials."""
HAND_OVER = 64.0
"""Seconds after which our call is ended although the telephone has not told what became of the transfer."""
_FINAL = re.compile(rb"SIP/2\.0 [2-6][0-9][0-9]")
"""The body of a NOTIFY that says how it ended (RFC 3515 section 2.4.5)."""


@dataclass(frozen=True)
class _Order:
    """That a telephone of `caller`, at `contact`, is to call `callee`."""

    core: Core
    site: Site
    caller: str
    callee: str
    contact: SipUri
    done: Done

    @property
    def whom(self) -> str:
        return f"the telephone of {self.caller}"

    def fields(self, address: Address) -> list[tuple[str, str]]:
        """What makes a request a REFER to that telephone, as it sees us."""
        wanted = self.site.user(self.callee, address)
        if address.protocol != "udp":
            wanted.params["transport"] = address.protocol
        return [
            ("Contact", self.core.identity.contact(address)),
            ("Refer-To", f"<{wanted}>"),
            ("Referred-By", f"<{self.site.user(self.caller, address)}>"),
        ]

    def request(self, method: str, address: Address, sender: str, fields: Sequence[tuple[str, str]]) -> Request:
        """One outside of dialogs."""
        headers = [
            ("Via", self.core.identity.via(address)),
            ("Max-Forwards", "70"),
            ("From", f"<{sender}>;tag={self.core.token()}"),
            ("To", f"<{self.site.user(self.caller, address)}>"),
            ("Call-ID", self.core.token(CALL_ID_BITS)),
            ("CSeq", f"1 {method}"),
        ]
        return Request(method, self.contact, Headers([*headers, *fields]))


class PhoneBook:
    """Registered telephones, and those who are to call them. Network thread only."""

    def __init__(self, core: Core, location: Location, site: Site) -> None:
        self._core, self._location, self._site = core, location, site
        self._transfers: dict[str, _Transfer] = {}

    def address_of(self, name: str, host: str) -> str | None:
        """The address by which a program at this host calls a name by way of the proxy; None: it makes no sense of the
        host."""
        try:
            return str(self._site.user(name, Address("udp", host, ANY_PORT), direct=True))
        except (OSError, ValueError):
            return None

    def dial(self, caller: str, callee: str, now: float, done: Done) -> None:
        """Have a telephone of the one call the other. `done` is told that it is about to, or why it is not; and that
        again if nothing comes of it after all."""
        binding = next(iter(self._location.registered(caller, now)), None)
        if binding is None:
            done(f"no telephone of {caller} is registered")
            return
        order = _Order(self._core, self._site, caller, callee, binding.uri, done)
        referral = _Referral(order, self._call)
        if binding.flow is not None:
            referral.send_to(addresses_on(binding.uri, binding.flow), now)
        else:
            self._core.resolver.resolve(binding.uri, now, referral.send_to)

    def knows(self, request: Request) -> bool:
        """Whether a request is within one of our calls to telephones."""
        return request.call_id in self._transfers

    def respond(self, request: Request, now: float) -> int:
        """The status of the response to such a request."""
        transfer = self._transfers[request.call_id]
        if not transfer.is_with(request):
            return 481
        if request.method == "BYE":
            transfer.end(now)
        elif request.method == "NOTIFY":
            if _FINAL.match(request.body):
                transfer.hang_up(now)
        else:  # there is nothing to agree on: it has no sound
            return 488 if request.method in ("INVITE", "UPDATE") else 200
        return 200

    def _call(self, order: _Order, address: Address, now: float) -> None:
        transfer = _Transfer(order, lambda: self._transfers.pop(call_id, None))
        call_id = transfer.begin(address, now)
        self._transfers[call_id] = transfer


@dataclass(eq=False)
class _Referral:
    """A REFER outside of calls, on its way to one of the addresses of a telephone; the owner of its transactions.
    `call` is done instead where it is not taken."""

    order: _Order
    call: Callable[[_Order, Address, float], object]
    left: list[Address] = field(default_factory=list)

    def send_to(self, addresses: Sequence[Address], now: float) -> None:
        """Try these, in order."""
        self.left = list(addresses)
        self._try_next(now)

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if response.status in ONLY_IN_CALLS:
            self.call(self.order, transaction.destination, now)
        elif response.status >= 300:
            self.order.done(f"{self.order.whom} does not dial: {response.status} {response.reason}")
        elif response.status >= 200:
            self.order.done(None)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if transaction.failure:
            self._try_next(now)
        else:
            self.order.done(f"{self.order.whom} does not respond")

    def _try_next(self, now: float) -> None:
        if not self.left:
            self.order.done(f"{self.order.whom} cannot be reached")
            return
        address, core = self.left.pop(0), self.order.core
        fields = [*self.order.fields(address), ("Refer-Sub", "false"), ("Supported", "norefersub")]
        sender = str(core.identity.own_uri(address))
        core.send(self.order.request("REFER", address, sender, fields), address, self, now)


class _Transfer:
    """A call of ours to a telephone, which it is to transfer; the owner of its transactions. `over` is called at its
    end."""

    def __init__(self, order: _Order, over: Callable[[], object]) -> None:
        self._order, self._core, self._over = order, order.core, over
        self._invite: ClientTransaction | None = None
        self._dialog: Dialog | None = None
        self._told, self._heard, self._cancelled = False, False, False

    def begin(self, address: Address, now: float) -> str:
        """Have it ring, in the name of whom it is to call; the Call-ID."""
        sender = str(self._order.site.user(self._order.callee, address))
        fields = [("Contact", self._core.identity.contact(address)), ("Content-Type", SDP)]
        request = self._order.request("INVITE", address, sender, fields)
        request.body = silence(self._order.site.told(address).host, self._core.rng.getrandbits(31))
        self._core.timers.set(self, "pick up", now + PICK_UP, self._give_up)
        self._invite = self._core.send(request, address, self, now)
        return request.call_id

    def is_with(self, request: Request) -> bool:
        """Whether it comes of the telephone that has picked up."""
        return self._dialog is not None and request.from_.tag == self._dialog.remote_tag

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if transaction is self._invite:
            self._on_invite(transaction, response, source, now)
        elif transaction.request.method == "REFER" and response.status >= 300:
            self._fail(f"does not dial: {response.status} {response.reason}")
            self.hang_up(now)
        elif transaction.request.method == "REFER":
            self._core.timers.set(self, "hand over", now + HAND_OVER, self.hang_up)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is self._invite:
            self._fail("does not respond")
            self.end(now)
        elif transaction.request.method == "REFER":
            self._fail("does not respond")
            self.hang_up(now)

    def hang_up(self, now: float) -> None:
        """It has dialled, or does not."""
        if self._dialog is not None:
            self._send("BYE", now)
        self.end(now)

    def end(self, now: float) -> None:
        """The call is over."""
        self._core.timers.clear_all(self)
        self._dialog = None
        self._over()

    def _on_invite(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if response.status < 200:
            self._heard = True
            if response.status > 100:
                self._tell()
        elif response.status >= 300:
            self._fail(f"does not dial: {response.status} {response.reason}")
            self.end(now)
        elif self._dialog is not None:
            self._acknowledge()
        else:
            self._dialog = Dialog.of_response(transaction.request, response, source)
            self._core.timers.clear_all(self)
            self._acknowledge()
            self._tell()
            self._send("REFER", now, self._order.fields(transaction.destination))

    def _acknowledge(self) -> None:
        assert self._dialog is not None
        assert self._invite is not None
        address = self._invite.destination
        ack = self._dialog.request("ACK", self._core.identity.via(address), self._invite.request.cseq.number)
        self._core.wire.send(ack.serialize(), address)

    def _send(self, method: str, now: float, fields: Sequence[tuple[str, str]] = ()) -> None:
        assert self._dialog is not None
        assert self._invite is not None
        address = self._invite.destination
        request = self._dialog.request(method, self._core.identity.via(address))
        for name, value in fields:
            request.headers.add(name, value)
        self._core.send(request, address, self, now)

    def _give_up(self, now: float) -> None:
        """Nobody picks up (9.1)."""
        invite = self._invite
        assert invite is not None
        if self._heard and not self._cancelled:
            self._cancelled = True
            self._core.forward(cancel_of(invite.request), invite.destination, self, now)
            self._core.timers.set(self, "pick up", now + GIVE_UP, self._give_up)
            return
        invite.drop()
        self._fail("is not picked up")
        self.end(now)

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._order.done(None)

    def _fail(self, reason: str) -> None:
        self._told = True
        self._order.done(f"{self._order.whom} {reason}")


def silence(host: str, number: int) -> bytes:
    """A description of a call in which nobody sends anything (RFC 3264 section 5.1)."""
    version = "IP6" if ":" in host else "IP4"
    lines = ["v=0", f"o=- {number} {number} IN {version} {host}", "s=-", f"c=IN {version} {host}", "t=0 0"]
    lines += ["m=audio 9 RTP/AVP 0 8", "a=inactive", ""]
    return "\r\n".join(lines).encode()
