"""The options about callers: which ports their number needs, and which of them do not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from voip import cli
from voip.calls import Answer
from voip.cli.answering import MANY_FROM, PORTS_END


@pytest.mark.parametrize("calls", [1, 2, 6, 7, 26, 27, 150, 500])
def test_the_media_ports_fit_so_many_calls_and_leave_those_of_sip_alone(calls: int) -> None:
    options = cli.receiver_options(["--max-calls", str(calls)])
    assert options.media_ports is not None
    first, last = options.media_ports
    assert first % 2 == 0
    assert (last + 1 - first) // 2 > calls  # those that are over, but still played, have ports
    assert last < PORTS_END or first == MANY_FROM
    if calls <= 6:
        assert (first, last) == (5000, 5019)  # as for one: a firewall need not be changed


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.receiver_options(arguments)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_range_of_ports_that_is_too_small_is_told_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.receiver_options(["--rtp-port", "7001-7006", "--max-calls", "4"]).media_ports == (7001, 7006)
    assert "--rtp-port 7001-7006 has room for 3 calls" in capsys.readouterr().err
    assert cli.receiver_options(["--rtp-port", "7001-7006", "--max-calls", "3"]).media_ports == (7001, 7006)
    assert cli.receiver_options(["--rtp-port", "7000", "--max-calls", "1"]).media_ports == (7000, 7001)
    assert "not so many ports" in refused(capsys, "--max-calls", "40000")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--conference"], "--max-calls of 2 or more"),
        (["--conference", "--max-calls", "2", "rtp://:5004"], "a stream without signalling"),
        (["--answer", "ask", "--two-way", "--input", "-"], "--input - needs stdin"),
        (["--answer", "perhaps"], "perhaps"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, *arguments)


def test_recordings_of_each_caller_take_the_place_of_the_speaker_unless_that_is_asked_for() -> None:
    alone = cli.receiver_options(["--output-per-caller", "calls"])
    assert (alone.output, alone.output_per_caller) == ("null", Path("calls"))
    both = cli.receiver_options(["--output-per-caller", "calls", "--output", "speaker"])
    assert both.output == "speaker"
    assert cli.receiver_options([]).output == "speaker"


def test_each_way_to_answer_is_known() -> None:
    assert [cli.receiver_options(["--answer", each.value]).answer for each in Answer] == [*Answer]
    assert cli.receiver_options([]).answer is Answer.AUTO
