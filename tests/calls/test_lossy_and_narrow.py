"""Calls whose packets are lost by the path and whose bit rate has a ceiling, in virtual time: FEC gets a share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.rows import find
from tests.bench.virtual import TwoWayCall, blocks, noise, pcm
from tests.bench.waves import stretch
from voip import codecs
from voip.cli.values import fec_choice
from voip.stats import ReceiverStats, SenderStats

pytestmark = pytest.mark.skipif(codecs.missing("opus") is not None, reason="only Opus can send less")
SECONDS = 30.0
KNOWN = 10.0
"""Seconds after which the losses of the path are known."""
VARIABLE, LASTING = 1.06, 1.01
"""Factors on the ceiling: for one second of a variable bit rate, and for five in a row."""


class Figures:
    """What came of a call with a ceiling on its bit rate (bit/s), in the seconds after KNOWN."""

    def __init__(self, row: str, ceiling: float, seed: int, fec: str = "auto") -> None:
        choice = fec_choice(fec) if fec != "off" else None
        call = TwoWayCall(replace(find(row), seconds=SECONDS), seed, fec=choice, bitrate_max=ceiling)
        pieces = blocks(pcm(stretch(noise(), SECONDS)))
        per_second = len(pieces) / SECONDS
        sent: list[SenderStats] = []
        heard: list[ReceiverStats] = []
        for index, piece in enumerate(pieces, 1):
            call.block(piece)
            if index % round(per_second) == 0:
                sent.append(call.sender.stats)
                heard.append(call.receiver.stats)
        since, end = round(KNOWN) - 1, round(SECONDS) - 1
        self.told = [reason for _, reason in call.decisions if reason.startswith("sound at")]
        self._ip_bytes = [stats.ip_bytes for stats in sent]
        packets = sent[end].packets - sent[since].packets
        self.copies = (sent[end].fec_copies - sent[since].fec_copies) / packets
        self.repairs = (sent[end].fec_packets - sent[since].fec_packets) / packets
        concealed = heard[end].playout.concealed_seconds - heard[since].playout.concealed_seconds
        self.missing = concealed / (SECONDS - KNOWN)

    def most_sent(self, seconds: int) -> float:
        """The most bit/s in so many seconds, from one whole second on."""
        sizes = zip(self._ip_bytes, self._ip_bytes[seconds:], strict=False)
        return max(8.0 * (end - begin) / seconds for begin, end in sizes)

    def assert_below(self, ceiling: float) -> None:
        """What is meant is the mean: the sound varies, and FEC follows it."""
        assert self.most_sent(1) <= VARIABLE * ceiling
        assert self.most_sent(5) <= LASTING * ceiling


@pytest.mark.parametrize("seed", [1, 3])
@pytest.mark.parametrize("ceiling", [55e3, 70e3, 90e3])
@pytest.mark.parametrize("row", ["loss10", "loss20", "burst10", "outage10"])
def test_the_sound_leaves_room_for_fec_where_packets_are_lost(row: str, ceiling: float, seed: int) -> None:
    """At 55 kbit/s Opus has 16 in place of 24, and a copy of each packet what that leaves."""
    without, protected = Figures(row, ceiling, seed, fec="off"), Figures(row, ceiling, seed)
    assert protected.missing <= without.missing / 2
    protected.assert_below(ceiling)


@pytest.mark.parametrize("row", ["loss20", "burst10"])
def test_the_ceiling_is_kept_while_the_sound_gives_and_takes_room(row: str) -> None:
    """At 45 kbit/s there is room for Opus at 20 or for a copy, and it has both in turn."""
    Figures(row, 45e3, seed=1).assert_below(45e3)


def test_it_is_told_that_the_sound_leaves_room() -> None:
    assert Figures("outage10", 55e3, seed=1).told[0].endswith("kbit/s in place of 24: FEC needs the room")
    assert Figures("clean", 55e3, seed=1).told == []


def test_copies_take_the_place_of_repair_packets_that_there_is_no_room_for() -> None:
    narrow, wide = Figures("burst10", 75e3, seed=1), Figures("burst10", 250e3, seed=1)
    assert (narrow.repairs, wide.copies) == (0.0, 0.0)
    assert narrow.copies >= 1.0
    assert wide.repairs > 1.9


def test_without_losses_the_sound_has_it_all() -> None:
    clean = Figures("clean", 50e3, seed=1)
    assert clean.copies == 0.0
    assert clean.most_sent(1) > 40e3
