"""Which extended reports a description asks for (RFC 3611 section 5.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from voip.media import ExtendedReports
from voip.sdp.description import parse_number

RTCP_XR = "pkt-loss-rle pkt-rcpt-times rcvr-rtt=all voip-metrics"
"""The extended reports that we want of a peer."""
MAX_BLOCK_BYTES = 65535
"""A block that is larger fits into no datagram, so that a larger limit is none."""
SUMMARY_FIELDS = frozenset({"loss", "dup", "jitt", "TTL", "HL"})
"""The fields of a statistics summary that may be asked for."""
DEFAULT_SUMMARY = frozenset({"loss", "dup", "jitt"})
"""Those of a summary that is asked for without naming any."""


def parse_extended_reports(values: list[str]) -> ExtendedReports:
    """The reports of all a=rtcp-xr values of a description; what is not understood asks for nothing."""
    reports = ExtendedReports()
    for word in " ".join(values).split():
        name, _, argument = word.partition("=")
        if name == "pkt-loss-rle":
            reports = replace(reports, loss_rle=True, loss_rle_bytes=_size(argument))
        elif name == "pkt-rcpt-times":
            reports = replace(reports, receipts=True, receipt_bytes=_size(argument))
        elif name == "rcvr-rtt":
            mode, _, size = argument.partition(":")
            asked: Literal["all", "sender"] = "sender" if mode == "sender" else "all"
            reports = replace(reports, round_trip=asked, round_trip_bytes=_size(size))
        elif name == "stat-summary":
            fields = SUMMARY_FIELDS & set(argument.split(",")) if argument else DEFAULT_SUMMARY
            reports = replace(reports, summary=fields)
        elif name == "voip-metrics":
            reports = replace(reports, metrics=True)
    return reports


def _size(text: str) -> int | None:
    """A limit in bytes; None without a readable one."""
    return parse_number(text, MAX_BLOCK_BYTES)
