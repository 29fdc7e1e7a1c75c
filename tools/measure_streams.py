"""What a stream costs beside many others: microseconds of processor time for each packet that is played, or sent.

    python -m tools.measure_streams [--tree DIRECTORY ...] [--rounds 7] [--streams 50] [--seconds 5]

Streams of PCMU in 20 ms packets in virtual time, without sockets. Playing is `RtpSession.receive_datagram`, what puts a
packet into the mixer, and the mix; sending is `Fanout.write`, which encodes the sound once and protects each stream by
FlexFEC, with rate control, but no reports. Each round is a process of its own, and the rounds of several trees (other
states of this project) alternate, so that other load on the machine affects them alike. Prints medians, and of the
trees after the first the median ratio to the first in the same round.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import struct
import subprocess
import sys
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from voip.media import NegotiatedMedia

PTIME, BLOCK = 0.02, 0.01
"""Seconds of a packet, and of what is mixed at a time."""
RATE, SAMPLES = 8000, 160
WARM = 1.0
"""Seconds before anything is timed."""
SOURCE = ("192.0.2.1", 5000)
_HEADER = struct.Struct("!BBHII")

Costs = tuple[float, float, float]
"""Checking, playing and sending, of each packet."""


def agreed(number: int, repair_packets: int) -> tuple[NegotiatedMedia, NegotiatedMedia]:
    """What the sender and the receiver of a stream have agreed on."""
    from voip.codecs import find
    from voip.sdp import Capabilities, Endpoint, accept_answer, make_answer, make_offer

    codec = find("PCMU", RATE, 1)
    assert codec is not None
    capabilities = Capabilities((codec,), ptime=PTIME, repair_packets=repair_packets)
    ids = range(4 * number + 1, 4 * number + 5)
    near = Endpoint(SOURCE[0], SOURCE[1], ids[0], ids[1], "near", 1)
    far = Endpoint("192.0.2.2", 6000, ids[2], ids[3], "far", 2)
    offer = make_offer(capabilities, near)
    answer, received = make_answer(offer, capabilities, far)
    return accept_answer(offer, answer, capabilities, near), received


def speech_like(seconds: float) -> list[bytes]:
    """Payloads of noise that comes and goes three times a second: there are pauses, as in speech."""
    from voip.codecs import find

    codec = find("PCMU", RATE, 1)
    assert codec is not None
    encoder, samples = codec.encoder(), round(seconds * RATE)
    swell = np.maximum(0.0, np.sin(2 * np.pi * 3.0 * np.arange(samples) / RATE))
    sound = (np.random.default_rng(1).normal(0.0, 3000.0, samples) * swell).astype(np.int16)
    return [encoder.encode(block) for block in sound.reshape(-1, SAMPLES, 1)]


def measure_playing(streams: int, seconds: float) -> tuple[float, float]:
    """Microseconds for each packet: checking it, and buffering, decoding and mixing it."""
    from voip.audio import AudioReceiver, Mixer
    from voip.jitter import DeviceClock
    from voip.session import RtpSession

    device, mixer, sessions = DeviceClock(), Mixer(), list[RtpSession]()
    for number in range(streams):
        _, received = agreed(number, 0)
        sessions.append(RtpSession(received, cname="far", rng=random.Random(number)))
        receiver = AudioReceiver(received, sample_rate=RATE, channels=1, latency=None, latency_max=0.5, device=device)
        mixer.add(str(number), receiver)
    payloads, now, packets = speech_like(2.0), 1000.0, 0
    checking = playing = 0.0
    for turn in range(round((WARM + seconds) / BLOCK)):
        n = turn // 2
        arriving = []
        for number in range(turn % 2, streams, 2):  # half of them send now, the others in the next block
            header = _HEADER.pack(0x80, 0, (65000 + n) & 0xFFFF, n * SAMPLES, 4 * number + 1)
            payload = payloads[(n + 31 * number) % len(payloads)]
            arriving.append((number, header + payload, now + number % 10 * 1e-3))
        begin = process_time()
        found = [
            (str(number), packet, at)
            for number, data, at in arriving
            for packet in sessions[number].receive_datagram(data, SOURCE, at)
        ]
        checked = process_time()
        for key, packet, at in found:
            mixer.put(key, packet, at)
        device.pull(BLOCK, now)
        mixer.limit(mixer.take(round(BLOCK * RATE), now + BLOCK))
        if turn * BLOCK >= WARM:
            checking, playing = checking + checked - begin, playing + process_time() - checked
            packets += len(arriving)
        now += BLOCK
    assert all(session.reception.lost == 0 for session in sessions)
    return 1e6 * checking / packets, 1e6 * playing / packets


def measure_sending(streams: int, seconds: float) -> float:
    """Microseconds for each media packet, with the repair packets that follow it."""
    from voip.audio import AudioSender, Fanout
    from voip.congestion import RateController
    from voip.fec import FecController

    fanout = Fanout(RATE, 1)
    for number in range(streams):
        media, _ = agreed(number, 13)
        sender = AudioSender(
            media,
            sample_rate=RATE,
            channels=1,
            rng=random.Random(number),
            control=FecController(64000.0, media_factor=2.0),
            rate=RateController(),
            encoders=fanout.encoders,
        )
        fanout.add(str(number), sender, lambda datagram: None)
    sound = np.random.default_rng(1).integers(-3000, 3000, (SAMPLES, 1), np.int16)
    spent, frames, now = 0.0, round(seconds / PTIME), 1000.0
    for frame in range(round(WARM / PTIME) + frames):
        begin = process_time()
        fanout.write(sound, now)
        if frame * PTIME >= WARM:
            spent += process_time() - begin
        now += PTIME
    return 1e6 * spent / frames / streams


def _measure_tree(tree: Path, options: argparse.Namespace) -> Costs:
    """One round, in a process that imports from that tree."""
    arguments = ["--once", f"--streams={options.streams}", f"--seconds={options.seconds}"]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), *arguments],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    checking, playing, sending = map(float, done.stdout.split())
    return checking, playing, sending


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.measure_streams", description=(__doc__ or "").split("\n")[0])
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("--tree", type=Path, action="append", help="state of the project to measure  [this one]")
    parser.add_argument("--rounds", type=int, default=7, help="in each tree  [7]")
    parser.add_argument("--streams", type=int, default=50, help="at a time  [50]")
    parser.add_argument("--seconds", type=float, default=5.0, help="of sound in each round  [5]")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.once:
        costs = *measure_playing(options.streams, options.seconds), measure_sending(options.streams, options.seconds)
        sys.stdout.write("{} {} {}\n".format(*costs))
        return 0
    trees = [tree.resolve() for tree in options.tree or [here]]
    found: list[list[Costs]] = [[_measure_tree(tree, options) for tree in trees] for _ in range(options.rounds)]
    for place, tree in enumerate(trees):
        told = []
        for kind, name in enumerate(("checking", "playing", "sending")):
            middle = statistics.median(costs[place][kind] for costs in found)
            ratio = statistics.median(costs[place][kind] / costs[0][kind] for costs in found)
            told.append(f"{name} {middle:.1f} us a packet" + (f" ({ratio:.2f} of the first)" if place else ""))
        sys.stdout.write(f"{tree}: {', '.join(told)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
