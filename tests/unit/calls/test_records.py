"""What is kept of calls that are over is bounded, however many there are and whatever they are called (S6)."""

from __future__ import annotations

from voip.calls.records import RECORDS_KEPT, UNHEARD_KEPT, Records
from voip.report import CallRecord


def test_the_last_thousand_records_are_kept() -> None:
    records = Records()
    for number in range(3 * RECORDS_KEPT):
        records.add(CallRecord(call_id=str(number), peer="sip:a@192.0.2.1", incoming=True, first_audio=0.1))
    records.publish((), 0.0)
    assert [record.call_id for record in records.all] == [str(n) for n in range(2 * RECORDS_KEPT, 3 * RECORDS_KEPT)]


def test_calls_of_which_nothing_is_heard_do_not_displace_others() -> None:
    records = Records()
    for number in range(20):
        records.add(CallRecord(call_id=f"heard {number}", peer="sip:a@192.0.2.1", incoming=True, first_audio=0.1))
        records.add(CallRecord(call_id=f"made {number}", peer="sip:a@192.0.2.1", incoming=False))
        for stranger in range(1000):
            records.add(CallRecord(call_id=f"{number}.{stranger}", peer="sip:x@192.0.2.9", incoming=True))
    kept = [record.call_id for record in records.all]
    assert [call_id for call_id in kept if " " in call_id] == [
        f"{what} {number}" for number in range(20) for what in ("heard", "made")
    ]
    assert [call_id for call_id in kept if " " not in call_id] == [
        f"19.{stranger}" for stranger in range(1000 - UNHEARD_KEPT, 1000)
    ]
