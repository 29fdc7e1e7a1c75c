"""Which worker a SIP message is for (RFC 3261 section 8.1.1.4: all messages of a call, and of a request outside of
calls, have the same Call-ID, in both directions).

So the Call-ID alone leads each message to the process that knows its dialog and its transaction; nothing is added to
the messages, and no tag or branch has to be understood. A new Call-ID goes to the worker with the most room.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from voip.sip import Address

REMEMBERED = 64.0
"""Seconds after its last message for which a Call-ID without a call is known: a peer repeats a request for 32 s (64*T1,
section 17), and we do the same after that with our last response."""
MOST_REMEMBERED = 20_000
"""Call-IDs without a call that are known, the newest: a minute of all that the rate limits let pass, and more."""

UNKNOWN = Address("udp", "", 0)
"""In place of a peer that no message has come from."""


@dataclass
class _Load:
    """One worker: its share of the calls, and those that it has."""

    share: int
    up: bool = False
    sent: int = 0
    """Messages that went to it since its start."""
    asked: deque[int] = field(default_factory=deque)
    """Which of them were INVITEs of new calls that it has not handled yet: they may take up room."""
    calls: dict[str, Address] = field(default_factory=dict)
    """Call-IDs of its calls, and where the last message of each came from."""

    @property
    def room(self) -> int:
        """Calls that it can still take."""
        return self.share - len(self.calls) - len(self.asked)


class Placement:
    """Who has which call, by what workers tell of themselves. Workers count from 0."""

    def __init__(self, shares: Sequence[int]) -> None:
        """`shares`: how many calls each may have at a time."""
        self._loads = [_Load(share) for share in shares]
        self._of_call: dict[str, int] = {}
        self._recent: OrderedDict[str, tuple[int, float, Address]] = OrderedDict()

    @property
    def calls(self) -> list[int]:
        """How many each has."""
        return [len(load.calls) for load in self._loads]

    def worker_of(self, call_id: str, now: float) -> int | None:
        """Whose messages have this Call-ID; None for a new one, and for that of a worker that is gone."""
        worker = self._of_call.get(call_id)
        if worker is None and (known := self._recent.get(call_id)) is not None and known[1] > now:
            worker = known[0]
        return worker

    def choose(self, host: str) -> int | None:
        """Who gets a new call from this host: the worker with the most room, of several the one with the least to do so
        far. Where none has room, the one that has a call with this host, which may have been started again without
        saying BYE; else any, which will say that it is busy. None: there is no worker."""
        there = [number for number, load in enumerate(self._loads) if load.up]
        if not there:
            return None
        best = max(there, key=lambda number: (self._loads[number].room, -self._loads[number].sent))
        if self._loads[best].room <= 0:
            return next((number for number in there if self._has_call_with(number, host)), best)
        return best

    def _has_call_with(self, worker: int, host: str) -> bool:
        return any(peer.host == host for peer in self._loads[worker].calls.values())

    def note_sent(self, worker: int, call_id: str, source: Address, now: float, *, asks: bool) -> None:
        """A message from `source` went to this worker; `asks`: with it a call may begin."""
        load = self._loads[worker]
        load.sent += 1
        if call_id in load.calls:
            load.calls[call_id] = source
            return
        if asks:
            load.asked.append(load.sent)
        self.remember(call_id, worker, source, now)

    def remember(self, call_id: str, worker: int, peer: Address, now: float) -> None:
        """This worker sends or gets messages of this Call-ID; `peer` is at the other end."""
        if not call_id or call_id in self._of_call:
            return
        self._recent.pop(call_id, None)
        self._recent[call_id] = worker, now + REMEMBERED, peer
        while len(self._recent) > MOST_REMEMBERED or next(iter(self._recent.values()))[1] <= now:
            self._recent.popitem(last=False)

    def note_state(self, worker: int, handled: int, begun: Collection[str], ended: Collection[str], now: float) -> None:
        """A worker has handled so many messages since its start; calls of these Call-IDs take up room, or do not any
        more."""
        load = self._loads[worker]
        while load.asked and load.asked[0] <= handled:
            load.asked.popleft()
        for call_id in begun:
            _, _, peer = self._recent.pop(call_id, (worker, now, UNKNOWN))
            load.calls[call_id], self._of_call[call_id] = peer, worker
        for call_id in ended:
            peer = load.calls.pop(call_id, UNKNOWN)
            if self._of_call.get(call_id) == worker:
                del self._of_call[call_id]
                self.remember(call_id, worker, peer, now)  # for what is still under way

    def peer_of(self, call_id: str) -> Address | None:
        """Where the last message of this call came from; None: it is not up."""
        worker = self._of_call.get(call_id)
        return None if worker is None else self._loads[worker].calls[call_id]

    def has_call_over(self, address: Address) -> bool:
        """Whether the messages of a call come from there."""
        return any(address in load.calls.values() for load in self._loads)

    def started(self, worker: int) -> None:
        """This worker takes messages from now on."""
        self._loads[worker] = _Load(self._loads[worker].share, up=True)

    def lost(self, worker: int) -> tuple[str, ...]:
        """This worker is gone; the Call-IDs of the calls that it had."""
        load = self._loads[worker]
        self._loads[worker] = _Load(load.share)
        for call_id in load.calls:
            del self._of_call[call_id]
        for call_id in [call_id for call_id, known in self._recent.items() if known[0] == worker]:
            del self._recent[call_id]
        return tuple(load.calls)
