"""The ICE side of one call in virtual time, for its tests: a session, and a peer that makes checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from tests.support.session_lab import PEER, media
from voip.calls.ice import IceListeners, LineIce
from voip.media import Direction, IceCredentials, IceTerms
from voip.net import MediaTransport
from voip.net.loop import EventLoop
from voip.session import Address, RtpSession
from voip.stun import check_request

TERMS = IceTerms(IceCredentials("ours", "a password of twenty-four"), IceCredentials("theirs", "theirs" * 4))

NOMINATES = bytes.fromhex("00250000")
"""USE-CANDIDATE."""


class Loop:
    """Time, and who waits for it."""

    def __init__(self) -> None:
        self.time = 100.0
        self.participants: list[Any] = []

    def now(self) -> float:
        return self.time

    def add(self, participant: object) -> None:
        self.participants.append(participant)

    def remove(self, participant: object) -> None:
        self.participants.remove(participant)

    def run(self, seconds: float) -> None:
        self.time += seconds
        for each in list(self.participants):
            at = each.next_timer()
            if at is not None and at <= self.time:
                each.handle_timer(self.time)


class Port:
    """A media port: what comes goes to whoever responds, and what is not taken elsewhere."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Address]] = []
        self.take: Callable[[bytes, Address], bool] = lambda data, source: False

    def respond(self, on_check: Callable[[bytes, Address], bool]) -> None:
        self.take = on_check

    def send_response(self, data: bytes, destination: Address) -> None:
        self.sent.append((data, destination))


class IceScene:
    """A line of media whose peer is to be found by ICE, and what it does."""

    def __init__(self) -> None:
        self.loop, self.port = Loop(), Port()
        self.said: list[str] = []
        self.selected: list[Address] = []
        self.session = RtpSession(
            media(ice=TERMS, rtcp_mux=True, direction=Direction.SENDRECV, remote=("0.0.0.0", 9)), invited=False
        )
        listeners = IceListeners(self.selected.append, lambda level, text: self.said.append(f"{level} {text}"))
        self.ice = LineIce(self.session, cast(EventLoop, self.loop), listeners)
        self.agree(TERMS)
        self.count = 0

    def agree(self, terms: IceTerms | None) -> None:
        self.ice.agree(terms, cast(MediaTransport, self.port))

    def check(self, source: Address = PEER, password: str = TERMS.own.password) -> bool:
        return self.port.take(self.request(NOMINATES, password), source)

    def request(self, attributes: bytes, password: str = TERMS.own.password) -> bytes:
        """A check with these attributes, of another transaction than those before."""
        self.count += 1
        return check_request(self.count.to_bytes(12, "big"), "ours:theirs", password, attributes)
