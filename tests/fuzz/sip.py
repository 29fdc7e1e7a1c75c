"""Fuzz targets of SIP: messages, streams of them, URIs, digest, bodies, and a whole user agent."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.fuzz.target import Target, files, joined, pieces, read
from tests.support.text_phone import TextPhone, value
from voip.errors import ProtocolError
from voip.sip import Address, CallOffered, Credentials, IncomingCall, UserAgent, parse_message, parse_target
from voip.sip.auth import parse_challenge, parse_credentials
from voip.sip.bodies import objection_to_body, session_part
from voip.sip.dispatch import KEEP_ALIVE
from voip.sip.framing import StreamFramer
from voip.sip.headers import CSeq, Via
from voip.sip.info_digit import digit_of
from voip.sip.message import Request, Response, salvage
from voip.sip.uri import NameAddr, parse_uri

SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n"
PARTS = (
    b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:a@b>\r\n"
    b"Call-ID: 1\r\nCSeq: 1 INVITE\r\nContact: <sip:x@10.0.0.9>\r\nMax-Forwards: 70\r\n"
    b"Content-Type: multipart/mixed;boundary=p\r\n\r\n--p\r\nContent-Type: application/sdp\r\n\r\n"
    + SDP
    + b"--p\r\nContent-Type: application/pidf+xml\r\nContent-Disposition: render;handling=optional\r\n\r\n<x/>\r\n"
    + b"--p--\r\n"
)


def messages() -> Sequence[bytes]:
    return [*files("sip/*.sip", "sip/rfc4475/*"), PARTS]


def message(data: bytes) -> None:
    """A datagram or, where its length is odd, a part of a stream: they differ in Content-Length alone. Its bodies, and
    what can be saved of it; written and read again it is the same."""
    salvage(data)
    digit_of(data)
    found = read(parse_message, data, stream=len(data) % 2 == 1)
    if found is None:
        return
    again = parse_message(found.serialize())
    assert (again.headers, again.body) == (found.headers, found.body)
    read(session_part, found)
    if isinstance(found, Request):
        objection_to_body(found)


def stream(data: bytes) -> None:
    """A connection: pieces of a stream as they come, until it is broken."""
    framer = StreamFramer()
    with contextlib.suppress(ProtocolError):
        for _, piece in pieces(data):
            framer.feed(piece)
            while framer.next_message() is not None:
                pass


def stream_seeds() -> Sequence[bytes]:
    return [joined(*((0, each[at : at + 200]) for at in range(0, len(each), 200))) for each in messages()]


def addresses(data: bytes) -> None:
    """URIs, names with addresses, Via and CSeq; written and read again they are the same."""
    text = data.decode("utf-8", "surrogateescape")
    whole = not {"\r", "\n"} & {*text}  # no value of a message holds a line break, which a name would lose
    for parse in (parse_uri, NameAddr.parse, NameAddr.read, Via.parse, Via.read, CSeq.parse):
        found = read(parse, text)
        assert found is None or parse(str(found)) == found or not whole
    with contextlib.suppress(ValueError):  # what a user types: parse_target says so
        parse_target(text)


def address_seeds() -> Sequence[bytes]:
    return [
        b"sip:alice:secret@example.org:5060;transport=tcp;lr?subject=x&a=b",
        b"sips:[2001:db8::1]:5061",
        b'"A \\"quoted\\" name" <sip:a@b;p="x">;tag=1;q=0.5',
        b"tel:+1-201-555-0123;phone-context=example.com",
        b"SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;received=::1;rport=5",
        b"4711 INVITE",
        b"rtp://[::1]:5004",
    ]


def digest(data: bytes) -> None:
    """Challenges and credentials."""
    text = data.decode("utf-8", "surrogateescape")
    for parse in (parse_challenge, parse_credentials):
        read(parse, text)


def digest_seeds() -> Sequence[bytes]:
    return [
        b'Digest realm="atlanta", nonce="84a4", opaque="", stale=FALSE, algorithm=SHA-256, qop="auth,auth-int"',
        b'Digest username="bob", realm="biloxi", nonce="dcd9", uri="sip:a@b", qop=auth, nc=00000001, cnonce="0a4f", '
        b'response="6629fae49393a05397450978507c4ef1", opaque="5ccc"',
    ]


def user_agent(max_calls: int) -> UserAgent:
    """The same each time, down to its tags and branches."""
    credentials = Credentials("alice", "secret")
    local = ("10.0.0.1", 5060)
    return UserAgent(rng=random.Random(7), local=lambda remote: local, max_calls=max_calls, credentials=credentials)


def calling(now: float) -> UserAgent:
    """One that has called; it can take one call besides."""
    agent = user_agent(max_calls=2)
    agent.invite("sip:bob@10.0.0.9", SDP, now, timeout=10.0)
    return agent


def agent(data: bytes) -> None:
    """A user agent that accepts every call: messages from two hosts, over three transports, with time between them.

    Where there is a response among them it has made a call as well: a third of the time goes into that.
    """
    now, messages = 1000.0, list(pieces(data))
    responds = any(piece.lstrip(b"\r\n")[:4].upper() == b"SIP/" for _, piece in messages)
    ours, exchange = calling(now) if responds else user_agent(max_calls=1), Exchange()
    for control, piece in messages:
        host = "10.0.0.9" if control & 1 else "203.0.113.66"
        source = Address(("udp", "tcp", "tls", "udp")[control >> 1 & 3], host, 5099)
        now += (control >> 3) / 4.0
        ours.handle_timer(now)
        exchange.check(ours.messages_to_send(now))
        ours.receive(piece, source, now)
        while (event := ours.next_event()) is not None:
            if isinstance(event, IncomingCall | CallOffered):
                ours.accept(event.call_id, SDP, now)
        exchange.check(ours.messages_to_send(now), exchange.came(piece, source))
    now += 64.0
    ours.handle_timer(now)
    exchange.check(ours.messages_to_send(now))


@dataclass
class Exchange:
    """What comes to a target and what it sends for that. `asked`: the requests that could be read."""

    asked: list[Request] = field(default_factory=list)

    def came(self, piece: bytes, source: Address) -> Request | Response | None:
        """The message that came, if it can be read."""
        message = read(parse_message, piece, stream=source.reliable)
        if isinstance(message, Request):
            self.asked.append(message)
        return message

    def check(self, messages: Sequence[tuple[bytes, Address]], came: Request | Response | None = None) -> None:
        """What is sent, when this came, can be read, and a response to a request has the Vias of one like it: where a
        request is repeated, those of the first. Responses to what cannot be read repeat what is wrong with it."""
        for message, _ in messages:
            is_response = message.startswith(b"SIP/")
            if not message.strip(KEEP_ALIVE) or (is_response and came is None):
                continue
            found = parse_message(message)
            if isinstance(found, Response) and isinstance(came, Request):
                alike = [each for each in self.asked if (each.cseq, each.call_id) == (found.cseq, found.call_id)]
                assert not alike or found.hops in [each.hops for each in alike]


def agent_seeds() -> Sequence[bytes]:
    return [joined((1, each)) for each in messages() if len(each) < 1500] + [
        joined(*((1, each) for each in files("sip/sipp-uac-*.sip"))),
        joined(*((1, each) for each in files("sip/baresip-uac-*.sip"))),
        *response_seeds(),
    ]


def response_seeds() -> Sequence[bytes]:
    """What the callee of its call says, and goes on to say in the dialog."""
    (sent, _), *_ = calling(1000.0).messages_to_send(1000.0)
    invite, phone = sent.decode(), TextPhone("bob", "10.0.0.9", 5060, "theirs")
    challenge = 'Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"'
    seeds = [
        joined((1, phone.response(invite, code, reason, *lines)))
        for code, reason, *lines in (
            (183, "Session Progress", "Require: 100rel", "RSeq: 1"),
            (302, "Moved", "Contact: <sip:bob@10.0.0.7>, <sip:bob@10.0.0.9:5070;transport=tcp>;q=0.1"),
            (401, "Unauthorized", f"WWW-Authenticate: {challenge}"),
            (407, "Proxy Authentication Required", f"Proxy-Authenticate: {challenge}"),
            (415, "Unsupported Media Type", "Accept: text/plain"),
            (420, "Bad Extension", "Unsupported: timer"),
            (422, "Session Interval Too Small", "Min-SE: 1800"),
            (486, "Busy Here"),
            (503, "Service Unavailable", "Retry-After: 5"),
        )
    ]
    ringing = phone.response(invite, 180, "Ringing")
    answer = phone.response(invite, 200, "OK", "Session-Expires: 90;refresher=uac", "Supported: timer", body=SDP)
    call_id, ours = value(invite, "Call-ID"), value(invite, "From")
    within = [
        phone.request(
            method, "sip:a@10.0.0.1", call_id=call_id, to=ours, number=number, branch=f"z9hG4bK{number}", body=body
        )
        for number, (method, body) in enumerate(
            (("INVITE", SDP), ("ACK", b""), ("UPDATE", b""), ("INFO", b""), ("OPTIONS", b""), ("BYE", b"")), 5
        )
    ]
    return [
        *seeds,
        joined((1, ringing), (1 | 1 << 3, answer), *((1, each) for each in within)),
        joined((1, answer), (1 | 12 << 3, within[-1])),
        joined((1, answer), (1, phone.response(invite, 200, "OK", tag="fork", body=SDP)), (1 | 31 << 3, b"")),
    ]


TARGETS = (
    Target("sip-message", message, messages),
    Target("sip-stream", stream, stream_seeds),
    Target("sip-addresses", addresses, address_seeds, 300),
    Target("sip-digest", digest, digest_seeds, 600),
    Target("sip-agent", agent, agent_seeds),
)
