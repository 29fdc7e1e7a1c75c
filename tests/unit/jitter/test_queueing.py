"""A queue on the path that has been emptied, by how much later than the fastest packets the others came."""

from __future__ import annotations

import random
from collections.abc import Callable

from voip.jitter.queueing import QueueWatch

PTIME = 0.02


def watch(beyond: Callable[[float], float], seconds: float) -> list[tuple[float, float]]:
    """Packets each PTIME, late by what a function of the time of sending says: when a queue was over, since when."""
    queue, found = QueueWatch(), []
    for index in range(round(seconds / PTIME)):
        sent = index * PTIME
        late = beyond(sent)
        since = queue.add(late, sent + late, sent)
        if since is not None:
            found.append((sent, since))
    return found


def began(under_way: Callable[[float], float], seconds: float) -> list[tuple[float, float]]:
    """The same of a stream of which nothing is known before: packets are late beyond the fastest so far."""
    queue, found, fastest = QueueWatch(), [], float("inf")
    for index in range(round(seconds / PTIME)):
        sent = index * PTIME
        transit = under_way(sent)
        fastest = min(fastest, transit)
        since = queue.add(transit - fastest, sent + transit, sent)
        if since is not None:
            found.append((sent, since))
    return found


def late_by(each: list[float]) -> Callable[[float], float]:
    """How long each packet is under way."""
    return lambda sent: each[round(sent / PTIME)]


def hump(sent: float, rest: float = 0.0) -> float:
    """A queue that grows for a second, from the first second on, and is empty at 3 s, but for a rest."""
    return max(rest if sent > 1.0 else 0.0, 0.5 - abs(0.5 * (sent - 2.0)))


def test_a_queue_is_over_when_packets_come_in_time_again() -> None:
    ((at, since),) = watch(hump, 5.0)
    assert 2.9 < at < 3.1
    assert 1.1 < since < 1.4


def test_longer_packets_which_come_later_are_no_queue_for_ever() -> None:
    """The sender has made them 60 ms long meanwhile, and the line takes its time for each."""
    ((at, since),) = watch(lambda sent: hump(sent, rest=0.055), 8.0)
    assert 3.0 < at < 4.2
    assert 1.1 < since < 1.4


def test_a_queue_that_stays_is_not_over() -> None:
    assert watch(lambda sent: min(0.2, 0.1 * sent), 20.0) == []


def test_what_was_held_back_and_comes_at_once_was_in_no_queue() -> None:
    assert watch(lambda sent: 2.0 - sent if 1.0 < sent < 2.0 else 0.0, 5.0) == []


def test_a_queue_that_comes_again_at_once_is_another_s_and_over_only_the_first_time() -> None:
    assert len(watch(lambda sent: hump(sent % 4.0), 30.0)) == 1
    assert len(watch(lambda sent: hump(sent % 12.0), 36.0)) == 3


def test_a_queue_that_others_keep_full_is_not_over_when_it_is_shorter_for_a_while() -> None:
    """A TCP halves what it sends now and then; by then the fastest of the last ten seconds were in its queue, too."""
    queue, found = QueueWatch(), []
    for index in range(2500):
        sent = index * PTIME
        late = 0.0 if sent < 1.0 else min(0.7, sent - 1.0) + 0.05 * (sent % 5.0)
        fastest = 0.0 if sent < 11.0 else 0.7
        since = queue.add(late - fastest, sent + late, sent)
        found += [] if since is None else [since]
    assert found == []


def test_a_stream_that_begins_in_a_queue_is_in_none_when_that_is_empty() -> None:
    """That of its key exchange, which is emptied within two seconds as less is sent."""
    ((at, since),) = began(lambda sent: max(0.0, 0.2 - 0.1 * sent), 10.0)
    assert 4.0 <= at <= 4.3
    assert since == 0.2


def test_the_queue_that_a_stream_begins_in_may_grow_at_first() -> None:
    """Until the sender has been told of it: it is empty at 3 s."""
    at, since = began(lambda sent: max(0.0, 0.1 + (0.1 * sent if sent < 1.0 else 0.2 - 0.1 * sent)), 10.0)[-1]
    assert 4.0 <= at <= 4.3
    assert since == 0.1


def test_jitter_from_the_beginning_is_no_queue() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        late = [rng.expovariate(1 / 0.03) for _ in range(500)]
        assert began(late_by(late), 10.0) == []


def test_one_packet_that_comes_late_first_is_no_queue() -> None:
    assert began(lambda sent: 0.3 if sent < 0.1 else 0.0, 10.0) == []


def test_a_queue_that_comes_again_soon_after_the_first_is_another_s() -> None:
    late = [max(0.0, 0.2 - 0.1 * n * PTIME) if n < 150 else hump(n * PTIME - 2.0) for n in range(500)]
    assert len(began(late_by(late), 10.0)) == 1


def test_a_clock_that_runs_too_fast_for_a_minute_is_no_queue() -> None:
    """Each packet is faster than all before it, and nothing of that is kept for longer."""
    queue, found = QueueWatch(), []
    for index in range(round(70.0 / PTIME)):
        sent = index * PTIME
        found.append(queue.add(0.0, 2.0 + 0.8 * sent, sent))
    assert set(found) == {None}
