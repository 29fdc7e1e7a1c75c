"""A user agent behind a NAT, in virtual time: what it says of itself, and what it keeps open."""

from __future__ import annotations

import random

from tests.support.sip_lab import ANSWER, OFFER, TextPeer
from voip.sip import Address, Request, SipUri, UserAgent
from voip.sip.agent import KEEP_ALIVE_INTERVAL
from voip.sip.keepalive import EMPTY_MESSAGE

HERE, OUTSIDE, PEER = ("192.168.7.2", 5060), ("203.0.113.9", 41000), "10.0.0.9"


def calling(**options: bool) -> tuple[TextPeer, Request]:
    """A call of ours, and the INVITE of it as the peer gets it."""
    agent = UserAgent(rng=random.Random(1), local=lambda remote: HERE, **options)  # type: ignore[arg-type]
    agent.invite(f"sip:{PEER}:5099", OFFER, 1000.0)
    peer = TextPeer(agent)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    return peer, invite


def seen_at(request: Request, host: str, port: int) -> Request:
    """The same with what the other side of a NAT notes in its Via (RFC 3581)."""
    via = request.via[0]
    via.params["rport"], via.params["received"] = str(port), host
    request.headers.replace_first("Via", str(via))
    return request


def contact(request: object) -> tuple[str, int | None]:
    assert isinstance(request, Request)
    uri = request.contacts[0].uri
    assert isinstance(uri, SipUri)
    return uri.host, uri.port


def answered(peer: TextPeer, invite: Request, place: tuple[str, int] | None = None) -> None:
    """The call is up."""
    if place is not None:
        invite = seen_at(invite, *place)
    peer.say(peer.response(invite, 200, body=ANSWER))


def moving(place: tuple[str, int] | None = None) -> tuple[TextPeer, str, list[str]]:
    """A call of ours that is up, its Call-ID, and our addresses, of which the last is in force; `place`: seen at."""
    hosts = [HERE[0]]
    agent = UserAgent(rng=random.Random(1), local=lambda remote: (hosts[-1], HERE[1]))
    agent.invite(f"sip:{PEER}:5099", OFFER, 1000.0)
    peer = TextPeer(agent)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    answered(peer, invite, place)
    return peer, invite.call_id, hosts


def test_what_the_peer_sees_is_what_later_requests_say() -> None:
    peer, invite = calling()
    assert contact(invite) == HERE
    answered(peer, invite, OUTSIDE)
    peer.agent.reinvite(invite.call_id, OFFER, peer.now)
    (again,) = peer.hear()
    assert contact(again) == OUTSIDE
    assert isinstance(again, Request)
    assert (again.via[0].host, again.via[0].port) == HERE


def test_what_was_seen_counts_no_longer_when_our_own_address_is_another() -> None:
    peer, call_id, hosts = moving(OUTSIDE)
    hosts.append("192.168.8.3")
    peer.agent.reinvite(call_id, OFFER, peer.now)
    assert contact(peer.hear()[0]) == ("192.168.8.3", 5060)


def test_a_second_move_does_not_wait_for_the_answer_to_the_first_which_goes_nowhere() -> None:
    peer, call_id, hosts = moving()
    hosts.append("192.168.8.3")
    peer.agent.reinvite(call_id, OFFER, peer.now)
    (first,) = peer.hear()
    hosts.append("192.168.9.4")
    peer.agent.reinvite(call_id, OFFER, peer.now)
    ack, second = peer.hear()
    assert isinstance(first, Request)
    assert isinstance(ack, Request)
    assert isinstance(second, Request)
    assert (ack.method, ack.cseq.number) == ("ACK", first.cseq.number)  # if the peer took it, it waits for that
    assert (second.method, second.cseq.number) == ("INVITE", first.cseq.number + 1)
    assert contact(second)[0] == second.via[0].host == "192.168.9.4"
    (ack,) = peer.say(peer.response(second, 200, body=ANSWER))
    assert isinstance(ack, Request)
    assert (ack.method, ack.cseq.number) == ("ACK", second.cseq.number)
    assert peer.wait(60.0) == []  # no BYE, no INVITE again


def test_an_offer_whose_answer_can_still_come_is_waited_for_and_the_next_one_follows() -> None:
    peer, call_id, _ = moving()
    peer.agent.reinvite(call_id, OFFER, peer.now)
    (first,) = peer.hear()
    peer.agent.reinvite(call_id, OFFER + b"a=sendonly\r\n", peer.now)
    assert peer.hear() == []
    assert isinstance(first, Request)
    (ack,) = peer.say(peer.response(first, 200, body=ANSWER))
    assert isinstance(ack, Request)
    assert ack.method == "ACK"
    ((_, second),) = peer.wait(0.6)
    assert isinstance(second, Request)
    assert second.body.endswith(b"a=sendonly\r\n")


def kept_alive(peer: TextPeer, seconds: float) -> list[float]:
    """When empty messages were sent to the peer."""
    start, times = peer.now, []
    while (due := peer.agent.next_timer()) is not None and due <= start + seconds:
        peer.now = max(peer.now, due)
        peer.agent.handle_timer(peer.now)
        for data, address in peer.agent.messages_to_send(peer.now):
            if data == EMPTY_MESSAGE:
                assert address == peer.address
                times.append(peer.now - start)
    peer.now = start + seconds
    return times


def test_the_way_through_a_nat_is_kept_open_for_as_long_as_the_call() -> None:
    peer, invite = calling()
    answered(peer, invite, OUTSIDE)
    assert kept_alive(peer, 100.0) == [
        KEEP_ALIVE_INTERVAL,
        2 * KEEP_ALIVE_INTERVAL,
        3 * KEEP_ALIVE_INTERVAL,
        4 * KEEP_ALIVE_INTERVAL,
    ]
    peer.call_id, peer.tag = invite.call_id, "theirs"
    (response,) = peer.say(peer.request("BYE", 7, to_tag=invite.from_.tag or ""))
    assert not isinstance(response, Request)
    assert response.status == 200
    assert kept_alive(peer, 100.0) == []


def test_without_a_nat_nothing_is_sent_and_with_a_known_one_always() -> None:
    peer, invite = calling()
    answered(peer, invite, HERE)
    assert kept_alive(peer, 100.0) == []
    peer, invite = calling(keeps_alive=True)
    answered(peer, invite)
    assert len(kept_alive(peer, 100.0)) == 4


def test_an_answer_from_elsewhere_teaches_nothing() -> None:
    peer, invite = calling()
    data = peer.response(seen_at(invite, *OUTSIDE), 200, body=ANSWER)
    peer.agent.receive(data, Address("udp", "10.0.0.77", 5099), peer.now)
    peer.hear()
    peer.agent.reinvite(invite.call_id, OFFER, peer.now)
    assert contact(peer.hear()[0]) == HERE


def test_an_empty_message_is_no_message() -> None:
    peer, _ = calling()
    assert peer.say(EMPTY_MESSAGE) == []
    assert peer.agent.stats.malformed == 0
