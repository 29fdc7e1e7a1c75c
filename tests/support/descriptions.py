"""Session descriptions for tests of all kinds: both ends, what other programs offer, addresses that lead nowhere."""

from __future__ import annotations

from pathlib import Path

from voip import codecs
from voip.media import Direction, NegotiatedMedia
from voip.sdp import Capabilities, Endpoint, SessionDescription, accept_answer, make_answer, make_offer

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "sdp"
ALL = tuple(codecs.offerable(["l16"], 48000, 1))
ALL += tuple(codecs.offerable(["l16"], rate, 1)[0] for rate in (16000, 8000)) + tuple(
    codecs.offerable(["pcmu", "pcma"], 8000, 1)
)
SENDER = Capabilities(ALL, Direction.SENDONLY, repair_packets=8)
RECEIVER = Capabilities(ALL, Direction.RECVONLY)
DUPLEX = Capabilities(ALL, Direction.SENDRECV, repair_packets=8)
ALICE = Endpoint("192.0.2.1", 5002, 0x11111111, 0x22222222, "alice@192.0.2.1", 1000)
BOB = Endpoint("192.0.2.2", 5000, 0x33333333, 0x44444444, "bob@192.0.2.2", 2000)
ZONES = ["fe80::1%eth0", "fe80::1%\0", "fe80::1%" + "é" * 70, "::1%lo", "fe80::1%25lo", "fe80::1%"]
CONNECTIONS = ["IN IP6 fe80::1", "IN IP6 2001:db8::1", *(f"IN IP6 {host}" for host in ZONES)]


def vector(name: str) -> SessionDescription:
    return SessionDescription.parse((VECTORS / f"{name}.sdp").read_bytes())


def offer(*lines: str, host: str = "192.0.2.9") -> SessionDescription:
    """An offer with these lines after the session part."""
    head = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
    return SessionDescription.parse("\r\n".join([*head, *lines]).encode())


def negotiate(caller: Capabilities, callee: Capabilities) -> tuple[NegotiatedMedia, NegotiatedMedia]:
    """Both ends' view after an offer and an answer over the wire."""
    sent = make_offer(caller, ALICE)
    received = SessionDescription.parse(sent.serialize())
    answer, theirs = make_answer(received, callee, BOB)
    return accept_answer(sent, SessionDescription.parse(answer.serialize()), caller, ALICE), theirs
