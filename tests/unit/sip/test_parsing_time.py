"""No single input takes long to read, however it is made: 10 ms of one core by the table of threats (S13)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from tests.support.descriptions import BOB, RECEIVER
from voip.errors import VoipError
from voip.sdp import SessionDescription, make_answer
from voip.sip.framing import StreamFramer
from voip.sip.grammar import MAX_PARAMETERS
from voip.sip.message import NameAddr, SipParseError, SipUri, parse_message, salvage

SLOW_MACHINE = 4.0
LIMIT = 0.010 * SLOW_MACHINE
SIZE = 64_000


def fill(unit: bytes) -> bytes:
    return unit * (SIZE // len(unit))


def message(
    line: bytes = b"", *, start: bytes = b"INVITE sip:a@b SIP/2.0", sender: bytes = b"<sip:a@b>;tag=1"
) -> bytes:
    return (
        start + b"\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKx\r\nFrom: " + sender + b"\r\nTo: <sip:a@b>\r\n"
        b"Call-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:a@10.0.0.9>\r\n" + line + b"Content-Length: 0\r\n\r\n"
    )


HEADS = {
    "spaces in Content-Length": message(b"l: x" + b" " * SIZE + b"y\r\n"),
    "CR in Content-Length": message(b"l: x" + b"\r" * SIZE + b"y\r\n"),
    "many Content-Length": message((b"l: x" + b" " * 600 + b"y\r\n") * 100),
    "folds": message(b"X: a" + fill(b"\r\n ") + b"\r\n"),
    "Via parameters": message(b"Via: SIP/2.0/UDP a" + fill(b";a=b") + b"\r\n"),
    "Via quotes": message(b"Via: SIP/2.0/UDP a;b=" + fill(b'"') + b"\r\n"),
    "Via values": message(b"Via: " + fill(b"SIP/2.0/UDP a,") + b"x\r\n"),
    "Contact values": message(b"Contact: " + fill(b"<sip:a@b>,") + b"<sip:b>\r\n"),
    "Contact quotes": message(b'Contact: "' + fill(b'\\"') + b"\r\n"),
    "Contact parameters": message(b"Contact: <sip:a@b>" + fill(b";a=b") + b"\r\n"),
    "Contact headers": message(b"Contact: <sip:a@b?" + fill(b"a=b&") + b">\r\n"),
    "Record-Route values": message(b"Record-Route: " + fill(b"<sip:a@b>,") + b"<sip:b>\r\n"),
    "lines": message(b"X: y\r\n" * 980),
    "SIP/ in the start line": message(start=fill(b"SIP/")[:8000] + b"\x01"),
    "parameters of the request URI": message(start=b"INVITE sip:a@b" + fill(b";a=b") + b" SIP/2.0"),
    "parameters of From": message(sender=b"<sip:a@b>" + fill(b";a=b") + b";tag=1"),
    "quotes in From": message(sender=fill(b'"')),
    "semicolons in From": message(sender=fill(b";")),
}
FORMATS = range(64, 128)


def description(*media: str) -> bytes:
    return ("v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\n" + "".join(media)).encode()


def audio(*attributes: str) -> str:
    numbers = " ".join(map(str, FORMATS))
    return f"m=audio 6000 RTP/AVP {numbers}\r\n" + "".join(f"a={attribute}\r\n" for attribute in attributes)


DESCRIPTIONS = {
    "an rtpmap for each format, 14 times": description(audio(*[f"rtpmap:{i} opus/48000/2" for i in FORMATS] * 14)),
    "990 rtpmaps of one format": description(audio(*[f"rtpmap:127 {'x' * 40}/8000"] * 990)),
    "99 media lines of 64 formats": description(*[audio(*[f"rtpmap:{i} opus/48000/2" for i in range(96, 104)])] * 99),
    "long fmtp": description(
        audio(*[f"rtpmap:{i} opus/48000/2" for i in FORMATS], *[f"fmtp:{i} " + "a=b;" * 200 for i in FORMATS])
    ),
}


def seconds(function: Callable[[], object]) -> float:
    """Of processor time, the least of five."""
    times = []
    for _ in range(5):
        start = time.thread_time()
        with contextlib.suppress(VoipError):
            function()
        times.append(time.thread_time() - start)
        if times[-1] > 1.0:
            break
    return min(times)


def through_a_stream(data: bytes, piece: int = 1 << 14) -> None:
    framer = StreamFramer()
    for start in range(0, len(data), piece):
        framer.feed(data[start : start + piece])
        while (found := framer.next_message()) is not None:
            parse_message(found, stream=True)


@pytest.mark.parametrize("name", HEADS)
def test_a_message_is_read_or_refused_at_once(name: str) -> None:
    data = HEADS[name]
    assert seconds(lambda: parse_message(data)) < LIMIT
    assert seconds(lambda: through_a_stream(data)) < LIMIT
    assert seconds(lambda: salvage(data.replace(b"CSeq: 1 INVITE", b"CSeq: x"))) < LIMIT


@pytest.mark.parametrize(
    "data", [message(b"X: " + b"y" * SIZE + b"\r\n"), b"INVITE sip:" + b"a" * 8000, b"\r\n" * 20000]
)
def test_a_byte_at_a_time_costs_no_more_for_each_than_the_read(data: bytes) -> None:
    assert seconds(lambda: through_a_stream(data, 1)) < len(data) * 2e-6 * SLOW_MACHINE


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_description_is_answered_or_refused_at_once(name: str) -> None:
    assert seconds(lambda: make_answer(SessionDescription.parse(DESCRIPTIONS[name]), RECEIVER, BOB)) < LIMIT


@pytest.mark.parametrize("number", [MAX_PARAMETERS, MAX_PARAMETERS + 1])
def test_parameters_are_read_up_to_their_limit(number: int) -> None:
    many = "".join(f";p{each}" for each in range(number))
    for read in (SipUri.parse, NameAddr.parse, NameAddr.read):
        text = f"sip:a@b{many}" if read == SipUri.parse else f"<sip:a@b>{many}"
        if number > MAX_PARAMETERS:
            with pytest.raises(SipParseError):
                read(text)
        else:
            assert len(read(text).params) == number
