"""Digest authentication as a client, request by request: RFC 3261 section 22, RFC 7616 section 3, RFC 8760."""

from __future__ import annotations

import random

import pytest

from tests.support.sip_lab import ANSWER, OFFER, TextPeer, calls_of
from voip.sip import Address, CallEnded, CallReanswered, Credentials, IncomingCall, Request, Response, UserAgent
from voip.sip.auth import DigestCredentials, parse_credentials

ALICE = Credentials("alice", "secret")


def ask(realm: str = "lab", nonce: str = "n1", *, proxy: bool = False, more: str = "", algorithm: str = "MD5") -> str:
    """The header line of a challenge."""
    name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
    return f'{name}: Digest realm="{realm}",nonce="{nonce}",qop="auth",algorithm={algorithm}{more}\r\n'


def calling(target: str = "sip:text@10.0.0.9:5099") -> tuple[TextPeer, Request]:
    agent = UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 6000), credentials=ALICE, max_calls=2)
    peer = TextPeer(agent)
    agent.invite(target, OFFER, peer.now)
    return peer, only(peer.hear(), "INVITE")


def only(messages: list[Request | Response], method: str) -> Request:
    """The one request of this method among them."""
    (found,) = [message for message in messages if isinstance(message, Request) and message.method == method]
    return found


def proofs(request: Request) -> list[DigestCredentials]:
    lines = [*request.headers.lines("Authorization"), *request.headers.lines("Proxy-Authorization")]
    return [parse_credentials(line) for line in lines]


def proof(request: Request) -> DigestCredentials:
    (found,) = proofs(request)
    return found


def taken(peer: TextPeer, invite: Request) -> Request:
    """The call is answered: its ACK."""
    return only(peer.say(peer.response(invite, 200, body=ANSWER)), "ACK")


def test_the_requests_of_a_call_use_one_nonce_and_count_it() -> None:
    peer, invite = calling()
    assert proofs(invite) == []
    again = only(peer.say(peer.response(invite, 401, lines=ask())), "INVITE")
    ack = taken(peer, again)
    assert ack.headers.get("Authorization") == again.headers.get("Authorization")  # 22.1
    peer.agent.reinvite(invite.call_id, OFFER, peer.now)
    change = only(peer.hear(), "INVITE")
    taken(peer, change)
    peer.agent.ping(invite.call_id, peer.now)
    options = only(peer.hear(), "OPTIONS")
    peer.say(peer.response(options, 200))
    peer.agent.hang_up(invite.call_id, peer.now)
    bye = only(peer.hear(), "BYE")
    assert [(proof(request).nonce, proof(request).count) for request in (again, change, options, bye)] == [
        ("n1", 1),
        ("n1", 2),
        ("n1", 3),
        ("n1", 4),
    ]
    assert len({proof(request).cnonce for request in (again, change, options, bye)}) == 4
    numbers = [request.cseq.number for request in (invite, again, change, options, bye)]
    assert numbers == sorted(set(numbers))


def test_a_nonce_that_two_calls_were_given_is_counted_over_both() -> None:
    peer, invite = calling()
    first = only(peer.say(peer.response(invite, 401, lines=ask())), "INVITE")
    peer.agent.invite("sip:text@10.0.0.9:5099", OFFER, peer.now)
    other = only(peer.hear(), "INVITE")
    assert proofs(other) == []  # 22.3: what is known is known for one Call-ID
    second = only(peer.say(peer.response(other, 401, lines=ask())), "INVITE")
    assert (proof(first).count, proof(second).count) == (1, 2)


def test_two_proxies_and_the_callee_ask_one_after_the_other() -> None:
    """22.3: each asks in its own realm; the proof for all of them is in the last copy."""
    peer, invite = calling()
    for realm, proxy, status in (("p1", True, 407), ("p2", True, 407), ("uas", False, 401)):
        invite = only(peer.say(peer.response(invite, status, lines=ask(realm, realm + "n", proxy=proxy))), "INVITE")
    assert [each.realm for each in proofs(invite)] == ["uas", "p1", "p2"]
    assert len(invite.headers.lines("Proxy-Authorization")) == 2
    assert [each.count for each in proofs(invite)] == [1, 3, 2]
    taken(peer, invite)


def test_a_proxy_that_forked_hands_on_both_challenges_at_once() -> None:
    peer, invite = calling()
    again = only(peer.say(peer.response(invite, 407, lines=ask("a") + ask("b", "n2", proxy=True))), "INVITE")
    assert [(each.realm, each.nonce) for each in proofs(again)] == [("a", "n1"), ("b", "n2")]


def test_a_chain_of_realms_without_end_is_left() -> None:
    peer, invite = calling()
    sent = 0
    while sent < 20:
        heard = peer.say(peer.response(invite, 407, lines=ask(f"r{sent}", proxy=True)))
        if not any(isinstance(message, Request) and message.method == "INVITE" for message in heard):
            break
        invite = only(heard, "INVITE")
        sent += 1
    assert sent == 4
    assert [event.status for event in calls_of(peer.agent) if isinstance(event, CallEnded)] == [407]


def test_a_stale_nonce_is_replaced_once() -> None:
    peer, invite = calling()
    second = only(peer.say(peer.response(invite, 401, lines=ask())), "INVITE")
    third = only(peer.say(peer.response(second, 401, lines=ask(nonce="n2", more=",stale=true"))), "INVITE")
    assert (proof(third).nonce, proof(third).count) == ("n2", 1)
    heard = peer.say(peer.response(third, 401, lines=ask(nonce="n3", more=",stale=true")))
    assert [message.method for message in heard if isinstance(message, Request)] == ["ACK"]
    assert [event.status for event in calls_of(peer.agent) if isinstance(event, CallEnded)] == [401]


@pytest.mark.parametrize("more", ["", ",stale=false"])
def test_the_nonce_of_the_invite_that_has_expired_when_we_hang_up(more: str) -> None:
    """Some servers do not say stale: one more try is due to a request that was signed before it was challenged."""
    peer, invite = calling()
    taken(peer, only(peer.say(peer.response(invite, 401, lines=ask())), "INVITE"))
    peer.agent.hang_up(invite.call_id, peer.now)
    bye = only(peer.hear(), "BYE")
    again = only(peer.say(peer.response(bye, 401, lines=ask(nonce="n2", more=more))), "BYE")
    assert (proof(again).nonce, again.cseq.number) == ("n2", bye.cseq.number + 1)
    assert peer.say(peer.response(again, 401, lines=ask(nonce="n3", more=more))) == []
    assert [event.reason for event in calls_of(peer.agent) if isinstance(event, CallEnded)] == ["local-bye"]


def test_a_change_of_the_session_is_challenged_and_goes_through() -> None:
    peer, invite = calling()
    taken(peer, invite)
    peer.agent.reinvite(invite.call_id, OFFER, peer.now)
    change = only(peer.hear(), "INVITE")
    again = only(peer.say(peer.response(change, 407, lines=ask(proxy=True))), "INVITE")
    assert (again.body, again.to.tag, again.headers.get("Contact")) == (OFFER, "theirs", change.headers.get("Contact"))
    taken(peer, again)
    assert [event.answer for event in calls_of(peer.agent) if isinstance(event, CallReanswered)] == [ANSWER]
    peer.agent.reinvite(invite.call_id, OFFER, peer.now)
    assert only(peer.hear(), "INVITE").cseq.number > again.cseq.number


def test_the_strongest_hash_of_each_realm_is_taken_and_no_weaker_one_afterwards() -> None:
    peer, invite = calling()
    both = ask(algorithm="MD5") + ask(algorithm="SHA-256", nonce="s1")
    again = only(peer.say(peer.response(invite, 401, lines=both)), "INVITE")
    assert proof(again).algorithm == "SHA-256"
    heard = peer.say(peer.response(again, 401, lines=ask(nonce="weak")))
    assert [message.method for message in heard if isinstance(message, Request)] == ["ACK"]


def test_the_next_nonce_is_used_from_its_announcement_on() -> None:
    peer, invite = calling()
    again = only(peer.say(peer.response(invite, 401, lines=ask())), "INVITE")
    info = 'Authentication-Info: nextnonce="n2",qop=auth,rspauth="0"\r\n'
    peer.say(peer.response(again, 200, lines=info, body=ANSWER))
    peer.agent.hang_up(invite.call_id, peer.now)
    bye = only(peer.hear(), "BYE")
    assert (proof(bye).nonce, proof(bye).count) == ("n2", 1)


def test_a_cancel_carries_no_proof_and_is_never_sent_again() -> None:
    peer, invite = calling()
    again = only(peer.say(peer.response(invite, 401, lines=ask())), "INVITE")
    peer.say(peer.response(again, 180))
    peer.agent.hang_up(invite.call_id, peer.now)
    cancel = only(peer.hear(), "CANCEL")
    assert proofs(cancel) == []
    assert peer.say(peer.response(cancel, 401, lines=ask(nonce="n2"))) == []


# --- who gets nothing -------------------------------------------------------------------------------------------------


def test_a_redirect_elsewhere_gets_nothing_and_back_to_the_host_that_was_dialled_it_does() -> None:
    for host, expected in (("10.0.0.66", False), ("10.0.0.9", True)):
        peer, invite = calling()
        first = only(peer.say(peer.response(invite, 401, lines=ask())), "INVITE")
        data = peer.response(first, 302).replace(b"<sip:text@10.0.0.9:5099>\r\nC", b"<sip:x@%s>\r\nC" % host.encode())
        moved = only(peer.say(data), "INVITE")
        assert bool(proofs(moved)) is expected
        peer.address = Address("udp", host, 5060)
        heard = peer.say(peer.response(moved, 401, lines=ask(nonce="n2")))
        assert ("INVITE" in [message.method for message in heard if isinstance(message, Request)]) is expected


def test_a_callee_at_another_host_than_the_one_dialled_gets_nothing() -> None:
    """Its Contact says where BYE goes: a host that the user has not named."""
    peer, invite = calling()
    again = only(peer.say(peer.response(invite, 401, lines=ask())), "INVITE")
    peer.say(peer.response(again, 200).replace(b"Contact: <sip:text@10.0.0.9", b"Contact: <sip:text@10.0.0.66"))
    peer.agent.hang_up(invite.call_id, peer.now)
    ((data, destination),) = peer.agent.messages_to_send(peer.now)
    assert destination.host == "10.0.0.66"
    assert b"Authorization" not in data


def test_a_caller_who_challenges_our_bye_gets_nothing() -> None:
    """CVE-2021-41158: the digest of our password, by calling us and asking for it."""
    peer, own = calling()  # the caller's host is one that we have dialled ourselves, and given proof
    only(peer.say(peer.response(own, 401, lines=ask())), "INVITE")
    calls_of(peer.agent)
    peer.say(peer.request("INVITE", body=OFFER))
    (incoming,) = [event for event in calls_of(peer.agent) if isinstance(event, IncomingCall)]
    peer.agent.accept(incoming.call_id, ANSWER, peer.now)
    (ok,) = peer.hear()
    assert isinstance(ok, Response)
    peer.say(peer.request("ACK", to_tag=ok.to.tag or ""))
    peer.agent.hang_up(incoming.call_id, peer.now)
    bye = only(peer.hear(), "BYE")
    assert proofs(bye) == []
    for status, proxy in ((401, False), (407, True)):
        assert peer.say(peer.response(bye, status, lines=ask(proxy=proxy))) == []


def test_no_challenge_breaks_the_caller() -> None:
    rng = random.Random(3)
    alphabet = 'Digest realm="lab",nonce=qop auth stale=true algorithm=MD5-sess;\\"'
    for _ in range(300):
        peer, invite = calling()
        text = "".join(rng.choice(alphabet) for _ in range(rng.randrange(60)))
        peer.say(peer.response(invite, rng.choice((401, 407)), lines=f"WWW-Authenticate: Digest {text}\r\n"))
