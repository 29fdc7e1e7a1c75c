"""The response context of a stateful proxy: one request, forwarded to one target or to several at a time, and the
response that its sender gets (RFC 3261 sections 16.6 to 16.10).

Targets of one preference are tried in parallel, those of a lower one after them. Each 2xx to an INVITE goes back at
once, of the other final responses the best, when all have come; whatever still rings then is cancelled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from voip.sip.address import Address
from voip.sip.core import Core
from voip.sip.message import Headers, Request, Response
from voip.sip.timers import GIVE_UP
from voip.sip.transaction import ClientTransaction, ServerTransaction
from voip.sip.uri import SipUri

TIMER_C = 200.0
"""Seconds without a final response, or another 1xx, after which an INVITE is given up (16.6, step 11: more than three
minutes)."""
PREFERRED = (401, 407, 415, 420, 484)
"""Of the 4xx: those that say what the sender should do otherwise (16.7, step 6)."""
UNWANTED = (408, 480, 487)
"""Of the 4xx: those that say least."""
TIMED_OUT, CANCELLED, UNREACHABLE, INTERNAL_ERROR, UNAVAILABLE = 408, 487, 503, 500, 503
CHALLENGES = ("WWW-Authenticate", "Proxy-Authenticate")


class Target(NamedTuple):
    """Where a request is forwarded to: the new Request-URI, and the addresses to try (none: the URI is resolved)."""

    uri: SipUri
    addresses: Sequence[Address] = ()


MakeCopy = Callable[[Target, Address], Request]
"""The copy of the request for that target, as it is sent to that address."""
OnResponse = Callable[["ResponseContext", Response, "Address | None"], object]
"""Is told of each response that goes back, and which address it is from; None: it is our choice among several, or our
own."""


@dataclass(eq=False)
class Branch:
    """One target: its client transaction once there is one, and what has come of it."""

    target: Target
    left: list[Address] = field(default_factory=list)
    """Addresses to try when this one fails."""
    client: ClientTransaction | None = None
    heard: bool = False
    """There was a provisional response, so that it can be cancelled (9.1)."""
    cancelled: bool = False
    final: Response | None = None


class ResponseContext:
    """Owns the client transactions of one request. `groups`: targets to try, those of each group in parallel."""

    def __init__(
        self,
        core: Core,
        transaction: ServerTransaction,
        groups: Sequence[Sequence[Target]],
        make_copy: MakeCopy,
        on_response: OnResponse = lambda context, response, address: None,
    ) -> None:
        self.transaction = transaction
        self._core, self._make_copy, self._tell_of = core, make_copy, on_response
        self._groups = deque(groups)
        self._branches: list[Branch] = []
        self._cancelled = False
        """The sender has cancelled, or a target has declined for all of them: no more targets are tried."""

    @property
    def is_invite(self) -> bool:
        return self.transaction.request.method == "INVITE"

    @property
    def pending(self) -> bool:
        """Whether responses of targets are waited for."""
        return any(branch.final is None for branch in self._branches)

    def start(self, now: float) -> None:
        """Forward the request to the first group."""
        self._start_group(now)

    def cancel(self, now: float) -> None:
        """The sender has cancelled (16.10): so are all that have not responded."""
        self._cancelled = True
        self._cancel_pending(now)

    # --- responses ------------------------------------------------------------------------------------------------

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        branch = self._branch_of(transaction)
        if branch is None:
            return  # of a CANCEL
        if response.status < 200:
            self._on_provisional(branch, response, now)
        elif response.status < 300:
            self._on_2xx(branch, response, now)
        else:
            self._on_refused(branch, response, now)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        branch = self._branch_of(transaction)
        if branch is None or branch.final is not None:
            return
        if transaction.failure and branch.left and not self._cancelled:
            self._try_next(branch, now)
        else:
            self._fail(branch, UNREACHABLE if transaction.failure else TIMED_OUT, now)

    def _on_provisional(self, branch: Branch, response: Response, now: float) -> None:
        branch.heard = True
        if branch.cancelled:
            self._send_cancel(branch, now)
        elif self.is_invite:
            self._core.timers.set(branch, "C", now + TIMER_C, lambda now: self._on_timer_c(branch, now))
        if response.status > 100 and self.is_invite:  # to others 1xx are of no use (RFC 4320 section 4.1)
            self.transaction.respond(self._upstream(response), now)
            self._tell_of(self, response, None)

    def _on_2xx(self, branch: Branch, response: Response, now: float) -> None:
        """Each goes back at once, repetitions too, as it is for the sender to acknowledge them (16.7, step 5)."""
        self._finish(branch, response)
        self._groups.clear()
        back = self._upstream(response)
        if not self.transaction.answered:
            self.transaction.respond(back, now)
        elif self.is_invite:
            self._core.wire.send(back.serialize(), self.transaction.reply_to)
        if branch.client is not None:
            self._tell_of(self, response, branch.client.destination)
        self._cancel_pending(now)

    def _on_refused(self, branch: Branch, response: Response, now: float) -> None:
        if branch.final is not None:
            return
        self._finish(branch, response)
        if response.status >= 600:
            self._cancelled = True
            self._cancel_pending(now)
        self._go_on(now)

    def _fail(self, branch: Branch, status: int, now: float) -> None:
        """As if the target had responded so (16.8, 16.9)."""
        if branch.final is None:
            self._on_refused(branch, self.transaction.request.response(status, None, self._core.token()), now)

    def _go_on(self, now: float) -> None:
        """When all of a group have refused: the next group, or the best response."""
        if self.pending or self.transaction.answered:
            return
        if self._groups and not self._cancelled:
            self._start_group(now)
            return
        best = self._best()
        if best.status == TIMED_OUT and not self.is_invite:
            self.transaction.drop()  # its sender has given up by now (RFC 4320 section 4.2)
        else:
            self.transaction.respond(best, now)
            self._tell_of(self, best, None)

    def _best(self) -> Response:
        """16.7, steps 6 and 7."""
        finals = [branch.final for branch in self._branches if branch.final is not None]
        best = min(finals, key=_rank)
        if best.status == UNAVAILABLE:  # of one target: others may be there
            return self.transaction.request.response(INTERNAL_ERROR, "Not Reachable", self._core.token())
        chosen = self._upstream(best)
        if best.status in (401, 407):
            for other in finals:
                for name in CHALLENGES if other is not best and other.status in (401, 407) else ():
                    for value in other.headers.lines(name):
                        chosen.headers.add(name, value)
        return chosen

    def _upstream(self, response: Response) -> Response:
        """The response without our Via (16.7, step 3): those below it are as they came with the request, whatever the
        target has made of them."""
        headers = Headers([("Via", value) for value in self.transaction.request.headers.lines("Via")])
        for name, value in response.headers:
            if name != "Via":
                headers.add(name, value)
        return Response(response.status, response.reason, headers, response.body)

    # --- branches -------------------------------------------------------------------------------------------------

    def _start_group(self, now: float) -> None:
        group = [Branch(target) for target in self._groups.popleft()]
        self._branches += group
        for branch in group:
            if branch.target.addresses:
                self._found(branch, branch.target.addresses, now)
            else:
                self._core.resolver.resolve(branch.target.uri, now, partial(self._found, branch))

    def _found(self, branch: Branch, addresses: Sequence[Address], now: float) -> None:
        """It is known where the target is."""
        branch.left = list(addresses)
        if branch.final is None:
            self._try_next(branch, now)

    def _try_next(self, branch: Branch, now: float) -> None:
        if branch.cancelled:
            self._fail(branch, CANCELLED, now)
        elif not branch.left:
            self._fail(branch, UNREACHABLE, now)
        else:
            address = branch.left.pop(0)
            branch.client = self._core.forward(self._make_copy(branch.target, address), address, self, now)

    def _branch_of(self, transaction: ClientTransaction) -> Branch | None:
        return next((branch for branch in self._branches if branch.client is transaction), None)

    def _finish(self, branch: Branch, response: Response) -> None:
        branch.final = branch.final or response
        self._core.timers.clear_all(branch)

    # --- giving up ------------------------------------------------------------------------------------------------

    def _cancel_pending(self, now: float) -> None:
        """16.7, step 10."""
        for branch in self._branches:
            if branch.final is not None or branch.cancelled:
                continue
            branch.cancelled = True
            if branch.client is None:
                self._fail(branch, CANCELLED, now)
            elif branch.heard:
                self._send_cancel(branch, now)

    def _on_timer_c(self, branch: Branch, now: float) -> None:
        if branch.final is None and not branch.cancelled:
            branch.cancelled = True
            self._send_cancel(branch, now)

    def _send_cancel(self, branch: Branch, now: float) -> None:
        """Once (9.1). A target that does not end the INVITE even so is given up."""
        client = branch.client
        if not self.is_invite or client is None or client.answered or (cancel_key(client) in self._core.clients):
            return
        self._core.forward(cancel_of(client.request), client.destination, self, now)
        self._core.timers.set(branch, "C", now + GIVE_UP, lambda now: self._give_up(branch, now))

    def _give_up(self, branch: Branch, now: float) -> None:
        if branch.client is not None:
            branch.client.drop()
        self._fail(branch, CANCELLED, now)


def cancel_key(client: ClientTransaction) -> tuple[str, str]:
    """The key of the transaction of a CANCEL of this INVITE."""
    return client.key[0], "CANCEL"


def cancel_of(invite: Request) -> Request:
    """The CANCEL of a request that was sent (9.1)."""
    old = invite.headers
    headers = Headers([("Via", str(invite.via[0])), ("Max-Forwards", "70")])
    for name in ("Route", "From", "To", "Call-ID"):
        for value in old.lines(name):
            headers.add(name, value)
    headers.add("CSeq", f"{invite.cseq.number} CANCEL")
    return Request("CANCEL", invite.uri, headers)


def _rank(response: Response) -> tuple[int, int]:
    """The least is the best: 6xx, else the lowest class; in it what helps the sender most."""
    status = response.status
    kind = 0 if status >= 600 else status // 100
    if status in PREFERRED:
        return kind, 0
    return kind, 2 if status in UNWANTED or status == UNAVAILABLE else 1
