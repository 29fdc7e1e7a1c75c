"""Fuzz targets of whole calls: both programs, and a man in the middle who does what the input says."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fuzz.target import Target, joined, pieces
from tests.support.middle import Middle
from tests.support.virtual_calls import ALL_TERMS, Scene, Terms

TALK = 0.7
"""Seconds from the call to its end: a third of it is signalling and handshake."""
BITS, DROP, DOUBLE, DELAY, SPLICE, LINE, FORGE, REPLAY = range(8)
STUN_CHECK = bytes.fromhex("000100002112a442") + bytes(12)
RTP = bytes.fromhex("8000000100000000cafe0001") + b"\x7f" * 160
BYE = (
    b"BYE sip:192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK9\r\nFrom: <sip:a@192.0.2.1>;tag=1\r\n"
    b"To: <sip:192.0.2.2>;tag=2\r\nCall-ID: 1\r\nCSeq: 9 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


def disturbed(terms: Terms, plan: bytes) -> Scene:
    """A call from its first message to the end of its last timer, and what a man in the middle makes of it."""
    scene = Scene(terms)
    scene.wires.meddle = Middle(scene.wires, pieces(plan)).pass_on
    scene.dial()
    scene.run(TALK)
    scene.finish()
    return scene


def call(data: bytes) -> None:
    """A call without a password; the first octet is the options of both sides."""
    disturbed(ALL_TERMS[(data[0] if data else 0) % len(ALL_TERMS)], data[1:])


def call_with_password(data: bytes) -> None:
    """A call whose ends share a password, or each have one of their own: then nothing is heard."""
    differ = bool(data[:1]) and data[0] >= 0x80
    scene = disturbed(Terms(passwords=("correct horse", "battery staple" if differ else "correct horse")), data[1:])
    assert not differ or not (scene.caller.heard or scene.callee.heard)


def misdeed(kind: int, after: int, place: int = 0, change: bytes = b"") -> tuple[int, bytes]:
    """One piece of a plan."""
    return kind | after << 3, place.to_bytes(2, "big") + change


def plans() -> Sequence[bytes]:
    return [
        b"",
        joined(misdeed(DROP, 0), misdeed(DROP, 2), misdeed(DROP, 3)),
        joined(misdeed(DOUBLE, 0), misdeed(DOUBLE, 0, 900), *[misdeed(DOUBLE, 1)] * 6),
        joined(misdeed(DELAY, 1, 700), misdeed(DELAY, 4, 60), misdeed(DELAY, 6, 300)),
        joined(misdeed(BITS, 3, 30, b"\1"), misdeed(BITS, 4, 5, b"\x80"), misdeed(BITS, 12, 9, b"\1")),
        joined(misdeed(LINE, 0, 20), misdeed(LINE, 1, 22, b"a=sendonly"), misdeed(LINE, 9, 1)),
        joined(misdeed(SPLICE, 0, 300, b"\5x"), misdeed(SPLICE, 2, 40, b"\0;lr")),
        joined((FORGE | 4 << 3, RTP), (FORGE | 6 << 3, RTP), (FORGE | 1 << 3, STUN_CHECK), (FORGE | 3 << 3, BYE)),
        joined(misdeed(REPLAY, 5), misdeed(REPLAY, 8, 7), misdeed(REPLAY, 9, 12, b"e"), misdeed(REPLAY, 3, 30)),
    ]


def call_seeds() -> Sequence[bytes]:
    return [bytes([terms]) + plan for terms in range(len(ALL_TERMS)) for plan in plans()]


def password_seeds() -> Sequence[bytes]:
    return [mode + plan for mode in (b"\0", b"\x80") for plan in plans()]


TARGETS = (
    Target("call", call, call_seeds, 1500, kept=30),
    Target("call-password", call_with_password, password_seeds, 1500, kept=8),
)
