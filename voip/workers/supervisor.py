"""The worker processes: started, watched, started again when they die, stopped.

Each is the same program, called as this one was, with a place in its environment that makes it a worker.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from voip.net import Frame, FrameStream
from voip.net.loop import EventLoop

LOOK_INTERVAL = 0.1
"""Seconds between looks whether a process has ended."""
LAST_LINES = 1.0
"""Seconds after the end of a process in which what it has written is read; a child of its own may keep that open."""
RESTARTS, RESTART_WINDOW = 3, 60.0
"""How often a worker is started again within how many seconds: what dies at once for ever is no help."""
READ_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class WorkerEnd:
    """A worker process has ended. `lost`: the Call-IDs of its calls; `again`: it is started again."""

    worker: int
    status: int
    """As of `subprocess`: negative, the number of the signal that has killed it."""
    lost: tuple[str, ...]
    again: bool
    ready: bool
    """Whether it had come so far as to take calls."""
    proven: bool
    """Whether it had, or one before it in its place: what never did would not the next time either."""


class Owner(Protocol):
    """What is told of the workers, on the network thread."""

    def on_event(self, worker: int, event: Mapping[str, Any]) -> None:
        """A line of JSON that a worker has written."""

    def on_talk(self, text: str) -> None:
        """Lines for people."""

    def on_end(self, end: WorkerEnd) -> None:
        """A worker has ended, told to or not."""


class Messages(Protocol):
    """What has the SIP messages for the workers, and from them."""

    def take(self, worker: int, frames: Sequence[Frame]) -> None:
        """What a worker has sent."""

    def started(self, worker: int) -> None:
        """It takes messages from now on."""

    def lost(self, worker: int) -> tuple[str, ...]:
        """It is gone; the Call-IDs of its calls."""


class _Lines:
    """Whole lines of what a process writes."""

    def __init__(self, loop: EventLoop, sock: socket.socket, on_lines: Callable[[bytes], object]) -> None:
        """`on_lines` gets what came together, up to the end of a line."""
        self._loop, self._sock, self._on_lines = loop, sock, on_lines
        self._parts: list[bytes] = []
        self.over = False
        """Nothing more comes."""
        sock.setblocking(False)
        loop.register(sock, self._read)

    def close(self) -> None:
        """Give what is left, though it has no end, and read no more."""
        if not self.over:
            self.over = True
            self._loop.unregister(self._sock)
            self._sock.close()
            self._give(b"\n" if any(self._parts) else b"")

    def _read(self) -> None:
        try:
            data = self._sock.recv(READ_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        before, end, rest = data.rpartition(b"\n")
        if end:
            self._give(before + end)
        self._parts.append(rest)

    def _give(self, data: bytes) -> None:
        whole, self._parts = b"".join((*self._parts, data)), []
        if whole:
            self._on_lines(whole)


@dataclass
class _Process:
    """A worker process and our ends of its sockets."""

    popen: subprocess.Popen[bytes]
    stream: FrameStream
    out: _Lines
    err: _Lines
    ready: bool = False
    ended: float | None = None
    """When it was seen to have ended."""

    @property
    def drained(self) -> bool:
        """Whether all that it has written was read."""
        return self.out.over and self.err.over

    def close(self) -> None:
        self.stream.close()
        self.out.close()
        self.err.close()


class Supervisor:
    """Network thread, but for `stop`, `kill`, `running` and `starts`, which are for the main thread."""

    def __init__(
        self,
        loop: EventLoop,
        command: Sequence[str],
        place: Callable[[int, int], Mapping[str, str]],
        messages: Messages,
        owner: Owner,
        flush: Callable[[], object],
        count: int,
    ) -> None:
        """`place(worker, fd)` is the environment of a worker that reaches us by this file descriptor; `flush` sends
        what a worker wants sent."""
        self._loop, self._command, self._place = loop, command, place
        self._messages, self._owner, self._flush, self._count = messages, owner, flush, count
        self._processes: dict[int, _Process] = {}
        self._restarts: dict[int, deque[float]] = {}
        self._proven: set[int] = set()
        self._stopping = False
        self.starts: Counter[int] = Counter()
        """How often each was started."""

    def start(self) -> None:
        """Start all of them."""
        for worker in range(self._count):
            self._start(worker)
        self._loop.call_later(LOOK_INTERVAL, self._look)

    def send(self, worker: int, frame: Frame) -> bool:
        """Send a frame to a worker; False: it does not get there."""
        process = self._processes.get(worker)
        return process is not None and process.stream.send(frame)

    @property
    def running(self) -> int:
        """How many processes there are. Any thread."""
        return len(self._processes)

    @property
    def ready(self) -> int:
        """How many of them take calls. Any thread."""
        return sum(process.ready for process in tuple(self._processes.values()))

    def stop(self) -> None:
        """Have all of them end, as by Ctrl+C; the second time as by a second one. None is started again."""
        self._stopping = True
        self._loop.post(self._interrupt)

    def kill(self) -> None:
        """End those that have not ended, now."""
        self._stopping = True
        for process in tuple(self._processes.values()):
            process.popen.kill()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _interrupt(self) -> None:
        for process in self._processes.values():
            if process.ready:
                process.popen.send_signal(signal.SIGINT)
            else:
                process.popen.kill()  # it has no calls, and does not know yet what that signal means

    def _start(self, worker: int) -> None:
        (ours, sip), (out, written), (err, said) = (socket.socketpair() for _ in range(3))
        with contextlib.ExitStack() as theirs:
            for sock in (sip, written, said):
                theirs.enter_context(sock)
            popen = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=written.fileno(),
                stderr=said.fileno(),
                pass_fds=(sip.fileno(),),
                env=self._place(worker, sip.fileno()),
                start_new_session=True,  # Ctrl+C at the terminal is for the parent, which passes it on
            )
        self.starts[worker] += 1
        self._processes[worker] = _Process(
            popen,
            FrameStream(self._loop, ours, lambda frames: self._take(worker, frames), lambda: None),
            _Lines(self._loop, out, lambda data: self._hear(worker, data)),
            _Lines(self._loop, err, lambda data: self._owner.on_talk(data.decode("utf-8", "replace").rstrip("\n"))),
        )
        self._messages.started(worker)

    def _take(self, worker: int, frames: Sequence[Frame]) -> None:
        self._messages.take(worker, frames)
        self._flush()

    def _hear(self, worker: int, data: bytes) -> None:
        for line in data.splitlines():
            try:
                event = json.loads(line)
            except ValueError:  # it was killed in the middle of a line
                continue
            if event["event"] == "listening":
                self._processes[worker].ready = True
                self._proven.add(worker)
            self._owner.on_event(worker, event)

    def _look(self) -> None:
        now = self._loop.now()
        for worker, process in [*self._processes.items()]:
            if process.popen.poll() is None:
                continue
            process.ended = process.ended or now
            if process.drained or now - process.ended > LAST_LINES:
                self._end(worker, process)
        self._loop.call_later(LOOK_INTERVAL, self._look)

    def _end(self, worker: int, process: _Process) -> None:
        process.close()
        del self._processes[worker]
        lost = self._messages.lost(worker)
        proven, status = worker in self._proven, process.popen.returncode
        again = not self._stopping and proven and self._may_start_again(worker)
        self._owner.on_end(WorkerEnd(worker, status, lost, again=again, ready=process.ready, proven=proven))
        if again:
            self._start(worker)

    def _may_start_again(self, worker: int) -> bool:
        now, before = self._loop.now(), self._restarts.setdefault(worker, deque())
        while before and now - before[0] > RESTART_WINDOW:
            before.popleft()
        if len(before) >= RESTARTS:
            return False
        before.append(now)
        return True
