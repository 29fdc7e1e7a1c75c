"""What is kept of calls that are over is bounded, however many there are and whatever they are called (S6)."""

from __future__ import annotations

from typing import cast

from voip.calls.call import Call
from voip.calls.records import RECORDS_KEPT, UNHEARD_KEPT, Records
from voip.report import CallRecord


def test_the_last_thousand_records_are_kept() -> None:
    records = Records()
    for number in range(3 * RECORDS_KEPT):
        records.add(CallRecord(call_id=str(number), peer="sip:a@192.0.2.1", incoming=True, first_audio=0.1))
    records.renew((), (), 0.0)
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


class Told:
    """A call that counts how often it was asked for its record."""

    def __init__(self, call_id: str) -> None:
        self.call_id, self.asked = call_id, 0

    def snapshot(self, now: float) -> CallRecord:
        self.asked += 1
        return CallRecord(call_id=self.call_id, peer="sip:a@192.0.2.1", incoming=True, at=now)


def test_a_look_at_some_calls_takes_snapshots_of_those_alone() -> None:
    records, told = Records(), [Told(name) for name in "abc"]
    one, two, three = (cast(Call, call) for call in told)
    assert list(records.renew([one], [one, two, three], 1.0)) == ["a"]
    assert [(record.call_id, record.at) for record in records.all] == [("a", 1.0)]
    records.renew([two, three], [one, two, three], 2.0)
    assert [(record.call_id, record.at) for record in records.all] == [("a", 1.0), ("b", 2.0), ("c", 2.0)]
    assert [call.asked for call in told] == [1, 1, 1]
    records.renew([two], [two, three], 3.0)  # the first has ended without a record
    assert [(record.call_id, record.at) for record in records.up] == [("b", 3.0), ("c", 2.0)]
