"""Behind a NAT: what a STUN server says is what the peer is told, and sound flows both ways with and without one."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.namespaces import Hosts, require
from tests.support.processes import Outcome, receiver, sender
from voip.sdp import SessionDescription
from voip.sip import Request, parse_message
from voip.stun import MAGIC_COOKIE, is_stun

PORTS = 25060, range(25062, 25082)
INSIDE, ROUTER_INSIDE, ROUTER, OUTSIDE = "192.168.7.2", "192.168.7.1", "10.66.0.1", "10.66.0.2"
PUBLIC, SHIFT = "203.0.113.7", 1000


class Server:
    """A STUN server that sees everybody at PUBLIC, `SHIFT` ports higher; the first `deaf` requests are lost."""

    def __init__(self, host: str = "127.0.0.1", deaf: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.port = self.socket.getsockname()[1]
        self.asked: list[int] = []
        self.deaf = deaf
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, source = self.socket.recvfrom(2000)
                self.asked.append(source[1])
                if is_stun(data) and len(self.asked) > self.deaf:
                    self.socket.sendto(self.answer(data, source[1]), source)

    def answer(self, data: bytes, port: int) -> bytes:
        host = int.from_bytes(socket.inet_aton(PUBLIC), "big") ^ MAGIC_COOKIE
        value = b"\0\x01" + ((port + SHIFT) ^ (MAGIC_COOKIE >> 16)).to_bytes(2, "big") + host.to_bytes(4, "big")
        return b"\x01\x01\0\x0c" + data[4:20] + b"\0\x20\0\x08" + value

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def callee() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        yield sock


def invited(callee: socket.socket) -> tuple[Request, SessionDescription, int]:
    """The INVITE that comes, its offer, and the port that it really comes from."""
    data, source = callee.recvfrom(65535)
    invite = parse_message(data)
    assert isinstance(invite, Request)
    return invite, SessionDescription.parse(invite.body), source[1]


@pytest.mark.process
@pytest.mark.parametrize("deaf", [0, 2])
def test_the_offer_and_the_contact_name_what_the_stun_server_sees(
    tmp_path: Path, callee: socket.socket, deaf: int
) -> None:
    server = Server(deaf=deaf)
    target = f"127.0.0.1:{callee.getsockname()[1]}"
    with sender(tmp_path, target, "--stun", f"127.0.0.1:{server.port}") as caller:
        invite, offer, source = invited(callee)
        caller.wait_for(PUBLIC)
    contact = invite.contacts[0].uri
    assert not isinstance(contact, str)
    media = offer.media[0]
    assert (contact.host, contact.port) == (PUBLIC, source + SHIFT)
    assert (offer.host(media), offer.origin) == (PUBLIC, PUBLIC)
    assert media.port - SHIFT in server.asked
    server.close()


@pytest.mark.process
def test_a_silent_stun_server_costs_less_than_a_second_and_a_line(tmp_path: Path, callee: socket.socket) -> None:
    server = Server(deaf=1000)
    target = f"127.0.0.1:{callee.getsockname()[1]}"
    with sender(tmp_path, target, "--stun", f"127.0.0.1:{server.port}") as caller:
        caller.wait_for("calling")
        began = time.monotonic()
        invite, offer, source = invited(callee)
        waited = time.monotonic() - began
        caller.wait_for("does not respond: using our local address")
    contact = invite.contacts[0].uri
    assert not isinstance(contact, str)
    assert (contact.host, contact.port, offer.host(offer.media[0])) == ("127.0.0.1", source, "127.0.0.1")
    assert waited < 1.5  # 0.7 s, and what a busy machine adds
    assert offer.media[0].port in server.asked
    server.close()


def assert_both_heard(*outcomes: Outcome) -> None:
    for outcome in outcomes:
        assert outcome.status == 0, outcome.stderr
        assert outcome.call["rx"]["received"] > 75, outcome.report  # of 2 s


@pytest.mark.process
def test_sound_flows_both_ways_through_a_nat(tmp_path: Path) -> None:
    require("iptables", "sysctl")
    both = ("--two-way", "--input", "tone", "--output", "null")
    with Hosts() as hosts:
        inside, router, outside = hosts.add("inside"), hosts.add("router"), hosts.add("outside")
        hosts.cable(inside, INSIDE, router, ROUTER_INSIDE)
        interface, _ = hosts.cable(router, ROUTER, outside, OUTSIDE)
        router.masquerade(interface)
        inside.run(f"ip route add default via {ROUTER_INSIDE}")
        with (
            receiver(tmp_path, "--once", *both, host=OUTSIDE, ports=PORTS, through=outside.through) as far,
            sender(tmp_path, far.target, "--duration", "2s", *both, host="0.0.0.0", through=inside.through) as near,
        ):
            assert_both_heard(near.finish(), far.finish())
        assert f"@{INSIDE}" in far.stderr  # without help it knows no better


@pytest.mark.process
def test_a_side_that_only_listens_opens_the_nat_for_what_is_to_come(tmp_path: Path) -> None:
    """SIP is forwarded to it, as people do at their routers; its media ports are not."""
    require("iptables", "sysctl")
    with Hosts() as hosts:
        inside, router, outside = hosts.add("inside"), hosts.add("router"), hosts.add("outside")
        hosts.cable(inside, INSIDE, router, ROUTER_INSIDE)
        interface, _ = hosts.cable(router, ROUTER, outside, OUTSIDE)
        inside.run(f"ip route add default via {ROUTER_INSIDE}")
        sip = f"-p udp --dport {PORTS[0]}"
        router.run(f"iptables -t nat -A PREROUTING -i {interface} {sip} -j DNAT --to-destination {INSIDE}")
        router.run(f"iptables -A FORWARD -i {interface} {sip} -j ACCEPT")
        router.masquerade(interface)
        options = ("--once", "--public-address", ROUTER)
        with (
            receiver(tmp_path, *options, host=INSIDE, ports=PORTS, through=inside.through) as far,
            sender(
                tmp_path, f"{ROUTER}:{PORTS[0]}", "--duration", "2s", host="0.0.0.0", through=outside.through
            ) as near,
        ):
            sent, heard = near.finish(), far.finish()
    assert sent.status == heard.status == 0, sent.stderr + heard.stderr
    assert heard.call["rx"]["received"] > 75


@pytest.mark.process
@pytest.mark.interop
@pytest.mark.parametrize(
    ("inner", "router_inner", "router_outer", "outer"),
    [(INSIDE, ROUTER_INSIDE, ROUTER, OUTSIDE), ("fd07::2", "fd07::1", "fd66::1", "fd66::2")],
    ids=["IPv4", "IPv6"],
)
def test_coturn_tells_a_caller_its_address_outside_the_nat(
    tmp_path: Path, inner: str, router_inner: str, router_outer: str, outer: str
) -> None:
    require("iptables", "ip6tables", "sysctl", "turnserver")
    ipv6 = ":" in outer
    with Hosts() as hosts:
        inside, router, outside = hosts.add("inside"), hosts.add("router"), hosts.add("outside")
        ends = hosts.cable(inside, inner, router, router_inner)
        interface, other_end = hosts.cable(router, router_outer, outside, outer)
        if ipv6:  # no neighbour is found before that
            for host, end in ((inside, ends[0]), (router, ends[1]), (router, interface), (outside, other_end)):
                host.link_local(end)
        router.masquerade(interface, ipv6=ipv6)
        inside.run(f"ip route add default via {router_inner}")
        options = ["--stun-only", "--listening-ip", outer, "--no-cli", "--log-file", "stdout", "--pidfile", ""]
        with (tmp_path / "turnserver.log").open("wb") as log:
            command = [*outside.through, "turnserver", "-n", *options, "--no-tls", "--no-dtls"]
            server = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
        seen_at, anywhere = (f"[{router_outer}]", "::") if ipv6 else (router_outer, "0.0.0.0")
        try:
            for _ in range(100):
                if ":3478" in outside.run("ss -lun"):
                    break
                outside.run("sleep 0.1")
            with (
                receiver(tmp_path, "--once", host=outer, ports=PORTS, through=outside.through) as far,
                sender(
                    tmp_path, far.target, "--duration", "2s", "--stun", outer, host=anywhere, through=inside.through
                ) as near,
            ):
                near.wait_for(f"public SIP address (by STUN): {router_outer} port")
                assert "call from sip:" in far.wait_for(f"@{seen_at}")
                sent, heard = near.finish(), far.finish()
        finally:
            server.terminate()
            server.wait()
    assert sent.status == heard.status == 0, sent.stderr + heard.stderr
    assert heard.call["rx"]["received"] > 75
