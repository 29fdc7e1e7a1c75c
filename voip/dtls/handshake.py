"""One association and one address: what is sent to it, and sent again (RFC 6347 section 4.2.4)."""

from __future__ import annotations

from voip.dtls.association import MTU, Association
from voip.dtls.records import pack
from voip.srtp.association import Role

Address = tuple[str, int]

COPY_AFTER = 0.25
"""Seconds until a flight is sent again as it was; twice that until the next time. OpenSSL itself waits for a second,
which a call would hear. To the peer it is as if the network had doubled a datagram: records that have come before are
dropped by their sequence numbers (RFC 6347 section 4.1.2.6)."""
COPIES = 6
"""Copies of one flight at most: OpenSSL does not repeat the last flight of all by itself."""
HELLO_COPIES = 3
"""The same of a ClientHello to an address that has not responded yet."""
MIN_WAIT = 0.01
"""Seconds between two questions to OpenSSL, whose clock is not ours."""


class Handshake:
    """Puts the records of an association into datagrams for `remote`, and repeats those that may be lost.

    `random` is what the ClientHello that began it holds, as the server: another one begins another association.
    """

    def __init__(self, association: Association, remote: Address, random: bytes = b"") -> None:
        self.association, self.remote, self.random = association, remote, random
        self._proved = association.role is Role.SERVER
        self._flight: list[bytes] = []
        self._copies = 0
        self._copy_at: float | None = None
        self._library_at: float | None = None

    def receive(self, record: bytes) -> None:
        """One whole record of the peer. HandshakeFailed."""
        self._proved = True
        self.association.receive(record)

    def collect(self, now: float) -> list[bytes]:
        """The datagrams that are to be sent now; after every step of the association."""
        datagrams = pack(list(self.association.records_to_send()), MTU)
        if datagrams:
            self._flight, self._copies, self._copy_at = datagrams, 0, now + COPY_AFTER
        elif self._is_answered:
            self._copy_at = None
        self._ask_library(now)
        return datagrams

    def once(self) -> list[bytes]:
        """The datagrams of application data, which are no flight."""
        return pack(list(self.association.records_to_send()), MTU)

    @property
    def _is_answered(self) -> bool:
        """The peer has shown that our last flight has come: only the server sends the very last one."""
        return self.association.established and self.association.role is Role.CLIENT

    def close(self) -> list[bytes]:
        """The last datagrams: the peer is told that it is over."""
        self.association.shut_down()
        self._copy_at = self._library_at = None
        return pack(list(self.association.records_to_send()), MTU)

    def next_timer(self) -> float | None:
        """When something may have to be sent again."""
        return min((at for at in (self._copy_at, self._library_at) if at is not None), default=None)

    def handle_timer(self, now: float) -> list[bytes]:
        """The datagrams that are sent again now. HandshakeFailed if OpenSSL gives up."""
        datagrams: list[bytes] = []
        if self._copy_at is not None and self._copy_at <= now:
            datagrams += self._flight
            self._copies += 1
            self._copy_at = now + COPY_AFTER * 2**self._copies if self._copies < self._most_copies else None
        if self._library_at is not None and self._library_at <= now:
            self.association.handle_timeout()
            datagrams += pack(list(self.association.records_to_send()), MTU)
            self._ask_library(now)
        return datagrams

    @property
    def _most_copies(self) -> int:
        return COPIES if self._proved else HELLO_COPIES

    def _ask_library(self, now: float) -> None:
        timeout = self.association.library_timeout()
        self._library_at = None if timeout is None else now + max(timeout, MIN_WAIT)
