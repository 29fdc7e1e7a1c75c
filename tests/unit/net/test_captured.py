"""Where packets are noted: real sockets on the loopback interface, and the messages of connections."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pcapng import Seen, read_capture
from voip.net import Network
from voip.net.arrivals import STAMPED, ArrivalClock
from voip.net.batches import batch_reader
from voip.net.capture import PacketCapture
from voip.net.captured import BY_TLS, SEGMENT, CapturedStream, Tap
from voip.net.refusals import QUEUES_ERRORS, refusals, send_datagram
from voip.net.sockets import bound_socket, datagrams, stamped_datagrams
from voip.sip import Address, UserAgent

HOSTS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
LOOPBACK = "127.0.0.1"
MESSAGE = b"INVITE sip:here SIP/2.0\r\nAuthorization: Digest SECRET\r\n\r\n"
OPTIONS = (
    b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bKa\r\nMax-Forwards: 70\r\n"
    b"From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
    b"Authorization: Digest SECRET\r\nContent-Length: 0\r\n\r\n"
)
MASKED = MESSAGE.replace(b"SECRET", b"xxxxxx")


class Scene:
    """A capture, and what is in it once it is closed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "call.pcapng"
        self.capture = PacketCapture(self.path, "voip", self.fail)
        self.tap = Tap(self.capture)

    def fail(self, reason: str) -> None:
        raise AssertionError(reason)

    def captured(self) -> list[Seen]:
        self.tap.close()
        return read_capture(self.path).packets

    def socket(self, family: socket.AddressFamily = socket.AF_INET, *, signalling: bool = False) -> socket.socket:
        make = self.tap.signalling_socket if signalling else self.tap.media_socket
        return bound_socket(family, HOSTS[family], 0, 0, make)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.tap.close()


@contextlib.contextmanager
def peer(family: socket.AddressFamily = socket.AF_INET) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((HOSTS[family], 0))
        yield sock


def ignore(host: str, port: int) -> None:
    return


def await_data(sock: socket.socket) -> None:
    assert select.select([sock], [], [], 30.0)[0]


def read(sock: socket.socket, *, stamped: bool) -> list[bytes]:
    await_data(sock)
    if stamped:
        return [data for data, _, _ in stamped_datagrams(sock, ignore, ArrivalClock(time.monotonic))]
    return [data for data, _ in datagrams(sock, ignore)]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("stamped", [False, True], ids=["SIP", "media"])
def test_what_a_socket_sends_and_reads_is_captured(scene: Scene, family: socket.AddressFamily, stamped: bool) -> None:
    with scene.socket(family) as ours, peer(family) as theirs:
        here, there = ours.getsockname()[:2], theirs.getsockname()[:2]
        begin = time.time()
        send_datagram(ours, b"to", there)
        theirs.sendto(b"from", here)
        assert read(ours, stamped=stamped) == [b"from"]
        end = time.time()
    found = scene.captured()
    assert [(seen.payload, seen.source, seen.destination, seen.inbound) for seen in found] == [
        (b"to", here, there, False),
        (b"from", there, here, True),
    ]
    assert begin - 0.001 < found[0].at < found[1].at < end + 0.001


@pytest.mark.parametrize(("signalling", "shown"), [(True, MASKED), (False, MESSAGE)])
def test_the_socket_of_signalling_is_masked_in_both_directions(scene: Scene, signalling: bool, shown: bytes) -> None:
    with scene.socket(signalling=signalling) as ours, peer() as theirs:
        ours.sendto(MESSAGE, theirs.getsockname())
        assert theirs.recv(1000) == MESSAGE, "what is sent is as it is"
        theirs.sendto(MESSAGE, ours.getsockname())
        assert read(ours, stamped=False) == [MESSAGE]
    assert [seen.payload for seen in scene.captured()] == [shown, shown]


@pytest.mark.skipif(not STAMPED, reason="the kernel notes no arrivals")
@pytest.mark.parametrize("stamped", [False, True], ids=["SIP", "media"])
def test_datagrams_are_where_they_arrived_among_responses_that_were_sent_between_two_reads(
    scene: Scene, stamped: bool
) -> None:
    """Three come; while the first is handled the second is there already, the third arrives after our response."""
    with scene.socket() as ours, peer() as theirs:
        there = theirs.getsockname()
        stamps_begin(ours, theirs, there)
        theirs.sendto(b"first", ours.getsockname())
        theirs.sendto(b"second", ours.getsockname())
        await_data(ours)
        clock = ArrivalClock(time.monotonic)
        source = stamped_datagrams(ours, ignore, clock) if stamped else datagrams(ours, ignore)
        waiting = (each[0] for each in source)
        assert next(waiting) == b"first"
        ours.sendto(b"response", there)
        theirs.sendto(b"third", ours.getsockname())
        assert list(waiting) == [b"second", b"third"]
        ours.sendto(b"last", there)
    found = [seen.payload for seen in scene.captured() if seen.payload != b"begin"]
    assert found == [b"first", b"second", b"response", b"third", b"last"]


def stamps_begin(ours: socket.socket, theirs: socket.socket, there: tuple[str, int]) -> None:
    """The kernel begins to stamp a moment after the first socket of the machine has asked for it."""
    for _ in range(100):
        theirs.sendto(b"begin", ours.getsockname())
        await_data(ours)
        before = time.monotonic()
        while time.monotonic() < before + 0.002:
            pass
        (arrival,) = (at for _, _, at in stamped_datagrams(ours, ignore, ArrivalClock(time.monotonic)))
        if arrival < before + 0.001:
            return
    raise AssertionError("the kernel does not stamp")


def test_datagrams_that_are_read_in_batches_are_captured(scene: Scene) -> None:
    reader = batch_reader()
    if reader is None:
        pytest.skip("the system reads no batches")
    with scene.socket() as ours, peer() as theirs:
        for number in range(20):
            theirs.sendto(b"%02d" % number, ours.getsockname())
        await_data(ours)
        assert len(reader.read(ours, ignore, ArrivalClock(time.monotonic))) == 20
    found = scene.captured()
    assert [seen.payload for seen in found] == [b"%02d" % number for number in range(20)]
    assert all(seen.inbound for seen in found)


def test_what_the_system_does_not_take_was_not_sent(scene: Scene) -> None:
    with scene.socket() as ours, pytest.raises(OSError, match=r"."):
        ours.sendto(b"x", ("::1", 9))
    with scene.socket() as ours, pytest.raises(OSError, match="long"):
        ours.sendto(bytes(66_000), (LOOPBACK, 9))
    scene.tap.close()
    assert not scene.path.exists()


@pytest.mark.skipif(not QUEUES_ERRORS, reason="the system tells nothing of refusals")
def test_what_icmp_says_is_no_packet_of_ours(scene: Scene) -> None:
    with scene.socket() as ours:
        with peer() as theirs:
            closed = theirs.getsockname()
        send_datagram(ours, b"to nobody", closed)
        poll = select.poll()
        poll.register(ours, select.POLLERR)
        assert poll.poll(30_000)
        assert list(refusals(ours)) == [closed]
    assert [seen.payload for seen in scene.captured()] == [b"to nobody"]


# --- connections ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def connection(scene: Scene, protocol: str) -> Iterator[tuple[CapturedStream, tuple[str, int], tuple[str, int]]]:
    """What notes the messages of one, and both of its ends."""
    with socket.create_server((LOOPBACK, 0)) as server, socket.socket() as ours:
        ours.connect(server.getsockname())
        stream = scene.tap.stream(ours, Address(protocol, *server.getsockname()))
        assert stream is not None
        yield stream, ours.getsockname(), server.getsockname()


@pytest.mark.parametrize(("protocol", "comment"), [("tcp", ""), ("tls", BY_TLS)])
def test_messages_of_a_connection_are_segments_with_running_numbers(scene: Scene, protocol: str, comment: str) -> None:
    with connection(scene, protocol) as (stream, here, there):
        stream.open()
        stream.send(MESSAGE)
        stream.receive(b"SIP/2.0 100 Trying\r\n\r\n")
        stream.receive(MESSAGE)
        stream.send(b"ACK")
    found, one, two = scene.captured(), len(MESSAGE), len(b"SIP/2.0 100 Trying\r\n\r\n")
    assert [seen.payload for seen in found] == [MASKED, b"SIP/2.0 100 Trying\r\n\r\n", MASKED, b"ACK"]
    assert {(seen.protocol, seen.comment) for seen in found} == {("tcp", comment)}
    assert [(seen.source, seen.destination) for seen in found] == [
        (here, there),
        (there, here),
        (there, here),
        (here, there),
    ]
    numbers = [(seen.sequence, seen.acknowledged) for seen in found]
    assert numbers == [(1, 1), (1, 1 + one), (1 + two, 1 + one), (1 + one, 1 + two + one)]


def test_messages_wait_for_their_connection_and_without_one_were_not_sent(scene: Scene) -> None:
    with connection(scene, "tls") as (stream, here, _), connection(scene, "tls") as (fails, _, _):
        stream.send(b"first")
        fails.send(b"never")
        stream.send(b"second")
        before = time.time()
        stream.open()
        stream.open()
    found = scene.captured()
    assert [(seen.payload, seen.source) for seen in found] == [(b"first", here), (b"second", here)]
    assert all(seen.at > before - 0.001 for seen in found)


def test_a_long_message_is_several_segments_and_no_secret_shows_at_a_border(scene: Scene) -> None:
    for shift in range(0, 12, 3):
        head = b"A: " + bytes([97]) * (SEGMENT - 30 - shift) + b"\r\n"
        message = head + b"Authorization: Digest SECRET\r\n" + b"b" * SEGMENT
        with connection(scene, "tcp") as (stream, _, _):
            stream.open()
            stream.send(message)
            stream.receive(message)
    found = scene.captured()
    assert max(len(seen.payload) for seen in found) == SEGMENT
    whole = b"".join(seen.payload for seen in found)
    assert b"SECRET" not in whole
    assert whole.count(b"Authorization: Digest xxxxxx\r\n") == 8


def test_without_a_capture_sockets_are_those_of_the_system() -> None:
    tap = Tap()
    with contextlib.closing(tap.media_socket(socket.AF_INET)) as sock:
        assert type(sock) is socket.socket
        assert tap.stream(sock, Address("tcp", LOOPBACK, 5060)) is None
    assert tap.stats is None
    tap.close()


# --- the network as a whole -------------------------------------------------------------------------------------------


def test_every_socket_of_the_network_is_captured(scene: Scene) -> None:
    network = Network(bind=LOOPBACK, tap=scene.tap)
    sip_port = network.sip.listen(0)
    agent = UserAgent(rng=random.Random(1), local=network.sip.sip_address)
    network.sip.serve(agent, {}, lambda call_id: None)
    port = network.media.open(LOOPBACK)
    assert port.rtcp is not None
    with peer() as theirs:
        for sock in (port.rtp, port.rtcp):
            send_datagram(sock, b"media", theirs.getsockname())
            assert theirs.recv(100) == b"media"
        theirs.sendto(OPTIONS, (LOOPBACK, sip_port))
        while not select.select([theirs], [], [], 0.0)[0]:
            network.loop.turn(30.0)
        response = theirs.recv(10_000)
    port.close()
    network.close()
    found = read_capture(scene.path).packets
    assert [seen.source[1] for seen in found[:2]] == [port.port, port.port + 1]
    assert [seen.payload for seen in found[2:]] == [OPTIONS.replace(b"SECRET", b"xxxxxx"), response]
    assert {seen.source[1] for seen in found[3:]} == {sip_port}
