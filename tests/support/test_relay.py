"""The relay that stands for a bad network must itself be right: its losses, its order, its books."""

import itertools
import socket
import sys

import pytest

from tests.support.network import Impairment
from tests.support.processes import LOOPBACK, free_ports
from tests.support.relay import RECEIVER_ALIAS, SENDER_ALIAS, Direction, relay

PACKETS = 20_000
INTERVAL = 0.01


def fates(impairment: Impairment, seed: str = "1") -> list[list[float]]:
    direction = Direction(impairment, seed)
    return [direction.departures(n * INTERVAL, "L16", spared=False) for n in range(PACKETS)]


def test_independent_losses_have_their_share_and_repeat_with_the_seed() -> None:
    lost = [not times for times in fates(Impairment(loss=0.1))]
    assert abs(sum(lost) - 2000) < 4 * (PACKETS * 0.1 * 0.9) ** 0.5
    assert lost == [not times for times in fates(Impairment(loss=0.1, jitter=0.02))]
    assert lost != [not times for times in fates(Impairment(loss=0.1), seed="2")]


def test_bursts_have_their_mean_length_and_share() -> None:
    lost = [not times for times in fates(Impairment(loss=0.1, burst=3))]
    runs = [len(list(run)) for gone, run in itertools.groupby(lost) if gone]
    assert sum(lost) / PACKETS == pytest.approx(0.1, abs=0.02)
    assert sum(runs) / len(runs) == pytest.approx(3, abs=0.4)


def test_jitter_reorders_only_when_asked_to() -> None:
    times = [times[0] for times in fates(Impairment(delay=0.02, jitter=0.03, reorder=False))]
    assert times == sorted(times)
    wild = [times[0] for times in fates(Impairment(delay=0.02, jitter=0.03, reorder=True))]
    assert wild != sorted(wild)
    waits = [out - n * INTERVAL for n, out in enumerate(wild)]
    assert min(waits) >= 0.02 - 1e-9
    assert sum(waits) / PACKETS == pytest.approx(0.05, abs=0.002)


def test_duplicates_come_twice_and_are_counted() -> None:
    direction = Direction(Impairment(duplicate=0.25), "1")
    copies = [len(direction.departures(n * INTERVAL, "L16", spared=False)) for n in range(1000)]
    assert set(copies) == {1, 2}
    assert direction.counts["L16"].duplicated == copies.count(2)


def test_what_is_spared_is_only_delayed() -> None:
    direction = Direction(Impairment(loss=1.0, delay=0.02, jitter=1.0), "1")
    assert direction.departures(5.0, "sip", spared=True) == [5.02]
    assert direction.departures(5.0, "L16", spared=False) == []


def udp(port: int = 0) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((LOOPBACK, port))
    opened.settimeout(5)
    return opened


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
def test_each_side_sees_one_peer_with_its_own_ports() -> None:
    sip_port, media_ports = free_ports()
    receiver, receiver_media, sender = udp(sip_port), udp(media_ports[0]), udp()
    sender_media = udp()
    sender_port, sender_media_port = sender.getsockname()[1], sender_media.getsockname()[1]
    media = bytes([0x80, 96]) + bytes(10)
    with relay([sip_port, *media_ports], "--loss", "1", "--impair", "media", "--direction", "back") as running:
        offer = b"INVITE sip:x SIP/2.0\r\n\r\nm=audio %d RTP/AVP 96\r\na=rtpmap:96 L16/48000\r\n" % sender_media_port
        sender.sendto(offer, (RECEIVER_ALIAS, sip_port))
        assert receiver.recvfrom(2000) == (offer, (SENDER_ALIAS, sender_port))
        receiver.sendto(b"SIP/2.0 200 OK\r\n", (SENDER_ALIAS, sender_port))
        assert sender.recvfrom(2000) == (b"SIP/2.0 200 OK\r\n", (RECEIVER_ALIAS, sip_port))
        sender_media.sendto(media, (RECEIVER_ALIAS, media_ports[0]))
        assert receiver_media.recvfrom(2000) == (media, (SENDER_ALIAS, sender_media_port))
        receiver_media.sendto(media, (SENDER_ALIAS, sender_media_port))
        receiver.sendto(b"SIP/2.0 486 Busy\r\n", (SENDER_ALIAS, sender_port))
        sender.recvfrom(2000)  # sent last and here: the relay has seen all
        counts = running.counts()
    for opened in (receiver, receiver_media, sender, sender_media):
        opened.close()
    one = {"offered": 1, "dropped": 0, "duplicated": 0, "delivered": 1}
    assert counts["forward"] == {"sip": one, "L16": one}
    assert counts["back"]["sip"]["delivered"] == 2
    assert counts["back"]["L16"] == {"offered": 1, "dropped": 1, "duplicated": 0, "delivered": 0}
