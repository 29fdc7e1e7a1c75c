"""REGISTER by RFC 3261 section 10.3, step by step."""

from __future__ import annotations

import pytest

from tests.support.directory_lab import DATE, DOMAIN, Scene, Telephone, credentials, register, status_of
from voip.directory.location import MAX_CONTACTS
from voip.directory.registrar import DEFAULT_EXPIRES, MAX_EXPIRES, MAX_WAITING, MIN_EXPIRES
from voip.sip import Address, Response


def contacts(response: Response) -> dict[str, int]:
    """Seconds left by contact."""
    return {str(each.uri): int(each.params.get("expires") or "-1") for each in response.contacts}


def bob_of(scene: Scene, port: int = 5070, protocol: str = "udp") -> Telephone:
    return scene.phone("bob", "127.0.0.9", port, protocol)


def ask(
    scene: Scene, *lines: str, number: int = 1, call_id: str = "a", contact: bool = True, port: int = 5070
) -> Response:
    phone = bob_of(scene, port)
    return scene.ask(phone, register(phone, *lines, number=number, call_id=call_id, contact=contact))


def test_a_binding_is_made_and_all_are_told_with_their_time_and_the_date() -> None:
    scene = Scene("bob")
    response = ask(scene, "Expires: 600")
    assert contacts(response) == {"sip:bob@127.0.0.9:5070": 600}
    assert response.headers.get("Date") == DATE
    scene.wait(100.0)
    assert contacts(ask(scene, "Expires: 600", port=5071, call_id="b")) == {
        "sip:bob@127.0.0.9:5070": 500,
        "sip:bob@127.0.0.9:5071": 600,
    }


def test_a_request_without_contact_asks_what_is_there_and_changes_nothing() -> None:
    scene = Scene("bob")
    ask(scene, "Expires: 600")
    before = len(scene.store.changes)
    assert contacts(ask(scene, contact=False, number=2)) == {"sip:bob@127.0.0.9:5070": 600}
    assert len(scene.store.changes) == before


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ([], DEFAULT_EXPIRES),
        (["Expires: 300"], 300),
        (["Expires: none"], DEFAULT_EXPIRES),
        (["Expires: 99999999999999999999"], DEFAULT_EXPIRES),
        (["Expires: 4294967295"], MAX_EXPIRES),
        (["Contact: <sip:bob@127.0.0.9:5070>;expires=120", "Expires: 300"], 120),
        (["Contact: <sip:bob@127.0.0.9:5070>;expires=never", "Expires: 300"], DEFAULT_EXPIRES),
    ],
)
def test_how_long_a_binding_lasts(lines: list[str], seconds: int) -> None:
    scene = Scene("bob")
    own = not any(line.startswith("Contact") for line in lines)
    assert contacts(ask(scene, *lines, contact=own)) == {"sip:bob@127.0.0.9:5070": seconds}
    scene.wait(seconds - 1)
    assert scene.server.location.bindings("bob", scene.now)
    scene.wait(2)
    assert not scene.server.location.bindings("bob", scene.now)


def test_too_brief_an_interval_is_423_with_the_least_that_will_do_and_nothing_changes() -> None:
    scene = Scene("bob")
    response = ask(scene, f"Expires: {MIN_EXPIRES - 1}")
    assert (response.status, response.headers.get("Min-Expires")) == (423, str(MIN_EXPIRES))
    two = ["Contact: <sip:a@127.0.0.9>;expires=600", "Contact: <sip:b@127.0.0.9>;expires=1"]
    assert ask(scene, *two, contact=False, number=2).status == 423
    assert not scene.server.location.bindings("bob", scene.now)
    assert ask(scene, f"Expires: {MIN_EXPIRES}", number=3).status == 200


def test_several_contacts_in_one_request_with_their_preference() -> None:
    scene = Scene("bob")
    two = ["Contact: <sip:desk@127.0.0.9>;q=0.3", "Contact: <sip:mobile@127.0.0.8>;q=0.9", "Expires: 600"]
    response = ask(scene, *two, contact=False)
    assert {str(each.uri): each.params.get("q") for each in response.contacts} == {
        "sip:desk@127.0.0.9": "0.3",
        "sip:mobile@127.0.0.8": "0.9",
    }
    assert [each.uri.user for each in scene.server.location.bindings("bob", scene.now)] == ["mobile", "desk"]


def test_an_expiry_of_0_takes_one_contact_back_and_a_star_all() -> None:
    scene = Scene("bob")
    ask(scene, "Expires: 600")
    ask(scene, "Expires: 600", port=5071, call_id="b")
    assert contacts(ask(scene, "Expires: 0", number=2)) == {"sip:bob@127.0.0.9:5071": 600}
    ask(scene, "Expires: 600", number=3)
    assert contacts(ask(scene, "Contact: *", "Expires: 0", contact=False, call_id="c")) == {}


@pytest.mark.parametrize("lines", [["Contact: *"], ["Contact: *", "Expires: 60"]])
def test_a_star_without_an_expiry_of_0_is_400(lines: list[str]) -> None:
    scene = Scene("bob")
    ask(scene, "Expires: 600")
    assert ask(scene, *lines, contact=False, number=2).status == 400
    assert scene.server.location.bindings("bob", scene.now)


def test_a_star_beside_other_contacts_is_400() -> None:
    scene = Scene("bob")
    assert ask(scene, "Contact: *", "Expires: 0").status == 400


def test_what_comes_out_of_order_is_refused_and_changes_nothing() -> None:
    scene = Scene("bob")
    ask(scene, "Expires: 600", number=5)
    for number in (4, 5):
        assert ask(scene, "Expires: 0", number=number).status == 500
        assert ask(scene, "Contact: *", "Expires: 0", contact=False, number=number).status == 500
    assert scene.server.location.bindings("bob", scene.now)
    assert ask(scene, "Expires: 0", number=1, call_id="another").status == 200


def test_one_outdated_contact_of_several_leaves_all_as_they_were() -> None:
    scene = Scene("bob")
    ask(scene, "Expires: 600", number=5)
    two = ["Contact: <sip:new@127.0.0.9>", "Contact: <sip:bob@127.0.0.9:5070>", "Expires: 600"]
    assert ask(scene, *two, contact=False, number=4).status == 500
    assert [str(each.uri) for each in scene.server.location.bindings("bob", scene.now)] == ["sip:bob@127.0.0.9:5070"]


def test_contacts_are_compared_as_uris() -> None:
    scene = Scene("bob")
    ask(scene, "Contact: <sip:%62ob@EXAMPLE.test:5070>", "Expires: 600", contact=False)
    ask(scene, "Contact: <sip:bob@example.test:5070;x=y>", "Expires: 600", contact=False, number=2)
    assert len(scene.server.location.bindings("bob", scene.now)) == 1


def test_a_telephone_that_names_itself_moves_from_one_contact_to_the_next() -> None:
    scene = Scene("bob")
    for number, port in enumerate((40001, 40002), 1):
        line = f'Contact: <sip:bob@127.0.0.9:{port};transport=tcp>;+sip.instance="<urn:uuid:0>";expires=600'
        ask(scene, line, contact=False, number=number)
    assert [each.uri.port for each in scene.server.location.bindings("bob", scene.now)] == [40002]


@pytest.mark.parametrize("name", ["bob", "BOB", "%62ob", "bob;user=phone"])
def test_a_name_is_the_same_in_capitals_with_escapes_and_with_parameters(name: str) -> None:
    scene = Scene("bob")
    phone = bob_of(scene)
    user, _, params = name.partition(";")
    to = f"<sip:{user}@{DOMAIN}{';' * bool(params)}{params}>"
    assert scene.ask(phone, phone.request("REGISTER", f"sip:{DOMAIN}", to=to)).status == 200
    assert scene.server.location.bindings("bob", scene.now)


@pytest.mark.parametrize(
    ("to", "uri", "status"),
    [
        ("<sip:carol@directory.test>", f"sip:{DOMAIN}", 404),
        ("<sip:directory.test>", f"sip:{DOMAIN}", 404),
        ("<sip:bob@elsewhere.test>", f"sip:{DOMAIN}", 404),
        ("<tel:+123>", f"sip:{DOMAIN}", 404),
        ("<sip:bob@directory.test>", "sip:elsewhere.test", 403),
        ("<sip:bob@directory.test>", "sip:127.0.0.1:9999", 403),
        ("<sip:bob@directory.test>", "tel:+123", 403),
    ],
)
def test_another_domain_and_unknown_names_are_refused(to: str, uri: str, status: int) -> None:
    scene = Scene("bob")
    phone = bob_of(scene)
    assert scene.ask(phone, phone.request("REGISTER", uri, to=to)).status == status


def test_an_extension_that_is_required_is_420_and_named() -> None:
    scene = Scene("bob")
    response = ask(scene, "Require: path, gruu")
    assert (response.status, response.headers.get_all("Unsupported")) == (420, ["path", "gruu"])


@pytest.mark.parametrize(
    "uri", ["sip:alice@directory.test", "sip:bob@127.0.0.1", "sip:bob@127.0.0.1:5061;transport=tls"]
)
def test_a_contact_that_leads_back_here_is_refused(uri: str) -> None:
    scene = Scene("bob", "alice")
    assert ask(scene, f"Contact: <{uri}>", contact=False).status == 403


def test_a_contact_that_is_no_sip_uri_is_refused() -> None:
    assert ask(Scene("bob"), "Contact: <mailto:bob@example.test>", contact=False).status == 400


def test_a_name_has_so_many_contacts_and_no_more() -> None:
    scene = Scene("bob")
    for number in range(MAX_CONTACTS):
        assert ask(scene, f"Contact: <sip:c{number}@127.0.0.9>", contact=False, call_id=str(number)).status == 200
    assert ask(scene, "Contact: <sip:more@127.0.0.9>", contact=False, call_id="more").status == 403
    assert ask(scene, "Contact: <sip:c3@127.0.0.9>;expires=0", contact=False, call_id="less").status == 200
    assert ask(scene, "Contact: <sip:more@127.0.0.9>", contact=False, call_id="more", number=2).status == 200


def test_record_route_has_no_part_in_it() -> None:
    assert "Record-Route" not in ask(Scene("bob"), "Record-Route: <sip:proxy.test;lr>").headers


# --- durable before acknowledged ------------------------------------------------------------------------------------


def test_there_is_no_response_before_the_change_is_durable_however_often_it_is_asked_for() -> None:
    scene = Scene("bob")
    scene.store.held = True
    phone = bob_of(scene)
    request = register(phone)
    scene.say(phone, request)
    scene.say(phone, request)
    assert scene.silence()
    assert not scene.server.location.bindings("bob", scene.now)
    assert scene.store.waiting == 1
    scene.store.finish(scene.now)
    scene.wait(0.0)
    scene.say(phone, request)
    assert scene.statuses(phone) == [200, 200]


def test_a_change_that_cannot_be_stored_is_500_and_did_not_happen() -> None:
    scene = Scene("bob")
    scene.store.held = True
    phone = bob_of(scene)
    scene.say(phone, register(phone))
    scene.store.finish(scene.now, good=False)
    scene.say(phone, b"\r\n\r\n")
    assert not scene.server.location.bindings("bob", scene.now)
    assert scene.statuses(phone) == [500]


def test_requests_of_one_name_wait_for_one_another_and_others_do_not() -> None:
    scene = Scene("bob", "alice")
    scene.store.held = True
    first, second, other = bob_of(scene), bob_of(scene, 5071), scene.phone("alice", "127.0.0.8", 5080)
    for phone in (first, second, other):
        scene.say(phone, register(phone))
    assert scene.store.waiting == 2
    scene.store.finish(scene.now)
    scene.say(first, b"\r\n")
    assert scene.statuses(first) == [200]
    assert scene.statuses(second) == []
    scene.store.finish(scene.now)
    scene.store.finish(scene.now)
    scene.say(first, b"\r\n")
    (response,) = scene.heard(second)
    assert isinstance(response, Response)
    assert len(contacts(response)) == 2
    assert scene.statuses(other) == [200]


def test_not_more_than_so_many_wait() -> None:
    scene = Scene("bob")
    scene.store.held = True
    phones = [bob_of(scene, 5070 + number) for number in range(MAX_WAITING + 2)]
    for phone in phones:
        scene.say(phone, register(phone))
    assert scene.statuses(phones[-1]) == [503]
    for _ in phones[:-1]:
        scene.store.finish(scene.now)
    scene.say(phones[0], b"\r\n")
    assert all(scene.statuses(phone) == [200] for phone in phones[:-1])


# --- passwords ------------------------------------------------------------------------------------------------------


def test_a_user_with_a_password_has_to_know_it() -> None:
    scene = Scene(passwords={"bob": "secret"})
    phone = bob_of(scene)
    challenge = scene.ask(phone, register(phone))
    assert challenge.status == 401
    wrong = scene.ask(phone, register(phone, credentials(challenge, "bob", "guess", "REGISTER"), number=2))
    assert wrong.status == 401
    good = scene.ask(phone, register(phone, credentials(wrong, "bob", "secret", "REGISTER"), number=3))
    assert good.status == 200


def test_one_user_does_not_register_another() -> None:
    scene = Scene(passwords={"bob": "secret", "alice": "hers"})
    phone = bob_of(scene)
    challenge = scene.ask(phone, register(phone, name="alice"))
    line = credentials(challenge, "bob", "secret", "REGISTER")
    assert scene.ask(phone, register(phone, line, name="alice", number=2)).status == 403
    assert not scene.server.location.bindings("alice", scene.now)


def test_a_user_without_a_password_registers_from_this_machine_alone() -> None:
    scene = Scene("bob")
    far = scene.phone("bob", "10.0.0.9", 5070)
    assert scene.ask(far, register(far)).status == 401
    near = scene.phone("bob", "127.0.0.9", 5070)
    assert scene.ask(near, register(near)).status == 200


def test_an_unknown_name_looks_from_outside_as_a_known_one() -> None:
    scene = Scene(passwords={"bob": "secret"})
    phone = scene.phone("bob", "10.0.0.9", 5070)
    known, unknown = scene.ask(phone, register(phone)), scene.ask(phone, register(phone, name="carol", number=2))
    assert known.status == unknown.status == 401
    assert [name for name, _ in known.headers] == [name for name, _ in unknown.headers]


# --- telephones behind a NAT ----------------------------------------------------------------------------------------


def flow_of(scene: Scene, phone: Telephone, *lines: str) -> Address | None:
    assert status_of(scene.ask(phone, register(phone, *lines, contact=not lines))) == 200
    (binding,) = scene.server.location.bindings("bob", scene.now)
    return binding.flow


def test_a_telephone_behind_a_nat_is_reached_where_it_came_from() -> None:
    scene = Scene("bob")
    source = Address("udp", "127.0.0.7", 40_000)
    assert flow_of(scene, scene.phone("bob", "192.168.1.5", 5070, source=source)) == source


def test_a_contact_at_another_host_is_reached_there() -> None:
    scene = Scene("bob")
    assert flow_of(scene, scene.phone("bob", "127.0.0.9", 5070), "Contact: <sip:bob@127.0.0.77>") is None


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_one_that_has_opened_a_connection_is_reached_over_it(protocol: str) -> None:
    scene = Scene("bob")
    source = Address(protocol, "127.0.0.9", 40_000)
    assert flow_of(scene, scene.phone("bob", "127.0.0.9", 5070, protocol, source=source)) == source
    assert scene.server.needs(source)
    assert not scene.server.needs(source._replace(port=40_001))


def test_a_browser_that_has_no_address_is_reached_over_its_connection() -> None:
    scene = Scene("bob")
    source = Address("tls", "127.0.0.9", 40_000)
    phone = scene.phone("bob", "127.0.0.9", 5070, "tls", source=source)
    assert flow_of(scene, phone, "Contact: <sip:bob@x7k2.invalid;transport=ws>") == source
