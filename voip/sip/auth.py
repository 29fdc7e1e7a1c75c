"""Digest authentication, the client's side: from a challenge to the header that answers it (RFC 3261 section 22,
RFC 7616, RFC 8760 for SHA-256 and SHA-512-256, RFC 2617 for servers that know neither those nor qop).

Only computing is done here. When to answer, whom, and with which nonce count is the business of who sends requests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from voip.sip.grammar import LWS, QUOTED, SipParseError, is_token, quote, split_list

SCHEME = "digest"
SESSION_SUFFIX = "-SESS"  # RFC 7616 section 3.4.2: the secret is hashed once more with nonce and cnonce
# By rising strength; the names are those of RFC 8760 section 2.2 and of hashlib.
_ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_QOP_PREFERENCE = ("auth", "auth-int")


@dataclass(frozen=True)
class Credentials:
    """Who we are to a server that asks. The password never shows in a repr, hence in no log or traceback."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Challenge:
    """One WWW-Authenticate or Proxy-Authenticate value. `realm`, `nonce` and `opaque` are as they stood inside their
    quotes, because the digest is taken over just that; `algorithm` is "" where it was not named (MD5 then)."""

    realm: str
    nonce: str
    opaque: str | None = None
    algorithm: str = ""
    qop: tuple[str, ...] = ()
    stale: bool = False

    @property
    def strength(self) -> int:
        """The place of the hash among those known, the strongest highest; 0 if this challenge cannot be answered."""
        name = _hash_name(self.algorithm)
        known = [algorithm for algorithm, hash_name in _ALGORITHMS.items() if hash_name in hashlib.algorithms_available]
        if name not in known or (self.qop and self.chosen_qop is None):
            return 0
        return 1 + known.index(name)

    @property
    def chosen_qop(self) -> str | None:
        """The quality of protection to use: auth before auth-int; None if none was offered, or none that is known."""
        return next((qop for qop in _QOP_PREFERENCE if qop in self.qop), None)


def parse_challenge(value: str) -> Challenge:
    """Read one challenge; SipParseError (a ProtocolError) if it is not a well-formed digest challenge."""
    scheme, _, rest = value.strip(LWS).partition(" ")
    if scheme.lower() != SCHEME:
        raise SipParseError(f"unknown authentication scheme {scheme[:40]!r}")
    parameters: dict[str, str] = {}
    for piece in split_list(rest):
        name, equals, text = piece.partition("=")
        name, text = name.rstrip(LWS).lower(), text.lstrip(LWS)
        if not equals or not is_token(name) or name in parameters:
            raise SipParseError(f"malformed challenge at {piece[:40]!r}")
        parameters[name] = _inside(text)
    if "realm" not in parameters or not parameters.get("nonce"):
        raise SipParseError("a challenge without realm or nonce")
    return Challenge(
        realm=parameters["realm"],
        nonce=parameters["nonce"],
        opaque=parameters.get("opaque"),
        algorithm=parameters.get("algorithm", ""),
        qop=tuple(qop.lower() for qop in split_list(parameters.get("qop", "")) if qop),
        stale=parameters.get("stale", "").lower() == "true",
    )


def strongest_challenge(values: Iterable[str]) -> Challenge | None:
    """Of all challenges of a response the one with the strongest hash, the earlier of equals; None if there is none
    that can be answered. Malformed ones and those of unknown schemes are passed over."""
    best: Challenge | None = None
    for value in values:
        try:
            challenge = parse_challenge(value)
        except SipParseError:
            continue
        if challenge.strength > (best.strength if best else 0):
            best = challenge
    return best


def authorization(
    challenge: Challenge,
    credentials: Credentials,
    method: str,
    uri: str,
    nonce_count: int,
    cnonce: str,
    body: bytes = b"",
) -> str:
    """The value of Authorization or Proxy-Authorization that answers `challenge` for this request.

    `uri` is the request URI as sent; `nonce_count` is 1 for the first use of a nonce and rises with each; `cnonce` is
    fresh random text (hex digits or base64). ValueError if the challenge cannot be answered (`strength` 0).
    """
    if not challenge.strength:
        raise ValueError(f"cannot answer a challenge with algorithm {challenge.algorithm!r} and qop {challenge.qop}")
    qop = challenge.chosen_qop
    count = f"{nonce_count:08x}"
    secret = _digest(challenge, f"{credentials.user}:{challenge.realm}:{credentials.password}")
    session = challenge.algorithm.upper().endswith(SESSION_SUFFIX)
    if session:
        secret = _digest(challenge, f"{secret}:{challenge.nonce}:{cnonce}")
    request = f"{method}:{uri}"
    if qop == "auth-int":
        request += f":{_digest(challenge, body)}"
    middle = f"{challenge.nonce}:{count}:{cnonce}:{qop}" if qop else challenge.nonce
    response = _digest(challenge, f"{secret}:{middle}:{_digest(challenge, request)}")
    fields = [
        f"username={quote(credentials.user)}",
        f'realm="{challenge.realm}"',
        f'nonce="{challenge.nonce}"',
        f"uri={quote(uri)}",
        f'response="{response}"',
    ]
    if challenge.algorithm:
        fields.append(f"algorithm={challenge.algorithm}")
    if qop or session:
        fields.append(f"cnonce={quote(cnonce)}")
    if qop:
        fields += [f"qop={qop}", f"nc={count}"]
    if challenge.opaque is not None:
        fields.append(f'opaque="{challenge.opaque}"')
    return "Digest " + ", ".join(fields)


def _inside(text: str) -> str:
    """What stands inside the quotes, its backslashes kept, or a bare value."""
    if text.startswith('"'):
        if QUOTED.fullmatch(text) is None:
            raise SipParseError(f"unterminated quotes in a challenge at {text[:40]!r}")
        return text[1:-1]
    if not is_token(text):
        raise SipParseError(f"malformed value {text[:40]!r} in a challenge")
    return text


def _hash_name(algorithm: str) -> str:
    return (algorithm.upper() or "MD5").removesuffix(SESSION_SUFFIX)


def _digest(challenge: Challenge, data: str | bytes) -> str:
    octets = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    name = _ALGORITHMS[_hash_name(challenge.algorithm)]
    return hashlib.new(name, octets, usedforsecurity=False).hexdigest()
