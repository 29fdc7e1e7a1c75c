"""What the parent's SIP transport serves in place of a user agent: messages go on to workers as they came, and those
of workers to the network (RFC 3261 section 18).

What is new is limited here, by host and in all, as a single process would: each worker sees but a part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from voip.net import Frame, SendFailed
from voip.sip import Address
from voip.sip.guard import RequestLimits, call_id_of
from voip.sip.uri import SipUri
from voip.workers.placement import Placement

SendFrame = Callable[[int, Frame], bool]
"""Sends a frame to the worker of this number; False: it does not get there."""
RESPONSE, ACK, INVITE = b"SIP/", b"ACK ", b"INVITE "
MOST_NAMES = 64
"""Addresses for which it is remembered whom their certificate has to be for, the newest."""


@dataclass
class Dropped:
    """Messages that no worker got."""

    limited: int = 0
    """More than the rate limits let pass."""
    stray: int = 0
    """Responses and ACKs that belong to nothing."""
    unplaced: int = 0
    """There was no worker, or it was far behind."""


class Distributor:
    """Network thread only, but for `dropped`, which any thread may read."""

    def __init__(
        self,
        placement: Placement,
        send: SendFrame,
        *,
        may_call: Callable[[str], bool],
        trusted: Callable[[str], bool],
        now: Callable[[], float],
        workers: int,
    ) -> None:
        """`may_call(host)` says who may call, `trusted(host)` who stands for many callers."""
        self._placement, self._send, self.may_call, self._now = placement, send, may_call, now
        self._limits, self._workers = RequestLimits(trusted), range(workers)
        self._outbox: list[tuple[bytes, Address]] = []
        self._names: dict[Address, str] = {}
        self.dropped = Dropped()

    # --- from the network -----------------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram, or one message of a connection."""
        if not data.strip():
            return  # it keeps a NAT open
        call_id = call_id_of(data)
        worker = self._placement.worker_of(call_id, now) if call_id else None
        if worker is None:
            worker = self._place(data, source, now)
        if worker is None:
            return
        if not self._send(worker, Frame(("message", *source), data)):
            self.dropped.unplaced += 1
            return
        asks = data[: len(INVITE)].upper() == INVITE
        self._placement.note_sent(worker, call_id, source, now, asks=asks)

    def _place(self, data: bytes, source: Address, now: float) -> int | None:
        """The worker for what belongs to nothing that is known; None: it is dropped."""
        if data[:4].upper() in (RESPONSE, ACK):
            self.dropped.stray += 1
            return None
        limits = self._limits
        passes = limits.take(source.host, now) if self.may_call(source.host) else limits.take_stranger(now)
        if not passes:
            self.dropped.limited += 1
            return None
        worker = self._placement.choose(source.host)
        self.dropped.unplaced += worker is None
        return worker

    def transport_failed(self, address: Address, now: float, reason: str = "") -> None:
        """What was to go there could not be sent: whoever has sent it knows what that means."""
        self._tell_all(Frame(("failed", *address, reason)))

    def connection_closed(self, address: Address, now: float) -> None:
        """The connection was closed in good order."""
        self._tell_all(Frame(("closed", *address)))

    def on_send_failed(self, event: SendFailed) -> None:
        """A datagram of some worker could not be sent."""
        _, host, port = event.address
        self._tell_all(Frame(("refused", host, port, event.reason, event.closed)))

    def note_malformed(self, count: int) -> None:
        """So many datagrams that cannot be SIP were dropped."""
        if count:
            self._send(self._workers[0], Frame(("malformed", count)))

    def needs(self, address: Address) -> bool:
        """Whether a call is over the connection to `address`."""
        return self._placement.has_call_over(address)

    def server_name(self, address: Address) -> str:
        """The host that was asked for when `address` was found."""
        return self._names.get(address, address.host)

    # --- from the workers -----------------------------------------------------------------------------------------

    def take(self, worker: int, frames: Sequence[Frame]) -> None:
        """What a worker has sent."""
        now = self._now()
        for (kind, *fields), body in frames:
            if kind == "message":
                *place, name = fields
                self._queue(worker, body, Address(*place), name, now)
            elif kind == "state":
                handled, begun, ended, acknowledged = fields
                self._placement.note_state(worker, handled, begun, ended, now)
                for peer in filter(None, map(self._placement.peer_of, acknowledged)):
                    self._limits.note_call(peer.host, now)

    def _queue(self, worker: int, data: bytes, address: Address, name: str, now: float) -> None:
        self._outbox.append((data, address))
        self._placement.remember(call_id_of(data), worker, address, now)
        if name:
            self._names.pop(address, None)
            self._names[address] = name
            if len(self._names) > MOST_NAMES:
                del self._names[next(iter(self._names))]

    def started(self, worker: int) -> None:
        """A worker process takes messages from now on."""
        self._placement.started(worker)

    def lost(self, worker: int) -> tuple[str, ...]:
        """A worker process is gone; the Call-IDs of the calls that it had."""
        return self._placement.lost(worker)

    # --- nothing of its own ---------------------------------------------------------------------------------------

    def messages_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Everything that workers want sent, in order; it is handed over once."""
        messages, self._outbox = self._outbox, []
        return messages

    def next_event(self) -> object | None:
        """None: events are the workers'."""
        return None

    def next_timer(self) -> float | None:
        """None: so are timers."""
        return None

    def handle_timer(self, now: float) -> None:
        """There is none."""

    def resolved(self, uri: SipUri, addresses: Sequence[Address], now: float) -> None:
        """Nothing is asked for: workers look names up by themselves."""

    def _tell_all(self, frame: Frame) -> None:
        for worker in self._workers:
            self._send(worker, frame)
