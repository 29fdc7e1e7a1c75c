"""Permission and rate are asked before the work: what floods cost, and whom they shut out."""

from __future__ import annotations

import random
import time

import pytest

from tests.support.sip_lab import ANSWER, TextPeer, calls_of, events_of, up
from voip.sip import CallEstablished, Request, Response, UserAgent
from voip.sip.guard import CALL_BURST, STRANGER_BURST, STRANGER_RATE, STRAY_BURST, STRAY_RATE, call_id_of
from voip.sip.limits import network_of

SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n"
STRANGER = "8.8.8.8"
LONG = "".join(f"Contact: <sip:{'a' * 60}@10.0.0.66;p={number}>\r\n" for number in range(90))
"""Some 8 kB that cost time to read."""
AT_MOST = 0.15
"""Share of one core that a flood may take, here of the time that it lasts."""


def receiver(**options: object) -> UserAgent:
    options = {"allowed": lambda host: host.startswith("10."), **options}
    return UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 5060), **options)  # type: ignore[arg-type]


def bye_is_answered(peer: TextPeer, tag: str, number: int = 2) -> None:
    assert [m.status for m in peer.say(peer.request("BYE", number, to_tag=tag)) if isinstance(m, Response)] == [200]


def flood(peer: TextPeer, data: bytes, *, hosts: int = 1, rate: int = 1000, seconds: float = 3.0) -> float:
    """The same message again and again; the share of a core that it takes."""
    agent, sources = peer.agent, [peer.address]
    sources += [peer.address._replace(host=f"{STRANGER[:-1]}{number}") for number in range(1, hosts)]
    used = 0.0
    for number in range(int(rate * seconds)):
        peer.now += 1 / rate
        start = time.thread_time()
        agent.receive(data, sources[number % hosts], peer.now)
        used += time.thread_time() - start
        agent.messages_to_send(peer.now)
        events_of(agent)
    return used / seconds


def test_a_flood_of_long_messages_costs_little_and_the_call_goes_on() -> None:
    """Of each kind 1000 a second, 8 kB each: responses, ACKs, INVITEs, those that name the Call-ID of the call."""
    peer = TextPeer(receiver())
    tag = up(peer, SDP)
    stranger = TextPeer(peer.agent, STRANGER, 5066)
    ack = stranger.request("ACK", to_tag="x", lines=LONG)
    invite = stranger.request("INVITE", lines=LONG, body=SDP)
    stranger.call_id = peer.call_id
    known = stranger.request("INVITE", lines=LONG, body=SDP)
    response = ack.replace(ack.split(b"\r\n")[0], b"SIP/2.0 200 OK")
    assert len(ack) > 7500
    for data in (response, ack, invite, known):
        stranger.now = peer.now
        assert flood(stranger, data) < AT_MOST, data[:20]
        peer.now = stranger.now
    assert flood(stranger, invite, hosts=200) < AT_MOST
    peer.now = stranger.now
    assert calls_of(peer.agent) == []
    bye_is_answered(peer, tag)


def test_a_call_id_that_is_part_of_another_is_another() -> None:
    """Call-IDs were once compared up to their first dot: `.x` matched them all."""
    agent = receiver()
    peer = TextPeer(agent)
    peer.call_id = ".x"
    up(peer, SDP)
    stranger = TextPeer(agent, STRANGER)
    read = [stranger.request("OPTIONS", number, to_tag="x") for number in range(200)]
    answered = sum(len(stranger.say(data, peer.now)) for data in read)
    assert answered == STRANGER_BURST
    assert agent.stats.limited == 200 - answered


def test_hosts_that_may_not_call_share_one_bucket_that_is_asked_before_anything_is_read() -> None:
    agent = receiver()
    heard = 0
    for number in range(1000):
        stranger = TextPeer(agent, f"8.8.{number % 100}.{number % 7}")
        stranger.call_id = f"flood{number}"
        data = stranger.request("INVITE", body=SDP) if number % 2 else b"INVITE garbage\r\n\r\n"
        heard += len(stranger.say(data, 1000.0 + number / 100))
    assert agent.stats.malformed + heard <= STRANGER_BURST + 10 * STRANGER_RATE
    assert heard
    peer = TextPeer(agent)
    peer.now = 1010.0
    up(peer, SDP)


def test_responses_and_acks_that_belong_to_nothing_are_ignored_without_being_read() -> None:
    agent = receiver()
    peer = TextPeer(agent)
    for number in range(1000):
        peer.agent.receive(b"SIP/2.0 200 OK\r\nVia: nonsense\r\n\r\n", peer.address, 1000.0 + number / 100)
    assert agent.stats.malformed <= STRAY_BURST + 10 * STRAY_RATE
    assert agent.stats.malformed + agent.stats.ignored == 1000


def test_a_request_within_the_call_has_its_limit_too() -> None:
    """One who has sniffed the call floods it with OPTIONS: the peer's own BYE is answered all the same."""
    peer = TextPeer(receiver())
    tag = up(peer, SDP)
    forger = TextPeer(peer.agent, "10.0.0.66")
    forger.call_id = peer.call_id
    answered = 0
    for number in range(3000):
        answered += len(forger.say(forger.request("OPTIONS", 1 + number, to_tag=tag), 1000.0 + number / 1000))
    assert answered <= CALL_BURST + 30 * 3 + 1
    peer.now = forger.now
    bye_is_answered(peer, tag, 5000)


@pytest.mark.parametrize("caller", ["10.0.0.9", "8.8.4.4"])
def test_hosts_that_had_a_call_get_through_a_flood_of_forged_sources(caller: str) -> None:
    agent = receiver(allowed=lambda host: True)
    peer = TextPeer(agent, caller)
    tag = up(peer, SDP)
    bye_is_answered(peer, tag)
    rng = random.Random(2)
    for number in range(2000):
        forged = TextPeer(agent, f"9.{rng.randrange(256)}.{rng.randrange(256)}.7")
        forged.call_id = f"flood{number}"
        forged.say(forged.request("OPTIONS"), peer.now + number / 1000)
        events_of(agent)
    others = [TextPeer(agent, f"10.7.7.{number}") for number in range(20)]
    assert sum(len(other.say(other.request("OPTIONS"), peer.now + 2.0)) for other in others) < 5, "all is used up"
    peer.now, peer.call_id, peer.tag = peer.now + 2.0, "again", "again"
    up(peer, SDP)


def test_a_network_has_one_bucket() -> None:
    agent = receiver(allowed=lambda host: True)
    peer = TextPeer(agent)
    for prefix in ("8.8.8.{}", "2001:db8:1:2::{}"):
        for number in range(250):
            agent.receive(peer.request("OPTIONS"), peer.address._replace(host=prefix.format(number)), peer.now)
        assert len(peer.hear()) == 30


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("8.8.8.8", "8.8.8"),
        ("192.168.1.7", "192.168.1.7"),
        ("127.0.0.1", "127.0.0.1"),
        ("2606:4700:1:2:3:4:5:6", "2606:4700:1:2::/64"),
        ("fe80::1", "fe80::/64"),
        ("name", "name"),
    ],
)
def test_whose_bucket_an_address_takes_from(host: str, network: str) -> None:
    assert network_of(host) == network


def test_a_pbx_that_is_named_sets_up_fifty_calls_a_second() -> None:
    """One host that stands for many callers: every call comes from it."""
    agent = receiver(trusted=lambda host: host == "10.0.0.9", max_calls=1000)
    established = 0
    for number in range(500):
        peer = TextPeer(agent)
        peer.call_id, peer.tag, peer.now = f"call{number}", f"t{number}", 1000.0 + number / 50
        (*_, invited) = [peer.say(peer.request("INVITE", body=SDP))]
        agent.accept(peer.call_id, ANSWER, peer.now)
        answers = [*invited, *peer.hear()]
        tag = next(message.to.tag for message in answers if isinstance(message, Response) and message.status == 200)
        peer.say(peer.request("ACK", to_tag=tag or ""))
        bye_is_answered(peer, tag or "")
        established += sum(isinstance(event, CallEstablished) for event in events_of(agent))
        agent.handle_timer(peer.now)
        peer.hear()
    assert established == 500
    assert agent.stats.limited == 0


def test_responses_to_our_own_requests_come_from_wherever_they_do() -> None:
    """A peer that we have called need not be one that may call."""
    agent = receiver(allowed=lambda host: False)
    peer = TextPeer(agent, STRANGER)
    for number in range(20):
        call_id = agent.invite(f"sip:{STRANGER}:5099", SDP, peer.now)
        (invite,) = peer.hear()
        assert isinstance(invite, Request)
        (ack,) = peer.say(peer.response(invite, 200, tag=f"t{number}", body=ANSWER))
        assert isinstance(ack, Request)
        peer.call_id, peer.tag = call_id, f"t{number}"
        bye_is_answered(peer, invite.from_.tag or "", number + 1)


@pytest.mark.parametrize(
    ("data", "call_id"),
    [
        (b"BYE x\r\nCall-ID: a@b\r\n\r\n", "a@b"),
        (b"BYE x\nI :\ta@b \n\n", "a@b"),
        (b"BYE x\r\nX-Call-ID: a@b\r\n\r\n", ""),
        (b"BYE x\r\nCALL-ID:\r\n a\r\n\r\n", ""),
        (b"Call-ID: x", ""),
    ],
)
def test_the_call_id_is_found_in_bytes(data: bytes, call_id: str) -> None:
    assert call_id_of(data) == call_id
