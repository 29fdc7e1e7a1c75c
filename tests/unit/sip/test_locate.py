"""Where requests go: RFC 3263 on tables of records, weights of RFC 2782, and user agents that try them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.support.dns_records import Table
from tests.support.sip_lab import OFFER, Lab, Phone, Policy, TextPeer, knows_names
from voip.sip import (
    Address,
    CallEnded,
    Event,
    IncomingCall,
    OfferWanted,
    Request,
    ResolveUri,
    SipUri,
    UserAgent,
    parse_message,
)
from voip.sip.locate import MAX_ADDRESSES, Naptr, Srv, addresses_of, by_weight
from voip.sip.resolver import KNOWN_FOR, LOOKUP_TIMEOUT, MAX_PENDING

HERE, FIRST, SECOND = "10.0.0.2", "10.0.0.11", "10.0.0.12"
ALL = ("udp", "tcp", "tls")


def places(uri: str, table: Table, protocols: Sequence[str] = ALL) -> list[str]:
    found = addresses_of(SipUri.parse(uri), table, random.Random(1), protocols)
    return [f"{protocol} {host} {port}" for protocol, host, port in found]


# The example of RFC 3263 section 4.1 and 4.2.
EXAMPLE = Table(
    {"server1.example.com": ["192.0.2.1"], "server2.example.com": ["192.0.2.2"], "example.com": ["192.0.2.9"]},
    {
        "_sip._tcp.example.com": [Srv(0, 1, 5060, "server1.example.com"), Srv(1, 2, 5060, "server2.example.com")],
        "_sips._tcp.example.com": [Srv(0, 1, 5061, "server1.example.com")],
        "_sip._udp.example.com": [Srv(0, 1, 5070, "server2.example.com")],
    },
    {
        "example.com": [
            Naptr(100, 50, "s", "SIP+D2U", "_sip._udp.example.com"),
            Naptr(50, 50, "s", "SIPS+D2T", "_sips._tcp.example.com"),
            Naptr(90, 50, "s", "SIP+D2T", "_sip._tcp.example.com"),
            Naptr(10, 50, "u", "E2U+sip", ""),
        ]
    },
)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:192.0.2.5", ["udp 192.0.2.5 5060"]),
        ("sip:192.0.2.5:5080", ["udp 192.0.2.5 5080"]),
        ("sip:[2001:db8::5]", ["udp 2001:db8::5 5060"]),
        ("sips:192.0.2.5", ["tls 192.0.2.5 5061"]),
        ("sip:192.0.2.5;transport=tcp", ["tcp 192.0.2.5 5060"]),
        ("sip:192.0.2.5;transport=TLS", ["tls 192.0.2.5 5061"]),
        ("sip:192.0.2.5;transport=sctp", []),
        ("sips:example.com;transport=udp", []),
        ("sip:0.0.0.0", []),
        ("sip:239.1.2.3", []),
        ("sip:example.com:5080", ["udp 192.0.2.9 5080"]),
        ("sip:example.com:5080;transport=tcp", ["tcp 192.0.2.9 5080"]),
        ("sip:a@b.example;maddr=example.com:5", []),
        ("sip:a@b.example;maddr=192.0.2.77", ["udp 192.0.2.77 5060"]),
        # NAPTR: TLS before TCP before UDP, for a sip: URI too.
        ("sip:example.com", ["tls 192.0.2.1 5061", "tcp 192.0.2.1 5060", "tcp 192.0.2.2 5060", "udp 192.0.2.2 5070"]),
        ("sips:example.com", ["tls 192.0.2.1 5061"]),
        ("sip:example.com;transport=udp", ["udp 192.0.2.2 5070"]),
        ("sip:server1.example.com", ["udp 192.0.2.1 5060"]),
        ("sips:server1.example.com", ["tls 192.0.2.1 5061"]),
        ("sip:nobody.example.com", []),
    ],
)
def test_the_example_of_the_standard(uri: str, expected: list[str]) -> None:
    assert places(uri, EXAMPLE) == expected


def test_what_is_not_spoken_here_is_not_tried() -> None:
    assert places("sip:example.com", EXAMPLE, ("udp",)) == ["udp 192.0.2.2 5070"]
    assert places("sips:example.com", EXAMPLE, ("udp",)) == []
    assert places("sip:example.com;transport=tcp", EXAMPLE, ("udp",)) == []


def test_a_domain_that_offers_tls_alone_is_reached_by_tls() -> None:
    hosts = {"sip.example.com": ["192.0.2.7"]}
    services = {"_sips._tcp.example.com": [Srv(0, 0, 5061, "sip.example.com")]}
    naptr = {"example.com": [Naptr(10, 10, "s", "SIPS+D2T", "_sips._tcp.example.com")]}
    assert places("sip:bob@example.com", Table(hosts, services, naptr)) == ["tls 192.0.2.7 5061"]
    assert places("sip:bob@example.com", Table(hosts, services, naptr), ("udp", "tcp")) == []
    assert (
        places("sip:bob@example.com", Table(hosts, services, {})) == []
    )  # what is not said is not guessed: sip: may be in the clear


def test_a_domain_without_naptr_is_asked_for_the_services_we_speak() -> None:
    table = Table({"pbx.example": ["192.0.2.3"]}, {"_sip._udp.example.org": [Srv(0, 0, 5062, "pbx.example")]})
    assert places("sip:example.org", table) == ["udp 192.0.2.3 5062"]
    assert table.asked[:2] == ["NAPTR example.org", "SRV _sip._udp.example.org"]


@pytest.mark.parametrize("name", ["localhost", "kitchen", "kitchen.local"])
def test_a_name_that_no_dns_knows_is_asked_of_the_system_alone(name: str) -> None:
    table = Table({name: ["192.0.2.3", "2001:db8::3"]})
    assert places(f"sip:{name}", table) == ["udp 192.0.2.3 5060", "udp 2001:db8::3 5060"]
    assert table.asked == [name]


def test_a_service_that_is_decidedly_not_there_leaves_the_host() -> None:
    table = Table({"example.org": ["192.0.2.4"]}, {"_sip._udp.example.org": [Srv(0, 0, 0, "")]})
    assert places("sip:example.org;transport=udp", table) == ["udp 192.0.2.4 5060"]


def test_weights_are_the_shares_of_the_first_places_and_priorities_come_first() -> None:
    records = [
        Srv(1, 100, 5060, "later"),
        Srv(0, 30, 5060, "heavy"),
        Srv(0, 10, 5060, "light"),
        Srv(0, 0, 5060, "none"),
    ]
    rng = random.Random(7)
    firsts, lasts = Counter[str](), Counter[str]()
    for _ in range(4000):
        ordered = by_weight(records, rng)
        assert len(ordered) == len(records)
        firsts[ordered[0].target] += 1
        lasts[ordered[-1].target] += 1
    assert lasts == {"later": 4000}
    assert 0.70 < firsts["heavy"] / 4000 < 0.77
    assert 0.20 < firsts["light"] / 4000 < 0.27
    assert 0.0 < firsts["none"] / 4000 < 0.05  # RFC 2782: a very small chance


def test_no_answer_of_the_dns_makes_us_try_for_ever() -> None:
    crowd = {f"h{number}.example": [f"192.0.{number}.{host}" for host in range(1, 100)] for number in range(100)}
    table = Table(crowd, {"_sip._udp.example.org": [Srv(0, 1, 5060, name) for name in crowd]})
    assert len(places("sip:example.org", table)) == MAX_ADDRESSES
    assert len(table.asked) < 20


# --- the user agent ---------------------------------------------------------------------------------------------------


def name_of(*phones: Phone) -> dict[str, list[Address]]:
    return {"pbx.example": [phone.address for phone in phones]}


def refuse(status: int) -> Policy:
    def policy(phone: Phone, event: Event) -> None:
        if isinstance(event, IncomingCall):
            phone.agent.reject(event.call_id, status, phone.lab.now)

    return policy


def test_the_next_address_is_tried_when_one_is_silent_and_a_late_answer_is_hung_up_on() -> None:
    lab = Lab()
    slow, quick = lab.phone(FIRST), lab.phone(SECOND)
    caller = lab.phone(HERE, policy=knows_names(name_of(slow, quick)))
    deaf = True
    lab.drop = lambda data, source, destination: deaf and destination == slow.address
    call_id = caller.agent.invite("sip:pbx.example", OFFER, lab.now, timeout=4.0)
    lab.run(1.9)
    assert not quick.events
    lab.run(0.2)
    assert quick.names() == ["IncomingCall", "CallEstablished"]
    assert caller.names() == ["ResolveUri", "CallAnswered"]
    invites = [parse_message(data) for _, source, _, data in lab.trace if data.startswith(b"INVITE")]
    assert len({message.headers.lines("CSeq")[0] for message in invites}) == 1
    assert len({message.via[0].params["branch"] for message in invites}) == 2
    # A copy of the first INVITE that was long under way:
    deaf = False
    first = next(data for _, _, destination, data in lab.trace if destination == slow.address)
    slow.agent.receive(first, caller.address, lab.now)
    lab.run(1.0)
    assert [event.reason for event in slow.ended()] == ["remote-bye"]
    assert not caller.ended()
    assert not quick.ended()
    caller.agent.hang_up(call_id, lab.now)
    lab.run(40.0)
    for phone in (slow, quick, caller):
        phone.check_empty()


def test_the_next_address_is_tried_after_503_and_none_after_486() -> None:
    lab = Lab()

    full, quick = lab.phone(FIRST, policy=refuse(503)), lab.phone(SECOND)
    caller = lab.phone(HERE, policy=knows_names(name_of(full, quick)))
    caller.agent.invite("sip:pbx.example", OFFER, lab.now)
    lab.run(1.0)
    assert caller.names() == ["ResolveUri", "CallAnswered"]

    lab = Lab()
    full, quick = lab.phone(FIRST, policy=refuse(486)), lab.phone(SECOND)
    caller = lab.phone(HERE, policy=knows_names(name_of(full, quick)))
    caller.agent.invite("sip:pbx.example", OFFER, lab.now)
    lab.run(1.0)
    assert [event.status for event in caller.ended()] == [486]
    assert not quick.events


def test_an_address_that_rings_after_the_next_one_was_tried_is_cancelled_once() -> None:
    agent = UserAgent(rng=random.Random(3), local=lambda remote: (HERE, 5060))
    first = TextPeer(agent, FIRST, 5060)
    agent.invite("sip:pbx.example", OFFER, first.now, timeout=4.0)
    addresses = [first.address, first.address._replace(host=SECOND)]
    agent.resolved(SipUri.parse("sip:pbx.example"), addresses, first.now)
    (invite,) = first.hear()
    assert isinstance(invite, Request)
    second = first.wait(2.0)[-1][1]
    assert second.via[0] != invite.via[0]
    (cancel,) = first.say(first.response(invite, 180))
    assert cancel.start_line().startswith("CANCEL ")
    assert cancel.via == invite.via
    assert first.say(first.response(invite, 180)) == []


def test_503_from_the_last_address_is_the_end() -> None:
    lab = Lab()

    both = lab.phone(FIRST, policy=refuse(503)), lab.phone(SECOND, policy=refuse(503))
    caller = lab.phone(HERE, policy=knows_names(name_of(*both)))
    caller.agent.invite("sip:pbx.example", OFFER, lab.now)
    lab.run(1.0)
    assert [event.status for event in caller.ended()] == [503]


def test_each_address_gets_its_own_offer() -> None:
    lab = Lab()
    slow, quick = lab.phone(FIRST), lab.phone(SECOND)
    names, wanted = knows_names(name_of(slow, quick)), list[Address]()

    def policy(phone: Phone, event: Event) -> None:
        if isinstance(event, OfferWanted):
            wanted.append(event.remote)
            phone.agent.offer(event.call_id, b"for " + event.remote.host.encode(), lab.now)
        else:
            names(phone, event)

    caller = lab.phone(HERE, policy=policy)
    lab.drop = lambda data, source, destination: destination == slow.address
    caller.agent.invite("sip:pbx.example", None, lab.now, timeout=4.0)
    lab.run(3.0)
    assert wanted == [slow.address, quick.address]
    assert [event.offer for event in quick.events if isinstance(event, IncomingCall)] == [b"for 10.0.0.12"]
    assert caller.names()[-1] == "CallAnswered"


def redirect_to_a_name(lab: Lab, caller: Phone) -> None:
    """Its first INVITE is answered with 302 and a Contact whose host is a name."""
    caller.agent.invite(f"sip:{FIRST}", OFFER, lab.now)
    lab.run(0.1)
    invite = parse_message(next(data for _, _, _, data in lab.trace))
    assert isinstance(invite, Request)
    response = invite.response(302, None, "there")
    response.headers.add("Contact", "<sip:moved.example>")
    caller.agent.receive(response.serialize(), Address("udp", FIRST, 5060), lab.now)
    lab.run(1.0)


def test_a_redirect_to_a_name_is_looked_up() -> None:
    lab = Lab()
    callee = lab.phone(SECOND)
    caller = lab.phone(HERE, policy=knows_names({"moved.example": [callee.address]}))
    redirect_to_a_name(lab, caller)
    assert caller.names() == ["ResolveUri", "CallAnswered"]
    again = parse_message(next(data for _, _, where, data in lab.trace if where == callee.address))
    assert again.headers.lines("To") == [f"<sip:{FIRST}>"]


def test_a_redirect_to_a_name_that_does_not_exist_is_a_refusal() -> None:
    lab = Lab()
    caller = lab.phone(HERE, policy=knows_names({}))
    redirect_to_a_name(lab, caller)
    assert [(event.reason, event.status) for event in caller.ended()] == [("rejected", 302)]


def test_a_look_up_that_nobody_answers_ends_the_call() -> None:
    lab = Lab()
    caller = lab.phone(HERE, policy=lambda phone, event: None)
    caller.agent.invite("sip:pbx.example", OFFER, lab.now)
    lab.run(LOOKUP_TIMEOUT - 0.1)
    assert caller.names() == ["ResolveUri"]
    lab.run(0.2)
    assert [event.reason for event in caller.ended()] == ["network"]
    lab.run(40.0)
    caller.check_empty()


def test_hanging_up_during_the_look_up_is_the_end_and_a_late_answer_is_nothing() -> None:
    lab = Lab()
    caller = lab.phone(HERE, policy=lambda phone, event: None)
    call_id = caller.agent.invite("sip:pbx.example", OFFER, lab.now)
    caller.agent.hang_up(call_id, lab.now)
    lab.run(0.1)
    caller.agent.resolved(SipUri.parse("sip:pbx.example"), [Address("udp", FIRST, 5060)], lab.now)
    lab.run(1.0)
    assert [event.reason for event in caller.ended()] == ["cancelled"]
    assert not lab.trace


def test_a_name_is_asked_for_once_while_it_is_known_and_again_later() -> None:
    lab = Lab()
    callee = lab.phone(FIRST)
    caller = lab.phone(HERE, policy=knows_names(name_of(callee)))
    for _ in range(3):
        caller.agent.invite("sip:pbx.example", OFFER, lab.now)
        lab.run(1.0)
    assert len(caller.of(ResolveUri)) == 1
    lab.run(KNOWN_FOR)
    caller.agent.invite("sip:pbx.example", OFFER, lab.now)
    lab.run(1.0)
    assert len(caller.of(ResolveUri)) == 2


def test_look_ups_at_a_time_are_bounded() -> None:
    agent = UserAgent(rng=random.Random(1), local=lambda remote: (HERE, 5060))
    for number in range(MAX_PENDING + 5):
        agent.invite(f"sip:h{number}.example", OFFER, 0.0)
    events = []
    while (event := agent.next_event()) is not None:
        events.append(event)
    assert sum(isinstance(event, ResolveUri) for event in events) == MAX_PENDING
    assert sum(isinstance(event, CallEnded) for event in events) == 5


def test_a_contact_that_is_a_name_is_looked_up_once_its_owner_has_shown_to_be_there() -> None:
    lab = Lab()
    caller, callee = (
        lab.phone(HERE),
        lab.phone(FIRST, policy=knows_names({"home.example": [Address("udp", HERE, 5060)]})),
    )
    caller.agent._core.identity.contact = lambda *_, **__: "<sip:someone@home.example>"  # type: ignore[method-assign]
    call_id = caller.call(callee)
    lab.run(0.015)
    assert callee.names() == ["IncomingCall"]  # a stranger yet: nothing is looked up for it
    lab.run(1.0)
    assert sorted(callee.names()) == ["CallEstablished", "IncomingCall", "ResolveUri"]
    callee.agent.hang_up(call_id, lab.now)
    lab.run(1.0)
    assert caller.names()[-1] == "CallEnded"
