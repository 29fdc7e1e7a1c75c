"""Floods of a media port from elsewhere: what the filter of its sockets lets pass, and when there is one."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.session_lab import SSRC, media, packet
from tests.support.sound import Time
from voip.net.failures import Failures
from voip.net.floods import (
    CALM_RATE,
    CAN_FILTER,
    CHECK_INTERVAL,
    FLOOD_DATAGRAMS,
    PEER_FLOOD_DATAGRAMS,
    SAMPLE_MASK,
    Rules,
    attach,
    detach,
    drops,
    program,
)
from voip.net.loop import EventLoop
from voip.net.media import MediaTransport
from voip.net.media_timers import MediaTimers
from voip.rtp import RtpPacket
from voip.session import RtpSession

pytestmark = pytest.mark.skipif(not CAN_FILTER, reason="the system has no filters of sockets")

PEER, STRANGER, MOVED = "127.0.0.2", "127.0.0.66", "127.0.0.3"
FLOOD = 5000
FEW = 3 * FLOOD // (SAMPLE_MASK + 1)
"""Three times what should pass of a flood."""
GARBAGE = bytes(range(60))


@contextlib.contextmanager
def bound(*hosts: str) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as opened:
        sockets = []
        for host in hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = opened.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            sock.bind((host, 0))
            sock.setblocking(False)
            sockets.append(sock)
        yield sockets


def come(sock: socket.socket) -> list[bytes]:
    """What waits there."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(sock.recv(2000))
    return found


def rtp(ssrc: int = SSRC) -> bytes:
    return packet(0, ssrc=ssrc).serialize()


def rtcp(ssrc: int = SSRC) -> bytes:
    return bytes.fromhex("81c90007") + ssrc.to_bytes(4, "big") + bytes(24)


@pytest.mark.parametrize("ssrc", [SSRC, None])
def test_hosts_of_the_call_the_ssrc_of_the_peer_and_a_sample_of_the_rest_pass(ssrc: int | None) -> None:
    with bound("127.0.0.1", PEER, STRANGER, MOVED) as (ours, peer, stranger, moved):
        hosts = frozenset({MOVED, "2001:db8::1", PEER, "no address"})
        rules = Rules(hosts, None, frozenset() if ssrc is None else frozenset({ssrc, 5}))
        attach(ours, program(rules, version=4))
        target = ours.getsockname()
        for data in (b"x", GARBAGE, rtp(9)):
            peer.sendto(data, target)
            moved.sendto(data, target)
        assert len(come(ours)) == 6
        for data in (rtp(), rtcp()):
            for _ in range(20):
                stranger.sendto(data, target)
        assert (len(come(ours)) == 40) == (ssrc is not None)
        before, passed = drops(ours), 0
        for number in range(FLOOD):
            stranger.sendto((b"x", GARBAGE, rtp(9))[number % 3], target)
            passed += len(come(ours)) if number % 100 == 0 else 0
        passed += len(come(ours))
        assert 0 < passed < FEW
        assert drops(ours) - before == FLOOD - passed
        detach(ours)
        stranger.sendto(b"x", target)
        assert come(ours) == [b"x"]


def test_a_host_of_ipv6_is_compared_whole() -> None:
    try:
        with bound("::1", "::1", "::1") as (ours, peer, other):
            attach(ours, program(Rules(frozenset({"::1"}), None, frozenset()), version=6))
            peer.sendto(b"x", ours.getsockname())
            assert come(ours) == [b"x"]
            others = frozenset({"::2", "2001:db8::1", "0:0:0:1::1"})
            attach(ours, program(Rules(others, None, frozenset()), version=6))
            for _ in range(100):
                other.sendto(b"x", ours.getsockname())
            assert len(come(ours)) < 20
    except OSError:
        pytest.skip("this machine has no IPv6")


def test_where_the_peer_is_doubted_its_ssrcs_alone_pass() -> None:
    with bound("127.0.0.1", PEER, STRANGER) as (ours, peer, stranger):
        attach(ours, program(Rules(frozenset({PEER}), frozenset({SSRC, 7}), frozenset()), version=4))
        target = ours.getsockname()
        for data in (rtp(), rtp(7), rtcp(), rtcp(7)):
            for _ in range(10):
                peer.sendto(data, target)
        assert len(come(ours)) == 40
        for sock, data in ((peer, rtp(9)), (peer, GARBAGE), (stranger, rtp()), (peer, b"x"), (peer, rtcp(9))):
            for _ in range(200):
                sock.sendto(data, target)
            assert len(come(ours)) < 20, data


@dataclass
class Port:
    """A media port in a call with a peer, in virtual time."""

    time: Time = field(default_factory=lambda: Time(100.0))
    said: list[str] = field(default_factory=list)
    passed: list[RtpPacket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.loop = EventLoop(self.time.clock)
        self.opened = contextlib.ExitStack()
        names = ("127.0.0.1", "127.0.0.1", PEER, STRANGER, MOVED)
        ours, rtcp_port, self.peer, self.stranger, self.moved = self.opened.enter_context(bound(*names))
        self.session = RtpSession(media(remote=self.peer.getsockname()[:2]))
        self.target = ours.getsockname()
        self.port = MediaTransport(
            self.loop,
            MediaTimers(self.loop, Failures(lambda level, text: None).run),
            ours,
            rtcp_port,
            host="127.0.0.1",
            on_stun=lambda data, source: None,
            failures=Failures(lambda level, text: None),
            say=lambda level, text: self.said.append(text),
        )
        self.port.attach(self.session, lambda packet, arrival: self.passed.append(packet))

    def talk(self, index: int, sock: socket.socket) -> bool:
        """Send one packet of the stream; whether it passed."""
        before = len(self.passed)
        sock.sendto(packet(index).serialize(), self.target)
        self.turn(0.02)
        return len(self.passed) > before

    def flood(self, count: int, data: bytes = GARBAGE) -> int:
        """Send so many datagrams in no time; how many reached the session, or were counted."""
        before = self.session.foreign
        for number in range(count):
            self.stranger.sendto(data, self.target)
            if number % 50 == 0:
                self.turn()
        self.turn()
        return self.session.foreign - before

    def turn(self, seconds: float = 0.0) -> None:
        self.time.now += seconds
        for _ in range(5):
            self.loop.turn(0.0)

    def close(self) -> None:
        self.port.close()
        self.opened.close()
        self.loop.close()


@pytest.fixture
def port() -> Iterator[Port]:
    made = Port()
    yield made
    made.close()


def test_s3_a_flood_is_dropped_by_the_kernel_counted_and_said_once(port: Port) -> None:
    assert all(port.talk(index, port.peer) for index in range(10))
    read = port.flood(FLOOD)
    assert FLOOD_DATAGRAMS <= read < 2 * FLOOD_DATAGRAMS + FEW
    assert all(port.talk(index, port.peer) for index in range(10, 60)), "the call goes on"
    port.turn(CHECK_INTERVAL)
    assert port.session.foreign == FLOOD
    assert len(port.said) == 1
    port.turn(CHECK_INTERVAL)
    assert port.said[1:] == [f"media port {port.target[1]}: the flood is over, {FLOOD - read} datagrams were dropped"]
    assert port.flood(10) == 10, "and so is the filter"


def test_s2_a_peer_that_moves_in_a_flood_is_noticed_as_soon_as_ever(port: Port) -> None:
    assert all(port.talk(index, port.peer) for index in range(50))
    port.flood(FLOOD)
    moved_at, index = port.time.now, 50
    while not port.talk(index, port.moved):
        port.flood(100)
        index += 1
    assert 0.5 <= port.time.now - moved_at <= 0.7
    port.turn(CHECK_INTERVAL)
    port.flood(FLOOD)
    assert all(port.talk(number, port.moved) for number in range(index + 1, index + 50))


def test_s3_a_flood_with_the_ssrc_of_the_peer_is_dropped_too(port: Port) -> None:
    assert all(port.talk(index, port.peer) for index in range(10))
    read = port.flood(FLOOD, packet(11).serialize())
    assert read < 3 * FLOOD_DATAGRAMS + FEW
    assert all(port.talk(index, port.peer) for index in range(10, 60))


def test_s4_a_flood_as_the_peer_is_dropped_but_for_its_own_ssrc(port: Port) -> None:
    assert all(port.talk(index, port.peer) for index in range(10))
    stray = port.session.stray
    for number in range(FLOOD):
        port.peer.sendto(packet(number, ssrc=number + 1).serialize(), port.target)
        if number % 50 == 0:
            port.turn()
    port.turn()
    assert port.session.stray - stray < 2 * PEER_FLOOD_DATAGRAMS + FEW
    assert all(port.talk(index, port.peer) for index in range(10, 60)), "the call goes on"
    port.turn(CHECK_INTERVAL)
    assert port.session.stray - stray >= FLOOD - 1, "one may wait for the next"
    port.turn(CHECK_INTERVAL)
    assert "claims to be of the peer" in port.said[0]
    assert len(port.said) == 2
    assert port.session.foreign == 0


def test_s3_the_rtcp_port_is_guarded_with_it(port: Port) -> None:
    assert port.port.rtcp is not None
    assert all(port.talk(index, port.peer) for index in range(10))
    port.target = port.port.rtcp.getsockname()
    assert port.flood(FLOOD, rtcp(9)) < 2 * FLOOD_DATAGRAMS + FEW
    port.peer.sendto(rtcp(), port.target)


def test_there_is_no_filter_without_a_flood_nor_where_anyone_may_be_the_peer(port: Port) -> None:
    for _ in range(100):
        assert port.flood(int(CALM_RATE / 10)) == int(CALM_RATE / 10)
        port.turn(0.1)
    assert port.said == []
    port.session.update(media(remote=("0.0.0.0", 0)))
    before = port.session.malformed
    port.flood(1000)
    assert port.session.malformed == before + 1000
    assert port.said == []


def test_a_burst_of_the_peer_itself_is_no_flood(port: Port) -> None:
    assert port.talk(0, port.peer)
    for index in range(1, 1000):
        port.peer.sendto(packet(index).serialize(), port.target)
        if index % 50 == 0:
            port.turn()
    port.turn()
    assert port.said == []
    assert len(port.passed) == 1000


def test_what_is_dropped_last_is_counted_when_the_port_closes() -> None:
    port = Port()
    assert port.talk(0, port.peer)
    port.flood(FLOOD)
    port.close()
    assert port.session.foreign == FLOOD
