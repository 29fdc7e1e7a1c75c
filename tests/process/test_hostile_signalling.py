"""A real receiver.py whose SIP port is attacked while a call is up: the call goes on, and so does the program.

The attacker has another loopback address than the caller. What a flood costs in processor time is measured in virtual
time (tests/unit/sip/test_permission.py): here it is shown that nothing ends, and nothing is lost.
"""

import socket
from pathlib import Path

import pytest

from tests.support.raw_peer import RawPeer, raw_peer
from tests.support.raw_scene import GOOD, Scene, scene

pytestmark = pytest.mark.process

PER_PACKET = 10  # messages between two packets of the call: 500 a second
LONG = [f"Contact: <sip:{'a' * 60}@192.0.2.{number};p={number}>" for number in range(90)]
"""Some 8 kB."""
MOST_LOST = 0.01
ESCAPES = "\x1b]0;owned\x07\x1b[2J"


def messages(stranger: RawPeer, call: Scene) -> list[bytes]:
    ack, invite = (stranger.request(method, call.target, *LONG) for method in ("ACK", "INVITE"))
    response = ack.replace(ack.split(b"\r\n")[0], b"SIP/2.0 200 OK")
    zone = stranger.request("INVITE", call.target, body=stranger.description().replace("IP4 127", "IP6 fe80::1%"))
    escapes = stranger.request("INVITE", call.target, f"Subject: {ESCAPES}", body=stranger.description())
    return [ack, invite, response, zone, escapes.replace(b"From: ", f'From: "{ESCAPES}" '.encode(), 1)]


def test_long_messages_of_every_kind_leave_the_call_as_it_is(tmp_path: Path) -> None:
    with scene(tmp_path) as call, raw_peer("127.0.0.66") as stranger:
        kinds = messages(stranger, call)
        call.stream.send(25)
        for number in range(150):
            call.stream.send(1)
            for _ in range(PER_PACKET):
                stranger.send(kinds[number % len(kinds)], call.target)
        call.stream.send(25)
        heard = call.end()
    rx = heard.outcome.call["rx"]
    assert rx["lost"] <= MOST_LOST * len(call.stream.sent)
    assert heard.share() >= GOOD
    assert "Traceback" not in heard.outcome.stderr
    assert "\x1b" not in heard.outcome.stderr


def test_slow_headers_over_tcp_leave_the_call_as_it_is(tmp_path: Path) -> None:
    """40 kB a second of Content-Length full of spaces once took the whole processor, for 0.25 s each."""
    slow = b"INVITE sip:a@b SIP/2.0\r\nl: x" + b" " * 60_000 + b"\r\n\r\n"
    with scene(tmp_path) as call:
        call.stream.send(25)
        for _ in range(20):
            with socket.create_connection(call.target, 5.0) as attacker:
                attacker.sendall(slow)
                call.stream.send(5)
        heard = call.end()
    assert heard.outcome.call["rx"]["lost"] <= MOST_LOST * len(call.stream.sent)
    assert heard.share() >= GOOD
