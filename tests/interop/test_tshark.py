"""What tshark makes of a call: every packet well-formed, and as many as we say."""

from pathlib import Path

import pytest

from tests.support.peers import Stream, capture
from tests.support.processes import assert_identities, free_ports, receiver, sender
from voip.session.proof import UNPROVEN_KEEP_ALIVES

pytestmark = [pytest.mark.process, pytest.mark.interop]


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


def split(streams: list[Stream]) -> tuple[Stream, Stream]:
    """The two streams of a call with one repair packet for four packets: the media, then the repair.

    The other side, which only listens, opens the way through a NAT by empty packets before the caller has proved its
    address, and by RTCP afterwards, as it has the same port.
    """
    media, repair, *openers = sorted(streams, key=lambda stream: -stream.packets)
    assert sum(opener.packets for opener in openers) <= UNPROVEN_KEEP_ALIVES
    assert media.packets // repair.packets in (3, 4)
    return media, repair
