"""What unvalidated sources may ask of us: how often, and who may call (RFC 3261 section 22.4: digest
authentication)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from voip.sip.address import Address
from voip.sip.core import Core
from voip.sip.digest_server import DigestVerifier, Verdict
from voip.sip.limits import RateLimiter, is_scanner
from voip.sip.message import Request
from voip.sip.methods import is_served

REQUEST_RATE, REQUEST_BURST, TOTAL_RATE = 15.0, 30.0, 100.0
"""New requests a second that one host, and all together, get a response to."""
UNSERVED_RATE, UNSERVED_BURST = 1.0, 5.0
"""The same for methods that are not served: the sender need not be told often."""


class Guard:
    """`may_call(host)` says who may call; with a `verifier` callers have to authenticate, too."""

    def __init__(self, core: Core, may_call: Callable[[str], bool], verifier: DigestVerifier | None) -> None:
        self._core, self.may_call, self._verifier = core, may_call, verifier
        self._requests = RateLimiter(REQUEST_RATE, REQUEST_BURST, TOTAL_RATE)
        self._unserved = RateLimiter(UNSERVED_RATE, UNSERVED_BURST, TOTAL_RATE)
        self.limited = 0
        """Requests left without a response because there were too many, or from a scanner."""

    def is_flood(self, data: bytes, source: Address, call_ids: Iterable[str], now: float) -> bool:
        """Whether this would only be dropped, so that it need not even be read; what names a call of ours is read."""
        if self._requests.allows(source.host, now) or data[:4].upper() == b"SIP/":
            return False
        names = (call_id.partition(".")[0].encode("utf-8", "surrogateescape") for call_id in call_ids)
        flood = not any(name in data for name in names)
        self.limited += flood
        return flood

    def take_token(self, request: Request, source: Address, now: float) -> bool:
        """Whether this host gets a response to one more request."""
        allowed = not is_scanner(request.headers.get("User-Agent")) and self._requests.take(source.host, now)
        if not allowed or not (is_served(request.method) or self._unserved.take(source.host, now)):
            self.limited += 1
            return False
        return True

    def take_malformed(self, source: Address, now: float) -> bool:
        """The same for what is no good request."""
        return self._requests.take(source.host, now)

    def is_allowed(self, request: Request, source: Address, size: int, now: float) -> bool:
        """Whether a caller is authenticated, if it has to be; else it is challenged, and nothing is kept of it."""
        calls = request.method == "INVITE" and not request.to.tag
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
