"""What one RTP packet costs the receiver: microseconds from the datagram to the jitter buffer, with FlexFEC agreed.

    python -m tools.measure_receive [--tree DIRECTORY ...] [--rounds 7] [--packets 20000] [--fec SPEC] [--loss 0.05]

A call of PCMU in 20 ms packets in virtual time. Timed are `RtpSession.receive_datagram` and `AudioReceiver.put`, per
media packet and with the repair packets that belong to it; reading the sound is not. The same for `AudioSender.write`,
which encodes and protects it. Each round is a process of its own, and the rounds of several trees (other states of
this project) alternate, so that other load on the machine affects them alike. Prints medians of processor time, and
the best round.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path
from time import process_time

import numpy as np

ROUNDS, PACKETS = 7, 20_000
PTIME = 0.02
BATCH = 10
"""Packets between two looks at the clock."""
SAMPLES = 160
"""Of a packet: 20 ms at 8 kHz."""
FEC = "sliding:0,1,3+0,2,5/1"
"""Two repair packets each: what the automatic choice sends where much is lost."""


def measure(packets: int, fec: str, loss: float) -> tuple[float, float]:
    """Microseconds per media packet of one call: receiving, sending."""
    from voip.audio import AudioReceiver, AudioSender
    from voip.codecs import find
    from voip.fec import parse_pattern
    from voip.sdp import Capabilities, Endpoint, accept_answer, make_answer, make_offer
    from voip.session import RtpSession

    codec = find("PCMU", 8000, 1)
    assert codec is not None
    capabilities = Capabilities((codec,), ptime=PTIME, repair_packets=6)
    near, far = Endpoint("192.0.2.1", 5000, 1, 2, "near", 1), Endpoint("192.0.2.2", 6000, 3, 4, "far", 2)
    offer = make_offer(capabilities, near)
    answer, received = make_answer(offer, capabilities, far)
    sent = accept_answer(offer, answer, capabilities, near)

    rng = random.Random(1)
    sender = AudioSender(sent, sample_rate=8000, channels=1, rng=rng, pattern=parse_pattern(fec))
    session = RtpSession(received, cname="far", rng=random.Random(2))
    receiver = AudioReceiver(received, sample_rate=8000, channels=1, latency=0.25, latency_max=0.4)
    sound = np.random.default_rng(3).integers(-8000, 8000, (SAMPLES, 1), np.int16)
    receiving = sending = 0.0
    source, now = ("192.0.2.1", 5000), 100.0
    for _ in range(packets // BATCH):
        moments = [now + index * PTIME for index in range(BATCH)]
        start = process_time()
        groups = [sender.write(sound, moment) for moment in moments]
        sending += process_time() - start
        arriving = [
            (datagram, moment)
            for datagrams, moment in zip(groups, moments, strict=True)
            for datagram in datagrams
            if not loss or rng.random() >= loss
        ]
        start = process_time()
        for datagram, moment in arriving:
            for packet in session.receive_datagram(datagram, source, moment):
                receiver.put(packet, moment)
        receiving += process_time() - start
        receiver.read(BATCH * SAMPLES, now)
        now += BATCH * PTIME
    assert session.reception.received > packets * (1 - loss) * 0.9
    return receiving / packets * 1e6, sending / packets * 1e6


def _measure_tree(tree: Path, options: argparse.Namespace) -> tuple[float, float]:
    """One round, in a process that imports from that tree."""
    arguments = ["--once", f"--packets={options.packets}", f"--fec={options.fec}", f"--loss={options.loss}"]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), *arguments],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    receiving, sending = done.stdout.split()
    return float(receiving), float(sending)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.measure_receive", description=(__doc__ or "").split("\n")[0])
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("--tree", type=Path, action="append", help="state of the project to measure  [this one]")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"calls in each tree  [{ROUNDS}]")
    parser.add_argument("--packets", type=int, default=PACKETS, help=f"media packets of a call  [{PACKETS}]")
    parser.add_argument("--fec", default=FEC, help=f"pattern of the repair packets  [{FEC}]")
    parser.add_argument("--loss", type=float, default=0.0, help="share of packets that are lost  [0]")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.once:
        sys.stdout.write("{} {}\n".format(*measure(options.packets, options.fec, options.loss)))
        return 0
    trees = [tree.resolve() for tree in options.tree or [here]]
    figures: dict[Path, list[tuple[float, float]]] = {tree: [] for tree in trees}
    for _ in range(options.rounds):
        for tree in trees:
            figures[tree].append(_measure_tree(tree, options))
    for tree, rounds in figures.items():
        receiving, sending = zip(*rounds, strict=True)
        sys.stdout.write(
            f"{tree}: receiving {statistics.median(receiving):.2f} us a packet (best {min(receiving):.2f}), "
            f"sending {statistics.median(sending):.2f} (best {min(sending):.2f})\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
