"""Which calls are put on hold, or resumed, when a person or the directory asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from voip.calls.hold import Hold


class Negotiation:
    """Agrees at once."""

    def __init__(self) -> None:
        self.held = False

    def hold(self, held: bool) -> bytes:
        self.held = held
        return b"offer"


class Scene:
    """Calls of these Call-IDs that are up."""

    def __init__(self, *call_ids: str) -> None:
        self.calls = [
            SimpleNamespace(
                call_id=call_id,
                signalled=True,
                established=1.0,
                ending=None,
                negotiation=Negotiation(),
                lines=[],
                record=SimpleNamespace(peer=f"sip:{call_id}@192.0.2.1"),
            )
            for call_id in call_ids
        ]
        self.offered: list[str] = []
        self.said: list[str] = []
        network = SimpleNamespace(loop=SimpleNamespace(now=lambda: 0.0))
        agent = SimpleNamespace(reinvite=lambda call_id, offer, now: self.offered.append(call_id))
        console = SimpleNamespace(event=lambda *_, **__: None, say=lambda level, text: self.said.append(text))
        parts: Any = (network, agent, self.calls, None, console)
        self.hold = Hold(*parts)

    @property
    def held(self) -> list[str]:
        return [call.call_id for call in self.calls if cast(Negotiation, call.negotiation).held]


def test_all_calls_are_held_and_all_resumed() -> None:
    scene = Scene("a", "b")
    scene.hold.toggle()
    assert scene.held == ["a", "b"]
    scene.hold.toggle()
    assert scene.held == []
    assert scene.offered == ["a", "b", "a", "b"]


def test_one_call_alone_is_held_and_resumed_whatever_the_others_do() -> None:
    scene = Scene("a", "b")
    scene.hold.toggle("b")
    assert scene.held == ["b"]
    scene.hold.toggle("a")
    scene.hold.toggle("b")
    assert scene.held == ["a"]
    scene.hold.toggle()  # not all are held
    assert scene.held == ["a", "b"]
    assert scene.offered == ["b", "a", "b", "b"]


def test_a_call_that_is_not_up_is_not_held() -> None:
    scene = Scene("a", "b")
    scene.calls[0].established = None
    scene.calls[1].ending = "local-bye"
    scene.hold.toggle()
    scene.hold.toggle("a")
    assert scene.offered == []
    assert scene.said == ["no call is up that could be held"] * 2
