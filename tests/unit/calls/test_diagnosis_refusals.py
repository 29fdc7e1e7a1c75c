"""Who was refused is said with what to do; a flood of callers costs few lines and little memory."""

from __future__ import annotations

import random

import pytest

from voip.calls.diagnosis import Refusal, Refusals
from voip.calls.diagnosis.refusals import LINES_PER_MINUTE, NAME_LENGTH, PERIOD, SOURCES

BOB = "sip:bob@house.example"


def said(refusal: Refusal | None) -> str:
    assert refusal is not None
    return refusal.text


@pytest.mark.parametrize(
    ("status", "reason", "text"),
    [
        (
            403,
            "",
            f"refused a call from {BOB} (10.0.0.7): not among those who may call; to let it in: --allow 10.0.0.7",
        ),
        (
            401,
            "",
            f"refused a call from {BOB} (10.0.0.7): wrong user or password; "
            "compare --user and --password-file on both sides",
        ),
        (486, "", f"missed a call from {BOB} (10.0.0.7): busy; --max-calls takes more calls at a time"),
        (480, "", f"refused a call from {BOB} (10.0.0.7): this program only makes calls; run a receiver to take them"),
        (480, "the speaker is gone", f"refused a call from {BOB} (10.0.0.7): the speaker is gone"),
        (488, "offered G729", f"refused a call from {BOB} (10.0.0.7): offered G729; see --codec"),
        (400, "no media", f"refused a call from {BOB} (10.0.0.7): no media"),
    ],
)
def test_each_kind_says_what_to_do(status: int, reason: str, text: str) -> None:
    refusal = Refusals().note("10.0.0.7", status, BOB, 5.0, reason)
    assert said(refusal) == text
    assert refusal is not None
    assert (refusal.source, refusal.caller, refusal.status, refusal.hidden) == ("10.0.0.7", BOB, status, 0)


def test_a_caller_whose_name_is_unknown_or_holds_its_address_is_named_once() -> None:
    refusals = Refusals()
    assert said(refusals.note("10.0.0.7", 403, "", 1.0)).startswith("refused a call from 10.0.0.7: ")
    assert said(refusals.note("10.0.0.8", 403, "sip:x@10.0.0.8", 1.0)).startswith(
        "refused a call from sip:x@10.0.0.8: "
    )


def test_a_source_that_tries_again_is_said_once_a_minute_and_counted() -> None:
    refusals = Refusals()
    lines = [refusals.note("10.0.0.7", 403, BOB, now) for now in range(50)]
    assert [line is not None for line in lines] == [True] + 49 * [False]
    assert refusals.tick(PERIOD - 1) is None
    more = refusals.tick(PERIOD)
    assert said(more) == "refused 49 more calls in the last minute; -v shows each"
    assert more is not None
    assert more.hidden == 49
    assert refusals.tick(PERIOD + 1) is None
    assert refusals.note("10.0.0.7", 403, BOB, PERIOD + 2) is not None


def test_scanners_of_the_whole_internet_get_a_bounded_number_of_lines_and_no_memory() -> None:
    refusals, rng = Refusals(), random.Random(1)
    lines, hidden = 0, 0
    for tenth in range(10 * 600):
        now = tenth / 10
        for _ in range(5):
            source = f"203.0.{rng.randrange(256)}.{rng.randrange(256)}"
            lines += refusals.note(source, rng.choice((401, 403, 486)), "sip:100@1.1.1.1", now) is not None
        more = refusals.tick(now)
        if more is not None:
            lines += 1
            hidden += more.hidden
    assert lines <= (600 / PERIOD + 1) * (LINES_PER_MINUTE + 1)
    assert hidden >= 0.85 * 5 * 6000
    assert len(refusals._said) <= SOURCES


def test_the_next_caller_after_a_flood_is_named() -> None:
    refusals = Refusals()
    for number in range(100):
        refusals.note(f"203.0.113.{number}", 403, BOB, 1.0)
    assert refusals.tick(1.0 + PERIOD) is not None
    assert "10.0.0.7" in said(refusals.note("10.0.0.7", 403, BOB, 2.0 + PERIOD))


def test_what_a_stranger_calls_itself_cannot_harm_the_terminal() -> None:
    text = said(Refusals().note("10.0.0.7", 488, "sip:\x1b[2J\n" + 500 * "x", 1.0, "offered \x1b]0;a\x07" + 900 * "y"))
    assert text.isprintable()
    assert len(text) < NAME_LENGTH + 200
