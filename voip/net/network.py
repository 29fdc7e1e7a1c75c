"""Everything of the network that one process has, put together."""

from __future__ import annotations

import time
from collections.abc import Callable

from voip.net.addresses import OwnAddresses
from voip.net.connections import MOST_INCOMING
from voip.net.loop import EventLoop
from voip.net.media import MediaPorts
from voip.net.names import Names
from voip.net.signalling import SipTransport
from voip.net.sockets import DSCP_EF
from voip.net.tls import Tls, TlsFiles
from voip.rtcp import NTP_UNIX_OFFSET


class Network:
    """The loop of the network thread, and what it serves: SIP, our own addresses, media ports."""

    def __init__(
        self,
        *,
        bind: str | None = None,
        public_address: str | None = None,
        media_ports: tuple[int, int] | None = None,
        dscp: int = DSCP_EF,
        tls: TlsFiles | None = None,
        stun: tuple[str, int | None] | None = None,
        most_connections: int = MOST_INCOMING,
        say: Callable[[int, str], None] = lambda level, text: None,
    ) -> None:
        """`stun`: host and port of a server that tells our public address. `most_connections`: that others may have
        open to us. `say` tells the user something, from this verbosity on. VoipError for unusable TLS files."""
        contexts, names = Tls(tls or TlsFiles()), Names()
        self.loop = EventLoop()
        self.addresses = OwnAddresses(
            self.loop,
            names,
            bind=bind,
            public=public_address,
            stun=stun,
            say=say,
            on_change=lambda: self.sip.leave_old_addresses(),
        )
        self.sip = SipTransport(
            self.loop, self.addresses, names, contexts, dscp=dscp, most_incoming=most_connections, say=say
        )
        self.media = MediaPorts(self.loop, self.addresses, ports=media_ports, dscp=dscp)
        self.ntp_offset = time.time() - self.loop.now() + NTP_UNIX_OFFSET
        """Seconds since 1900 at the moment 0 of `loop.now()`, by the wall clock as it was at the start."""

    def close(self) -> None:
        """Close every SIP socket and the loop; after the thread has ended."""
        self.sip.close()
        self.loop.close()
