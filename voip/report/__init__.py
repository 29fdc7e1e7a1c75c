"""What people and programs are told: the text report, the JSON report, the status line, and the console they go to."""

from __future__ import annotations

from voip.report.console import PACKETS_SHOWN, Console
from voip.report.objects import call_object, final_report
from voip.report.record import CallRecord
from voip.report.rtp_stat import RTP_STAT, rtp_stat
from voip.report.targets import TargetRecord, targets_text
from voip.report.text import text_report

__all__ = [
    "PACKETS_SHOWN",
    "RTP_STAT",
    "CallRecord",
    "Console",
    "TargetRecord",
    "call_object",
    "final_report",
    "rtp_stat",
    "targets_text",
    "text_report",
]
