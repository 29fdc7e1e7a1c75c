"""What people and programs are told: the text report, the JSON report, the status line, and the console they go to."""

from __future__ import annotations

from voip.report.console import PACKETS_SHOWN, Console
from voip.report.events import EventLog
from voip.report.live import is_running
from voip.report.objects import call_object, final_report
from voip.report.record import CallRecord
from voip.report.rtp_stat import RTP_STAT, rtp_stat
from voip.report.status import short_name
from voip.report.targets import TargetRecord, targets_text
from voip.report.text import text_report
from voip.report.total import total_text

__all__ = [
    "PACKETS_SHOWN",
    "RTP_STAT",
    "CallRecord",
    "Console",
    "EventLog",
    "TargetRecord",
    "call_object",
    "final_report",
    "is_running",
    "rtp_stat",
    "short_name",
    "targets_text",
    "text_report",
    "total_text",
]
