"""One media port: which datagrams belong to the call, and its RTCP (RFC 3550 section 5 and A.1, RFC 4961, RFC 5761).

session     RtpSession: the order of the checks, counters, RTCP, keep-alive packets
latch       SourceLatch: which address the peer's media comes from (symmetric RTP)
validation  StreamValidator: payload type, SSRC and sequence number of what that address sends
run         packets in sequence that wait for confirmation

The order of the checks is the order of their cost and of trust: length, source address, RTP or RTCP, version and
payload type, SSRC, sequence number.
"""

from voip.session.latch import LATCH_HELD, Address
from voip.session.session import MAX_RECEIVED_BYTES, MIN_RECEIVED_BYTES, RtpSession
from voip.session.validation import CONFIRM_HELD

__all__ = ["CONFIRM_HELD", "LATCH_HELD", "MAX_RECEIVED_BYTES", "MIN_RECEIVED_BYTES", "Address", "RtpSession"]
