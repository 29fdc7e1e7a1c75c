"""What tshark makes of a call: every packet well-formed, and as many as we say."""

from pathlib import Path

import pytest

from tests.support.peers import Stream, capture
from tests.support.processes import assert_identities, free_ports, receiver, sender

pytestmark = [pytest.mark.process, pytest.mark.interop]


@pytest.mark.parametrize("codec", ["l16", "pcmu"])
def test_a_call_is_well_formed_and_counted_alike(codec: str, tmp_path: Path) -> None:
    ports = free_ports()
    with (
        capture(tmp_path, *ports) as captured,
        receiver(tmp_path, "--once", ports=ports) as far,
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


def split(streams: list[Stream]) -> tuple[Stream, Stream]:
    """The two streams of a call with one repair packet for four packets: the media, then the repair.

    The other side, which only listens, opens the way through a NAT by RTCP, as it has the same port.
    """
    assert len(streams) == 2, streams
    media, repair = sorted(streams, key=lambda stream: -stream.packets)
    assert media.packets // repair.packets in (3, 4)
    return media, repair
