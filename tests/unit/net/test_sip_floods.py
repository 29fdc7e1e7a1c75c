"""Floods of what cannot be SIP at its port: what the filter lets pass, and when there is one."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator

import pytest

from tests.fuzz.target import files
from tests.support.sound import Time
from voip.errors import ProtocolError
from voip.net.floods import CALM_RATE, CAN_FILTER, CHECK_INTERVAL, FLOOD_DATAGRAMS, SAMPLE_MASK, attach, drops
from voip.net.loop import EventLoop
from voip.net.sip_floods import SHORTEST, SipFloodGuard, can_be_sip, program
from voip.sip import parse_message
from voip.stun import binding_request

pytestmark = pytest.mark.skipif(not CAN_FILTER, reason="the system has no filters of sockets")

FLOOD = 5000
FEW = 3 * FLOOD // (SAMPLE_MASK + 1)
"""Three times what should pass of a flood."""
BATCH = 50
GARBAGE = bytes(range(200, 256)) * 3
VALID = [*files("sip/*.sip"), binding_request(bytes(12)), b"\r\n\r\n", b"\r\n", b"\r\nOPTIONS sip:a@b SIP/2.0\r\n\r\n"]


class Port:
    """A UDP socket that is guarded, and another one that sends to it, in virtual time."""

    def __init__(self, sockets: contextlib.ExitStack) -> None:
        self.time, self.said, self.dropped = Time(100.0), [], 0  # type: ignore[var-annotated]
        self.loop = EventLoop(self.time.clock)
        sockets.callback(self.loop.close)
        self.ours, self.peer = (sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in "ab")
        for sock in (self.ours, self.peer):
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        self.guard = SipFloodGuard(
            self.loop, lambda: [self.ours], self._count, lambda level, text: self.said.append(text)
        )

    def _count(self, dropped: int) -> None:
        self.dropped += dropped

    def say(self, *datagrams: bytes) -> list[bytes]:
        """Send these; those that reach us, each of which the guard is shown."""
        found: list[bytes] = []
        for data in datagrams:
            self.peer.sendto(data, self.ours.getsockname())
            with contextlib.suppress(BlockingIOError):
                found.append(self.ours.recv(70000))
                self.guard.note(found[-1], self.time.now)
        return found

    def pass_time(self, seconds: float) -> None:
        self.time.now += seconds
        self.loop.turn(0.0)


@pytest.fixture
def port() -> Iterator[Port]:
    with contextlib.ExitStack() as sockets:
        yield Port(sockets)


def test_a_message_a_keep_alive_and_stun_pass_and_a_sample_of_the_rest(port: Port) -> None:
    attach(port.ours, program())
    assert port.say(*VALID) == VALID
    rng, before = random.Random(1), drops(port.ours)
    rest = [
        b"",
        b"x",
        b"\0",
        b"AB/2.0 of some length",
        b"INVITE\r\n",
        GARBAGE,
        b"\0\1" + bytes(40),
        b"[" * 60,
        b"{" * 60,
    ]
    rest += [b"[" * 60, b"@BC" + bytes(40), b"ABC"[:2] + b"\xc3" + bytes(40), b"\x04" + binding_request(bytes(12))[1:]]
    assert not any(map(can_be_sip, rest))
    passed = port.say(*rng.choices(rest, k=FLOOD))
    assert 0 < len(passed) < FEW
    assert drops(port.ours) - before == FLOOD - len(passed)


def test_the_filter_and_the_question_agree_and_nothing_that_can_be_read_is_dropped(port: Port) -> None:
    attach(port.ours, program())
    rng = random.Random(2)
    for _ in range(3000):
        data = bytearray(rng.choice(VALID)[: rng.choice((5, SHORTEST - 1, SHORTEST, 60, 5000))])
        for at in range(rng.choice((0, 0, 1, 3))):
            data[min(at, len(data) - 1)] = rng.randrange(256)
        if can_be_sip(bytes(data)):
            assert port.say(bytes(data)) == [bytes(data)]
        else:
            with pytest.raises(ProtocolError):
                parse_message(bytes(data))


def test_a_flood_is_dropped_while_it_lasts_and_counted(port: Port) -> None:
    read = sum(len(port.say(GARBAGE)) for _ in range(FLOOD))
    assert FLOOD_DATAGRAMS <= read < 2 * FLOOD_DATAGRAMS + FEW
    assert port.say(*VALID) == VALID, "what is SIP comes through"
    port.pass_time(CHECK_INTERVAL)
    assert port.dropped == FLOOD - read
    assert len(port.said) == 1
    port.pass_time(CHECK_INTERVAL)
    assert len(port.said) == 2
    assert str(port.dropped) in port.said[1]
    assert port.say(GARBAGE) == [GARBAGE], "the flood is over"


def test_what_is_dropped_last_is_counted_at_the_end(port: Port) -> None:
    read = len(port.say(*[GARBAGE] * FLOOD))
    port.guard.close()
    assert port.dropped == FLOOD - read


def test_there_is_no_filter_without_a_flood_nor_for_many_requests(port: Port) -> None:
    for _ in range(50):
        assert len(port.say(*[GARBAGE] * int(CALM_RATE / 10))) == int(CALM_RATE / 10)
        port.pass_time(0.1)
    assert len(port.say(*[VALID[0]] * 1000)) == 1000
    assert port.said == []
