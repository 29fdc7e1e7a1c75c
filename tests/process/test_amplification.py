"""What a real receiver.py --two-way sends to an address that an INVITE names, and that has said nothing."""

from __future__ import annotations

import select
import socket
import time
from pathlib import Path

import pytest

from tests.support.processes import receiver
from tests.support.raw_peer import PCMU, PTIME, Pace, raw_peer, rtp
from tests.support.text_phone import media_port, status, token, value

pytestmark = pytest.mark.process

PATIENCE = 5.0
WATCHED = 2.0
"""Seconds in which a stream would have had a hundred packets."""
THIRD = "127.0.0.3"


def come(sock: socket.socket, seconds: float, enough: int = 10_000) -> list[bytes]:
    """What comes in this time."""
    found: list[bytes] = []
    end = time.monotonic() + seconds
    while len(found) < enough and select.select([sock], [], [], max(0.0, end - time.monotonic()))[0]:
        found.append(sock.recv(65535))
    return found


def test_s9_a_third_address_gets_five_tiny_packets_until_it_speaks(tmp_path: Path) -> None:
    both = ("--two-way", "--input", "tone", "--output", "null", "-vv")
    third = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    third.bind((THIRD, 0))
    with third, receiver(tmp_path, *both) as far, raw_peer() as peer:
        target, call_id = (far.host, far.sip_port), token()
        where = f"c=IN IP4 {THIRD}", f"m=audio {third.getsockname()[1]} "
        body = peer.description((PCMU,)).replace(f"c=IN IP4 {peer.host}", where[0])
        body = body.replace(f"m=audio {peer.rtp.getsockname()[1]} ", where[1])
        assert all(part in body for part in where), body
        invite = peer.request("INVITE", target, call_id=call_id, body=body)
        answer = peer.ask(invite, target, PATIENCE)
        assert answer is not None
        assert status(answer) == 200
        before = come(third, WATCHED)
        peer.send(peer.request("ACK", target, call_id=call_id, to=value(answer, "To")), target)
        far.wait_for(f"is sent nothing at {THIRD} until RTP or RTCP comes from there")
        after = come(third, WATCHED)
        sent = before + after
        assert 1 <= len(sent) <= 5
        assert max(map(len, sent)) <= 12
        assert sum(map(len, sent)) < len(invite)

        media, pace = (far.host, media_port(answer)), Pace()
        for number in range(10):
            pace.wait(PTIME)
            third.sendto(rtp(number, number * 160, bytes(160), ssrc=9, payload_type=PCMU), media)
        stream = come(third, PATIENCE, 50)
        assert sum(len(packet) > 160 for packet in stream) >= 45
        peer.send(peer.request("BYE", target, call_id=call_id, to=value(answer, "To"), number=2), target)
        far.wait_for("call ended")


def test_s9_a_caller_without_an_ack_gets_no_sound_at_its_own_address_either(tmp_path: Path) -> None:
    with receiver(tmp_path, "--two-way", "--input", "tone", "--output", "null") as far, raw_peer() as peer:
        target, call_id = (far.host, far.sip_port), token()
        answer = peer.ask(
            peer.request("INVITE", target, call_id=call_id, body=peer.description((PCMU,))), target, PATIENCE
        )
        assert answer is not None
        sent = come(peer.rtp, WATCHED)
        assert 1 <= len(sent) <= 5
        assert max(map(len, sent)) <= 12
        peer.send(peer.request("ACK", target, call_id=call_id, to=value(answer, "To")), target)
        assert sum(len(packet) > 160 for packet in come(peer.rtp, PATIENCE, 50)) >= 45
        peer.send(peer.request("BYE", target, call_id=call_id, to=value(answer, "To"), number=2), target)
        far.wait_for("call ended")
