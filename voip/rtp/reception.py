"""Reception statistics of one stream (RFC 3550 sections A.1, A.3 and A.8)."""

from __future__ import annotations

from collections import deque

from voip.rtp.jitter import Jitter
from voip.rtp.packet import RtpPacket, unwrap

MAX_DROPOUT = 3000
"""A sequence number this far ahead is a jump, not loss (RFC 3550 A.1)."""
MAX_MISORDER = 100
"""A sequence number this far behind is a jump, not reordering (RFC 3550 A.1)."""
MAX_REPAIR_REACH = 110
"""Packets that one repair packet can name (RFC 8627 section 4.2.2.1, the longest mask)."""
RECEIPT_THINNING = 2
"""Of the times at which packets came, those of every 2^RECEIPT_THINNING-th number are kept (RFC 3611 section 4.1)."""
DENSE_PACKETS = 32
"""The first packets of a stream, of which all times are kept: two that were sent together show how fast the line is."""
DENSE_EVERY, DENSE_SECONDS = 8.0, 0.3
"""So often, by the clock of the arrivals and so in all streams at once, all times are kept for so many seconds."""
MAX_RECEIPTS = 64
"""Such times that are kept: those of two seconds of packets of 10 ms."""

_DUPLICATE_WINDOW = 1024  # packets behind the highest whose arrival is remembered
_SETTLE_EVERY = 2 * _DUPLICATE_WINDOW


class ReceptionStats:
    """What arrived of one media stream: RFC 3550 A.1 (extended numbers), A.3 (loss), A.8 (jitter, in seconds).

    `received` counts distinct packets and `duplicate` further copies; `reordered` ones came with a number below the
    highest. expected == received + lost always. A packet over 1000 behind is only counted as reordered: whether it
    was lost is settled by then. After `restart` the sums go on.
    """

    __slots__ = (
        "_closed",
        "_closed_received",
        "_first",
        "_floor",
        "_high",
        "_highest",
        "_jitter",
        "_low",
        "_origin",
        "_receipts",
        "_runs",
        "_window",
        "clock_rate",
        "duplicate",
        "epoch",
        "received",
        "reordered",
    )

    def __init__(self, clock_rate: int, *, receipts: bool = False) -> None:
        """`receipts`: keep the times at which packets came, for `take_receipts`."""
        self.clock_rate = clock_rate
        self.received = 0
        self.duplicate = 0
        self.reordered = 0
        self._jitter = Jitter()
        self._receipts: deque[tuple[int, float]] | None = None
        self.epoch = 0
        """How often it was restarted."""
        self._closed = 0  # packets expected in the epochs before this one
        self._closed_received = 0  # and received
        self._runs = (0, 0, 0)  # settled runs of at least one, two, three lost packets
        self._origin: int | None = None  # extended number that the epoch's first packet gets
        self._first = 0  # of this epoch, extended: the first that arrived
        self._highest = 0  # the highest that arrived
        self._low = 0  # the expected range, both ends included
        self._high = 0
        self._floor = 0  # the lowest that the window remembers
        self._window = 0  # bit i: packet `_high - i` has arrived; 0 only before the epoch's first packet
        self.keep_receipts(receipts)

    @property
    def expected(self) -> int:
        """Distinct packets that are known to have been sent."""
        return self._closed + self._high - self._low + 1 if self._window else self._closed

    @property
    def lost(self) -> int:
        """Expected packets that have not arrived."""
        return self.expected - self.received

    @property
    def highest(self) -> int | None:
        """The highest extended sequence number that arrived in this epoch."""
        return self._highest if self._window else None

    @property
    def floor(self) -> int:
        """The lowest extended number of this epoch whose arrival `arrivals` still knows."""
        return self._floor

    @property
    def epoch_received(self) -> int:
        """Distinct packets of this epoch."""
        return self.received - self._closed_received

    @property
    def epoch_lost(self) -> int:
        """Packets of this epoch that have not arrived."""
        return self.expected - self._closed - self.epoch_received

    @property
    def epoch_highest(self) -> int:
        """The highest number of this epoch, extended from the cycle in which it began, as report blocks name it."""
        return self._highest - (self._first & ~0xFFFF)

    @property
    def jitter(self) -> float:
        """Interarrival jitter in seconds, as of the last packet (RFC 3550 A.8)."""
        return self._jitter.value

    @property
    def jitter_max(self) -> float:
        """The most it was."""
        return self._jitter.maximum

    @property
    def jitter_mean(self) -> float:
        """Its mean over all packets."""
        return self._jitter.mean

    def arrivals(self, first: int, end: int) -> tuple[bool, ...]:
        """Which of the extended numbers `first` to `end` - 1 have arrived: numbers from `floor` to `highest`."""
        return tuple(bool(self._window >> (self._high - number) & 1) for number in range(first, end))

    def set_clock_rate(self, clock_rate: int) -> None:
        """From the next packet on, timestamps count at `clock_rate`, in Hz; the sums go on.

        The step from a timestamp of one rate to one of another says nothing of jitter (RFC 7160 section 3.2).
        """
        if clock_rate != self.clock_rate:
            self.clock_rate = clock_rate
            self._jitter.restart()

    def take_changes(self) -> list[float]:
        """By how many seconds the transit of each packet differed from that of the one before, since the last call.

        They are kept from the first call on, the newest of them.
        """
        return self._jitter.take_changes()

    def keep_receipts(self, wanted: bool) -> None:
        """From now on, keep the times at which packets came, or do not."""
        if not wanted:
            self._receipts = None
        elif self._receipts is None:
            self._receipts = deque(maxlen=MAX_RECEIPTS)

    def take_receipts(self) -> list[tuple[int, float]]:
        """Extended number and moment (seconds) of packets that came since the last call, the newest of them.

        They are those whose number is a multiple of 2^RECEIPT_THINNING, and all of DENSE_PACKETS and DENSE_SECONDS, in
        the order of their numbers; none unless they are kept.
        """
        if self._receipts is None:
            return []
        receipts = sorted(self._receipts)
        self._receipts.clear()
        return receipts

    def in_window(self, sequence_number: int) -> bool:
        """Whether a number continues this epoch; if not, it is a jump (RFC 3550 A.1): confirm it, then `restart`."""
        ahead = (sequence_number - self._highest) & 0xFFFF
        return ahead < MAX_DROPOUT or ahead > 0x10000 - MAX_MISORDER or not self._window

    def count(self, packet: RtpPacket, arrival: float, *, timed: bool = True) -> int:
        """Count a packet that came at `arrival` (seconds); its extended sequence number, unique across epochs.

        `timed`: its timestamp says when it was sent. That of a telephone event does not.
        """
        if not self._window:
            extended = self._begin(packet.sequence_number)
        else:
            extended = unwrap(packet.sequence_number, self._highest)
            if extended > self._highest:
                self._advance(extended)
            elif not self._fill(extended):
                return extended
        self.received += 1
        if timed:
            self._jitter.measure(packet.timestamp, arrival, self.clock_rate)
        if self._receipts is not None:
            dense = self.epoch_received <= DENSE_PACKETS or arrival % DENSE_EVERY < DENSE_SECONDS
            if dense or not extended & (1 << RECEIPT_THINNING) - 1:
                self._receipts.append((extended, arrival))
        return extended

    def known(self, extended: int) -> None:
        """A packet with this extended number was sent (a repair packet names it): expect it, arrived or not.

        Believed only within reach of one repair packet: before the epoch's first arrival or after its highest.
        """
        if not self._window or not self._first - MAX_REPAIR_REACH <= extended <= self._highest + MAX_REPAIR_REACH:
            return
        if extended > self._high:
            self._window <<= extended - self._high
            self._high = extended
        elif extended < self._low and self._floor == self._low:
            self._low = self._floor = extended

    def restart(self, packet: RtpPacket) -> None:
        """A new SSRC or a confirmed jump: the epoch that ends keeps its sums, `packet` will be the next one's first.

        To be called just before `count(packet, ...)`. No two epochs share an extended number.
        """
        self._runs = self._runs_so_far()
        self._closed = self.expected
        self._closed_received = self.received
        self.epoch += 1
        next_cycle = (self._highest >> 16) + 2  # a whole cycle apart: what is known around both ends cannot meet
        self._origin = next_cycle << 16 | packet.sequence_number
        self._window = 0
        if self._receipts is not None:
            self._receipts.clear()
        self._jitter.restart()

    def loss_runs(self) -> dict[str, int]:
        """How many holes of one, of two, and of three or more packets."""
        one, two, three = self._runs_so_far()
        return {"1": one - two, "2": two - three, "3+": three}

    def _begin(self, sequence_number: int) -> int:
        extended = sequence_number if self._origin is None else unwrap(sequence_number, self._origin)
        self._first = self._highest = self._low = self._high = self._floor = extended
        self._window = 1
        return extended

    def _advance(self, extended: int) -> None:
        self._highest = extended
        if extended > self._high:
            self._window = self._window << (extended - self._high) | 1
            self._high = extended
            if extended - self._floor >= _SETTLE_EVERY:
                self._settle()
        else:
            self._window |= 1 << (self._high - extended)

    def _fill(self, extended: int) -> bool:
        """Note a packet that is not ahead of all others; False if it adds nothing to what has been received."""
        bit = 1 << (self._high - extended)
        if self._window & bit:
            self.duplicate += 1
            return False
        self.reordered += 1
        if extended < self._floor:
            if self._floor > self._low or extended < self._first - MAX_REPAIR_REACH:
                return False
            self._low = self._floor = extended
        self._window |= bit
        return True

    def _settle(self) -> None:
        """Count and forget the loss runs before the last packet that arrived over a window ago."""
        old = self._window >> _DUPLICATE_WINDOW
        age = _DUPLICATE_WINDOW + (old & -old).bit_length() - 1
        if not old or age >= self._high - self._floor:
            return
        settled = _count_runs(self._window >> age, self._high - age - self._floor + 1)
        self._runs = _add(self._runs, settled)
        self._window &= (1 << (age + 1)) - 1
        self._floor = self._high - age

    def _runs_so_far(self) -> tuple[int, int, int]:
        if not self._window:
            return self._runs
        return _add(self._runs, _count_runs(self._window, self._high - self._floor + 1))


def _count_runs(window: int, length: int) -> tuple[int, int, int]:
    """Runs of zero bits among the low `length` bits that are at least one, two, three long."""
    missing = ~window & ((1 << length) - 1)
    if not missing:
        return 0, 0, 0
    one = missing & ~(missing << 1)  # the lowest bit of each run
    two = one & missing >> 1
    three = two & missing >> 2
    return one.bit_count(), two.bit_count(), three.bit_count()


def _add(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
