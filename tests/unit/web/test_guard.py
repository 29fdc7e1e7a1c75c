"""Who may use a page: tokens, foreign pages, rebinding, floods."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voip.web.guard import (
    MOST_ADDRESSES,
    REQUESTS_A_SECOND,
    REQUESTS_AT_ONCE,
    Guard,
    is_loopback,
    offered_token,
    split_authority,
)

HERE = {"Host": "127.0.0.1:8080"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "192.0.2.1", "localhost.example", "evil.example", "::"])
def test_no_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("Localhost", ("localhost", None)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]", ("::1", None)),
        ("host:99999", ("", None)),
        ("host:8x", ("", None)),
        ("", ("", None)),
    ],
)
def test_an_authority_has_a_host_and_perhaps_a_port(text: str, parts: tuple[str, int | None]) -> None:
    assert split_authority(text) == parts


@given(st.text())
def test_any_authority_is_split(text: str) -> None:
    split_authority(text)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "192.0.2.7:8080", "", "127.0.0.1.example"])
def test_a_name_that_was_led_to_this_machine_is_refused(host: str) -> None:
    """DNS rebinding: the browser believes that a foreign page has come from here."""
    assert Guard(None).refusal({"Host": host}, "127.0.0.1", 0.0) == 421


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:8081",
        "https://127.0.0.1:8080",
        "file://",
        "",
    ],
)
def test_what_a_foreign_page_starts_is_refused(origin: str) -> None:
    assert Guard(None).refusal({**HERE, "Origin": origin}, "127.0.0.1", 0.0) == 403


@pytest.mark.parametrize("token", [None, "secret"])
def test_our_own_page_is_let_in(token: str | None) -> None:
    guard = Guard(token)
    assert guard.refusal({**HERE, "Origin": "http://127.0.0.1:8080"}, "127.0.0.1", 0.0) is None
    assert guard.refusal(HERE, "127.0.0.1", 0.0) is None


def test_other_hosts_are_allowed_where_a_token_is_demanded() -> None:
    assert Guard("secret").refusal({"Host": "192.0.2.7:8080"}, "192.0.2.9", 0.0) is None


@pytest.mark.parametrize(
    ("headers", "known"),
    [
        ({"Authorization": "Bearer secret"}, True),
        ({"Authorization": "bearer secret"}, True),
        ({"Sec-WebSocket-Protocol": "chat, bearer.secret"}, True),
        ({"Authorization": "Bearer Secret"}, False),
        ({"Authorization": "Basic secret"}, False),
        ({"Sec-WebSocket-Protocol": "secret"}, False),
        ({"Authorization": "Bearer \u00e9"}, False),
        ({}, False),
    ],
)
def test_the_token_comes_by_header_or_as_a_subprotocol(headers: dict[str, str], known: bool) -> None:
    assert Guard("secret").knows(offered_token(headers)) is known
    assert Guard(None).knows(offered_token(headers))


def test_an_address_has_so_many_requests_and_no_other_pays_for_it() -> None:
    guard = Guard(None)
    refused = [guard.refusal(HERE, "127.0.0.1", 1.0) for _ in range(round(REQUESTS_AT_ONCE) + 5)]
    assert refused.count(429) == 5
    assert guard.refusal(HERE, "127.0.0.2", 1.0) is None
    later = [guard.refusal(HERE, "127.0.0.1", 2.0) for _ in range(round(REQUESTS_A_SECOND) + 5)]
    assert later.count(429) == 5


def test_not_more_addresses_than_some_are_remembered() -> None:
    guard = Guard("secret")
    for number in range(MOST_ADDRESSES + 50):
        guard.refusal(HERE, f"2001:db8::{number:x}", 0.0)
    assert len(guard._buckets) == MOST_ADDRESSES
