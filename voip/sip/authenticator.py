"""Digest authentication as a client (RFC 3261 section 22, RFC 7616, RFC 8760): who is given proof, and how often.

Challenges are remembered for one Call-ID each (section 22.3), so the requests of a call or of a registration go out
with their proof at once, and none of it is shown to the peer of another call. Only hosts that the user has named get
any: the dialled target, the registrar, the outbound proxy. Where a redirect leads is not named by the user, nor where
a caller's dialog leads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from voip.sip.address import Address
from voip.sip.auth import Challenge, Credentials, authorization, next_nonce, parse_challenge
from voip.sip.grammar import SipParseError
from voip.sip.message import Request, Response, SipUri

PROXY = "Proxy-Authorization"
ANSWERS = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": PROXY}
INFORMS = {"Authentication-Info": "Authorization", "Proxy-Authentication-Info": PROXY}
CHALLENGED = (401, 407)
NEVER_CHALLENGED = ("ACK", "CANCEL")
"""They cannot be sent again with another number (22.1)."""
MOST_REALMS = 4
"""Servers in a row that may each want proof for the same request."""
MOST_NONCES = 256
"""Nonces whose uses are counted: those of all calls that are up at a time."""

Key = tuple[str, str]
"""The header that carries the proof, and the realm."""
Tried = dict[Key, int]
"""How often a request has been sent with new proof for each of these."""


@dataclass
class _Space:
    """What is known for one Call-ID."""

    hosts: set[str]
    challenges: dict[Key, Challenge] = field(default_factory=dict)
    narrow: bool = False


class Authenticator:
    """Answers challenges with the user's `credentials` (None: it never does); `cnonce` makes fresh random texts."""

    def __init__(self, credentials: Credentials | None, cnonce: Callable[[], str]) -> None:
        self.credentials, self._cnonce = credentials, cnonce
        self._spaces: dict[str, _Space] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def allow(self, call_id: str, host: str) -> None:
        """The user has named the host at this literal address: it may ask for proof in requests of this Call-ID."""
        self._spaces.setdefault(call_id, _Space(set())).hosts.add(host)

    def narrow(self, call_id: str) -> None:
        """Somebody else says from now on where these requests go: proxies that have asked may ask again, no others."""
        space = self._spaces.get(call_id)
        if space is not None:
            space.narrow = True
            space.challenges = {key: known for key, known in space.challenges.items() if key[0] == PROXY}

    def forget(self, call_id: str) -> None:
        """Nothing more is sent with this Call-ID."""
        self._spaces.pop(call_id, None)

    def sign(self, request: Request, destination: Address) -> None:
        """Put the proof that servers on the way are known to want into a request that is about to be sent."""
        for name in ANSWERS.values():
            request.headers.remove(name)
        space = self._spaces.get(request.call_id)
        if not self._may_prove(space, request, destination) or space is None or self.credentials is None:
            return
        for (name, realm), challenge in space.challenges.items():
            count = self._count(realm, challenge.nonce)
            proof = authorization(
                challenge, self.credentials, request.method, str(request.uri), count, self._cnonce(), request.body
            )
            request.headers.add(name, proof)

    def learn(self, request: Request, destination: Address, response: Response, tried: Tried) -> bool:
        """Remember what a 401 or 407 asks for; whether it is worth sending the request again, signed anew.

        Not so where the password was refused: proof was given in answer to a challenge, and not for being stale.
        `tried` goes with the request through all its copies.
        """
        space = self._spaces.get(request.call_id)
        if not self._may_prove(space, request, destination) or space is None:
            return False
        found = _challenges(response)
        if space.narrow:
            found = {key: challenge for key, challenge in found.items() if key in space.challenges}
        refused = [key for key, challenge in found.items() if tried.get(key, 0) > challenge.stale]
        for key in refused:
            space.challenges.pop(key, None)
        if refused or not found or len(found.keys() | space.challenges.keys()) > MOST_REALMS:
            return False
        space.challenges.update(found)
        for key in found:
            tried[key] = tried.get(key, 0) + 1
        return True

    def note(self, request: Request, response: Response) -> None:
        """Take the next nonce from a response to a request that was signed, where it names one."""
        space = self._spaces.get(request.call_id)
        if space is None or not space.challenges or response.status >= 300:
            return
        for info, name in INFORMS.items():
            nonce = next_nonce(response.headers.get(info) or "")
            keys = [key for key in space.challenges if key[0] == name]
            if nonce is not None and len(keys) == 1:  # the header names no realm
                space.challenges[keys[0]] = replace(space.challenges[keys[0]], nonce=nonce)

    def _may_prove(self, space: _Space | None, request: Request, destination: Address) -> bool:
        return (
            self.credentials is not None
            and space is not None
            and destination.host in space.hosts
            and request.method not in NEVER_CHALLENGED
            and isinstance(request.uri, SipUri)
        )

    def _count(self, realm: str, nonce: str) -> int:
        """The nonce count: servers may hand the same nonce out for several calls."""
        count = self._counts.pop((realm, nonce), 0) + 1
        self._counts[realm, nonce] = count
        while len(self._counts) > MOST_NONCES:
            del self._counts[next(iter(self._counts))]
        return count


def _challenges(response: Response) -> dict[Key, Challenge]:
    """Of all that a response asks for, by header and realm, the challenge with the strongest hash (RFC 8760 2.4)."""
    found: dict[Key, Challenge] = {}
    for asked, name in ANSWERS.items():
        for value in response.headers.get_all(asked):
            try:
                challenge = parse_challenge(value)
            except SipParseError:
                continue
            best = found.get((name, challenge.realm))
            if challenge.strength > (best.strength if best else 0):
                found[name, challenge.realm] = challenge
    return found
