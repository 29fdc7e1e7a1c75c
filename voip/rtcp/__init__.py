"""RTCP (RFC 3550 section 6; RFC 5506, 5761; extended reports: RFC 3611).

packets     reports, descriptions, BYE; compounds to bytes and back
xr          extended reports
parameters  what was negotiated, and where the figures come from
timing      when to report
reported    report blocks about the peer's streams
compound    the compounds that we send               roundtrip  time stamps and their echo
peer        what the peer reports
session     RtcpSession: all of it for one call
"""

from voip.rtcp.parameters import LOSS_RLE, METRICS, ROUND_TRIP, SUMMARY, ReportSources, RtcpParameters
from voip.rtcp.roundtrip import NTP_UNIX_OFFSET
from voip.rtcp.session import RtcpSession

__all__ = [
    "LOSS_RLE",
    "METRICS",
    "NTP_UNIX_OFFSET",
    "ROUND_TRIP",
    "SUMMARY",
    "ReportSources",
    "RtcpParameters",
    "RtcpSession",
]
