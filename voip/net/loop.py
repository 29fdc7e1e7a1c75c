"""The event loop of the network thread: sockets, timers, calls posted by other threads. It knows no protocol.

What it calls is guarded, each call by itself: one that fails ends neither the loop nor what else is due.

Everything that is registered here is touched on the loop's thread only; `post` is the way in from any other.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

MAX_SLEEP = 1.0
"""Seconds after which the loop looks at its clock again, whatever it waits for."""
WAKE_UP_BYTES = 1 << 16
"""Bytes read at once from the wake-up socket; each posted call writes one."""

PAUSE = 0.1
"""Seconds in which a socket or a participant is left alone after a failure: it may fail again at once, for ever."""
FEW_STREAMS = 8
"""Streams up to which each datagram is read as soon as it comes."""
GATHER = 0.004
"""Seconds for which datagrams of more streams gather before they are read: a wake-up for each would cost as much as
what is done with it."""
GATHERED = 0.010
"""Seconds from the arrival of a datagram that has gathered with others until it has been read: GATHER, and what it
takes to read some hundred others."""

Callback = Callable[[], None]
Guard = Callable[..., bool]
"""Calls its second argument with those after it; whether that succeeded. The first says what it is, for people."""


def unguarded(what: str, function: Callable[..., object], *args: object) -> bool:
    """The guard of a loop whose owner wants to see each failure."""
    function(*args)
    return True


class Participant(Protocol):
    """A part of the program with timers of its own, or with output that calls of others may cause."""

    def next_timer(self) -> float | None:
        """When `handle_timer` is due, by the clock of the loop; None: never. Called on every wake-up: keep it cheap."""

    def handle_timer(self, now: float) -> None:
        """Called when `next_timer` is due."""

    def flush(self) -> None:
        """Send what is waiting to be sent. Called after posted calls and timers."""


class EventLoop:
    """Waits for sockets and timers, and calls what was registered for them.

    Registering belongs to the loop's thread, or to the main thread before `run`.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        guard: Guard = unguarded,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.now, self._guard, self._sleep = clock, guard, sleep
        """The clock of all timers, in seconds."""
        self._streams = 0
        self._selector = selectors.DefaultSelector()
        self._participants: tuple[Participant, ...] = ()
        self._paused: dict[Participant, float] = {}
        self._calls_later: list[tuple[float, int, Callback]] = []
        self._sequence = itertools.count()
        self._posted: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._sleeper, self._waker = socket.socketpair()
        self._sleeper.setblocking(False)
        self._waker.setblocking(False)
        self.register(self._sleeper, self._wake_up)

    # --- registering ----------------------------------------------------------------------------------------------

    def register(self, sock: socket.socket, on_ready: Callback, *, writing: bool = False) -> None:
        """Call `on_ready` whenever `sock` can be read, or, if `writing`, written. One callback per socket."""
        self._selector.register(sock, _events(writing), on_ready)

    def modify(self, sock: socket.socket, on_ready: Callback, *, writing: bool) -> None:
        """Change the callback of a registered socket, and whether it waits for the socket to be writable."""
        self._selector.modify(sock, _events(writing), on_ready)

    def unregister(self, sock: socket.socket) -> None:
        """Stop waiting for this socket. Unknown and closed ones are ignored."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(sock)

    @property
    def gathering(self) -> float:
        """Seconds from the arrival of a datagram within which it is read, as far as the machine is up to it, beyond
        those that it takes if each is read at once."""
        return GATHERED if self._streams > FEW_STREAMS else 0.0

    def count_streams(self, more: int) -> None:
        """So many more sockets than so far have a stream (less: negative), of which it is known when each datagram
        arrived, however late it is read."""
        self._streams += more

    def add(self, participant: Participant) -> None:
        self._participants = (*self._participants, participant)

    def remove(self, participant: Participant) -> None:
        self._participants = tuple(each for each in self._participants if each is not participant)
        self._paused.pop(participant, None)

    def call_later(self, delay: float, function: Callback) -> None:
        """Call `function()` `delay` seconds from now. The loop's thread only."""
        heapq.heappush(self._calls_later, (self.now() + delay, next(self._sequence), function))

    def post(self, function: Callable[..., object], *args: object) -> None:
        """Call `function(*args)` on the loop's thread, in order of posting; callable from any thread."""
        self._posted.append((function, args))
        with contextlib.suppress(OSError):  # full: it will wake up anyway; closed: the loop has ended
            self._waker.send(b"\0")

    # --- the thread -----------------------------------------------------------------------------------------------

    def run(self, stopped: Callable[[], bool]) -> None:
        """Serve until `stopped()`, and run all that was posted before; `post` wakes the loop to look."""
        while not stopped():
            self.turn(MAX_SLEEP)
        self._run_posted()
        self.flush()

    def turn(self, longest: float) -> None:
        """One turn: posted calls, timers that are due, then sockets, waited for `longest` seconds at most.

        Participants are flushed after the first two only: media wakes the loop a hundred times a second and leaves
        nothing to flush. Callbacks of sockets that do call `flush` themselves.
        """
        if self._posted:
            self._run_posted()
            self.flush()
        left = self._next_due() - self.now()
        if left <= 0.0:
            self._run_timers()
            self.flush()
        ready = self._selector.select(0.0 if self._posted else min(max(left, 0.0), longest))
        for key, _ in ready:
            if not self._guard("what came by a socket", key.data):
                self._pause_socket(key)
        if ready and self.gathering:
            self._sleep(GATHER)

    def flush(self) -> None:
        """Let every participant send what it has to send. The loop's thread only."""
        for participant in self._participants:
            self._guard("a message to send", participant.flush)

    def close(self) -> None:
        """Stop waiting for anything, after the thread has ended. Registered sockets stay open."""
        self._selector.close()
        self._sleeper.close()
        self._waker.close()

    def _next_due(self) -> float:
        """When the first of all timers is due."""
        due = self._calls_later[0][0] if self._calls_later else math.inf
        for participant in self._participants:
            timer = self._due_of(participant)
            if timer is not None and timer < due:
                due = timer
        return due

    def _run_posted(self) -> None:
        for _ in range(len(self._posted)):
            function, args = self._posted.popleft()
            self._guard("a posted call", function, *args)

    def _run_timers(self) -> None:
        now = self.now()
        while self._calls_later and self._calls_later[0][0] <= now:
            self._guard("a timer", heapq.heappop(self._calls_later)[2])
        for participant in self._participants:
            due = self._due_of(participant)
            if due is not None and due <= now:
                self._paused.pop(participant, None)
                if not self._guard("a timer", participant.handle_timer, now):
                    self._paused[participant] = now + PAUSE

    def _due_of(self, participant: Participant) -> float | None:
        """When its timer is due, later if that has just failed."""
        due: float | None = participant.next_timer()
        return due if due is None else max(due, self._paused.get(participant, due))

    def _pause_socket(self, key: selectors.SelectorKey) -> None:
        """Look at this socket again after a while, unless its owner has closed it or listens to it another way."""
        sock: socket.socket = key.fileobj  # type: ignore[assignment]
        if sock.fileno() < 0 or self._selector.get_map().get(sock) != key:
            return
        self.unregister(sock)

        def look_again() -> None:
            if sock.fileno() >= 0 and sock not in self._selector.get_map():
                self._selector.register(sock, key.events, key.data)

        self.call_later(PAUSE, look_again)

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._sleeper.recv(WAKE_UP_BYTES)


def _events(writing: bool) -> int:
    return selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
