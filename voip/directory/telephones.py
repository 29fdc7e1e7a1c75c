"""The telephones that are registered here, as the call API needs them: how a program reaches one, by way of the proxy,
and how one is had to call.

A telephone dials when it is asked to by REFER, as a click in a directory does it (RFC 3515, RFC 5359 section 2.19); its
call goes through the proxy then, where it is followed. What it would tell of that by NOTIFY is not wanted (RFC 4488).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from voip.directory.flows import addresses_on
from voip.directory.location import Binding, Location
from voip.directory.site import Site
from voip.directory.users import Done
from voip.sip.address import Address
from voip.sip.core import Core
from voip.sip.headers import Headers
from voip.sip.message import Request, Response
from voip.sip.transaction import ClientTransaction

ANY_PORT = 5060
"""Of a program of which only the host is known: our address towards it is the same for all of its ports."""
CALL_ID_BITS = 128


class PhoneBook:
    """Registered telephones, and those who are to call them. Network thread only."""

    def __init__(self, core: Core, location: Location, site: Site) -> None:
        self._core, self._location, self._site = core, location, site

    def address_of(self, name: str, host: str) -> str | None:
        """The address by which a program at this host calls a name by way of the proxy; None: it makes no sense of the
        host."""
        try:
            return str(self._site.user(name, Address("udp", host, ANY_PORT), direct=True))
        except (OSError, ValueError):
            return None

    def dial(self, caller: str, callee: str, now: float, done: Done) -> None:
        """Have a telephone of the one call the other. `done` is told, once, that it is about to, or why it is not."""
        binding = next(iter(self._location.registered(caller, now)), None)
        if binding is None:
            done(f"no telephone of {caller} is registered")
            return
        referral = _Referral(self._core, partial(self._refer, caller, callee, binding), f"telephone of {caller}", done)
        if binding.flow is not None:
            referral.send_to(addresses_on(binding.uri, binding.flow), now)
        else:
            self._core.resolver.resolve(binding.uri, now, referral.send_to)

    def _refer(self, caller: str, callee: str, binding: Binding, address: Address) -> Request:
        """The REFER, as it is sent to that address."""
        identity, us = self._core.identity, self._site.user(caller, address)
        wanted = self._site.user(callee, address)
        if address.protocol != "udp":
            wanted.params["transport"] = address.protocol
        headers = [
            ("Via", identity.via(address)),
            ("Max-Forwards", "70"),
            ("From", f"<{identity.own_uri(address)}>;tag={self._core.token()}"),
            ("To", f"<{us}>"),
            ("Call-ID", self._core.token(CALL_ID_BITS)),
            ("CSeq", "1 REFER"),
            ("Contact", identity.contact(address)),
            ("Refer-To", f"<{wanted}>"),
            ("Referred-By", f"<{us}>"),
            ("Refer-Sub", "false"),
            ("Supported", "norefersub"),
        ]
        return Request("REFER", binding.uri, Headers(headers))


@dataclass
class _Referral:
    """One REFER, on its way to one of the addresses of a telephone; the owner of its transactions."""

    core: Core
    make: Callable[[Address], Request]
    whom: str
    done: Done
    left: list[Address] = field(default_factory=list)

    def send_to(self, addresses: Sequence[Address], now: float) -> None:
        """Try these, in order."""
        self.left = list(addresses)
        self._try_next(now)

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if response.status >= 300:
            self.done(f"the {self.whom} does not dial: {response.status} {response.reason}")
        elif response.status >= 200:
            self.done(None)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if transaction.failure:
            self._try_next(now)
        else:
            self.done(f"the {self.whom} does not respond")

    def _try_next(self, now: float) -> None:
        if self.left:
            address = self.left.pop(0)
            self.core.send(self.make(address), address, self, now)
        else:
            self.done(f"the {self.whom} cannot be reached")
