"""Calls that come in: answered at once, asked about, declined, or left alone until the time is over."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from voip.calls import Answer, Answering
from voip.calls.answering import ASKED_FOR
from voip.errors import NegotiationError
from voip.report import Console


@dataclass
class Ringing:
    """What is asked of a call that comes in."""

    call_id: str
    offer: bytes | None = b"offer"
    ending: object = None

    @property
    def record(self) -> object:
        return SimpleNamespace(peer=f"sip:{self.call_id}@x")

    @property
    def rings(self) -> bool:
        return self.offer is not None and self.ending is None

    def take_offer(self) -> bytes | None:
        offer, self.offer = self.offer, None
        return offer


@dataclass
class Lab:
    """An `Answering` with everything around it written down."""

    rule: Answer
    now: float = 0.0
    said: list[str] = field(default_factory=list)
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.talk, self.calls = io.StringIO(), dict[str, Ringing]()
        self.console = Console(lambda: 0.0, talk=self.talk, data=io.StringIO(), time_of_day=lambda: "")
        loop = SimpleNamespace(now=lambda: self.now, call_later=self._call_later)
        addresses = SimpleNamespace(public_address=None)
        network: Any = SimpleNamespace(loop=loop, addresses=addresses)
        agent: Any = SimpleNamespace(
            ring=lambda call_id, now: self.said.append(f"180 {call_id}"),
            reject=self._reject,
        )
        names: Any = SimpleNamespace(resolve=lambda call, offer, accept: accept(offer))
        self.answering = Answering(
            self.rule, network, agent, cast(Any, _Table(self.calls)), names, self.console, self._accept
        )

    def come(self, call_id: str) -> Ringing:
        call = self.calls[call_id] = Ringing(call_id)
        self.answering.receive(cast(Any, call))
        return call

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for at, function in [each for each in self.later if each[0] <= self.now]:
            self.later.remove((at, function))
            function()

    @property
    def told(self) -> str:
        self.console.pump()
        return self.talk.getvalue()

    def _call_later(self, delay: float, function: Callable[[], None]) -> None:
        self.later.append((self.now + delay, function))

    def _reject(self, call_id: str, status: int, now: float) -> None:
        self.said.append(f"{status} {call_id}")
        self.calls[call_id].ending = "rejected"

    def _accept(self, call: Any, offer: bytes) -> None:  # noqa: ANN401 -- a Call
        self.said.append(f"200 {call.call_id}")


class _Table:
    """Iterates over its calls, as the table of calls does."""

    def __init__(self, calls: dict[str, Ringing]) -> None:
        self._calls = calls

    def __iter__(self) -> Iterator[Ringing]:
        return iter(tuple(self._calls.values()))

    def __contains__(self, call: object) -> bool:
        return call in self._calls.values()

    def get(self, call_id: str) -> Ringing | None:
        return self._calls.get(call_id)


@pytest.fixture(autouse=True)
def _no_stun(monkeypatch: pytest.MonkeyPatch) -> None:
    """The public address is known at once."""
    monkeypatch.setattr("voip.calls.answering.find_public_address", lambda network, call, then: then())


def test_a_call_is_answered_at_once_where_that_is_automatic() -> None:
    lab = Lab(Answer.AUTO)
    lab.come("a")
    assert lab.said == ["200 a"]
    assert lab.answering.ringing == ()


def test_a_call_rings_until_it_is_answered_and_is_answered_once() -> None:
    lab = Lab(Answer.ASK)
    lab.come("a")
    lab.come("b")
    assert lab.said == ["180 a", "180 b"]
    assert [*lab.answering.ringing] == [("a", "sip:a@x"), ("b", "sip:b@x")]
    assert "sip:a@x is calling: y answers, n declines" in lab.told
    lab.answering.answer("a")
    lab.answering.answer("a")
    assert lab.said[2:] == ["200 a"]
    assert [call_id for call_id, _ in lab.answering.ringing] == ["b"]
    lab.pass_time(ASKED_FOR + 1)
    assert lab.said[3:] == ["603 b"]  # and not the one that was answered


def test_a_call_that_is_declined_gets_603_and_can_no_longer_be_answered() -> None:
    lab = Lab(Answer.ASK)
    lab.come("a")
    lab.answering.decline("a")
    lab.answering.decline("a")
    lab.pass_time(ASKED_FOR + 1)
    assert lab.said == ["180 a", "603 a"]
    assert "sip:a@x: declined" in lab.told


def test_a_call_that_is_left_alone_is_declined_in_time() -> None:
    lab = Lab(Answer.ASK)
    lab.come("a")
    lab.pass_time(ASKED_FOR - 1)
    assert lab.said == ["180 a"]
    lab.pass_time(1)
    assert lab.said == ["180 a", "603 a"]
    assert "not answered" in lab.told


def test_a_caller_who_has_given_up_is_not_declined_and_rings_no_longer() -> None:
    lab = Lab(Answer.ASK)
    lab.come("a").ending = "cancelled"
    lab.answering.look()
    assert lab.answering.ringing == ()
    del lab.calls["a"]
    lab.answering.decline("a")
    lab.answering.answer("a")
    lab.pass_time(ASKED_FOR)
    assert lab.said == ["180 a"]


def test_where_no_call_is_answered_each_is_declined() -> None:
    with pytest.raises(NegotiationError) as refused:
        Lab(Answer.DENY).answering.check()
    assert refused.value.status == 603
    for rule in (Answer.AUTO, Answer.ASK):
        Lab(rule).answering.check()
