"""One media port: which datagrams belong to the call, and its RTCP (RFC 3550 section 5 and A.1, RFC 4961, RFC 5761).

session     RtpSession: the order of the checks, counters, RTCP, keep-alive packets
latch       SourceLatch: which address the peer's media comes from (symmetric RTP)
ice         IceLite: the checks of an ICE peer, and the pair that it nominates
repair      RepairStream: the same of repair packets
rate        how much of both is worked on
proof       AddressProof: which addresses our packets may go to
validation  StreamValidator: payload type, SSRC and sequence number of what that address sends
run         packets in sequence that wait for confirmation
addresses   what an address is, and how two are compared

The order of the checks is the order of their cost and of trust: length, source address, RTP or RTCP, version and
payload type, SSRC, sequence number.
"""

from voip.session.addresses import Address
from voip.session.ice import IceLite
from voip.session.latch import LATCH_HELD
from voip.session.rate import Allowance
from voip.session.session import MAX_RECEIVED_BYTES, MIN_RECEIVED_BYTES, RtpSession
from voip.session.validation import CONFIRM_HELD

__all__ = [
    "CONFIRM_HELD",
    "LATCH_HELD",
    "MAX_RECEIVED_BYTES",
    "MIN_RECEIVED_BYTES",
    "Address",
    "Allowance",
    "IceLite",
    "RtpSession",
]
