"""Which worker gets a message: that which has its Call-ID, or the one with the most room."""

from __future__ import annotations

import random

from voip.sip import Address
from voip.workers import Placement
from voip.workers.placement import MOST_REMEMBERED, REMEMBERED

PBX = Address("udp", "192.0.2.1", 5060)


def placement(*shares: int) -> Placement:
    found = Placement(shares)
    for worker in range(len(shares)):
        found.started(worker)
    return found


class Worker:
    """The worker's side: what it was sent, and what it says of that."""

    def __init__(self, of: Placement, number: int) -> None:
        self._of, self._number, self.handled = of, number, 0

    def invite(self, call_id: str, now: float = 0.0) -> None:
        self._of.note_sent(self._number, call_id, PBX, now, asks=True)
        self.handled += 1

    def take(self, call_id: str, now: float = 0.0) -> None:
        self._of.note_state(self._number, self.handled, [call_id], [], now)

    def refuse(self, now: float = 0.0) -> None:
        self._of.note_state(self._number, self.handled, [], [], now)

    def end(self, call_id: str, now: float = 0.0) -> None:
        self._of.note_state(self._number, self.handled, [], [call_id], now)


def test_calls_of_one_exchange_are_shared_evenly_though_no_worker_has_said_anything_yet() -> None:
    """A burst: 10 INVITEs before the first word of a worker."""
    desk = placement(5, 5)
    workers = [Worker(desk, number) for number in range(2)]
    got = []
    for n in range(10):
        worker = desk.choose(PBX.host)
        assert worker is not None
        workers[worker].invite(f"call-{n}")
        got.append(worker)
    assert (got.count(0), got.count(1)) == (5, 5)


def test_every_message_of_a_call_goes_to_its_worker_for_hours() -> None:
    desk = placement(2, 2)
    first, second = Worker(desk, 0), Worker(desk, 1)
    second.invite("a")
    second.take("a")
    first.invite("b")
    first.take("b")
    assert (desk.worker_of("a", 9999.0), desk.worker_of("b", 9999.0)) == (1, 0)
    assert desk.calls == [1, 1]


def test_after_a_call_its_worker_still_gets_what_is_repeated_and_then_forgets() -> None:
    desk = placement(1, 1)
    worker = Worker(desk, 0)
    worker.invite("a")
    worker.take("a", 1.0)
    worker.end("a", 100.0)
    assert desk.calls == [0, 0]
    assert desk.worker_of("a", 100.0 + REMEMBERED - 1) == 0
    assert desk.worker_of("a", 100.0 + REMEMBERED) is None


def test_a_challenged_invite_takes_no_room_and_its_second_try_finds_the_same_worker() -> None:
    """401, then the same Call-ID with credentials: whoever has given the nonce checks it."""
    desk = placement(1, 1)
    worker = Worker(desk, 0)
    worker.invite("a")
    assert desk.choose("x") == 1
    worker.refuse()
    Worker(desk, 1).invite("b")
    assert desk.choose("x") == 0
    assert desk.worker_of("a", 1.0) == 0


def test_calls_that_never_overlap_are_shared_too() -> None:
    """Setting them up costs, and what is over is kept for a while."""
    desk = placement(9, 9, 9)
    workers = [Worker(desk, number) for number in range(3)]
    got = []
    for n in range(9):
        chosen = desk.choose(PBX.host)
        assert chosen is not None
        got.append(chosen)
        workers[chosen].invite(f"call-{n}")
        workers[chosen].take(f"call-{n}")
        workers[chosen].end(f"call-{n}")
    assert [got.count(number) for number in range(3)] == [3, 3, 3]


def test_an_invite_within_a_call_takes_no_more_room() -> None:
    desk = placement(3, 1)
    worker = Worker(desk, 0)
    worker.invite("a")
    worker.take("a")
    for _ in range(5):
        worker.invite("a")
    assert desk.choose("x") == 0


def test_where_all_are_full_the_worker_is_asked_that_has_a_call_of_the_same_host() -> None:
    """It may have been started again without a BYE: its old call makes room there, and only there."""
    desk = placement(1, 1, 1)
    for number, host in enumerate(("10.0.0.1", "10.0.0.2", "10.0.0.3")):
        desk.note_sent(number, host, Address("udp", host, 5060), 0.0, asks=True)
        desk.note_state(number, 1, [host], [], 0.0)
    assert [desk.choose(f"10.0.0.{n}") for n in (1, 2, 3)] == [0, 1, 2]
    assert desk.choose("10.0.0.9") is not None


def test_a_dead_worker_gets_nothing_and_what_it_had_is_told_once() -> None:
    desk = placement(2, 2)
    worker = Worker(desk, 0)
    worker.invite("a")
    worker.take("a")
    worker.invite("b")
    assert desk.lost(0) == ("a",)
    assert desk.lost(0) == ()
    assert desk.worker_of("a", 1.0) is desk.worker_of("b", 1.0) is None
    assert {desk.choose("x") for _ in range(3)} == {1}
    desk.lost(1)
    assert desk.choose("x") is None
    desk.started(0)
    assert desk.choose("x") == 0
    assert desk.calls == [0, 0]


def test_a_new_process_counts_messages_anew() -> None:
    """What the one before it had handled says nothing of what this one was asked."""
    desk = placement(2)
    desk.note_state(0, 50, [], [], 0.0)
    desk.lost(0)
    desk.started(0)
    desk.note_sent(0, "a", PBX, 0.0, asks=True)
    desk.note_sent(0, "b", PBX, 0.0, asks=True)
    desk.note_state(0, 1, ["a"], [], 0.0)
    assert desk.calls == [1]
    desk.note_sent(0, "c", PBX, 0.0, asks=True)
    desk.note_state(0, 3, [], ["a"], 0.0)
    assert desk.calls == [0]


def test_a_flood_of_new_call_ids_does_not_grow_without_limit_nor_touch_calls() -> None:
    desk = placement(2, 2)
    worker = Worker(desk, 0)
    worker.invite("a")
    worker.take("a")
    for n in range(MOST_REMEMBERED + 500):
        desk.note_sent(1, f"flood-{n}", PBX, 1.0, asks=False)
    assert len(desk._recent) == MOST_REMEMBERED
    assert desk.worker_of("a", 2.0) == 0


def test_random_lives_of_calls_leave_no_trace_and_never_exceed_a_share() -> None:
    rng = random.Random(13)
    shares = (7, 6, 6)
    desk = placement(*shares)
    workers = [Worker(desk, number) for number in range(3)]
    up: dict[str, int] = {}
    for n in range(5000):
        now = n / 10
        if up and rng.random() < 0.5:
            call_id = rng.choice(list(up))
            assert desk.worker_of(call_id, now) == up[call_id]
            workers[up.pop(call_id)].end(call_id, now)
            continue
        worker = desk.choose(PBX.host)
        assert worker is not None
        workers[worker].invite(f"call-{n}", now)
        if sum(desk.calls) == sum(shares) or rng.random() < 0.2:
            workers[worker].refuse(now)
        else:
            workers[worker].take(f"call-{n}", now)
            up[f"call-{n}"] = worker
        assert all(count <= share for count, share in zip(desk.calls, shares, strict=True))
    for call_id, worker in up.items():
        workers[worker].end(call_id, 500.0)
    assert desk.calls == [0, 0, 0]
    desk.remember("last", 0, PBX, 9999.0)
    assert [*desk._recent] == ["last"]
