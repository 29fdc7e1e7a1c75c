"""Digest authentication as a server (RFC 3261 section 22.4, RFC 7616, RFC 8760): who may call.

Nothing is kept of those who have not proved themselves: a nonce carries its time and, keyed, the host it was made for.
What is kept is bounded: the counts of nonces with which somebody did prove himself, and the failures of hosts.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from voip.sip.auth import Challenge, Credentials, Proof, challenge_text, digest_response, parse_proof
from voip.sip.grammar import SipParseError
from voip.sip.message import Request

REALM = "receiver"
ALGORITHMS = ("SHA-256", "MD5")
"""Best first (RFC 8760 section 2.3). Telephones that know the last alone should pass over the others, but some hang up:
baresip 1.0 and sipp 3.6 do. A host that comes back after that is asked for the last alone."""
QOP = "auth"
NONCE_LIFE = 30.0
"""Seconds in which a challenge has to be answered, and its answer may be used."""
MOST_FAILURES = 5
"""Wrong passwords of one host after which it gets no answer at all for a while."""
SILENCE = 60.0
"""Seconds of that."""
MOST_NONCES = 1024
MOST_HOSTS = 1024
SEAL_BYTES = 16
TIME_DIGITS, STAMP_DIGITS = 12, 20
"""Hex digits of a nonce that are its time in milliseconds, 8900 years, and with them those that make it the only one
of its millisecond."""


class Verdict(Enum):
    WELCOME = "the password is right"
    UNKNOWN = "no proof yet, or none that is of use: challenge"
    STALE = "the nonce has had its time: challenge, and say that it was that"
    WRONG = "the password is wrong: challenge"
    IGNORED = "too many wrong passwords: no answer"


@dataclass
class _Failures:
    count: int
    last: float


class Gatekeeper:
    """Knows `users` (name to password) and judges requests; `secret` is random and never told."""

    def __init__(self, users: Mapping[str, str], secret: bytes) -> None:
        self._users, self._secret = dict(users), secret
        self._nobody = hashlib.sha256(secret).hexdigest()  # whom no password fits: takes as long as a user
        self._serial = 0
        self._counts: dict[str, int] = {}
        self._failures: dict[str, _Failures] = {}
        self._unanswered: dict[str, str | None] = {}  # by host, the Call-ID of a challenge; None: the last hash alone

    def judge(self, request: Request, host: str, now: float) -> Verdict:
        """What to do with this request, which came from the literal address `host`.

        The digest's URI is not compared with the request's, which proxies rewrite (RFC 3261 section 22.4).
        """
        if self._is_ignored(host, now):
            return Verdict.IGNORED
        proof = _proof_for_us(request)
        if proof is None:
            return Verdict.UNKNOWN
        if self._unanswered.get(host):
            del self._unanswered[host]
        # Before the digest is looked at: else a made-up nonce would tell whether a guessed password is right.
        if not self._is_fresh(proof.nonce, host, now) or proof.count <= self._counts.get(proof.nonce, 0):
            return Verdict.STALE
        if not self._is_right(proof, request):
            self._note_failure(host, now)
            return Verdict.WRONG
        self._counts[proof.nonce] = proof.count
        while len(self._counts) > MOST_NONCES:
            del self._counts[next(iter(self._counts))]
        self._failures.pop(host, None)
        return Verdict.WELCOME

    def challenges(self, host: str, call_id: str, now: float, *, stale: bool = False) -> list[str]:
        """Values of WWW-Authenticate for this host, the strongest first: the same for all users, and for none."""
        nonce = self._nonce(host, now)
        names = ALGORITHMS[-1:] if self._gave_up(host, call_id) else ALGORITHMS
        return [challenge_text(Challenge(REALM, nonce, None, name, (QOP,), stale)) for name in names]

    def _gave_up(self, host: str, call_id: str) -> bool:
        """Whether this host has left a challenge unanswered in another call."""
        if self._unanswered.setdefault(host, call_id) != call_id:
            self._unanswered[host] = None
        while len(self._unanswered) > MOST_HOSTS:
            del self._unanswered[next(iter(self._unanswered))]
        return self._unanswered.get(host, call_id) is None

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

    def _is_right(self, proof: Proof, request: Request) -> bool:
        password = self._users.get(proof.username, self._nobody)
        challenge = Challenge(REALM, proof.nonce, None, proof.algorithm or "MD5", (QOP,))
        known = Credentials(proof.username, password)
        expected = digest_response(challenge, known, request.method, proof.uri, proof.count, proof.cnonce)
        return _same(expected, proof.response) and proof.username in self._users

    def _is_ignored(self, host: str, now: float) -> bool:
        failures = self._failures.get(host)
        if failures is None:
            return False
        if now - failures.last > SILENCE:
            del self._failures[host]
            return False
        return failures.count >= MOST_FAILURES

    def _note_failure(self, host: str, now: float) -> None:
        """Only for who has read a challenge of ours: nobody can be shut out in his name by forged packets."""
        failures = self._failures.pop(host, _Failures(0, now))
        self._failures[host] = _Failures(failures.count + 1, now)
        while len(self._failures) > MOST_HOSTS:
            del self._failures[next(iter(self._failures))]


def _same(expected: str, found: str) -> bool:
    """Compared in a time that does not tell how much of it is right."""
    return hmac.compare_digest(expected.encode("utf-8", "surrogateescape"), found.encode("utf-8", "surrogateescape"))


def _proof_for_us(request: Request) -> Proof | None:
    """The credentials for our realm, if there are any of the kind that we ask for."""
    for value in request.headers.lines("Authorization"):
        try:
            proof = parse_proof(value)
        except SipParseError:
            continue
        if proof.realm == REALM and (proof.algorithm.upper() or "MD5") in ALGORITHMS and proof.qop == QOP:
            return proof
    return None
