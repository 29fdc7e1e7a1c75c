"""Media that one side sends and the other does not play: counted where it is sent and where it comes."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.support.call import media
from voip.audio import AudioSender
from voip.calls.line import MediaLine
from voip.media import Direction
from voip.net import MediaTransport
from voip.rtp import RtpPacket
from voip.session import RtpSession

RATE = 48000


def packets_sent(**terms: Any) -> tuple[int, int]:  # noqa: ANN401 - fields of the agreed media
    """Media packets sent in a second, and those of them that count as not played."""
    agreed = replace(media(), **terms)
    sender = AudioSender(agreed, sample_rate=RATE, channels=1, rng=random.Random(1))
    sender.write(np.zeros((RATE, 1), np.int16), 1.0)
    return sender.stats.packets, sender.stats.unplayed


def test_a_peer_that_plays_what_it_receives() -> None:
    sent, unplayed = packets_sent()
    assert sent >= 45
    assert unplayed == 0


@pytest.mark.parametrize("terms", [{"remote_plays": False}, {"remote_direction": Direction.SENDONLY}])
def test_a_peer_that_says_it_plays_nothing(terms: dict[str, object]) -> None:
    sent, unplayed = packets_sent(**terms)
    assert sent >= 45
    assert unplayed == sent


def test_only_what_is_sent_after_the_change_is_not_played() -> None:
    sender = AudioSender(media(), sample_rate=RATE, channels=1, rng=random.Random(1))
    sender.write(np.zeros((RATE, 1), np.int16), 1.0)
    before = sender.stats.packets
    sender.update(replace(media(), remote_plays=False))
    sender.write(np.zeros((RATE // 2, 1), np.int16), 1.5)
    assert sender.stats.unplayed == sender.stats.packets - before == 25


def test_packets_that_come_where_nothing_is_played_are_counted_but_for_empty_ones() -> None:
    transport = cast(MediaTransport, SimpleNamespace(icmp_errors=0, icmp_at=None, icmp_since=None, unsent=0))
    session = RtpSession(media(), cname="x", rng=random.Random(1))
    line = MediaLine(media(), transport, session, None, None)
    for number, payload in enumerate((b"", b"sound", b"sound")):
        line.packet_sink(RtpPacket(0, number, 160 * number, 1, payload), 1.0)
    assert line.statistics().unplayed == 2
