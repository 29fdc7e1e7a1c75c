"""The network side of one process: the event loop and what it serves."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial

from voip.net.addresses import OwnAddresses
from voip.net.captured import Tap
from voip.net.connections import MAX_INCOMING, MAX_OUTGOING
from voip.net.dns import Resolver
from voip.net.failures import Failures
from voip.net.loop import EventLoop
from voip.net.media import MediaPorts
from voip.net.signalling import SipTransport
from voip.net.sockets import DSCP_EF
from voip.net.tls import Tls, TlsFiles
from voip.net.trace import Trace
from voip.net.worker import ParentLink, SipOfParent
from voip.rtcp import NTP_UNIX_OFFSET
from voip.sip import Address


class Network:
    """Holds the event loop of the network thread, the SIP transport, our own addresses and the media ports."""

    def __init__(
        self,
        *,
        bind: str | None = None,
        public_address: str | None = None,
        media_ports: tuple[int, int] | None = None,
        dscp: int = DSCP_EF,
        tls: TlsFiles | None = None,
        stun: tuple[str, int | None] | None = None,
        say: Callable[[int, str], None] = lambda level, text: None,
        trace: Callable[[str], object] | None = None,
        parent: ParentLink | None = None,
        max_connections: tuple[int, int] = (MAX_INCOMING, MAX_OUTGOING),
        tap: Tap | None = None,
    ) -> None:
        """`bind`: the one local address to use. `public_address`: told to peers, else that which the STUN server `stun`
        (host, port) sees. `media_ports`: first and last. `say` prints a line from a verbosity on; `trace` gets each SIP
        message and RTCP packet as text. `parent` has the SIP sockets, if not we;
        `max_connections` are those opened by peers, and by us; `tap` captures all packets of calls, until the network
        is closed. VoipError for unusable TLS files."""
        self._resolver, contexts, traced = Resolver(), Tls(tls or TlsFiles()), Trace(trace)
        self.failures = Failures(say)
        """Messages, datagrams and events that were dropped because handling them failed."""
        self.loop = EventLoop(guard=self.failures.run)
        known = partial(OwnAddresses, self.loop, self._resolver, self.failures, bind=bind, public=public_address)
        self.addresses = known(stun=stun, say=say, on_change=lambda: self.sip.leave_old_addresses())
        self.tap = tap = tap or Tap()
        own = self.loop, self.addresses, self._resolver
        make = partial(SipTransport, *own, contexts, self.failures, dscp=dscp, say=say, trace=traced, tap=tap)
        self.sip: SipTransport | SipOfParent = (
            SipOfParent(*own, self.failures, parent, say=say) if parent else make(max_connections=max_connections)
        )
        self.media = MediaPorts(*own[:2], self.failures, ports=media_ports, dscp=dscp, trace=traced, say=say, tap=tap)
        self.ntp_offset = time.time() - self.loop.now() + NTP_UNIX_OFFSET
        """Seconds since 1900 at the moment 0 of `loop.now()`, by the wall clock as it was at the start."""

    def find_host(self, name: str, family: socket.AddressFamily, on_found: Callable[[str | None], object]) -> None:
        """Look a host name up on a thread of its own; `on_found` gets the first address of that family, or None, later
        on the network thread."""

        def on_resolved(addresses: list[Address]) -> None:  # the thread of the look-up
            self.loop.post(on_found, addresses[0].host if addresses else None)

        self._resolver.look_up_host(name, (family,), on_resolved)

    def close(self) -> None:
        """Close every SIP socket and the loop, and complete the capture; after the thread has ended."""
        self.sip.close()
        self.loop.close()
        self.tap.close()
