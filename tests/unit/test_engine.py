"""Mailboxes, the two steps of stopping, and workers whose failures are never survived half alive."""

from __future__ import annotations

import faulthandler
import queue
import random
import signal
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from voip import codecs
from voip.audio import AudioSender, SharedEncoders
from voip.devices.paced import NullSink
from voip.dsp import Pcm
from voip.engine import PACKETS_BEHIND, STUCK_AFTER, Capture, Mailbox, Playback, Shutdown, Watchdog, Worker
from voip.errors import EXIT_BUG, EXIT_DEVICE, EXIT_INTERRUPTED, EXIT_NETWORK, DeviceError, NetworkError
from voip.media import AudioFormat, NegotiatedMedia

PATIENCE = 120.0


def test_a_mailbox_runs_calls_in_order_and_only_those_posted_before() -> None:
    mailbox, seen = Mailbox(), list[int]()

    def first() -> None:
        seen.append(1)
        mailbox.post(seen.append, 3)

    mailbox.post(first)
    mailbox.post(seen.append, 2)
    mailbox.run()
    assert seen == [1, 2]
    mailbox.run()
    assert seen == [1, 2, 3]


def test_packets_are_dropped_and_counted_when_the_owner_is_far_behind_but_commands_never() -> None:
    mailbox, seen = Mailbox(), list[int]()
    for number in range(PACKETS_BEHIND + 100):
        mailbox.post_packet(seen.append, number)
    mailbox.post(seen.append, -1)
    mailbox.run()
    assert mailbox.overruns == PACKETS_BEHIND + 100 - len(seen) + 1
    assert mailbox.overruns > 0
    assert seen[-1] == -1


def test_the_packets_of_many_streams_may_wait_together() -> None:
    mailbox, seen = Mailbox(lambda: 3), list[int]()
    for number in range(3 * PACKETS_BEHIND + 100):
        mailbox.post_packet(seen.append, number)
    mailbox.run()
    assert seen == [*range(3 * PACKETS_BEHIND + 1)]
    assert mailbox.overruns == 99


def test_the_first_failure_gives_the_exit_status() -> None:
    shutdown = Shutdown()
    shutdown.request(EXIT_DEVICE, "no speaker")
    shutdown.request(EXIT_BUG, "something else")
    assert (shutdown.status, shutdown.error) == (EXIT_DEVICE, "no speaker")
    assert shutdown.requested()
    assert not shutdown.stopped()


def test_a_second_interrupt_ends_the_waiting_with_its_own_status() -> None:
    shutdown = Shutdown()
    shutdown.interrupt(signal.SIGINT)
    assert shutdown.requested()
    assert not shutdown.impatient()
    shutdown.interrupt(signal.SIGINT)
    assert shutdown.impatient()
    assert shutdown.status == EXIT_INTERRUPTED


def test_a_device_failure_in_a_worker_stops_the_program_with_its_status() -> None:
    shutdown = Shutdown()

    def fail() -> None:
        raise DeviceError("the disk is full")

    with Worker("playback", shutdown, fail):
        shutdown.wait(10.0)
    assert (shutdown.status, shutdown.error) == (EXIT_DEVICE, "the disk is full")


def test_a_network_failure_in_a_worker_is_one_of_the_network() -> None:
    shutdown = Shutdown()

    def fail() -> None:
        raise NetworkError("no free media port")

    with Worker("network", shutdown, fail):
        shutdown.wait(10.0)
    assert (shutdown.status, shutdown.error) == (EXIT_NETWORK, "no free media port")


def test_a_bug_in_a_worker_is_shown_and_stops_the_program(capfd: pytest.CaptureFixture[str]) -> None:
    shutdown = Shutdown()

    def fail() -> None:
        raise ZeroDivisionError

    with Worker("capture", shutdown, fail):
        shutdown.wait(10.0)
    assert shutdown.status == EXIT_BUG
    assert "Traceback" in capfd.readouterr().err


@pytest.fixture
def signals() -> Iterator[None]:
    """What a test does to the handlers of these is undone."""
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for name, handler in before.items():
        signal.signal(name, handler)


@pytest.mark.usefixtures("signals")
def test_sighup_asks_to_stop_unless_nohup_has_switched_it_off() -> None:
    shutdown = Shutdown()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    shutdown.catch_signals()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in the background of a shell script
    shutdown.catch_signals()
    assert signal.getsignal(signal.SIGHUP) == signal.getsignal(signal.SIGINT) == shutdown.interrupt


@pytest.mark.usefixtures("signals")
def test_when_all_is_done_no_signal_changes_the_exit_status() -> None:
    shutdown, before = Shutdown(), signal.getsignal(signal.SIGTERM)
    shutdown.ignore_signals()
    assert signal.getsignal(signal.SIGTERM) is before, "those that were never caught are not ours"
    shutdown.catch_signals()
    shutdown.ignore_signals()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.raise_signal(each)
    assert not shutdown.requested()


def test_a_signal_at_any_moment_ends_the_waiting() -> None:
    """A handler that took a lock would now and then find it held by the very thread that it has interrupted."""
    rng, current = random.Random(1), Shutdown()
    before = signal.signal(signal.SIGALRM, lambda number, frame: current.interrupt(number, frame))
    faulthandler.dump_traceback_later(PATIENCE, exit=True)  # nothing else gets out of such a wait
    try:
        for _ in range(1000):
            current = Shutdown()
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0001, 0.0006))
            while not current.wait(0.00005):
                pass
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_ctrl_c_while_the_program_ends_by_itself_is_no_second_one() -> None:
    shutdown = Shutdown()
    shutdown.request()
    shutdown.interrupt(signal.SIGINT)
    assert (shutdown.impatient(), shutdown.status) == (False, 0)
    shutdown.interrupt(signal.SIGINT)
    assert (shutdown.impatient(), shutdown.status) == (True, EXIT_INTERRUPTED)


class Blocks:
    """A source of `count` silent blocks of 20 ms that never waits, and runs `turns` between them."""

    sample_rate, channels, block, description, available = 8000, 1, 160, "blocks", True
    live, xruns = False, 0

    def __init__(self, count: int, turns: Iterator[object]) -> None:
        self._count, self._turns = count, turns
        self._left = 0
        self.starts = 0
        self.closed = False

    def start(self) -> None:
        self.starts += 1
        self._left = self._count

    def read(self) -> Pcm | None:
        next(self._turns, None)
        self._left -= 1
        return None if self._left < 0 else np.zeros((self.block, 1), np.int16)

    def faults(self) -> str:
        return ""

    def close(self) -> None:
        self.closed = True


def audio_sender(encoders: SharedEncoders) -> AudioSender:
    codec = codecs.find("PCMU", 8000, 1)
    assert codec is not None
    media = NegotiatedMedia(AudioFormat(codec), 0, ("192.0.2.2", 5000))
    return AudioSender(media, sample_rate=8000, channels=1, rng=random.Random(1), encoders=encoders)


def test_an_input_is_sent_once_to_all_that_are_there_while_it_lasts() -> None:
    sent: dict[str, list[bytes]] = {"first": [], "second": []}

    def join(name: str) -> None:
        fanout = capture.fanout
        capture.post(lambda: fanout.add(name, audio_sender(fanout.encoders), sent[name].append))

    def turns() -> Iterator[None]:
        """The first leaves after 10 blocks; from then on nobody is there, until after 20 the second has joined."""
        for number in range(1, 31):
            if number == 10:
                capture.post(capture.fanout.remove, "first")
            elif number == 20:
                join("second")
            yield

    ends: list[bool] = []
    source = Blocks(30, turns())
    capture = Capture(source)
    join("first")
    capture.run(lambda: False, lambda: True, lambda: ends.append(source.closed))
    assert (source.starts, ends) == (1, [True])
    assert [len(datagrams) for datagrams in sent.values()] == [10, 10]


def test_a_capture_without_a_stream_does_not_begin_and_ends_when_asked() -> None:
    source, looks = Blocks(10, iter(())), iter(range(3))
    Capture(source).run(lambda: next(looks, None) is None, lambda: True)
    assert (source.starts, source.closed) == (0, True)


def test_what_is_done_between_blocks_comes_after_each_that_was_sent() -> None:
    sent: list[bytes] = []
    between: list[int] = []
    capture = Capture(Blocks(10, iter(())))
    fanout = capture.fanout
    capture.post(lambda: fanout.add("one", audio_sender(fanout.encoders), sent.append))
    capture.run(lambda: False, lambda: True, lambda: None, lambda: between.append(len(sent)))
    assert between == list(range(1, 11))


def test_what_is_done_between_blocks_comes_after_each_that_was_played() -> None:
    turns: list[str] = []
    sink = NullSink(rate=8000, channels=1, description="null", sleep=lambda seconds: turns.append("waited"))
    looks = iter(range(5))
    playback = Playback(sink, latency=None, latency_max=0.5)
    playback.run(lambda: next(looks, None) is None, lambda: turns.append("between"))
    assert turns[-1] == "between"
    assert turns.count("between") == 5


# --- threads that are stuck -------------------------------------------------------------------------------------------


class Looping:
    """A worker whose loop turns when the test says so, and a watchdog in virtual time."""

    def __init__(self, name: str) -> None:
        self.shutdown, self._go, self._turned = Shutdown(), queue.SimpleQueue[bool](), queue.SimpleQueue[None]()
        self.worker = Worker(name, self.shutdown, self._loop, self._go.get)
        self.watchdog, self.now = Watchdog([self.worker], 0.0), 0.0

    def _loop(self, goes_on: Callable[[], object]) -> None:
        while goes_on():
            self._turned.put(None)

    def turn(self) -> None:
        self._go.put(True)
        self._turned.get(timeout=PATIENCE)

    def end(self) -> None:
        self._go.put(False)

    def look(self, seconds: float, step: float) -> None:
        for _ in range(round(seconds / step)):
            self.now += step
            self.watchdog.check(self.now)


@pytest.mark.parametrize(
    ("name", "status"), [("playback", EXIT_DEVICE), ("capture", EXIT_DEVICE), ("network", EXIT_BUG)]
)
def test_a_thread_that_stands_still_ends_the_program_and_is_named(name: str, status: int) -> None:
    stuck = Looping(name)
    with stuck.worker:
        stuck.turn()
        stuck.look(0.9 * STUCK_AFTER, 0.1)
        assert not stuck.shutdown.requested()
        stuck.look(0.3 * STUCK_AFTER, 0.1)
        assert stuck.shutdown.status == status
        assert f"the {name} thread has stood still" in (stuck.shutdown.error or "")
    assert stuck.watchdog.left_behind  # and was not waited for
    stuck.end()


def test_a_thread_that_turns_now_and_then_is_not_stuck() -> None:
    slow = Looping("playback")
    with slow.worker:
        for _ in range(10):
            slow.turn()
            slow.look(0.9 * STUCK_AFTER, 0.1)
        slow.end()
    assert not slow.shutdown.requested()
    assert not slow.watchdog.left_behind


def test_a_process_that_was_suspended_as_a_whole_has_no_stuck_thread() -> None:
    suspended = Looping("playback")
    with suspended.worker:
        suspended.look(1.0, 0.1)
        suspended.look(3600.0, 3600.0)
        suspended.look(1.0, 0.1)
        suspended.end()
    assert not suspended.shutdown.requested()


def test_a_thread_that_has_ended_is_not_stuck() -> None:
    ended = Looping("capture")
    with ended.worker:
        ended.end()
    ended.look(2 * STUCK_AFTER, 0.1)
    assert not ended.shutdown.requested()
