"""Where requests go that a proxy has to bring back to a telephone: to the address that its own came from (RFC 3581,
RFC 5626 section 5.3), if need be over the connection that it has opened.

A proxy puts that address into its Record-Route, as the user part of its own URI (RFC 3261 section 16.6), sealed: a
Route leads only where a call has come from or gone to, and the proxy keeps nothing of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from voip.ip import MAX_PORT
from voip.sip.address import Address, literal
from voip.sip.locate import literal_address
from voip.sip.message import Request
from voip.sip.uri import SipUri

SEAL_BYTES = 9
"""Of the keyed hash: nobody can try 2**72."""
LONGEST_TOKEN = 120
"""Characters: an address with a zone has some 60."""
_NOWHERE = ".invalid"
"""Contacts of programs that have no address of their own, as browsers (RFC 7118 section 5)."""


class FlowTokens:
    """Addresses as texts that only this proxy can make; `secret` is never sent."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def seal(self, flow: Address) -> str:
        """The text of an address: letters, digits, "-" and "_"."""
        text = f"{flow.protocol} {flow.port} {flow.host}".encode("utf-8", "surrogateescape")
        return base64.urlsafe_b64encode(self._hash(text) + text).decode().rstrip("=")

    def open(self, token: str | None) -> Address | None:
        """The address; None if this proxy has not made the token."""
        if not token or len(token) > LONGEST_TOKEN or not token.isascii():
            return None
        try:
            data = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        seal, text = data[:SEAL_BYTES], data[SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._hash(text)):
            return None
        protocol, port, host = text.decode("utf-8", "surrogateescape").split(" ", 2)
        return Address(protocol, host, int(port))

    def _hash(self, text: bytes) -> bytes:
        return hashlib.blake2b(text, key=self._secret, digest_size=SEAL_BYTES).digest()


def flow_of_contact(request: Request, contact: SipUri, source: Address) -> Address | None:
    """The address by which a contact is reached, where it is that of the sender of this request; None: the contact is
    of another host, and only its URI leads there."""
    via, here = request.via[0], literal(contact.host)
    behind_nat = via.host.lower() != source.host.lower()
    nameless = contact.host.lower().rstrip(".").endswith(_NOWHERE)
    return source if behind_nat or nameless or (here is not None and str(here) == source.host) else None


def addresses_on(uri: SipUri, flow: Address) -> Sequence[Address]:
    """Where to send what is for `uri` and came from, or is bound for, `flow`; in the order to try.

    Over UDP a telephone that names its own address may listen at another port there than it sends from; a connection
    is used as long as it is there, as it is often the only way.
    """
    direct = literal_address(uri)
    if direct is None or direct.host != flow.host or not 0 < direct.port <= MAX_PORT:
        return [flow]
    if flow.reliable:
        return list(dict.fromkeys([flow, direct]))
    return list(dict.fromkeys([direct, flow]))
