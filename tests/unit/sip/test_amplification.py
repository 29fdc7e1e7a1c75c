"""What a forged source makes us send to its victim, in bytes for each byte that came in its name (S9)."""

from __future__ import annotations

import random

import pytest

from tests.support.sip_lab import TextPeer, calls_of
from voip.sip import IncomingCall, UserAgent
from voip.sip.methods import METHODS

PUBLIC, PRIVATE = "8.8.8.8", "10.0.0.66"
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0 8 96\r\n"
    b"a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\na=ptime:20\r\na=sendrecv\r\n"
)
ANSWER = SDP + b"a=rtcp-mux\r\na=ssrc:1234567890 cname:0123456789abcdef\r\n"
FIELDS = "User-Agent: a telephone\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\nSupported: 100rel, timer\r\n"
LIFE = 300.0
"""Seconds after which no timer of ours runs any more."""
EVERY = [*METHODS, "BREW"]
PRIVATE_LIMIT = 1.3
"""To private addresses a refusal names what is allowed or asked for even where that is longer than a terse request:
only a neighbour can forge those, and Allow in a 405 is not for us to leave out (8.2.1)."""


def receiver(**options: object) -> UserAgent:
    options = {"product": "voip/1", **options}
    return UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 5060), **options)  # type: ignore[arg-type]


def ratio(agent: UserAgent, host: str, data: bytes, *, copies: int = 1) -> float:
    """Bytes to the victim, and to all others, for each byte from it; a call is answered at once."""
    peer, sent = TextPeer(agent, host), 0
    for _ in range(copies):
        agent.receive(data, peer.address, peer.now)
        for event in calls_of(agent):
            if isinstance(event, IncomingCall):
                agent.accept(event.call_id, ANSWER, peer.now)
        sent += sum(len(message) for message, _ in agent.messages_to_send(peer.now))
    end = peer.now + LIFE
    while (due := agent.next_timer()) is not None and due <= end:
        agent.handle_timer(due)
        sent += sum(len(message) for message, _ in agent.messages_to_send(due))
    return sent / (copies * len(data))


@pytest.mark.parametrize("body", [b"", SDP])
@pytest.mark.parametrize("lines", ["", FIELDS])
@pytest.mark.parametrize("method", [method for method in EVERY if method != "INVITE"])
def test_no_method_but_invite_fetches_more_than_it_brings(method: str, lines: str, body: bytes) -> None:
    data = TextPeer(receiver(), PUBLIC).request(method, body=body, lines=lines)
    assert ratio(receiver(), PUBLIC, data) <= 1.0
    assert ratio(receiver(), PUBLIC, data, copies=5) <= 1.0
    assert ratio(receiver(), PRIVATE, data) <= PRIVATE_LIMIT
    assert ratio(receiver(allowed=lambda host: False), PUBLIC, data) <= 1.0


@pytest.mark.parametrize("host", [PUBLIC, PRIVATE])
@pytest.mark.parametrize("method", EVERY)
def test_a_request_that_belongs_to_a_call_that_is_not_fetches_no_more_than_it_brings(method: str, host: str) -> None:
    data = TextPeer(receiver(), host).request(method, to_tag="0123456789abcdef", body=SDP, lines=FIELDS)
    assert ratio(receiver(), host, data) <= 1.0


@pytest.mark.parametrize("host", [PUBLIC, PRIVATE])
@pytest.mark.parametrize("copies", [1, 7])
@pytest.mark.parametrize("lines", ["", FIELDS])
@pytest.mark.parametrize("body", [b"", SDP])
def test_a_call_that_is_answered_sends_three_times_what_it_brings_at_most(
    host: str, copies: int, lines: str, body: bytes
) -> None:
    """It was 18 times in a private network, as the 200 came eleven times in 32 s; 37 times without SDP, as the 200
    holds our offer then."""
    data = TextPeer(receiver(), host).request("INVITE", body=body, lines=lines)
    assert ratio(receiver(), host, data, copies=copies) <= 3.0


@pytest.mark.parametrize("host", [PUBLIC, PRIVATE])
@pytest.mark.parametrize("options", [{"max_calls": 0}, {"accepts_calls": False}, {"allowed": lambda host: False}])
def test_a_call_that_is_refused_sends_no_more_than_it_brings(options: dict[str, object], host: str) -> None:
    data = TextPeer(receiver(), host).request("INVITE", body=SDP, lines=FIELDS)
    assert ratio(receiver(**options), host, data) <= 1.0


@pytest.mark.parametrize("host", [PUBLIC, PRIVATE])
def test_a_challenge_is_no_longer_than_what_asks_for_it(host: str) -> None:
    data = TextPeer(receiver(), host).request("INVITE", body=SDP, lines=FIELDS)
    limit = 1.0 if host == PUBLIC else PRIVATE_LIMIT
    assert ratio(receiver(users={"alice": "secret"}), host, data) <= limit


@pytest.mark.parametrize("host", [PUBLIC, PRIVATE])
@pytest.mark.parametrize("method", EVERY)
def test_what_is_malformed_fetches_no_more_than_it_brings(method: str, host: str) -> None:
    whole = TextPeer(receiver(), host).request(method, body=SDP)
    for data in (whole.replace(b"CSeq: 1", b"CSeq: x"), whole.replace(b"From: ", b"Form: "), whole[:200], whole[:90]):
        assert ratio(receiver(), host, data) <= 1.0


def test_media_from_the_caller_proves_its_address_and_the_200_is_repeated_as_the_rfc_says() -> None:
    heard: list[str] = []
    agent = receiver(hears=lambda call_id: call_id in heard)
    peer = TextPeer(agent, PRIVATE)
    peer.say(peer.request("INVITE", body=SDP, lines=FIELDS))
    agent.accept(peer.call_id, ANSWER, peer.now)
    peer.hear()
    assert [round(after, 3) for after, _ in peer.wait(3.0)] == [0.5]
    heard.append(peer.call_id)
    assert len(peer.wait(20.0)) >= 4
