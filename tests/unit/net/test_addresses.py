"""Our public addresses by a STUN server on loopback: asked for, told, and never at the price of media that is early."""

from __future__ import annotations

import contextlib
import ipaddress
import random
import socket
import struct
from collections.abc import Iterator

import pytest

from voip import codecs
from voip.media import AudioFormat, NegotiatedMedia
from voip.net import Network
from voip.rtp import RtpPacket
from voip.session import RtpSession
from voip.sip import Address, UserAgent
from voip.stun import MAGIC_COOKIE

PUBLIC = "203.0.113.9"
TURNS = 400
"""Of 10 ms each: how long something may take."""


class Server:
    """Answers each STUN request by a port 1000 above the one that it sees."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)
        self.port = int(self.sock.getsockname()[1])

    def answer_all(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                request, source = self.sock.recvfrom(2000)
                port, host = seen(source[1]) ^ (MAGIC_COOKIE >> 16), int(ipaddress.ip_address(PUBLIC)) ^ MAGIC_COOKIE
                mapped = struct.pack("!HHBBHI", 0x0020, 8, 0, 1, port, host)  # RFC 8489 section 14.2
                head = struct.pack("!HHI", 0x0101, len(mapped), MAGIC_COOKIE)
                self.sock.sendto(head + request[8:20] + mapped, source)


def seen(port: int) -> int:
    return (port + 1000) & 0xFFFF


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with contextlib.closing(server.sock):
        yield server


@pytest.fixture
def network(server: Server) -> Iterator[Network]:
    network = Network(bind="127.0.0.1", stun=("127.0.0.1", server.port))
    network.sip.listen(0)
    network.sip.serve(UserAgent(rng=random.Random(1), local=network.sip.sip_address), {}, lambda call_id: None)
    yield network
    network.close()


def until(network: Network, happened: list[object], server: Server | None = None) -> None:
    for _ in range(TURNS):
        network.loop.turn(0.01)
        if server is not None:
            server.answer_all()
        if happened:
            return
    raise AssertionError("nothing came")


def test_a_media_port_and_the_sip_port_are_found_by_stun(network: Network, server: Server) -> None:
    port = network.media.open("127.0.0.1")
    found: list[object] = []
    network.addresses.discover(port, "127.0.0.1", lambda rtp, rtcp: found.append((rtp, rtcp)))
    assert found == []
    until(network, found, server)
    rtcp = None if port.rtcp is None else (PUBLIC, seen(port.port + 1))
    assert found == [((PUBLIC, seen(port.port)), rtcp)]
    sip_port = network.sip.sip_ports["udp"]
    assert network.sip.sip_address(Address("udp", "127.0.0.1", 5060)) == (PUBLIC, seen(sip_port))
    port.close()


def test_media_that_comes_after_the_stun_response_waits_for_its_session(network: Network, server: Server) -> None:
    port = network.media.open("127.0.0.1")
    found: list[object] = []
    network.addresses.discover(port, "127.0.0.1", lambda rtp, rtcp: found.append((rtp, rtcp)))
    until(network, found, server)
    codec = codecs.find("PCMU", 8000, 1)
    assert codec is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        for number in (1, 2):
            peer.sendto(RtpPacket(0, number, 160 * number, 7, bytes(160)).serialize(), ("127.0.0.1", port.port))
        network.loop.turn(0.05)
        heard: list[object] = []
        session = RtpSession(NegotiatedMedia(AudioFormat(codec), 0, peer.getsockname()))
        port.attach(session, lambda packet, arrival: heard.append(packet))
        until(network, heard)
    port.close()


def test_without_a_server_there_is_nothing_to_wait_for() -> None:
    network = Network(bind="127.0.0.1")
    port = network.media.open("127.0.0.1")
    found: list[object] = []
    network.addresses.discover(port, "127.0.0.1", lambda rtp, rtcp: found.append((rtp, rtcp)))
    assert found == [(None, None)]
    assert not network.addresses.behind_nat
    port.close()
    network.close()


def test_a_port_that_is_closed_while_stun_is_asked_is_left_alone(network: Network, server: Server) -> None:
    port = network.media.open("127.0.0.1")
    found: list[object] = []
    network.addresses.discover(port, "127.0.0.1", lambda rtp, rtcp: found.append((rtp, rtcp)))
    port.close()
    until(network, found, server)
    assert found == [(None, None)]
