"""What the tests of lost calls ask of two programs: when a call came up again, when it had sound, how it ended."""

from __future__ import annotations

from tests.support.processes import Outcome, Program, until

BACK_WITHIN = 5.0
"""Seconds from the return of what was gone to sound."""
SOON = ("--media-timeout", "4s")


def moments(program: Program, text: str) -> list[float]:
    return [moment for moment, line in program.lines if text in line]


def wait_for_call(program: Program, number: int, timeout: float = 60.0) -> float:
    """When the call of this number came up."""
    until(lambda: len(moments(program, "call from")) >= number, f"call {number} at {program.name}", timeout)
    return moments(program, "call from")[number - 1]


def sound_after(heard: Outcome, number: int) -> float:
    """Seconds from the call's coming up to its first sound."""
    assert heard.report is not None
    call = heard.report["calls"][number - 1]
    return float(call["first_audio_ms"] - call["setup_ms"]) / 1e3


def sound_again(program: Program, heard: Outcome) -> float:
    """The moment of the first sound after the first call. A try that was given up may come up late, without any."""
    assert heard.report is not None
    calls = list(zip(moments(program, "call from"), heard.report["calls"], strict=True))[1:]
    up, number = next((up, number) for number, (up, call) in enumerate(calls, 2) if call["rx"]["received"])
    return up + sound_after(heard, number)


def reasons(outcome: Outcome) -> list[str]:
    assert outcome.report is not None
    return [call["end_reason"] for call in outcome.report["calls"]]
