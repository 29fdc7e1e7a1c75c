"""An exchange that calls a receiver of several processes: the addresses of both, and what it offers."""

from __future__ import annotations

from voip.sip import Address

PBX, OURS = Address("udp", "10.0.0.1", 5060), Address("udp", "10.0.0.9", 5060)
SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0\r\n"
