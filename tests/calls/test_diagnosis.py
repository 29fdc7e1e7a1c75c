"""The networks of the benchmark, shown to the diagnosis: what everything at its default makes good is not warned of."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.rows import Row, find
from tests.bench.virtual import TwoWayCall, noise
from tests.bench.waves import RATE, stretch
from tests.support.diagnosis import LOOK_INTERVAL
from voip.calls.diagnosis import Choppy, Event, Finding, PeerLoss, Silence, Situation
from voip.report import CallRecord

SECONDS = 20.0
PERFECT = ("clean", "loss5", "loss10", "loss20", "jitter30", "jitter60", "loss10-jitter30")
"""Rows whose defaults leave next to nothing missing."""


def said(row: Row, seed: int) -> list[Finding]:
    """What is said at both ends of a call with everything at its default."""
    call = TwoWayCall(row, seed)
    began = call.now
    sound = np.clip(np.rint(stretch(noise(), SECONDS) * 32768), -32768, 32767).astype(np.int16)
    ends = [(Choppy(), Silence(), PeerLoss()) for _ in range(2)]
    found: list[Finding] = []
    step = round(RATE * LOOK_INTERVAL)
    for at in range(0, len(sound), step):
        call.talk_on(sound[at : at + step])
        record = CallRecord("1", "sip:bob@192.0.2.2", incoming=False, duration=call.now - began)
        receiving = CallRecord("1", record.peer, incoming=True, duration=record.duration, rx=call.receiver.stats)
        far = Situation(receiving, call.far.media, call.now, network=call.far.stats)
        near = Situation(record, call.near.media, call.now, plays=False, sends=True, network=call.near.stats)
        for situation, watches in zip((far, near), ends, strict=True):
            found += [finding for watch in watches for finding in watch.look(situation)]
    return found


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", PERFECT)
def test_what_fec_and_playout_make_good_is_not_warned_of(name: str, seed: int) -> None:
    assert [finding for finding in said(find(name), seed) if finding.event is not Event.DETAIL] == []


def test_outages_that_nothing_makes_good_are_network_loss_in_bursts() -> None:
    (finding,) = said(find("outage10"), 0)
    assert finding.cause == "choppy-loss"
    assert " missing: network loss in bursts of " in finding.text
