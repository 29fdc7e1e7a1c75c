"""The network layer on loopback: ports, errors a user can act on, and its thread's mailbox and timers."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator

import pytest

from voip import codecs
from voip.errors import NetworkError
from voip.media import AudioFormat, NegotiatedMedia
from voip.net import Network, local_address_towards
from voip.net.media import MediaPorts
from voip.net.sockets import RECEIVE_BUFFER, receive_buffer
from voip.rtcp import ReportSources
from voip.rtcp.packets import Goodbye, Packet, ReceiverReport, ReportBlock, SourceDescription, parse, serialize
from voip.session import RtpSession

TIMEOUT = 10.0


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network(bind="127.0.0.1")
    yield network
    network.close()


def free_port() -> int:
    """The first of eight, of those that neither Linux nor the process tests hand out."""
    return random.SystemRandom().randrange(31_040, 32_760, 8)


def test_media_ports_are_even_within_the_range_and_run_out_with_a_hint() -> None:
    first = free_port()
    network = Network(bind="127.0.0.1", media_ports=(first, first + 3))
    opened = [network.media.open("127.0.0.1"), network.media.open("127.0.0.1")]
    with pytest.raises(NetworkError, match="--rtp-port"):
        network.media.open("127.0.0.1")
    assert all(port.port % 2 == 0 and first <= port.port <= first + 3 for port in opened)
    for port in opened:
        port.close()
    network.close()


def test_a_taken_sip_port_is_one_line_that_says_what_to_do(network: Network) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with pytest.raises(NetworkError, match=f"{port} is in use.*--sip-port"):
            network.sip.listen(port)


def test_an_address_of_another_machine_cannot_be_bound() -> None:
    network = Network(bind="192.0.2.77")
    with pytest.raises(NetworkError, match="--bind"):
        network.sip.listen(0)
    network.close()


def test_the_address_told_to_a_peer_is_the_one_on_its_route_or_the_public_one(network: Network) -> None:
    assert local_address_towards("127.0.0.1") == "127.0.0.1"
    assert network.addresses.local_host("10.0.0.9") == "127.0.0.1"  # bound there
    behind_nat = Network(public_address="203.0.113.5")
    assert behind_nat.addresses.local_host("198.51.100.1") == "203.0.113.5"
    behind_nat.close()


def test_posted_calls_run_at_once_and_in_order_on_the_network_thread(network: Network) -> None:
    stop, seen, done = threading.Event(), list[str](), threading.Event()

    def on_timer() -> None:
        seen.append("timer")
        done.set()

    thread = threading.Thread(target=network.loop.run, args=(stop.is_set,))
    thread.start()
    network.loop.post(seen.append, "first")
    network.loop.post(network.loop.call_later, 0.0, on_timer)
    network.loop.post(seen.append, "second")
    assert done.wait(TIMEOUT)
    stop.set()
    network.loop.post(seen.append, "last")
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    # The timer is due at once: whether that is before or after the second post is for the machine to say.
    assert [name for name in seen if name != "timer"][:2] == ["first", "second"]
    assert "timer" in seen


def test_sending_to_nobody_is_counted_and_never_raised(network: Network) -> None:
    codec = codecs.find("PCMU", 8000, 1)
    assert codec is not None
    unsent = 0
    for destination, known in ((("127.0.0.1", free_port()), True), (("0.0.0.0", 0), False), (("240.0.0.1", 9), True)):
        port = network.media.open("127.0.0.1")
        assert not port.send_rtp(b"x"), "nothing is known of the peer yet"
        session = RtpSession(NegotiatedMedia(AudioFormat(codec), 0, destination))
        port.attach(session, lambda packet, arrival: None)
        assert port.send_rtp(b"x") is known
        unsent += port.unsent
        port.close()
    assert unsent >= 1


def test_what_was_posted_before_the_stop_is_still_run(network: Network) -> None:
    seen: list[str] = []
    network.loop.post(seen.append, "last words")
    network.loop.run(lambda: True)
    assert seen == ["last words"]


def rtcp_from(sock: socket.socket) -> tuple[list[Packet], int]:
    """The next compound that comes, and the port it comes from."""
    sock.settimeout(TIMEOUT)
    data, source = sock.recvfrom(2000)
    return parse(data), source[1]


@pytest.mark.parametrize("shared", [True, False])
def test_rtcp_goes_and_comes_by_the_port_it_was_given(network: Network, shared: bool) -> None:
    rtp, rtcp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for sock in (rtp, rtcp):
        sock.bind(("127.0.0.1", 0))
    codec = codecs.find("PCMU", 8000, 1)
    assert codec is not None
    port = network.media.open("127.0.0.1")
    remote, named = rtp.getsockname(), rtcp.getsockname()
    media = NegotiatedMedia(AudioFormat(codec), 0, remote, named, rtcp_mux=shared, ssrc=77)
    stop, told = threading.Event(), threading.Event()
    reports = ReportSources(on_report=lambda report: told.set())
    session = RtpSession(media, cname="us", ntp_offset=network.ntp_offset, reports=reports)
    session.start_reports(network.loop.now())
    port.attach(session, lambda packet, arrival: None)
    thread = threading.Thread(target=network.loop.run, args=(stop.is_set,))
    thread.start()
    ours = port.port if shared else port.port + 1
    theirs = rtp if shared else rtcp
    try:
        assert rtcp_from(theirs) == ([ReceiverReport(77), SourceDescription(((77, "us"),))], ours)
        theirs.sendto(serialize([ReceiverReport(5, (ReportBlock(77, 0, 0, 9, 0),))]), ("127.0.0.1", ours))
        assert told.wait(TIMEOUT)
        network.loop.post(port.send_goodbye)
        while Goodbye((77,)) not in rtcp_from(theirs)[0]:
            pass
    finally:
        stop.set()
        network.loop.post(port.close)
        thread.join(TIMEOUT)
        rtp.close()
        rtcp.close()
    assert not thread.is_alive()
    assert session.stats.rtcp == 1


def test_what_has_come_before_a_port_is_closed_is_taken_in(network: Network) -> None:
    port = network.media.open("127.0.0.1")
    codec = codecs.find("PCMU", 8000, 1)
    assert codec is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        local = ("127.0.0.1", port.port)
        media = NegotiatedMedia(AudioFormat(codec), 0, peer.getsockname(), rtcp_mux=True, ssrc=77)
        session = RtpSession(media, cname="us")
        port.attach(session, lambda packet, arrival: None)
        peer.sendto(serialize([ReceiverReport(5)]), local)
        port.close()
    assert session.stats.rtcp == 1


def test_the_buffer_that_the_system_grants_is_told(network: Network) -> None:
    said: list[tuple[int, str]] = []
    ports = MediaPorts(network.loop, network.addresses, network.failures, dscp=46, say=lambda *line: said.append(line))
    port = ports.open("127.0.0.1")
    granted = receive_buffer(port.rtp)
    assert 0 < granted <= RECEIVE_BUFFER
    assert said == [(2, f"media port {port.port}: receive buffer of {granted // 1024} kB")]
    port.close()


def test_a_port_that_has_just_been_closed_is_not_the_next_call_s_while_there_are_others() -> None:
    first = free_port()
    network = Network(bind="127.0.0.1", media_ports=(first, first + 7))
    opened = []
    for _ in range(6):
        port = network.media.open("127.0.0.1")
        opened.append(port.port)
        port.close()
    network.close()
    assert opened[:4] == sorted(set(opened[:4]))
    assert opened[4:] == opened[:2], "then it begins anew"
