"""A media port of an encrypted call: everything that leaves it is protected, and without a key nothing leaves."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.encrypted import master, security
from voip import codecs
from voip.media import AudioFormat, Direction, KeyAgreement, NegotiatedMedia, Security
from voip.net import MediaTransport, Network
from voip.rtcp.packets import ReceiverReport, parse, serialize
from voip.rtp import RtpPacket
from voip.session import RtpSession
from voip.srtp import Profile
from voip.srtp.context import Opener, Protector
from voip.stun import is_stun

PROFILE = Profile.AES_CM_128_HMAC_SHA1_80
PACKET = RtpPacket(0, 7, 160, 77, b"sound").serialize()
traced: list[str] = []


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5.0)
        yield sock


@pytest.fixture
def network() -> Iterator[Network]:
    traced.clear()
    network = Network(bind="127.0.0.1", trace=traced.append)
    yield network
    network.close()


def port_with(
    network: Network, peer: socket.socket, terms: Security, *, mux: bool = True, sends: bool = True
) -> tuple[MediaTransport, RtpSession]:
    codec = codecs.find("PCMU", 8000, 1)
    assert codec is not None
    direction = Direction.SENDRECV if sends else Direction.RECVONLY
    media = NegotiatedMedia(
        AudioFormat(codec), 0, peer.getsockname(), rtcp_mux=mux, ssrc=77, security=terms, direction=direction
    )
    session, port = RtpSession(media, cname="us"), network.media.open("127.0.0.1")
    port.attach(session, lambda packet, arrival: None)
    return port, session


def test_media_and_reports_leave_protected(network: Network, peer: socket.socket) -> None:
    port, session = port_with(network, peer, security(1, 2))
    session.start_reports(network.loop.now())
    opener = Opener(PROFILE, master(PROFILE, 1))
    assert port.send_rtp(PACKET)
    assert opener.rtp(peer.recv(2000)) == PACKET
    port.send_goodbye()
    assert parse(opener.rtcp(peer.recv(2000)))[0] == ReceiverReport(77)
    assert any("RTCP sent to" in line and "77" in line for line in traced), "the trace shows what it says"
    port.close()


@pytest.mark.parametrize("mux", [True, False])
def test_what_keeps_a_nat_open_leaves_protected(network: Network, peer: socket.socket, mux: bool) -> None:
    port, _ = port_with(network, peer, security(1, 2), mux=mux, sends=False)
    opener = Opener(PROFILE, master(PROFILE, 1))
    data = peer.recv(2000)
    if mux:
        assert parse(opener.rtcp(data))
    else:
        assert RtpPacket.parse(opener.rtp(data)).payload == b""
    port.close()


def test_without_a_key_nothing_leaves_but_what_opens_a_nat(network: Network, peer: socket.socket) -> None:
    port, session = port_with(network, peer, Security(KeyAgreement.DTLS), sends=False)
    session.start_reports(network.loop.now())
    assert not port.send_rtp(PACKET)
    port.send_goodbye()
    assert (port.sent, port.unsent) == (1, 1), "a packet is not sent; reports wait for the handshake"
    opener = peer.recv(2000)
    assert is_stun(opener)
    assert opener[:2] == b"\x00\x11", "a Binding indication, which nothing responds to"
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(2000)
    assert session.protection.waits_for_keys
    port.close()


def test_reports_are_traced_as_they_read(network: Network, peer: socket.socket) -> None:
    port, session = port_with(network, peer, security(1, 2))
    report = serialize([ReceiverReport(0x5A5A)])
    peer.sendto(Protector(PROFILE, master(PROFILE, 2)).rtcp(report), ("127.0.0.1", port.port))
    port.close()
    assert session.stats.rtcp == 1
    assert any("RTCP received from" in line and str(0x5A5A) in line for line in traced), traced
