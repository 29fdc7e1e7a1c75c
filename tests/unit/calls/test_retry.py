"""Calls that were lost are made again: when, how often, and what the program ends with. All in virtual time."""

from __future__ import annotations

import io
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import pytest

from voip import codecs
from voip.calls import CallManager, Outcome, Retries, RetryRule
from voip.calls.outcome import outcome_of
from voip.cli import ExitAfterLastCall, Redial
from voip.cli.values import retry_rule
from voip.engine import Shutdown
from voip.media import AudioFormat, NegotiatedMedia
from voip.report import CallRecord, Console
from voip.sip import CallEnded, SipUri
from voip.sip.pauses import MAX_PAUSE, SHORT_FOR, TRY_TIMEOUT

TARGET = SipUri.parse("sip:192.0.2.2")
COPIES = (0.0, 0.5, 1.5, 3.5, 7.5)
"""When an INVITE without a response is sent within one try (RFC 3261 timer A)."""
LOST = outcome_of(str(TARGET), CallEnded("x", "media-timeout", None, "nothing heard for 20 s"))
UNREACHABLE = outcome_of(str(TARGET), CallEnded("x", "no-answer", None, ""))


def invites(down_for: float, rule: RetryRule, seed: int, *, at_once: bool = False) -> list[float]:
    """When INVITEs leave after a call of a minute was lost at 0: tries meet silence, or fail `at_once`."""
    retries, now, sent = Retries(rule, random.Random(seed)), 0.0, []
    pause = retries.pause(60.0, now)
    while pause is not None and now < down_for:
        now += pause
        sent += [now + copy for copy in (COPIES[:1] if at_once else COPIES)]
        now += 0.0 if at_once else TRY_TIMEOUT
        pause = retries.pause(None, now)
    return sent


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_within_minutes_of_the_loss_an_invite_is_never_more_than_4_s_away(seed: int, at_once: bool) -> None:
    sent = invites(SHORT_FOR, RetryRule(), seed, at_once=at_once)
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent) if later < SHORT_FOR]
    assert max(gaps) < 4.01
    assert sent[0] <= 1.0


def test_after_that_the_pauses_grow_up_to_30_s() -> None:
    sent = invites(3600.0, RetryRule(), 1, at_once=True)
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert 0.8 * MAX_PAUSE <= max(gaps) <= MAX_PAUSE
    assert gaps.index(max(gaps)) > SHORT_FOR / 4


def test_so_many_tries_and_no_more_in_a_row() -> None:
    retries = Retries(RetryRule(2), random.Random(1))
    assert retries.pause(60.0, 0.0) is not None
    assert retries.pause(None, 10.0) is not None
    assert retries.pause(60.0, 100.0) is not None  # it was up again meanwhile: they are counted anew
    assert retries.pause(None, 110.0) is not None
    assert retries.pause(None, 120.0) is None


def test_calls_that_come_up_and_break_at_once_are_counted_too() -> None:
    retries = Retries(RetryRule(3), random.Random(1))
    pauses = [retries.pause(0.5, float(second)) for second in range(4)]
    assert [pause is None for pause in pauses] == [False, False, False, True]


def test_without_the_option_only_what_was_up_once_is_called_again() -> None:
    assert Retries(RetryRule(), random.Random(1)).pause(None, 0.0) is None
    assert Retries(retry_rule("forever"), random.Random(1)).pause(None, 0.0) is not None
    assert Retries(retry_rule("3"), random.Random(1)).pause(None, 0.0) is not None
    assert Retries(retry_rule("off"), random.Random(1)).pause(60.0, 0.0) is None


@pytest.mark.parametrize(
    ("reason", "status", "passing"),
    [
        ("media-timeout", None, True),
        ("timeout", 408, True),
        ("timeout", 481, True),  # the peer was restarted
        ("network", None, True),
        ("no-answer", None, True),
        ("rejected", 486, True),
        ("rejected", 404, True),
        ("rejected", 503, True),
        ("rejected", 401, False),
        ("rejected", 403, False),
        ("rejected", 488, False),
        ("rejected", 603, False),
        ("redirect-loop", 302, False),
        ("remote-bye", None, False),
        ("local-bye", 481, False),
        ("cancelled", None, False),
        ("internal-error", None, False),
    ],
)
def test_what_may_pass_is_tried_again_and_what_a_user_decided_is_not(
    reason: str, status: int | None, passing: bool
) -> None:
    assert outcome_of("sip:a", CallEnded("x", reason, status, "")).passing is passing


# --- the program ------------------------------------------------------------------------------------------------------


@dataclass
class Program:
    """The sender's policy with a manager that does as the test says, and a clock that stands until it is moved."""

    rule: RetryRule = field(default_factory=RetryRule)
    targets: tuple[SipUri, ...] = (TARGET,)
    calls: tuple[object, ...] = ()
    dialled: list[SipUri] = field(default_factory=list)
    now: float = 0.0
    finished: bool = False

    def __post_init__(self) -> None:
        self.shutdown, self.data, self.talk = Shutdown(), io.StringIO(), io.StringIO()
        self.console = Console(lambda: self.now, as_json=True, talk=self.talk, data=self.data)
        self._later: list[tuple[float, Callable[[], None]]] = []
        redial = Redial(
            self.rule,
            self.targets,
            self.console,
            call_later=lambda delay, function: self._later.append((self.now + delay, function)),
            now=lambda: self.now,
            rng=random.Random(1),
        )
        self.policy = ExitAfterLastCall(self.shutdown, self.console, redial)

    def dial(self, target: SipUri, *, again: bool) -> None:
        assert again
        self.dialled.append(target)

    def finish(self) -> None:
        self.finished = True

    def over(self, outcome: Outcome, *, up_for: float | None = None, peer: str = str(TARGET)) -> None:
        codec = codecs.find("PCMU", 8000, 1)
        assert codec is not None
        media = None if up_for is None else NegotiatedMedia(AudioFormat(codec), 0, ("192.0.2.2", 5000))
        record = CallRecord("x", peer, incoming=False, media=media, duration=up_for or 0.0)
        self.policy.on_call_over(cast(CallManager, self), record, outcome)

    def input_ends(self) -> None:
        self.policy.on_input_ended(cast(CallManager, self))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        due = [function for moment, function in self._later if moment <= self.now]
        self._later = [(moment, function) for moment, function in self._later if moment > self.now]
        for function in due:
            function()

    @property
    def ended(self) -> tuple[bool, int, str | None]:
        return self.shutdown.requested(), self.shutdown.status, self.shutdown.error


def test_a_lost_call_is_made_again_and_told_by_one_line_and_one_event() -> None:
    program = Program()
    program.over(LOST, up_for=60.0)
    assert not program.shutdown.requested()
    program.wait(1.0)
    assert program.dialled == [TARGET]
    program.console.pump()
    (line,) = program.talk.getvalue().splitlines()
    event = json.loads(program.data.getvalue())
    assert f"calling again in {event['in_s']:.1f} s: lost contact" in line
    assert (event["event"], event["peer"], event["number"]) == ("retry", str(TARGET), 1)
    assert 0.5 < event["in_s"] <= 1.0
    program.over(Outcome(), up_for=60.0)  # it is up again, and ended by the peer
    assert program.ended == (True, 0, None)


def test_when_the_tries_are_used_up_the_last_failure_is_the_exit_status() -> None:
    program = Program(RetryRule(1, from_start=True))
    program.over(LOST, up_for=60.0)
    program.wait(1.0)
    program.over(UNREACHABLE)
    assert program.ended == (True, 5, UNREACHABLE.error)


def test_a_refusal_ends_the_tries() -> None:
    program = Program(RetryRule(None, from_start=True))
    program.over(LOST, up_for=60.0)
    program.wait(1.0)
    refused = outcome_of(str(TARGET), CallEnded("x", "rejected", 403, "Forbidden"))
    program.over(refused)
    assert program.ended == (True, 6, refused.error)


def test_input_that_ends_while_the_link_is_down_ends_the_program_with_the_failure() -> None:
    program = Program()
    program.over(LOST, up_for=60.0)
    program.input_ends()
    assert program.ended == (True, 8, LOST.error)
    program.wait(60.0)
    assert program.dialled == []


def test_a_lost_call_is_what_counts_when_the_input_ends_also_after_tries_that_failed_otherwise() -> None:
    for during_try in (False, True):
        program = Program()
        program.over(LOST, up_for=60.0)
        for _ in range(2):
            program.wait(4.0)
            program.over(UNREACHABLE)
        if during_try:
            program.wait(4.0)
            program.calls = (object(),)
        program.input_ends()
        program.calls = ()
        if during_try:
            program.over(outcome_of(str(TARGET), CallEnded("x", "cancelled", None, "")))
        assert program.ended == (True, 8, LOST.error)


def test_what_was_never_up_ends_with_the_last_failure_when_the_input_ends() -> None:
    program = Program(RetryRule(None, from_start=True))
    for _ in range(2):
        program.over(UNREACHABLE)
        program.wait(0.5)
    program.input_ends()
    assert program.ended == (True, 5, UNREACHABLE.error)


def test_input_that_ends_during_a_try_does_so_too() -> None:
    program = Program()
    program.over(LOST, up_for=60.0)
    program.wait(1.0)
    program.calls = (object(),)
    program.input_ends()
    assert (program.finished, program.shutdown.requested()) == (True, False)
    program.calls = ()
    program.over(outcome_of(str(TARGET), CallEnded("x", "cancelled", None, "")))
    assert program.ended == (True, 8, LOST.error)


@pytest.mark.parametrize("during_a_try", [False, True])
def test_who_stops_the_program_while_the_link_is_down_is_told_that_the_call_was_lost(during_a_try: bool) -> None:
    program = Program()
    program.over(LOST, up_for=60.0)
    if during_a_try:
        program.wait(1.0)
        program.calls = (object(),)
    program.shutdown.interrupt()
    program.input_ends()  # what the capture thread does then
    program.calls = ()
    if during_a_try:
        program.over(outcome_of(str(TARGET), CallEnded("x", "cancelled", None, "")))
    program.wait(60.0)
    assert program.dialled == [TARGET] * during_a_try
    assert program.ended == (True, 8, LOST.error)


def test_a_program_with_several_targets_goes_on_until_none_is_left_to_be_called() -> None:
    other = SipUri.parse("sip:192.0.2.3")
    program = Program(targets=(TARGET, other))
    program.over(LOST, up_for=60.0)
    program.over(Outcome(), up_for=60.0, peer=str(other))
    assert not program.shutdown.requested()
    program.wait(1.0)
    assert program.dialled == [TARGET]


def test_a_stream_without_signalling_is_not_called() -> None:
    program = Program()
    program.over(LOST, up_for=60.0, peer="rtp://192.0.2.2:5004")
    assert program.ended == (True, 8, LOST.error)
