"""SIP in a worker process (RFC 3261 section 18): its messages come and go by the sockets of the parent process.

The parent passes on every message as it came, with its source, and sends what it is given. So peers see one user agent
at one port, which happens to be several processes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from voip.net.addresses import OwnAddresses
from voip.net.dns import Resolver
from voip.net.driver import AgentDriver, Handler
from voip.net.failures import Failures
from voip.net.frames import Frame, FrameStream
from voip.net.loop import EventLoop
from voip.net.signalling import SendFailed
from voip.sip import Address, CallEstablished, UserAgent


@dataclass(frozen=True)
class ParentLink:
    """How a worker reaches its parent, and what it has to know of it: `ports` by protocol, as `SipTransport` opened
    them, `listening` those that peers may connect to. `on_gone` is called when the parent has ended."""

    sock: socket.socket
    ports: Mapping[str, int]
    listening: tuple[str, ...]
    on_gone: Callable[[], object]


class SipOfParent:
    """What `SipTransport` is in a process with sockets of its own. Network thread, but for `listen` and `serve`."""

    def __init__(
        self,
        loop: EventLoop,
        addresses: OwnAddresses,
        resolver: Resolver,
        failures: Failures,
        parent: ParentLink,
        *,
        say: Callable[[int, str], None],
    ) -> None:
        """`say` prints a line from the given verbosity on."""
        families = (socket.AF_INET, socket.AF_INET6)
        self._loop, self._addresses, self._parent = loop, addresses, parent
        self._driver = AgentDriver(loop, resolver, failures, lambda: families, self._send, say)
        self._agent: UserAgent | None = None
        self._handled = self._told = 0
        self._calls: frozenset[str] = frozenset()
        self._acknowledged: list[str] = []
        self._stream = FrameStream(loop, parent.sock, self._take, parent.on_gone)
        loop.add(self)

    def listen(self, port: int) -> int:
        """The parent does: the port of UDP."""
        return self._parent.ports["udp"]

    @property
    def sip_ports(self) -> dict[str, int]:
        """The ports that peers may send to, by protocol."""
        return {protocol: self._parent.ports[protocol] for protocol in self._parent.listening}

    def sip_address(self, remote: Address) -> tuple[str, int]:
        """Host and port of the parent as seen by `remote`, for Via and Contact."""
        return self._addresses.local_host(remote.host), self._parent.ports[remote.protocol]

    def leave_old_addresses(self) -> None:
        """The parent does."""

    def serve(self, agent: UserAgent, handlers: Mapping[type, Handler], drop: Callable[[str], None]) -> None:
        """Drive this user agent; see `SipTransport.serve`."""
        self._agent = agent
        self._driver.serve(agent, {**handlers, CallEstablished: self._note_established(handlers)}, drop)

    def flush(self) -> None:
        """Pass on what the user agent has to send and to tell, and tell the parent which calls there are."""
        self._driver.flush()
        if self._agent is None:
            return
        calls = self._agent.taking_room
        if calls != self._calls or self._handled != self._told:
            begun, ended = sorted(calls - self._calls), sorted(self._calls - calls)
            acknowledged, self._acknowledged = self._acknowledged, []
            self._calls, self._told = calls, self._handled
            self._stream.send(Frame(("state", self._handled, begun, ended, acknowledged)))

    def next_timer(self) -> float | None:
        """When the first timer of the agent is due."""
        return self._driver.next_timer()

    def handle_timer(self, now: float) -> None:
        """Let the agent do what is due."""
        self._driver.handle_timer(now)

    def close(self) -> None:
        """Close the socket; after the thread has ended."""
        self._loop.remove(self)
        self._stream.close()

    def _note_established(self, handlers: Mapping[type, Handler]) -> Handler:
        """The handler of a peer's ACK, who has proved its address by it: the parent, too, limits others more."""
        handle = handlers.get(CallEstablished)

        def note(event: CallEstablished) -> None:
            self._acknowledged.append(event.call_id)
            if handle is not None:
                handle(event)

        return note

    def _send(self, data: bytes, address: Address) -> None:
        name = "" if self._agent is None or address.protocol != "tls" else self._agent.server_name(address)
        self._stream.send(Frame(("message", *address, name), data))

    def _take(self, frames: list[Frame]) -> None:
        for (kind, *fields), body in frames:
            if kind == "message":
                self._handled += 1
                self._driver.receive(body, Address(*fields))
            elif kind == "refused":
                host, port, reason, closed = fields
                self._driver.dispatch(SendFailed(Address("udp", host, port), reason, closed=closed))
            elif self._agent is not None:
                self._note(self._agent, kind, fields)
        self.flush()

    def _note(self, agent: UserAgent, kind: str, fields: list[object]) -> None:
        """What has become of a connection, or of datagrams that nothing can read."""
        now = self._loop.now()
        if kind == "malformed":
            agent.note_malformed(int(str(fields[0])))
            return
        protocol, host, port, *reason = map(str, fields)
        address = Address(protocol, host, int(port))
        if kind == "failed":
            agent.transport_failed(address, now, reason[0])
        else:
            agent.connection_closed(address, now)
