"""Texts as people see them: harmless, told apart from what the program says, and their fate told."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from voip.calls.call import Call
from voip.calls.table import CallTable
from voip.calls.texts import LONGEST_NAME, MOST_LINES, Texts, quoted
from voip.report import CallRecord, Console
from voip.sip import Address, CallEnded, NameAddr, TextReceived, TextSent, UserAgent

PEER = "sip:anna@192.0.2.2"


@dataclass
class Agent:
    """What texts ask of a user agent."""

    refuses: bool = False
    sent: list[tuple[str, str]] = field(default_factory=list)

    def send_text(self, call_id: str, text: str, now: float) -> str | None:
        self.sent.append((call_id, text))
        return None if self.refuses else f"text-{len(self.sent)}"


@dataclass
class Up:
    """A call, as far as texts look at it."""

    call_id: str
    incoming: bool = False
    established: float | None = 1.0
    ending: CallEnded | None = None
    signalled: bool = True

    @property
    def record(self) -> CallRecord:
        return CallRecord(self.call_id, PEER, incoming=self.incoming)


class Lab:
    def __init__(self, *calls: Up, first: str = "", refuses: bool = False) -> None:
        self.talk, self.data, self.agent = io.StringIO(), io.StringIO(), Agent(refuses)
        self.console = Console(
            lambda: 0.0, as_json=True, talk=self.talk, data=self.data, time_of_day=lambda: "12:00:00"
        )
        self.table = CallTable(lambda: 0.0)
        for call in calls:
            self.table.add(cast(Call, call))
        agent = cast(UserAgent, self.agent)
        self.texts = Texts(agent, self.table, self.console, lambda: 0.0, first=first, wall_clock=lambda: 1000.0)

    def take(self, event: object) -> tuple[str, dict[str, Any]]:
        """What is shown of an event, and the last line of JSON."""
        self.texts.handlers()[type(event)](event)
        return self.shown(), json.loads(self.data.getvalue().splitlines()[-1])

    def shown(self) -> str:
        self.console.pump()
        return self.talk.getvalue()


def received(text: str, *, call_id: str = "", sender: str = f"<{PEER}>", expires_at: float | None = None) -> object:
    source = Address("udp", "192.0.2.9", 5060)
    return TextReceived(call_id, NameAddr.parse(sender), source, text, expires_at)


def test_a_text_of_a_call_is_shown_with_its_peer_behind_a_mark() -> None:
    shown, event = Lab(Up("x")).take(received("hello\n12:00:01 call ended", call_id="x"))
    assert shown == f"12:00:00 text from {PEER}:\n  | hello\n  | 12:00:01 call ended\n"
    assert event["event"] == "text"
    assert (event["call_id"], event["peer"], event["source"]) == ("x", PEER, "192.0.2.9")
    assert (event["message"], event["expired"]) == ("hello\n12:00:01 call ended", False)


def test_a_text_without_a_call_says_where_it_came_from() -> None:
    shown, event = Lab(Up("x")).take(received("hello", sender=f'"Anna\x1b[2J" <{PEER}>'))
    assert shown.startswith(f"12:00:00 text from Anna\\x1b[2J <{PEER}> (192.0.2.9, without a call):\n  | hello")
    assert event["call_id"] is None


def test_what_steers_a_terminal_is_shown_and_json_has_the_text_as_it_came() -> None:
    text = "a\x1b]0;title\x07\rb\u202ec\x9b2J"
    shown, event = Lab().take(received(text))
    assert "\x1b" not in shown
    assert "\\x1b]0;title\\x07\\x0db\\u202ec\\x9b2J" in shown
    assert event["message"] == text


def test_the_longest_text_is_shown_whole_and_a_page_of_lines_is_cut() -> None:
    assert "".join(line[4:] for line in quoted("x" * 1300).split("\n")) == "x" * 1300
    lines = quoted("\n" * 1300 + "end").split("\n")
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "  | ... (1281 more lines)"


def test_an_endless_name_is_cut() -> None:
    shown, event = Lab().take(received("hello", sender=f'"{"n" * 5000}" <{PEER}>'))
    assert len(event["peer"]) <= LONGEST_NAME + 3
    assert len(shown) < 400


def test_a_text_that_comes_after_its_time_says_so() -> None:
    shown, event = Lab().take(received("lunch?", expires_at=999.0))
    assert "which came after its time" in shown
    assert event["expired"] is True


def test_what_is_typed_goes_to_each_call_that_is_up_and_its_fate_is_told() -> None:
    over = CallEnded("z", "local-bye", None, "")
    lab = Lab(Up("x"), Up("y", established=None), Up("z", ending=over), Up("p", signalled=False), Up("w"))
    lab.texts.say("hello")
    assert lab.agent.sent == [("x", "hello"), ("w", "hello")]
    shown, event = lab.take(TextSent("text-1", "x", 200, "OK"))
    assert shown == f"12:00:00 text delivered to {PEER}:\n  | hello\n"
    assert (event["event"], event["delivered"], event["status"]) == ("text-sent", True, 200)
    shown, event = lab.take(TextSent("text-2", "w", 405, "Method Not\x1b Allowed"))
    assert f"text not delivered to {PEER}: 405 Method Not\\x1b Allowed" in shown
    assert (event["delivered"], event["message"]) == (False, "hello")
    before = lab.shown()
    lab.texts.handlers()[TextSent](TextSent("text-2", "w", 200, "OK"))
    assert lab.shown() == before  # told once


def test_a_text_that_no_call_can_take_is_told() -> None:
    lab = Lab()
    lab.texts.say("hello")
    assert "the text was not sent: no call is up" in lab.shown()
    lab = Lab(Up("x"), refuses=True)
    lab.texts.say("hello")
    assert f"the text was not sent to {PEER}: the call is not up yet" in lab.shown()


@pytest.mark.parametrize(
    ("first", "incoming", "sent"), [("hi", False, [("x", "hi")]), ("hi", True, []), ("", False, [])]
)
def test_a_call_of_ours_begins_with_the_text_of_the_options(
    first: str, incoming: bool, sent: list[tuple[str, str]]
) -> None:
    call = Up("x", incoming=incoming)
    lab = Lab(call, first=first)
    lab.texts.begin(cast(Call, call))
    assert lab.agent.sent == sent


def test_a_call_that_is_made_again_has_the_text_only_where_it_did_not_arrive() -> None:
    call = Up("x")
    lab = Lab(call, first="hi")
    for status, sent in ((None, 1), (200, 2), (200, 2)):
        lab.texts.begin(cast(Call, call))
        assert len(lab.agent.sent) == sent
        lab.texts.handlers()[TextSent](TextSent(f"text-{sent}", "x", status, ""))
