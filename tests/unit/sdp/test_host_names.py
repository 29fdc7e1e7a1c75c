"""Host names in c= lines: which there are, and the same description with addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voip.sdp import SessionDescription
from voip.sdp.host_names import MAX_NAMES, host_names, with_addresses

HEAD = "v=0\r\no=- 1 1 IN IP4 sip.example.com\r\ns=c=IN IP4 subject.example.com\r\n"


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ("c=IN IP4 192.0.2.1\r\n", ()),
        ("c=IN IP6 [2001:db8::1]\r\n", ()),
        ("c=IN IP4 sip125.example.com\r\n", ("sip125.example.com",)),
        ("c=in ip4 a.example/127\r\nm=audio 1 RTP/AVP 0\r\nc = IN IP6 b\r\n", ("a.example", "b")),
        ("c=IN IP4 a\nc=IN IP4 a\n", ("a",)),
        ("c=IN IP4 1.2.3\r\nc=IN IP4 a%eth0\r\nc=IN IP4 $(x)\r\nc=IN IP4\r\nc=ATM NSAP x\r\n", ()),
        ("c=IN IP4 " + "a" * 254 + "\r\n", ()),
        ("".join(f"c=IN IP4 host{i}\r\n" for i in range(9)), tuple(f"host{i}" for i in range(MAX_NAMES))),
    ],
)
def test_names_are_found_where_addresses_belong(lines: str, names: tuple[str, ...]) -> None:
    assert host_names((HEAD + lines).encode()) == names


def test_addresses_take_their_place_and_all_else_stays() -> None:
    text = (
        HEAD + "c=IN IP4 a.example\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 b.example\r\nm=audio 1 RTP/AVP 0\r\n"
    )
    known = with_addresses(text.encode(), {"a.example": "192.0.2.7", "b.example": "2001:db8::1"})
    assert known.decode() == text.replace("c=IN IP4 a.example", "c=IN IP4 192.0.2.7").replace(
        "c=IN IP4 b.example", "c=IN IP6 2001:db8::1"
    )
    parsed = SessionDescription.parse(known)
    assert [parsed.host(line) for line in parsed.media] == ["2001:db8::1", "192.0.2.7"]
    assert with_addresses(text.encode(), {}) == text.encode()


@given(st.binary(max_size=200) | st.text(alphabet="c=IN IP46\r\nab.:/ ", max_size=80).map(str.encode))
def test_any_bytes_have_names_that_can_be_replaced(data: bytes) -> None:
    names = host_names(data)
    replaced = with_addresses(data, dict.fromkeys(names, "192.0.2.1"))
    assert not set(host_names(replaced)) & set(names)
