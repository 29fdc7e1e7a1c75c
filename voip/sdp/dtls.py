"""DTLS-SRTP in session descriptions: a=fingerprint, a=setup, a=tls-id (RFC 8122, RFC 4145, RFC 5763, RFC 8842).

Pure functions on descriptions; `voip.sdp.security` decides when they are asked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field

from voip.errors import NegotiationError, ProtocolError
from voip.sdp.description import MediaDescription, SessionDescription, parse_ip
from voip.srtp.association import AssociationTerms, Fingerprint, Role

DTLS_PROFILES = ("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")
"""Transport profiles of SRTP with keys by DTLS (RFC 5764 section 9)."""
FINGERPRINT, SETUP, TLS_ID = "fingerprint", "setup", "tls-id"
MAX_FINGERPRINTS = 16
"""Fingerprints of one media line that are read: one for each hash function is usual."""
TLS_ID_LENGTH = 20
"""Characters of 6 bits: RFC 8842 section 4 demands 120 bits, and an INVITE is to fit into a datagram."""
_TLS_ID = re.compile(r"[A-Za-z0-9+/_-]{20,255}")
_ANSWERS = {"active": Role.SERVER, "passive": Role.CLIENT}
"""Our role by what an answer says of its side (RFC 4145 section 4.1): active is the client."""


@dataclass(frozen=True)
class OwnDtls:
    """What we say of our side in one call: the fingerprint of our certificate, and what identifies associations."""

    fingerprint: Fingerprint
    secret: bytes = field(repr=False)

    def tls_id(self, number: int) -> str:
        """The identifier of our n-th association of the call: another one for each (RFC 8842 section 4)."""
        made = hmac.new(self.secret, str(number).encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(made).decode()[:TLS_ID_LENGTH]


@dataclass(frozen=True)
class _Theirs:
    setup: str
    fingerprints: tuple[Fingerprint, ...]
    tls_id: str | None
    transport: tuple[str, int] | None


def offers_dtls(description: SessionDescription, media: MediaDescription) -> bool:
    """Whether a line, or the session for it, names a certificate."""
    return bool(description.values(media, FINGERPRINT))


def offer_dtls(media: MediaDescription, own: OwnDtls, before: AssociationTerms | None) -> None:
    """Complete the line of an offer: either side may be the client (RFC 8842 section 5.2); `before` is kept up."""
    _add(media, own, "actpass", 0 if before is None else before.number)


def answer_dtls(
    offer: SessionDescription,
    media: MediaDescription,
    before: AssociationTerms | None,
    *,
    own_host: str = "",
    peer_host: str | None = None,
) -> AssociationTerms:
    """What an offered line comes to; NegotiationError if it cannot be used.

    Where the choice is ours the caller is the client: if it is behind a NAT, only it can begin, and what we sent before
    would make the NAT give its media another port. To be the client ourselves would save half a round trip (RFC 5763
    section 5); we are where our own address is private and that of the peer, whose SIP comes from `peer_host`, is not.
    With ICE the peer's checks come first, and open its NAT.
    """
    theirs = _read(offer, media)
    if before is not None and before.continues(_terms(before.role, theirs, before.number)):
        role = before.role
    elif theirs.setup == "actpass":
        role = Role.CLIENT if _are_hidden(offer, media, own_host, peer_host) else Role.SERVER
    else:
        role = _ANSWERS[theirs.setup]
    number = 0 if before is None else before.number
    terms = _terms(role, theirs, number)
    return terms if before is None or before.continues(terms) else _terms(role, theirs, number + 1)


def add_answer(media: MediaDescription, own: OwnDtls, terms: AssociationTerms) -> None:
    """Complete the line of an answer; without a=tls-id where the offer has none (RFC 8842 section 5.3)."""
    setup = "active" if terms.role is Role.CLIENT else "passive"
    _add(media, own, setup, None if terms.tls_id is None else terms.number)


def accept_dtls(
    answer: SessionDescription, media: MediaDescription, before: AssociationTerms | None
) -> AssociationTerms:
    """What the answer to our line comes to; NegotiationError if it cannot be used."""
    theirs = _read(answer, media)
    role = _ANSWERS.get(theirs.setup)
    if role is None:
        raise NegotiationError(f"the answer has a=setup:{theirs.setup}, which leaves the role open")
    number = 0 if before is None else before.number
    terms = _terms(role, theirs, number)
    return terms if before is None or before.continues(terms) else _terms(role, theirs, number + 1)


def reoffered(attributes: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Attributes of a line of ours that is offered again: the roles are open, as in every offer."""
    return [(name, "actpass" if name == SETUP else value) for name, value in attributes]


def _add(media: MediaDescription, own: OwnDtls, setup: str, number: int | None) -> None:
    media.attributes += [(FINGERPRINT, str(own.fingerprint)), (SETUP, setup)]
    if number is not None:
        media.attributes.append((TLS_ID, own.tls_id(number)))


def _read(description: SessionDescription, media: MediaDescription) -> _Theirs:
    """What a side says of its own; NegotiationError if that is not enough."""
    read = [_parse(value) for value in description.values(media, FINGERPRINT)[:MAX_FINGERPRINTS]]
    fingerprints = [each for each in read if isinstance(each, Fingerprint)]
    if not fingerprints:
        raise NegotiationError(str(read[0]) if read else "no a=fingerprint")
    setup = (next(iter(description.values(media, SETUP)), "") or "active").strip().lower()  # RFC 4145 section 4
    if setup not in ("active", "passive", "actpass"):
        raise NegotiationError("an a=setup that DTLS must not have")  # holdconn: RFC 5763 section 5
    tls_id = next(iter(description.values(media, TLS_ID)), None)
    address = parse_ip(description.host(media))
    reachable = address is not None and not address.is_unspecified and media.port
    reachable = reachable and description.ice_credentials(media) is None  # its address is no more than a default
    return _Theirs(
        setup,
        tuple(fingerprints),
        tls_id if tls_id is not None and _TLS_ID.fullmatch(tls_id) else None,
        (str(address), media.port) if reachable else None,
    )


def _parse(value: str) -> Fingerprint | ProtocolError:
    """Of several fingerprints those that cannot be used do no harm."""
    try:
        return Fingerprint.parse(value)
    except ProtocolError as error:
        return error


def _terms(role: Role, theirs: _Theirs, number: int) -> AssociationTerms:
    return AssociationTerms(
        role,
        theirs.fingerprints,
        theirs.tls_id,
        theirs.transport if theirs.tls_id is None else None,
        number,
    )


def _are_hidden(offer: SessionDescription, media: MediaDescription, own_host: str, peer_host: str | None) -> bool:
    """Whether we are behind a NAT, and the peer, by where its SIP comes from, is not: then only we can begin."""
    ours, theirs = parse_ip(own_host), parse_ip((peer_host or "").partition("%")[0])
    named = parse_ip(offer.host(media))
    if offer.ice_credentials(media) is not None:
        return False
    if ours is None or theirs is None or not ours.is_private or theirs.is_private:
        return False
    return named is None or not named.is_private
