"""Digest authentication as texts and hashes: challenges, and the credentials for them (RFC 3261 section 22,
RFC 7616, RFC 8760 for SHA-256 and SHA-512-256, RFC 2617 for servers that know neither those nor qop).

Only computing is done here. Which servers get credentials, and with which nonce count, is the matter of digest_client;
which are believed is that of digest_server.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from voip.sip.grammar import LWS, QUOTED, SipParseError, is_token, quote, split_list, unquote

SCHEME = "digest"
SESSION_SUFFIX = "-SESS"  # RFC 7616 section 3.4.2: the secret is hashed once more with nonce and cnonce
# By rising strength; the names are those of RFC 8760 section 2.2 and of hashlib.
_ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_QOP_PREFERENCE = ("auth", "auth-int")
_NONCE_COUNT = re.compile("[0-9A-Fa-f]{8}")


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
        """The place of the hash among those known, the strongest highest; 0 if there can be no credentials for this
        challenge."""
        name = _hash_name(self.algorithm)
        known = [algorithm for algorithm, hash_name in _ALGORITHMS.items() if hash_name in hashlib.algorithms_available]
        if name not in known or (self.qop and self.chosen_qop is None):
            return 0
        return 1 + known.index(name)

    @property
    def chosen_qop(self) -> str | None:
        """The quality of protection to use: auth before auth-int; None if none was offered, or none that is known."""
        return next((qop for qop in _QOP_PREFERENCE if qop in self.qop), None)


@dataclass(frozen=True)
class DigestCredentials:
    """One Authorization or Proxy-Authorization value. Its texts are as they stood inside their quotes, but
    `username`, which is unquoted; `count` is the nonce count, 0 where none was given."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str = field(repr=False)
    algorithm: str = ""
    qop: str = ""
    cnonce: str = ""
    count: int = 0


def parse_challenge(value: str) -> Challenge:
    """Read one challenge; SipParseError (a ProtocolError) if it is not a well-formed digest challenge."""
    parameters = _parse_digest(value)
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


def parse_credentials(value: str) -> DigestCredentials:
    """Read credentials; SipParseError (a ProtocolError) if it is not well-formed."""
    parameters = _parse_digest(value)
    missing = [name for name in ("username", "realm", "nonce", "uri", "response") if name not in parameters]
    count = parameters.get("nc", "")
    if missing or (count and _NONCE_COUNT.fullmatch(count) is None):
        raise SipParseError(f"credentials without {missing[0] if missing else 'a nonce count'}")
    return DigestCredentials(
        username=unquote(f'"{parameters["username"]}"'),
        realm=parameters["realm"],
        nonce=parameters["nonce"],
        uri=parameters["uri"],
        response=parameters["response"].lower(),
        algorithm=parameters.get("algorithm", ""),
        qop=parameters.get("qop", "").lower(),
        cnonce=parameters.get("cnonce", ""),
        count=int(count or "0", 16),
    )


def next_nonce(value: str) -> str | None:
    """What an Authentication-Info says about the nonce to use from now on (RFC 7616 section 3.5); None: nothing."""
    try:
        return _parse_parameters(value).get("nextnonce") or None
    except SipParseError:
        return None


def challenge_text(challenge: Challenge) -> str:
    """The value of a WWW-Authenticate header that asks this."""
    fields = [f'realm="{challenge.realm}"', f'nonce="{challenge.nonce}"', f'qop="{",".join(challenge.qop)}"']
    fields += [f"algorithm={challenge.algorithm}", *(["stale=true"] if challenge.stale else [])]
    return "Digest " + ", ".join(fields)


def authorization(
    challenge: Challenge,
    credentials: Credentials,
    method: str,
    uri: str,
    nonce_count: int,
    cnonce: str,
    body: bytes = b"",
) -> str:
    """The value of Authorization or Proxy-Authorization for this request that `challenge` asks for.

    `uri` is the request URI as sent; `nonce_count` is 1 for the first use of a nonce and rises with each; `cnonce` is
    fresh random text (hex digits or base64). ValueError if the challenge cannot be met (`strength` 0).
    """
    if not challenge.strength:
        raise ValueError(f"cannot answer a challenge with algorithm {challenge.algorithm!r} and qop {challenge.qop}")
    qop = challenge.chosen_qop
    count = f"{nonce_count:08x}"
    response = digest_response(challenge, credentials, method, uri, nonce_count, cnonce, body)
    fields = [
        f"username={quote(credentials.user)}",
        f'realm="{challenge.realm}"',
        f'nonce="{challenge.nonce}"',
        f"uri={quote(uri)}",
        f'response="{response}"',
    ]
    if challenge.algorithm:
        fields.append(f"algorithm={challenge.algorithm}")
    if qop or _is_session(challenge):
        fields.append(f"cnonce={quote(cnonce)}")
    if qop:
        fields += [f"qop={qop}", f"nc={count}"]
    if challenge.opaque is not None:
        fields.append(f'opaque="{challenge.opaque}"')
    return "Digest " + ", ".join(fields)


def digest_response(
    challenge: Challenge,
    credentials: Credentials,
    method: str,
    uri: str,
    nonce_count: int,
    cnonce: str,
    body: bytes = b"",
) -> str:
    """The digest that proves knowledge of the password (RFC 7616 section 3.4.1), in hex; arguments as above."""
    secret = hashed_password(challenge.algorithm, credentials.user, challenge.realm, credentials.password)
    return response_by_hash(challenge, secret, method, uri, nonce_count, cnonce, body)


def hashed_password(algorithm: str, user: str, realm: str, password: str) -> str:
    """What a server may keep instead of the password (RFC 7616 section 3.4.2, A1), in hex; it is as secret."""
    return _digest(Challenge(realm, "", algorithm=algorithm), f"{user}:{realm}:{password}")


def response_by_hash(
    challenge: Challenge, secret: str, method: str, uri: str, nonce_count: int, cnonce: str, body: bytes = b""
) -> str:
    """As `digest_response`, where `secret` is the `hashed_password`."""
    qop = challenge.chosen_qop
    if _is_session(challenge):
        secret = _digest(challenge, f"{secret}:{challenge.nonce}:{cnonce}")
    request = f"{method}:{uri}"
    if qop == "auth-int":
        request += f":{_digest(challenge, body)}"
    middle = f"{challenge.nonce}:{nonce_count:08x}:{cnonce}:{qop}" if qop else challenge.nonce
    return _digest(challenge, f"{secret}:{middle}:{_digest(challenge, request)}")


def _parse_digest(value: str) -> dict[str, str]:
    scheme, _, rest = value.strip(LWS).partition(" ")
    if scheme.lower() != SCHEME:
        raise SipParseError(f"unknown authentication scheme {scheme[:40]!r}")
    return _parse_parameters(rest)


def _parse_parameters(text: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for piece in split_list(text):
        name, equals, value = piece.partition("=")
        name, value = name.rstrip(LWS).lower(), value.lstrip(LWS)
        if not equals or not is_token(name) or name in parameters:
            raise SipParseError(f"malformed digest parameter at {piece[:40]!r}")
        parameters[name] = _inside(value)
    return parameters


def _is_session(challenge: Challenge) -> bool:
    return challenge.algorithm.upper().endswith(SESSION_SUFFIX)


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
