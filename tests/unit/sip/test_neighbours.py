"""Names of neighbours: how they are told from addresses, and what is made of what they say."""

from __future__ import annotations

import pytest

from voip.sip.neighbours import (
    LONGEST_FACT,
    MOST_FACTS,
    encode_facts,
    instance_of,
    is_name,
    may_be_host,
    objection_to_name,
    read_facts,
    usable,
)


@pytest.mark.parametrize("text", ["kitchen", "Anna's kitchen", "Küche", "kitchen-2", "a_b", "Receiver (2)", "x" * 63])
def test_what_has_no_mark_of_an_address_is_a_name(text: str) -> None:
    assert is_name(text)
    assert objection_to_name(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "192.168.1.20",
        "kitchen.local",
        "kitchen.example:5060",
        "kitchen:5060",
        "::1",
        "[::1]:5060",
        "fe80::1%eth0",
        "anna@kitchen",
        "sip:kitchen",
        "rtp://kitchen:5004",
        "localhost",
        "LOCALHOST",
        "600",
        "",
    ],
)
def test_addresses_hosts_with_a_domain_and_numbers_are_no_names(text: str) -> None:
    assert not is_name(text)
    assert objection_to_name(text) is not None


@pytest.mark.parametrize("text", ["x" * 64, "ü" * 32, "two\nlines", "a\x1b[2J", "a\u202eb", "  "])
def test_what_is_no_label_cannot_be_announced(text: str) -> None:
    assert objection_to_name(text) is not None


def test_a_name_that_no_host_can_have_is_never_looked_for_in_the_dns() -> None:
    assert may_be_host("kitchen-2")
    assert not any(map(may_be_host, ("Anna's kitchen", "Küche", "a b", "")))


def test_the_instance_is_what_stands_before_the_service() -> None:
    assert instance_of("kitchen._sip._udp.local.", "_sip._udp") == "kitchen"
    assert instance_of("a b._sips._tcp.local", "_sips._tcp") == "a b"


def test_facts_survive_the_txt_record_but_for_what_is_too_long() -> None:
    written = encode_facts({"codecs": "opus", "long": "x" * LONGEST_FACT})
    assert list(written) == ["txtvers", "codecs"]
    assert read_facts({name.encode(): value.encode() for name, value in written.items()}) == {"codecs": "opus"}


def test_facts_of_others_are_read_whatever_they_are() -> None:
    assert read_facts({b"TwoWay": None, b"\xff": b"\xfe", b"twoway": b"no"}) == {"twoway": "yes", "\\xff": "\\xfe"}
    assert len(read_facts({str(number).encode(): b"x" for number in range(100)})) == MOST_FACTS


def test_addresses_in_our_own_networks_come_first_and_our_own_addresses_late() -> None:
    hosts = ["127.0.0.1", "172.17.0.1", "10.9.9.9", "192.168.1.20", "fd00::20", "192.168.1.20", "not one", "0.0.0.0"]
    networks = ["192.168.1.7/255.255.255.0", "172.17.0.1/16", "fd00::7/64"]
    assert usable(hosts, ["172.17.0.1", "192.168.1.7"], networks) == [
        "192.168.1.20",
        "fd00::20",
        "10.9.9.9",
        "172.17.0.1",
        "127.0.0.1",
    ]
