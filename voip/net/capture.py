"""A capture of all that a program sends and receives for its calls, SIP and media, for Wireshark and its like.

UDP is written as it went over the network, with headers made here (`ip_headers`). SIP over TCP and TLS is written
message by message, each as a segment of TCP with running numbers: without the set-up of the connection, keep-alives
and repetitions, and without TLS. What SIP says of passwords and keys is overwritten (`masking`); media is as it went,
encrypted if it was.

The threads of network and sound note packets, a thread of its own writes them: a disk that stalls delays neither. What
finds no room meanwhile is counted. That thread waits a moment before it writes, so that packets that are noted late
come before those that they came before. A file that cannot be written ends the capture, and nothing else.
"""

from __future__ import annotations

import heapq
import itertools
import math
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from voip.net.capture_file import CaptureFile, Flow, Packet
from voip.net.ip_headers import Endpoint
from voip.net.steady_clock import SteadyClock
from voip.stats import CaptureStats

MAX_WAITING_BYTES = 16 << 20
"""Of packets that wait to be written: minutes of a call, while a disk stalls."""
OVERHEAD = 256
"""Bytes that a packet takes in memory beyond its own."""
HOLD = 0.5
"""Seconds that a packet is held back, for others that were earlier: a hundred times what datagrams wait in sockets
where many are read together."""
HELD_BYTES = MAX_WAITING_BYTES // 4
"""Bytes that are held back at most."""
WRITE_INTERVAL = 0.25
"""Seconds between writes."""
MOST_AT_ONCE = 1000
"""Packets of one write."""
PATIENCE = 10.0
"""Seconds that the disk has at the end of the program."""


class _Counts:
    """What one thread has noted. Only that thread writes here: nothing is lost, and there is no lock."""

    def __init__(self) -> None:
        self.noted = self.refused = self.taken_bytes = 0

    def take(self, size: int) -> None:
        self.noted += 1
        self.taken_bytes += size

    def refuse(self) -> None:
        self.noted += 1
        self.refused += 1


class InOrder:
    """Packets that are held back until none that was earlier can be expected. One thread."""

    def __init__(self) -> None:
        self._held: list[Packet] = []
        self._bytes, self._last = 0, 0.0

    def add(self, packet: Packet) -> None:
        heapq.heappush(self._held, packet)
        self._bytes += size_of(packet)

    def take(self, moment: float) -> Iterator[Packet]:
        """Those that were earlier than that, in order, and more if too many are held. One that is behind its time gets
        that of the one before."""
        while self._held and (self._held[0].at <= moment or self._bytes > HELD_BYTES):
            packet = heapq.heappop(self._held)
            self._bytes -= size_of(packet)
            self._last = max(self._last, packet.at)
            yield packet._replace(at=self._last)


class PacketCapture:
    """Any thread may `note`; the main thread opens and closes. The file is created with the first packet."""

    def __init__(
        self,
        path: str | Path,
        application: str,
        on_failed: Callable[[str], object],
        *,
        clock: SteadyClock | None = None,
        file: CaptureFile | None = None,
        max_waiting: int = MAX_WAITING_BYTES,
        patience: float = PATIENCE,
    ) -> None:
        """`application` is named in the file; `on_failed` is told once, on any thread, why it cannot be written.
        `max_waiting`: bytes; `patience`: seconds that the disk has in the end."""
        self.path, self.clock = Path(path), clock or SteadyClock()
        self._on_failed, self._max_waiting, self._patience = on_failed, max_waiting, patience
        self._queue: queue.SimpleQueue[Packet] = queue.SimpleQueue()
        self._numbers, self._counts = itertools.count(), dict[int, _Counts]()
        self._error: str | None = None
        # the writer's
        self._file = file or CaptureFile(self.path, application)
        self._order, self._done_bytes = InOrder(), 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture-writer", daemon=True)
        self._thread.start()

    def note(
        self,
        at: float,
        flow: Flow,
        remote: Endpoint,
        payload: bytes,
        *,
        inbound: bool,
        numbers: tuple[int, int] = (0, 0),
    ) -> None:
        """A packet that came, or was sent, `at` this time of `clock`. Any thread; it waits for nothing. `numbers` of a
        segment of TCP: its first byte, and what it acknowledges."""
        me = threading.get_ident()
        counts = self._counts.get(me) or self._counts.setdefault(me, _Counts())
        packet = Packet(at, next(self._numbers), flow, remote, payload, inbound, numbers)
        size = size_of(packet)
        if self._error is not None or self._waiting_bytes + size > self._max_waiting:
            counts.refuse()
            return
        counts.take(size)
        self._queue.put(packet)

    def close(self) -> None:
        """Write what waits. A disk that does not respond is waited for no longer than its time."""
        self._ending.set()
        self._thread.join(self._patience)
        if self._thread.is_alive():
            self._fail(f"the disk has not responded for {self._patience:g} s")

    @property
    def stats(self) -> CaptureStats:
        """What has come of it so far. Any thread."""
        counts, written = list(self._counts.values()), self._file.packets
        noted, refused = sum(each.noted for each in counts), sum(each.refused for each in counts)
        over = self._error is not None or self._ending.is_set()
        return CaptureStats(str(self.path), written, noted - written if over else refused, self._error)

    @property
    def written_bytes(self) -> int:
        """The length of the file up to its last whole packet; 0: there is none. Any thread."""
        return self._file.size

    @property
    def _waiting_bytes(self) -> int:
        return sum(each.taken_bytes for each in list(self._counts.values())) - self._done_bytes

    # --- the writer's thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._ending.wait(WRITE_INTERVAL):
                self.clock.look()
                self._write_until(self.clock.now() - HOLD)
            self._write_until(math.inf)
            self._file.end(self.clock.now(), self.stats)
        except OSError as error:
            self._fail(error.strerror or str(error))
        except Exception as error:
            self._fail(f"a bug in this program: {error!r}")
            raise
        finally:
            self._file.close()

    def _fail(self, reason: str) -> None:
        if self._error is None:
            self._error = reason
            self._on_failed(reason)

    def _write_until(self, moment: float) -> None:
        """Write what was earlier than that, all that is known of it in its order."""
        for _ in range(self._queue.qsize()):
            self._order.add(self._queue.get())
        ripe = self._order.take(moment)
        while packets := list(itertools.islice(ripe, MOST_AT_ONCE)):
            self._file.append(packets)
            self._done_bytes += sum(map(size_of, packets))


def size_of(packet: Packet) -> int:
    """Bytes in memory."""
    return len(packet.payload) + OVERHEAD
