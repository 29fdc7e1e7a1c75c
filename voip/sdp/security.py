"""What protects the media of a line: the one place where it is offered, chosen and accepted.

RTP as it is, or SRTP with keys by DTLS (RFC 5763) or in the descriptions (RFC 4568). Encryption is offered in one of
two ways: as RTP/SAVP, which asks for it (`required`), or as RTP/AVP with keys or a certificate beside it, which any
phone can answer (`optional`; RFC 8643). Understood are both, and two lines for the same sound, of which one is
RTP/SAVP. Where both kinds of keys are offered, DTLS is taken: whoever reads the descriptions does not have its keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from voip.errors import NegotiationError
from voip.media import KeyAgreement, NegotiatedMedia, Security
from voip.sdp.crypto import CRYPTO, CryptoLine, OwnKeys, parse_lines
from voip.sdp.description import MediaDescription, SessionDescription
from voip.sdp.dtls import (
    DTLS_PROFILES,
    FINGERPRINT,
    OwnDtls,
    accept_dtls,
    add_answer,
    answer_dtls,
    offer_dtls,
    offers_dtls,
)
from voip.sdp.media import Capabilities, Endpoint, SrtpRule
from voip.srtp import SrtpKeys
from voip.srtp.association import AssociationTerms

PLAIN_PROFILES = ("RTP/AVP", "RTP/AVPF")
"""Transport profiles without encryption (RFC 3551, RFC 4585)."""
SECURE_PROFILES = ("RTP/SAVP", "RTP/SAVPF", *DTLS_PROFILES)
"""Those of SRTP (RFC 3711, RFC 5124, RFC 5764)."""
REQUIRED = "--srtp required"


@dataclass(frozen=True)
class Terms:
    """What a line is answered with: `security` in force, and the line of ours that says so.

    note: for people, why there is no encryption where one was wanted.
    """

    security: Security | None = None
    crypto: CryptoLine | None = None
    note: str = ""
    dtls: OwnDtls | None = None

    @property
    def tag_length(self) -> int:
        """Bytes by which packets become longer."""
        keys = None if self.security is None else self.security.keys
        return 0 if keys is None else keys.profile.tag_length


def secure_offer(
    media: MediaDescription, capabilities: Capabilities, endpoint: Endpoint, before: NegotiatedMedia | None
) -> None:
    """Complete the line of an offer; `before`: what the session has agreed on already, which is kept up."""
    security = None if before is None else before.security
    if capabilities.srtp is SrtpRule.OFF:
        return
    profile = None
    if endpoint.own_dtls is not None:
        offer_dtls(media, endpoint.own_dtls, _association(before))
        profile = DTLS_PROFILES[0]
    if endpoint.own_keys is not None and _offers_sdes(capabilities, endpoint, security):
        media.attributes += [(CRYPTO, line.serialize()) for line in endpoint.own_keys.lines()]
        profile = SECURE_PROFILES[0]
    if capabilities.srtp is SrtpRule.REQUIRED and profile is not None:
        media.profile = profile
    if before is not None and security is not None and before.profile.upper() in SECURE_PROFILES:
        media.profile = before.profile


def _offers_sdes(capabilities: Capabilities, endpoint: Endpoint, agreed: Security | None) -> bool:
    """Whether keys are written into an offer: where SIP is encrypted, or the user has asked for it all the same."""
    if capabilities.dtls_only:
        return False
    kept_up = agreed is not None and agreed.agreement is KeyAgreement.SDES
    return endpoint.sip_encrypted or capabilities.sdes_in_clear or kept_up


def _association(before: NegotiatedMedia | None) -> AssociationTerms | None:
    return None if before is None or before.security is None else before.security.association


def answer_terms(
    offer: SessionDescription,
    media: MediaDescription,
    capabilities: Capabilities,
    endpoint: Endpoint,
    before: NegotiatedMedia | None = None,
) -> Terms | None:
    """How an offered line is taken; None if it cannot be, with or without encryption. `before`: what was agreed on."""
    secure, plain = media.profile.upper() in SECURE_PROFILES, media.profile.upper() in PLAIN_PROFILES
    if not (secure or plain):
        return None
    problems: list[str] = []
    if capabilities.srtp is not SrtpRule.OFF:
        terms = _dtls_terms(offer, media, endpoint, before, problems)
        if terms is None and not capabilities.dtls_only and media.profile.upper() not in DTLS_PROFILES:
            terms = _sdes_terms(media, endpoint, problems)
        if terms is not None:
            return terms
    if secure or capabilities.srtp is SrtpRule.REQUIRED:
        return None
    return Terms(note=f"the other side offers {problems[0]}" if problems else "")


def _dtls_terms(
    offer: SessionDescription,
    media: MediaDescription,
    endpoint: Endpoint,
    before: NegotiatedMedia | None,
    problems: list[str],
) -> Terms | None:
    if endpoint.own_dtls is None or not offers_dtls(offer, media):
        return None
    try:
        association = answer_dtls(
            offer, media, _association(before), own_host=endpoint.host, peer_host=endpoint.peer_host
        )
    except NegotiationError as error:
        problems.append(str(error))
        return None
    return Terms(Security(KeyAgreement.DTLS, association=association), dtls=endpoint.own_dtls)


def _sdes_terms(media: MediaDescription, endpoint: Endpoint, problems: list[str]) -> Terms | None:
    offered, unusable = parse_lines(media.values(CRYPTO))
    problems += unusable
    if endpoint.own_keys is None or not offered:
        return None
    theirs = offered[0]  # the offerer's order is its preference (RFC 4568 section 5.1.2)
    ours = CryptoLine(theirs.tag, theirs.profile, endpoint.own_keys.masters[theirs.profile])
    return Terms(_security(ours, theirs, endpoint), ours)


def secure_answer(media: MediaDescription, terms: Terms) -> None:
    """Complete the line of an answer."""
    if terms.crypto is not None:
        media.attributes.append((CRYPTO, terms.crypto.serialize()))
    if terms.dtls is not None and terms.security is not None and terms.security.association is not None:
        add_answer(media, terms.dtls, terms.security.association)


def accepted_terms(
    ours: MediaDescription,
    answer: SessionDescription,
    theirs: MediaDescription,
    capabilities: Capabilities,
    endpoint: Endpoint,
    before: NegotiatedMedia | None = None,
) -> Terms:
    """What the answer to our line comes to; NegotiationError if that is not what we asked for.

    An answer with keys that cannot be used ends the call, encrypted or not was offered (RFC 8643 section 3.3).
    """
    if ours.value(FINGERPRINT) is not None and offers_dtls(answer, theirs):
        return Terms(Security(KeyAgreement.DTLS, association=accept_dtls(answer, theirs, _association(before))))
    offered, _ = parse_lines(ours.values(CRYPTO))
    answered, problems = parse_lines(theirs.values(CRYPTO)[:1])
    if offered and theirs.value(CRYPTO) is not None:
        for line in offered:
            if answered and (line.tag, line.profile) == (answered[0].tag, answered[0].profile):
                return Terms(_security(line, answered[0], endpoint))
        problem = problems[0] if problems else "another crypto-suite or tag than was offered"
        raise NegotiationError(f"the answer has keys that cannot be used: {problem}")
    if theirs.profile.upper() in SECURE_PROFILES:
        raise NegotiationError(f"the answer takes {theirs.profile} and gives no key")
    if capabilities.srtp is SrtpRule.REQUIRED:
        raise NegotiationError(f"the answer does not encrypt, and {REQUIRED} forbids that")
    wanted = offered or ours.value(FINGERPRINT) is not None
    return Terms(note="the other side took none of the keys offered" if wanted else "")


def _security(ours: CryptoLine, theirs: CryptoLine, endpoint: Endpoint) -> Security:
    if (ours.master.key, ours.master.salt) == (theirs.master.key, theirs.master.salt):
        raise NegotiationError("the other side repeats our own key")
    keys = SrtpKeys(theirs.profile, ours.master, theirs.master)
    return Security(KeyAgreement.SDES, keys, readable=not endpoint.sip_encrypted)


def objection(
    offer: SessionDescription, lines: Iterable[MediaDescription], capabilities: Capabilities, endpoint: Endpoint
) -> str:
    """Why none of these lines can be taken, if that is for their encryption, or the lack of it; else ""."""
    known = [line for line in lines if line.profile.upper() in (*PLAIN_PROFILES, *SECURE_PROFILES)]
    if not known or any(answer_terms(offer, line, capabilities, endpoint) is not None for line in known):
        return ""
    problems: list[str] = []
    for line in known:
        _dtls_terms(offer, line, endpoint, None, problems)
        problems += parse_lines(line.values(CRYPTO))[1]
    if capabilities.srtp is SrtpRule.REQUIRED:
        rule = "--password-file requires keys by DTLS" if capabilities.dtls_only else f"{REQUIRED} forbids that"
        return "; ".join([f"it is not encrypted, and {rule}", *problems[:1]])
    if capabilities.srtp is SrtpRule.OFF or endpoint.own_keys is None:
        return "it is encrypted, and encryption is off here (--srtp)"
    if endpoint.own_dtls is None and any(offers_dtls(offer, line) for line in known):
        return "it is encrypted by DTLS, which is not available here"
    problem = problems[0] if problems else "without keys (a=crypto)"
    return f"it is encrypted in a way that is unknown here (--srtp): {problem}"


def rekeyed(attributes: list[tuple[str, str | None]], keys: OwnKeys | None) -> list[tuple[str, str | None]]:
    """Attributes of a line of ours with other keys, all else as it was: of a line that moves to another address (RFC
    4568 section 7.1.4)."""
    found: list[tuple[str, str | None]] = []
    for name, value in attributes:
        if name != CRYPTO or keys is None:
            found.append((name, value))
            continue
        line = CryptoLine.parse(value or "")
        found.append((name, CryptoLine(line.tag, line.profile, keys.masters[line.profile]).serialize()))
    return found
