"""What tshark makes of a call: every packet well-formed, and as many as we say."""

from pathlib import Path

import pytest

from tests.support.peers import Stream, capture
from tests.support.processes import assert_identities, free_ports, receiver, sender
from voip.session.proof import UNPROVEN_KEEP_ALIVES

pytestmark = [pytest.mark.process, pytest.mark.interop]
OFFSET = "rtp.timestamp-offset"
"""Of a block of RED."""


@pytest.mark.parametrize("codec", ["l16", "pcmu"])
def test_a_call_is_well_formed_and_counted_alike(codec: str, tmp_path: Path) -> None:
    ports = free_ports()
    with (
        capture(tmp_path, *ports) as captured,
        receiver(tmp_path, "--once", "--srtp", "off", ports=ports) as far,
        sender(tmp_path, far.target, "--codec", codec, "--fec", "4", "--duration", "4s") as near,
    ):
        sent, heard = near.finish().call, far.finish().call
    assert captured.malformed() == []
    assert captured.protocols()["SIP"] + captured.protocols()["SIP/SDP"] >= 5
    assert_identities(heard)
    media, repair = split(captured.streams())
    assert media.lost == heard["rx"]["lost"] == 0
    assert media.packets == sent["tx"]["packets"] == heard["rx"]["received"]
    assert repair.packets == sent["tx"]["fec_packets"] == heard["fec"]["packets"]
    assert repair.lost == 0


def test_copies_are_red_of_two_older_packets_to_others(tmp_path: Path) -> None:
    """RFC 2198: the blocks of each packet, by their age and size; the INVITE is short enough for UDP."""
    ports = free_ports()
    with (
        capture(tmp_path, *ports) as captured,
        receiver(tmp_path, "--once", "--srtp", "off", ports=ports) as far,
        sender(tmp_path, far.target, "--codec", "opus", "--fec", "copies:4,8", "--duration", "4s") as near,
    ):
        sent, heard = near.finish().call, far.finish().call
    assert captured.malformed() == []
    assert captured.frames("udp && sip.Method == INVITE")
    rows = captured.read("-Y", OFFSET, "-T", "fields", "-e", OFFSET, "-e", "rtp.block-length")
    blocks = [tuple(zip(*(map(int, column.split(",")) for column in row.split("\t")), strict=True)) for row in rows]
    whole = [[offset for offset, _ in each] for each in blocks if len(each) == 2]
    assert whole
    assert all(offsets == [8 * 960, 4 * 960] for offsets in whole)
    sizes = [size for each in blocks for _, size in each]
    assert len(sizes) == sent["fec"]["packets"]
    assert sum(sizes) / len(sizes) < 40
    assert heard["rx"]["lost"] == 0
    assert_identities(heard)


def split(streams: list[Stream]) -> tuple[Stream, Stream]:
    """The two streams of a call with one repair packet for four packets: the media, then the repair.

    The other side, which only listens, opens the way through a NAT by empty packets before the caller has proved its
    address, and by RTCP afterwards, as it has the same port.
    """
    media, repair, *openers = sorted(streams, key=lambda stream: -stream.packets)
    assert sum(opener.packets for opener in openers) <= UNPROVEN_KEEP_ALIVES
    assert media.packets // repair.packets in (3, 4)
    return media, repair
