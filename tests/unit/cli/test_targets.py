"""Several targets of a sender: how they are named, and what the program ends with."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.records import perfect
from voip import cli, codecs
from voip.calls import CallManager, Outcome, RetryRule
from voip.calls.outcome import outcome_of
from voip.cli import ExitAfterLastCall, Redial
from voip.cli.outcomes import SEVERITY, TargetOutcomes
from voip.engine import Shutdown
from voip.errors import EXIT_NETWORK
from voip.media import AudioFormat, NegotiatedMedia
from voip.report import CallRecord, Console, TargetRecord, final_report, targets_text
from voip.sip import CallEnded, SipUri
from voip.stats import PathReport, SenderStats, SessionStats

A, B, C = "sip:192.0.2.1", "sip:192.0.2.2", "sip:192.0.2.3"


# -- how they are named -----------------------------------------------------------------------------------------------


def named(*argv: str) -> list[str]:
    return [str(target) for target in cli.sender_options(list(argv)).targets]


def test_a_file_adds_targets_to_those_of_the_command_line(tmp_path: Path) -> None:
    rooms = tmp_path / "rooms"
    rooms.write_bytes(
        "\ufeff# the ground floor\r\n192.0.2.2\r\n\r\n  sip:hall@192.0.2.3;transport=tcp   # behind the door\r\n"
        "rtp://192.0.2.4:5004\r\n".encode()
    )
    hall = "sip:hall@192.0.2.3;transport=tcp"
    assert named("192.0.2.1", "--targets-file", str(rooms)) == [A, B, hall, "rtp://192.0.2.4:5004"]
    assert named("--targets-file", str(rooms)) == [B, hall, "rtp://192.0.2.4:5004"]
    assert cli.sender_options(["--targets-file", str(rooms)]).target_given


def test_options_may_stand_between_targets() -> None:
    options = cli.sender_options(["192.0.2.1", "--duration", "3s", "192.0.2.2", "-v", "192.0.2.3"])
    assert [str(target) for target in options.targets] == [A, B, C]
    assert options.duration == 3.0


def test_what_is_named_twice_is_called_once_and_that_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rooms = tmp_path / "rooms"
    rooms.write_text("sip:192.0.2.1\n192.0.2.2\n")
    assert named("192.0.2.1", "--targets-file", str(rooms)) == [A, B]
    assert "sip:192.0.2.1 is named more than once" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "names no target"),
        (b"# nobody\n\n", "names no target"),
        (b"192.0.2.1\n192.0.2.2 192.0.2.3\n", "line 2: '192.0.2.2 192.0.2.3': write one target on each line"),
        (b"192.0.2.1\n\nsip:\n", "line 3: "),
        (b"rtp://192.0.2.1\n", "line 1: "),
        (b"\xff\xfe1\x00", "is not a text file"),
    ],
)
def test_a_file_that_is_wrong_is_a_usage_error_that_says_where(
    text: bytes, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rooms = tmp_path / "rooms"
    rooms.write_bytes(text)
    with pytest.raises(SystemExit) as end:
        named("--targets-file", str(rooms))
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
    assert str(rooms) in line


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        named("--targets-file", str(tmp_path / "none"))
    assert "none: No such file" in capsys.readouterr().err


def test_one_session_description_is_not_overwritten_by_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    two = ("rtp://192.0.2.1:5004", "rtp://192.0.2.2:5004")
    with pytest.raises(SystemExit):
        named(*two, "--sdp", "stream.sdp")
    assert "--sdp describes one stream" in capsys.readouterr().err
    assert named(*two) == [*two]


# -- what the program ends with ---------------------------------------------------------------------------------------


def ended(peer: str, reason: str, status: int | None = None) -> Outcome:
    return outcome_of(peer, CallEnded("x", reason, status, ""))


@dataclass
class Sending:
    """The sender's policy, and a manager with the calls that the test says."""

    names: tuple[str, ...] = (A, B, C)
    rule: RetryRule = field(default_factory=lambda: RetryRule(0))
    up: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.shutdown, self.talk = Shutdown(), io.StringIO()
        self.console = Console(lambda: 0.0, talk=self.talk, data=io.StringIO())
        self.later: list[Callable[[], None]] = []
        redial = Redial(
            self.rule,
            map(SipUri.parse, self.names),
            self.console,
            call_later=lambda delay, function: self.later.append(function),
            now=lambda: 0.0,
            rng=random.Random(1),
        )
        self.policy = ExitAfterLastCall(self.shutdown, self.console, redial, self.names)
        self.up = set(self.names)

    def over(self, peer: str, outcome: Outcome | None = None, *, packets: int | None = 100) -> None:
        """A call is over; `packets` that were sent, None: it was not answered."""
        self.up.discard(peer)
        codec = codecs.find("PCMU", 8000, 1)
        assert codec is not None
        media = None if packets is None else NegotiatedMedia(AudioFormat(codec), 0, ("192.0.2.1", 5000))
        record = CallRecord("x", peer, incoming=False, media=media, tx=SenderStats(packets=packets or 0))
        manager = SimpleNamespace(calls=tuple(self.up), finish=lambda: None)
        self.policy.on_call_over(cast(CallManager, manager), record, outcome or Outcome())

    def input_ends(self) -> None:
        self.policy.on_input_ended(cast(CallManager, SimpleNamespace(calls=tuple(self.up), finish=lambda: None)))

    @property
    def end(self) -> tuple[int, str | None] | None:
        return (self.shutdown.status, self.shutdown.error) if self.shutdown.requested() else None

    @property
    def statuses(self) -> dict[str, int]:
        return {target.target: target.status for target in self.policy.targets}


def test_the_program_ends_with_its_last_call_and_well_if_each_target_had_the_sound() -> None:
    sending = Sending()
    for peer in (B, A):
        sending.over(peer)
        assert sending.end is None
    sending.over(C)
    assert sending.end == (0, None)
    assert sending.statuses == {A: 0, B: 0, C: 0}


def test_a_target_that_fails_before_the_others_are_called_does_not_end_the_program() -> None:
    sending = Sending()
    sending.up = set()
    sending.over(A, Outcome(EXIT_NETWORK, "no free port"), packets=None)
    assert sending.end is None


def test_the_most_serious_failure_counts_whichever_comes_first() -> None:
    for order in ((A, B, C), (C, B, A)):
        sending = Sending()
        outcomes = {A: ended(A, "media-timeout"), B: ended(B, "rejected", 486), C: Outcome()}
        for peer in order:
            sending.over(peer, outcomes[peer], packets=None if peer == B else 100)
        assert sending.end is not None
        status, error = sending.end
        assert status == 6
        assert error == f"2 of 3 targets failed; the most serious: {outcomes[B].error}"
        assert sending.statuses == {A: 8, B: 6, C: 0}


def test_each_failure_is_told_when_it_comes() -> None:
    sending = Sending()
    sending.over(A, ended(A, "rejected", 486), packets=None)
    sending.console.pump()
    assert A in sending.talk.getvalue()


def test_the_error_of_the_only_failure_is_the_error_of_the_program() -> None:
    sending = Sending()
    sending.over(A)
    failed = ended(B, "no-answer")
    sending.over(B, failed, packets=None)
    sending.over(C)
    assert sending.end == (5, f"1 of 3 targets failed: {failed.error}")


def test_a_target_that_still_rings_when_the_sound_ends_had_none() -> None:
    sending = Sending()
    sending.over(A)
    sending.input_ends()
    sending.over(B, ended(B, "cancelled"), packets=None)
    sending.over(C, packets=0)
    assert sending.end is not None
    assert sending.end[0] == 5
    assert sending.statuses == {A: 0, B: 5, C: 8}


def test_of_one_target_a_call_that_its_user_has_cancelled_is_no_failure() -> None:
    sending = Sending(names=(A,))
    sending.shutdown.interrupt()
    sending.input_ends()
    sending.over(A, ended(A, "cancelled"), packets=None)
    assert sending.end == (0, None)


def test_all_that_were_lost_and_not_back_when_the_program_is_ended_have_failed() -> None:
    sending = Sending(rule=RetryRule())
    for peer in (A, B):
        sending.over(peer, ended(peer, "media-timeout"))
    assert len(sending.later) == 2
    sending.shutdown.interrupt()
    sending.over(C)
    sending.input_ends()
    assert sending.statuses == {A: 8, B: 8, C: 0}
    assert sending.end is not None
    assert sending.end[0] == 8


def test_each_exit_status_of_a_call_has_its_place() -> None:
    assert len({*SEVERITY}) == len(SEVERITY)
    for status in (1, 3, 4, 5, 6, 7, 8):
        outcomes = TargetOutcomes([A, B])
        outcomes.note(A, Outcome())
        outcomes.note(B, Outcome(status, "it failed"))
        assert outcomes.overall.status == status


# -- the report -------------------------------------------------------------------------------------------------------


def sent(peer: str, packets: int, lost: int | None) -> CallRecord:
    path = None if lost is None else PathReport(at=1.0, fraction_lost=0.0, cumulative_lost=lost, highest=0, jitter=0.0)
    return CallRecord(
        "x", peer, incoming=False, media=perfect().media, duration=20.0,
        tx=SenderStats(packets=packets, fec_packets=10, ip_bytes=1000 * packets), network=SessionStats(path=path),
    )  # fmt: skip


def test_the_report_has_each_target_and_all_of_them() -> None:
    calls = (sent(A, 1000, 10), sent(B, 500, None), sent(A, 200, 2))
    targets = (TargetRecord(A), TargetRecord(B), TargetRecord(C, 6, "busy"))
    report = final_report("sender", "1", 6, "busy", calls, targets=targets)
    figures = [(each["calls"], each["packets"], each["cumulative_lost"]) for each in report["targets"]]
    assert figures == [(2, 1200, 12), (1, 500, None), (0, 0, None)]
    assert [(each["target"], each["exit"], each["error"]) for each in report["targets"]] == [
        (A, 0, None), (B, 0, None), (C, 6, "busy"),
    ]  # fmt: skip
    total = report["total"]
    assert (total["targets"], total["failed"], total["calls"], total["packets"]) == (3, 1, 3, 1700)
    assert (total["fec_packets"], total["ip_bytes"], total["cumulative_lost"]) == (30, 1_700_000, 12)
    lines = targets_text(targets, calls).splitlines()
    assert lines[0] == "3 targets   2 had the sound   1 failed"
    assert "2 calls" in lines[1]
    assert "lost 12 (1.00 %)" in lines[1]
    assert lines[3].endswith("no call")
    assert "failed (6): busy" in lines[4]
    assert lines[-1].startswith("  in total   3 calls   60.0 s   1700 packets + 30 FEC")


def test_a_receiver_has_no_targets() -> None:
    report = final_report("receiver", "1", 0, None, (perfect(),))
    assert (report["targets"], report["total"]["targets"], report["total"]["failed"]) == ([], None, None)
