"""Digest authentication as a server: who is let in, and what an attacker learns (RFC 3261 22.4, RFC 7616, RFC 8760)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sip_lab import ANSWER, OFFER, Lab, TextPeer, calls_of, events_of
from voip.sip import Credentials, IncomingCall, Request, RequestRefused, Response, UserAgent
from voip.sip.auth import Challenge, authorization, parse_challenge
from voip.sip.digest_server import BLOCK_SECONDS, MAX_FAILURES, NONCE_LIFE, DigestVerifier, Verdict, hashes_of

USERS = {"alice": "secret", "bob": "zanzibar"}
HOST = "10.0.0.9"


def called(**options: object) -> TextPeer:
    """Somebody who calls an agent that wants a password."""
    agent = UserAgent(rng=random.Random(3), local=lambda remote: ("10.0.0.1", 5060), users=USERS, **options)  # type: ignore[arg-type]
    return TextPeer(agent, HOST)


def invite(peer: TextPeer, number: int = 1, proof: str = "") -> list[Request | Response]:
    lines = f"Authorization: {proof}\r\n" if proof else ""
    return peer.say(peer.request("INVITE", number, lines=lines, body=OFFER))


def acknowledged(peer: TextPeer) -> list[Request | Response]:
    """What comes back to an INVITE; a refusal is acknowledged."""
    heard = invite(peer)
    for refusal in heard:
        assert isinstance(refusal, Response)
        assert peer.say(peer.request("ACK", to_tag=refusal.to.tag or "", branch=refusal.via[0].branch or "")) == []
    return heard


def challenges(heard: list[Request | Response]) -> list[Challenge]:
    (response,) = heard
    assert isinstance(response, Response)
    assert response.status == 401
    return [parse_challenge(value) for value in response.headers.get_all("WWW-Authenticate")]


def proof_of(
    challenge: Challenge, *, user: str = "alice", password: str = "secret", count: int = 1, method: str = "INVITE"
) -> str:
    return authorization(challenge, Credentials(user, password), method, "sip:anyone@10.0.0.1", count, "c0ffee")


def rings(peer: TextPeer) -> bool:
    return any(isinstance(event, IncomingCall) for event in calls_of(peer.agent))


@pytest.mark.parametrize(("place", "algorithm"), [(0, "SHA-256"), (1, "MD5")])
def test_who_knows_the_password_is_let_in_by_either_hash(place: int, algorithm: str) -> None:
    peer = called()
    asked = challenges(invite(peer))
    assert [(each.algorithm, each.qop, each.stale) for each in asked] == [
        ("SHA-256", ("auth",), False),  # the strongest first: RFC 8760 section 2.3
        ("MD5", ("auth",), False),
    ]
    assert asked[place].algorithm == algorithm
    assert not rings(peer)
    assert invite(peer, 2, proof_of(asked[place])) == []
    assert rings(peer)


@pytest.mark.parametrize("user", ["alice", "mallory"])
def test_a_wrong_password_and_an_unknown_user_get_the_same_and_never_ring(user: str) -> None:
    peer = called()
    asked = challenges(invite(peer))
    again = challenges(invite(peer, 2, proof_of(asked[0], user=user, password="guess")))
    assert [(each.algorithm, each.stale) for each in again] == [("SHA-256", False), ("MD5", False)]
    events = events_of(peer.agent)
    assert [(event.method, event.status) for event in events if isinstance(event, RequestRefused)] == [("INVITE", 401)]
    refused = next(event for event in events if isinstance(event, RequestRefused))
    assert (refused.caller, refused.reason) == ("sip:text@10.0.0.9:5099", "wrong user name or password")
    assert not any(isinstance(event, IncomingCall) for event in events)


def test_a_captured_proof_is_of_no_use() -> None:
    peer = called()
    proof = proof_of(challenges(invite(peer))[0])
    invite(peer, 2, proof)
    calls_of(peer.agent)
    peer.call_id = "replayed"
    assert all(each.stale for each in challenges(invite(peer, 3, proof)))
    other = TextPeer(peer.agent, "10.0.0.66")  # nor for another host, used or not
    fresh = proof_of(challenges(invite(other))[0])
    peer.call_id = "stolen"
    assert all(each.stale for each in challenges(invite(peer, 1, fresh)))
    assert not rings(peer)


def test_a_nonce_lasts_thirty_seconds_and_a_new_one_is_offered_then() -> None:
    peer = called()
    asked = challenges(invite(peer))[0]
    peer.now += NONCE_LIFE + 1
    late = challenges(invite(peer, 2, proof_of(asked)))
    assert all(each.stale for each in late)
    invite(peer, 3, proof_of(late[0]))
    assert rings(peer)


def test_a_nonce_serves_again_with_a_higher_count() -> None:
    peer = called(max_calls=2)
    asked = challenges(invite(peer))[1]
    invite(peer, 2, proof_of(asked))
    assert rings(peer)
    peer.call_id = "the-second-call"
    invite(peer, 1, proof_of(asked, count=2))
    assert rings(peer)


def test_guessing_is_answered_with_silence_for_a_while() -> None:
    peer = called()
    for number in range(MAX_FAILURES):
        asked = challenges(invite(peer, 2 * number + 1))[0]
        challenges(invite(peer, 2 * number + 2, proof_of(asked, password=f"guess {number}")))
    assert invite(peer, 99) == []
    assert invite(peer, 100, proof_of(asked)) == []
    other = TextPeer(peer.agent, "10.0.0.66")
    other.call_id = "other"
    assert challenges(invite(other)), "others are none the worse for it"
    peer.now += BLOCK_SECONDS + 1
    invite(peer, 102, proof_of(challenges(invite(peer, 101))[0]))
    assert rings(peer)


def test_forged_packets_cannot_shut_a_host_out_nor_does_a_made_up_nonce_tell_a_password() -> None:
    peer = called()
    made_up = Challenge("receiver", "0" * 52, algorithm="MD5", qop=("auth",))
    answers = [
        [each.stale for each in challenges(invite(peer, number, proof_of(made_up, password=password)))]
        for number, password in enumerate(["guess", "secret"] * MAX_FAILURES)
    ]
    assert answers == [[True, True]] * len(answers)
    invite(peer, 99, proof_of(challenges(invite(peer, 98))[0]))
    assert rings(peer)


def test_the_proof_is_of_the_method_and_of_the_quality_that_was_asked_for() -> None:
    peer = called()
    asked = challenges(invite(peer))[0]
    weaker = Challenge(asked.realm, asked.nonce, algorithm="MD5")  # as in RFC 2069: without qop, for ever good
    session = Challenge(asked.realm, asked.nonce, algorithm="MD5-sess", qop=("auth",))
    for number, proof in enumerate((proof_of(asked, method="BYE"), proof_of(weaker), proof_of(session))):
        challenges(invite(peer, number + 2, proof))
    assert not rings(peer)


def test_a_telephone_that_knows_md5_alone_and_hangs_up_at_anything_else_gets_it_when_it_calls_again() -> None:
    peer = called(max_calls=9)
    for _ in range(3):
        assert [each.algorithm for each in challenges(acknowledged(peer))] == ["SHA-256", "MD5"]  # repeated, not left
    for number in range(3):
        peer.call_id = f"again{number}"
        (asked,) = challenges(acknowledged(peer))
        assert asked.algorithm == "MD5"
        invite(peer, 2, proof_of(asked))
        assert rings(peer)
    other = TextPeer(peer.agent, "10.0.0.66")
    for number in range(3):
        other.call_id = f"other{number}"
        asked, _ = challenges(acknowledged(other))
        assert invite(other, 2, proof_of(asked)) == []


def test_an_invite_forged_in_the_name_of_a_caller_does_not_get_it_the_weaker_hash() -> None:
    """Only who receives the challenge can acknowledge it."""
    peer = called(max_calls=9)
    for number in range(5):
        peer.call_id = f"forged{number}"
        (asked,) = invite(peer)
        assert isinstance(asked, Response)
        tag = (asked.to.tag or "")[:-1] + "x"
        assert peer.say(peer.request("ACK", to_tag=tag, branch=asked.via[0].branch or "")) == []
    peer.call_id = "true"
    assert [each.algorithm for each in challenges(invite(peer))] == ["SHA-256", "MD5"]


@pytest.mark.parametrize(("prefix", "together"), [("2001:db8:1:2::", True), ("2001:db8:1:{:x}::1", False)])
def test_guesses_from_all_of_an_ipv6_network_are_counted_together(prefix: str, together: bool) -> None:
    peer, answered = called(), 0
    for number in range(1, 15):
        host = prefix.format(number) if "{" in prefix else f"{prefix}{number:x}"
        peer.call_id, peer.now, source = f"guess{number}", peer.now + 1, peer.address._replace(host=host)
        peer.agent.receive(peer.request("INVITE", body=OFFER), source, peer.now)
        for heard in peer.hear():
            guess = proof_of(challenges([heard])[0], password="guess")
            lines = f"Authorization: {guess}\r\n"
            peer.agent.receive(peer.request("INVITE", 2, lines=lines, body=OFFER), source, peer.now)
            answered += len(peer.hear())
    assert answered == (MAX_FAILURES if together else 14)


def test_what_belongs_to_the_call_is_not_challenged() -> None:
    peer = called()
    invite(peer, 2, proof_of(challenges(invite(peer))[0]))
    (incoming,) = [event for event in calls_of(peer.agent) if isinstance(event, IncomingCall)]
    peer.agent.accept(incoming.call_id, ANSWER, peer.now)
    (ok,) = peer.hear()
    assert isinstance(ok, Response)
    tag = ok.to.tag or ""
    peer.say(peer.request("ACK", 2, to_tag=tag))
    peer.say(peer.request("INVITE", 3, to_tag=tag, body=OFFER))
    peer.agent.accept(incoming.call_id, ANSWER, peer.now)
    (ok,) = peer.hear()
    assert isinstance(ok, Response)
    assert ok.status == 200
    (bye,) = peer.say(peer.request("BYE", 4, to_tag=tag))
    assert isinstance(bye, Response)
    assert bye.status == 200


def test_who_is_not_allowed_to_call_is_not_even_asked() -> None:
    peer = called(allowed=lambda host: host != HOST)
    (response,) = invite(peer)
    assert isinstance(response, Response)
    assert response.status == 403


def test_nothing_is_kept_of_who_was_challenged_and_the_ack_of_it_is_swallowed() -> None:
    peer = called()
    for number in range(100):
        peer.now += 1.0
        peer.call_id = f"call{number}"
        (refusal,) = invite(peer)
        assert isinstance(refusal, Response)
        assert peer.say(peer.request("ACK", to_tag=refusal.to.tag or "")) == []
    core = peer.agent._core
    assert (len(core.servers), len(core.timers), len(peer.agent._calls)) == (0, 0, 0)
    assert not peer.agent._guard._verifier._counts  # type: ignore[union-attr]


def test_a_stranger_is_not_sent_more_than_he_sent() -> None:
    peer = called()
    peer.address = peer.address._replace(host="198.51.100.7".replace("198.51.100", "8.8.8"))
    for size in range(0, 600, 60):
        peer.call_id = f"{size}"
        data = peer.request("INVITE", lines=f"X-Padding: {'x' * size}\r\n")
        peer.agent.receive(data, peer.address, peer.now)
        assert sum(len(sent) for sent, _ in peer.agent.messages_to_send(peer.now)) <= len(data)


def test_two_of_our_own_with_the_password_and_without() -> None:
    lab = Lab()
    callee = lab.phone("10.0.0.2", users=USERS, max_calls=2)
    alice = lab.phone("10.0.0.3", credentials=Credentials("alice", "secret"))
    stranger, wrong = lab.phone("10.0.0.4"), lab.phone("10.0.0.5", credentials=Credentials("alice", "guess"))
    for caller in (alice, stranger, wrong):
        caller.call(callee)
    lab.run(5.0)
    assert callee.names().count("IncomingCall") == 1
    assert "CallAnswered" in alice.names()
    for refused in (stranger, wrong):
        assert [(event.reason, event.status) for event in refused.ended()] == [("rejected", 401)]


def test_two_of_our_own_where_a_tenth_of_the_packets_is_lost() -> None:
    for seed in range(12):
        lab = Lab(seed=seed, loss=0.1, duplicate=0.1)
        callee = lab.phone("10.0.0.2", users=USERS)
        alice = lab.phone("10.0.0.3", credentials=Credentials("alice", "secret"))
        alice.call(callee, timeout=32.0)
        lab.run(32.0)
        assert "CallEstablished" in callee.names(), seed


@settings(deadline=None)
@given(st.text(max_size=120), st.text(max_size=60), st.text(max_size=60))
def test_no_credentials_break_it(text: str, nonce: str, response: str) -> None:
    clean = str.maketrans("", "", '\r\n"\\')
    keeper = DigestVerifier(hashes_of(USERS), b"k" * 32)
    request = Request("INVITE", "sip:a@b")
    for value in (
        text.translate(str.maketrans("", "", "\r\n")),
        f'Digest username="alice",realm="receiver",nonce="{nonce.translate(clean)}",uri="sip:a@b",qop=auth,nc=00000001,'
        f'cnonce="c",response="{response.translate(clean)}"',
    ):
        request.headers.set("Authorization", value)
        assert keeper.verify(request, HOST, 1000.0) in (Verdict.UNKNOWN, Verdict.STALE)


def test_credentials_that_are_not_text_are_wrong() -> None:
    keeper = DigestVerifier(hashes_of(USERS), b"k" * 32)
    asked = parse_challenge(keeper.challenges(HOST, "call", 5.0)[1])
    request = Request("INVITE", "sip:a@b")
    request.headers.set("Authorization", proof_of(asked).replace("alice", "ali\udcffce"))
    assert keeper.verify(request, HOST, 6.0) is Verdict.WRONG
    request.headers.set("Authorization", proof_of(asked).replace(asked.nonce, "\udcff" * 52))
    assert keeper.verify(request, HOST, 6.0) is Verdict.STALE
