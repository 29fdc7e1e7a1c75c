"""RTP (RFC 3550): packets, their numbers, and what arrived of a stream.

packet      RtpPacket to and from bytes; `unwrap` for numbers that wrap, `is_rtcp` (RFC 5761)
packetizer  sequence numbers and timestamps of a stream that we send
reception   ReceptionStats: extended numbers, loss, jitter of a stream that we receive

Payload formats are in `voip.codecs`; `voip.session` decides which packets of a port belong to the call.
"""

from voip.rtp.packet import HEADER_BYTES, MAX_DATAGRAM, RtpPacket, is_rtcp, unwrap
from voip.rtp.packetizer import Packetizer
from voip.rtp.reception import MAX_DROPOUT, MAX_MISORDER, MAX_REPAIR_REACH, RECEIPT_THINNING, ReceptionStats

__all__ = [
    "HEADER_BYTES",
    "MAX_DATAGRAM",
    "MAX_DROPOUT",
    "MAX_MISORDER",
    "MAX_REPAIR_REACH",
    "RECEIPT_THINNING",
    "Packetizer",
    "ReceptionStats",
    "RtpPacket",
    "is_rtcp",
    "unwrap",
]
