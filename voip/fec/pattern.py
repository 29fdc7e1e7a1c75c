"""Which media packets the repair packets cover: the sender's choice, which no peer needs to know.

The masks of RFC 8627 name any set of packets up to 109 back, so one decoder serves every pattern here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

MASK_REACH = 110
"""Packets that one repair packet can name: the longest mask (RFC 8627 section 4.2.2.1)."""
MAX_BLOCK = 48
"""Packets of a block at most: one more would only add delay, since two losses in a block defeat it."""
MAX_SETS = 5
"""Repair packets after one media packet at most: more than that is flooding a path that is already losing."""

_LONG_SETS = re.compile(r"\{([^{}]*)\}")
_LONG_FORM = re.compile(r"sliding((?:\s*\{[^{}]*\})+)(?:\s+every\s+(\d+))?")
_SHORT_FORM = re.compile(r"sliding:([0-9,+ ]+)(?:/(\d+))?")
_HELP = "write off, a number of packets such as 4, or offsets such as sliding:0,1,3/2"


@dataclass(frozen=True)
class Pattern:
    """After every `every`-th media packet n, one repair packet over {n - o for o in set} for each of the `sets`.

    ValueError if no mask can say it. str() gives the text that `parse_pattern` reads.
    """

    sets: tuple[tuple[int, ...], ...]
    every: int = 1

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
        object.__setattr__(self, "sets", ordered)

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
        """What is left of it where repair packets may span only so many packets; None if nothing is."""
        if self.reach < packets:
            return self
        if self.is_block:
            return Pattern.block(packets) if packets > 0 else None
        cut = (tuple(offset for offset in offsets if offset < packets) for offsets in self.sets)
        sets = tuple(dict.fromkeys(offsets for offsets in cut if offsets))
        return Pattern(sets, self.every) if sets else None

    @property
    def overhead(self) -> float:
        """Repair packets for each media packet."""
        return len(self.sets) / self.every

    def _offsets(self) -> Iterator[int]:
        return (offset for offsets in self.sets for offset in offsets)

    def __str__(self) -> str:
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
    if found := _SHORT_FORM.fullmatch(text):
        sets = found[1].split("+")
    elif found := _LONG_FORM.fullmatch(text):
        sets = _LONG_SETS.findall(found[1])
    else:
        raise ValueError(f"{text!r} is not a FEC pattern: {_HELP}")
    return Pattern(tuple(_parse_set(offsets) for offsets in sets), _number(found[2] or "1"))


def _parse_set(text: str) -> tuple[int, ...]:
    return tuple(_number(offset) for offset in text.split(","))


def _number(text: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MASK_REACH))):
        raise ValueError(f"{text!r} is not a number of packets: {_HELP}")
    return int(text)
