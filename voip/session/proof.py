"""Which addresses have shown that they want our packets: nothing else gets more than a few bytes of them.

A description can name any address, and whoever sends it can forge its own: without this, one small INVITE would have a
stream sent to anyone (amplification).
"""

from __future__ import annotations

from voip.session.addresses import Address, canonical

UNPROVEN_KEEP_ALIVES = 5
"""Keep-alives that a call may send to addresses that have proved nothing: they open our own NAT for the peer's media.
Together they are shorter than the shortest INVITE that is answered."""


class AddressProof:
    """The hosts that media, RTCP and keep-alives may go to.

    A host has proved itself when RTP or RTCP came from it as the peer's, or when signalling did that only its owner can
    send: the ACK, which has the tag of our response. `withheld` counts datagrams that were not sent.

    Threads: `allows` and `withhold` are for the thread that sends media too.
    """

    def __init__(self, *, needed: bool) -> None:
        """`needed`: False for a peer that the user chose."""
        self.withheld = 0
        self._needed = needed
        self._hosts: frozenset[str] = frozenset()
        self._keep_alives_left = UNPROVEN_KEEP_ALIVES

    def add(self, host: str) -> None:
        """This host has proved itself."""
        if self._needed and (known := canonical((host, 0))[0]) not in self._hosts:
            self._hosts |= {known}

    def allows(self, address: Address) -> bool:
        """Whether what is asked for may go there."""
        return not self._needed or canonical(address)[0] in self._hosts

    def withhold(self) -> None:
        """A datagram is not sent."""
        self.withheld += 1

    def take_keep_alive(self, address: Address) -> bool:
        """Whether a keep-alive may go there; each to an unproven address is one of few."""
        if self.allows(address):
            return True
        if not self._keep_alives_left:
            self.withhold()
            return False
        self._keep_alives_left -= 1
        return True
