"""What may be malformed as a call does not need it (RFC 3261 sections 8.1.3 and 8.2.2): it is passed over and noted,
and the rest of the message means what it says."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sip_bytes import FIELDS, build, parse_request, parse_response
from voip.sip.grammar import is_token, read_parameters
from voip.sip.message import MAX_HEADERS, NameAddr, SipParseError, Via, parse_message

PASSED_OVER: list[tuple[str, bytes, str]] = [
    ("line without a colon", build("INVITE sip:b@c SIP/2.0", {}, "nonsense"), "no header field: 'nonsense'"),
    ("space in a name", build("INVITE sip:b@c SIP/2.0", {}, "Two Words: x"), "no header field"),
    ("brackets in a name", build("INVITE sip:b@c SIP/2.0", {}, "X-[Meta]: 1"), "no header field"),
    ("no name", build("INVITE sip:b@c SIP/2.0", {}, ": x"), "no header field"),
    ("a name that is not ASCII", build("INVITE sip:b@c SIP/2.0", {}, "Gr\u00fc\u00dfe: x"), "no header field"),
    ("a lone CR", build("INVITE sip:b@c SIP/2.0", {}, "Subject: a\rContact: <sip:x@y>"), "no header field"),
    ("Max-Forwards of 256", build(fields={"Max-Forwards": "256"}), "Max-Forwards '256'"),
    ("Max-Forwards negative", build(fields={"Max-Forwards": "-1"}), "Max-Forwards '-1'"),
    ("Max-Forwards not ASCII", build(fields={"Max-Forwards": "\u0667"}), "Max-Forwards"),
    ("a name without quotes", build(fields={"From": "Sales (Berlin) <sip:a@b>;tag=1"}), ""),
    ("a URI as the name", build(fields={"From": "sip:a@b <sip:a@b>;tag=1"}), ""),
    ("no scheme in <>", build(fields={"To": "Tom <tom@example.org>"}), "in To: malformed URI"),
    ("IPv6 without brackets in To", build(fields={"To": "<sip:a@::1>"}), "in To: malformed SIP URI"),
    ("IPv6 without brackets in From", build(fields={"From": "<sip:a@::1>;tag=1"}), "in From: malformed SIP URI"),
    ("spaces in a user", build(fields={"From": "<sip:two words@c>;tag=1"}), "in From: malformed SIP URI"),
    ("no user before the at sign", build(fields={"From": "<sip:@c>;tag=1"}), "in From: malformed SIP URI"),
    ("text after <>", build(fields={"From": "Alex <sip:alex@example.com> x;tag=43"}), "in From: malformed parameters"),
    ("empty parameters in From", build(fields={"From": "<sip:a@b>;;tag=1;"}), "in From: malformed parameters"),
    ("a name with a comma", build(fields={"From": "Doe, John <sip:a@b>;tag=1"}), "in From: malformed display name"),
    ("a name with commas in To", build(fields={"To": "Doe, J., Dr. <sip:a@b>"}), "in To: malformed display name"),
    ("a name with a comma in Contact", build(fields={"Contact": "Doe, John <sip:a@b>"}), "in Contact: malformed URI"),
    ("parameter twice", build(fields={"From": "<sip:a@b>;x=1;tag=1;x=2"}), "in From: parameter 'x' appears twice"),
    ("empty parameters in Contact", build(fields={"Contact": '"Joe" <sip:joe@example.org>;;;;'}), "in Contact"),
    ("an empty parameter in its URI", build(fields={"Contact": "<sip:joe@example.org;x=;;ob>"}), "in Contact"),
    ("one Contact of two broken", build(fields={"Contact": "<sip:joe@example.org>, <sip:@>"}), "in Contact"),
    ("Call-ID of two words", build(fields={"Call-ID": "one two"}), ""),
    ("Call-ID with separators", build(fields={"Call-ID": "a,b;c@d"}), ""),
    ("URI parameter twice", build("INVITE sip:bob@example.com;ttl=1;ttl=2 SIP/2.0"), "in the request URI"),
    ("empty parameters in the URI", build("INVITE sip:bob@example.com;;x=;lr; SIP/2.0"), "in the request URI"),
    ("two Max-Forwards", build("INVITE sip:b@c SIP/2.0", {}, "max-forwards: 70"), ""),
    ("Route without <>", build("INVITE sip:b@c SIP/2.0", {}, "Route: p.example.com;lr"), ""),
    ("Contact of no use", build("OPTIONS sip:b@c SIP/2.0", {"CSeq": "1 OPTIONS", "Contact": "<"}), "in Contact"),
    ("Record-Route of no use", build("BYE sip:b@c SIP/2.0", {"CSeq": "1 BYE"}, "Record-Route: <"), "in Record-Route"),
    ("Contact of an INVITE in a dialog", build(fields={"To": "<sip:a@b>;tag=1", "Contact": "<sip:>"}), "in Contact"),
    ("second Via broken", build("INVITE sip:b@c SIP/2.0", {}, "Via: SIP/2.0/UDP"), "in Via: malformed Via"),
    ("many headers", build("INVITE sip:b@c SIP/2.0", {}, *["X: y"] * (MAX_HEADERS - len(FIELDS) - 1)), ""),
    ("64 kB of headers", build("INVITE sip:b@c SIP/2.0", {}, "X: " + "y" * 65000), ""),
]


@pytest.mark.parametrize(("data", "note"), [case[1:] for case in PASSED_OVER], ids=[case[0] for case in PASSED_OVER])
def test_what_a_request_does_not_need_may_be_malformed_and_is_noted(data: bytes, note: str) -> None:
    request = parse_request(data)
    assert request.call_id
    assert request.from_.tag
    assert len(request.passed_over) == bool(note)
    assert "".join(request.passed_over).startswith(note)
    again = parse_message(request.serialize())
    assert again == request
    answer = parse_response(request.response(200, to_tag="mine").serialize())
    assert (answer.call_id, answer.from_, answer.to.tag) == (request.call_id, request.from_, request.to.tag or "mine")


OK = "SIP/2.0 200 OK"
IN_RESPONSES: list[tuple[str, bytes]] = [
    ("line without a colon", build(OK, {}, "nonsense")),
    ("Max-Forwards negative", build(OK, {"Max-Forwards": "-1"})),
    ("no Contact that can be read", build(OK, {"Contact": "<sip:@>"})),
    ("Contact * beside others", build(OK, {"Contact": "*, <sip:@>"})),
    ("Record-Route broken", build(OK, {}, "Record-Route: <sip:p.example.com;lr")),
    ("Via with a parameter twice", build(OK, {"Via": "SIP/2.0/UDP h;rport;branch=z9hG4bKx;rport=5060;;"})),
    ("a tag without a value", build(OK, {"To": "<sip:a@b>;tag="})),
    ("To twice", build(OK, {}, "t: Bob <sip:bob@example.com>")),
    ("no number as length", build(OK, {}, "Content-Length: x")),
    ("two lengths", build(OK, {}, "Content-Length: 1", "l: 2")),
    ("two types", build(OK, {}, "Content-Type: application/sdp", "c: text/plain")),
    ("64 kB of headers", build(OK, {}, "X: " + "y" * 65_000)),
    ("a reason of 60 kB", build("SIP/2.0 200 " + "x" * 60_000)),
    ("no reason, nor a space before it", build("SIP/2.0 200")),
    ("small letters and spaces in Via", build(OK, {"Via": "sip / 2.0 / udp  h ; branch = z9hG4bKx"})),
    ("a tab and zeros in CSeq", build(OK, {"CSeq": "0001\tINVITE"})),
    ("lists of nothing", build(OK, {}, "Allow: ,,", "Supported: ,timer,", "Record-Route: ", "Require:")),
    ("NUL in a field", build(OK, {}, "X: a\0b")),
]


@pytest.mark.parametrize("data", [c[1] for c in IN_RESPONSES], ids=[c[0] for c in IN_RESPONSES])
def test_a_response_is_read_whatever_else_is_wrong_with_it(data: bytes) -> None:
    response = parse_response(data + b"v=0\r\n")
    assert response.via[0].branch
    assert response.cseq.method == "INVITE"
    assert response.body == b"v=0\r\n"


def test_what_tells_a_response_apart_must_be_there_once() -> None:
    for lines in ("t: <sip:a@b>;tag=1", "CSeq: 2 INVITE", "i: other"):
        with pytest.raises(SipParseError, match="more than one"):
            parse_message(build(OK, {}, lines))
    with pytest.raises(SipParseError):
        parse_message(build(OK, {}, "Content-Length: 9", body=b"short"))
    with pytest.raises(SipParseError):
        parse_message(build(OK, {}, "Content-Length: x"), stream=True)


@pytest.mark.parametrize(
    ("text", "uri", "params"),
    [
        ('sip:u@h:5;+sip.instance="<urn:gsma:imei:3554>";audio', "sip:u@h:5", ["+sip.instance", "audio"]),
        ('sip:u@h ; x = "a<b" ; q=0.5', "sip:u@h", ["x", "q"]),
        ('<sip:u@h;a=b>;+sip.instance="<urn:x>"', "sip:u@h;a=b", ["+sip.instance"]),
    ],
)
def test_angle_brackets_in_the_quotes_of_a_parameter_open_no_uri(text: str, uri: str, params: list[str]) -> None:
    (contact,) = parse_request(build(fields={"Contact": text})).contacts
    assert (str(contact.uri), list(contact.params)) == (uri, params)


def test_a_record_route_without_brackets_keeps_its_parameters() -> None:
    fields = {
        "Record-Route": 'sip:far@127.0.0.9;lr, "Proxy, near" <sip:near@127.0.0.1;lr=on>;x, sip:h.example.com;lr;ftag=1'
    }
    routes = parse_response(build(OK, dict(fields))).record_routes
    assert [str(route.uri) for route in routes] == [
        "sip:far@127.0.0.9;lr",
        "sip:near@127.0.0.1;lr=on",
        "sip:h.example.com;lr;ftag=1",
    ]


# --- whatever is written ----------------------------------------------------------------------------------------------

TEXT = st.text(st.sampled_from(list('abz019 \t,;:<>"\\/@%=.[]?&()*\r\n\0\udce9\u00fc')), max_size=60)
NEAR = st.lists(
    st.sampled_from(
        ["<", ">", '"', "sip:a@b", "<sip:a@b>", ";", "tag=1", "TAG=2", ";q=0.5", ";lr", ",", " ", "\\", "=", "?", "::1"]
    ),
    max_size=10,
).map("".join)


@settings(deadline=None, max_examples=500)
@given(TEXT | NEAR, st.booleans())
def test_any_text_is_a_name_and_address_or_a_parse_error(text: str, opaque: bool) -> None:
    for read in (NameAddr.parse, partial(NameAddr.read, opaque=opaque), NameAddr.read_route):
        try:
            value = read(text)
        except SipParseError:
            continue
        again = NameAddr.read(str(value), opaque=True)
        assert (str(again.uri), again.tag) == (str(value.uri), value.tag)


@settings(deadline=None, max_examples=300)
@given(TEXT | NEAR)
def test_what_is_read_strictly_is_read_alike(text: str) -> None:
    try:
        strict = NameAddr.parse(text)
    except SipParseError:
        return
    assert NameAddr.read(text) == strict


@settings(deadline=None)
@given(TEXT | NEAR)
def test_any_parameters_are_read_or_a_parse_error(text: str) -> None:
    try:
        parameters = read_parameters(text)
        via = Via.read(f"SIP/2.0/UDP h;{text}")
    except SipParseError:
        return
    assert all(is_token(name) for name in (*parameters, *via.params))
