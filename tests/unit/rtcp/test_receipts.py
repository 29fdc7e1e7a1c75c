"""When packets came, as the peer reports it (RFC 3611 section 4.3)."""

from __future__ import annotations

import pytest

from tests.support.rtcp_lab import FIRST_NUMBER, FIRST_REPAIR, Call, Link


def test_receipt_times_are_of_every_packet_at_first_and_by_one_clock_in_both_streams() -> None:
    call = Call(Link(), Link())
    call.run(20.0)
    first, *_, last = [report for report in call.told if report.receipts]
    numbers = [number for number, _ in first.receipts]
    assert numbers == [FIRST_NUMBER + index & 0xFFFF for index in range(len(numbers))]
    assert len(numbers) >= 5
    came, repairs = dict(first.receipts), dict(first.repair_receipts)
    assert len(repairs) >= 2
    for number, at in repairs.items():
        index = 2 * (number - FIRST_REPAIR & 0xFFFF) + 1  # of the media packet that it was sent with
        assert at == pytest.approx(came[FIRST_NUMBER + index & 0xFFFF], abs=1e-3)
    assert all(number % 4 == 0 for number, _ in last.receipts)
    assert last.repair_receipts == ()


def test_now_and_then_all_receipt_times_are_told_at_once_of_both_streams() -> None:
    call = Call(Link(), Link())
    call.run(30.0)
    dense = [report for report in call.told if any(number % 4 for number, _ in report.receipts)]
    again = [report for report in dense if report.at - call.began > 2.0]
    assert {round(report.at - call.began) // 8 for report in again} == {1, 2, 3}
    assert all(len(report.repair_receipts) >= 5 for report in again)
