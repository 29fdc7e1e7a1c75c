"""Who may do what at the directory over SIP: how many messages of a host are read, and which requests have to prove
whose they are (RFC 3261 section 22)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from voip.directory.registrar import Names, name_of
from voip.sip.address import Address
from voip.sip.auth import parse_credentials
from voip.sip.core import Core
from voip.sip.digest_server import DigestVerifier, Verdict
from voip.sip.grammar import SipParseError
from voip.sip.limits import RateLimiter, is_scanner, network_of
from voip.sip.message import Request
from voip.sip.methods import METHODS

MESSAGE_RATE, MESSAGE_BURST, TOTAL_RATE = 30.0, 60.0, 300.0
"""Messages a second that are read of a host without a registered telephone, and of all those together."""
KNOWN_RATE, KNOWN_BURST = 200.0, 400.0
"""The same for each host from which somebody is registered, of which a PBX may have many."""
UNLIMITED = float("inf")
ALGORITHMS = ("MD5",)
"""What telephones are asked for. All of them have MD5; some that have no other hang up when they are offered SHA-256
first (RFC 8760). Over TLS the hash is not seen."""
_BRANCH = re.compile(rb"\n(?:via|v)[ \t]*:[^\r\n]*?;[ \t]*branch[ \t]*=[ \t]*([^;,\s]+)", re.IGNORECASE)


class Admission:
    """`is_known(host)` says whether somebody is registered from there, `owns_name` whether From is a user of ours,
    `is_within_dialog` whether a request belongs to a call that is up. `secret` is random and never sent. With
    `asks_callers` those that call have to be users, too (407)."""

    def __init__(
        self,
        core: Core,
        names: Names,
        owns_name: Callable[[Request], bool],
        is_known: Callable[[str], bool],
        is_within_dialog: Callable[[Request], bool],
        realm: str,
        secret: bytes,
        *,
        asks_callers: bool = False,
    ) -> None:
        self._core, self._names, self._owns_name, self._is_known = core, names, owns_name, is_known
        self._is_within_dialog = is_within_dialog
        self._realm, self.asks_callers = realm, asks_callers
        self._registrants = DigestVerifier(names.hash_of, secret, realm=realm, algorithms=ALGORITHMS)
        self._callers = DigestVerifier(
            names.hash_of, secret, realm=realm, header="Proxy-Authorization", algorithms=ALGORITHMS
        )
        self._strangers = RateLimiter(MESSAGE_RATE, MESSAGE_BURST, TOTAL_RATE)
        self._known = RateLimiter(KNOWN_RATE, KNOWN_BURST, UNLIMITED)
        self.limited = 0
        """Messages that were not read as there were too many, from a scanner, or of one that guesses passwords."""

    def admits(self, data: bytes, source: Address, now: float) -> bool:
        """Whether a message is worth reading: asked of its bytes, as reading it is what costs."""
        if is_loopback(source.host) or self._is_awaited(data):
            return True
        limiter = self._known if self._is_known(source.host) else self._strangers
        allowed = limiter.take(network_of(source.host), now)
        self.limited += not allowed
        return allowed

    def is_scanner(self, request: Request) -> bool:
        """Whether it comes of a program that looks for telephones to abuse: it gets no response."""
        found = is_scanner(request.headers.get("User-Agent"))
        self.limited += found
        return found

    def allows(self, request: Request, source: Address, size: int, now: float) -> bool:
        """Whether this request, which begins something, is of whom it says it is; else it is challenged or refused, and
        nothing is kept of it."""
        if request.method == "REGISTER":
            return self._allows_register(request, source, size, now)
        if not self.asks_callers or self._is_within_dialog(request):
            return True
        if not self._is_proven(self._callers, 407, "Proxy-Authenticate", request, source, size, now):
            return False
        given = self._callers.credentials(request)
        if self._owns_name(request) and (given is None or given.username.casefold() != name_of(request.from_.uri)):
            self._refuse(request, source, size, "calls in the name of another")
            return False
        self._take_credentials_out(request)
        return True

    def note_ack(self, request: Request, source: Address) -> None:
        """An ACK that belongs to nothing may be that of a challenge."""
        if request.to.tag == self._core.stateless_tag(request):
            self._callers.note_received(source.host, request.call_id)

    def _allows_register(self, request: Request, source: Address, size: int, now: float) -> bool:
        """The user's own password, if it has one; from other machines always."""
        name = name_of(request.to.uri)
        if is_loopback(source.host) and self._names.hash_of(name, ALGORITHMS[-1]) is None:
            return True
        if not self._is_proven(self._registrants, 401, "WWW-Authenticate", request, source, size, now):
            return False
        given = self._registrants.credentials(request)
        if given is None or given.username.casefold() != name:
            self._refuse(request, source, size, "registers another name than its own")
            return False
        return True

    def _is_proven(
        self,
        verifier: DigestVerifier,
        status: int,
        challenge: str,
        request: Request,
        source: Address,
        size: int,
        now: float,
    ) -> bool:
        verdict = verifier.verify(request, source.host, now)
        if verdict is Verdict.IGNORED:
            self.limited += 1
        elif verdict is not Verdict.ALLOWED:
            asked = verifier.challenges(source.host, request.call_id, now, stale=verdict is Verdict.STALE)
            fields = [(challenge, value) for value in asked]
            self._core.respond_stateless(request, source, status, size, fields, needed=True)
            if verdict is Verdict.WRONG:
                self._core.report_refusal(request, source, status, "wrong user name or password")
        return verdict is Verdict.ALLOWED

    def _refuse(self, request: Request, source: Address, size: int, why: str) -> None:
        self._core.respond_stateless(request, source, 403, size)
        self._core.report_refusal(request, source, 403, why)

    def _take_credentials_out(self, request: Request) -> None:
        """Those for us are nobody else's business (22.3)."""
        others = [value for value in request.headers.lines("Proxy-Authorization") if not self._is_for_us(value)]
        request.headers.remove("Proxy-Authorization")
        for value in others:
            request.headers.add("Proxy-Authorization", value)

    def _is_for_us(self, value: str) -> bool:
        try:
            return parse_credentials(value).realm == self._realm
        except SipParseError:
            return False

    def _is_awaited(self, data: bytes) -> bool:
        """Whether it is a response to a request of ours, by its branch (17.1.3)."""
        found = _BRANCH.search(data) if data[:4].upper() == b"SIP/" else None
        branch = found[1].decode("utf-8", "surrogateescape") if found is not None else ""
        return bool(branch) and any((branch, method) in self._core.clients for method in METHODS)


def is_loopback(host: str) -> bool:
    """Whether a literal address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
