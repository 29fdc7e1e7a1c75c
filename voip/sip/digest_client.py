"""Digest authentication as a client (RFC 3261 section 22, RFC 7616, RFC 8760): which servers get credentials, and how
often.

Challenges are remembered for one Call-ID each (section 22.3), so the requests of a call or of a registration carry
their credentials at once, and none are shown to the peer of another call. Only hosts that the user has named get any:
the dialled target, the registrar, the outbound proxy; not where a redirect or a caller's dialog leads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from voip.sip.address import Address
from voip.sip.auth import Challenge, Credentials, authorization, next_nonce, parse_challenge
from voip.sip.grammar import SipParseError
from voip.sip.message import Request, Response, SipUri

PROXY = "Proxy-Authorization"
CREDENTIALS_OF = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": PROXY}
INFORMS = {"Authentication-Info": "Authorization", "Proxy-Authentication-Info": PROXY}
CHALLENGED = (401, 407)
NEVER_CHALLENGED = ("ACK", "CANCEL")
"""They cannot be sent again with another number (22.1)."""
MAX_REALMS = 4
"""Servers in a row that may each challenge the same request."""
MAX_NONCES = 256
"""Nonces whose uses are counted: those of all calls that are up at a time."""

Key = tuple[str, str]
"""The header that carries the credentials, and the realm."""
Tried = dict[Key, int]
"""How often a request has been sent with new credentials for each of these."""


@dataclass
class _Space:
    """What is known for one Call-ID."""

    hosts: set[str]
    challenges: dict[Key, Challenge] = field(default_factory=dict)
    narrow: bool = False


class DigestClient:
    """Responds to challenges with the user's `credentials` (None: never); `cnonce` makes fresh random texts."""

    def __init__(self, credentials: Credentials | None, cnonce: Callable[[], str]) -> None:
        self.credentials, self._cnonce = credentials, cnonce
        self._spaces: dict[str, _Space] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def allow(self, call_id: str, host: str) -> None:
        """The user has named the host at this literal address: it may challenge requests of this Call-ID."""
        self._spaces.setdefault(call_id, _Space(set())).hosts.add(host)

    def is_named(self, call_id: str, host: str) -> bool:
        """Whether it may see credentials of this Call-ID."""
        space = self._spaces.get(call_id)
        return space is not None and host in space.hosts

    def narrow(self, call_id: str) -> None:
        """A redirect says from now on where these requests go: proxies that have challenged may do so again, no
        others."""
        space = self._spaces.get(call_id)
        if space is not None:
            space.narrow = True
            space.challenges = {key: known for key, known in space.challenges.items() if key[0] == PROXY}

    def forget(self, call_id: str) -> None:
        """Nothing more is sent with this Call-ID."""
        self._spaces.pop(call_id, None)

    def sign(self, request: Request, destination: Address) -> None:
        """Add the credentials that servers on the way are known to want to a request that is about to be sent."""
        for name in CREDENTIALS_OF.values():
            request.headers.remove(name)
        space = self._spaces.get(request.call_id)
        if not self._may_authenticate(space, request, destination) or space is None or self.credentials is None:
            return
        for (name, realm), challenge in space.challenges.items():
            count = self._count(realm, challenge.nonce)
            value = authorization(
                challenge, self.credentials, request.method, str(request.uri), count, self._cnonce(), request.body
            )
            request.headers.add(name, value)

    def learn(self, request: Request, destination: Address, response: Response, tried: Tried) -> bool:
        """Remember what a 401 or 407 asks for; whether it is worth sending the request again, signed anew.

        Not so where the password was refused: credentials for a challenge of that realm that are not merely stale.
        `tried` goes with the request through all its copies.
        """
        space = self._spaces.get(request.call_id)
        if not self._may_authenticate(space, request, destination) or space is None:
            return False
        found = _challenges(response)
        if space.narrow:
            found = {key: challenge for key, challenge in found.items() if key in space.challenges}
        refused = [key for key, challenge in found.items() if tried.get(key, 0) > challenge.stale]
        for key in refused:
            space.challenges.pop(key, None)
        if refused or not found or len(found.keys() | space.challenges.keys()) > MAX_REALMS:
            return False
        space.challenges.update(found)
        for key in found:
            tried[key] = tried.get(key, 0) + 1
        return True

    def note(self, request: Request, response: Response) -> None:
        """Take the next nonce from a response to a request with credentials, where it names one."""
        space = self._spaces.get(request.call_id)
        if space is None or not space.challenges or response.status >= 300:
            return
        for info, name in INFORMS.items():
            nonce = next_nonce(response.headers.get(info) or "")
            keys = [key for key in space.challenges if key[0] == name]
            if nonce is not None and len(keys) == 1:  # the header names no realm
                space.challenges[keys[0]] = replace(space.challenges[keys[0]], nonce=nonce)

    def _may_authenticate(self, space: _Space | None, request: Request, destination: Address) -> bool:
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
        while len(self._counts) > MAX_NONCES:
            del self._counts[next(iter(self._counts))]
        return count


def _challenges(response: Response) -> dict[Key, Challenge]:
    """Of all challenges of a response, by header and realm, the challenge with the strongest hash (RFC 8760 2.4)."""
    found: dict[Key, Challenge] = {}
    for asked, name in CREDENTIALS_OF.items():
        for value in response.headers.get_all(asked):
            try:
                challenge = parse_challenge(value)
            except SipParseError:
                continue
            best = found.get((name, challenge.realm))
            if challenge.strength > (best.strength if best else 0):
                found[name, challenge.realm] = challenge
    return found
