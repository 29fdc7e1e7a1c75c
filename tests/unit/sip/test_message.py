"""SIP messages: what must be read, what must be refused and how, and that nothing else happens (RFC 3261, RFC 4475)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sip_bytes import FIELDS, build, parse_request, parse_response
from voip.errors import ProtocolError
from voip.sip.message import (
    MAX_HEADER_SECTION,
    MAX_HEADERS,
    MAX_MESSAGE,
    MAX_VALUES,
    REASONS,
    CSeq,
    NameAddr,
    Request,
    SipParseError,
    SipUri,
    Via,
    parse_message,
    salvage,
)

VECTORS = sorted((Path(__file__).resolve().parents[2] / "vectors" / "sip").glob("*.sip"))


# --- what other programs send ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_messages_of_other_programs_are_read_and_written_back(path: Path) -> None:
    data = path.read_bytes()
    message = parse_message(data)
    assert parse_message(message.serialize()) == message
    assert data.endswith(message.body)
    # Nothing changes but the white space between a field's name and its value.
    assert b"".join(message.serialize().split()) == b"".join(data.split())


def test_the_vectors_are_there() -> None:
    assert len(VECTORS) >= 14


def test_an_invite_of_sipp_is_understood() -> None:
    invite = parse_request(Path(VECTORS[0].parent / "sipp-uac-invite.sip").read_bytes())
    assert (invite.method, invite.cseq, invite.content_type) == ("INVITE", CSeq(1, "INVITE"), "application/sdp")
    assert invite.from_ == NameAddr(SipUri("sip", "sipp", "127.0.0.1", 5060), "sipp", {"tag": "22122SIPpTag001"})
    assert [str(contact.uri) for contact in invite.contacts] == ["sip:sipp@127.0.0.1:5060"]
    assert invite.via[0].sent_by == "127.0.0.1:5060"
    assert len(invite.body) == 129


def test_an_answer_of_baresip_is_understood() -> None:
    ok = parse_response(Path(VECTORS[0].parent / "baresip-uas-200-invite.sip").read_bytes())
    assert (ok.status, ok.reason) == (200, "Answering")
    assert ok.via[0].received == "127.0.0.1"
    assert ok.via[0].rport == 35221
    assert ok.to.tag == "7decfad3be0eacaf"
    assert ok.headers.get_all("allow")[:3] == ["INVITE", "ACK", "BYE"]


# --- valid, however strange (after the ideas of RFC 4475 section 3.1.1) --------------------------------------------


def test_a_message_folded_and_spaced_everywhere_is_read() -> None:
    data = (
        b"OPTIONS sip:bob@example.com;odd;x=y SIP/2.0\r\n"
        b"tO :\r\n\tsip:bob@example.com ;\r\n  tag  =  t0\r\n"
        b'fRoM  : "A \\\\\\"n\\"n" \r\n  <sip:ann@example.com>\r\n ;\r\n tag = f0\r\n'
        b"MAX-forwards :  0012\r\n"
        b"i: strange.id@198.51.100.1\r\n"
        b"cSEQ: 0007 \r\n   OPTIONS\r\n"
        b"Via  : SIP  / 2.0\r\n  /UDP\r\n\t198.51.100.2 : 5062;branch=old\r\n"
        b"k :\r\n"
        b"X-New: one\r\n two\r\n"
        b"X-Odd: ,;;,=;\r\n"
        b"v: SIP / 2.0 / TCP   a.example.com ; branch = z9hG4bKa ,\r\n SIP/2.0/UDP 198.51.100.3;branch=\r\n"
        b" z9hG4bKb\r\n"
        b'm: "Quoted, \\"twice\\"" <sip:ann@example.com;a=b> ; p = "v,w" ;\r\n'
        b"  flag ; q = 0.5 , sip:other@example.com\r\n"
        b"L : 3\r\n\r\nabc"
    )
    message = parse_request(data)
    assert message.to == NameAddr(SipUri("sip", "bob", "example.com"), "", {"tag": "t0"})
    assert (message.from_.display, message.from_.tag) == ('A \\"n"n', "f0")
    assert message.max_forwards == 12
    assert message.cseq == CSeq(7, "OPTIONS")
    assert message.call_id == "strange.id@198.51.100.1"
    assert [via.sent_by for via in message.via] == ["198.51.100.2:5062", "a.example.com", "198.51.100.3"]
    assert [via.branch for via in message.via] == ["old", "z9hG4bKa", "z9hG4bKb"]
    assert [via.protocol for via in message.via] == ["UDP", "TCP", "UDP"]
    first, second = message.contacts
    assert first == NameAddr(
        SipUri("sip", "ann", "example.com", params={"a": "b"}),
        'Quoted, "twice"',
        {"p": "v,w", "flag": None, "q": "0.5"},
    )
    assert str(second.uri) == "sip:other@example.com"
    assert message.headers.get_all("Supported") == []
    assert message.headers.get("x-new") == "one two"
    assert message.headers.get("X-ODD") == ",;;,=;"
    assert message.body == b"abc"
    assert parse_message(message.serialize()) == message


def test_every_character_of_the_grammar_is_accepted() -> None:
    method = "!Odd-Method0123456789_*+`.%fine'~"
    user = "2_odd.URI~(is-it!not)&yes'it+is$ok?,/;;*"
    password = "&it=has+1,odd!*pass$wo~d.(doesn't)"
    data = build(
        f"{method} sip:{user}:{password}@example.com SIP/2.0",
        {
            "CSeq": f"139122385 {method}",
            "To": f'"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:{user}@example.com>',
            "From": "tok1~` tok2'+_ tok3*%!.- <sip:plain@example.com>"
            ";Par''~+*_!.-%=\"\u043f\u0440\u0438\";tag=_t~1'+`*%!-.",
            "Call-ID": "odd.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
            "Via": "SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
            "Max-Forwards": "255",
        },
        "odd-Header-!.%*+_`'~:\ufeff\u5927\u505c\u96fb",
    )
    message = parse_request(data)
    assert isinstance(message.uri, SipUri)
    assert (message.uri.user, message.uri.password, message.uri.host) == (user, password, "example.com")
    assert message.to.display == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.from_.params["par''~+*_!.-%"] == "\u043f\u0440\u0438"
    assert message.from_.display == "tok1~` tok2'+_ tok3*%!.-"
    assert message.headers.get("odd-header-!.%*+_`'~") == "\ufeff\u5927\u505c\u96fb"
    assert message.via[0].branch == "z9hG4bK-.!%66*_+`'~"


def test_percent_signs_escape_only_where_uris_are() -> None:
    data = build(
        "IN%56ITE sip:sips%3Aann%40example.com@example.net SIP/2.0",
        {"CSeq": "1 IN%56ITE", "To": '"%Z%45" <sip:%62o%62@example.com>', "C%6Fntact": "<sip:no@example.com>"},
    )
    message = parse_request(data)
    assert message.method == "IN%56ITE"
    assert message.to.display == "%Z%45"
    assert isinstance(message.to.uri, SipUri)
    assert message.to.uri.username == "bob"
    assert str(message.uri) == "sip:sips%3Aann%40example.com@example.net"
    assert len(message.contacts) == 1


def test_an_escaped_null_does_not_shorten_a_user() -> None:
    uri = parse_request(build("INVITE sip:a%00b@example.com SIP/2.0")).uri
    assert isinstance(uri, SipUri)
    assert (uri.username, str(uri)) == ("a\0b", "sip:a%00b@example.com")


def test_parameters_before_the_at_sign_belong_to_the_user() -> None:
    uri = parse_request(build("INVITE sip:bob;par=u%40example.net@example.com;x=1 SIP/2.0")).uri
    assert isinstance(uri, SipUri)
    assert (uri.user, uri.host, uri.params) == ("bob;par=u%40example.net", "example.com", {"x": "1"})


@pytest.mark.parametrize("protocol", ["UDP", "TCP", "TLS", "SCTP", "WS", "x-new+1"])
def test_any_transport_may_stand_in_via(protocol: str) -> None:
    assert Via.parse(f"SIP/2.0/{protocol} h.example.com;branch=z9hG4bKx").protocol == protocol


def test_very_long_values_are_read() -> None:
    name, tag = "extremely " * 30, "1298" * 60
    vias = [f"{('v', 'V ', 'ViA', 'vIA  ')[n % 4]}: SIP/2.0/TCP sip{n}.example.com" for n in range(34)]
    data = build(fields={"To": f'"{name}"<sip:bob@example.com;{"long" * 60}>', "From": f"<sip:a@b>;tag={tag}"})
    data = data.replace(b"Via:", "\r\n".join([*vias, "Via:"]).encode(), 1)
    message = parse_request(data)
    assert len(message.via) == 35
    assert message.to.display == name
    assert message.from_.tag == tag


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        (
            "SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e",
            200,
            "= 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e",
        ),
        ("SIP/2.0 100 ", 100, ""),
        ("SIP/2.0 100", 100, ""),
        ("sip/2.0 699 No", 699, "No"),
    ],
)
def test_a_reason_phrase_may_be_anything_or_nothing(line: str, status: int, reason: str) -> None:
    response = parse_response(build(line))
    assert (response.status, response.reason) == (status, reason)


def test_the_old_syntax_without_branch_tag_contact_and_max_forwards_is_read() -> None:
    old = {"Via": "SIP/2.0/UDP gw.example.com", "From": "<sip:ann@example.com;user=phone>", "Contact": None}
    message = parse_request(build(fields={**old, "Max-Forwards": None}, body=b"v=0\r\n"))
    assert (message.via[0].branch, message.from_.tag, message.contacts) == (None, None, [])
    assert message.max_forwards == 70
    assert message.body == b"v=0\r\n"


@pytest.mark.parametrize("scheme", ["tel:+123", "soap.beep://192.0.2.103:3002", "nobodyKnows:opaque", "sipx:a@b"])
def test_another_scheme_is_left_to_the_one_who_answers(scheme: str) -> None:
    assert parse_request(build(f"INVITE {scheme} SIP/2.0")).uri == scheme


# --- bytes, lines, lengths -----------------------------------------------------------------------------------------


def test_bytes_that_are_not_utf8_survive() -> None:
    data = build(fields={"From": '"caf\udce9 \udcff" <sip:j\udcfcrgen@example.com>;tag=1'}, body=b"")
    data = data.replace(b"\r\n\r\n", b"\r\nSubject: \xc3\x28 \xed\xa0\x80\r\nContent-Length: 3\r\n\r\n\x00\xff\xfe")
    assert b'"caf\xe9 \xff" <sip:j\xfcrgen' in data
    assert parse_message(data).serialize() == data


def test_line_ends_without_cr_are_tolerated() -> None:
    data = build(body=b"v=0\r\n\r\n")
    assert parse_message(data.replace(b"\r\n", b"\n", data.count(b"\r\n") - 2)) == parse_message(data)


def test_empty_lines_before_the_start_line_are_skipped() -> None:
    assert parse_message(b"\r\n\r\n\n" + build()) == parse_message(build())


@pytest.mark.parametrize("length", ["4", "0004", "4 \t"])
def test_bytes_beyond_content_length_are_no_part_of_the_message(length: str) -> None:
    message = parse_message(build("INVITE sip:b@c SIP/2.0", {}, f"Content-Length: {length}", body=b"bodyGARBAGE"))
    assert message.body == b"body"
    assert message.headers.get("content-length") == "4"


def test_without_content_length_the_body_ends_with_the_datagram() -> None:
    message = parse_message(build(body=b"all of\r\n\r\nthis"))
    assert message.body == b"all of\r\n\r\nthis"
    assert message.serialize().endswith(b"\r\nContent-Length: 14\r\n\r\nall of\r\n\r\nthis")


def test_content_length_follows_the_body_in_its_place() -> None:
    message = parse_message(build("INVITE sip:b@c SIP/2.0", {}, "l: 2", "X-A: y", body=b"ab"))
    message.body = b"longer"
    assert b"\r\nContent-Length: 6\r\nX-A: y\r\n\r\nlonger" in message.serialize()


# --- invalid (after the ideas of RFC 4475 section 3.1.2 and 3.3, and more) -------------------------------------------

REFUSED: list[tuple[str, bytes, int]] = [
    ("empty parameters in Via", build(fields={"Via": "SIP/2.0/UDP 192.0.2.15;;,;,,"}), 400),
    ("body shorter than said", build("INVITE sip:b@c SIP/2.0", {}, "Content-Length: 9999", body=b"short"), 400),
    ("negative length", build("INVITE sip:b@c SIP/2.0", {}, "Content-Length: -999", body=b"x"), 400),
    ("no number as length", build("INVITE sip:b@c SIP/2.0", {}, "Content-Length: 1_0", body=b"x" * 20), 400),
    ("length of 11 digits", build("INVITE sip:b@c SIP/2.0", {}, "Content-Length: 00000000001", body=b"x"), 400),
    ("two lengths", build("INVITE sip:b@c SIP/2.0", {}, "Content-Length: 1", "l: 1", body=b"x"), 400),
    ("CSeq of 2**31", build(fields={"CSeq": f"{2**31} INVITE"}), 400),
    ("CSeq of 20 digits", build(fields={"CSeq": "36893488147419103232 INVITE"}), 400),
    ("CSeq without a method", build(fields={"CSeq": "1"}), 400),
    ("CSeq with words", build(fields={"CSeq": "one INVITE"}), 400),
    ("unbalanced quotes", build(fields={"To": '"Mr. B <sip:bob@example.com>'}), 400),
    ("URI in <>", build("INVITE <sip:bob@example.com> SIP/2.0"), 400),
    ("space in the URI", build("INVITE sip:bob@example.com; lr SIP/2.0"), 400),
    ("two spaces", build("INVITE  sip:bob@example.com  SIP/2.0"), 400),
    ("trailing space", build("INVITE sip:bob@example.com SIP/2.0  "), 400),
    ("headers in the URI", build("INVITE sip:bob@example.com?Route=%3Csip:x.example.com%3E SIP/2.0"), 400),
    ("no scheme in the URI", build("INVITE bob@example.com SIP/2.0"), 400),
    ("half an escape", build("INVITE sip:bo%4@example.com SIP/2.0"), 400),
    ("port too large", build("INVITE sip:bob@example.com:65536 SIP/2.0"), 400),
    ("port zero", build("INVITE sip:bob@example.com:0 SIP/2.0"), 400),
    ("no host", build("INVITE sip:bob@ SIP/2.0"), 400),
    ("no user before the at sign", build("INVITE sip:@example.com SIP/2.0"), 400),
    ("broken IPv6", build("INVITE sip:bob@[2001:db8:::1] SIP/2.0"), 400),
    ("open IPv6", build("INVITE sip:bob@[2001:db8::1 SIP/2.0"), 400),
    ("IPv6 without brackets", build("INVITE sip:bob@2001:db8::1 SIP/2.0"), 400),
    ("Contact that needs <>", build(fields={"Contact": "sip:bob@example.com?Route=%3Csip:x.example.com%3E"}), 400),
    ("spaces in <>", build(fields={"To": '"Watson, Tom" < sip:tom@example.org >'}), 400),
    ("name and no <>", build(fields={"From": '"Alex" sip:alex@example.com;tag=43'}), 400),
    ("open <>", build(fields={"From": "Alex <sip:alex@example.com;tag=43"}), 400),
    ("two values of From", build(fields={"From": "<sip:a@b>;tag=1, <sip:c@d>;tag=2"}), 400),
    ("two values of From, one bare", build(fields={"From": "sip:a@b, Doe <sip:c@d>;tag=2"}), 400),
    ("tag without a value", build(fields={"To": "<sip:a@b>;tag"}), 400),
    ("empty tag", build(fields={"To": "<sip:a@b>;tag="}), 400),
    ("tag twice", build(fields={"From": "<sip:a@b>;tag=1;TAG=2"}), 400),
    (
        "unknown version",
        build("INVITE sip:bob@example.com SIP/7.0", {"Via": "SIP/7.0/UDP c.example.com;branch=z9"}),
        505,
    ),
    ("other method in CSeq", build(fields={"CSeq": "8 OPTIONS"}), 400),
    ("other method in CSeq of an unknown one", build("NEW sip:bob@example.com SIP/2.0", {"CSeq": "8 INVITE"}), 400),
    ("method in another case", build(fields={"CSeq": "8 invite"}), 400),
    ("no To", build(fields={"To": None}), 400),
    ("no From", build(fields={"From": None}), 400),
    ("no Call-ID", build(fields={"Call-ID": None}), 400),
    ("neither From, To nor Call-ID", build(fields={"From": None, "To": None, "Call-ID": None}), 400),
    ("empty Call-ID", build(fields={"Call-ID": ""}), 400),
    ("two From", build("INVITE sip:b@c SIP/2.0", {}, "f: <sip:a@b>;tag=1"), 400),
    ("two To", build("INVITE sip:b@c SIP/2.0", {}, "t: <sip:a@b>"), 400),
    ("two Call-ID", build("INVITE sip:b@c SIP/2.0", {}, "i: x"), 400),
    ("two CSeq", build("INVITE sip:b@c SIP/2.0", {}, "CSEQ: 314159 INVITE"), 400),
    ("no empty line at the end", build()[:-2], 400),
    ("Contact * and another", build(fields={"Contact": "*, <sip:a@b>"}), 400),
    ("Record-Route broken", build("INVITE sip:b@c SIP/2.0", {}, "Record-Route: <sip:p.example.com;lr"), 400),
    ("too many values", build(fields={"Contact": "<sip:a@b>," * MAX_VALUES + "<sip:a@b>"}), 513),
    ("too many headers", build("INVITE sip:b@c SIP/2.0", {}, *["X: y"] * MAX_HEADERS), 513),
    ("header section too long", build("INVITE sip:b@c SIP/2.0", {}, "X: " + "y" * MAX_HEADER_SECTION), 513),
    ("message too long", build(body=bytes(MAX_MESSAGE)), 513),
]


@pytest.mark.parametrize(("data", "status"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_malformed_request_is_refused_with_its_status(data: bytes, status: int) -> None:
    with pytest.raises(SipParseError) as caught:
        parse_message(data)
    assert caught.value.status == status
    request = salvage(data)
    assert request is not None
    answer = request.response(status, to_tag="refused")
    assert answer.headers.get("CSeq") == request.headers.get("CSeq")
    assert Via.parse(answer.headers.get_all("Via")[0]).host
    lines = answer.serialize().split(b"\r\n")
    assert lines[0].startswith(b"SIP/2.0 %d " % status)
    assert len(answer.serialize()) <= len(data) + 60


@pytest.mark.parametrize(
    "line",
    [
        "SIP/2.0 4294967301 huge",
        "SIP/2.0 99 low",
        "SIP/2.0 700 high",
        "SIP/2.0 OK",
        "SIP/2.0  200 OK",
        "SIP/3.0 200 OK",
        "SIP/",
    ],
)
def test_a_malformed_response_is_refused_and_never_answered(line: str) -> None:
    with pytest.raises(ProtocolError):
        parse_message(build(line))
    assert salvage(build(line)) is None


def test_an_overlarge_cseq_in_a_response_is_refused() -> None:
    with pytest.raises(ProtocolError):
        parse_message(build("SIP/2.0 503 No", {"CSeq": "9292394834772304023312 INVITE"}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"x",
        b"I love INVITEs",
        b"BYE x",
        b"INVITE sip:receiver@192.0.2.1 SIP/2.0\r\nCall-ID: 0cc175b9c0f1b6a8\r\nCSeq: 1 INVITE\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        bytes(100),
        b"\x80\x00" + bytes(range(256)),
        build(fields={"Via": None}),
        build(fields={"Via": "  ,"}),
        build(fields={"Via": "SIP/2.0/UDP h:70000;branch=z9hG4bKx"}),
        build("INVITE sip:bob@example.com"),
        build(fields={"Via": "SIP/2.0/UDP [::1::];branch=x"}),
        build("ACK sip:b@c SIP/2.0 ", {"CSeq": "1 ACK"}),
        build("INVITE sip:b@c SIP/2.0 ", {"CSeq": None}),
    ],
)
def test_what_cannot_be_answered_is_only_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_message(data)
    assert salvage(data) is None


def test_limits_are_where_they_are_said_to_be() -> None:
    headers = [f"X-{n}: y" for n in range(MAX_HEADERS - len(FIELDS))]
    assert len(parse_message(build("INVITE sip:b@c SIP/2.0", {}, *headers)).headers) == MAX_HEADERS + 1
    room = MAX_HEADER_SECTION - len(build()) + len("\r\n\r\n") - len("\r\nX: ")
    parse_message(build("INVITE sip:bob@example.com SIP/2.0", {}, "X: " + "y" * room))
    with pytest.raises(SipParseError):
        parse_message(build("INVITE sip:bob@example.com SIP/2.0", {}, "X: " + "y" * (room + 1)))
    assert parse_message(build(fields={"CSeq": f"{2**31 - 1} INVITE"})).cseq.number == 2**31 - 1
    assert parse_message(build(fields={"Max-Forwards": "255"})).max_forwards == 255
    assert parse_message(build(fields={"Max-Forwards": "0"})).max_forwards == 0


# --- answering -----------------------------------------------------------------------------------------------------


def test_a_response_copies_what_the_standard_says() -> None:
    vias = "SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/UDP b;branch=z9hG4bK2"
    request = parse_request(
        build("INVITE sip:b@c SIP/2.0", {"Via": vias}, "v: SIP/2.0/UDP c", "Timestamp: 54", "Subject: no")
    )
    response = parse_response(request.response(486, to_tag="mine").serialize())
    assert (response.status, response.reason) == (486, "Busy Here")
    assert response.via == request.via
    assert (response.from_, response.call_id, response.cseq) == (request.from_, request.call_id, request.cseq)
    assert (response.to.uri, response.to.tag) == (request.to.uri, "mine")
    names = [name for name, _ in response.headers]
    assert names == ["Via", "Via", "From", "To", "Call-ID", "CSeq", "Content-Length"]


def test_100_trying_carries_the_timestamp_of_the_request() -> None:
    request = parse_request(build("INVITE sip:b@c SIP/2.0", {}, "Timestamp: 54"))
    assert request.response(100).headers.get("Timestamp") == "54"
    assert request.response(180).headers.get("Timestamp") is None


@pytest.mark.parametrize("to", ["<sip:b@c>;tag=theirs", "sip:b@c;tag=theirs", '"x;tag=y" <sip:b@c;tag=z>;Tag=theirs'])
def test_a_tag_that_is_there_stays(to: str) -> None:
    request = parse_request(build(fields={"To": to}))
    assert request.response(200, to_tag="mine").to.tag == "theirs"


@pytest.mark.parametrize("to", ["<sip:b@c>", "sip:b@c", '"x;tag=y" <sip:b@c;tag=z>'])
def test_a_tag_is_added_where_there_is_none(to: str) -> None:
    request = parse_request(build(fields={"To": to}))
    assert request.response(200, to_tag="mine").to.tag == "mine"


def test_reasons_are_ours_unless_given_and_stay_in_their_line() -> None:
    request = parse_request(build())
    assert request.response(420).reason == REASONS[420] == "Bad Extension"
    assert request.response(499).reason == "Unknown"
    assert request.response(480, "No\r\nInjected: header").start_line() == "SIP/2.0 480 No Injected: header"


def test_a_salvaged_via_keeps_its_branch() -> None:
    data = build("INVITE  sip:b@c SIP/2.0", {"Via": "SIP/2.0/UDP h:5070;branch=z9hG4bKx;;, SIP/2.0/UDP h2"})
    request = salvage(data)
    assert request is not None
    assert request.headers.get_all("Via") == ["SIP/2.0/UDP h:5070;branch=z9hG4bKx"]


# --- whatever the bytes --------------------------------------------------------------------------------------------

PIECES = [f"{name}: {value}" for name, value in FIELDS.items()]
NAMES = [*FIELDS, "l", "X", "X Y", "Route", "Record-Route"]
WIDE = ["From", "To", "Contact", "Via", "Call-ID", "Record-Route", "Max-Forwards"]
ALPHABET = st.text(st.sampled_from(list('abz019 \t,;:<>"\\/@%=.[]?&()*\r\n\0\udce9\u00fc')), max_size=40)


def read_or_refuse(data: bytes) -> None:
    salvaged = salvage(data)
    if salvaged is not None:
        salvaged.response(400, to_tag="x").serialize()
    try:
        message = parse_message(data)
    except SipParseError:
        return
    assert parse_message(message.serialize()) == message
    assert message.via
    assert message.from_
    assert message.to
    assert message.cseq.number < 2**31
    assert len(message.contacts) + len(message.routes) + len(message.record_routes) <= len(data)
    assert 0 <= message.max_forwards <= 255
    if isinstance(message, Request):
        parse_message(message.response(200, to_tag="x").serialize())


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_a_protocol_error(data: bytes) -> None:
    read_or_refuse(data)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([build(body=b"v=0\r\n"), *(path.read_bytes() for path in VECTORS)]),
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 3), st.binary(max_size=4)), min_size=1, max_size=6),
)
def test_a_mutated_message_is_a_message_or_a_protocol_error(data: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    for place, cut, new in edits:
        place %= len(data) + 1
        data = data[:place] + new + data[place + cut :]
    read_or_refuse(data)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["INVITE sip:b@c SIP/2.0", "SIP/2.0 200 OK", "BYE sip:[::1]:1;x SIP/2.0"]),
    st.lists(
        st.one_of(
            st.sampled_from(PIECES),
            st.tuples(st.sampled_from(NAMES), ALPHABET),
        ),
        max_size=12,
    ),
)
def test_structured_garbage_is_a_message_or_a_protocol_error(start: str, fields: list[str | tuple[str, str]]) -> None:
    lines = [start, *(field if isinstance(field, str) else f"{field[0]}: {field[1]}" for field in fields), "", ""]
    read_or_refuse("\r\n".join(lines).encode("utf-8", "surrogateescape"))


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(WIDE),
        ALPHABET,
        min_size=1,
    )
)
def test_any_text_in_a_field_is_a_message_or_a_protocol_error(fields: dict[str, str | None]) -> None:
    for start in ("INVITE sip:b@c SIP/2.0", "SIP/2.0 200 OK"):
        read_or_refuse(build(start, fields))


@pytest.mark.parametrize("character", list(' \t,;<>"\\/:@%=a.[]?&(0'))
def test_no_field_takes_long_to_read(character: str) -> None:
    starts = {
        "Contact": '"',
        "Via": "SIP/2.0/UDP h;",
        "To": "<sip:",
        "From": 'sip:a@b;x="\\',
        "Record-Route": "<sip:a@b;",
        "Route": "sip:a@b;",
        "X": "",
    }
    for name, start in starts.items():
        data = build("INVITE sip:b@c SIP/2.0", {name: start + character * 60_000})
        began = time.thread_time()
        read_or_refuse(data)
        assert time.thread_time() - began < 0.5  # a quadratic pattern takes minutes, the parser some 10 ms


def test_reading_a_usual_message_is_cheap() -> None:
    data = build(
        "INVITE sip:bob@example.com SIP/2.0",
        {},
        "Allow: INVITE, ACK",
        "Supported: timer",
        "User-Agent: x",
        "Content-Length: 0",
    )
    best = 1.0
    for _ in range(200):
        began = time.perf_counter()
        parse_message(data)
        best = min(best, time.perf_counter() - began)
    assert best < 300e-6  # about 50 us on a machine of 2020
