"""Keys of SRTP in session descriptions: a=crypto (RFC 4568; crypto-suites of AES-GCM: RFC 7714 section 14.2)."""

from __future__ import annotations

import base64
import binascii
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from voip.errors import ProtocolError
from voip.srtp import OFFERED, MasterKey, Profile
from voip.srtp.keys import MAX_LIFETIME

CRYPTO = "crypto"
"""The name of the attribute."""
MAX_LINES = 32
"""a=crypto lines of one media line that are read: there are not as many suites."""
MAX_LIFETIME_BITS = 48
_TAG = re.compile(r"[0-9]{1,9}")
_LIFETIME = re.compile(r"(2\^)?([0-9]{1,15})")
_METHOD = "inline:"
_NEEDED_NOTHING = re.compile(r"KDR=0|FEC_ORDER=FEC_SRTP|WSH=[0-9]+|-.*")
"""Session parameters that change nothing here, or that may be ignored (RFC 4568 sections 6.3.1, 6.3.4, 6.3.6, 6.3.7).
All others would have to be kept to: UNENCRYPTED_SRTP, UNENCRYPTED_SRTCP, UNAUTHENTICATED_SRTP above all."""
_SHOWN = re.compile(r"[A-Z][A-Z0-9_]{0,39}")


@dataclass(frozen=True)
class CryptoLine:
    """One a=crypto line that can be used: the key that its writer protects with, by this profile."""

    tag: str
    profile: Profile
    master: MasterKey = field(repr=False)

    @staticmethod
    def parse(value: str) -> CryptoLine:
        """Reads the value of the attribute; ProtocolError, without any key, if it cannot be used as it is."""
        tag, suite, key, *parameters = [*value.split(), "", "", ""][: max(3, len(value.split()))]
        if not _TAG.fullmatch(tag):
            raise ProtocolError("a=crypto without a tag")
        profile = next((known for known in OFFERED if known.sdes == suite), None)
        if profile is None:
            raise ProtocolError(f"unknown crypto-suite {_shown(suite)}")
        refused = [each for each in parameters if not _NEEDED_NOTHING.fullmatch(each)]
        if refused:
            raise ProtocolError(f"{suite} with {_shown(refused[0].partition('=')[0])}, which is not supported")
        return CryptoLine(tag, profile, _parse_key(key, profile))

    def serialize(self) -> str:
        """The value of the attribute."""
        inline = base64.b64encode(self.master.key + self.master.salt).decode()
        return f"{self.tag} {self.profile.sdes} {_METHOD}{inline}"


def parse_lines(values: list[str]) -> tuple[list[CryptoLine], list[str]]:
    """The lines that can be used, in their order, and for people what is the matter with the others."""
    lines: dict[str, CryptoLine] = {}
    problems = []
    for value in values[:MAX_LINES]:
        try:
            line = CryptoLine.parse(value)
        except ProtocolError as error:
            problems.append(str(error))
            continue
        if line.tag in lines:
            problems.append(f"tag {line.tag} twice")
        else:
            lines[line.tag] = line
    return list(lines.values()), problems


def _shown(name: str) -> str:
    """A name for people; what is none might be a part of a key in the wrong place."""
    return name if _SHOWN.fullmatch(name) else "of a name that cannot be read"


def _parse_key(text: str, profile: Profile) -> MasterKey:
    if not text.startswith(_METHOD):
        raise ProtocolError(f"{profile.sdes} without an inline key")
    if ";" in text:
        raise ProtocolError(f"{profile.sdes} with several keys, which is not supported")
    inline, *policy = text.removeprefix(_METHOD).split("|")
    lifetime = MAX_LIFETIME
    if policy and ":" not in policy[0]:
        lifetime = _parse_lifetime(policy.pop(0), profile)
    if policy:
        raise ProtocolError(f"{profile.sdes} with an MKI, which is not supported")
    try:
        both = base64.b64decode(inline + "=" * (-len(inline) % 4), validate=True)  # some leave the padding out
    except (binascii.Error, ValueError) as error:
        raise ProtocolError(f"{profile.sdes} with a key that is not base64") from error
    if len(both) != profile.key_length + profile.salt_length:
        raise ProtocolError(f"{profile.sdes} with a key and salt of {len(both)} bytes")
    return MasterKey(both[: profile.key_length], both[profile.key_length :], lifetime)


def _parse_lifetime(text: str, profile: Profile) -> int:
    match = _LIFETIME.fullmatch(text)
    exponent = match is not None and match[1] is not None
    if match is None or (exponent and int(match[2]) > MAX_LIFETIME_BITS):
        raise ProtocolError(f"{profile.sdes} with a lifetime that cannot be read")
    lifetime = 2 ** int(match[2]) if exponent else int(match[2])
    if not 0 < lifetime <= MAX_LIFETIME:
        raise ProtocolError(f"{profile.sdes} with a lifetime that cannot be read")
    return lifetime


@dataclass(frozen=True)
class OwnKeys:
    """The master keys that we offer and answer with in one call, one for each profile; never printed."""

    masters: Mapping[Profile, MasterKey] = field(repr=False)

    @staticmethod
    def draw(rng: random.Random, keep: OwnKeys | None = None, kept: MasterKey | None = None) -> OwnKeys:
        """Fresh keys, but for the one of `keep` that is `kept`. `rng` must be one for secrets."""

        def key(profile: Profile) -> MasterKey:
            if keep is not None and kept is not None and keep.masters[profile] == kept:
                return kept
            return MasterKey(rng.randbytes(profile.key_length), rng.randbytes(profile.salt_length))

        return OwnKeys({profile: key(profile) for profile in OFFERED})

    def lines(self) -> list[CryptoLine]:
        """All of them, as they are offered."""
        return [CryptoLine(str(tag), profile, self.masters[profile]) for tag, profile in enumerate(OFFERED, start=1)]
