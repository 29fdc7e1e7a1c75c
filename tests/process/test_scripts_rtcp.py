"""RTCP between both scripts as real processes: the sender's report knows what the network did to its packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.plain_phone import phone
from tests.support.processes import Json, free_ports, receiver, sender
from tests.support.relay import RECEIVER_ALIAS, SENDER_ALIAS, relay

pytestmark = pytest.mark.process

DELAY = 0.030  # seconds, each way
ROUND_TRIP_TOLERANCE = 8.0  # milliseconds: the relay and both programs share a busy machine
LAST_WORDS = 10  # packets: what is lost after the last report is not reported


def through_a_relay(folder: Path, *impairments: str) -> tuple[Json, Json, Json]:
    """A call over a bad wire: what the sender reports of it, the receiver, and the relay."""
    ports = free_ports()
    with (
        relay((ports[0], *ports[1]), "--impair", "media", "--delay-ms", f"{DELAY * 1e3}", *impairments) as wire,
        receiver(folder, "--once", "--public-address", RECEIVER_ALIAS, ports=ports) as far,
        sender(folder, f"{RECEIVER_ALIAS}:{ports[0]}", "--public-address", SENDER_ALIAS, "--duration", "8s") as near,
    ):
        sent, heard = near.finish(), far.finish()
        counts = wire.counts()
    assert sent.status == heard.status == 0
    return sent.call, heard.call, counts


def test_both_sides_know_the_round_trip_and_the_sender_what_was_lost(tmp_path: Path) -> None:
    sent, heard, counts = through_a_relay(tmp_path, "--loss", "0.1", "--seed", "7")
    for call in (sent, heard):
        assert call["timing"]["rtt_min_ms"] == pytest.approx(2e3 * DELAY, abs=ROUND_TRIP_TOLERANCE)
        assert call["timing"]["rtt_ms"] == pytest.approx(2e3 * DELAY, abs=2 * ROUND_TRIP_TOLERANCE)
    lost = heard["rx"]["lost"]
    assert lost > 15
    assert sent["remote"]["cumulative_lost"] == pytest.approx(lost, abs=LAST_WORDS)
    assert sent["remote"]["fraction_lost"] == pytest.approx(lost / sent["tx"]["packets"], abs=0.025)
    assert sent["remote"]["jitter_ms"] is not None
    assert counts["forward"]["rtcp"]["offered"] == sent["rtcp"]["sent"] >= 4
    assert counts["back"]["rtcp"]["offered"] == heard["rtcp"]["sent"] >= 4
    assert 0 < heard["rtcp"]["received"] <= counts["forward"]["rtcp"]["delivered"]


def test_on_a_faultless_wire_nothing_is_lost_and_reports_are_cheap(tmp_path: Path) -> None:
    sent, heard, _ = through_a_relay(tmp_path)
    assert sent["remote"]["cumulative_lost"] == 0
    for call in (sent, heard):
        regular = (call["rtcp"]["sent"] - 2) / call["rtcp"]["sent"]  # the first and the last ask for no share
        assert 8 * regular * call["rtcp"]["sent_ip_bytes"] / call["duration_s"] < 3200  # 5 % of 64 kbit/s
        assert 5 <= call["rtcp"]["sent"] <= 20
        assert call["rx"] is None or call["rx"]["malformed"] == 0


def test_a_phone_without_rtcp_is_talked_to_as_before(tmp_path: Path) -> None:
    with phone() as far, sender(tmp_path, far.target, "--codec", "pcmu", "--duration", "2s") as near:
        sent = near.finish()
    assert sent.status == 0
    assert set(sent.call["remote"].values()) == {None}
    assert sent.call["timing"]["rtt_ms"] is None
    assert sent.call["tx"]["packets"] == pytest.approx(100, abs=3)
