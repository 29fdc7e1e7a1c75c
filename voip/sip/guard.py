"""What unvalidated sources may ask of us: how often, and who may call (RFC 3261 section 22.4: digest
authentication)."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable

from voip.sip.address import Address
from voip.sip.core import Core
from voip.sip.digest_server import DigestVerifier, Verdict
from voip.sip.limits import Bucket, RateLimiter, is_scanner, network_of
from voip.sip.message import Request
from voip.sip.methods import is_served

REQUEST_RATE, REQUEST_BURST, TOTAL_RATE = 15.0, 30.0, 100.0
"""New requests a second that one host, and all together, get a response to. Hosts that have had a call in the last day
have a total of their own, so that a flood of others does not shut them out."""
STRANGER_RATE, STRANGER_BURST = 5.0, 10.0
"""Messages a second that are read of all hosts together that may not call."""
TRUSTED_RATE, TRUSTED_BURST = 60.0, 120.0
"""New requests a second of each registrar, proxy or single host that the user has named: one host that stands for many
callers, and sets up 50 calls a second."""
CALL_RATE, CALL_BURST = 30.0, 60.0
"""Messages a second that are read of one call, or of the transactions of one host; digits in INFO are 10 at most."""
STRAY_RATE, STRAY_BURST = 20.0, 40.0
"""Responses and ACKs a second that are read although they belong to nothing: to say what is wrong with them."""
UNLIMITED = float("inf")
AUTHENTICATED = ("INVITE", "MESSAGE")
"""Methods by which a caller comes in: where passwords are asked for, of these outside of dialogs."""
FRIENDS, FRIENDSHIP = 256, 24 * 3600.0
"""Hosts that have had a call and are remembered, the newest, and for how many seconds."""
UNSERVED_RATE, UNSERVED_BURST = 1.0, 5.0
"""The same for methods that are not served: the sender need not be told often."""


FindCall = Callable[[str], "tuple[str, str] | None"]
"""The id of the call whose messages have this Call-ID, and the host of its peer."""


class RequestLimits:
    """How many new requests of each host get a response, by what is known of it. `is_trusted(host)`: it stands for many
    callers."""

    def __init__(self, is_trusted: Callable[[str], bool]) -> None:
        self.is_trusted = is_trusted
        self._of_strangers = Bucket(STRANGER_RATE, STRANGER_BURST)
        self._requests = RateLimiter(REQUEST_RATE, REQUEST_BURST, TOTAL_RATE)
        self._of_friends = RateLimiter(REQUEST_RATE, REQUEST_BURST, TOTAL_RATE)
        self._of_trusted = RateLimiter(TRUSTED_RATE, TRUSTED_BURST, UNLIMITED)
        self._friends: OrderedDict[str, float] = OrderedDict()

    def allows(self, host: str, now: float) -> bool:
        """Whether `take` would succeed."""
        return self._limiter_of(host, now).allows(network_of(host), now)

    def take(self, host: str, now: float) -> bool:
        """Count one request of this host; False if it is one too many."""
        return self._limiter_of(host, now).take(network_of(host), now)

    def take_stranger(self, now: float) -> bool:
        """The same for all hosts together that may not call."""
        return _take(self._of_strangers, now)

    def note_call(self, host: str, now: float) -> None:
        """A call of this host has been set up: it has acknowledged our answer, so its address is not forged."""
        self._friends[host] = now
        self._friends.move_to_end(host)
        if len(self._friends) > FRIENDS:
            self._friends.popitem(last=False)

    def _limiter_of(self, host: str, now: float) -> RateLimiter:
        if self.is_trusted(host):
            return self._of_trusted
        since = self._friends.get(host)
        return self._requests if since is None or now - since > FRIENDSHIP else self._of_friends


class Guard:
    """`may_call(host)` says who may call, `trusted(host)` who stands for many callers; with a `verifier` callers have
    to authenticate, too."""

    def __init__(
        self,
        core: Core,
        may_call: Callable[[str], bool],
        verifier: DigestVerifier | None,
        trusted: Callable[[str], bool] = lambda host: False,
    ) -> None:
        self._core, self.may_call, self._verifier, self.is_trusted = core, may_call, verifier, trusted
        self._requests = RequestLimits(trusted)
        self._within = RateLimiter(CALL_RATE, CALL_BURST, UNLIMITED)
        self._transactions = RateLimiter(CALL_RATE, CALL_BURST, 2 * TOTAL_RATE)
        self._transactions_of_trusted = RateLimiter(TRUSTED_RATE, TRUSTED_BURST, UNLIMITED)
        self._strays = Bucket(STRAY_RATE, STRAY_BURST)
        self._unserved = RateLimiter(UNSERVED_RATE, UNSERVED_BURST, TOTAL_RATE)
        self.limited = 0
        """Requests left without a response because there were too many, or from a scanner."""

    # --- before anything is read ----------------------------------------------------------------------------------

    def admits(self, data: bytes, source: Address, find: FindCall, now: float) -> bool:
        """Whether a message is worth reading: asked first, of its bytes, as reading it is what costs."""
        if data[:4].upper() == b"SIP/":
            return self._admits_response(data, now)
        call_id = call_id_of(data)
        call = find(call_id) if call_id else None
        if call is not None:
            allowed = self._within.take(f"{call[0]} {call[1] == source.host}", now)
        elif not self.may_call(source.host):
            allowed = self._requests.take_stranger(now)
        elif call_id and self._is_of_transaction(call_id, data):
            limiter = self._transactions_of_trusted if self.is_trusted(source.host) else self._transactions
            allowed = limiter.take(network_of(source.host), now)
        elif data[:4].upper() == b"ACK ":
            return _take(self._strays, now)
        else:
            allowed = self._requests.allows(source.host, now)
        self.limited += not allowed
        return allowed

    def _admits_response(self, data: bytes, now: float) -> bool:
        """It is the branch that tells whose response it is (17.1.3)."""
        for branch, method in self._core.clients:
            if branch.encode("utf-8", "surrogateescape") in data:
                return self._within.take(f"{branch} {method}", now)
        return _take(self._strays, now)

    def _is_of_transaction(self, call_id: str, data: bytes) -> bool:
        """Whether it is a copy of a request that we have, its CANCEL, or the ACK of its refusal (17.2.3)."""
        branches = (transaction.key[0] for transaction in self._core.servers.of_call(call_id))
        return any(branch.encode("utf-8", "surrogateescape") in data for branch in branches)

    def note_ack(self, request: Request, source: Address) -> None:
        """An ACK that belongs to no call may be that of a challenge, which has arrived, then."""
        if self._verifier is not None and request.to.tag == self._core.stateless_tag(request):
            self._verifier.note_received(source.host, request.call_id)

    def note_call(self, host: str, now: float) -> None:
        """A call of this host has been set up."""
        self._requests.note_call(host, now)

    # --- requests that have been read -----------------------------------------------------------------------------

    def take_token(self, request: Request, source: Address, now: float) -> bool:
        """Whether this host gets a response to one more request."""
        allowed = not is_scanner(request.headers.get("User-Agent")) and self.take_malformed(source, now)
        if not allowed or not (is_served(request.method) or self._unserved.take(network_of(source.host), now)):
            self.limited += 1
            return False
        return True

    def take_malformed(self, source: Address, now: float) -> bool:
        """The same for what is no good request."""
        return self._requests.take(source.host, now)

    def is_allowed(self, request: Request, source: Address, size: int, now: float) -> bool:
        """Whether a caller is authenticated, if it has to be; else it is challenged, and nothing is kept of it."""
        calls = request.method in AUTHENTICATED and not request.to.tag
        if self._verifier is None or not calls or not self.may_call(source.host):
            return True
        verdict = self._verifier.verify(request, source.host, now)
        if verdict is Verdict.IGNORED:
            self.limited += 1
        elif verdict is not Verdict.ALLOWED:
            asked = self._verifier.challenges(source.host, request.call_id, now, stale=verdict is Verdict.STALE)
            fields = [("WWW-Authenticate", challenge) for challenge in asked]
            self._core.respond_stateless(request, source, 401, size, fields)
            if verdict is Verdict.WRONG:
                self._core.report_refusal(request, source, 401, "wrong user name or password")
        return verdict is Verdict.ALLOWED


_CALL_ID = re.compile(rb"\n(?:call-id|i)[ \t]*:([^\r\n]*)", re.IGNORECASE)


def call_id_of(data: bytes) -> str:
    """The Call-ID of a message that has not been read, "" where none is found: much cheaper than to read it."""
    found = _CALL_ID.search(data)
    return found[1].strip(b" \t").decode("utf-8", "surrogateescape") if found else ""


def _take(bucket: Bucket, now: float) -> bool:
    if bucket.level(now) < 1.0:
        return False
    bucket.take()
    return True
