"""Message bodies: which part is the session description, which others must be understood (RFC 3261 section 8.2.3,
RFC 5621)."""

from __future__ import annotations

import time
from codecs import BOM_UTF8

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sip_bytes import build
from tests.support.sip_lab import ANSWER, OFFER, TextPeer, calling, calls_of, text_agent
from voip.sip import (
    CallAnswered,
    CallEstablished,
    CallOffered,
    CallReanswered,
    IncomingCall,
    Request,
    Response,
    parse_message,
)
from voip.sip.bodies import MAX_PARTS, objection_to_body, session_part

SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nm=audio 6000 RTP/AVP 0"
OTHER = SDP.replace(b"6000", b"7000")
ISUP = b"\x01\x00\x49\r\n--\xff"
LOCATION = "application/pidf+xml"


def part(kind: str, data: bytes, disposition: str = "", more: str = "") -> bytes:
    lines = f"Content-Type: {kind}\r\n" if kind else ""
    lines += f"Content-Disposition: {disposition}\r\n" if disposition else ""
    return (lines + more).encode() + b"\r\n" + data


def multipart(*parts: bytes, boundary: str = "b1", end: str = "--\r\n") -> bytes:
    mark = b"--" + boundary.encode()
    return b"".join(mark + b"\r\n" + each + b"\r\n" for each in parts) + mark + end.encode()


def message(body: bytes, kind: str, *lines: str) -> Request:
    typed = [f"Content-Type: {kind}"] if kind else []
    request = parse_message(build("INVITE sip:b@c SIP/2.0", {}, *typed, *lines, body=body))
    assert isinstance(request, Request)
    return request


MIXED = "multipart/mixed;boundary=b1"
SESSION = part("application/sdp", SDP)
PLACE = part(LOCATION, b"<presence/>\r\n")
ALTERNATIVE = MIXED.replace("mixed", "alternative")
CODED = "Content-Transfer-Encoding: base64\r\n"
NAMED = CODED.replace("base64", "8BIT")
INNER = part("multipart/alternative;boundary=in", multipart(SESSION, boundary="in"))
FOUND = [
    ("plain", SDP, "application/sdp"),
    ("with a charset", SDP, "application/sdp;charset=utf-8"),
    ("in capitals, with spaces", SDP, " Application / SDP ; x"),
    ("without a type", SDP, ""),
    ("first of two", multipart(SESSION, PLACE), MIXED),
    ("second of two", multipart(PLACE, SESSION), MIXED),
    ("of a quoted boundary", multipart(PLACE, SESSION, boundary="a; b"), 'Multipart/Mixed; boundary="a; b"'),
    ("the last of alternatives", multipart(part("application/sdp", OTHER), SESSION), ALTERNATIVE),
    ("the first of a mixture", multipart(SESSION, part("application/sdp", OTHER)), MIXED),
    ("of the session, not of early media", multipart(part("application/sdp", OTHER, "early-session"), SESSION), MIXED),
    ("in a part without a type", multipart(part("", SDP), PLACE), MIXED),
    ("not of an encoded part", multipart(part("application/sdp", b"djA", "", CODED), SESSION), MIXED),
    ("of an encoding by name alone", multipart(part("application/sdp", SDP, "", NAMED)), MIXED),
    ("in a multipart of a multipart", multipart(PLACE, INNER), MIXED),
    ("without the end of the last part", multipart(PLACE, SESSION)[: -len("\r\n--b1--\r\n")], MIXED),
    ("after a comment", b"This is MIME.\r\n" + multipart(SESSION, PLACE) + b"\r\nthe end", MIXED),
    ("with bare line feeds", multipart(PLACE, SESSION).replace(b"\r\n", b"\n"), MIXED),
    ("of a subtype unknown here", multipart(SESSION, PLACE), "multipart/signed;boundary=b1"),
    ("without a type, after a byte order mark", BOM_UTF8 + SDP, ""),
    ("of the identity as its encoding", SDP, "application/sdp\r\nContent-Encoding: identity, "),
    ("in a part with a compact field name", multipart(b"c:application/sdp\r\n\r\n" + SDP), MIXED),
    ("beside an empty part", multipart(b"", SESSION), MIXED),
    ("of a boundary that needed quotes", multipart(SESSION, boundary="=_a/b:1"), "multipart/mixed;boundary==_a/b:1"),
    ("of related parts", multipart(SESSION, PLACE), 'multipart/related;type="application/sdp";boundary=b1;'),
    ("with a folded type", multipart(b"Content-Type:\r\n application/sdp\r\n\r\n" + SDP), MIXED),
]


@pytest.mark.parametrize(("body", "kind"), [case[1:] for case in FOUND], ids=[case[0] for case in FOUND])
def test_the_session_description_is_found(body: bytes, kind: str) -> None:
    request = message(body, kind)
    assert session_part(request).removeprefix(BOM_UTF8).replace(b"\r\n", b"\n") == SDP.replace(b"\r\n", b"\n")
    assert objection_to_body(request) is None


THIRD = part(MIXED.replace("b1", "b3"), multipart(SESSION, boundary="b3"))
DEEP = multipart(part(MIXED.replace("b1", "b2"), multipart(THIRD, boundary="b2")))
ABSENT = [
    ("another type", b"hello", "text/plain", True),
    ("no type", b"hello", "", True),
    ("a location alone", multipart(PLACE), MIXED, True),
    ("what may be passed over alone", multipart(part("text/plain", b"x", "render;handling=optional")), MIXED, False),
    ("early media alone", SDP, "application/sdp\r\nContent-Disposition: early-session", True),
    ("compressed", SDP, "application/sdp\r\nContent-Encoding: gzip", True),
    ("a compressed multipart", multipart(SESSION), f"{MIXED}\r\nContent-Encoding: gzip", True),
    ("no boundary", multipart(SESSION), "multipart/mixed", True),
    ("another boundary", multipart(SESSION), MIXED.replace("b1", "b"), True),
    ("quotes without end", multipart(SESSION), 'multipart/mixed;boundary="b1', True),
    ("too deep", DEEP, MIXED, True),
    ("too many parts", multipart(*[PLACE] * MAX_PARTS, SESSION), MIXED, True),
    ("optional", b"hello", "text/plain\r\nContent-Disposition: render;handling=optional", False),
    ("optional multipart", multipart(PLACE), f"{MIXED}\r\nContent-Disposition: render; Handling = OPTIONAL", False),
    ("nothing", b"", "text/plain", False),
]


@pytest.mark.parametrize(("body", "kind", "refused"), [c[1:] for c in ABSENT], ids=[c[0] for c in ABSENT])
def test_what_is_no_session_description_is_refused_where_it_must_be_understood(
    body: bytes, kind: str, refused: bool
) -> None:
    request = message(body, kind)
    assert session_part(request) == b""
    refusal = objection_to_body(request)
    assert (refusal is not None and refusal.status == 415) is refused


def test_a_required_part_beside_the_session_is_refused_and_named() -> None:
    body = multipart(SESSION, part("application/ISUP;version=itu-t92+", ISUP, "signal;handling=required"))
    refusal = objection_to_body(message(body, MIXED))
    assert refusal is not None
    assert (refusal.status, refusal.why) == (415, "body is application/isup")
    optional = body.replace(b"required", b"optional")
    assert objection_to_body(message(optional, MIXED)) is None
    alternatives = message(body, ALTERNATIVE)
    assert objection_to_body(alternatives) is None  # of alternatives only one need be understood


# --- in calls ---------------------------------------------------------------------------------------------------------


def typed(data: bytes, kind: str) -> bytes:
    """The same message with its body of another type."""
    assert b"Content-Type: application/sdp" in data
    return data.replace(b"Content-Type: application/sdp", f"Content-Type: {kind}".encode(), 1)


def answers(peer: TextPeer) -> list[bytes]:
    return [event.answer for event in calls_of(peer.agent) if isinstance(event, CallAnswered)]


def called(body: bytes, kind: str) -> tuple[TextPeer, list[bytes]]:
    """An INVITE with this body: the offers that the user is asked about."""
    peer = TextPeer(text_agent())
    peer.say(typed(peer.request("INVITE", body=body), kind))
    return peer, [event.offer for event in calls_of(peer.agent) if isinstance(event, IncomingCall)]


def test_a_call_with_a_location_beside_its_offer_comes_in() -> None:
    assert called(multipart(PLACE, SESSION), MIXED)[1] == [SDP]


def test_a_call_with_an_optional_body_of_another_type_gets_our_offer() -> None:
    peer, offers = called(b"hello", "text/plain\r\nContent-Disposition: render;handling=optional")
    assert offers == [b""]
    peer.agent.accept(peer.call_id, OFFER, peer.now)
    (ok,) = peer.hear()
    assert ok.body == OFFER
    ack = typed(peer.request("ACK", to_tag=ok.to.tag or "", body=multipart(PLACE, SESSION)), MIXED)
    peer.say(ack)
    assert calls_of(peer.agent) == [CallEstablished(peer.call_id, SDP)]


def test_an_answer_of_two_parts_is_understood() -> None:
    peer, invite = calling()
    peer.say(typed(peer.response(invite, 200, body=multipart(PLACE, SESSION)), MIXED))
    assert answers(peer) == [SDP]


@pytest.mark.parametrize("kind", ["text/plain", "application/ISUP;version=itu-t92+"])
def test_a_reliable_response_whose_body_is_no_description_is_no_answer(kind: str) -> None:
    peer, invite = calling()
    lines = "Require: 100rel\r\nRSeq: 1\r\n"
    peer.say(typed(peer.response(invite, 183, lines=lines, body=b"ring tone: 7"), kind))
    peer.say(peer.response(invite, 200, body=ANSWER))
    assert answers(peer) == [ANSWER]


def test_of_a_reliable_response_with_two_parts_the_description_is_the_answer() -> None:
    peer, invite = calling()
    lines = "Require: 100rel\r\nRSeq: 1\r\n"
    peer.say(typed(peer.response(invite, 183, lines=lines, body=multipart(PLACE, SESSION)), MIXED))
    peer.say(peer.response(invite, 200, body=ANSWER))
    assert answers(peer) == [SDP]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_changed_offer_may_be_of_two_parts(method: str) -> None:
    peer, _ = called(SDP, "application/sdp")
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    tag = peer.hear()[0].to.tag or ""
    peer.say(peer.request("ACK", to_tag=tag))
    calls_of(peer.agent)
    peer.say(typed(peer.request(method, 2, to_tag=tag, body=multipart(PLACE, SESSION)), MIXED))
    assert calls_of(peer.agent) == [CallOffered(peer.call_id, SDP)]


def test_the_answer_to_a_changed_offer_may_be_of_two_parts() -> None:
    peer, _ = called(SDP, "application/sdp")
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    peer.say(peer.request("ACK", to_tag=peer.hear()[0].to.tag or ""))
    calls_of(peer.agent)
    peer.agent.reinvite(peer.call_id, OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    peer.say(typed(peer.response(invite, 200, body=multipart(SESSION, PLACE)), MIXED))
    assert calls_of(peer.agent) == [CallReanswered(peer.call_id, SDP)]


def test_a_body_that_must_be_understood_and_is_not_is_refused() -> None:
    peer = TextPeer(text_agent())
    (answer,) = peer.say(typed(peer.request("INVITE", body=b"hello"), "text/plain"))
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers.get("Accept")) == (415, "application/sdp")


# --- whatever the bytes -----------------------------------------------------------------------------------------------

KINDS = [
    "application/sdp",
    MIXED,
    ALTERNATIVE,
    'multipart/mixed;boundary="',
    "x/y;x",
    "multipart/mixed;boundary=\udcff",
]
TYPED = [b"Content-Type: " + kind.encode() for kind in ("application/sdp", MIXED)]
LINES = st.sampled_from([b"--b1", b"--b1--", b"--", b"", b"v=0", *TYPED, b"Content-Type", b":", b" x", b"\xff\r"])


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(KINDS), st.one_of(st.binary(max_size=200), st.lists(LINES, max_size=20).map(b"\r\n".join)))
def test_any_body_holds_a_description_or_none(kind: str, body: bytes) -> None:
    request = message(body, kind)
    session = session_part(request)
    assert session in body
    objection_to_body(request)


@pytest.mark.parametrize("piece", [b"--b1\r\n", b"\r\n", b"-", b"--b1--", b"--b1\r\n" + TYPED[1] + b"\r\n\r\n"])
def test_no_body_takes_long_to_read(piece: bytes) -> None:
    request = message(piece * (64_000 // len(piece)), MIXED)
    began = time.thread_time()
    session_part(request)
    objection_to_body(request)
    assert time.thread_time() - began < 0.5
