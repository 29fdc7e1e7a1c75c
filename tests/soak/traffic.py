"""What strangers send, from a host of their own:  python -m tests.soak.traffic KIND HOST PORT SECONDS RATE [FROM:PORT]

KIND: `garbage` (datagrams of 172 random bytes), `rtp` (packets of RTP as long as those, each of another stream),
`spoofed` (garbage with the source address FROM:PORT, by a raw socket), `INVITE`, `REGISTER` or `OPTIONS` (requests over
UDP), `calls` (RATE calls a second, each set up, acknowledged and hung up), `tcp` or `tls` (RATE connections at once
that say nothing). At the end it prints what it did, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.raw_peer import RawPeer, raw_peer
from tests.support.text_phone import status

TICK = 0.002
"""Seconds between two bursts of a flood."""
SIZE = 172
"""Bytes of a datagram that floods: those of 20 ms of G.711 with its RTP header."""
_UDP = socket.IPPROTO_UDP
_TIME_TO_LIVE = 64


@dataclass(frozen=True)
class Task:
    """Where to, for how long, how many a second."""

    target: tuple[str, int]
    seconds: float
    rate: int


def flood(task: Task, send: Callable[[int], object]) -> int:
    """Call `send` with 0, 1, 2, ... at the rate; how often it was called."""
    began, sent = time.monotonic(), 0
    while (elapsed := time.monotonic() - began) < task.seconds:
        for number in range(sent, int(elapsed * task.rate)):
            with contextlib.suppress(OSError):  # the interface is down, or its queue is full
                send(number)
        sent = int(elapsed * task.rate)
        time.sleep(TICK)
    return sent


def garbage(task: Task) -> int:
    data = os.urandom(SIZE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return flood(task, lambda number: sock.sendto(data, task.target))


def rtp(task: Task) -> int:
    """Packets of G.711 as a phone sends them, of a thousand streams."""
    packets = [struct.pack("!BBHII", 0x80, 0, number, 160 * number, number) + os.urandom(160) for number in range(1000)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return flood(task, lambda number: sock.sendto(packets[number % len(packets)], task.target))


def spoofed(task: Task, source: tuple[str, int]) -> int:
    """UDP in IP packets that we write ourselves (RFC 768, RFC 791); no UDP checksum, which IPv4 allows."""
    payload = os.urandom(SIZE)
    length = 8 + len(payload)
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(task.target[0])
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, _TIME_TO_LIVE, _UDP, 0) + addresses
    data = ip + struct.pack("!HHHH", source[1], task.target[1], length, 0) + payload
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        return flood(task, lambda number: sock.sendto(data, (task.target[0], 0)))


def requests(task: Task, method: str, host: str) -> int:
    with raw_peer(host) as peer:
        body = peer.description() if method == "INVITE" else ""
        return flood(task, lambda number: peer.send(peer.request(method, task.target, body=body), task.target))


def calls(task: Task, host: str) -> dict[str, int]:
    """Calls one after another, no faster than the rate; how many were answered, and how those that were not."""
    outcomes: dict[str, int] = {}
    began, number = time.monotonic(), 0
    with raw_peer(host) as peer:
        while time.monotonic() - began < task.seconds:
            answer = _one_call(peer, task.target)
            outcomes[answer] = outcomes.get(answer, 0) + 1
            number += 1
            time.sleep(max(0.0, began + number / task.rate - time.monotonic()))
    return outcomes


def _one_call(peer: RawPeer, target: tuple[str, int]) -> str:
    try:
        answer, dialog = peer.invite(target)
    except AssertionError:
        return "no answer"
    if dialog is None:
        return str(status(answer))
    return "whole" if dialog.bye() == 200 else "no answer to BYE"


def connections(task: Task, host: str, *, tls: bool) -> int:
    """Connections that stay open and say nothing, over TLS nothing after the handshake has begun; those that opened."""
    opened = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    end = time.monotonic() + task.seconds
    for _ in range(task.rate):
        with contextlib.suppress(OSError):
            sock = socket.create_connection(task.target, timeout=1.0, source_address=(host, 0))
            if tls:
                sock = context.wrap_socket(sock, do_handshake_on_connect=False)
                sock.setblocking(False)
                with contextlib.suppress(ssl.SSLWantReadError, OSError):
                    sock.do_handshake()
            opened.append(sock)
    time.sleep(max(0.0, end - time.monotonic()))
    for sock in opened:
        sock.close()
    return len(opened)


def main() -> None:
    kind, host, port, seconds, rate, *source = sys.argv[1:]
    task = Task((host, int(port)), float(seconds), int(rate))
    ours = source[0].partition(":")[0] if source else "0.0.0.0"
    if kind == "garbage":
        done: object = garbage(task)
    elif kind == "rtp":
        done = rtp(task)
    elif kind == "spoofed":
        done = spoofed(task, (ours, int(source[0].partition(":")[2])))
    elif kind in ("tcp", "tls"):
        done = connections(task, ours, tls=kind == "tls")
    elif kind == "calls":
        done = calls(task, ours)
    else:
        done = requests(task, kind, ours)
    sys.stdout.write(json.dumps(done) + "\n")


if __name__ == "__main__":
    main()
