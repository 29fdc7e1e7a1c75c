"""A call that is negotiated anew while it runs, over IPv6 too: both scripts as real processes (RFC 3264 section 8)."""

import socket
import struct
import time
from pathlib import Path

import pytest

from tests.support.processes import LOOPBACK, receiver, sender
from tests.support.raw_peer import L16, PCMU, Dialog, raw_peer, rtp
from tests.support.raw_scene import scene

pytestmark = pytest.mark.process

GOOD = 0.95  # share of the packets heard, on a machine that has other things to do
SETTLED = 0.3  # seconds after which nothing of the old agreement is on its way any more


def move(dialog: Dialog) -> socket.socket:
    """Give the peer another RTP socket; the old one."""
    old, new = dialog.peer.rtp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    new.bind((LOOPBACK, 0))
    dialog.peer.rtp = new
    return old


def test_a_receiver_follows_its_caller_to_another_address_at_once(tmp_path: Path) -> None:
    with scene(tmp_path) as call:
        call.stream.send(30)
        old = move(call.stream.dialog)
        call.stream.dialog.reinvite(call.peer.description((L16,)))
        call.stream.send(40)
        old.sendto(rtp(call.stream.sequence, call.stream.timestamp, bytes(640), ssrc=0xBAD), call.stream.dialog.media)
        old.close()
        call.stream.send(10)
        heard = call.end()
    assert heard.share(30) >= GOOD
    assert heard.outcome.call["rx"]["lost"] == 0
    assert heard.outcome.call["rx"]["foreign"] == 1


def test_a_receiver_plays_another_codec_from_then_on(tmp_path: Path) -> None:
    with scene(tmp_path) as call:
        stream = call.stream
        stream.send(30)
        answer = stream.dialog.reinvite(call.peer.description((PCMU,)))
        assert "RTP/AVP 0\r\n" in answer
        for _ in range(40):
            stream.pace.wait()
            stream.throw(rtp(stream.sequence, stream.timestamp, bytes(160), ssrc=stream.ssrc, payload_type=PCMU))
            stream.sequence, stream.timestamp = stream.sequence + 1, stream.timestamp + 160
        heard = call.end()
    assert heard.share(0, 25) >= GOOD
    rx = heard.outcome.call["rx"]
    assert (heard.outcome.call["codec"], rx["received"], rx["lost"]) == ("pcmu", 70, 0)
    assert heard.outcome.call["heard"]["frames_played"] >= GOOD * 70


def test_a_sender_rests_on_hold_and_resumes_at_another_address_with_another_codec(tmp_path: Path) -> None:
    with raw_peer() as phone, sender(tmp_path, phone.target, "--duration", "20s") as near:
        dialog = phone.take_call()
        phone.media(5)
        held = dialog.reinvite(phone.description((L16,)) + "a=sendonly\r\n")
        assert "a=recvonly" in held or "a=inactive" in held
        quiet_from = time.monotonic() + SETTLED
        phone.rtp.settimeout(0.05)
        late = 0
        while time.monotonic() < quiet_from + SETTLED:
            try:
                phone.rtp.recv(2048)
            except TimeoutError:
                continue
            late += time.monotonic() > quiet_from
        assert late == 0
        move(dialog).close()
        resumed = dialog.reinvite(phone.description((PCMU,)) + "a=recvonly\r\n")
        assert "a=sendonly" in resumed
        packets = phone.media(10)
        assert {packet[1] & 0x7F for packet in packets} == {PCMU}
        assert packets[0][1] & 0x80, "a talk spurt begins with the marker"
        numbers = [struct.unpack("!H", packet[2:4])[0] for packet in packets]
        assert numbers == [(numbers[0] + i) & 0xFFFF for i in range(10)]
        assert dialog.bye() == 200
        assert near.finish().status == 0


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_call_over_ipv6(tmp_path: Path, protocol: str) -> None:
    with receiver(tmp_path, "--once", host="::1") as far:
        target = f"sip:{far.target};transport={protocol}"
        with sender(tmp_path, target, "--duration", "1s", "--codec", "l16", "--fec", "4", host="::1") as near:
            sent = near.finish()
        heard = far.finish()
    assert (sent.status, heard.status) == (0, 0)
    assert "@[::1]:" in heard.call["peer"]
    assert heard.call["rx"]["received"] == sent.call["tx"]["packets"] == 100
    assert heard.call["rx"]["ip_bytes"] == heard.call["rx"]["bytes"] + 48 * 125
