"""The text of a telephone, letter by letter: nothing else in the tests checks it."""

from __future__ import annotations

from tests.support.text_phone import TextPhone, first_format, is_final, media_port, rtpmap, status, value

PHONE = TextPhone("bob", "192.0.2.1", 5099, "tag1")
INVITE = (
    b"INVITE sip:alice@192.0.2.9 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5099;branch=z9hG4bKx;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: <sip:bob@192.0.2.1:5099>;tag=tag1\r\n"
    b"To: <sip:alice@192.0.2.9>\r\n"
    b"Call-ID: one\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Contact: <sip:bob@192.0.2.1:5099>\r\n"
    b"Subject: none\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: 5\r\n"
    b"\r\n"
    b"v=0\r\n"
)


def test_a_request() -> None:
    made = PHONE.request(
        "INVITE", "sip:alice@192.0.2.9", "Subject: none", call_id="one", branch="z9hG4bKx", body=b"v=0\r\n"
    )
    assert made == INVITE


def test_a_response_copies_what_it_has_to_and_adds_a_tag_once() -> None:
    request = INVITE.decode().replace("Max-Forwards: 70", "Record-Route: <sip:192.0.2.5;lr>")
    ringing = PHONE.response(request, 180, "Ringing", tag="theirs").decode()
    assert ringing.split("\r\n") == [
        "SIP/2.0 180 Ringing",
        "Via: SIP/2.0/UDP 192.0.2.1:5099;branch=z9hG4bKx;rport",
        "Record-Route: <sip:192.0.2.5;lr>",
        "From: <sip:bob@192.0.2.1:5099>;tag=tag1",
        "To: <sip:alice@192.0.2.9>;tag=theirs",
        "Call-ID: one",
        "CSeq: 1 INVITE",
        "Contact: <sip:bob@192.0.2.1:5099>",
        "Content-Length: 0",
        "",
        "",
    ]
    tagged = request.replace("To: <sip:alice@192.0.2.9>", "To: <sip:alice@192.0.2.9>;tag=old")
    assert value(PHONE.response(tagged, 200, "OK").decode(), "To") == "<sip:alice@192.0.2.9>;tag=old"
    assert "tag=" not in value(PHONE.response(request, 100, "Trying").decode(), "To")


def test_a_contact_names_a_transport_other_than_udp() -> None:
    phone = TextPhone("bob", "192.0.2.1", 5099, "tag1", "tcp")
    request = phone.request("OPTIONS", "sip:alice@192.0.2.9").decode()
    assert value(request, "Contact") == "<sip:bob@192.0.2.1:5099;transport=tcp>"
    assert value(request, "Via").startswith("SIP/2.0/TCP ")
    assert "Contact" not in phone.request("OPTIONS", "sip:alice@192.0.2.9", contact=False).decode()


def test_a_description_and_what_is_read_of_one() -> None:
    offer = PHONE.description(4000, [96, 0], "a=rtpmap:96 L16/8000", "a=sendrecv")
    assert offer == (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        "m=audio 4000 RTP/AVP 96 0\r\na=rtpmap:96 L16/8000\r\na=sendrecv\r\n"
    )
    assert (media_port(offer), first_format(offer)) == (4000, 96)
    assert (rtpmap(offer, 96), rtpmap(offer, 0)) == (["a=rtpmap:96 L16/8000"], [])


def test_a_final_response_belongs_to_its_call_and_request() -> None:
    answer = PHONE.response(INVITE.decode(), 200, "OK").decode()
    assert status(answer) == 200
    assert status(None) is None
    assert is_final(answer, "one")
    assert is_final(answer, "one", "1 INVITE")
    assert not is_final(answer, "one", "2 INVITE")
    assert not is_final(answer, "on")
    assert not is_final(PHONE.response(INVITE.decode(), 180, "Ringing").decode(), "one")
    assert not is_final(INVITE.decode(), "one")
