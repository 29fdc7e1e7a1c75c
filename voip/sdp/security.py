"""What protects the media of a line: the one place where it is offered, chosen and accepted.

RTP as it is, or SRTP with keys in the descriptions (RFC 4568). Encryption is offered in one of two ways: as RTP/SAVP,
which asks for it (`required`), or as RTP/AVP with keys beside it, which any phone can answer (`optional`; RFC 8643).
Understood are both, and two lines for the same sound, of which one is RTP/SAVP.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from voip.errors import NegotiationError
from voip.media import KeyAgreement, NegotiatedMedia, Security
from voip.sdp.crypto import CRYPTO, CryptoLine, OwnKeys, parse_lines
from voip.sdp.description import MediaDescription
from voip.sdp.media import Capabilities, Endpoint, SrtpRule
from voip.srtp import SrtpKeys

PLAIN_PROFILES = ("RTP/AVP", "RTP/AVPF")
"""Transport profiles without encryption (RFC 3551, RFC 4585)."""
SECURE_PROFILES = ("RTP/SAVP", "RTP/SAVPF")
"""Those of SRTP (RFC 3711, RFC 5124)."""
REQUIRED = "--srtp required"


@dataclass(frozen=True)
class Terms:
    """What a line is answered with: `security` in force, and the line of ours that says so.

    note: for people, why there is no encryption where one was wanted.
    """

    security: Security | None = None
    crypto: CryptoLine | None = None
    note: str = ""

    @property
    def tag_length(self) -> int:
        """Bytes by which packets become longer."""
        keys = None if self.security is None else self.security.keys
        return 0 if keys is None else keys.profile.tag_length


def secure_offer(
    media: MediaDescription, capabilities: Capabilities, endpoint: Endpoint, before: NegotiatedMedia | None
) -> None:
    """Complete the line of an offer; `before`: what the session has agreed on already, which is kept up."""
    encrypted = before is not None and before.security is not None
    if not _offers_sdes(capabilities, endpoint, encrypted=encrypted) or endpoint.own_keys is None:
        return
    if capabilities.srtp is SrtpRule.REQUIRED:
        media.profile = SECURE_PROFILES[0]
    if before is not None and encrypted and before.profile.upper() in SECURE_PROFILES:
        media.profile = before.profile
    media.attributes += [(CRYPTO, line.serialize()) for line in endpoint.own_keys.lines()]


def _offers_sdes(capabilities: Capabilities, endpoint: Endpoint, *, encrypted: bool) -> bool:
    """Whether keys are written into an offer: where SIP is encrypted, or the user has asked for it all the same."""
    if capabilities.srtp is SrtpRule.OFF:
        return False
    return endpoint.sip_encrypted or capabilities.sdes_in_clear or encrypted


def answer_terms(media: MediaDescription, capabilities: Capabilities, endpoint: Endpoint) -> Terms | None:
    """How an offered line is taken; None if it cannot be, with or without encryption."""
    secure, plain = media.profile.upper() in SECURE_PROFILES, media.profile.upper() in PLAIN_PROFILES
    if not (secure or plain):
        return None
    offered, problems = parse_lines(media.values(CRYPTO))
    if capabilities.srtp is not SrtpRule.OFF and endpoint.own_keys is not None and offered:
        theirs = offered[0]  # the offerer's order is its preference (RFC 4568 section 5.1.2)
        ours = CryptoLine(theirs.tag, theirs.profile, endpoint.own_keys.masters[theirs.profile])
        return Terms(_security(ours, theirs, endpoint), ours)
    if secure or capabilities.srtp is SrtpRule.REQUIRED:
        return None
    return Terms(note=f"the other side offers {problems[0]}" if problems else "")


def secure_answer(media: MediaDescription, terms: Terms) -> None:
    """Complete the line of an answer."""
    if terms.crypto is not None:
        media.attributes.append((CRYPTO, terms.crypto.serialize()))


def accepted_terms(
    ours: MediaDescription, theirs: MediaDescription, capabilities: Capabilities, endpoint: Endpoint
) -> Terms:
    """What the answer to our line comes to; NegotiationError if that is not what we asked for.

    An answer with keys that cannot be used ends the call, encrypted or not was offered (RFC 8643 section 3.3).
    """
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
    return Terms(note="the other side took none of the keys offered" if offered else "")


def _security(ours: CryptoLine, theirs: CryptoLine, endpoint: Endpoint) -> Security:
    if (ours.master.key, ours.master.salt) == (theirs.master.key, theirs.master.salt):
        raise NegotiationError("the other side repeats our own key")
    keys = SrtpKeys(theirs.profile, ours.master, theirs.master)
    return Security(KeyAgreement.SDES, keys, readable=not endpoint.sip_encrypted)


def objection(lines: Iterable[MediaDescription], capabilities: Capabilities, endpoint: Endpoint) -> str:
    """Why none of these lines can be taken, if that is for their encryption, or the lack of it; else ""."""
    known = [line for line in lines if line.profile.upper() in (*PLAIN_PROFILES, *SECURE_PROFILES)]
    if not known or any(answer_terms(line, capabilities, endpoint) is not None for line in known):
        return ""
    problems = [problem for line in known for problem in parse_lines(line.values(CRYPTO))[1]]
    if capabilities.srtp is SrtpRule.REQUIRED:
        return "; ".join([f"it is not encrypted, and {REQUIRED} forbids that", *problems[:1]])
    if capabilities.srtp is SrtpRule.OFF or endpoint.own_keys is None:
        return "it is encrypted, and encryption is off here (--srtp)"
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
