"""Header fields: the container, and the values of Via, From, To, Contact and their kind (RFC 3261 sections 7.3, 20)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sip_bytes import build
from voip.sip.headers import canonical_name
from voip.sip.message import Headers, NameAddr, SipUri, Via, parse_message

TEXT = st.text(st.sampled_from(list('abz019 \t,;:<>"\\/@%=.[]?&()*\r\n\0\udce9\u00fc')), max_size=40)


def test_compact_names_are_the_long_ones() -> None:
    compact = {
        "v": "Via",
        "f": "From",
        "t": "To",
        "m": "Contact",
        "i": "Call-ID",
        "c": "Content-Type",
        "e": "Content-Encoding",
    }
    compact |= {"l": "Content-Length", "k": "Supported", "o": "Event", "s": "Subject", "u": "Allow-Events"}
    for short, name in compact.items():
        assert canonical_name(short) == canonical_name(short.upper()) == canonical_name(name.lower()) == name


def test_headers_are_an_ordered_multimap_without_regard_to_case() -> None:
    headers = Headers([("v", "SIP/2.0/UDP a"), ("X-One", "1"), ("VIA", "SIP/2.0/UDP b, SIP/2.0/UDP c")])
    assert headers.get_all("via") == ["SIP/2.0/UDP a", "SIP/2.0/UDP b", "SIP/2.0/UDP c"]
    assert headers.lines("Via") == ["SIP/2.0/UDP a", "SIP/2.0/UDP b, SIP/2.0/UDP c"]
    assert (headers.get("x-one"), headers.get("X-Two"), "x-ONE" in headers, "X-Two" in headers) == (
        "1",
        None,
        True,
        False,
    )
    headers.set("x-oNE", "2")
    headers.set("X-Three", "3")
    assert [name for name, _ in headers] == ["Via", "x-oNE", "Via", "X-Three"]
    headers.set("Via", "SIP/2.0/UDP only")
    assert [name for name, _ in headers] == ["Via", "x-oNE", "X-Three"]
    headers.remove("X-ONE")
    headers.remove("X-None")
    assert len(headers) == 2


def test_the_first_value_of_a_list_can_be_replaced_or_taken_out() -> None:
    headers = Headers([("Via", "SIP/2.0/UDP a, SIP/2.0/UDP b"), ("Via", "SIP/2.0/UDP c")])
    headers.replace_first("Via", "SIP/2.0/UDP a;received=192.0.2.1")
    assert headers.get_all("Via") == ["SIP/2.0/UDP a;received=192.0.2.1", "SIP/2.0/UDP b", "SIP/2.0/UDP c"]
    for left in (2, 1, 0, 0):
        headers.replace_first("Via", None)
        assert len(headers.get_all("Via")) == left
    headers.replace_first("Via", "SIP/2.0/UDP d")
    assert headers.get("Via") == "SIP/2.0/UDP d"


def test_an_empty_line_of_a_list_is_not_its_first_value() -> None:
    headers = Headers([("Via", ""), ("Via", "SIP/2.0/UDP a, SIP/2.0/UDP b")])
    headers.replace_first("Via", "SIP/2.0/UDP a;received=192.0.2.1")
    assert headers.get_all("Via") == ["SIP/2.0/UDP a;received=192.0.2.1", "SIP/2.0/UDP b"]
    headers.replace_first("Via", None)
    assert headers.get_all("Via") == ["SIP/2.0/UDP b"]


@pytest.mark.parametrize(("name", "value"), [("X", "a\r\nY: b"), ("X", "a\nb"), ("X\r\nY", "b")])
def test_a_line_break_cannot_be_smuggled_into_a_field(name: str, value: str) -> None:
    headers = Headers()
    for method in (headers.add, headers.set):
        with pytest.raises(ValueError, match="line break"):
            method(name, value)


def test_a_copy_changes_alone() -> None:
    headers = Headers([("X", "1")])
    other = headers.copy()
    other.add("Y", "2")
    assert (len(headers), len(other)) == (1, 2)
    assert headers != other


def test_allow_of_many_lines_is_one_list() -> None:
    message = parse_message(build("INVITE sip:b@c SIP/2.0", {}, "Allow: INVITE,ACK ,\tBYE", "allow: OPTIONS"))
    assert message.headers.get_all("Allow") == ["INVITE", "ACK", "BYE", "OPTIONS"]


def test_commas_in_quotes_and_angle_brackets_do_not_split() -> None:
    headers = Headers(
        [("Contact", '"a, b" <sip:x@y;p=1,2>;q="3,4" , <sip:z>'), ("Route", "<sip:a,<sip:b>"), ("Contact", '"open, x')]
    )
    assert headers.get_all("Contact") == ['"a, b" <sip:x@y;p=1,2>;q="3,4"', "<sip:z>", '"open, x']
    assert headers.get_all("Route") == ["<sip:a,<sip:b>"]


def test_the_contact_of_an_unregistering_request_is_a_star() -> None:
    data = build("REGISTER sip:example.com SIP/2.0", {"Contact": "*", "CSeq": "1 REGISTER"})
    assert [contact.uri for contact in parse_message(data).contacts] == ["*"]


@pytest.mark.parametrize(
    ("text", "sent_by", "received", "rport"),
    [
        (
            "SIP/2.0/UDP [2001:db8::9:1]:5061;received=[2001:db8::9:255];branch=z9hG4bKas3",
            "[2001:db8::9:1]:5061",
            "2001:db8::9:255",
            None,
        ),
        (
            "SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3",
            "[2001:db8::9:1]",
            "2001:db8::9:255",
            None,
        ),
        ("SIP/2.0/UDP h;rport;branch=z9hG4bKas3", "h", None, None),
        ("SIP/2.0/UDP h;rport=5088;branch=z9hG4bKas3", "h", None, 5088),
        ("SIP/2.0/UDP h;rport=x;branch=z9hG4bKas3", "h", None, None),
        ("sip/2.0/udp h:1;branch=z9hG4bKas3", "h:1", None, None),
    ],
)
def test_via_says_where_to_answer(text: str, sent_by: str, received: str | None, rport: int | None) -> None:
    via = Via.parse(text)
    assert (via.sent_by, via.received, via.rport, via.branch) == (sent_by, received, rport, "z9hG4bKas3")
    assert Via.parse(str(via)) == via


def test_values_are_quoted_where_they_must_be() -> None:
    value = NameAddr(SipUri("sip", "a", "b"), 'Say "hi"\r\n\\o/', {"x": 'semi;"colon', "y": None, "z": "", "tag": "t="})
    assert str(value) == '"Say \\"hi\\" \\\\o/" <sip:a@b>;x="semi;\\"colon";y;z=;tag=t='
    assert NameAddr.parse(str(value)).params == value.params


@pytest.mark.parametrize(
    ("text", "display", "uri"),
    [
        ("<sip:a@b>", "", "sip:a@b"),
        ("sip:a@b", "", "sip:a@b"),
        ("caller<sip:a@b>", "caller", "sip:a@b"),
        ("Two Words <sip:a@b>", "Two Words", "sip:a@b"),
        ('"a <sip:x@y>, b"<sip:a@b>', "a <sip:x@y>, b", "sip:a@b"),
        ('""<sip:a@b>', "", "sip:a@b"),
        ("J\u00fcrgen M\u00fcller <sip:a@b>", "J\u00fcrgen M\u00fcller", "sip:a@b"),
        ("<tel:+49-30-1234;phone-context=x>", "", "tel:+49-30-1234;phone-context=x"),
        ("isbn:2983792873", "", "isbn:2983792873"),
    ],
)
def test_names_and_addresses_come_in_many_forms(text: str, display: str, uri: str) -> None:
    value = NameAddr.parse(f"{text};tag=x")
    assert (value.display, str(value.uri), value.tag) == (display, uri, "x")
    assert NameAddr.parse(str(value)) == value


@settings(deadline=None)
@given(TEXT, st.dictionaries(st.sampled_from(["tag", "q", "x"]), st.none() | TEXT))
def test_what_we_build_from_any_text_can_be_read_again(display: str, params: dict[str, str | None]) -> None:
    value = NameAddr.parse(str(NameAddr(SipUri("sip", "a", "b"), display, params)))
    assert value.params.keys() == params.keys()
    assert "\n" not in value.display
