"""Sockets and the thread that serves them: the only module that touches a network.

sockets     names, addresses, UDP sockets, and why the system refuses one
tls         certificates, and TLS between the bytes of a socket and those of its user
connections TCP and TLS: opened, kept, closed
media       the port pair of a call
stun        the public addresses of our sockets
zones       which link a neighbour is on
names       host names, by the DNS and the system
loop        the network thread: sockets and timers, driving the user agent and the RTP sessions
"""

from __future__ import annotations

from voip.net.loop import Handler, Network, OnPacket
from voip.net.media import MediaPort
from voip.net.names import host_address
from voip.net.sockets import DSCP_EF, family_of, local_address_towards
from voip.net.tls import TlsFiles
from voip.net.zones import find_zone, learn_zone

__all__ = [
    "DSCP_EF",
    "Handler",
    "MediaPort",
    "Network",
    "OnPacket",
    "TlsFiles",
    "family_of",
    "find_zone",
    "host_address",
    "learn_zone",
    "local_address_towards",
]
