"""SIP in a worker process: a user agent whose messages come and go over a real pair of sockets."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator

from tests.support.worker_lab import OURS, PBX, SDP
from voip.net import Frame, Network, ParentLink, SendFailed
from voip.net.frames import FrameReader
from voip.sip import Address, CallEstablished, IncomingCall, UserAgent

PORTS = {"udp": 5060, "tcp": 5060, "tls": 41000}


class Lab:
    """A worker, its parent's end of the socket, and an exchange beyond that."""

    def __init__(self) -> None:
        self._parent, theirs = socket.socketpair()
        self._parent.setblocking(False)
        self.gone: list[bool] = []
        link = ParentLink(theirs, PORTS, ("udp", "tcp"), lambda: self.gone.append(True))
        self.network = Network(bind=OURS.host, parent=link)
        self.agent = UserAgent(rng=random.Random(1), local=self.network.sip.sip_address)
        self.pbx = UserAgent(rng=random.Random(2), local=lambda remote: (PBX.host, PBX.port))
        self.failed: list[SendFailed] = []
        self.established: list[str] = []
        handlers = {
            IncomingCall: lambda event: self.agent.accept(event.call_id, SDP, self.network.loop.now()),
            CallEstablished: lambda event: self.established.append(event.call_id),
            SendFailed: self.failed.append,
        }
        self.network.sip.serve(self.agent, handlers, lambda call_id: None)
        self._reader = FrameReader()
        self.states: list[tuple[object, ...]] = []

    def send(self, *frames: Frame) -> None:
        self._parent.sendall(b"".join(frame.pack() for frame in frames))
        self.turn()

    def turn(self) -> None:
        """Let the worker work, and pass its messages to the exchange until there are no more."""
        for _ in range(20):
            self.network.loop.turn(0.0)
            with contextlib.suppress(BlockingIOError):
                for (kind, *fields), body in self._reader.feed(self._parent.recv(1 << 16)):
                    if kind == "message":
                        assert Address(*fields[:3]) == PBX
                        self.pbx.receive(body, OURS, 0.0)
                    else:
                        self.states.append(tuple(fields))
            for data, _ in self.pbx.messages_to_send(0.0):
                self._parent.sendall(Frame(("message", *PBX), data).pack())

    def end_parent(self) -> None:
        self._parent.close()
        self.network.loop.turn(0.0)

    def close(self) -> None:
        self._parent.close()
        self.network.close()


@contextlib.contextmanager
def lab() -> Iterator[Lab]:
    found = Lab()
    try:
        yield found
    finally:
        found.close()


def test_a_call_comes_and_goes_and_the_parent_is_told_when_it_takes_room() -> None:
    with lab() as found:
        call = found.pbx.invite("sip:x@10.0.0.9", SDP, 0.0)
        found.turn()
        assert found.established == [call]
        assert [(begun, ended) for _, begun, ended, _ in found.states if begun or ended] == [([call], [])]
        assert [acknowledged for *_, acknowledged in found.states if acknowledged] == [[call]]
        found.pbx.hang_up(call, 0.0)
        found.turn()
        handled, *_ = found.states[-1]
        assert handled == 3  # INVITE, ACK, BYE
        assert [(begun, ended) for _, begun, ended, _ in found.states if begun or ended][-1] == ([], [call])
        assert found.agent.taking_room == frozenset()


def test_what_is_refused_is_handled_all_the_same_and_the_parent_is_told() -> None:
    """Else it would count an INVITE as a call for ever."""
    with lab() as found:
        found.send(Frame(("message", *PBX), b"INVITE nonsense SIP/2.0\r\n\r\n"))
        assert found.states == [(1, [], [], [])]


def test_peers_are_told_the_address_of_the_parent() -> None:
    with lab() as found:
        assert found.network.sip.sip_address(PBX) == (OURS.host, 5060)
        assert found.network.sip.sip_address(PBX._replace(protocol="tls")) == (OURS.host, 41000)
        assert found.network.sip.sip_ports == {"udp": 5060, "tcp": 5060}
        assert found.network.sip.listen(0) == 5060


def test_news_of_connections_and_datagrams_reach_the_user_agent() -> None:
    with lab() as found:
        tcp = Address("tcp", PBX.host, 33333)
        found.send(
            Frame(("refused", PBX.host, PBX.port, "nothing listens there", True)),
            Frame(("failed", *tcp, "reset")),
            Frame(("closed", *tcp)),
            Frame(("malformed", 7)),
        )
        assert found.failed == [SendFailed(PBX, "nothing listens there", closed=True)]
        assert found.agent.stats.malformed == 7
        assert found.network.failures.count == 0


def test_the_end_of_the_parent_is_told() -> None:
    with lab() as found:
        found.end_parent()
        assert found.gone == [True]
