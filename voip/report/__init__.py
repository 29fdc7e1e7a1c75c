"""What people and programs are told: the text report, the JSON report, the status line, and the console they go to."""

from __future__ import annotations

from voip.report.console import PACKETS_SHOWN, Console
from voip.report.objects import call_object, final_report
from voip.report.record import CallRecord
from voip.report.status import status_line
from voip.report.text import text_report

__all__ = [
    "PACKETS_SHOWN",
    "CallRecord",
    "Console",
    "call_object",
    "final_report",
    "status_line",
    "text_report",
]
