"""ICE in a call (RFC 8445): the checks that come to its media port, and what follows for its media.

RFC 7675: where the peer's checks stop, nothing more is sent to it until they come again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voip.media import IceTerms
from voip.net import MediaTransport
from voip.net.loop import EventLoop
from voip.session import Address, IceLite, RtpSession
from voip.session.ice import CONSENT
from voip.stun import is_request


@dataclass(frozen=True)
class IceListeners:
    """Who is told: that media goes to another address of the peer; and, for people, what has happened."""

    on_selected: Callable[[Address], object]
    say: Callable[[int, str], object]


class LineIce:
    """The ICE side of one media line. Network thread only; a participant of the event loop until it is closed."""

    def __init__(self, session: RtpSession, loop: EventLoop, listeners: IceListeners) -> None:
        self._session, self._loop, self._listeners = session, loop, listeners
        self._agent: IceLite | None = None
        self._transport: MediaTransport | None = None

    def agree(self, terms: IceTerms | None, transport: MediaTransport) -> None:
        """Offer and answer say this of the line on that port; None: it is not, or no longer, of ICE."""
        if terms is None:
            self._leave()
            return
        if self._agent is None:
            self._agent = IceLite(terms)
            self._loop.add(self)
        self._agent.update(terms)
        if transport is not self._transport:
            self._transport = transport
            transport.respond(self._receive)

    @property
    def selected(self) -> Address | None:
        """The peer's end of the pair in use."""
        return None if self._agent is None else self._agent.selected

    def close(self) -> None:
        """The call is over. Idempotent."""
        agent = self._agent
        if agent is not None:
            counts = f"{agent.accepted} accepted, {agent.refused} refused, {agent.excess} too many"
            self._listeners.say(1, f"ICE checks: {counts}, {agent.replayed} replayed")
        self._leave()

    # --- the event loop -------------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When the peer's consent ends."""
        return None if self._agent is None else self._agent.next_timer()

    def handle_timer(self, now: float) -> None:
        if self._agent is not None and self._agent.handle_timer(now):
            self._session.select(None, now)
            self._listeners.say(0, f"no ICE check of the peer for {CONSENT:g} s: nothing is sent until one comes")

    def flush(self) -> None:
        """Nothing to do: datagrams are sent at once."""

    # --- inside ---------------------------------------------------------------------------------------------------

    def _receive(self, data: bytes, source: Address) -> bool:
        """A STUN message; False if it is none of ours."""
        agent, transport = self._agent, self._transport
        if agent is None or transport is None or not is_request(data):
            return False
        before, accepted, now = agent.selected, agent.accepted, self._loop.now()
        response = agent.receive(data, source, now)
        if response is not None:
            transport.send_response(response, source)
        if agent.selected is not None and agent.accepted != accepted:
            self._session.select(agent.selected, now)
        if agent.selected is not None and agent.selected != before:
            self._listeners.say(1, f"ICE: media goes to {agent.selected[0]} port {agent.selected[1]}")
            self._listeners.on_selected(agent.selected)
        return True

    def _leave(self) -> None:
        if self._agent is not None:
            self._agent = None
            self._loop.remove(self)
