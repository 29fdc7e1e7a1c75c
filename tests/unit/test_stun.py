"""STUN messages: the test vectors of RFC 5769, what is not believed, and anything at all."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voip.errors import ProtocolError
from voip.rtp import is_rtcp
from voip.stun import BINDING_REQUEST, MAGIC_COOKIE, StunResponse, binding_request, is_stun, parse_response

TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
# RFC 5769 sections 2.1 to 2.3.
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
OVER_IPV4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
OVER_IPV6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)


def message(kind: int, attributes: bytes, transaction_id: bytes = TRANSACTION) -> bytes:
    return struct.pack("!HHI", kind, len(attributes), MAGIC_COOKIE) + transaction_id + attributes


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def test_the_vectors_of_the_standard_are_read() -> None:
    assert parse_response(OVER_IPV4) == StunResponse(TRANSACTION, ("192.0.2.1", 32853))
    assert parse_response(OVER_IPV6) == StunResponse(TRANSACTION, ("2001:db8:1234:5678:11:2233:4455:6677", 32853))


def test_a_changed_bit_is_found_out() -> None:
    for at in range(20, (len(OVER_IPV4) - 8) * 8, 7):
        changed = bytearray(OVER_IPV4)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(ProtocolError):
            parse_response(bytes(changed))


def test_requests_are_told_from_all_else_on_the_port() -> None:
    ours = binding_request(TRANSACTION)
    assert is_stun(ours)
    assert is_stun(REQUEST)
    assert ours[:2] == REQUEST[:2] == BINDING_REQUEST.to_bytes(2, "big")
    assert not is_rtcp(ours)
    for other in (b"", b"\r\n\r\n", bytes(100), b"\x80" + ours[1:], b"INVITE sip:x SIP/2.0\r\n"):
        assert not is_stun(other)


def test_a_server_of_old_says_it_openly_and_an_error_says_why() -> None:
    old = message(0x0101, attribute(1, b"\x00\x01\x12\x34\xc0\x00\x02\x07") + attribute(4, bytes(8)))
    assert parse_response(old).mapped == ("192.0.2.7", 0x1234)
    refused = message(0x0111, attribute(9, b"\0\0\x04\x14Unknown Attribute"))
    assert parse_response(refused) == StunResponse(TRANSACTION, None, "420 Unknown Attribute")
    assert parse_response(message(0x0111, b"")).error


@pytest.mark.parametrize(
    "data",
    [
        REQUEST,
        message(0x0101, b""),
        message(0x0101, attribute(0x20, b"\0\x01\0")),
        message(0x0101, attribute(0x20, b"\0\x03" + bytes(6))),
        message(0x0101, attribute(0x20, b"\0\x02" + bytes(6))),
        message(0x0101, struct.pack("!HH", 0x20, 100) + bytes(8)),
        message(0x0101, attribute(0x7FFF, b"") + attribute(0x20, b"\0\x01" + bytes(6))),
        message(0x0101, b"\0\x20\0"),
        OVER_IPV4[:-4],
        OVER_IPV4 + bytes(4),
        message(0x0011, b""),
    ],
)
def test_what_is_no_answer_is_an_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_response(data)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda tail: message(0x0101, tail))))
def test_anything_is_a_value_or_an_error(data: bytes) -> None:
    try:
        answer = parse_response(data)
    except ProtocolError:
        return
    assert answer.transaction_id == data[8:20]
