"""Which media packets the repair packets cover: the sender's choice, which no peer needs to know.

The masks of RFC 8627 name any set of packets up to 109 back, so one decoder serves every pattern here. A pattern may
say instead that each packet repeats earlier ones, whole or at a lower bit rate (RFC 2198 section 1): these are copies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

MASK_REACH = 110
"""Packets that one repair packet can name: the longest mask (RFC 8627 section 4.2.2.1)."""
MAX_BLOCK = 48
"""Packets of a block at most: one more would only add delay, since two losses in a block defeat it."""
MAX_SETS = 5
"""Repair packets after one media packet at most: more than that is flooding a path that is already losing."""

COPY_BITRATE = 12000
"""Bit/s of copies. Speech of which a tenth, in outages of 60 ms, is played from copies: PESQ 4.29 (9000: 4.03; of the
packets themselves, at 24 kbit/s: 4.47)."""
COPY_BITRATES = (6000, 64000)
"""Bit/s that copies may have: of more, the packets themselves are as good."""
_COPY_HEADER = 4
"""Bytes: RFC 2198 section 3."""
_PAYLOAD, _REPAIR_PACKET = 60, 124
"""Bytes of a payload of Opus at 24 kbit/s in packets of 20 ms, and of a repair packet over such packets, headers
included: what copies are set against."""
_COPY_SECONDS = 0.02
"""Seconds of that packet."""
WHOLE = "w"
"""What stands after the distance of a copy that is the packet itself."""

_LONG_SETS = re.compile(r"\{([^{}]*)\}")
_LONG_FORM = re.compile(r"sliding((?:\s*\{[^{}]*\})+)(?:\s+every\s+(\d+))?")
_SHORT_FORM = re.compile(r"sliding:([0-9,+ ]+)(?:/(\d+))?")
_COPIES = re.compile(r"copies:([0-9,w ]+)(?:@(\d{1,6})(k?))?")
_HELP = "write off, a number of packets such as 4, offsets such as sliding:0,1,3/2, or copies:4,8"


@dataclass(frozen=True)
class Pattern:
    """After every `every`-th media packet n, one repair packet over {n - o for o in set} for each of the `sets`.

    ValueError if no mask can say it. str() gives the text that `parse_pattern` reads. With a `copy_bitrate` (bit/s) the
    packets, each a set of its own, are not covered but repeated, at that bit rate where their format has several; the
    `exact` nearest of them as they are.
    """

    sets: tuple[tuple[int, ...], ...]
    every: int = 1
    copy_bitrate: int | None = None
    exact: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.sets) <= MAX_SETS:
            raise ValueError(f"{len(self.sets)} repair packets at a time: 1 to {MAX_SETS} are possible")
        if not all(self.sets):
            raise ValueError("a repair packet that covers nothing")
        for offset in self._offsets():
            if not 0 <= offset < MASK_REACH:
                raise ValueError(f"offset {offset}: a repair packet reaches 0 to {MASK_REACH - 1} packets back")
        if not 1 <= self.every <= MASK_REACH:
            raise ValueError(f"a repair packet every {self.every} packets: 1 to {MASK_REACH} are possible")
        ordered = tuple(tuple(sorted(set(offsets))) for offsets in self.sets)
        if self.copy_bitrate is not None:
            ordered = tuple(sorted(set(ordered)))
            self._check_copies(self.copy_bitrate, len(ordered))
        object.__setattr__(self, "sets", ordered)

    def _check_copies(self, bitrate: int, copies: int) -> None:
        if self.every != 1 or not all(len(offsets) == 1 and offsets[0] for offsets in self.sets):
            raise ValueError("copies are of single packets before each")
        if not 0 <= self.exact <= copies:
            raise ValueError(f"{self.exact} of {copies} copies whole")
        if not COPY_BITRATES[0] <= bitrate <= COPY_BITRATES[1]:
            raise ValueError(f"copies of {bitrate} bit/s: {COPY_BITRATES[0]} to {COPY_BITRATES[1]} are possible")

    @classmethod
    def copies(cls, distances: Iterable[int], bitrate: int = COPY_BITRATE, exact: int = 0) -> Pattern:
        """Each packet repeats those so many before it, at this bit rate, but the `exact` nearest whole."""
        return cls(tuple((distance,) for distance in distances), copy_bitrate=bitrate, exact=exact)

    @classmethod
    def block(cls, size: int) -> Pattern:
        """One repair packet over each `size` packets in a row."""
        if not 1 <= size <= MAX_BLOCK:
            raise ValueError(f"a block of {size} packets: 1 to {MAX_BLOCK} are possible")
        return cls((tuple(range(size)),), size)

    @property
    def is_block(self) -> bool:
        """Whether the repair packets cover separate runs of packets."""
        return self.sets == (tuple(range(self.every)),)

    @cached_property
    def reach(self) -> int:
        """The largest offset: how far back a repair packet looks."""
        return max(self._offsets())

    @cached_property
    def span(self) -> int:
        """Packets that a lost one should be waited for: the delay that the pattern costs, in packets.

        The last repair packet that covers it follows `reach` packets later. One repair packet per media packet repairs
        in chains, and by simulation waiting for a second link nearly halves what stays lost; with fewer or more repair
        packets it changes little.
        """
        if self.every > 1 or len(self.sets) > 1 or len(self.sets[0]) == 1:
            return self.reach
        offsets = self.sets[0]
        return self.reach + offsets[-2] + offsets[0] + 1

    @property
    def window(self) -> int:
        """Packets from a lost one to the last that its repair may have to wait for, both counted.

        Times the packet time this is the repair window that SDP announces (RFC 8627 section 5.1.1): all that a receiver
        knows of the pattern.
        """
        return self.span + 1

    def within(self, packets: int) -> Pattern | None:
        """What is left of it where repair packets may span only so many packets; None if nothing is. Copies are none:
        what bounds them is the offset that RED can name (`voip.fec.red`)."""
        if self.copy_bitrate is not None or self.reach < packets:
            return self
        if self.is_block:
            return Pattern.block(packets) if packets > 0 else None
        cut = (tuple(offset for offset in offsets if offset < packets) for offsets in self.sets)
        sets = tuple(dict.fromkeys(offsets for offsets in cut if offsets))
        return replace(self, sets=sets) if sets else None

    def copies_size(self, ptime: float, payload: float) -> float:
        """Bytes of all copies in a packet of `ptime` seconds, headers included, where its own payload has so many; 0
        where there are none."""
        if self.copy_bitrate is None:
            return 0.0
        reduced = min(payload, self.copy_bitrate * ptime / 8)
        return len(self.sets) * _COPY_HEADER + self.exact * payload + (len(self.sets) - self.exact) * reduced

    @property
    def reduced(self) -> bool:
        """Whether it asks for copies at a lower bit rate: what is heard of them sounds worse."""
        return self.copy_bitrate is not None and self.exact < len(self.sets)

    @property
    def repeats_whole(self) -> bool:
        """Whether it asks for copies, all of them the packets themselves."""
        return self.copy_bitrate is not None and self.exact == len(self.sets)

    @property
    def kind(self) -> tuple[bool, int]:
        """Whether it asks for copies, and how many of them are whole: of patterns of one kind those that take more bits
        protect more."""
        return self.copy_bitrate is not None, self.exact

    @property
    def whole(self) -> Pattern:
        """The same, but where it asks for copies the packets themselves are sent again."""
        return self if self.copy_bitrate is None else replace(self, copy_bitrate=None, exact=0)

    def farthest(self, copies: int) -> Pattern | None:
        """Of a pattern of copies so many, which are those that outlast the longest outages; None: none of them."""
        left_out = len(self.sets) - copies
        return replace(self, sets=self.sets[-copies:], exact=max(0, self.exact - left_out)) if copies > 0 else None

    @cached_property
    def overhead(self) -> float:
        """Repair packets for each media packet; of copies, how many of them would take as many bits."""
        if self.copy_bitrate is not None:
            return self.copies_size(_COPY_SECONDS, _PAYLOAD) / _REPAIR_PACKET
        return len(self.sets) / self.every

    def _offsets(self) -> Iterator[int]:
        return (offset for offsets in self.sets for offset in offsets)

    def __str__(self) -> str:
        if self.copy_bitrate is not None:
            distances = (f"{offsets[0]}{WHOLE * (i < self.exact)}" for i, offsets in enumerate(self.sets))
            return f"copies:{','.join(distances)}" + (f"@{_rate(self.copy_bitrate)}" if self.reduced else "")
        if self.is_block:
            return str(self.every)
        sets = "+".join(",".join(str(offset) for offset in offsets) for offsets in self.sets)
        return f"sliding:{sets}/{self.every}"


def parse_pattern(text: str) -> Pattern | None:
    """`off` (None), `4`, `sliding:0,1,3+0,2,5/1` or `sliding {0,1,3} {0,2,5} every 1`; ValueError in one line."""
    text = text.strip().lower()
    if text in ("off", "none", "0"):
        return None
    if text.isascii() and text.isdigit():
        return Pattern.block(_number(text))
    if found := _COPIES.fullmatch(text):
        rate = COPY_BITRATE if found[2] is None else int(found[2]) * (1000 if found[3] else 1)
        return _parse_copies(found[1], rate)
    if found := _SHORT_FORM.fullmatch(text):
        sets = found[1].split("+")
    elif found := _LONG_FORM.fullmatch(text):
        sets = _LONG_SETS.findall(found[1])
    else:
        raise ValueError(f"{text!r} is not a FEC pattern: {_HELP}")
    return Pattern(tuple(_parse_set(offsets) for offsets in sets), _number(found[2] or "1"))


def _rate(bitrate: int) -> str:
    return f"{bitrate // 1000}k" if bitrate % 1000 == 0 else str(bitrate)


def _parse_set(text: str) -> tuple[int, ...]:
    return tuple(_number(offset) for offset in text.split(","))


def _parse_copies(text: str, bitrate: int) -> Pattern:
    distances = {_number(each.strip().removesuffix(WHOLE)): each.strip().endswith(WHOLE) for each in text.split(",")}
    whole = [distance for distance in sorted(distances) if distances[distance]]
    if whole != sorted(distances)[: len(whole)]:
        raise ValueError(f"{text!r}: the copies that are whole ({WHOLE}) come before those that are not")
    return Pattern.copies(distances, bitrate, len(whole))


def _number(text: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MASK_REACH))):
        raise ValueError(f"{text!r} is not a number of packets: {_HELP}")
    return int(text)
