"""The timers of all media ports, RTCP above all, as one participant of the event loop.

A loop asks its participants for their timers on every wake-up, and media wakes it 50 times a second for each call.
With many calls that grows with the square of their number, while RTCP (RFC 3550 section 6.3) spreads its reports over
seconds and asks for no more precision than LOOK_GAP.
"""

from __future__ import annotations

from typing import Protocol

from voip.net.loop import PAUSE, EventLoop, Guard

FEW_PORTS = 8
"""Ports up to which each timer is met to the moment."""
LOOK_GAP = 0.05
"""Seconds between two looks at the timers where there are more ports."""


class TimedPort(Protocol):
    """A media port with timers of its own."""

    def next_timer(self) -> float | None:
        """When `handle_timer` is due; None: never."""

    def handle_timer(self, now: float) -> None:
        """Called when `next_timer` is due, or up to LOOK_GAP later."""


class MediaTimers:
    """Calls ports when their timers are due, each guarded by itself; the loop is told how many there are, as each has
    a stream. Network thread only."""

    def __init__(self, loop: EventLoop, guard: Guard) -> None:
        self._loop, self._guard = loop, guard
        self._ports: dict[TimedPort, float] = {}  # with the time until which one that has failed is left alone
        self._look_at = 0.0
        loop.add(self)

    def add(self, port: TimedPort) -> None:
        """A port has timers from now on."""
        self._loop.count_streams(port not in self._ports)
        self._ports[port] = 0.0

    def remove(self, port: TimedPort) -> None:
        """It is closed; unknown ones are ignored."""
        self._loop.count_streams(-(self._ports.pop(port, None) is not None))

    def next_timer(self) -> float | None:
        """When a timer of a port, or the next look at all of them, is due; None: never."""
        if len(self._ports) > FEW_PORTS:
            return self._look_at
        return min((due for port in self._ports if (due := self._due_of(port)) is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Call each port whose timer is due."""
        self._look_at = now + LOOK_GAP
        for port in tuple(self._ports):
            due = self._due_of(port)
            if due is not None and due <= now and not self._guard("a timer", port.handle_timer, now):
                self._ports[port] = now + PAUSE

    def flush(self) -> None:
        """Nothing to do: datagrams are sent at once."""

    def _due_of(self, port: TimedPort) -> float | None:
        due: float | None = port.next_timer()
        return due if due is None else max(due, self._ports.get(port, due))
