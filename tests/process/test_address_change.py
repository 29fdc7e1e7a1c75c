"""A machine whose address changes during a call: the peer is told, and sound goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.namespaces import Host, Hosts, require
from tests.support.processes import Program, receiver, sender
from voip.calls.negotiation import readdressed
from voip.media import Direction
from voip.sdp import Endpoint, SessionDescription

PORTS = 25060, range(25062, 25082)
ANSWER = """v=0
o=- 7 1 IN IP4 10.0.0.1
s=-
c=IN IP4 10.0.0.1
t=0 0
m=video 0 RTP/AVP 99
m=audio 5000 RTP/AVP 109 97
c=IN IP4 10.0.0.1
a=rtpmap:109 opus/48000/2
a=rtpmap:97 flexfec/48000
a=recvonly
a=rtcp:5001
a=rtcp-mux
"""


def test_a_description_names_another_address_and_keeps_its_numbers() -> None:
    endpoint = Endpoint("2001:db8::7", 6000, 1, 2, "x", 7, session_version=2, rtcp_port=7001)
    moved = readdressed(SessionDescription.parse(ANSWER.encode()), endpoint, Direction.SENDRECV)
    again = SessionDescription.parse(moved.serialize())
    video, audio = again.media
    assert (video.port, audio.port, audio.formats) == (0, 6000, ["109", "97"])
    assert (again.host(audio), again.origin, again.session_version) == ("2001:db8::7", "2001:db8::7", "2")
    assert again.direction(audio) is Direction.SENDRECV
    assert audio.values("rtcp") == ["7001"]
    assert audio.value("rtcp-mux") is not None


def move(host: Host, interface: str, old: str, new: str) -> None:
    """What a change of network does: the old address is gone before the new one is there."""
    prefix, quick = ("64", " nodad") if ":" in new else ("24", "")
    host.run(f"ip address delete {old}/{prefix} dev {interface}")
    host.run(f"ip address add {new}/{prefix} dev {interface}{quick}")


@pytest.mark.process
@pytest.mark.parametrize(
    ("who", "net", "transport"),
    [
        ("sender", "10.66.0.", "udp"),
        ("receiver", "10.66.0.", "udp"),
        ("sender", "fd66::", "udp"),
        ("sender", "10.66.0.", "tcp"),
        ("receiver", "10.66.0.", "tcp"),
    ],
)
def test_sound_is_back_within_seconds_of_a_change_of_address(
    tmp_path: Path, who: str, net: str, transport: str
) -> None:
    require()
    with Hosts() as hosts:
        near, far = hosts.add("near"), hosts.add("far")
        interfaces = hosts.cable(near, f"{net}1", far, f"{net}2")
        anywhere, far_host = ("::", f"[{net}2]") if ":" in net else ("0.0.0.0", f"{net}2")
        target = f"sip:{far_host}:25060;transport={transport}"
        both = ("-v", "--two-way", "--input", "tone", "--output", "null")
        with (
            receiver(tmp_path, "--once", *both, host=anywhere, ports=PORTS, through=far.through) as callee,
            sender(tmp_path, target, *both, host=anywhere, through=near.through) as caller,
        ):
            told: Program
            caller.wait_for("call to")
            callee.wait_for("call from")
            if who == "sender":
                move(near, interfaces[0], f"{net}1", f"{net}3")
                caller.wait_for(f"changed from {net}1 to {net}3", timeout=5)
                callee.wait_for(f"to {net}3", timeout=5)
                told, noticed = callee, caller
            else:
                move(far, interfaces[1], f"{net}2", f"{net}4")
                callee.wait_for(f"changed from {net}2 to {net}4", timeout=5)
                caller.wait_for(f"to {net}4", timeout=5)
                told, noticed = caller, callee
            delay = when(told, "now sendrecv") - when(noticed, "changed from")
            near.run("sleep 2")
            told.stop()  # its BYE goes to the new address
            sent, heard = caller.finish(), callee.finish()
    assert sent.status == heard.status == 0, sent.stderr + heard.stderr
    assert delay < 1.5
    for outcome in (sent, heard):
        rx, tx = outcome.call["rx"], outcome.call["tx"]
        assert outcome.call["end_reason"] in ("remote-bye", "local-bye")
        assert rx["received"] > tx["packets"] - 100, outcome.report  # 2 s


def when(program: Program, text: str) -> float:
    return next(moment for moment, line in program.lines if text in line)
