"""What drives a SIP element, whatever carries its messages (RFC 3261 section 18): its timers, events and look-ups."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from voip.net.dns import Resolver, missing_records
from voip.net.element import SipElement
from voip.net.failures import Failures
from voip.net.loop import EventLoop
from voip.sip import Address, ResolveUri

Handler = Callable[[Any], None]
"""Takes the events of one type."""


class AgentDriver:
    """Passes on events and messages of a user agent, on the network thread; `send` carries a message.

    Before `serve` there is no agent, and nothing happens.
    """

    def __init__(
        self,
        loop: EventLoop,
        resolver: Resolver,
        failures: Failures,
        families: Callable[[], Sequence[socket.AddressFamily]],
        send: Callable[[bytes, Address], object],
        say: Callable[[int, str], None],
    ) -> None:
        """`families` are those of the addresses that can be sent to; `say` prints a line from a verbosity on."""
        self._loop, self._resolver, self._failures, self._families = loop, resolver, failures, families
        self._carry, self._say, self._warned = send, say, False
        self.agent: SipElement | None = None
        self._handlers: Mapping[type, Handler] = {}
        self._drop: Callable[[str], None] = lambda call_id: None

    @property
    def protocols(self) -> Sequence[str]:
        """The transport protocols that we support, by preference."""
        return ("udp", "tcp", "tls")

    def serve(self, agent: SipElement, handlers: Mapping[type, Handler], drop: Callable[[str], None]) -> None:
        """Drive this agent: its events go to the handler of their type. `drop` ends the call (Call-ID) of an event
        whose handler has failed."""
        self.agent, self._handlers, self._drop = agent, {ResolveUri: self._look_up, **handlers}, drop

    def receive(self, data: bytes, source: Address) -> None:
        """A message has come."""
        if self.agent is None:
            return
        try:
            self.agent.receive(data, source, self._loop.now())
        except Exception as error:
            self._failures.note(f"a SIP message from {source.host}", error)
        self.flush()

    def flush(self) -> None:
        """Pass on the events and messages of the user agent until it has neither."""
        if self.agent is None:
            return
        while True:
            messages = self.agent.messages_to_send(self._loop.now())
            for data, address in messages:
                self._carry(data, address)
            event = self.agent.next_event()
            if event is not None:
                self.dispatch(event)
            elif not messages:
                return

    def next_timer(self) -> float | None:
        """When the first timer of the agent is due."""
        return None if self.agent is None else self.agent.next_timer()

    def handle_timer(self, now: float) -> None:
        """Let the agent do what is due."""
        due = self.next_timer()
        if self.agent is not None and due is not None and due <= now:
            self.agent.handle_timer(now)

    def dispatch(self, event: object) -> None:
        """Give an event to its handler."""
        handler = self._handlers.get(type(event))
        if handler is None:
            return
        try:
            handler(event)
        except Exception as error:
            self._failures.note(f"a call ({type(event).__name__})", error)
            if call_id := getattr(event, "call_id", None):
                self._drop_call(call_id)

    def _drop_call(self, call_id: str) -> None:
        try:
            self._drop(call_id)
        except Exception as error:
            self._failures.note("the rest of a call", error)

    def _look_up(self, event: ResolveUri) -> None:
        """Resolve a URI for the user agent, on a thread that may block."""

        if not self._warned and (note := missing_records()) is not None:
            self._warned = True
            self._say(1, note)

        def on_resolved(addresses: list[Address]) -> None:  # the thread of the look-up
            self._loop.post(self._hand_over_addresses, event, addresses)

        self._resolver.look_up(event.uri, self.protocols, self._families(), on_resolved)

    def _hand_over_addresses(self, event: ResolveUri, addresses: list[Address]) -> None:
        if self.agent is None:
            return
        try:
            self.agent.resolved(event.uri, addresses, self._loop.now())
        except Exception as error:
            self._failures.note(f"the DNS result for {event.uri.host}", error)
