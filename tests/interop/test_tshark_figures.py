"""Our figures of a bad line beside those that tshark takes from a capture of the same packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.peers import Capture, Stream, capture
from tests.support.processes import LOOPBACK, assert_identities, free_ports, receiver, sender
from tests.support.relay import RECEIVER_ALIAS, SENDER_ALIAS, relay
from voip.rtp.jitter import Jitter

pytestmark = [pytest.mark.process, pytest.mark.interop]

_SCHEDULING = 1e-3  # seconds by which a busy machine may move the mean: all tests of a run share two processors


@pytest.mark.parametrize("jitter", [0, 30])
@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05, 0.10])
def test_loss_jitter_and_bandwidth_are_those_of_the_wire(loss: float, jitter: int, tmp_path: Path) -> None:
    """Both count what the relay has passed on; jitter differs by the time from the wire to our clock.

    That time is the machine's, and up to _SCHEDULING: that the arithmetic is the same is shown with tshark's times."""
    ports = free_ports()
    impairments = ["--impair", "media", "--loss", f"{loss}", "--jitter-ms", f"{jitter}", "--seed", "5"]
    with (
        capture(tmp_path, *ports) as captured,
        relay((ports[0], *ports[1]), *impairments),
        receiver(tmp_path, "--once", "--srtp", "off", "--public-address", RECEIVER_ALIAS, ports=ports) as far,
        sender(tmp_path, f"{RECEIVER_ALIAS}:{ports[0]}", "--public-address", SENDER_ALIAS, "--duration", "6s") as near,
    ):
        sent, heard = near.finish().call, far.finish().call
    assert_identities(heard)
    offered, arrived = (one(captured.streams(), source) for source in (LOOPBACK, SENDER_ALIAS))
    bye = captured.first("sip.Method == BYE")
    after_bye = len(captured.frames(f"ip.src == {SENDER_ALIAS} && rtp.ssrc == {arrived.ssrc} && frame.number > {bye}"))
    # What comes after the BYE is counted if it comes before its turn to be played; and a packet may be read after a BYE
    # that has come at the same moment.
    after_bye += 1
    assert 0 <= arrived.packets - heard["rx"]["received"] <= after_bye
    # tshark cannot know of packets lost before the first or after the last that came; repair packets name them to us.
    beyond = offered.packets - arrived.packets - arrived.lost
    tail = 2 * after_bye  # with those that are lost among them
    assert -tail <= heard["rx"]["expected"] - arrived.packets - arrived.lost <= beyond
    assert -tail <= heard["rx"]["lost"] - arrived.lost <= beyond + after_bye
    assert heard["timing"]["jitter_mean_ms"] / 1e3 == pytest.approx(arrived.mean_jitter, abs=_SCHEDULING, rel=0.02)
    assert jitter_of(captured, arrived, heard["clock_rate"]) == pytest.approx(arrived.mean_jitter, abs=1e-4, rel=0.02)
    wire = f"ip.src == {SENDER_ALIAS} && rtp"
    least, most = captured.ip_bytes(f"{wire} && frame.number < {bye}"), captured.ip_bytes(wire)
    assert 0.99 * least <= heard["rx"]["ip_bytes"] <= 1.01 * most
    assert sent["tx"]["ip_bytes"] == pytest.approx(captured.ip_bytes(f"ip.dst == {RECEIVER_ALIAS} && rtp"), rel=0.01)


def one(streams: list[Stream], source: str) -> Stream:
    """The media stream from this address, before or after the relay; with copies in it, it is "opus, red"."""
    (found,) = [stream for stream in streams if stream.source == source and "opus" in stream.payload.split(", ")]
    return found


def jitter_of(captured: Capture, stream: Stream, clock_rate: int) -> float:
    """What we make of the times at which tshark saw the packets of a stream: mean jitter in seconds."""
    jitter = Jitter()
    wanted = f"ip.src == {stream.source} && rtp.ssrc == {stream.ssrc}"
    for row in captured.read("-Y", wanted, "-T", "fields", "-e", "frame.time_epoch", "-e", "rtp.timestamp"):
        arrival, timestamp = row.split()
        jitter.measure(int(timestamp), float(arrival), clock_rate)
    return jitter.mean
