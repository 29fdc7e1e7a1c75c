"""RTCP (RFC 3550 section 6; RFC 5506, 5761; extended reports: RFC 3611).

packets     reports, descriptions, BYE; compounds to bytes and back
xr          extended reports
parameters  what was agreed on, and where the figures come from
timing      when to report
incoming    what we say of the peer's streams        bursts     where loss comes together
compound    what we report, as a whole               roundtrip  time stamps and their echo
peer        what the peer reports
exchange    RtcpExchange: all of it for one call
"""

from voip.rtcp.exchange import RtcpExchange
from voip.rtcp.parameters import LOSS_RLE, METRICS, ROUND_TRIP, SUMMARY, ReportSources, Terms
from voip.rtcp.roundtrip import NTP_UNIX_OFFSET

__all__ = [
    "LOSS_RLE",
    "METRICS",
    "NTP_UNIX_OFFSET",
    "ROUND_TRIP",
    "SUMMARY",
    "ReportSources",
    "RtcpExchange",
    "Terms",
]
