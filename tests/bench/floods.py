"""Floods of the ports of a real receiver.py: what the call loses, and what they cost the process.

    python -m tests.bench.floods [--seconds 8] [SCENE ...]

Each scene is a call of 50 packets a second: first without, then with the flood, which another process sends. CPU is
that of the receiver, of one core, in both halves. For figures of a release, on a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import Receiver
from tests.support.raw_peer import FEC, Stream, rtp, sender_report
from tests.support.raw_scene import Scene, scene

STRANGER = "127.0.0.66"
BATCHES = 200
"""Bursts a second that a flood comes in."""
VARIANTS = 1000
"""Different datagrams of each flood, sent over and over."""
SETTLE = 1.0
"""Seconds of a call before anything is measured."""
PACKETS_PER_SECOND = 50
_HEADER = "scene                      rate/s   packets   lost %   concealed %   CPU idle %   CPU %   over   RSS MB"


@dataclass(frozen=True)
class Flood:
    """`make` gives a datagram; `rate` a second; from the peer's own socket or from elsewhere; to the media port, or
    that of RTCP or SIP."""

    make: Callable[[Stream, random.Random], bytes]
    rate: int = 50_000
    as_peer: bool = False
    to_rtcp: bool = False
    to_sip: bool = False
    options: tuple[str, ...] = ()


def garbage(stream: Stream, rng: random.Random) -> bytes:
    return rng.randbytes(172)


def large(stream: Stream, rng: random.Random) -> bytes:
    return rng.randbytes(60_000)


def with_ssrc(stream: Stream, rng: random.Random) -> bytes:
    return rtp(rng.getrandbits(16), rng.getrandbits(32), bytes(320), ssrc=stream.ssrc)


def other_ssrc(stream: Stream, rng: random.Random) -> bytes:
    return rtp(rng.getrandbits(16), rng.getrandbits(32), bytes(320), ssrc=rng.getrandbits(32))


def stun(stream: Stream, rng: random.Random) -> bytes:
    return b"\x01\x01\x00\x00\x21\x12\xa4\x42" + rng.randbytes(12)


def report(stream: Stream, rng: random.Random) -> bytes:
    return sender_report(rng.getrandbits(32), rng.getrandbits(32), 1, 1)


def long_report(stream: Stream, rng: random.Random) -> bytes:
    """8 kB of receiver reports without a block."""
    return b"".join(b"\x80\xc9\x00\x01" + rng.randbytes(4) for _ in range(1000))


def parity(stream: Stream, rng: random.Random) -> bytes:
    """FlexFEC over 110 numbers around the newest, 1.4 kB."""
    base = (stream.sequence - rng.randrange(110)) & 0xFFFF
    body = bytes(8) + base.to_bytes(2, "big") + b"\xff\xff" + b"\xff" * 12 + rng.randbytes(1380)
    return rtp(rng.getrandbits(16), stream.timestamp, body, ssrc=7, payload_type=FEC, csrcs=(stream.ssrc,))


def invite(stream: Stream, rng: random.Random) -> bytes:
    """One of a stranger that calls, as terse as it may be."""
    return stream.dialog.peer.request("INVITE", stream.dialog.target, body=stream.dialog.peer.description())


FLOODS = {
    "elsewhere": Flood(garbage),
    "elsewhere, 100,000/s": Flood(garbage, rate=100_000),
    "elsewhere, peer's SSRC": Flood(with_ssrc),
    "elsewhere, RTCP port": Flood(report, to_rtcp=True),
    "elsewhere, STUN": Flood(stun),
    "elsewhere, 60 kB": Flood(large, rate=5000),
    "SIP port, garbage": Flood(garbage, to_sip=True),
    "SIP port, INVITE": Flood(invite, rate=1000, to_sip=True),
    "as the peer, other SSRC": Flood(other_ssrc, rate=20_000, as_peer=True),
    "as the peer, garbage": Flood(garbage, rate=20_000, as_peer=True),
    "as the peer, RTCP": Flood(report, rate=2000, as_peer=True),
    "as the peer, RTCP of 8 kB": Flood(long_report, rate=2000, as_peer=True),
    "as the peer, parity": Flood(parity, rate=20_000, as_peer=True, options=("fec",)),
}


def send(flood: Flood, sock: socket.socket, stream: Stream, seconds: float) -> None:
    """A process of its own: datagrams at that rate for so long."""
    rng = random.Random(1)
    datagrams = [
        flood.make(stream, rng) for _ in range(VARIANTS if flood.rate > BATCHES * 100 or flood.to_sip else 100)
    ]
    host, port = stream.dialog.media
    target = stream.dialog.target if flood.to_sip else (host, port + flood.to_rtcp)
    start, sent = time.monotonic(), 0
    while (now := time.monotonic()) < start + seconds:
        while sent < (now - start) * flood.rate:
            sock.sendto(datagrams[sent % len(datagrams)], target)
            sent += 1
        time.sleep(1.0 / BATCHES)


def cpu_seconds(program: Receiver) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(program: Receiver) -> float:
    """MB of memory of a process."""
    return int(Path(f"/proc/{program.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def talk(call: Scene, seconds: float) -> float:
    """Send the call's packets for so long; the share of a core that the receiver took."""
    before, began = cpu_seconds(call.far), time.monotonic()
    call.stream.send(round(seconds * PACKETS_PER_SECOND))
    return (cpu_seconds(call.far) - before) / (time.monotonic() - began)


def run(name: str, flood: Flood, seconds: float, folder: Path) -> str:
    """One scene; its row."""
    with scene(folder, fec="fec" in flood.options) as call, closing(_elsewhere()) as elsewhere:
        talk(call, SETTLE)
        idle, memory = talk(call, seconds), resident(call.far)
        sock = call.peer.rtp if flood.as_peer else elsewhere
        process = multiprocessing.get_context("fork").Process(target=send, args=(flood, sock, call.stream, seconds))
        process.start()
        busy = talk(call, seconds)
        process.join()
        growth = resident(call.far) - memory
        call.stream.send(PACKETS_PER_SECOND)
        heard = call.end()
    rx = heard.outcome.call["rx"]
    sent = len(call.stream.sent)
    lost, concealed = 100 * rx["lost"] / sent, heard.outcome.call["heard"]["concealed_pct"]
    return (
        f"{name:26}{flood.rate:7}{sent:10}{lost:9.2f}{concealed:14.2f}{100 * idle:13.1f}{100 * busy:8.1f}"
        f"{100 * (busy - idle):7.1f}{growth:9.1f}"
    )


def _elsewhere() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((STRANGER, 0))
    return sock


def rows(names: list[str], seconds: float) -> Iterator[str]:
    yield _HEADER
    for name in names:
        with tempfile.TemporaryDirectory(prefix="floods-") as folder:
            yield run(name, FLOODS[name], seconds, Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", nargs="*", help=f"[all] of {', '.join(FLOODS)}")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each half of a call  [8]")
    options = parser.parse_args()
    for row in rows(options.scene or [*FLOODS], options.seconds):
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
