"""A directory that serves one domain: requests for users of any other are refused, by whatever address they come."""

from __future__ import annotations

import argparse

import pytest

from tests.support.directory_desk import Scene as Desk
from tests.support.directory_lab import DOMAIN, HERE, Called, Scene, register, sip_server_of
from voip.cli.directory import directory_options, domain
from voip.sip import Address


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("sip:bob@elsewhere.test", 403),
        (f"sip:bob@{HERE}", 403),
        (f"sip:bob@{HERE}:5060", 403),
        (f"sip:bob@elsewhere.test;maddr={HERE}", 403),
        (f"sip:bob@{DOMAIN};maddr=127.0.0.77", 403),
        (f"sip:bob@{DOMAIN}:9999", 403),
        (f"sip:carol@{DOMAIN}", 404),
        (f"sip:alice@{DOMAIN}", 480),
    ],
)
def test_a_call_to_another_domain_is_refused_and_to_an_unknown_name_not_found(uri: str, status: int) -> None:
    scene = Called(domain=DOMAIN)
    assert scene.ask(scene.alice, scene.alice.request("INVITE", uri)).status == status


@pytest.mark.parametrize(
    "uri",
    [f"sip:bob@{DOMAIN}", f"sip:bob@{DOMAIN.upper()}.", f"sip:bob@{DOMAIN}:5060", f"sip:bob@{DOMAIN};maddr={HERE}"],
)
def test_a_user_of_the_domain_is_called(uri: str) -> None:
    scene = Called(domain=DOMAIN)
    scene.say(scene.alice, scene.alice.request("OPTIONS", uri))
    assert scene.request_to(scene.bob).method == "OPTIONS"


def test_a_registration_in_another_domain_is_refused() -> None:
    scene = Scene("bob", domain=DOMAIN)
    bob = scene.phone("bob", "127.0.0.9", 5070)
    assert scene.ask(bob, register(bob, to_domain="elsewhere.test")).status == 403
    assert scene.ask(bob, register(bob, to_domain=HERE)).status == 403
    foreign = register(bob).replace(f"To: <sip:bob@{DOMAIN}>".encode(), b"To: <sip:bob@elsewhere.test>")
    assert scene.ask(bob, foreign).status == 404
    assert scene.ask(bob, register(bob, number=2)).status == 200


def test_a_dialog_goes_through_by_the_address_that_it_was_given() -> None:
    scene = Called(domain=DOMAIN)
    answer = scene.answered(scene.call())
    route = ", ".join(str(each) for each in reversed(answer.record_routes))
    assert HERE in route
    to = answer.headers.lines("To")[0]
    bye = scene.alice.request("BYE", str(answer.contacts[0].uri), f"Route: {route}", call_id="call", to=to, number=2)
    scene.say(scene.alice, bye)
    assert scene.request_to(scene.bob).method == "BYE"


def test_the_directory_itself_responds_at_its_address() -> None:
    scene = Called(domain=DOMAIN)
    assert scene.ask(scene.alice, scene.alice.request("OPTIONS", f"sip:{HERE}")).status == 200


def test_programs_are_told_the_way_to_the_domain_and_telephones_know_it() -> None:
    server = sip_server_of(Desk().directory, domain=DOMAIN)
    assert server.telephones.address_of("bob", "10.0.0.7") == f"sip:bob@{DOMAIN}:5060;maddr={HERE}"
    assert server.telephones.address_of("Anna's desk", "10.0.0.7") == f"sip:Anna's%20desk@{DOMAIN}:5060;maddr={HERE}"
    assert str(server._site.user("bob", Address("udp", "10.0.0.7", 5060))) == f"sip:bob@{DOMAIN}"


def test_a_domain_is_a_name_or_an_address() -> None:
    for text in ("pbx.example.org", "house", "192.0.2.1", "a-b.test."):
        assert domain(text) == text
    for text in ("", "a b", "sip:house.test", "house.test:5060", "a..b", "-a.test", "x" * 64, "ü.test"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no domain"):
            domain(text)
    assert directory_options(["--domain", "house.test"]).domain == "house.test"
    assert (directory_options([]).domain, directory_options([]).ask_callers) == ("", False)
