"""Connections on loopback with a clock that the test moves: opened, used both ways, kept, and given up."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Certificates, make_certificates
from voip.errors import VoipError
from voip.net.connection import (
    CONNECT_TIMEOUT,
    FIRST_MESSAGE_TIMEOUT,
    HANDSHAKE_TIMEOUT,
    IDLE_TIMEOUT,
    MAX_QUEUED,
    MESSAGE_TIMEOUT,
    PING_INTERVAL,
    UNACKNOWLEDGED_TIMEOUT,
    Hooks,
)
from voip.net.connections import Connections
from voip.net.loop import EventLoop
from voip.net.tls import Tls, TlsFiles
from voip.sip import Address

HOST = "127.0.0.1"
PATIENCE = 10.0
MESSAGE = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 3\r\n\r\nabc"
PING, PONG = b"\r\n\r\n", b"\r\n"


class Side:
    """Connections with their loop, and all that they told."""

    def __init__(self, tls: TlsFiles | None = None, *, listens: bool = True, most: int = 8) -> None:
        self.now = 1000.0
        self.messages: list[tuple[bytes, Address]] = []
        self.failed: list[tuple[Address, str]] = []
        self.closed: list[Address] = []
        self.needed: set[Address] = set()
        self.names: dict[Address, str] = {}
        self.reply = b""
        self.strangers: set[str] = set()
        self.loop = EventLoop(lambda: self.now)
        hooks = Hooks(
            on_message=self._take,
            on_failed=lambda address, reason: self.failed.append((address, reason)),
            on_closed=self.closed.append,
            needs=self.needed.__contains__,
            server_name=lambda address: self.names.get(address, address.host),
            may_call=lambda host: host not in self.strangers,
        )
        self.connections = Connections(self.loop, hooks, Tls(tls or TlsFiles()), dscp=0, max_incoming=most)
        self.ports = {}
        if listens:
            self.ports = {name: self.connections.listen(name, [HOST], 0, exactly=False) for name in ("tcp", "tls")}

    def address(self, protocol: str = "tcp") -> Address:
        return Address(protocol, HOST, self.ports[protocol])

    def turn(self, *, wait: float = 0.0) -> None:
        self.loop.turn(wait)
        self.loop.turn(0.0)  # what was only noted to be done later

    def pass_time(self, seconds: float) -> None:
        """Let virtual time pass, timer by timer."""
        end = self.now + seconds
        while (due := self.connections.next_timer()) <= end:
            self.now = max(self.now, due)
            self.connections.run_timers(self.now)
            self.turn()
        self.now = end

    def _take(self, message: bytes, address: Address) -> None:
        self.messages.append((message, address))
        if self.reply:
            self.connections.send(self.reply, address)


def until(condition: Callable[[], object], *sides: Side) -> None:
    """Serve these sides until something holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, [(side.messages, side.failed, side.closed) for side in sides]
        for side in sides:
            side.turn(wait=0.01)


@pytest.fixture
def sides() -> Iterator[Callable[..., Side]]:
    with contextlib.ExitStack() as stack:

        def make(tls: TlsFiles | None = None, *, listens: bool = True, most: int = 8) -> Side:
            side = Side(tls, listens=listens, most=most)
            stack.callback(side.loop.close)
            stack.callback(side.connections.close)
            return side

        yield make


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@contextlib.contextmanager
def client(side: Side) -> Iterator[socket.socket]:
    """A connection of a test's own, taken by the side."""
    before = len(side.connections._open)
    with socket.create_connection((HOST, side.ports["tcp"]), PATIENCE) as sock:
        until(lambda: len(side.connections._open) > before, side)
        yield sock


def ended(sock: socket.socket) -> bool:
    """Whether the other side has closed: cut off or in good order, and with nothing to read before."""
    sock.setblocking(False)
    try:
        return sock.recv(1 << 16) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def received(sock: socket.socket, side: Side, size: int) -> bytes:
    """That many bytes, while the side is served."""
    sock.setblocking(False)
    found = bytearray()

    def take() -> bool:
        with contextlib.suppress(BlockingIOError):
            found.extend(sock.recv(1 << 16))
        return len(found) >= size

    until(take, side)
    return bytes(found)


# --- TCP --------------------------------------------------------------------------------------------------------------


def test_one_connection_serves_both_ways_and_comes_from_the_port_that_is_listened_at(
    sides: Callable[..., Side],
) -> None:
    near, far = sides(), sides()
    near.connections.send(MESSAGE, far.address())
    until(lambda: far.messages, near, far)
    assert far.messages == [(MESSAGE, near.address())]
    far.connections.send(MESSAGE * 2, near.address())
    until(lambda: len(near.messages) == 2, near, far)
    assert near.messages == [(MESSAGE, far.address())] * 2
    near.connections.send(MESSAGE, far.address())
    until(lambda: len(far.messages) == 2, near, far)
    assert far.messages[1] == (MESSAGE, near.address())
    assert (near.failed, far.failed) == ([], [])


def test_who_has_connected_twice_from_one_port_still_gets_through(sides: Callable[..., Side]) -> None:
    near, far = sides(), sides()
    for count in (1, 2, 3):
        near.connections.send(MESSAGE, far.address())
        until(lambda count=count: len(far.messages) == count, near, far)  # type: ignore[misc]
        for connection in list(near.connections._open.values()):
            connection.close()  # who closes first keeps the port pair for a minute
        until(lambda count=count: len(far.closed) == count, near, far)  # type: ignore[misc]
    assert near.failed == []


def test_an_answer_goes_by_the_connection_of_its_request(sides: Callable[..., Side]) -> None:
    side = sides()
    side.reply = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"
    with client(side) as sock:
        for byte in MESSAGE:
            sock.send(bytes([byte]))
        assert received(sock, side, len(side.reply)) == side.reply


def test_pings_are_answered(sides: Callable[..., Side]) -> None:
    side = sides()
    with client(side) as sock:
        sock.send(PING + MESSAGE + PING * 2)
        assert received(sock, side, 6) == PONG * 3
    assert len(side.messages) == 1


def test_a_refused_connection_is_told_later_with_its_reason(sides: Callable[..., Side]) -> None:
    side = sides()
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        address = Address("tcp", HOST, unused.getsockname()[1])
        side.connections.send(MESSAGE, address)
        assert side.failed == []
        until(lambda: side.failed, side)
    ((where, reason),) = side.failed
    assert where == address
    assert reason == f"cannot reach {HOST}:{address.port} by TCP: Connection refused. Does a program there accept TCP?"


def test_an_impossible_address_is_a_failure_too(sides: Callable[..., Side]) -> None:
    side = sides()
    side.connections.send(MESSAGE, Address("tcp", "255.255.255.255", 5060))
    until(lambda: side.failed, side)
    assert "cannot reach 255.255.255.255:5060 by TCP" in side.failed[0][1]


def test_a_connection_that_does_not_come_up_is_given_up(sides: Callable[..., Side]) -> None:
    side = sides()
    with socket.create_server((HOST, 0)) as silent:
        address = Address("tls", HOST, silent.getsockname()[1])
        side.connections.send(MESSAGE, address)
        side.turn(wait=0.1)
        side.pass_time(CONNECT_TIMEOUT - 0.1)
        assert side.failed == []
        side.pass_time(0.2)
    assert side.failed == [(address, f"cannot reach {HOST}:{address.port} by TLS: no connection within 8 s")]


def test_what_the_peer_closes_in_good_order_is_no_failure(sides: Callable[..., Side]) -> None:
    side = sides()
    with client(side) as sock:
        source = Address("tcp", *sock.getsockname())
    until(lambda: side.closed, side)
    assert (side.closed, side.failed) == ([source], [])


def test_what_breaks_the_grammar_is_answered_and_closed(sides: Callable[..., Side]) -> None:
    side = sides()
    side.reply = b"SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    broken = b"OPTIONS sip:a@b SIP/2.0\r\n\r\n"
    with client(side) as sock:
        sock.send(broken + MESSAGE)
        assert received(sock, side, len(side.reply)) == side.reply
        until(lambda: ended(sock), side)
    until(lambda: side.closed, side)
    assert [message for message, _ in side.messages] == [broken]


def test_a_peer_that_keeps_talking_after_it_was_refused_is_cut_off(sides: Callable[..., Side]) -> None:
    side = sides()
    with client(side) as sock:
        sock.send(b"GET / HTTP/1.1\r\n")
        until(lambda: ended(sock), side)
        sock.send(b"Host: x\r\n\r\n")
        side.turn(wait=0.1)
        side.pass_time(MESSAGE_TIMEOUT + 0.1)
        assert len(side.connections._open) == 0
    assert side.messages == []


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_a_message_has_five_seconds_to_be_whole(sides: Callable[..., Side]) -> None:
    side = sides()
    with client(side) as sock:
        sock.send(MESSAGE + MESSAGE[:-1])
        until(lambda: side.messages, side)
        side.pass_time(MESSAGE_TIMEOUT - 0.1)
        assert side.failed == []
        side.pass_time(0.2)
        assert "left a message incomplete" in side.failed[0][1]
        until(lambda: ended(sock), side)


def test_trickling_does_not_extend_that(sides: Callable[..., Side]) -> None:
    side = sides()
    with client(side) as sock:
        for byte in MESSAGE[:12]:
            with contextlib.suppress(OSError):
                sock.send(bytes([byte]))
            side.turn(wait=0.02)
            side.pass_time(0.5)
    assert "left a message incomplete" in side.failed[0][1]


@pytest.mark.parametrize("said", [b"", PING])
def test_who_says_nothing_is_cut_off(sides: Callable[..., Side], said: bytes) -> None:
    side = sides()
    with client(side) as sock:
        sock.send(said)
        side.turn(wait=0.05)
        side.pass_time(FIRST_MESSAGE_TIMEOUT - 0.1)
        assert len(side.connections._open) == 1
        side.pass_time(IDLE_TIMEOUT)
        until(lambda: len(side.connections._open) == 0, side)


def test_an_idle_connection_is_closed_unless_it_is_needed(sides: Callable[..., Side]) -> None:
    side = sides()
    with client(side) as sock:
        sock.send(MESSAGE)
        until(lambda: side.messages, side)
        source = side.messages[0][1]
        side.needed.add(source)
        side.pass_time(10 * IDLE_TIMEOUT)
        assert side.closed == []
        side.needed.clear()
        side.pass_time(IDLE_TIMEOUT + PING_INTERVAL[1])
        assert side.closed == [source]
        until(lambda: ended(sock), side)


def test_our_own_connection_is_kept_alive_while_it_is_needed(sides: Callable[..., Side]) -> None:
    side = sides()
    with socket.create_server((HOST, 0)) as server:
        address = Address("tcp", HOST, server.getsockname()[1])
        side.needed.add(address)
        side.connections.send(MESSAGE, address)
        side.turn()
        peer, _ = server.accept()
        with peer:
            assert received(peer, side, len(MESSAGE)) == MESSAGE
            for _ in range(3):
                side.pass_time(PING_INTERVAL[0] - 0.1)
                with pytest.raises(BlockingIOError):
                    peer.recv(100)
                side.pass_time(PING_INTERVAL[1] - PING_INTERVAL[0] + 0.1)
                assert received(peer, side, 4) == PING
                peer.send(PONG)
                side.turn(wait=0.1)
            side.needed.clear()
            side.pass_time(2 * IDLE_TIMEOUT)
            assert side.closed == [address]


def test_the_connection_that_was_used_least_lately_makes_room_and_needed_ones_do_not(
    sides: Callable[..., Side],
) -> None:
    side = sides(most=3)
    with contextlib.ExitStack() as stack:
        socks: list[socket.socket] = []
        for _ in range(3):
            side.now += 1.0
            sock = stack.enter_context(client(side))
            sock.send(MESSAGE)
            until(lambda: len(side.messages) > len(socks), side)
            socks.append(sock)
        side.needed.add(side.messages[0][1])
        fourth = stack.enter_context(socket.create_connection((HOST, side.ports["tcp"]), PATIENCE))
        until(lambda: ended(socks[1]), side)
        assert not ended(socks[0])
        side.needed.update(address for address in side.connections._open)
        fifth = stack.enter_context(socket.create_connection((HOST, side.ports["tcp"]), PATIENCE))
        until(lambda: ended(fifth), side)
        assert not ended(fourth)


def test_a_peer_that_does_not_read_gets_all_in_the_end_or_is_given_up(sides: Callable[..., Side]) -> None:
    side = sides()
    large = b"MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 60000\r\n\r\n" + bytes(60000)
    with client(side) as sock:
        sock.send(MESSAGE)
        until(lambda: side.messages, side)
        source = side.messages[0][1]
        sent = 0
        while not side.connections._open[source].queue:
            side.connections.send(large, source)
            sent += len(large)
        assert len(received(sock, side, sent)) == sent
        while not side.failed:
            side.connections.send(large, source)
            if source in side.connections._open:
                assert len(side.connections._open[source].queue) <= MAX_QUEUED
            side.turn()
    assert side.failed[0][0] == source
    assert "does not read" in side.failed[0][1]


# --- TLS --------------------------------------------------------------------------------------------------------------


def server_files(certificates: Certificates) -> TlsFiles:
    return TlsFiles(str(certificates.certificate), str(certificates.key))


def client_files(certificates: Certificates) -> TlsFiles:
    return TlsFiles(authorities=str(certificates.authority))


@pytest.mark.parametrize("name", ["localhost", HOST])
def test_messages_go_by_tls_both_ways(sides: Callable[..., Side], certificates: Certificates, name: str) -> None:
    near, far = sides(client_files(certificates)), sides(server_files(certificates))
    near.names[far.address("tls")] = name
    near.connections.send(MESSAGE * 3, far.address("tls"))
    until(lambda: len(far.messages) == 3, near, far)
    source = far.messages[0][1]
    assert source == near.address("tls"), "from the port that our Contact names"
    far.connections.send(MESSAGE, source)
    until(lambda: near.messages, near, far)
    near.needed.add(far.address("tls"))
    near.pass_time(PING_INTERVAL[1])
    far.turn(wait=0.1)
    near.connections.close()
    until(lambda: far.closed, far)
    assert (near.failed, far.failed) == ([], [])


@pytest.mark.parametrize(
    ("name", "trusted", "text"),
    [
        ("localhost", False, "the certificate of localhost cannot be trusted"),
        ("phone.example", True, "phone.example has a certificate for another name"),
        ("127.0.0.2", True, "127.0.0.2 has a certificate for another name"),
    ],
)
def test_a_certificate_that_proves_nothing_is_a_failure_that_says_so(
    sides: Callable[..., Side], certificates: Certificates, name: str, trusted: bool, text: str
) -> None:
    near, far = sides(client_files(certificates) if trusted else None), sides(server_files(certificates))
    near.names[far.address("tls")] = name
    near.connections.send(MESSAGE, far.address("tls"))
    until(lambda: near.failed and far.failed, near, far)
    assert text in near.failed[0][1]
    assert ("--tls-ca" in near.failed[0][1]) is not trusted
    assert far.messages == []


def test_a_server_without_tls_is_told_from_a_bad_one(sides: Callable[..., Side]) -> None:
    near, far = sides(), sides()
    near.connections.send(MESSAGE, Address("tls", HOST, far.ports["tcp"]))
    until(lambda: near.failed, near, far)
    assert "use TLS" in near.failed[0][1]


def test_hands_that_are_not_shaken_are_not_waited_for(sides: Callable[..., Side], certificates: Certificates) -> None:
    side = sides(server_files(certificates))
    with socket.create_connection((HOST, side.ports["tls"]), PATIENCE) as sock:
        until(lambda: side.connections._open, side)
        side.pass_time(HANDSHAKE_TIMEOUT + 0.1)
        until(lambda: ended(sock), side)
    with socket.create_connection((HOST, side.ports["tls"]), PATIENCE) as sock:
        sock.send(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n")
        until(lambda: len(side.failed) == 2, side)


def test_tls_of_others_gets_through(sides: Callable[..., Side], certificates: Certificates) -> None:
    side = sides(server_files(certificates))
    context = ssl.create_default_context(cafile=str(certificates.authority))
    with socket.create_connection((HOST, side.ports["tls"]), PATIENCE) as raw:
        raw.setblocking(False)
        with context.wrap_socket(raw, server_hostname="localhost", do_handshake_on_connect=False) as sock:

            def shaken() -> bool:
                try:
                    sock.do_handshake()
                except ssl.SSLWantReadError:
                    return False
                return True

            until(shaken, side)
            for place in range(0, len(MESSAGE), 7):
                sock.send(MESSAGE[place : place + 7])
            until(lambda: side.messages, side)
    assert side.messages[0][0] == MESSAGE


def test_files_that_are_of_no_use_are_one_line_each(tmp_path: Path, certificates: Certificates) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nothing")
    for files, option in (
        (TlsFiles(certificate=str(nonsense)), "--tls-cert"),
        (TlsFiles(certificate=str(tmp_path / "missing")), "--tls-cert"),
        (TlsFiles(certificate=str(certificates.certificate)), "it holds no private key; .* --tls-key"),
        (TlsFiles(str(certificates.certificate), str(tmp_path / "missing")), "--tls-key .*: No such file"),
        (TlsFiles(str(certificates.certificate), str(certificates.authority)), "--tls-cert"),
        (TlsFiles(authorities=str(nonsense)), "--tls-ca"),
        (TlsFiles(authorities=str(tmp_path / "missing")), "--tls-ca"),
    ):
        with pytest.raises(VoipError, match=option) as stop:
            Tls(files)
        assert "\n" not in str(stop.value)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such option")
def test_the_system_gives_up_a_connection_whose_peer_acknowledges_nothing(sides: Callable[..., Side]) -> None:
    ours, peer = sides(), sides()
    ours.connections.send(MESSAGE, peer.address())
    until(lambda: peer.messages, ours, peer)
    for side in (ours, peer):
        (connection,) = side.connections._open.values()
        milliseconds = connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert milliseconds == 1000 * UNACKNOWLEDGED_TIMEOUT


def test_a_host_that_may_not_call_has_one_connection_and_the_rest_is_left_to_others(
    sides: Callable[..., Side],
) -> None:
    side = sides()
    side.strangers.add(HOST)
    with client(side) as first, socket.create_connection((HOST, side.ports["tcp"]), PATIENCE) as second:
        until(lambda: ended(second), side)
        assert len(side.connections._open) == 1
        assert not ended(first)
    side.strangers.clear()
    until(lambda: not side.connections._open, side)
    with client(side), client(side):
        assert len(side.connections._open) == 2
