"""Which way requests of a dialog take through the proxy, and that there is no other (RFC 3261 section 16.4)."""

from __future__ import annotations

import pytest

from tests.support.directory_lab import (
    ALICE,
    BOB,
    DOMAIN,
    HERE,
    Called,
)

# --- Route (16.4) ---------------------------------------------------------------------------------------------------


def test_a_route_to_us_is_taken_out_and_the_name_decides() -> None:
    scene = Called()
    assert scene.call(f"Route: <sip:{HERE};lr>").routes == []


@pytest.mark.parametrize(
    "route",
    [
        "<sip:elsewhere.test;lr>",
        f"<sip:{HERE};lr>, <sip:elsewhere.test;lr>",
        f"<sip:forged@{HERE};lr>, <sip:elsewhere.test;lr>",
    ],
)
def test_a_route_to_others_is_no_way_through_here(route: str) -> None:
    scene = Called()
    assert scene.ask(scene.alice, scene.alice.invite("bob", f"Route: {route}")).status == 403


@pytest.mark.parametrize("token", ["", "forged@", "dWRwIDUwODAgMTI3LjAuMC44@", "%00@", "é@"])
def test_a_route_that_was_not_made_here_leads_nowhere(token: str) -> None:
    scene = Called()
    uri = "sip:victim@127.0.0.77:5060"
    request = scene.alice.request("OPTIONS", uri, f"Route: <sip:{token}{HERE};lr>", to=f"<{uri}>;tag=x")
    assert scene.ask(scene.alice, request).status == 403


def test_what_comes_through_a_strict_router_finds_its_way() -> None:
    scene = Called()
    answer = scene.answered(scene.call())
    first, second = [str(each.uri) for each in reversed(answer.record_routes)]
    contact = str(answer.contacts[0].uri)
    to = answer.headers.lines("To")[0]
    ack = scene.alice.request("ACK", first, f"Route: <{second}>, <{contact}>", call_id="call", to=to)
    scene.say(scene.alice, ack)
    request = scene.request_to(scene.bob)
    assert (str(request.uri), request.routes) == (contact, [])


def test_a_strict_router_behind_us_gets_its_own_uri() -> None:
    scene = Called()
    invite = scene.call()
    scene.say(scene.bob, scene.bob.respond(invite, 200, "Record-Route: <sip:127.0.0.9:5070>"))
    (answer,) = scene.heard(scene.alice)
    route = ", ".join(str(each) for each in [*reversed(answer.record_routes[:2])])
    to = answer.headers.lines("To")[0]
    lines = f"Route: {route}, <sip:127.0.0.9:5070>"
    scene.say(scene.alice, scene.alice.request("BYE", "sip:bob@10.9.9.9", lines, call_id="call", to=to, number=2))
    request = scene.request_to(scene.bob)
    assert (str(request.uri), [str(each.uri) for each in request.routes]) == (
        "sip:127.0.0.9:5070",
        ["sip:bob@10.9.9.9"],
    )


def test_an_ack_that_belongs_to_nothing_goes_nowhere() -> None:
    scene = Called()
    scene.say(scene.alice, scene.alice.request("ACK", f"sip:bob@{DOMAIN}", to=f"<sip:bob@{DOMAIN}>;tag=x"))
    assert scene.silence()
    assert scene.server.stats.ignored == 1


def test_a_response_that_belongs_to_nothing_goes_nowhere() -> None:
    scene = Called()
    invite = scene.call()
    invite.headers.set("Via", f"SIP/2.0/UDP {HERE};branch=z9hG4bKnothing, SIP/2.0/UDP {ALICE};branch=z9hG4bKcall")
    scene.say(scene.bob, scene.bob.respond(invite, 200))
    assert scene.silence()
    assert scene.server.stats.ignored == 1


def test_over_tls_a_name_is_told_where_the_certificate_has_one() -> None:
    scene = Called("tls", "tls", tls_name="sip.directory.test")
    invite = scene.call()
    assert {each.uri.host for each in invite.record_routes if not isinstance(each.uri, str)} == {"sip.directory.test"}


def test_a_secure_name_is_called_over_tls_alone() -> None:
    scene = Called("udp", "tls")
    request = scene.alice.request("INVITE", f"sips:bob@{DOMAIN}")
    assert scene.ask(scene.alice, request).status == 480
    secure = scene.register("bob", BOB, 5075, "tls")
    scene.say(scene.alice, scene.alice.request("INVITE", f"sips:bob@{DOMAIN}"))
    invite = scene.request_to(secure)
    assert {each.uri.scheme for each in invite.record_routes if not isinstance(each.uri, str)} == {"sips"}
