"""Addresses that the peer chose and that our sockets cannot send to, at every place where one comes in."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.descriptions import ALICE, BOB, CONNECTIONS, RECEIVER, SENDER, ZONES, offer
from tests.support.dns_records import Table as Records
from tests.support.processes import until
from tests.support.raw_peer import raw_peer
from tests.support.text_phone import status
from voip import codecs
from voip.errors import NegotiationError, NetworkError
from voip.media import AudioFormat, NegotiatedMedia
from voip.net import Network, SendFailed, SipTransport, local_address_towards
from voip.net.failures import MAX_TOLD, Failures
from voip.sdp import Endpoint, SessionDescription, accept_answer, make_answer, make_offer
from voip.session import RtpSession
from voip.sip import Address, CallEnded, IncomingCall, SipUri, UserAgent
from voip.sip.locate import addresses_of, literal_address
from voip.sip.resolver import Resolver
from voip.sip.timers import Timers

OVER_IPV4, OVER_IPV6 = replace(BOB, ip_version=4), replace(BOB, host="2001:db8::2", ip_version=6)
HERE = "10.0.0.2"
LINE = "m=audio 9000 RTP/AVP 0"
FOREIGN = [(OVER_IPV4, "IN IP6 fe80::1"), (OVER_IPV4, "IN IP6 2001:db8::1"), (OVER_IPV6, "IN IP4 192.0.2.1")]
"""Our endpoint, and the c= line of an offer of the other IP version."""


@pytest.mark.parametrize("host", ZONES)
@pytest.mark.parametrize("ours", [OVER_IPV4, OVER_IPV6])
def test_an_offer_of_media_at_a_zone_of_another_machine_is_refused(host: str, ours: Endpoint) -> None:
    with pytest.raises(NegotiationError, match=r"PCMU/8000|0 over .* does not reach") as refusal:
        make_answer(offer(LINE, f"c=IN IP6 {host}"), RECEIVER, ours)
    assert refusal.value.status == 488
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(("ours", "connection"), FOREIGN)
def test_an_offer_of_the_other_ip_version_is_taken_if_its_peer_sends_to_us(ours: Endpoint, connection: str) -> None:
    _, media = make_answer(offer(LINE, f"c={connection}"), RECEIVER, ours)
    assert media.remote == (connection.split()[2], 9000)
    assert media.direction.receives


@pytest.mark.parametrize(("ours", "connection"), FOREIGN)
def test_it_is_refused_if_we_would_have_to_send_first(ours: Endpoint, connection: str) -> None:
    with pytest.raises(NegotiationError, match="does not reach"):
        make_answer(offer(LINE, f"c={connection}", "a=recvonly"), SENDER, ours)


def test_of_two_lines_the_one_that_can_be_sent_to_is_taken() -> None:
    both = offer(LINE, "c=IN IP6 2001:db8::9", "m=audio 9002 RTP/AVP 0", "c=IN IP4 192.0.2.9")
    for ours, remote in ((OVER_IPV4, ("192.0.2.9", 9002)), (OVER_IPV6, ("2001:db8::9", 9000))):
        answer, media = make_answer(both, RECEIVER, ours)
        assert media.remote == remote
        assert [bool(line.port) for line in answer.media] == [remote[1] == 9000, remote[1] == 9002]


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_an_answer_that_names_an_address_we_cannot_send_to_is_unusable(connection: str) -> None:
    sent = make_offer(SENDER, replace(ALICE, ip_version=4))
    answer = SessionDescription.parse(sent.serialize())
    answer.connection = connection.split(maxsplit=2)[2]
    with pytest.raises(NegotiationError, match="the answer wants"):
        accept_answer(sent, answer, SENDER, replace(ALICE, ip_version=4))


def test_hold_may_be_said_with_zeros_of_either_version() -> None:
    for connection in ("IN IP4 0.0.0.0", "IN IP6 ::", "IN IP6 0:0::0"):
        for ours in (OVER_IPV4, OVER_IPV6):
            _, media = make_answer(offer(LINE, f"c={connection}"), SENDER, ours)
            assert not media.direction.sends
            assert RtpSession(media).rtcp_destination is None


@pytest.mark.parametrize("host", ["fe80::1", "2001:db8::1", *ZONES])
def test_rtcp_that_is_wanted_at_such_an_address_goes_where_the_media_goes(host: str) -> None:
    _, media = make_answer(offer(LINE, f"a=rtcp:9009 IN IP6 {host}"), RECEIVER, OVER_IPV4)
    assert media.remote_rtcp == ("192.0.2.9", 9009)


def test_an_address_is_known_by_its_shortest_form() -> None:
    _, media = make_answer(offer(LINE, "c=IN IP6 2001:DB8:0:0::0009"), RECEIVER, OVER_IPV6)
    assert media.remote == ("2001:db8::9", 9000)
    _, media = make_answer(offer(LINE, "a=rtcp:9 IN IP6 FE80:0::1", host="2001:db8::9"), RECEIVER, OVER_IPV6)
    assert media.remote_rtcp == ("fe80::1", 9)


@pytest.mark.parametrize(
    "maddr", ["fe80::1%25ab", "fe80::1%ab", "[fe80::1%25ab]", "192.0.2.1%25ab", "caf%C3%A9", "ü.example"]
)
def test_what_is_neither_name_nor_address_leads_nowhere_and_is_not_looked_up(maddr: str) -> None:
    uri = SipUri(host="192.0.2.1", params={"maddr": maddr})
    assert literal_address(uri) is None
    records = Records({maddr: [HERE], maddr.strip("[]"): [HERE]})
    assert addresses_of(uri, records, random.Random(1)) == []
    assert records.asked == []
    found: list[object] = []
    asked: list[SipUri] = []
    Resolver(Timers(), asked.append).resolve(uri, 0.0, lambda addresses, now: found.append(list(addresses)))
    assert found == [[]]
    assert not asked


def test_a_literal_host_is_known_by_its_shortest_form() -> None:
    assert literal_address(SipUri.parse("sip:[FE80:0:0::1]:5070")) == Address("udp", "fe80::1", 5070)


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network(bind="127.0.0.1")
    network.sip.listen(0)
    yield network
    network.close()


@contextlib.contextmanager
def running(network: Network) -> Iterator[threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=network.loop.run, args=(stop.is_set,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        network.loop.post(lambda: None)
        thread.join()


IMPOSSIBLE = ["fe80::1", "fe80::1%lo", "fe80::1%\0", "\0", "é" * 70, "2001:db8::1"]


@pytest.mark.parametrize("host", IMPOSSIBLE)
def test_sending_to_what_is_no_address_of_the_socket_is_counted_and_never_raised(network: Network, host: str) -> None:
    codec = codecs.find("PCMU", 8000, 1)
    assert codec is not None
    port = network.media.open("127.0.0.1")
    port.attach(RtpSession(NegotiatedMedia(AudioFormat(codec), 0, (host, 9))), lambda packet, arrival: None)
    port.send_rtp(b"x")
    port._transmit(port.rtcp or port.rtp, (host, 9), b"x")
    assert port.unsent == 2
    port.close()
    refused: list[SendFailed] = []
    agent = UserAgent(rng=random.Random(1), local=network.sip.sip_address)
    network.sip.serve(agent, {SendFailed: refused.append}, lambda call_id: None)
    assert isinstance(network.sip, SipTransport)
    network.sip._sockets[socket.AF_INET6] = network.sip._sockets[socket.AF_INET]
    network.sip._send(b"x", Address("udp", host, 9))
    assert [event.address.host for event in refused] == [host]
    assert refused[0].reason
    if host != "fe80::1":  # which may be on a link
        with contextlib.suppress(NetworkError):
            local_address_towards(host)


def test_a_session_with_such_a_peer_ends_nothing(network: Network) -> None:
    codec = codecs.find("PCMU", 8000, 1)
    assert codec is not None
    with running(network) as thread:
        for host in IMPOSSIBLE:
            port = network.media.open("127.0.0.1")
            media = NegotiatedMedia(AudioFormat(codec), 0, (host, 9), (host, 10))
            network.loop.post(port.attach, RtpSession(media), lambda packet, arrival: None)
            network.loop.post(port.close)
        done = threading.Event()
        network.loop.post(done.set)
        assert done.wait(10.0)
        assert thread.is_alive()


def note_failure(failures: Failures, kind: int) -> None:
    """Something fails, at a place that depends on `kind`."""
    try:
        exec(compile("\n" * kind + "raise KeyError('surprise')", "somewhere", "exec"))
    except KeyError as error:
        failures.note("a message", error)


def test_each_failure_is_counted_and_said_once_with_its_place_at_v() -> None:
    said: list[tuple[int, str]] = []
    failures = Failures(lambda level, text: said.append((level, text)))
    for kind in [1, 1, 2, *range(100)]:
        note_failure(failures, kind)
    assert failures.count == 103
    assert [level for level, _ in said] == [0, 1] * MAX_TOLD
    assert said[0][1].startswith("a message was dropped: KeyError")
    assert "\n" not in said[0][1]
    assert "Traceback" in said[1][1]


def test_a_handler_that_fails_costs_its_call_alone() -> None:
    """Two calls: the handler fails for one of them."""
    network, dropped, taken = Network(bind="127.0.0.1"), list[str](), list[str]()
    port = network.sip.listen(0)
    agent = UserAgent(rng=random.Random(1), local=network.sip.sip_address, max_calls=9)

    def on_incoming(event: IncomingCall) -> None:
        if event.call_id == "bad":
            raise TypeError("surprise")
        taken.append(event.call_id)
        agent.reject(event.call_id, 603, network.loop.now())

    def drop(call_id: str) -> None:
        dropped.append(call_id)
        agent.reject(call_id, 500, network.loop.now())
        raise ValueError("once more")

    with raw_peer() as peer:
        network.sip.serve(agent, {IncomingCall: on_incoming, CallEnded: lambda event: None}, drop)
        with running(network) as thread:
            answers = [peer.invite(("127.0.0.1", port), call_id=call_id)[0] for call_id in ("bad", "good")]
            assert thread.is_alive()
    network.close()
    assert [status(answer) for answer in answers] == [500, 603]
    assert (dropped, taken, network.failures.count) == (["bad"], ["good"], 2)


@pytest.mark.parametrize("what", ["a SIP message", "a datagram", "a STUN message"])
def test_a_datagram_that_we_fail_at_is_dropped(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    network = Network(bind="127.0.0.1", stun=("127.0.0.1", 9), say=lambda level, text: said.append(text))
    at = network.sip.listen(0)
    agent = UserAgent(rng=random.Random(1), local=network.sip.sip_address)

    def fail(*args: object) -> None:
        raise TypeError("surprise")

    codec = codecs.find("PCMU", 8000, 1)
    assert codec is not None
    port = network.media.open("127.0.0.1")
    session = RtpSession(NegotiatedMedia(AudioFormat(codec), 0, ("127.0.0.1", 9)))
    data = {"a SIP message": b"OPTIONS", "a datagram": b"\x80\0" + bytes(20), "a STUN message": STUN}[what]
    target: tuple[object, str] = {
        "a SIP message": (agent, "receive"),
        "a datagram": (session, "receive_datagram"),
        "a STUN message": (network.addresses._stun, "receive"),
    }[what]
    monkeypatch.setattr(*target, fail)
    network.sip.serve(agent, {}, lambda call_id: None)
    port.attach(session, lambda packet, arrival: None)
    with running(network) as thread, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(3):
            sock.sendto(data, ("127.0.0.1", port.port if what == "a datagram" else at))
        until(lambda: network.failures.count == 3, "all three are counted")
        network.loop.post(port.close)
        assert thread.is_alive()
    network.close()
    assert len([text for text in said if "TypeError" in text]) == 2, said


STUN = b"\x01\x01\0\0\x21\x12\xa4\x42" + bytes(12)
