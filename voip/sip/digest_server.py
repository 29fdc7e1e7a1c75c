"""Digest authentication as a server (RFC 3261 section 22.4, RFC 7616, RFC 8760): who may call.

Nothing is kept of callers that are not authenticated: a nonce carries its time and, keyed, the host it was made for.
What is kept is bounded: the counts of nonces that were used with the right password, and the failures of hosts.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from voip.sip.auth import (
    Challenge,
    DigestCredentials,
    challenge_text,
    hashed_password,
    parse_credentials,
    response_by_hash,
)
from voip.sip.grammar import SipParseError
from voip.sip.limits import network_of
from voip.sip.message import Request

REALM = "receiver"
ALGORITHMS = ("SHA-256", "MD5")
"""Best first (RFC 8760 section 2.3). Telephones that support the last alone should ignore the others, but some hang up:
baresip 1.0 and sipp 3.6 do. A host that has acknowledged a challenge, and calls anew after that, is asked for the last
alone."""
QOP = "auth"
NONCE_LIFE = 30.0
"""Seconds in which credentials for a nonce are accepted."""
MAX_FAILURES = 5
"""Wrong passwords of one host after which it gets no response at all for a while."""
BLOCK_SECONDS = 60.0
"""Seconds of that."""
MAX_NONCES = 1024
MAX_HOSTS = 1024
SEAL_BYTES = 16
TIME_DIGITS, STAMP_DIGITS = 12, 20
"""Hex digits of a nonce that are its time in milliseconds, 8900 years, and with them those that make it the only one
of its millisecond."""


class Verdict(Enum):
    ALLOWED = "the password is right"
    UNKNOWN = "no credentials yet, or none of use: challenge"
    STALE = "the nonce has had its time: challenge, and say that it was that"
    WRONG = "the password is wrong: challenge"
    IGNORED = "too many wrong passwords: no response"


@dataclass
class _Failures:
    count: int
    last: float


HashOf = Callable[[str, str], "str | None"]
"""The `hashed_password` of a user by an algorithm; None: there is no such user, or it has none."""


def hashes_of(users: Mapping[str, str], realm: str = REALM) -> HashOf:
    """Of users that are known with their passwords."""
    known = dict(users)

    def hash_of(user: str, name: str) -> str | None:
        hashed = hashed_password(name, user, realm, known.get(user, ""))  # of unknown users, too: it takes as long
        return hashed if user in known else None

    return hash_of


class DigestVerifier:
    """Verifies requests of the users that `hash_of` knows; `secret` is random and never sent. `header`: where their
    credentials are. `algorithms`: those that they are asked for."""

    def __init__(
        self,
        hash_of: HashOf,
        secret: bytes,
        *,
        realm: str = REALM,
        header: str = "Authorization",
        algorithms: Sequence[str] = ALGORITHMS,
    ) -> None:
        self._hash_of, self._secret = hash_of, secret
        self._realm, self._header, self._algorithms = realm, header, tuple(algorithms)
        self._no_password = hashlib.sha256(secret).hexdigest()  # of unknown users: to verify it takes as long
        self._serial = 0
        self._counts: dict[str, int] = {}
        self._failures: dict[str, _Failures] = {}
        self._challenged: dict[str, str | None] = {}  # by host, the Call-ID of a challenge; None: the last hash alone

    def verify(self, request: Request, host: str, now: float) -> Verdict:
        """What to do with this request, which came from the literal address `host`.

        The digest's URI is not compared with the request's, which proxies rewrite (RFC 3261 section 22.4).
        """
        if self._is_ignored(host, now):
            return Verdict.IGNORED
        given = self.credentials(request)
        if given is None:
            return Verdict.UNKNOWN
        if self._challenged.get(host):
            del self._challenged[host]
        # Before the digest is looked at: else an invented nonce would show whether a guessed password is right.
        if not self._is_fresh(given.nonce, host, now) or given.count <= self._counts.get(given.nonce, 0):
            return Verdict.STALE
        if not self._is_right(given, request):
            self._note_failure(host, now)
            return Verdict.WRONG
        self._counts[given.nonce] = given.count
        while len(self._counts) > MAX_NONCES:
            del self._counts[next(iter(self._counts))]
        self._failures.pop(_guesser(host), None)
        return Verdict.ALLOWED

    def credentials(self, request: Request) -> DigestCredentials | None:
        """Those for our realm, if there are any of the kind that we ask for; not verified."""
        for value in request.headers.lines(self._header):
            try:
                given = parse_credentials(value)
            except SipParseError:
                continue
            known = (given.algorithm.upper() or "MD5") in self._algorithms
            if given.realm == self._realm and known and given.qop == QOP:
                return given
        return None

    def challenges(self, host: str, call_id: str, now: float, *, stale: bool = False) -> list[str]:
        """Values of WWW-Authenticate (or Proxy-Authenticate) for this host, the strongest first: the same for all
        users, and for none."""
        nonce = self._nonce(host, now)
        names = self._algorithms[-1:] if self._gave_up(host, call_id) else self._algorithms
        return [challenge_text(Challenge(self._realm, nonce, None, name, (QOP,), stale)) for name in names]

    def _gave_up(self, host: str, call_id: str) -> bool:
        """Whether this host has not come back with credentials after a challenge that it received in another call."""
        if self._challenged.get(host, call_id) != call_id:
            self._challenged[host] = None
        return self._challenged.get(host, call_id) is None

    def note_received(self, host: str, call_id: str) -> None:
        """This host has acknowledged a challenge. Without that it may have been another who asked in its name, to have
        it challenged with the weaker hash alone from then on."""
        self._challenged.setdefault(host, call_id)
        while len(self._challenged) > MAX_HOSTS:
            del self._challenged[next(iter(self._challenged))]

    def _nonce(self, host: str, now: float) -> str:
        self._serial = (self._serial + 1) % 16 ** (STAMP_DIGITS - TIME_DIGITS)
        stamp = f"{round(now * 1000):0{TIME_DIGITS}x}{self._serial:0{STAMP_DIGITS - TIME_DIGITS}x}"
        return stamp + self._seal(stamp, host)

    def _seal(self, stamp: str, host: str) -> str:
        text = f"{stamp} {host}".encode("utf-8", "surrogateescape")
        return hmac.new(self._secret, text, hashlib.sha256).digest()[:SEAL_BYTES].hex()

    def _is_fresh(self, nonce: str, host: str, now: float) -> bool:
        stamp, seal = nonce[:STAMP_DIGITS], nonce[STAMP_DIGITS:]
        if not _same(seal, self._seal(stamp, host)):
            return False
        return now - int(stamp[:TIME_DIGITS], 16) / 1000 <= NONCE_LIFE

    def _is_right(self, given: DigestCredentials, request: Request) -> bool:
        algorithm = given.algorithm or "MD5"
        known = self._hash_of(given.username, algorithm.upper())
        challenge = Challenge(self._realm, given.nonce, None, algorithm, (QOP,))
        secret = self._no_password if known is None else known
        expected = response_by_hash(challenge, secret, request.method, given.uri, given.count, given.cnonce)
        return _same(expected, given.response) and known is not None

    def _is_ignored(self, host: str, now: float) -> bool:
        host = _guesser(host)
        failures = self._failures.get(host)
        if failures is None:
            return False
        if now - failures.last > BLOCK_SECONDS:
            del self._failures[host]
            return False
        return failures.count >= MAX_FAILURES

    def _note_failure(self, host: str, now: float) -> None:
        """Only of a host that has received a challenge of ours: spoofed packets cannot shut out a host."""
        host = _guesser(host)
        failures = self._failures.pop(host, _Failures(0, now))
        self._failures[host] = _Failures(failures.count + 1, now)
        while len(self._failures) > MAX_HOSTS:
            del self._failures[next(iter(self._failures))]


def _guesser(host: str) -> str:
    """Whose guesses are counted: one sender has all the addresses of an IPv6 /64, and as many guesses otherwise."""
    return network_of(host) if ":" in host else host


def _same(expected: str, found: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(expected.encode("utf-8", "surrogateescape"), found.encode("utf-8", "surrogateescape"))
