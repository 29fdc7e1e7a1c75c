"""Bugs of ours cost what they happened in: a connection whose handling fails is closed, the others stay."""

from __future__ import annotations

import random
import socket

from voip.net import Network
from voip.net.failures import Failures
from voip.sip import Address, SipUri, UserAgent

OPTIONS = (
    "OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK{0}\r\nFrom: <sip:b@127.0.0.1>;tag=1"
    "\r\nTo: <sip:a@127.0.0.1>\r\nCall-ID: {0}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


class Fragile(UserAgent):
    """A user agent with a bug."""

    def needs(self, address: Address) -> bool:
        raise TypeError("a bug")


def turn(network: Network, times: int = 10) -> None:
    for _ in range(times):
        network.loop.turn(0.01)


def test_a_connection_whose_handling_fails_is_closed_and_another_is_served() -> None:
    told: list[str] = []
    network = Network(bind="127.0.0.1", say=lambda level, text: told.append(text) if level == 0 else None)
    network.sip.listen(0)
    network.sip.serve(Fragile(rng=random.Random(1), local=network.sip.sip_address), {}, lambda call_id: None)
    where = ("127.0.0.1", network.sip.sip_ports["tcp"])
    first = [socket.create_connection(where) for _ in range(8)]
    turn(network, 20)
    assert network.failures.count == 0
    with socket.create_connection(where) as ninth:  # which of the eight is needed is asked, and that fails
        turn(network)
        assert network.failures.count > 0
        ninth.close()
    first[0].sendall(OPTIONS.format("x").encode())
    turn(network, 20)
    first[0].settimeout(2.0)
    assert first[0].recv(4096).startswith(b"SIP/2.0 200")
    for each in first:
        each.close()
    network.close()
    assert len(told) == 1


def test_the_same_failure_is_told_once_and_each_is_counted() -> None:
    told: list[tuple[int, str]] = []
    failures = Failures(lambda level, text: told.append((level, text)))
    assert not any(failures.run("a test", SipUri.parse, None) for _ in range(1000))
    assert failures.run("a test", SipUri.parse, "sip:a@b")
    assert failures.count == 1000
    assert [level for level, _ in told] == [0, 1]
