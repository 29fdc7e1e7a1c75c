"""What -vv shows of SIP and RTCP: everything that matters, no secrets, nothing that steers a terminal."""

from __future__ import annotations

import random
import re
from datetime import datetime

import pytest

from voip.net import Network
from voip.net.trace import Trace
from voip.rtcp.packets import Goodbye, ReceiverReport, serialize
from voip.sip import Address, OfferWanted, SipUri, UserAgent

PEER = Address("udp", "10.0.0.9", 5060)
NOON = datetime(2026, 1, 31, 12, 0, 1, 234567)


def traced(data: bytes) -> list[str]:
    lines: list[str] = []
    Trace(lines.append, lambda: NOON).sip("received from", data, PEER)
    return "\n".join(lines).split("\n")


def test_a_message_is_shown_whole_with_time_and_place() -> None:
    data = b"SIP/2.0 200 OK\r\nContent-Type: application/sdp\r\n\r\nv=0\r\nm=audio 5000 RTP/AVP 0\r\n"
    assert traced(data) == [
        f"12:00:01.234 SIP received from 10.0.0.9:5060 by UDP, {len(data)} bytes",
        "  | SIP/2.0 200 OK",
        "  | Content-Type: application/sdp",
        "  | ",
        "  | v=0",
        "  | m=audio 5000 RTP/AVP 0",
    ]


@pytest.mark.parametrize(
    "line",
    [
        'Authorization: Digest username="alice", realm="here", nonce="SECRET", uri="sip:here", response="SECRET"',
        'Authorization: Digest response = SECRET,username="alice"',
        'Proxy-Authorization: Digest username="alice",\r\n cnonce="SECRET",\r\n response="SECRET"',
        'Authorization: Digest username="alice", response="a\\"SECRET"',
        'Authorization: Digest username="alice", response="SECRET',
        "authorization: Basic U0VDUkVUalice:SECRET",
        'WWW-Authenticate: Digest realm="alice", nonce="SECRET", opaque="SECRET"',
        'Authentication-Info: nextnonce="SECRET", rspauth="SECRET", qop=alice',
        "a=crypto:1 alice inline:SECRET|2^20|1:4",
        "k=base64:SECRET\r\nalice",
    ],
)
def test_secrets_are_left_out(line: str) -> None:
    shown = "\n".join(traced(f"REGISTER sip:here SIP/2.0\r\n{line}\r\n\r\n".encode()))
    assert "SECRET" not in shown
    assert "..." in shown


def test_names_stay() -> None:
    shown = "\n".join(traced(b'Authorization: Digest username="alice", realm="here", response="SECRET"\r\n'))
    assert 'username="alice", realm="here", response=...' in shown


def test_bytes_of_the_peer_cannot_steer_the_terminal() -> None:
    shown = "\n".join(traced(b"INVITE \x1b[2J\rover \xff\x9b\r\n\r\n"))
    assert r"  | INVITE \x1b[2J\x0dover \xff\x9b" in shown
    assert "\x1b" not in shown


def test_rtcp_is_shown_by_its_fields_and_rtp_and_noise_are_not() -> None:
    lines: list[str] = []
    trace = Trace(lines.append, lambda: NOON)
    trace.rtcp("sent to", serialize([ReceiverReport(17), Goodbye((17,))]), ("10.0.0.9", 5001))
    assert lines[0].startswith("12:00:01.234 RTCP sent to 10.0.0.9:5001, ")
    assert "  | ReceiverReport(ssrc=17" in lines[0]
    assert "  | Goodbye(ssrcs=(17,)" in lines[0]
    trace.rtcp("received from", b"\x80\xc9\xff\xff", ("10.0.0.9", 5001))
    assert "cannot be read" in lines[1]
    trace.rtcp("received from", b"\x80\x00" + bytes(20), ("10.0.0.9", 5001))
    trace.rtcp("received from", b"\x80", ("10.0.0.9", 5001))
    assert len(lines) == 2


def test_what_the_user_agent_sends_is_traced_and_without_a_trace_nothing_is() -> None:
    lines: list[str] = []
    network = Network(bind="127.0.0.1", trace=lines.append)
    network.sip.listen(0)
    agent = UserAgent(rng=random.Random(1), local=network.sip.sip_address)

    def on_offer_wanted(event: OfferWanted) -> None:
        agent.offer(event.call_id, b"v=0\r\n", network.loop.now())

    network.sip.serve(agent, {OfferWanted: on_offer_wanted}, lambda call_id: None)
    agent.invite(SipUri.parse("sip:127.0.0.1:9"), None, network.loop.now(), timeout=10.0)
    network.sip.flush()
    network.close()
    assert "SIP sent to 127.0.0.1:9 by UDP" in lines[0]
    assert "  | INVITE sip:127.0.0.1:9 SIP/2.0" in lines[0]
    assert "  | v=0" in lines[0]
    Trace().sip("sent to", b"OPTIONS", PEER)


def test_of_a_flood_of_rtcp_a_part_is_shown_and_the_rest_is_counted() -> None:
    lines: list[str] = []
    now = iter(number / 2000 for number in range(100_000))
    trace = Trace(lines.append, lambda: NOON, lambda: next(now))
    for _ in range(4000):  # two seconds
        trace.rtcp("received from", b"\x80\xc9\x00\x01" + bytes(4), ("192.0.2.9", 5005))
    assert 60 <= len(lines) <= 81
    unshown = [int(number) for line in lines for number in re.findall(r"before it (\d+) were not shown", line)]
    assert 3800 <= sum(unshown) + len(lines) <= 4000
    lines.clear()
    next(number for number in now if number > 10)
    trace.rtcp("received from", 1000 * (b"\x80\xc9\x00\x01" + bytes(4)), ("192.0.2.9", 5005))
    assert lines[0].count("\n") <= 22
    assert "and 980 more" in lines[0]
