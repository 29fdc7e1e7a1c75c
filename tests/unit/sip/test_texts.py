"""Texts (MESSAGE, RFC 3428): taken once, in a call and outside, refused where they are not to be; ours, one at a
time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sip_lab import OFFER, Lab, Phone, TextPeer, events_of, knows_names, up
from voip.sip import (
    Address,
    Credentials,
    Request,
    RequestRefused,
    Response,
    SipUri,
    TextReceived,
    TextSent,
    UserAgent,
    parse_target,
)
from voip.sip.text_message import LONGEST_TEXT, REMEMBERED
from voip.sip.text_sending import LONGEST_SENT, MAX_WAITING

PLAIN = "Content-Type: text/plain"


def agent(**options: object) -> UserAgent:
    return UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 5060), **options)  # type: ignore[arg-type]


def texts_of(agent: UserAgent) -> list[str]:
    return [event.text for event in events_of(agent) if isinstance(event, TextReceived)]


def status_of(heard: list[Request | Response]) -> list[int]:
    return [message.status for message in heard if isinstance(message, Response)]


def received(phone: Phone) -> list[str]:
    return [event.text for event in phone.events if isinstance(event, TextReceived)]


def sent(phone: Phone) -> list[tuple[str, int | None]]:
    return [(event.text_id, event.status) for event in phone.events if isinstance(event, TextSent)]


# --- what comes -------------------------------------------------------------------------------------------------------


def test_a_text_without_a_call_is_told_with_its_sender_and_gets_an_empty_200_without_contact() -> None:
    peer = TextPeer(agent())
    (response,) = peer.say(peer.request("MESSAGE", lines=PLAIN, body="grüße\r\nan alle".encode()))
    assert isinstance(response, Response)
    assert (response.status, response.body, response.contacts) == (200, b"", [])
    (event,) = events_of(peer.agent)
    assert isinstance(event, TextReceived)
    assert (event.call_id, event.text, event.source.host) == ("", "grüße\nan alle", "10.0.0.9")
    assert isinstance(event.sender.uri, SipUri)


def test_a_text_within_a_call_is_told_as_one_of_that_call() -> None:
    peer = TextPeer(agent())
    tag = up(peer, OFFER)
    assert status_of(peer.say(peer.request("MESSAGE", 2, to_tag=tag, lines=PLAIN, body=b"hello"))) == [200]
    (event,) = events_of(peer.agent)
    assert isinstance(event, TextReceived)
    assert (event.call_id, event.text) == (peer.call_id, "hello")


def test_a_repeated_text_is_shown_once_while_its_transaction_lasts_and_afterwards() -> None:
    peer = TextPeer(agent())
    data = peer.request("MESSAGE", lines=PLAIN, body=b"once", branch="z9hG4bKsame")
    assert status_of(peer.say(data) + peer.say(data)) == [200, 200]
    peer.wait(60.0)
    assert status_of(peer.say(data)) == [200]
    peer.wait(60.0)
    other_branch = peer.request("MESSAGE", lines=PLAIN, body=b"once")
    assert status_of(peer.say(other_branch)) == [200]
    assert texts_of(peer.agent) == ["once"]
    assert peer.agent.stats.ignored == 2
    peer.wait(60.0)
    assert status_of(peer.say(peer.request("MESSAGE", 2, lines=PLAIN, body=b"another"))) == [200]
    assert texts_of(peer.agent) == ["another"]


def test_a_repeated_text_over_tcp_where_no_transaction_lasts_is_shown_once() -> None:
    peer = TextPeer(agent(), protocol="tcp")
    for _ in range(3):
        assert status_of(peer.say(peer.request("MESSAGE", lines=PLAIN, body=b"once"))) == [200]
        peer.wait(1.0)
    assert texts_of(peer.agent) == ["once"]


def test_a_repeated_text_within_a_call_is_shown_once() -> None:
    peer = TextPeer(agent())
    tag = up(peer, OFFER)
    data = peer.request("MESSAGE", 2, to_tag=tag, lines=PLAIN, body=b"once", branch="z9hG4bKsame")
    assert status_of(peer.say(data) + peer.say(data)) == [200, 200]
    peer.wait(40.0)
    assert status_of(peer.say(peer.request("MESSAGE", 2, to_tag=tag, lines=PLAIN, body=b"once"))) == [500]
    assert texts_of(peer.agent) == ["once"]


def test_what_is_remembered_of_texts_has_a_bound() -> None:
    peer = TextPeer(agent(trusted=lambda host: True))
    for number in range(1, REMEMBERED + 50):
        peer.wait(0.1)
        peer.say(peer.request("MESSAGE", number, lines=PLAIN, body=b"x"))
    assert len(texts_of(peer.agent)) == REMEMBERED + 49
    assert len(peer.agent._dispatcher._seen_texts._keys) == REMEMBERED


@pytest.mark.parametrize(
    ("lines", "body", "status", "field"),
    [
        ("", b"text", 415, "Accept: text/plain"),
        ("Content-Type: text/html", b"<b>text</b>", 415, "Accept: text/plain"),
        ("Content-Type: message/cpim", b"text", 415, "Accept: text/plain"),
        ("Content-Type: application/im-iscomposing+xml", b"<x/>", 415, "Accept: text/plain"),
        ("Content-Type: multipart/mixed;boundary=a", b"--a\r\n\r\ntext\r\n--a--", 415, "Accept: text/plain"),
        ("Content-Type: text/plain;charset=utf-16", b"t\0", 415, "Accept: text/plain;charset=utf-8"),
        (f"{PLAIN}\nContent-Encoding: gzip", b"\x1f\x8b", 415, "Accept-Encoding: identity"),
        (f"{PLAIN}\nContent-Transfer-Encoding: base64", b"dGV4dA==", 415, "Accept-Encoding: identity"),
        (PLAIN, bytes(LONGEST_TEXT + 1), 413, ""),
        (PLAIN, b"", 400, ""),
        (f"{PLAIN}\nRequire: recipient-list-message", b"text", 420, "Unsupported: recipient-list-message"),
    ],
)
@pytest.mark.parametrize("in_call", [False, True])
def test_what_is_no_plain_text_is_refused_with_what_would_be_taken(
    lines: str, body: bytes, status: int, field: str, in_call: bool
) -> None:
    peer = TextPeer(agent())
    tag = up(peer, OFFER) if in_call else ""
    (response,) = peer.say(peer.request("MESSAGE", 2, to_tag=tag, lines=lines, body=body))
    assert isinstance(response, Response)
    assert response.status == status
    assert field.encode() in response.serialize()
    assert texts_of(peer.agent) == []


@pytest.mark.parametrize(
    "lines",
    [PLAIN, "Content-Type: TEXT/Plain", f"{PLAIN}; charset=UTF-8", f'{PLAIN};charset="us-ascii";x', "c: text/plain"],
)
def test_a_plain_text_is_taken_however_its_type_is_written_up_to_1300_bytes(lines: str) -> None:
    peer = TextPeer(agent())
    assert status_of(peer.say(peer.request("MESSAGE", lines=lines, body=b"x" * LONGEST_TEXT))) == [200]
    assert texts_of(peer.agent) == ["x" * LONGEST_TEXT]


def test_bytes_that_are_no_text_are_shown_as_what_they_are() -> None:
    peer = TextPeer(agent())
    peer.say(peer.request("MESSAGE", lines=PLAIN, body=b"a\xff\x1b[2J"))
    assert texts_of(peer.agent) == ["a\\xff\x1b[2J"]  # what steers a terminal is made harmless where it is shown


@given(
    st.binary(max_size=1400),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40),
)
def test_any_body_with_any_fields_is_taken_or_refused(body: bytes, parameters: str, date: str) -> None:
    peer = TextPeer(agent())
    lines = f"Content-Type: text/plain;{parameters}\nDate: {date}\nExpires: 60"
    heard = peer.say(peer.request("MESSAGE", lines=lines, body=body))
    assert status_of(heard) in ([200], [400], [413], [415])
    assert bool(texts_of(peer.agent)) == (status_of(heard) == [200])


@pytest.mark.parametrize(
    ("lines", "expires_at"),
    [
        ("Expires: 60\nDate: Thu, 01 Jan 1970 00:10:00 GMT", 660.0),
        ("Expires: 60", None),
        ("Date: Thu, 01 Jan 1970 00:10:00 GMT", None),
        ("Expires: soon\nDate: Thu, 01 Jan 1970 00:10:00 GMT", None),
        ("Expires: 60\nDate: yesterday", None),
        ("Expires: 99999999999\nDate: Thu, 01 Jan 1970 00:10:00 GMT", None),
    ],
)
def test_until_when_a_text_is_worth_showing_is_told(lines: str, expires_at: float | None) -> None:
    peer = TextPeer(agent())
    peer.say(peer.request("MESSAGE", lines=f"{PLAIN}\n{lines}", body=b"x"))
    (event,) = events_of(peer.agent)
    assert isinstance(event, TextReceived)
    assert event.expires_at == expires_at


def test_who_may_not_call_may_not_send_a_text_either() -> None:
    peer = TextPeer(agent(allowed=lambda host: False))
    data = peer.request("MESSAGE", lines=PLAIN, body=b"buy")
    assert status_of(peer.say(data)) == [403]
    assert texts_of(peer.agent) == []


def test_an_agent_that_takes_texts_in_calls_only_says_so_and_takes_those() -> None:
    peer = TextPeer(agent(accepts_texts=False))
    assert status_of(peer.say(peer.request("MESSAGE", lines=PLAIN, body=b"x"))) == [403]
    (refused,) = events_of(peer.agent)
    assert isinstance(refused, RequestRefused)
    assert (refused.method, refused.reason) == ("MESSAGE", "texts are taken within a call only")
    peer = TextPeer(agent(accepts_texts=False))
    tag = up(peer, OFFER)
    assert status_of(peer.say(peer.request("MESSAGE", 2, to_tag=tag, lines=PLAIN, body=b"x"))) == [200]


def test_where_callers_need_a_password_senders_of_texts_do_too() -> None:
    lab = Lab()
    phone = lab.phone("10.0.0.1", users={"alice": "secret"})
    friend = lab.phone("10.0.0.2", credentials=Credentials("alice", "secret"))
    stranger = lab.phone("10.0.0.3")
    target = parse_target("10.0.0.1")
    friend.agent.send_page(target, "from a friend", lab.now)
    stranger.agent.send_page(target, "from a stranger", lab.now)
    lab.run(40.0)
    assert received(phone) == ["from a friend"]
    assert [status for _, status in sent(friend) + sent(stranger)] == [200, 401]


def test_a_flood_of_texts_is_limited_like_a_flood_of_calls() -> None:
    peer = TextPeer(agent())
    taken = sum(
        bool(peer.say(peer.request("MESSAGE", number, lines=PLAIN, body=b"x"), peer.now + 0.001))
        for number in range(1, 500)
    )
    assert taken == len(texts_of(peer.agent)) <= 40
    assert peer.agent.stats.limited == 499 - taken


def test_a_text_from_elsewhere_is_none_of_the_call() -> None:
    ours = agent()
    peer, thief = TextPeer(ours), TextPeer(ours, "10.0.0.66")
    tag = up(peer, OFFER)
    thief.call_id, thief.tag = peer.call_id, peer.tag
    assert status_of(thief.say(thief.request("MESSAGE", 2, to_tag=tag, lines=PLAIN, body=b"forged"))) == [481]
    assert texts_of(ours) == []


# --- what we send -----------------------------------------------------------------------------------------------------


def test_a_text_goes_both_ways_in_a_call_on_a_bad_network_each_once_and_in_order() -> None:
    lab = Lab(seed=5, loss=0.2, duplicate=0.2)
    near, far = lab.phone("10.0.0.1"), lab.phone("10.0.0.2")
    call_id = near.call(far)
    lab.run(20.0)
    assert "CallEstablished" in far.names()
    words = [f"number {number}" for number in range(5)]
    ids = [near.agent.send_text(call_id, word, lab.now) for word in words]
    back = far.agent.send_text(next(iter(far.begun)), "back", lab.now)
    lab.run(200.0)
    assert received(far) == words
    assert received(near) == ["back"]
    assert sent(near) == [(each, 200) for each in ids]
    assert sent(far) == [(back, 200)]
    near.agent.hang_up(call_id, lab.now)
    lab.run(100.0)
    near.check()
    far.check()
    near.check_empty()


def test_one_text_is_under_way_at_a_time_to_one_place() -> None:
    peer = TextPeer(agent())
    tag = up(peer, OFFER)
    assert tag
    for word in ("one", "two"):
        peer.agent.send_text(peer.call_id, word, peer.now)
    (first,) = peer.hear()
    assert isinstance(first, Request)
    assert (first.method, first.body, first.content_type, first.contacts) == ("MESSAGE", b"one", "text/plain", [])
    (second,) = peer.say(peer.response(first, 200))
    assert isinstance(second, Request)
    assert (second.body, second.cseq.number) == (b"two", first.cseq.number + 1)
    target = parse_target("10.0.0.9:5099")
    for word in ("three", "four"):
        peer.agent.send_page(target, word, peer.now)
    (third,) = peer.hear()
    assert isinstance(third, Request)
    (fourth,) = peer.say(peer.response(third, 202))
    assert (third.body, fourth.body) == (b"three", b"four")
    assert (fourth.call_id, fourth.from_.tag) != (third.call_id, third.from_.tag)


def test_too_many_waiting_texts_are_told_not_kept() -> None:
    peer = TextPeer(agent())
    up(peer, OFFER)
    for number in range(MAX_WAITING + 5):
        peer.agent.send_text(peer.call_id, str(number), peer.now)
        peer.agent.send_page(parse_target("10.0.0.9:5099"), str(number), peer.now)
    fates = [event for event in events_of(peer.agent) if isinstance(event, TextSent)]
    assert {(fate.status, fate.reason) for fate in fates} == {(None, "too many texts wait for a response")}
    assert len(fates) == 8  # of each kind one is under way


@pytest.mark.parametrize("status", [405, 481, 415, 500, 603])
def test_a_refused_text_is_told_and_ends_no_call(status: int) -> None:
    peer = TextPeer(agent())
    up(peer, OFFER)
    text_id = peer.agent.send_text(peer.call_id, "x", peer.now)
    (request,) = peer.hear()
    assert isinstance(request, Request)
    after = peer.say(peer.response(request, status))
    assert [event for event in events_of(peer.agent) if isinstance(event, TextSent)] == [
        TextSent(text_id or "", peer.call_id, status, Request.response(request, status).reason)
    ]
    # by 481 the peer may mean the method: OPTIONS asks whether it knows the call
    assert [message.method for message in after if isinstance(message, Request)] == ["OPTIONS"] * (status == 481)
    assert peer.agent.send_text(peer.call_id, "y", peer.now) is not None


def test_a_text_in_no_call_or_in_one_that_is_over_is_not_sent() -> None:
    peer = TextPeer(agent())
    assert peer.agent.send_text("nonsense", "x", peer.now) is None
    up(peer, OFFER)
    ids = [peer.agent.send_text(peer.call_id, word, peer.now) for word in ("one", "two")]
    peer.hear()
    peer.agent.hang_up(peer.call_id, peer.now)
    (bye,) = peer.hear()
    assert isinstance(bye, Request)
    peer.say(peer.response(bye, 200))
    peer.wait(100.0)
    fates = [(event.text_id, event.status) for event in events_of(peer.agent) if isinstance(event, TextSent)]
    assert sorted(fates, key=lambda fate: ids.index(fate[0])) == [(ids[0], None), (ids[1], None)]
    assert peer.agent.send_text(peer.call_id, "x", peer.now) is None


def test_a_text_to_a_name_tries_its_addresses_in_turn() -> None:
    lab = Lab()
    dead, alive = Address("udp", "10.0.0.8", 5060), Address("udp", "10.0.0.2", 5060)
    near = lab.phone("10.0.0.1", policy=knows_names({"friend.example": [dead, alive]}))
    far = lab.phone("10.0.0.2")
    text_id = near.agent.send_page(parse_target("friend.example"), "x", lab.now)
    lab.run(100.0)
    assert (received(far), sent(near)) == (["x"], [(text_id, 200)])
    text_id = near.agent.send_page(parse_target("nobody.example"), "x", lab.now)
    lab.run(1.0)
    assert sent(near)[1:] == [(text_id, None)]
    near.check_empty()


def test_a_text_that_nobody_takes_is_told_and_nothing_is_left_of_it() -> None:
    lab = Lab()
    near = lab.phone("10.0.0.1")
    text_id = near.agent.send_page(parse_target("10.0.0.2"), "x", lab.now)
    lab.run(9.9)
    assert sent(near) == []
    lab.run(0.2)
    assert sent(near) == [(text_id, None)]
    near.check_empty()


def test_the_longest_text_without_a_call_fits_into_1300_bytes_with_account_and_proxy() -> None:
    account = SipUri("sip", "a.user.with.a.long.name", "a-telephone-exchange.of-a-company.example")
    proxies = [parse_target("sip:outbound-proxy-number-1.of-a-company.example")]
    lab = Lab()
    places = {each: [Address("udp", "10.0.0.2", 5060)] for each in (proxies[0].host,)}
    near = lab.phone(
        "10.0.0.1",
        policy=knows_names(places),
        account=account,
        proxies=proxies,
        credentials=Credentials("alice", "secret"),
    )
    lab.phone("10.0.0.2", users={"alice": "secret"})
    target = parse_target("somebody@else.example")
    near.agent.send_page(target, "x" * LONGEST_SENT, lab.now, display="Alice B. Carroll")
    lab.run(1.0)
    lengths = [len(data) for _, source, _, data in lab.trace if source == near.address and data[:7] == b"MESSAGE"]
    assert len(lengths) == 2  # the second with credentials
    assert all(length <= 1300 for length in lengths), lengths


def test_the_allow_of_an_invite_names_message() -> None:
    peer = TextPeer(agent())
    peer.agent.invite("sip:text@10.0.0.9:5099", OFFER, peer.now)
    (invite,) = peer.hear()
    assert "MESSAGE" in invite.headers.get_all("Allow")
