"""Sockets and the thread that serves them: the only module that touches a network.

sockets     names, addresses, UDP sockets, and why the system refuses one
media       the port pair of a call
names       host names, by the DNS and the system
loop        the network thread: sockets and timers, driving the user agent and the RTP sessions
"""

from __future__ import annotations

from voip.net.loop import Handler, Network, OnPacket
from voip.net.media import MediaPort
from voip.net.sockets import DSCP_EF, NetworkError, family_of, local_address_towards

__all__ = [
    "DSCP_EF",
    "Handler",
    "MediaPort",
    "Network",
    "NetworkError",
    "OnPacket",
    "family_of",
    "local_address_towards",
]
