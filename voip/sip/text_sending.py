"""Texts of ours (MESSAGE, RFC 3428 sections 4 and 8): within a call, and to a peer without one.

To one place one text is under way at a time, the others wait for its response: so a full network slows them down. What
becomes of each is told once, by TextSent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from voip.sip.address import Address
from voip.sip.core import CALL_ID_BITS, Core
from voip.sip.events import TextSent
from voip.sip.leg import GONE, Leg
from voip.sip.message import Response
from voip.sip.methods import ALLOW, SUPPORTED, TEXT
from voip.sip.transaction import ClientTransaction
from voip.sip.uri import NameAddr, SipUri, uri_equal

LONGEST_SENT = 500
"""Bytes of a text: with its header fields, for a proxy and with credentials, too, a MESSAGE outside of a call must not
exceed 1300 (section 8)."""
SHORT_TEXT = 200
"""Bytes of a text below which header fields are added: a peer that asks for a password over UDP does so in no longer
response than the request was."""
MAX_WAITING = 16
"""Texts that wait for one place; more than a person writes within the half minute that one without response takes."""
CONTENT_TYPE = f"{TEXT};charset=utf-8"
TOO_MANY = "too many texts wait for a response"
UNAVAILABLE = 503
"""Another server of the same name may be less busy (RFC 3263 section 4.3)."""


class _Text(NamedTuple):
    text_id: str
    body: bytes


class DialogTexts:
    """The texts of one call, in order. `on_doubt` is called where the peer says that it knows no such dialog: some say
    so of a method that they do not support, so that this alone ends no call."""

    def __init__(self, leg: Leg, on_doubt: Callable[[float], object]) -> None:
        self._leg, self._core, self._on_doubt = leg, leg.core, on_doubt
        self._waiting: deque[_Text] = deque()
        self._current: _Text | None = None
        self._sent: ClientTransaction | None = None

    def send(self, text_id: str, text: str, now: float) -> None:
        """Send it, now or after those before it."""
        if len(self._waiting) >= MAX_WAITING:
            self._tell(text_id, None, TOO_MANY)
            return
        self._waiting.append(_Text(text_id, text.encode("utf-8", "replace")))
        if self._current is None:
            self._send_next(now)

    def stop(self) -> None:
        """The call is over: what waits is not sent."""
        waiting, self._waiting = self._waiting, deque()
        for each in waiting:
            self._tell(each.text_id, None, "the call is over")

    def drop(self) -> None:
        """The call is forgotten: expect no response any more."""
        self.stop()
        if self._current is not None and self._sent is not None:
            self._sent.drop()
            self._tell(self._current.text_id, None, "the call is over")
            self._current = None

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if transaction is not self._sent or response.status < 200:
            return
        again = self._leg.authenticate(transaction, response, source, now)
        if again is not None:
            self._sent = again
            return
        if response.status in GONE and self._leg.live:
            self._on_doubt(now)
        self._finish(response.status, response.reason, now)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is self._sent:
            self._finish(None, transaction.failure or "no response", now)

    def _finish(self, status: int | None, reason: str, now: float) -> None:
        current, self._current = self._current, None
        if current is not None:
            self._tell(current.text_id, status, reason)
        self._send_next(now)

    def _send_next(self, now: float) -> None:
        if not self._waiting:
            return
        self._current = self._waiting.popleft()
        request = self._leg.request("MESSAGE")
        request.headers.add("Content-Type", CONTENT_TYPE)
        request.body = self._current.body
        self._sent = self._core.send(request, self._leg.destination(), self, now)

    def _tell(self, text_id: str, status: int | None, reason: str) -> None:
        self._core.events.append(TextSent(text_id, self._leg.call_id, status, reason))


class Page:
    """One text to a peer without a call, "pager mode" by the RFC; `on_over` is called when its fate is known."""

    def __init__(
        self,
        core: Core,
        target: SipUri,
        text: str,
        *,
        display: str,
        timeout: float,
        on_over: Callable[[Page, float], object],
    ) -> None:
        """`timeout`: seconds without any response until it is given up, all addresses of a name together."""
        self._core, self.target, self._display, self._on_over = core, target, display, on_over
        self._timeout = timeout
        self.text_id = core.token(CALL_ID_BITS)
        self._body, self._tag, self._number = text.encode("utf-8", "replace"), core.token(), 0
        self._destinations: list[Address] = []
        self._sent: ClientTransaction | None = None
        self._over = False

    def start(self, now: float) -> None:
        self._core.resolver.resolve(self._core.next_hop(self.target, "MESSAGE"), now, self._found)

    def _found(self, destinations: Sequence[Address], now: float) -> None:
        if not destinations:
            self.finish(None, f"cannot find the host {self.target.host}", now)
            return
        for destination in destinations:
            self._core.digest_client.allow(self.text_id, destination.host)
        self._destinations = list(destinations)
        self._timeout /= len(self._destinations)
        self._try_first(now)

    def _try_first(self, now: float) -> None:
        destination = self._destinations[0]
        self._number += not self._number
        sender = NameAddr(self._core.identity.caller_uri(destination), self._display, {"tag": self._tag})
        self._sent = self._core.request(
            "MESSAGE",
            self.target,
            destination,
            self,
            now,
            sender=str(sender),
            recipient=f"<{self.target}>",
            call_id=self.text_id,
            number=self._number,
            fields=[ALLOW, SUPPORTED] if len(self._body) < SHORT_TEXT else (),
            body=self._body,
            content_type=CONTENT_TYPE,
        )
        self._await_response(now)

    def _await_response(self, now: float) -> None:
        self._core.timers.set(self, "silent", now + self._timeout, self._give_up)

    def _give_up(self, now: float) -> None:
        if self._sent is not None:
            self._sent.drop()
            self.on_no_response(self._sent, now)

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if transaction is not self._sent:
            return
        self._core.timers.clear(self, "silent")
        if response.status < 200:
            return
        again = self._core.authenticate(transaction, response, source, self._next_number, now)
        if again is not None:
            self._sent = again
            self._await_response(now)
        elif response.status != UNAVAILABLE or not self._try_next(now):
            self.finish(response.status, response.reason, now)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is self._sent and not self._try_next(now):
            self.finish(None, transaction.failure or "no response", now)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _try_next(self, now: float) -> bool:
        """Go on to the next address of the same name, with the same number; False where there is none."""
        if len(self._destinations) < 2:
            return False
        self._destinations.pop(0)
        self._try_first(now)
        return True

    def finish(self, status: int | None, reason: str, now: float) -> None:
        """This is what has become of it."""
        if self._over:
            return
        self._over = True
        self._core.timers.clear_all(self)
        self._core.digest_client.forget(self.text_id)
        self._core.events.append(TextSent(self.text_id, "", status, reason))
        self._on_over(self, now)


class Pages:
    """Texts to peers without a call: to one URI one at a time (section 8)."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._pages: list[Page] = []

    def send(self, target: SipUri, text: str, now: float, *, display: str, timeout: float) -> str:
        """Send it, now or after those to the same place; its id."""
        page = Page(self._core, target, text, display=display, timeout=timeout, on_over=self._on_over)
        before = [other for other in self._pages if uri_equal(other.target, target)]
        self._pages.append(page)
        if len(before) > MAX_WAITING:
            page.finish(None, TOO_MANY, now)
        elif not before:
            page.start(now)
        return page.text_id

    def _on_over(self, page: Page, now: float) -> None:
        self._pages.remove(page)
        following = next((other for other in self._pages if uri_equal(other.target, page.target)), None)
        if following is not None:
            following.start(now)
