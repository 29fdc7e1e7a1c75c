"""Registrars that refuse, are silent or are not found: how soon they are tried again, and where (RFC 5626)."""

from __future__ import annotations

import itertools

import pytest

from tests.support.registering import REGISTRAR, answer, only, refreshed, registering
from tests.support.sip_lab import events_of
from voip.sip import Address, Registered, RegistrationFailed, ResolveUri, SipUri
from voip.sip.pauses import FIRST_PAUSE, MAX_PAUSE, SHORT_FOR, SHORT_PAUSE, TRY_TIMEOUT


def test_failures_are_followed_by_pauses_that_grow_up_to_half_a_minute() -> None:
    peer, agent = registering()
    request, pauses = only(peer.hear()), []
    for _ in range(9):
        assert answer(peer, request, 500, "") == []
        pause, request = refreshed(peer, 31.0)
        pauses.append(pause)
    for number, pause in enumerate(pauses):
        most = min(2.0 ** (number + 1), 30.0)
        assert most / 2 <= pause <= most
    events = events_of(agent)
    assert [event.retry for event in events if isinstance(event, RegistrationFailed)] == pytest.approx(pauses)
    answer(peer, request, 503, "Retry-After: 120 (maintenance)\r\n")
    (event,) = events_of(agent)
    assert isinstance(event, RegistrationFailed)
    assert event.retry == 120.0


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_silent_registrar_is_tried_at_least_every_4_s_for_minutes_and_then_for_ever(protocol: str) -> None:
    """By UDP. What is sent by TCP is lost, too, while the link is down: there each try goes by another connection."""
    peer, agent = registering(f"sip:10.0.0.9:5099;transport={protocol}")
    peer.address = REGISTRAR._replace(protocol=protocol)
    only(peer.hear())
    sent = [0.0, *(after for after, _ in peer.wait(SHORT_FOR))]
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert max(gaps) < (4.01 if protocol == "udp" else TRY_TIMEOUT + SHORT_PAUSE)
    assert len(sent) > SHORT_FOR / max(gaps)
    peer.wait(600.0)
    failed = [event for event in events_of(agent) if isinstance(event, RegistrationFailed)]
    assert {(event.status, event.reason) for event in failed} == {(None, "no answer")}
    assert 0.8 * MAX_PAUSE <= failed[-1].retry <= MAX_PAUSE
    _, last = refreshed(peer, TRY_TIMEOUT + MAX_PAUSE)
    answer(peer, last)
    assert [type(event) for event in events_of(agent)][-1] is Registered
    delay, again = refreshed(peer, 300.0)
    assert delay > 100.0  # no timer of the tries is left
    peer.wait(TRY_TIMEOUT + 0.1)
    (event,) = events_of(agent)
    assert isinstance(event, RegistrationFailed)
    assert event.retry <= FIRST_PAUSE, "it was there meanwhile: pauses begin anew"
    assert again.method == "REGISTER"


def test_a_registrar_that_is_at_work_on_it_is_waited_for() -> None:
    peer, agent = registering()
    request = only(peer.hear())
    answer(peer, request, 100, "")
    peer.wait(TRY_TIMEOUT + 2.0)
    assert events_of(agent) == []
    answer(peer, request)
    assert [type(event) for event in events_of(agent)] == [Registered]


def test_each_try_that_met_silence_goes_to_the_next_server() -> None:
    peer, agent = registering("sip:pbx.example")
    agent.resolved(SipUri.parse("sip:pbx.example"), [REGISTRAR, REGISTRAR._replace(host="10.0.0.10")], peer.now)
    places = []
    end = peer.now + 2 * (TRY_TIMEOUT + SHORT_PAUSE)
    while (due := agent.next_timer()) is not None and due < end:
        agent.handle_timer(due)
        places += [destination.host for _, destination in agent.messages_to_send(due)]
        while (event := agent.next_event()) is not None:
            if isinstance(event, ResolveUri):
                found = [REGISTRAR, REGISTRAR._replace(host="10.0.0.10")]
                agent.resolved(event.uri, found, due)
    assert {"10.0.0.9", "10.0.0.10"} <= set(places)


def test_a_registrar_whose_port_is_closed_is_asked_whether_it_still_knows_us() -> None:
    peer, agent = registering()
    answer(peer, only(peer.hear()))
    agent.closed(REGISTRAR._replace(port=1), peer.now)
    agent.closed(REGISTRAR, peer.now)
    delay, again = refreshed(peer, 2.0)
    assert delay <= 1.0
    agent.closed(REGISTRAR, peer.now)  # the response to what is under way is awaited all the same
    assert peer.hear() == []
    answer(peer, again)
    assert [type(event) for event in events_of(agent)] == [Registered, Registered]


def test_a_lost_connection_is_made_anew_at_once_but_not_again_and_again() -> None:
    peer, agent = registering("sip:10.0.0.9:5099;transport=tcp")
    peer.address = REGISTRAR._replace(protocol="tcp")
    assert agent.needs(peer.address)
    answer(peer, only(peer.hear()))
    agent.connection_closed(peer.address, peer.now)
    delay, _ = refreshed(peer, 1.0)
    assert delay <= 1.0
    began, pauses = peer.now, []
    while peer.now < began + SHORT_FOR:  # nothing listens there
        agent.transport_failed(peer.address, peer.now, "connection refused")
        pause, _ = refreshed(peer, SHORT_PAUSE)
        pauses.append(pause)
    assert pauses[0] >= 0.8 * FIRST_PAUSE
    assert min(pauses[2:]) >= 0.8 * SHORT_PAUSE
    tries = [event for event in events_of(agent) if isinstance(event, RegistrationFailed)]
    assert {event.reason for event in tries} == {"connection refused"}
    assert peer.now - began > 200.0


def test_a_name_is_looked_up_and_its_addresses_are_tried_in_turn() -> None:
    peer, agent = registering("sip:pbx.example")
    (event,) = events_of(agent)
    assert event == ResolveUri(SipUri.parse("sip:pbx.example"))
    agent.resolved(SipUri.parse("sip:pbx.example"), [Address("udp", "10.0.0.7", 5060), REGISTRAR], peer.now)
    ((data, destination),) = agent.messages_to_send(peer.now)
    assert destination.host == "10.0.0.7"
    assert b"REGISTER sip:pbx.example SIP/2.0" in data
    while destination.host == "10.0.0.7":
        peer.now = agent.next_timer() or 0.0
        agent.handle_timer(peer.now)
        destination = next((place for _, place in agent.messages_to_send(peer.now)), destination)
        for event in events_of(agent):
            if isinstance(event, ResolveUri):
                agent.resolved(event.uri, [Address("udp", "10.0.0.7", 5060), REGISTRAR], peer.now)
    assert destination == REGISTRAR


def test_an_unknown_name_is_a_failure_and_is_looked_up_again() -> None:
    peer, agent = registering("sip:pbx.example")
    events_of(agent)
    agent.resolved(SipUri.parse("sip:pbx.example"), [], peer.now)
    (event,) = events_of(agent)
    assert isinstance(event, RegistrationFailed)
    assert "pbx.example" in event.reason
    peer.wait(3.0)
    assert [type(event) for event in events_of(agent)] == [ResolveUri]
