"""Calls with copies over a bottleneck, in virtual time: copies, too, stay within what congestion control allows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.queueing import queue_figures
from tests.bench.rows import Row, find
from tests.bench.virtual import TwoWayCall, blocks, noise, pcm
from tests.bench.waves import stretch
from voip import codecs
from voip.cli.values import fec_choice

pytestmark = pytest.mark.skipif(codecs.missing("opus") is not None, reason="only Opus can send less")
SECONDS = 30.0
SETTLING = 2
"""Seconds after a change of the limit in which packets of before may count."""
VARIABLE = 1.1
"""Factor on the limit for one second of a variable bit rate, and of repair packets whose size is learned."""


class Watched:
    """A call whose bit rate and limit are noted every second."""

    def __init__(self, row: Row, fec: str, seed: int = 1) -> None:
        self.row = replace(row, seconds=SECONDS)
        self.call = TwoWayCall(self.row, seed, fec=fec_choice(fec))
        self.rates: list[float] = []
        self.limits: list[float | None] = []
        self.copies: list[int] = []
        pieces = blocks(pcm(stretch(noise(), SECONDS)))
        for index, piece in enumerate(pieces):
            self.call.block(piece)
            if index % 100 == 99:
                self._note()

    def _note(self) -> None:
        sent = self.call.sender.stats
        self.rates.append(8.0 * sent.ip_bytes - sum(self.rates))
        self.limits.append(sent.congestion.limit)
        self.copies.append(sent.fec_copies - sum(self.copies))

    def beyond(self) -> list[tuple[float, float]]:
        """Rate and limit of each second, in which more was sent than the limits of that second and those before."""
        found = []
        for second in range(SETTLING, len(self.rates)):
            known = self.limits[second - SETTLING : second + 1]
            limits = [limit for limit in known if limit is not None]
            if len(limits) == len(known) and self.rates[second] > VARIABLE * max(limits):
                found.append((self.rates[second], max(limits)))
        return found


@pytest.mark.parametrize("fec", ["copies:4,8", "copies"])
@pytest.mark.parametrize("row", ["line40-1000", "line64-1000", "line96-loss10"])
def test_the_limit_of_a_full_line_is_kept_with_copies(row: str, fec: str) -> None:
    watched = Watched(find(row), fec)
    assert any(limit is not None for limit in watched.limits) or row != "line40-1000"
    assert watched.beyond() == []
    figures = queue_figures(watched.row, watched.call.forth.path.queue)
    assert figures["queue_p95_ms"] <= 200.0


def test_copies_that_have_no_room_are_not_sent_and_those_that_have_are() -> None:
    narrow, wide = Watched(find("line40-1000"), "copies:4,8"), Watched(find("line96-1000"), "copies:4,8")
    assert sum(narrow.copies[5:]) < 0.2 * sum(wide.copies[5:])
    assert sum(wide.copies[5:]) > 0.9 * 2 * 50 * (SECONDS - 5)
