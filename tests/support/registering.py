"""An agent that registers, in virtual time, and what its registrar says."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.support.sip_lab import TextPeer
from voip.sip import Address, Credentials, Request, Response, SipUri, UserAgent

REGISTRAR = Address("udp", "10.0.0.9", 5099)
ASK = 'WWW-Authenticate: Digest realm="pbx",nonce="{}",qop="auth",algorithm=SHA-256{}\r\n'


def registering(
    uri: str = "sip:10.0.0.9:5099",
    proxies: tuple[str, ...] = (),
    hosts: Sequence[str] = ("10.0.0.1",),
    **options: object,
) -> tuple[TextPeer, UserAgent]:
    """An agent that has begun to register, and its registrar. `hosts`: its addresses; the last one is in force."""
    registrar = SipUri.parse(uri)
    agent = UserAgent(
        rng=random.Random(5),
        local=lambda remote: (hosts[-1], 6000),
        user="alice",
        credentials=Credentials("alice", "secret"),
        account=SipUri(registrar.scheme, "alice", registrar.host, registrar.port),
        registrar=registrar,
        proxies=[SipUri.parse(proxy) for proxy in proxies],
        **options,  # type: ignore[arg-type]
    )
    peer = TextPeer(agent)
    agent.register(peer.now)
    return peer, agent


def only(messages: list[Request | Response]) -> Request:
    (request,) = messages
    assert isinstance(request, Request)
    assert request.method == "REGISTER"
    return request


def answer(peer: TextPeer, request: Request, status: int = 200, lines: str = "Expires: 300\r\n") -> list[Request]:
    """What the agent says to this answer, of a registrar that adds no Contact by itself."""
    response = request.response(status, None, "reg")
    for line in lines.splitlines():
        name, _, value = line.partition(":")
        response.headers.add(name, value.strip())
    heard = peer.say(response.serialize())
    return [message for message in heard if isinstance(message, Request)]


def refreshed(peer: TextPeer, seconds: float) -> tuple[float, Request]:
    """The first REGISTER that comes within this time, and after how long."""
    start = peer.now
    while (due := peer.agent.next_timer()) is not None and due <= start + seconds:
        peer.now = due
        peer.agent.handle_timer(due)
        for message in peer.hear():
            if isinstance(message, Request) and message.method == "REGISTER":
                return peer.now - start, message
    raise AssertionError(f"no REGISTER within {seconds} s")
