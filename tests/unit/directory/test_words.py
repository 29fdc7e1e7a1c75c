"""Calls in the words of a small signalling server: who gets which message, whatever comes in."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voip.directory.words import MOST_CLIENTS, MOST_OF_ADDRESS, MOST_REQUESTS, Words
from voip.web.guard import REQUESTS_AT_ONCE

ANNA, BOB = "192.0.2.1", "192.0.2.2"


class Server:
    """Clients that are called after the order in which they came: "1", "2"."""

    def __init__(self, *addresses: str) -> None:
        numbers = itertools.count(1)
        self.words = Words(lambda: str(next(numbers)))
        for address in addresses:
            assert self.words.join(address, 0.0) is not None

    def say(self, client: int | str, kind: str, **fields: object) -> dict[str, dict[str, Any]]:
        """What each is told when a client says this."""
        told = self.words.receive(str(client), json.dumps({"type": kind, **fields}), 0.0)
        assert len({each.to for each in told}) == len(told)
        return {each.to: dict(each.message) for each in told}

    def error(self, client: int | str, kind: str, **fields: object) -> str:
        """What a client is told that gets an error, alone."""
        ((to, message),) = self.say(client, kind, **fields).items()
        assert to == str(client)
        assert message["type"] == "error"
        return str(message["message"])


def told(kind: str, role: str, address: str, client_id: str, name: str = "") -> dict[str, str]:
    return {"type": kind, f"{role}_ip": address, f"{role}_id": client_id, f"{role}_name": name}


def test_who_is_here_is_told_by_address_and_by_id() -> None:
    server = Server(ANNA, BOB, BOB)
    server.say(2, "register", username="Bob")
    assert server.words.client_list == {
        "type": "client_list",
        "clients": [ANNA, BOB, BOB],
        "users": [
            {"id": "1", "ip": ANNA, "username": ""},
            {"id": "2", "ip": BOB, "username": "Bob"},
            {"id": "3", "ip": BOB, "username": ""},
        ],
    }
    server.words.leave("2")
    assert server.words.client_list["clients"] == [ANNA, BOB]


def test_a_call_is_requested_and_accepted_in_the_old_words() -> None:
    server = Server(ANNA, BOB)
    assert server.say(1, "request_call", target_ip=BOB) == {
        "2": told("incoming_call", "from", ANNA, "1"),
        "1": told("call_request_sent", "to", BOB, "2"),
    }
    assert server.say(2, "accept_call", caller_ip=ANNA) == {
        "2": told("call_accepted", "peer", ANNA, "1"),
        "1": told("call_accepted", "peer", BOB, "2"),
    }


def test_two_at_one_address_are_told_apart() -> None:
    """The old server took the first of an address, which could be the caller itself."""
    server = Server(ANNA, ANNA, ANNA)
    assert set(server.say(1, "request_call", target_id="3")) == {"1", "3"}
    assert set(server.say(1, "request_call", target_ip=ANNA)) == {"1", "2"}
    assert set(server.say(3, "accept_call", caller_ip=ANNA)) == {"1", "3"}  # of both others only one has called
    assert set(server.say(2, "accept_call", caller_id="1")) == {"1", "2"}


def test_who_is_not_here_cannot_be_called_nor_have_called() -> None:
    server = Server(ANNA, BOB)
    assert server.error(1, "request_call", target_ip="192.0.2.9") == "Client 192.0.2.9 not found"
    assert server.error(1, "request_call", target_ip=ANNA) == f"Client {ANNA} not found"  # itself
    assert server.error(1, "request_call") == "Client None not found"
    assert server.error(1, "request_call", target_id=["2"], target_ip=BOB) == "Client ['2'] not found"
    assert server.error(2, "accept_call", caller_ip="192.0.2.9") == "Caller 192.0.2.9 not found"
    assert server.error(2, "accept_call", caller_ip=ANNA) == f"Caller {ANNA} has not called"


def test_a_request_is_accepted_once() -> None:
    server = Server(ANNA, BOB)
    server.say(1, "request_call", target_ip=BOB)
    server.say(2, "accept_call", caller_ip=ANNA)
    assert "has not called" in server.error(2, "accept_call", caller_ip=ANNA)
    assert "has not called" in server.error(2, "reject_call", caller_ip=ANNA)


def test_a_call_is_rejected_and_a_call_is_ended() -> None:
    server = Server(ANNA, BOB)
    server.say(1, "request_call", target_ip=BOB)
    assert server.say(2, "reject_call", caller_ip=ANNA) == {
        "2": told("call_rejected", "peer", ANNA, "1"),
        "1": told("call_rejected", "peer", BOB, "2"),
    }
    assert "no call" in server.error(1, "end_call", peer_ip=BOB)
    server.say(1, "request_call", target_ip=BOB)
    server.say(2, "accept_call", caller_ip=ANNA)
    assert server.say(1, "end_call", peer_ip=BOB) == {
        "1": told("call_ended", "peer", BOB, "2"),
        "2": told("call_ended", "peer", ANNA, "1"),
    }
    assert "no call" in server.error(2, "end_call", peer_ip=ANNA)


def test_a_request_is_taken_back() -> None:
    server = Server(ANNA, BOB)
    server.say(1, "request_call", target_ip=BOB)
    assert set(server.say(1, "end_call", peer_ip=BOB)) == {"1", "2"}
    assert "has not called" in server.error(2, "accept_call", caller_ip=ANNA)


def test_whoever_leaves_ends_its_calls_and_its_requests() -> None:
    server = Server(ANNA, BOB, "192.0.2.3", "192.0.2.4")
    server.say(1, "request_call", target_ip=BOB)
    server.say(2, "accept_call", caller_ip=ANNA)
    server.say(1, "request_call", target_id="3")
    server.say(4, "request_call", target_id="1")
    left = {each.to: dict(each.message) for each in server.words.leave("1")}
    assert left == {other: told("call_ended", "peer", ANNA, "1") for other in "234"}
    assert "not found" in server.error(3, "accept_call", caller_ip=ANNA)
    assert server.words.leave("1") == []
    assert server.words.receive("1", "{}", 0.0) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Not JSON"),
        ("{", "Not JSON"),
        ("[" * 100_000, "Not JSON"),
        ("[]", "A message is an object"),
        ('{"type": "dance"}', "Unknown type dance"),
        ("{}", "Unknown type None"),
        ('{"type": "\\u001b[2J"}', r"Unknown type \x1b[2J"),
        ('{"type": "register"}', "username is missing"),
        ('{"type": "register", "username": " "}', "a name has 1 to 64 characters"),
        ('{"type": "register", "username": "a\\u202eb"}', "a name is made of printable characters"),
    ],
)
def test_what_makes_no_sense_is_responded_to_and_ends_nothing(text: str, message: str) -> None:
    server = Server(ANNA, BOB)
    ((to, response),) = server.words.receive("1", text, 0.0)
    assert (to, response) == ("1", {"type": "error", "message": message})
    assert server.say(1, "request_call", target_ip=BOB)


@given(st.lists(st.tuples(st.sampled_from("123"), st.text()), max_size=20))
def test_any_text_is_responded_to(said: list[tuple[str, str]]) -> None:
    server = Server(ANNA, ANNA, BOB)
    for client, text in said:
        assert server.words.receive(client, text, 0.0)


VERBS = ["register", "request_call", "accept_call", "reject_call", "end_call"]
NAMED = st.sampled_from(["1", "2", "3", ANNA, BOB, "9"])


@given(
    st.lists(
        st.tuples(st.sampled_from("123"), st.sampled_from(VERBS), NAMED, NAMED),
        max_size=30,
    )
)
def test_whatever_is_said_both_sides_agree_on_their_calls(said: list[tuple[str, str, str, str]]) -> None:
    server = Server(ANNA, ANNA, BOB)
    for client, verb, one, other in said:
        names = {f"{role}_{part}": value for role in ("target", "caller", "peer") for part, value in [("ip", one)]}
        if other in "123":
            names |= {"target_id": other, "caller_id": other, "peer_id": other}
        told = server.say(client, verb, username=one, **names)
        assert client in told
        for each in server.words._clients.values():
            assert each.client_id not in each.talks | each.called
            assert all(each.client_id in server.words._clients[peer].talks for peer in each.talks)


def test_one_that_says_too_much_is_told_so_and_others_do_not_pay_for_it() -> None:
    server = Server(ANNA, ANNA)
    for _ in range(round(REQUESTS_AT_ONCE)):
        server.words.receive("1", "{}", 0.0)
    assert server.error(1, "request_call", target_id="2") == "Too many messages"
    assert set(server.say(2, "request_call", target_id="1")) == {"1", "2"}


def test_requests_have_a_bound() -> None:
    server = Server(*(f"192.0.2.{number}" for number in range(1, MOST_REQUESTS + 3)))
    for number in range(2, MOST_REQUESTS + 2):
        assert len(server.say(1, "request_call", target_id=str(number))) == 2
    assert server.error(1, "request_call", target_id=str(MOST_REQUESTS + 2)) == "Too many calls are requested"
    assert len(server.say(1, "request_call", target_id="2")) == 2  # again


def test_clients_have_a_bound_in_all_and_of_one_address() -> None:
    words = Words(map(str, itertools.count()).__next__)
    joined = [words.join(ANNA, 0.0) for _ in range(MOST_OF_ADDRESS + 1)]
    assert joined.count(None) == 1
    for number in range(MOST_CLIENTS - MOST_OF_ADDRESS):
        assert words.join(f"2001:db8::{number:x}", 0.0) is not None
    assert words.join(BOB, 0.0) is None
    words.leave("0")
    assert words.join(BOB, 0.0) is not None
