"""Messages out of streams of bytes, however these are cut; keep-alives between them; streams that are no SIP."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voip.errors import ProtocolError
from voip.sip.framing import PING, StreamError, StreamFramer
from voip.sip.message import MAX_HEADER_SECTION, MAX_MESSAGE

BODY = b"v=0\r\n\r\nINVITE sip:a@b SIP/2.0\r\n\r\n"
INVITE = (
    b"INVITE sip:b@10.0.0.9 SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1\r\n"
    b"Content-Length: %d\r\nSubject: x\r\n\r\n" % len(BODY) + BODY
)
COMPACT = b"BYE sip:b@10.0.0.9 SIP/2.0\r\nv: SIP/2.0/TCP 10.0.0.1\r\nl : 3\r\n\r\nabc"
FOLDED = b"SIP/2.0 200 OK\r\nContent-length:\r\n\t 2\r\nTo: <sip:a@b>\r\n\r\nxy"
BARE_LF = b"SIP/2.0 180 Ringing\nContent-Length: 0\nTo: <sip:a@b>\n\n"
VECTORS = sorted((Path(__file__).resolve().parents[2] / "vectors" / "sip").glob("*.*"))
MESSAGES = (INVITE, COMPACT, FOLDED, BARE_LF)


def messages_of(framer: StreamFramer, data: bytes) -> list[bytes]:
    framer.feed(data)
    found = []
    while (message := framer.next_message()) is not None:
        found.append(message)
    return found


def test_messages_come_out_as_they_went_in() -> None:
    framer = StreamFramer()
    assert messages_of(framer, b"".join(MESSAGES)) == list(MESSAGES)
    assert not framer.unfinished
    assert framer.pongs_owed == 0


@settings(deadline=None)
@given(st.lists(st.sampled_from(MESSAGES), max_size=8), st.data())
def test_it_does_not_matter_where_the_bytes_are_cut(messages: list[bytes], data: st.DataObject) -> None:
    blanks = [data.draw(st.sampled_from([b"", b"\r\n", PING])) for _ in messages]
    stream = b"".join(blank + message for blank, message in zip(blanks, messages, strict=True))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    framer, found = StreamFramer(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += messages_of(framer, stream[start:end])
    assert found == messages
    assert framer.pongs_owed == blanks.count(PING)
    assert not framer.unfinished


def test_byte_by_byte() -> None:
    framer, found = StreamFramer(), []
    for byte in PING.join(MESSAGES):
        found += messages_of(framer, bytes([byte]))
    assert found == list(MESSAGES)
    assert framer.pongs_owed == len(MESSAGES) - 1


def test_a_message_that_has_begun_is_unfinished_until_its_last_byte() -> None:
    framer = StreamFramer()
    assert messages_of(framer, INVITE[:-1]) == []
    assert framer.unfinished
    assert messages_of(framer, INVITE[-1:]) == [INVITE]
    assert not framer.unfinished


def test_the_answer_to_our_ping_is_no_half_of_a_ping() -> None:
    framer = StreamFramer()
    for _ in range(4):
        framer.await_pong()
        messages_of(framer, b"\r\n")
        assert not framer.pong_awaited
    assert framer.pongs_owed == 0
    messages_of(framer, b"\r\n")
    messages_of(framer, b"\r\n")
    assert framer.pongs_owed == 1


def test_what_came_before_the_break_is_delivered_and_what_breaks_it_can_be_refused() -> None:
    framer = StreamFramer()
    broken = b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1\r\n\r\n"
    framer.feed(INVITE + broken + INVITE)
    assert framer.next_message() == INVITE
    for _ in range(2):
        with pytest.raises(StreamError, match="no Content-Length") as stop:
            framer.next_message()
        framer.feed(INVITE)
    assert stop.value.head == broken
    assert stop.value.status == 400


@pytest.mark.parametrize(
    ("stream", "status"),
    [
        (b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 1\r\nl: 1\r\n\r\n", 400),
        (b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n", 400),
        (b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 1e3\r\n\r\n", 400),
        (b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: %d\r\n\r\n" % MAX_MESSAGE, 513),
        (b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
        (b"OPTIONS sip:a@b SIP/2.0\r\nX: " + b"x" * MAX_HEADER_SECTION, 513),
        (b"O" * (MAX_HEADER_SECTION + 1), 513),
        (b"GET / HTTP/1.1\r\n", 400),
        (b"\x16\x03\x01", 400),
        (b"\r\r\n", 400),
        (b" ", 400),
        (b"\r\nSIP/2.0\x00200 OK\r\n", 400),
    ],
)
def test_a_stream_that_breaks_the_grammar_is_given_up(stream: bytes, status: int) -> None:
    framer = StreamFramer()
    framer.feed(stream)
    with pytest.raises(ProtocolError) as stop:
        framer.next_message()
    assert isinstance(stop.value, StreamError)
    assert stop.value.status == status


def test_the_largest_message_passes() -> None:
    head = b"MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 65000\r\n\r\n"
    assert messages_of(StreamFramer(), head + bytes(65000)) == [head + bytes(65000)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_give_messages_or_a_stream_error(chunks: list[bytes]) -> None:
    framer = StreamFramer()
    try:
        for chunk in chunks:
            messages_of(framer, chunk)
    except StreamError:
        return


def test_mutated_streams_never_do_worse() -> None:
    rng = random.Random(7)
    stream = PING.join(MESSAGES * 3)
    for _ in range(2000):
        mutated = bytearray(stream)
        for _ in range(rng.randrange(1, 6)):
            place = rng.randrange(len(mutated))
            mutated[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        framer, place = StreamFramer(), 0
        try:
            while place < len(mutated):
                step = rng.randrange(1, 100)
                messages_of(framer, bytes(mutated[place : place + step]))
                place += step
        except StreamError:
            continue


@pytest.mark.parametrize("file", VECTORS, ids=lambda file: str(file.stem))
def test_messages_of_others_are_cut_by_their_length_or_refused(file: Path) -> None:
    """Of RFC 4475 and others: those that a stream can carry come out whole, or break it."""
    data = file.read_bytes()
    framer = StreamFramer()
    framer.feed(data)
    length = re.search(rb"^(?:content-length|l)[ \t]*:[ \t]*([0-9]+)[ \t]*\r?$", data, re.IGNORECASE | re.MULTILINE)
    try:
        message = framer.next_message()
    except StreamError:
        return
    if message is None:
        assert framer.unfinished
    else:
        assert length is not None
        assert data.lstrip(b"\r\n").startswith(message)
        assert message.endswith(data.lstrip(b"\r\n")[len(message) - int(length[1]) : len(message)])
