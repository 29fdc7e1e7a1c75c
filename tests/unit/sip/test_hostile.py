"""What strangers may do to a user agent: flood, forge, scan, send garbage. The call goes on and nothing grows."""

from __future__ import annotations

import contextlib
import random
import re

import pytest

from tests.support.sip_lab import ANSWER, OFFER, Lab, TextPeer, calls_of, events_of, up
from voip.errors import ProtocolError
from voip.sip import (
    CallAnswered,
    CallEnded,
    CallEstablished,
    IncomingCall,
    PeerAlive,
    Request,
    Response,
    UserAgent,
    parse_message,
)
from voip.sip.core import MAX_SERVERS
from voip.sip.limits import MAX_HOSTS, RateLimiter

SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n"
PUBLIC, PRIVATE = "8.8.8.8", "10.0.0.66"


def receiver(**options: object) -> UserAgent:
    return UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 5060), **options)  # type: ignore[arg-type]


def still_up(peer: TextPeer, tag: str, number: int = 1000) -> None:
    assert calls_of(peer.agent) == []
    peer.agent.ping(peer.call_id, peer.now)
    options = next(message for message in peer.hear() if isinstance(message, Request))
    peer.say(peer.response(options, 200))
    assert calls_of(peer.agent) == [PeerAlive(peer.call_id)]
    (answer,) = peer.say(peer.request("BYE", number, to_tag=tag))
    assert isinstance(answer, Response)
    assert answer.status == 200


def bounded(agent: UserAgent, max_calls: int = 1) -> None:
    core = agent._core
    assert len(agent._calls) <= max_calls + 8
    assert len(core.servers) <= MAX_SERVERS
    assert len(core.clients) <= 64
    assert len(core.timers) <= 4 * MAX_SERVERS
    assert len(agent._guard._requests._requests._hosts) <= MAX_HOSTS


@pytest.mark.parametrize("method", ["BYE", "INVITE", "OPTIONS"])
def test_a_forged_request_without_both_tags_of_the_call_is_refused_and_the_call_stays(method: str) -> None:
    peer = TextPeer(receiver())
    tag = up(peer, SDP)
    forger = TextPeer(peer.agent, PRIVATE)
    forger.call_id = peer.call_id
    rng = random.Random(3)
    for number in range(2000):
        forger.tag = rng.choice(["peer", "other", "x"])
        guess = rng.choice([f"{rng.getrandbits(64):016x}", tag[:-1], tag.upper() + "0", "x"])
        answers = forger.say(forger.request(method, number + 2, to_tag=guess, body=SDP), forger.now + 1.0)
        assert [answer.status for answer in answers if isinstance(answer, Response)] == [481]
        events_of(peer.agent)
    forger.tag = "other"
    assert [m.status for m in forger.say(forger.request("BYE", 2, to_tag=tag)) if isinstance(m, Response)] == [481]
    bounded(peer.agent)
    events_of(peer.agent)
    peer.now = forger.now
    still_up(peer, tag)


def test_a_forged_cancel_ends_nothing() -> None:
    peer = TextPeer(receiver())
    peer.say(peer.request("INVITE", body=SDP, branch="z9hG4bKsecret"))
    forger = TextPeer(peer.agent, PRIVATE)
    forger.call_id = peer.call_id
    forger.say(forger.request("CANCEL", branch="z9hG4bKguess"))
    forger.say(forger.request("CANCEL", branch="z9hG4bKsecret"))  # right branch, but of another sender
    assert [type(event) for event in calls_of(peer.agent)] == [IncomingCall]


def test_forged_responses_do_nothing() -> None:
    lab = Lab()
    caller, callee = lab.phone("10.0.0.2"), lab.phone("10.0.0.1")
    call_id = caller.call(callee)
    rng = random.Random(5)
    for number in range(200):
        status = rng.choice([180, 200, 302, 401, 486, 603])
        forged = (
            f"SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK{rng.getrandbits(64):x}\r\n"
            f"From: <sip:a>;tag=a\r\nTo: <sip:b>;tag=b{number}\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n"
        )
        caller.agent.receive(forged.encode(), callee.address, lab.now)
    assert caller.agent.stats.ignored + caller.agent.stats.malformed == 200
    lab.run(1.0)
    assert caller.names() == ["CallAnswered"]


def test_a_flood_of_one_host_is_answered_fifteen_times_a_second_and_touches_no_call_of_another() -> None:
    peer = TextPeer(receiver())
    tag = up(peer, SDP)
    scanner = TextPeer(peer.agent, PRIVATE)
    answered = 0
    for number in range(10_000):
        scanner.call_id = f"scan{number}"
        method = ("OPTIONS", "INVITE", "REGISTER")[number % 3]
        answered += len(scanner.say(scanner.request(method, body=SDP), scanner.now + 0.001))
        if number % 100 == 0:
            bounded(peer.agent)
            peer.now = scanner.now
            events_of(peer.agent)
            answers = peer.say(peer.request("OPTIONS", 2 + number, to_tag=tag))
            assert [message.status for message in answers if isinstance(message, Response)] == [200]
    assert 100 < answered <= 30 + 15 * 10
    assert peer.agent.stats.limited == 10_000 - answered
    peer.now = scanner.now
    still_up(peer, tag, 20_000)


def test_a_flood_of_many_hosts_is_answered_a_hundred_times_a_second() -> None:
    agent = receiver()
    rng = random.Random(9)
    answered = 0
    for number in range(5_000):
        stranger = TextPeer(agent, f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}")
        stranger.call_id = f"flood{number}"
        answered += len(stranger.say(stranger.request("OPTIONS"), 1000.0 + number / 1000))
        bounded(agent)
    assert 500 <= answered <= 100 + 100 * 5


def test_methods_that_are_not_served_are_refused_seldom() -> None:
    peer = TextPeer(receiver())
    answered = sum(len(peer.say(peer.request("REGISTER", n), 1000.0 + n / 10)) for n in range(600))
    assert 60 <= answered <= 66
    assert len(peer.say(peer.request("OPTIONS"))) == 1


def test_scanners_get_no_answer() -> None:
    for name in ("friendly-scanner", "sipvicious/0.3", "SIPCLI/1.8"):
        peer = TextPeer(receiver())
        assert peer.say(peer.request("OPTIONS", lines=f"User-Agent: {name}\r\n")) == []
        assert peer.agent.stats.limited == 1


@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "BYE", "CANCEL", "FOO"])
def test_a_forged_source_is_sent_no_more_than_was_sent_in_its_name(method: str) -> None:
    peer = TextPeer(receiver(product="voip/1"), PUBLIC)
    data = peer.request(method, lines="Expires: 3600\r\n")
    answers = [*peer.say(data), *(message for _, message in peer.wait(64.0))]
    assert len(answers) == 1
    assert len(answers[0].serialize()) <= len(data)


def test_a_forged_call_that_is_refused_or_accepted_sends_little_to_its_victim() -> None:
    invite = TextPeer(receiver(), PUBLIC).request("INVITE", body=SDP)
    busy = TextPeer(receiver(max_calls=0), PUBLIC)
    answers = [*busy.say(invite), *(message for _, message in busy.wait(64.0))]
    assert [len(message.serialize()) <= len(invite) for message in answers] == [True]
    assert len(busy.say(busy.request("INVITE", 2, body=SDP))) == 1

    free = TextPeer(receiver(), PUBLIC)
    free.say(invite)
    free.agent.accept(free.call_id, SDP, free.now)
    answers = [*free.hear(), *(message for _, message in free.wait(64.0))]
    assert [type(message) for message in answers] == [Response] * 2 + [Request]
    assert sum(len(message.serialize()) for message in answers) <= 3 * len(invite)


def test_a_caller_from_afar_that_misses_the_answer_gets_it_for_each_copy_of_its_invite() -> None:
    peer = TextPeer(receiver(), PUBLIC)
    invite = peer.request("INVITE", body=SDP)
    peer.say(invite)
    peer.agent.accept(peer.call_id, SDP, peer.now)
    answers = peer.hear()
    peer.wait(20.0)
    assert peer.say(invite) == answers
    peer.say(peer.request("ACK", to_tag=answers[0].to.tag or ""))
    assert [type(event) for event in calls_of(peer.agent)] == [IncomingCall, CallEstablished]


def test_a_call_that_was_forged_sends_its_bye_to_the_one_that_called_not_to_its_contact() -> None:
    peer = TextPeer(receiver(), PUBLIC)
    peer.say(peer.request("INVITE", body=SDP, contact=False, lines="Contact: <sip:victim@9.9.9.9>\r\n"))
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    destinations = set()
    while (due := peer.agent.next_timer()) is not None:
        peer.agent.handle_timer(due)
        destinations |= {address.host for _, address in peer.agent.messages_to_send(due)}
    assert destinations == {PUBLIC}


def test_many_callers_that_never_acknowledge_fill_nothing_up() -> None:
    agent = receiver(max_calls=4)
    for number in range(300):
        caller = TextPeer(agent, f"10.2.{number // 200}.{number % 200}")
        caller.call_id = f"half-open{number}"
        caller.say(caller.request("INVITE", body=SDP), 1000.0 + number)
        for event in calls_of(agent):
            if isinstance(event, IncomingCall):
                agent.accept(event.call_id, ANSWER, caller.now)
        caller.wait(0.0)
        bounded(agent, 4)
    caller.wait(200.0)
    assert agent.next_timer() is None
    assert not agent._calls


# --- garbage ----------------------------------------------------------------------------------------------------------


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damage as it comes over a wire and out of careless programs: bits, cuts, doublings, numbers, splices."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        if not changed:
            break
        place, span = rng.randrange(len(changed)), rng.randrange(1, 12)
        kind = rng.randrange(6)
        if kind == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[place : place + span]
        elif kind == 2:
            changed[place:place] = changed[place : place + span] * rng.choice([1, 2, 40])
        elif kind == 3:
            changed[place : place + span] = rng.randbytes(span)
        elif kind == 4:
            changed = changed[:place]
        else:
            changed = bytearray(re.sub(rb"[0-9]+", str(rng.choice([0, -1, 2**31, 10**30])).encode(), changed, count=2))
    return bytes(changed)


def corpus(peer: TextPeer, tag: str) -> list[bytes]:
    invite = peer.request(
        "INVITE", 2, body=SDP, lines="Record-Route: <sip:192.0.2.1;lr>, <sip:p>\r\nRequire: 100rel\r\n"
    )
    own = peer.request("OPTIONS", 3, to_tag=tag, lines="Require: x\r\nSubject: a\r\n b\r\n")
    return [
        invite,
        own,
        peer.request("INVITE", 4, to_tag=tag, body=SDP),
        peer.request("BYE", 5, to_tag="no"),
        peer.request("ACK", 4, to_tag=tag),
        peer.request("CANCEL", 4),
        peer.request("REGISTER", 1),
        peer.request("UPDATE", 6, to_tag=tag, body=SDP, lines="Session-Expires: 90;refresher=uas\r\nMin-SE: 90\r\n"),
        peer.request("PRACK", 7, to_tag=tag, lines="RAck: 776656 1 INVITE\r\n"),
        peer.request("INFO", 8, to_tag=tag, lines="Content-Type: application/dtmf-relay\r\n") + b"Signal=5\r\n",
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKx\r\nFrom: <sip:a>;tag=a\r\n"
        b"To: <sip:b>;tag=b\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: *\r\n\r\n",
    ]


@pytest.mark.parametrize("seed", range(4))
def test_garbage_and_damaged_messages_raise_nothing_and_grow_nothing(seed: int) -> None:
    rng = random.Random(seed)
    peer = TextPeer(receiver(max_calls=3))
    tag = up(peer, SDP)
    stranger = TextPeer(peer.agent, PRIVATE)
    messages = corpus(stranger, tag) + corpus(peer, tag)
    answers = 0
    for number in range(2_500):
        source = rng.choice([peer, stranger])
        data = rng.randbytes(rng.randrange(200)) if number % 5 == 0 else mutate(rng.choice(messages), rng)
        now = 1000.0 + number
        peer.agent.receive(data, source.address, now)
        for event in calls_of(peer.agent):
            if isinstance(event, IncomingCall) and rng.random() < 0.5:
                peer.agent.accept(event.call_id, ANSWER, now)
            elif isinstance(event, IncomingCall):
                peer.agent.reject(event.call_id, 488, now)
        peer.agent.handle_timer(now)
        answers += len(peer.agent.messages_to_send(now))
        bounded(peer.agent, 3)
    assert answers > 100


def test_damaged_answers_to_our_own_call_raise_nothing_and_end_it_once() -> None:
    for seed in range(400):
        rng = random.Random(seed)
        agent = UserAgent(rng=rng, local=lambda remote: ("10.0.0.1", 6000))
        peer = TextPeer(agent)
        call_id = agent.invite("sip:10.0.0.9:5099", OFFER, peer.now)
        (invite,) = peer.hear()
        assert isinstance(invite, Request)
        for status in rng.choices([100, 180, 200, 200, 302, 401, 486], k=4):
            lines = 'WWW-Authenticate: Digest realm="lab",nonce="4b"\r\nRecord-Route: <sip:192.0.2.1;lr>\r\n'
            lines += f"Require: 100rel\r\nRSeq: {rng.randrange(3)}\r\nSession-Expires: 90;refresher=uac\r\n"
            peer.say(mutate(peer.response(invite, status, lines=lines, body=ANSWER), rng))
            peer.wait(0.3)
        agent.hang_up(call_id, peer.now)
        peer.wait(300.0)
        found = calls_of(agent)
        assert len([event for event in found if isinstance(event, CallEnded)]) == 1
        assert len([event for event in found if isinstance(event, CallAnswered)]) <= 1
        assert agent.next_timer() is None


def heard(agent: UserAgent, now: float) -> list[Request | Response]:
    """What is said, as far as it can be read: refusals repeat what was malformed."""
    messages = []
    for data, _ in agent.messages_to_send(now):
        with contextlib.suppress(ProtocolError):
            messages.append(parse_message(data))
    return messages


@pytest.mark.parametrize("seed", range(3))
def test_damaged_multiparts_odd_fields_and_redirects_raise_nothing_and_end_each_call_once(seed: int) -> None:
    rng = random.Random(seed)
    body = b"--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n"
    lines = "X Y: z\r\nnonsense\r\nRecord-Route: sip:p;lr, <sip:q;lr>\r\nMax-Forwards: -1\r\n"
    sdp, multipart = b"Content-Type: application/sdp", b"Content-Type: multipart/mixed;boundary=b"
    for number in range(150):
        agent = receiver(max_calls=3)
        peer = TextPeer(agent, protocol=rng.choice(["udp", "tcp"]))
        invite = peer.request("INVITE", number + 1, body=body, lines=lines).replace(sdp, multipart, 1)
        agent.receive(mutate(invite, rng), peer.address, peer.now)
        call_id = agent.invite("sip:text@10.0.0.9:5099", OFFER, peer.now)
        for status in rng.choices([180, 183, 200, 302, 300, 486], k=6):
            said = heard(agent, peer.now)
            request = next((m for m in reversed(said) if isinstance(m, Request) and m.method == "INVITE"), None)
            if request is None:
                break
            response = peer.response(request, status, lines=lines, body=body).replace(sdp, multipart, 1)
            response = response.replace(b"<sip:text@10.0.0.9:5099>", b"sip:a@10.0.0.9;q=0.1,<sip:b@10.0.0.9>;q=1,*")
            agent.receive(mutate(response, rng) if rng.random() < 0.7 else response, peer.address, peer.now)
        agent.hang_up(call_id, peer.now)
        while (due := agent.next_timer()) is not None and due < 2000.0:
            agent.handle_timer(due)
            heard(agent, due)
        ended = [event for event in calls_of(agent) if isinstance(event, CallEnded) and event.call_id == call_id]
        assert len(ended) == 1
        bounded(agent, 3)


# --- the buckets ------------------------------------------------------------------------------------------------------


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    limiter = RateLimiter(15.0, 30.0, 1000.0)
    assert sum(limiter.take("a", 5.0) for _ in range(100)) == 30
    assert sum(limiter.take("a", 5.0 + n / 100) for n in range(1, 201)) == 30
    assert not limiter.allows("a", 7.0)
    assert limiter.allows("b", 7.0)
    assert sum(limiter.take("a", 1000.0) for _ in range(100)) == 30


def test_the_limiter_forgets_quiet_hosts_first() -> None:
    limiter = RateLimiter(1.0, 2.0, 1e9)
    for number in range(MAX_HOSTS - 1):
        limiter.take(f"quiet{number}", 0.0)
    limiter.take("busy", 100.0)
    limiter.take("new", 100.0)
    assert len(limiter._hosts) == 2
    for number in range(3 * MAX_HOSTS):
        limiter.take(f"busy{number}", 101.0)
        assert len(limiter._hosts) <= MAX_HOSTS


# --- many calls, many forgeries ---------------------------------------------------------------------------------------


def test_thousands_of_calls_leave_nothing_behind() -> None:
    """S6: 2400 calls, with the longest names that are taken."""
    agent = receiver()
    peer = TextPeer(agent)
    for number in range(2400):
        peer.call_id, peer.tag = f"{number}-{'x' * 900}", f"{number}{'t' * 900}"
        peer.now = 1000.0 + number
        tag = up(peer, SDP)
        peer.say(peer.request("BYE", 2, to_tag=tag))
        events_of(agent)
        agent.handle_timer(peer.now)
        bounded(agent)
    peer.wait(100.0)
    assert agent.next_timer() is None
    assert not agent._calls
    assert not agent._core.servers


def test_a_call_id_without_end_is_refused() -> None:
    peer = TextPeer(receiver())
    peer.call_id = "x" * 5000
    peer.agent.receive(peer.request("INVITE", body=SDP), peer.address, peer.now)
    assert [data[:11] for data, _ in peer.agent.messages_to_send(peer.now)] == [b"SIP/2.0 400"]
    assert calls_of(peer.agent) == []


def test_a_hundred_thousand_guesses_at_the_tags_of_a_call_end_nothing() -> None:
    """S12: Call-ID and the peer's tag are known, ours has 64 bits; 5000 a second, from elsewhere and as the peer."""
    peer = TextPeer(receiver())
    tag = up(peer, SDP)
    forger = TextPeer(peer.agent, PRIVATE)
    forger.call_id = peer.call_id
    template = forger.request("BYE", 2, to_tag="0123456789abcdef")
    rng = random.Random(4)
    for number in range(100_000):
        guess = template.replace(b"0123456789abcdef", f"{rng.getrandbits(64):016x}".encode())
        source = forger.address if number % 2 else peer.address
        peer.agent.receive(guess, source, peer.now + number / 5000)
        if number % 100 == 0:
            peer.agent.messages_to_send(peer.now + number / 5000)
    peer.now += 30.0
    peer.hear()
    bounded(peer.agent)
    still_up(peer, tag)
