"""Sockets and the thread that serves them: the only package that touches a network.

network       the four parts below, put together
  loop        the event loop of the network thread: knows no protocol
  signalling  SIP over UDP, TCP and TLS, for one user agent
    driver    what drives that, whatever carries its messages
  worker      the same in a worker process, by way of its parent's sockets
    frames    what goes between the two
  addresses   our own addresses: bound, public, on a route, by STUN
  media       media ports, and everything that enters or leaves them
connections   SIP over TCP and TLS: opens, reuses and closes connections
connection    one of them
stream_ports  the TCP ports of those connections
tls           certificates, and TLS between the bytes of a socket and those of its user
stun          the STUN client
failures      containing our own bugs
dns           resolving host names, by the DNS and the system
own           whether a source is this machine
zones         zones of link-local addresses
sockets       UDP and TCP sockets, and why the system refuses one
captured      sockets and connections whose packets are noted
capture       those packets, in their order, on their way to a file (capture_file, pcapng, ip_headers)
masking       secrets in messages, overwritten
"""

from __future__ import annotations

from voip.net.capture import PacketCapture
from voip.net.captured import Tap
from voip.net.dns import host_address
from voip.net.driver import Handler
from voip.net.frames import Frame, FrameStream
from voip.net.media import MediaTransport, OnPacket
from voip.net.network import Network
from voip.net.own import OwnHosts
from voip.net.signalling import SendFailed, SipTransport
from voip.net.sockets import DSCP_EF, family_of, local_address_towards
from voip.net.tls import TlsFiles
from voip.net.worker import ParentLink
from voip.net.zones import find_zone, learn_zone

__all__ = [
    "DSCP_EF",
    "Frame",
    "FrameStream",
    "Handler",
    "MediaTransport",
    "Network",
    "OnPacket",
    "OwnHosts",
    "PacketCapture",
    "ParentLink",
    "SendFailed",
    "SipTransport",
    "Tap",
    "TlsFiles",
    "family_of",
    "find_zone",
    "host_address",
    "learn_zone",
    "local_address_towards",
]
