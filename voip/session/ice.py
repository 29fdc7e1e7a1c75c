"""The lite side of ICE on one media port (RFC 8445 sections 2.5, 7.3 and 8.2): checks and time in, responses out.

A lite agent has one candidate and sends no checks: it responds to those of its peer, which is the controlling agent and
nominates the pair that media uses. Its checks are the consent to our media too: without one for a while, none is sent
(RFC 7675 section 5.1).

What comes from an address that has shown no password costs a look at its user name, at a limited rate an HMAC, and gets
no response.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict

from voip.errors import ProtocolError
from voip.media import IceTerms
from voip.session.addresses import Address, canonical
from voip.session.rate import Allowance
from voip.stun import StunRequest, error_response, parse_request, success_response

CONSENT = 30.0
"""Seconds without a check on the selected pair after which the peer no longer consents (RFC 7675 section 5.1)."""
SUPERSEDED_AFTER = 1.0
"""Seconds without a nomination of the selected pair after which one of lower priority takes its place: the peer has
changed its network. A peer that nominates all pairs (RFC 5245 section 8.1.1.2) means the best."""
CHECK_RATE, CHECK_BURST = 50.0, 100.0
"""Checks in a second, and at once, whose HMAC is computed for addresses that have shown the password, and as many for
all others together. An agent begins one each 50 ms (RFC 8445 section 14.2)."""
MAX_PAIRS = 32
"""Addresses of the peer that are kept: it has some candidates for each of its networks."""
REMEMBERED = 4096
"""Checks that are remembered, so that a copy from another address does not count: more than half an hour of a busy
peer."""


class IceLite:
    """The checks of one peer. `selected` is the peer's end of the nominated pair, None before, and after its consent.

    Counters: `accepted` checks; `refused` were malformed or had other credentials, `excess` came faster than is looked
    at, `replayed` are copies from another address.
    """

    def __init__(self, terms: IceTerms) -> None:
        self.accepted = self.refused = self.excess = self.replayed = 0
        self.selected: Address | None = None
        self._terms = terms
        self._pairs: OrderedDict[Address, float] = OrderedDict()  # when each was checked last, the oldest first
        self._seen: OrderedDict[bytes, Address] = OrderedDict()
        self._priority = 0
        self._nominated_at = self._consent_at = float("-inf")
        self._known = Allowance(CHECK_RATE, CHECK_BURST)
        self._others = Allowance(CHECK_RATE, CHECK_BURST)

    def update(self, terms: IceTerms) -> None:
        """What was agreed on anew. Other credentials are a restart: media goes on by the pair that there is until
        another one is nominated (RFC 8445 section 9)."""
        if terms.own != self._terms.own:
            self._pairs.clear()
            self._seen.clear()
            self._nominated_at = float("-inf")
        self._terms = terms

    def receive(self, data: bytes, source: Address, now: float) -> bytes | None:
        """A Binding request: the response to it, or None for none."""
        source = canonical(source)
        try:
            request = parse_request(data)
        except ProtocolError:
            self.refused += 1
            return None
        own = self._terms.own
        named = f"{own.fragment}:{self._terms.remote.fragment}"
        if not hmac.compare_digest(request.username.encode(), named.encode()):
            self.refused += 1
            return None
        if not (self._known if source in self._pairs else self._others).take(now):
            self.excess += 1
            return None
        if not request.is_authentic(own.password):
            self.refused += 1
            return None
        if self._is_replay(request, source):
            return None
        if request.unknown:
            return error_response(
                request.transaction_id, 420, "Unknown Attribute", own.password, unknown=request.unknown
            )
        if request.controlled:  # section 7.3.1.1: a full agent controls a lite one
            return error_response(request.transaction_id, 487, "Role Conflict", own.password)
        self._accept(request, source, now)
        return success_response(request.transaction_id, source, own.password)

    def next_timer(self) -> float | None:
        """When the consent ends unless another check comes."""
        return None if self.selected is None else self._consent_at + CONSENT

    def handle_timer(self, now: float) -> bool:
        """Whether the consent has ended just now: nothing must be sent until the peer nominates a pair again."""
        if self.selected is None or now < self._consent_at + CONSENT:
            return False
        self.selected = None
        return True

    def _is_replay(self, request: StunRequest, source: Address) -> bool:
        """Whether the same check came from another address: whoever can read it would get our media."""
        before = self._seen.setdefault(request.transaction_id, source)
        if before != source:
            self.replayed += 1
            return True
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False

    def _accept(self, request: StunRequest, source: Address, now: float) -> None:
        self.accepted += 1
        self._pairs[source] = now
        self._pairs.move_to_end(source)
        while len(self._pairs) > MAX_PAIRS:
            self._pairs.popitem(last=False)
        if request.nominates:
            self._nominate(request.priority or 0, source, now)
        if source == self.selected:
            self._consent_at = now

    def _nominate(self, priority: int, source: Address, now: float) -> None:
        holds = self.selected is not None and now - self._nominated_at < SUPERSEDED_AFTER
        if source != self.selected and holds and priority < self._priority:
            return
        self.selected, self._priority, self._nominated_at = source, priority, now
