"""A name with several contacts: which ring, which stop, and which response the caller gets (RFC 3261 section 16.7)."""

from __future__ import annotations

import pytest

from tests.support.directory_lab import (
    ALICE,
    BOB,
    DOMAIN,
    Scene,
    register,
    status_of,
)
from voip.directory.location import MAX_CONTACTS
from voip.directory.proxy import MAX_BREADTH
from voip.sip import Request
from voip.sip.timers import GIVE_UP

# --- several contacts -----------------------------------------------------------------------------------------------


class Forked(Scene):
    """Bob at so many telephones, of this preference each."""

    def __init__(self, *qualities: float, method: str = "INVITE") -> None:
        super().__init__("bob", "alice")
        self.phones = [self.phone("bob", BOB, 5070 + number) for number, _ in enumerate(qualities)]
        for phone, q in zip(self.phones, qualities, strict=True):
            line = f"Contact: <sip:bob@{BOB}:{phone.source.port}>;q={q}"
            assert status_of(self.ask(phone, register(phone, line, contact=False))) == 200
        self.alice = self.phone("alice", ALICE, 5080)
        self.say(self.alice, self.alice.request(method, f"sip:bob@{DOMAIN}", call_id="call", branch="z9hG4bKcall"))

    def invites(self) -> list[Request | None]:
        """What each has got."""
        found: list[Request | None] = []
        for phone in self.phones:
            heard = [each for each in self.heard(phone) if isinstance(each, Request)]
            assert len(heard) <= 1
            found.append(heard[0] if heard else None)
        return found

    def respond(self, number: int, request: Request | None, code: int, *lines: str) -> None:
        assert request is not None
        phone = self.phones[number]
        self.say(phone, phone.respond(request, code, *lines))

    def methods(self, number: int) -> list[str]:
        return [each.method for each in self.heard(self.phones[number]) if isinstance(each, Request)]


def test_all_contacts_ring_and_when_one_answers_the_others_stop() -> None:
    scene = Forked(1.0, 1.0, 1.0)
    invites = scene.invites()
    branches = {each.via[0].branch for each in invites if each is not None}
    assert len(branches) == 3
    for number in (0, 1):
        scene.respond(number, invites[number], 180)
    assert scene.statuses(scene.alice) == [180, 180]
    scene.respond(1, invites[1], 200)
    assert scene.statuses(scene.alice) == [200]
    assert [scene.methods(number) for number in range(3)] == [["CANCEL"], [], []]
    scene.respond(2, invites[2], 180)  # it was not heard before
    assert scene.methods(2) == ["CANCEL"]
    for number in (0, 2):
        scene.respond(number, invites[number], 487)
        assert scene.methods(number) == ["ACK"]
    assert 487 not in scene.statuses(scene.alice)
    scene.wait(GIVE_UP + 6)
    assert scene.at_rest()


def test_two_that_answer_at_the_same_time_both_reach_the_caller() -> None:
    scene = Forked(1.0, 1.0)
    invites = scene.invites()
    for number in (0, 1):
        scene.respond(number, invites[number], 200)
    first, second = scene.heard(scene.alice)
    assert {first.to.tag, second.to.tag} == {"tag-bob-5070", "tag-bob-5071"}


@pytest.mark.parametrize(
    ("codes", "best"),
    [
        ((486, 404), 486),
        ((480, 486), 486),
        ((408, 480), 408),
        ((486, 302), 302),
        ((503, 486), 486),
        ((500, 486), 486),
        ((500, 503), 500),
        ((486, 415), 415),
        ((404, 600), 600),
        ((503, 503), 500),
    ],
)
def test_the_best_of_their_refusals_goes_back_when_all_are_there(codes: tuple[int, int], best: int) -> None:
    scene = Forked(1.0, 1.0)
    invites = scene.invites()
    for number, code in enumerate(codes):
        assert scene.statuses(scene.alice) == []
        scene.respond(number, invites[number], code)
    assert scene.statuses(scene.alice) == [best]


def test_one_that_declines_for_all_stops_the_others() -> None:
    scene = Forked(1.0, 1.0, 0.5)
    invites = scene.invites()
    scene.respond(0, invites[0], 180)
    scene.heard(scene.alice)
    scene.respond(1, invites[1], 603)
    assert "CANCEL" in scene.methods(0)
    assert scene.statuses(scene.alice) == []
    scene.respond(0, invites[0], 487)
    assert scene.statuses(scene.alice) == [603]
    assert scene.methods(2) == []


def test_the_challenges_of_all_are_gathered() -> None:
    scene = Forked(1.0, 1.0)
    invites = scene.invites()
    scene.respond(0, invites[0], 401, 'WWW-Authenticate: Digest realm="a", nonce="1"')
    scene.respond(1, invites[1], 407, 'Proxy-Authenticate: Digest realm="b", nonce="2"')
    (response,) = scene.heard(scene.alice)
    assert response.headers.lines("WWW-Authenticate") == ['Digest realm="a", nonce="1"']
    assert response.headers.lines("Proxy-Authenticate") == ['Digest realm="b", nonce="2"']


def test_those_of_a_lower_preference_are_tried_after_the_others() -> None:
    scene = Forked(0.2, 0.9, 0.9)
    low, *high = scene.invites()
    assert low is None
    scene.respond(1, high[0], 486)
    assert scene.invites()[0] is None
    scene.respond(2, high[1], 404)
    (invite,) = [each for each in scene.heard(scene.phones[0]) if isinstance(each, Request)]
    scene.respond(0, invite, 200)
    assert scene.statuses(scene.alice) == [200]


def test_a_cancel_stops_all_and_no_more_are_tried() -> None:
    scene = Forked(1.0, 1.0, 0.1)
    invites = scene.invites()
    for number in (0, 1):
        scene.respond(number, invites[number], 180)
    scene.say(scene.alice, scene.alice.request("CANCEL", f"sip:bob@{DOMAIN}", call_id="call", branch="z9hG4bKcall"))
    assert [scene.methods(number) for number in range(3)] == [["CANCEL"], ["CANCEL"], []]
    for number in (0, 1):
        scene.respond(number, invites[number], 487)
    assert scene.statuses(scene.alice) == [180, 180, 200, 487]
    assert scene.methods(2) == []


def test_of_a_text_to_several_the_first_answer_goes_back_alone() -> None:
    scene = Forked(1.0, 1.0, method="MESSAGE")
    requests = scene.invites()
    for number in (0, 1):
        scene.respond(number, requests[number], 200)
    assert scene.statuses(scene.alice) == [200]
    assert [scene.methods(number) for number in (0, 1)] == [[], []]


def test_the_breadth_of_a_request_is_shared_out_and_ends() -> None:
    scene = Forked(1.0, 1.0)
    assert [each.headers.get("Max-Breadth") for each in scene.invites() if each] == [str(MAX_BREADTH // 2)] * 2
    request = scene.alice.request("OPTIONS", f"sip:bob@{DOMAIN}", "Max-Breadth: 1")
    assert scene.ask(scene.alice, request).status == 440
    assert MAX_CONTACTS <= MAX_BREADTH
