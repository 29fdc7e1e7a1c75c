"""Frames between a parent and a worker: whole, in order, over a real pair of sockets."""

from __future__ import annotations

import random
import socket

import pytest

from voip.net.frames import LONGEST, MOST_WAITING, Frame, FrameReader, FrameStream
from voip.net.loop import EventLoop


def test_frames_come_out_as_they_went_in_wherever_the_stream_is_cut() -> None:
    rng = random.Random(1)
    frames = [Frame(("message", "udp", "::1", n, "é"), rng.randbytes(rng.randrange(900))) for n in range(50)]
    frames.append(Frame(("state", 3, ["a\nb"], [], []), b"\n\n"))
    octets, reader, got = b"".join(frame.pack() for frame in frames), FrameReader(), []
    while octets:
        cut = rng.randrange(1, 300)
        got += reader.feed(octets[:cut])
        octets = octets[cut:]
    assert [Frame(tuple(frame.fields), frame.body) for frame in got] == [
        Frame(tuple(frame.fields), frame.body) for frame in frames
    ]


def test_a_length_that_no_process_of_ours_writes_is_refused() -> None:
    with pytest.raises(ValueError, match="frame"):
        FrameReader().feed((LONGEST + 1).to_bytes(4, "big"))


def make_streams() -> tuple[EventLoop, FrameStream, FrameStream, list[Frame], list[str]]:
    loop, (one, other) = EventLoop(), socket.socketpair()
    got: list[Frame] = []
    ends: list[str] = []
    first = FrameStream(loop, one, lambda frames: None, lambda: ends.append("first"))
    second = FrameStream(loop, other, got.extend, lambda: ends.append("second"))
    return loop, first, second, got, ends


def test_what_does_not_fit_into_the_socket_is_sent_when_it_does_and_what_is_far_too_much_is_not() -> None:
    loop, first, second, got, ends = make_streams()
    body = bytes(60_000)
    sent = 0
    while first.send(Frame(("n", sent), body)):
        sent += 1
    assert sent * len(body) >= MOST_WAITING
    while len(got) < sent:
        loop.turn(0.0)
    assert [frame.fields[1] for frame in got] == list(range(sent))
    assert first.send(Frame(("n", sent)))
    first.close()
    second.close()
    loop.close()
    assert ends == []


def test_the_end_of_the_other_process_is_told_once_whether_we_read_or_write() -> None:
    loop, first, second, _, ends = make_streams()
    first.close()
    for _ in range(5):
        second.send(Frame(("n",)))
        loop.turn(0.0)
    assert ends == ["second"]
    assert not second.send(Frame(("n",)))
    second.close()
    loop.close()
