"""Sockets and the thread that serves them: the only module that touches a network.

sockets     names, addresses, UDP sockets, and why the system refuses one
tls         certificates, and TLS between the bytes of a socket and those of its user
connections TCP and TLS: opened, kept, closed; stream_ports: the ports that they use
stun        the public addresses of our sockets
zones       which link a neighbour is on
names       host names, by the DNS and the system
loop        the event loop of the network thread: knows no protocol
addresses   what peers are told of where we are
signalling  SIP messages between the sockets and the user agent
media       the port pair of a call, and all that passes it
network     all of them together
"""

from __future__ import annotations

from voip.net.media import MediaTransport, OnPacket
from voip.net.names import host_address
from voip.net.network import Network
from voip.net.signalling import Handler, SendFailed
from voip.net.sockets import DSCP_EF, family_of, local_address_towards
from voip.net.tls import TlsFiles
from voip.net.zones import find_zone, learn_zone

__all__ = [
    "DSCP_EF",
    "Handler",
    "MediaTransport",
    "Network",
    "OnPacket",
    "SendFailed",
    "TlsFiles",
    "family_of",
    "find_zone",
    "host_address",
    "learn_zone",
    "local_address_towards",
]
