"""What is kept of calls that are over is bounded, however many there are and whatever they are called (S6)."""

from __future__ import annotations

from voip.calls.records import RECORDS_KEPT, Records
from voip.report import CallRecord


def test_the_last_thousand_records_are_kept() -> None:
    records = Records()
    for number in range(3 * RECORDS_KEPT):
        records.add(CallRecord(call_id=str(number), peer="sip:a@192.0.2.1", incoming=True))
    records.publish((), 0.0)
    assert [record.call_id for record in records.all] == [str(n) for n in range(2 * RECORDS_KEPT, 3 * RECORDS_KEPT)]
