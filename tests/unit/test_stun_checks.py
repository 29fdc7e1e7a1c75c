"""Checks of an ICE peer as STUN messages (RFC 8489 section 9.1), with the vectors of RFC 5769."""

from __future__ import annotations

import contextlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voip.errors import ProtocolError
from voip.stun import (
    StunRequest,
    check_request,
    error_response,
    is_request,
    parse_request,
    parse_response,
    success_response,
)

PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae80220010"
    "5354554e207465737420636c69656e74002400046e0001ff"
    "80290008932ff9b151263b36000600096576746a3a683676"
    "59202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
"""RFC 5769 section 2.1."""
RESPONSES = {
    ("192.0.2.1", 32853): "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96",
    ("2001:db8:1234:5678:11:2233:4455:6677", 32853): "010100482112a442b7e7a701bc34d686fa87dfae8022000b"
    "7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c",
}
"""RFC 5769 sections 2.2 and 2.3, by the address that they tell."""


def test_the_request_of_the_vectors_is_authentic_by_its_password_alone() -> None:
    request = parse_request(REQUEST)
    assert (request.transaction_id, request.username, request.priority) == (TRANSACTION, "evtj:h6vY", 0x6E0001FF)
    assert request.controlled
    assert not request.nominates
    assert request.unknown == ()
    assert request.is_authentic(PASSWORD)
    assert not request.is_authentic(PASSWORD + "x")


@pytest.mark.parametrize("at", range(20, len(REQUEST) - 8))
def test_a_changed_bit_is_noticed(at: int) -> None:
    """By the fingerprint; and where whoever changed it has made that anew, by the integrity."""
    changed = bytearray(REQUEST)
    changed[at] ^= 1
    with pytest.raises(ProtocolError):
        parse_request(bytes(changed))
    changed[-4:] = (zlib.crc32(changed[:-8]) ^ 0x5354554E).to_bytes(4, "big")
    authentic = False
    with contextlib.suppress(ProtocolError):  # its attributes can no longer be read
        authentic = parse_request(bytes(changed)).is_authentic(PASSWORD)
    assert not authentic


@pytest.mark.parametrize("place", RESPONSES)
def test_responses_of_the_vectors_are_read(place: tuple[str, int]) -> None:
    found = parse_response(bytes.fromhex(RESPONSES[place]))
    assert (found.transaction_id, found.mapped) == (TRANSACTION, place)


@pytest.mark.parametrize("place", RESPONSES)
def test_our_responses_tell_the_address_and_have_the_integrity_of_the_password(place: tuple[str, int]) -> None:
    ours = success_response(TRANSACTION, place, PASSWORD)
    assert parse_response(ours).mapped == place
    assert ours != success_response(TRANSACTION, place, "another password, as long")
    theirs = bytes.fromhex(RESPONSES[place])
    software = 20 + 4 + 12
    assert ours[20 : len(ours) - 32] == theirs[software : len(theirs) - 32]  # all but SOFTWARE


def test_an_error_names_what_is_unknown() -> None:
    response = parse_response(error_response(TRANSACTION, 420, "Unknown Attribute", PASSWORD, unknown=(0x7777,)))
    assert response.error == "420 Unknown Attribute"
    assert bytes.fromhex("000a000277770000") in error_response(TRANSACTION, 420, "x", PASSWORD, unknown=(0x7777,))


def test_what_follows_the_integrity_does_not_count() -> None:
    """Anybody could have added it: here USE-CANDIDATE, with the fingerprint made anew."""
    honest = check_request(TRANSACTION, "a:b", PASSWORD)
    inserted = honest[:-8] + bytes.fromhex("00250000")
    inserted = inserted[:2] + (len(inserted) + 8 - 20).to_bytes(2, "big") + inserted[4:]
    fingerprint = (zlib.crc32(inserted) ^ 0x5354554E).to_bytes(4, "big")
    request = parse_request(inserted + bytes.fromhex("80280004") + fingerprint)
    assert request.is_authentic(PASSWORD)
    assert not request.nominates


@pytest.mark.parametrize("attributes", ["00250000", "7777000400000000", "c057000400000001"])
def test_attributes_before_the_integrity_count(attributes: str) -> None:
    request = parse_request(check_request(TRANSACTION, "a:b", PASSWORD, bytes.fromhex(attributes)))
    assert request.is_authentic(PASSWORD)
    assert request.nominates == attributes.startswith("0025")
    assert request.unknown == ((0x7777,) if attributes.startswith("7777") else ())


@given(st.binary(max_size=200), st.integers(0, 120), st.integers(0, 255))
def test_anything_is_read_or_refused(noise: bytes, at: int, byte: int) -> None:
    changed = bytearray(REQUEST)
    changed[at % len(REQUEST)] = byte
    for data in (noise, REQUEST[:8] + noise, bytes(changed), REQUEST[:20] + noise, REQUEST[: at % len(REQUEST)]):
        try:
            found = parse_request(data)
        except ProtocolError:
            continue
        assert isinstance(found, StunRequest)
        assert is_request(data)


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=40))
def test_any_attributes_with_a_right_fingerprint_are_read_or_refused(attributes: list[tuple[int, bytes]]) -> None:
    """Deeper than the fingerprint lets noise come."""
    made = b"".join(
        kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)
        for kind, value in attributes
    )
    try:
        found = parse_request(check_request(TRANSACTION, "a:b", PASSWORD, made))
    except ProtocolError:
        return
    assert len(attributes) <= 32
    kinds = {kind for kind, _ in attributes}
    assert found.is_authentic(PASSWORD) or 0x0008 in kinds
