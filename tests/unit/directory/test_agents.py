"""A linked script: commands, what became of them, and what it tells of its calls."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voip.directory.agents import LONGEST_ERROR, LONGEST_FIELD, LOST, MOST_CALLS, MOST_WAITING, LinkedAgent
from voip.directory.refusals import BadRequest
from voip.directory.users import AgentCall

CALL = {"call_id": "a@b", "direction": "incoming", "state": "ringing", "peer": "sip:alice@192.0.2.1"}


class Scene:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.done: list[str | None] = []
        self.ended = 0
        self.agent = LinkedAgent(lambda message: self.sent.append(dict(message)), self._end)

    def _end(self) -> None:
        self.ended += 1

    def do(self, command: str = "answer", **arguments: object) -> None:
        self.agent.do(command, arguments, self.done.append)


def test_a_command_is_numbered_and_its_end_is_told_to_whoever_gave_it() -> None:
    scene = Scene()
    scene.do("dial", target="sip:bob@192.0.2.2")
    scene.do("hang-up", call_id="a@b", number=99)
    assert scene.sent == [
        {"number": 1, "do": "dial", "target": "sip:bob@192.0.2.2"},
        {"number": 2, "do": "hang-up", "call_id": "a@b"},
    ]
    scene.agent.told({"type": "done", "number": 2, "error": "this call is over"})
    assert scene.done == ["this call is over"]
    scene.agent.told({"type": "done", "number": 1, "error": None})
    assert scene.done == ["this call is over", None]


@pytest.mark.parametrize("number", [1, 7, None, "1", [1], True, 1e400])
def test_a_command_is_done_once_and_none_that_was_not_given(number: object) -> None:
    scene = Scene()
    scene.do()
    scene.agent.told({"type": "done", "number": 1})
    scene.agent.told({"type": "done", "number": number})
    assert scene.done == [None]


def test_an_error_is_told_up_to_a_length() -> None:
    scene = Scene()
    scene.do()
    scene.agent.told({"type": "done", "number": 1, "error": ["x" * 1000]})
    assert len(scene.done[0] or "") == LONGEST_ERROR


def test_when_the_link_is_lost_nothing_is_left_waiting_and_nothing_is_sent() -> None:
    scene = Scene()
    scene.do()
    scene.do()
    scene.agent.lose()
    scene.do()
    assert scene.done == [LOST] * 3
    assert len(scene.sent) == 2
    assert scene.ended == 0
    scene.agent.give_way()
    assert scene.ended == 1


def test_not_more_than_some_commands_wait() -> None:
    scene = Scene()
    for _ in range(MOST_WAITING + 1):
        scene.do()
    assert len(scene.sent) == MOST_WAITING
    assert scene.done == ["the program has too many commands to obey"]


def test_calls_are_told_whole_and_whether_they_are_new() -> None:
    scene = Scene()
    assert scene.agent.told({"type": "calls", "calls": [CALL]})
    assert list(scene.agent.calls) == [AgentCall("a@b", "incoming", "ringing", "sip:alice@192.0.2.1")]
    assert not scene.agent.told({"type": "calls", "calls": [CALL]})
    assert scene.agent.told({"type": "calls", "calls": []})
    assert list(scene.agent.calls) == []


@pytest.mark.parametrize(
    "calls",
    [
        None,
        {},
        ["a"],
        [{}],
        [{**CALL, "call_id": ""}],
        [{**CALL, "call_id": 7}],
        [{**CALL, "state": "dancing"}],
        [{**CALL, "direction": "both"}],
        [{**CALL, "peer": "x" * (LONGEST_FIELD + 1)}],
        [CALL] * (MOST_CALLS + 1),
    ],
)
def test_calls_that_make_no_sense_are_refused_and_those_before_stay(calls: object) -> None:
    scene = Scene()
    scene.agent.told({"type": "calls", "calls": [CALL]})
    with pytest.raises(BadRequest):
        scene.agent.told({"type": "calls", "calls": calls})
    assert len(scene.agent.calls) == 1


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["type", "calls", "number"]), inner),
)


@given(JSON | st.fixed_dictionaries({"type": st.sampled_from(["calls", "done"]), "calls": JSON, "number": JSON}))
def test_whatever_a_script_tells_is_taken_or_refused(message: object) -> None:
    scene = Scene()
    scene.do()
    try:
        scene.agent.told(message)
    except BadRequest:
        assert scene.done == []
