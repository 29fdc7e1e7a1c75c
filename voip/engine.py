"""Threads and how they talk: mailboxes, shutdown, and the two threads that a sound device drives.

Every piece of state has one owner thread. Others reach it by mailbox ("run this on your thread") or read a frozen
snapshot; no lock is taken in a loop. The device is the clock: `Source.read` and `Sink.write` block until a block is
due, nothing else sleeps.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType

import numpy as np

from voip.audio import AudioReceiver, Digit, Fanout, Mixer, Mixture
from voip.conversation import Use
from voip.devices import PerCaller, Sink, Source, written_by
from voip.errors import (
    EXIT_BUG,
    EXIT_DEVICE,
    EXIT_INTERRUPTED,
    EXIT_NETWORK,
    EXIT_OK,
    EXIT_USAGE,
    DeviceError,
    NetworkError,
    VoipError,
)
from voip.jitter import DeviceClock
from voip.media import NegotiatedMedia
from voip.printable import printable

SWITCH_INTERVAL = 0.0005
"""Interpreter thread switch interval in seconds: at CPython's default of 5 ms a thread that wakes every 10 ms runs
milliseconds late beside one busy thread."""

PACKETS_BEHIND = 500
"""Packets of each stream that may wait for their owner before new ones are dropped and counted: commands never are."""

LAST_STANDARD_STREAM = 2
"""The file descriptor of stderr."""
GOODBYE_STEP = 0.01
"""Seconds between looks at what the end of the program waits for."""
STUCK_AFTER = 10.0
"""Seconds without a turn after which a thread counts as stuck: the longest that a loop may take is about a second."""
LOOK_AT_MOST = 0.5
"""Seconds between two looks at the threads that count, at most."""
NETWORK = "network"
"""The name of the thread that no sound device drives."""
IDLE_POLL = 0.01
"""Seconds between looks at a request to stop while there is nothing to send."""


class Mailbox:
    """Calls to be run, in order, on the thread that owns the mailbox."""

    def __init__(self, streams: Callable[[], int] = lambda: 1) -> None:
        """`streams`: how many have packets that come here."""
        self._streams = streams
        self._calls: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self.overruns = 0

    def post(self, function: Callable[..., object], *args: object) -> None:
        """Run `function(*args)` on the owner's thread; never dropped."""
        self._calls.append((function, args))

    def post_packet(self, function: Callable[..., object], *args: object) -> None:
        """As `post`, but dropped and counted in `overruns` when the owner has fallen far behind."""
        waiting = len(self._calls)
        if waiting > PACKETS_BEHIND and waiting > PACKETS_BEHIND * self._streams():
            self.overruns += 1
            return
        self.post(function, *args)

    def run(self) -> None:
        """Run what has been posted so far; called by the owner, between blocks."""
        for _ in range(len(self._calls)):
            function, args = self._calls.popleft()
            function(*args)


class Shutdown:
    """Stopping in two steps: `request` asks (calls hang up, reports are made), `stop` ends the threads.

    The first request gives the exit status and its error text. `interrupt` is the signal handler: the first signal is
    a request, Ctrl+C after a signal stops all waiting. `wait` and `pause` are for one thread, the main one.

    No locks and no `threading.Event`: a handler runs between any two steps of the main thread, and would wait for ever
    for a lock that is held by what it has interrupted. `SimpleQueue.put` is made for that.
    """

    def __init__(self) -> None:
        self._requested = self._signalled = self._impatient = self._stopped = False
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._caught: list[signal.Signals] = []
        self.status = EXIT_OK
        self.error: str | None = None

    def request(self, status: int = EXIT_OK, error: str | None = None) -> None:
        if not self._requested or (self.status == EXIT_OK and status != EXIT_OK):
            self.status, self.error = status, error
        self._requested = True
        self._news.put(None)

    def interrupt(self, signum: int = 0, frame: FrameType | None = None) -> None:
        if self._signalled and signum == signal.SIGINT:
            self.status = EXIT_INTERRUPTED
            self._impatient = True
        self._signalled = self._requested = True
        self._news.put(None)

    def requested(self) -> bool:
        return self._requested

    def signalled(self) -> bool:
        """It was the user, or the system, who asked."""
        return self._signalled

    def impatient(self) -> bool:
        return self._impatient

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for a request; True when it has come."""
        if not self._requested:
            self._rest(timeout)
        return self._requested

    def pause(self) -> None:
        """A short wait inside the goodbye, cut short by a second Ctrl+C."""
        if not self._impatient:
            self._rest(GOODBYE_STEP)

    def _rest(self, timeout: float) -> None:
        with contextlib.suppress(queue.Empty):
            self._news.get(timeout=timeout)

    def stop(self) -> None:
        self._stopped = True

    def stopped(self) -> bool:
        return self._stopped

    def catch_signals(self) -> None:
        """SIGINT, SIGTERM and, unless `nohup` started us, SIGHUP ask to stop. Main thread only."""
        hang_up = getattr(signal, "SIGHUP", None)  # Windows has none
        self._caught = [signal.SIGINT, signal.SIGTERM]
        if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:
            self._caught.append(hang_up)
        for each in self._caught:
            signal.signal(each, self.interrupt)

    def ignore_signals(self) -> None:
        """All is done and the exit status decided: while the interpreter ends, it would be killed by one of those."""
        for each in self._caught:
            signal.signal(each, signal.SIG_IGN)


class Worker:
    """A named thread around one loop; whatever escapes the loop stops the program with a fitting exit status.

    The loop asks at each turn whether to go on: `turns` counts how often it has called its arguments. `stuck` is set
    for a thread that does not turn any more, which is not waited for.
    """

    def __init__(self, name: str, shutdown: Shutdown, loop: Callable[..., None], *args: Callable[[], object]) -> None:
        self.name, self.turns, self.stuck = name, 0, False
        self._loop, self._args, self._shutdown = loop, [self._counted(each) for each in args], shutdown
        self._thread = threading.Thread(target=self._run, name=name)

    @property
    def running(self) -> bool:
        """Whether the loop has begun, and has not ended."""
        return self._thread.is_alive()

    def give_up(self) -> None:
        """It does not turn any more: ask the program to stop, and say where it stands."""
        self.stuck = True
        frame = sys._current_frames().get(self._thread.ident or 0)
        where = "" if frame is None else f" (in {frame.f_code.co_name}, {Path(frame.f_code.co_filename).name})"
        text = f"the {self.name} thread has stood still for {STUCK_AFTER:.0f} s{where}"
        if self.name == NETWORK:
            self._shutdown.request(EXIT_BUG, text)
        else:
            self._shutdown.request(EXIT_DEVICE, f"{text}: the sound device or file does not respond")

    def _counted(self, function: Callable[[], object]) -> Callable[[], object]:
        def call() -> object:
            self.turns += 1
            return function()

        return call

    def _run(self) -> None:
        try:
            self._loop(*self._args)
        except DeviceError as error:
            self._shutdown.request(EXIT_DEVICE, str(error))
        except NetworkError as error:
            self._shutdown.request(EXIT_NETWORK, str(error))
        except VoipError as error:
            self._shutdown.request(EXIT_USAGE, str(error))
        except Exception as error:  # a bug: said in full, and never survived half alive
            sys.stderr.write(printable(traceback.format_exc()))  # it may quote what a peer wrote
            text = f"{type(error).__name__} in the {self._thread.name} thread (a bug): {error}"
            self._shutdown.request(EXIT_BUG, text)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self._shutdown.request(EXIT_BUG)
            self._shutdown.stop()
        self._thread.join(0.0 if self.stuck else STUCK_AFTER)
        if self.running and not self.stuck:
            self.give_up()


class Watchdog:
    """Finds threads that are stuck: the main thread's. A program that only seems to run is worse than one that ends."""

    def __init__(self, workers: Sequence[Worker], now: float) -> None:
        self._workers, self._looked_at = workers, now
        self._seen = {worker.name: (worker.turns, 0.0) for worker in workers}

    def check(self, now: float) -> None:
        """Give up threads that have not turned for STUCK_AFTER. To be called several times a second.

        Of the time since the last look LOOK_AT_MOST counts: in a process that was suspended as a whole none is stuck.
        """
        ran, self._looked_at = min(now - self._looked_at, LOOK_AT_MOST), now
        for worker in self._workers:
            turns, stood = self._seen[worker.name]
            stood = stood + ran if worker.running and worker.turns == turns else 0.0
            self._seen[worker.name] = worker.turns, stood
            if stood > STUCK_AFTER and not worker.stuck:
                worker.give_up()

    @property
    def left_behind(self) -> bool:
        """Whether a thread goes on, or stands, that nothing waits for."""
        return any(worker.stuck and worker.running for worker in self._workers)


@contextlib.contextmanager
def together(workers: Iterable[Worker]) -> Iterator[None]:
    """All of them run while the block does; then each is waited for."""
    with contextlib.ExitStack() as running:
        for worker in workers:
            running.enter_context(worker)
        yield


def tune_interpreter() -> None:
    """Make the interpreter fit for threads that wake every few milliseconds; called once at the start."""
    sys.setswitchinterval(SWITCH_INTERVAL)


def fill_standard_streams() -> None:
    """Open what is closed of stdin, stdout and stderr, or the first sockets would take their numbers."""
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= LAST_STANDARD_STREAM:
        fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)


class Playback:
    """The playback thread's state: the sink and the mixer of what is heard. Others reach it through `mailbox`."""

    def __init__(
        self,
        sink: Sink,
        *,
        latency: float | None,
        latency_max: float,
        use: Use = Use.CONVERSATION,
        recorder: PerCaller | None = None,
        forward: Callable[[Mixture], object] = lambda mixture: None,
    ) -> None:
        """`recorder` records each stream by itself; `forward` is given each block before it is heard."""
        self.sink, self.mixer = sink, Mixer()
        self.mailbox = Mailbox(lambda: self.mixer.streams)
        self._latency, self.latency_max, self._use = latency, latency_max, use
        self._recorder, self._forward = recorder, forward
        self._device = DeviceClock()

    @property
    def files(self) -> tuple[Path, ...]:
        """What was recorded so far, all together and each caller. Any thread may ask."""
        return written_by(self.sink) + written_by(self._recorder)

    def begin(
        self,
        key: str,
        media: NegotiatedMedia,
        on_digit: Callable[[Digit], object] = lambda digit: None,
        peer: str = "",
    ) -> None:
        """A stream joins; a file that has no format yet takes the stream's own. `on_digit` is told its keys; `peer` is
        who sends it."""
        if self._recorder is not None:
            self._recorder.name(key, peer)
        self.sink.configure(media.audio.codec.sample_rate, media.audio.codec.channels)
        receiver = AudioReceiver(
            media,
            sample_rate=self.sink.sample_rate,
            channels=self.sink.channels,
            latency=self._latency,
            latency_max=self.latency_max,
            use=self._use,
            on_digit=on_digit,
            device=self._device,
        )
        self.mixer.add(key, receiver)

    def run(self, stopped: Callable[[], bool], between: Callable[[], object] = lambda: None) -> None:
        """The loop: one block per turn, paced by the sink; `between` is called when one has been handed over.

        A call begins for the sink with its first packet: a recording is neither created nor replaced for one without.
        """
        try:
            while not stopped():
                self.mailbox.run()
                now = time.monotonic() - self.sink.lateness
                self._device.pull(self.sink.block / self.sink.sample_rate, now)
                if self.mixer.idle:
                    self._rest()
                else:
                    self._play(now)
                between()
            self.mailbox.run()
        finally:
            if self._recorder is not None:
                self._recorder.close()
            self.sink.close()

    def _rest(self) -> None:
        """Let the time of a block pass without a stream."""
        if self._recorder is not None:
            self._recorder.rest()
        self.sink.idle()

    def _play(self, now: float) -> None:
        waiting, mixture = self.mixer.waiting, self.mixer.take(self.sink.block, now)
        self._forward(mixture)
        if self._recorder is not None:
            self._recorder.hear(mixture.streams, self.mixer.has_begun, self.sink.sample_rate)
        if waiting:
            self.sink.idle()
        else:
            self.sink.write(self.mixer.limit(mixture))
        if not self.sink.available:
            self.mixer.note_unheard(self.sink.block / self.sink.sample_rate)


class Capture:
    """The capture thread's state: the source and the streams that it feeds. Others reach it by `post`.

    Streams come and go at any time. The input begins with the first of them and is sent once, to all that are there
    while it lasts; with `again` it begins anew whenever a stream joins and there was none.
    """

    def __init__(self, source: Source, *, duration: float | None = None, again: bool = False) -> None:
        """`duration`: seconds after which the input ends."""
        self.source, self.fanout = source, Fanout(source.sample_rate, source.channels)
        self._again = again
        self._mailbox, self._posted = Mailbox(), threading.Event()
        self._left = None if duration is None else round(duration * source.sample_rate)  # samples
        self.muted = False
        """Silence is sent in place of the input. Any thread may read it."""

    def mute(self, muted: bool) -> None:
        """Send silence in place of the input from the next block on, or the input again; callable from any thread."""
        self.muted = muted

    def post(self, function: Callable[..., object], *args: object) -> None:
        """Run `function(*args)` on the capture thread, soon; callable from any thread."""
        self._mailbox.post(function, *args)
        self._posted.set()

    def run(
        self,
        silenced: Callable[[], bool],
        stopped: Callable[[], bool],
        at_end: Callable[[], object] = lambda: None,
        between: Callable[[], object] = lambda: None,
    ) -> None:
        """The thread: feeds its streams until `silenced` or the end of the input, then `at_end`; ends with `stopped`.

        Until then it still serves its mailbox, which is how the last figures of a stream are asked for. `between` is
        called when a block has been sent, and while there is none to send.
        """
        try:
            while not silenced():
                self._mailbox.run()
                if self.fanout.idle:
                    between()
                    self._wait()
                    continue
                self._send(silenced, between)
                if not self._again:
                    break
                while not self.fanout.idle and not silenced():  # a pipe has ended before the call
                    self._mailbox.run()
                    self._wait()
            self._transmit(self.fanout.finish())  # all streams at once: one that leaves first would lack the last sound
        finally:
            self.source.close()
        at_end()
        while not stopped():
            self._mailbox.run()
            between()
            self._wait()

    def _wait(self) -> None:
        """Until something is posted, or for the time after which it is worth looking whether the program ends."""
        self._posted.wait(IDLE_POLL)
        self._posted.clear()

    def _send(self, silenced: Callable[[], bool], between: Callable[[], object]) -> None:
        """One block per turn, paced by the source."""
        self.source.start()
        while not silenced() and (self._left is None or self._left > 0):
            self._mailbox.run()
            if self._again and self.fanout.idle:
                return
            pcm = self.source.read()
            if pcm is None:
                return
            if self.muted:
                pcm = np.zeros_like(pcm)
            self._transmit(self.fanout.write(pcm[: self._left], time.monotonic()))
            between()
            if self._left is not None:
                self._left -= len(pcm)

    @staticmethod
    def _transmit(outgoing: list[tuple[Callable[[bytes], None], bytes]]) -> None:
        for send, datagram in outgoing:
            send(datagram)
