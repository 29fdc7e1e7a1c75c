"""ICE in session descriptions (RFC 8839), as a lite agent has it: credentials and one host candidate.

Pure functions on descriptions. The peer may trickle its candidates (RFC 8838, RFC 8840): none of them is needed, since
its checks show where it is. ICE is used on a line that multiplexes RTCP: we have one component.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

from voip.media import IceCredentials, IceTerms
from voip.sdp.description import CANDIDATE, FRAGMENT, LITE, PASSWORD, MediaDescription, SessionDescription, parse_ip

MISMATCH = "ice-mismatch"
"""RFC 8839 section 5.2."""
MID, GROUP, BUNDLE = "mid", "group", "BUNDLE"
"""RFC 5888 sections 4 and 5, RFC 9143 section 7.1."""
FRAGMENT_LENGTH, PASSWORD_LENGTH = 8, 24
"""Characters of 6 bits: RFC 8445 section 5.3 demands 24 and 128 bits."""
HOST_PRIORITY = (126 << 24) + (65535 << 8) + 255
"""Of our one candidate, a host's of component 1 (RFC 8445 section 5.1.2)."""
MAX_CANDIDATES = 64
"""Candidates of a line that are looked at."""
_DISCARD = 9
"""The port of a line whose candidates are yet to come (RFC 8840 section 4.1.1)."""


@dataclass(frozen=True)
class OwnIce:
    """Our side of ICE in one call."""

    secret: bytes = field(repr=False)

    def credentials(self, session: str) -> IceCredentials:
        """Ours for one ICE session: another one has others, which restarts ICE (RFC 8839 section 4.4.1.1.1)."""
        made = base64.b64encode(hmac.new(self.secret, session.encode(), hashlib.sha256).digest()).decode()
        return IceCredentials(made[:FRAGMENT_LENGTH], made[FRAGMENT_LENGTH:][:PASSWORD_LENGTH])


def answer_ice(
    offer: SessionDescription, media: MediaDescription, own: OwnIce | None, before: IceTerms | None
) -> IceTerms | None:
    """What an offered line comes to; None: there is no ICE on it. The peer's credentials of before keep ours."""
    remote = offer.ice_credentials(media)
    if own is None or remote is None or _is_mismatch(offer, media):
        return None
    if before is not None and before.remote == remote:
        return before
    return IceTerms(own.credentials(f"answer {remote.fragment}:{remote.password}"), remote)


def add_answer(
    answer: SessionDescription,
    line: MediaDescription,
    offer: SessionDescription,
    offered: MediaDescription,
    terms: IceTerms | None,
) -> None:
    """Complete an answer, of which all lines are there: as a lite agent, or with the reason for no ICE."""
    if terms is None:
        if offer.ice_credentials(offered) is not None and _is_mismatch(offer, offered):
            line.attributes.append((MISMATCH, None))
        return
    _add(answer, line, terms.own)
    for ours, theirs in zip(answer.media, offer.media, strict=True):
        if (mid := theirs.value(MID)) is not None:
            ours.attributes.append((MID, mid))
    mid = offered.value(MID)
    groups = [(value or "").split() for name, value in offer.attributes if name == GROUP]
    if mid is not None and any(words[:1] == [BUNDLE] and mid in words[1:] for words in groups):
        answer.attributes.append((GROUP, f"{BUNDLE} {mid}"))


def offer_ice(offer: SessionDescription, line: MediaDescription, own: OwnIce | None, before: IceTerms | None) -> None:
    """Complete an offer with ICE: the session of before, or a new one by `own`; None of both: without."""
    if before is not None:
        _add(offer, line, before.own)
    elif own is not None:
        _add(offer, line, own.credentials(f"offer {offer.connection} {line.port}"))
    else:
        return
    line.attributes.append((MID, "0"))
    offer.attributes.append((GROUP, f"{BUNDLE} 0"))


def accept_ice(ours: MediaDescription, answer: SessionDescription, theirs: MediaDescription) -> IceTerms | None:
    """What the answer to our line comes to; None: there is no ICE."""
    remote = answer.ice_credentials(theirs)
    fragment, password = ours.value(FRAGMENT), ours.value(PASSWORD)
    if remote is None or not fragment or not password or theirs.value(MISMATCH) is not None:
        return None
    return IceTerms(IceCredentials(fragment, password), remote)


def moved(
    attributes: list[tuple[str, str | None]], own: OwnIce | None, host: str, port: int
) -> list[tuple[str, str | None]]:
    """Attributes of a line of ours that moves to another address: ICE begins anew there (RFC 8445 section 2.4)."""
    if own is None:
        return attributes
    fresh = own.credentials(f"offer {host} {port}")
    said = {FRAGMENT: fresh.fragment, PASSWORD: fresh.password, CANDIDATE: _candidate(host, port)}
    return [(name, said.get(name, value)) for name, value in attributes]


def _is_mismatch(description: SessionDescription, media: MediaDescription) -> bool:
    """Whether something on the way has changed the line's address and knows nothing of ICE (RFC 8839 section 4.2.5):
    none of its candidates has it. One that is a name (of mDNS) may be anywhere."""
    words = [value.split() for value in media.values(CANDIDATE)[:MAX_CANDIDATES]]
    places = {(each[4].lower(), each[5]) for each in words if len(each) > 5}
    address = parse_ip(description.host(media))
    if not places or address is None or address.is_unspecified or media.port == _DISCARD:
        return False
    known = {(parse_ip(host), port) for host, port in places}
    return (address, str(media.port)) not in known and all(host is not None for host, _ in known)


def _add(description: SessionDescription, line: MediaDescription, own: IceCredentials) -> None:
    description.attributes.append((LITE, None))
    host = line.connection or description.connection or ""
    line.attributes += [(FRAGMENT, own.fragment), (PASSWORD, own.password)]
    line.attributes.append((CANDIDATE, _candidate(host, line.port)))


def _candidate(host: str, port: int) -> str:
    return f"1 1 udp {HOST_PRIORITY} {host} {port} typ host"
