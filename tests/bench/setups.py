"""Short calls at one receiver.py, one after the other: what each costs it, and whether that grows with their number.

    python -m tests.bench setups [--calls 5000] [--rate 50] [--hosts 250] [--alone]

All come from one host that the receiver is told to trust, as a proxy is, or from many that it knows nothing of. Each
hangs up as soon as it is answered; the receiver may have a thousand at a time, so that those of the last half minute
are kept for what may still be under way.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.crowd import Load, crowd
from tests.bench.many import MEDIA_PORTS, cpu_seconds, pinned, resident_kb
from tests.support.processes import LOOPBACK, Receiver, free_ports, receiver

AT_A_TIME = 1000
SILENCE = Load(0, "PCMU/8000", 160, [bytes([0xFF]) * 160])
ROWS = 10
HEAD = "calls   calls/s   failed   CPU ms/call   RSS MB"


def host_of(number: int, hosts: int) -> str:
    """The address that a call comes from."""
    return LOOPBACK if hosts == 1 else f"127.0.1.{1 + number % hosts}"


def call(far: Receiver, calls: int, rate: float, hosts: int) -> None:
    """The calls, and a row for each tenth of them."""
    with crowd(SILENCE, (far.host, far.sip_port), 1) as callers:
        begun, before, failed = time.monotonic(), cpu_seconds(far.pid), 0
        for number in range(1, calls + 1):
            try:
                callers.join(host_of(number, hosts))
                failed += not callers.leave()
            except AssertionError:
                failed += 1
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            if number % max(1, calls // ROWS) == 0:
                after, a_second = cpu_seconds(far.pid), number / (time.monotonic() - begun)
                each, before = 1000.0 * (after - before) / max(1, calls // ROWS), after
                memory = resident_kb(far.pid) / 1000
                sys.stdout.write(f"{number:5}{a_second:10.1f}{failed:9}{each:14.2f}{memory:9.1f}\n")
                sys.stdout.flush()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m tests.bench setups`."""
    parser.add_argument("--calls", type=int, default=5000, help="in all  [%(default)s]")
    parser.add_argument("--rate", type=float, default=50.0, help="calls a second  [%(default)s]")
    parser.add_argument("--hosts", type=int, default=1, help="that they come from, up to 250  [1, which is trusted]")
    parser.add_argument("--alone", action="store_true", help="run before all other programs (as root: niceness -20)")


def run(options: argparse.Namespace) -> int:
    """The `setups` command."""
    ports = free_ports()[0], range(MEDIA_PORTS, MEDIA_PORTS + 2 * AT_A_TIME)
    more = ("--max-calls", str(AT_A_TIME), *(("--allow", LOOPBACK) if options.hosts == 1 else ()))
    sys.stdout.write(f"{HEAD}\n")
    with (
        tempfile.TemporaryDirectory(prefix="setups-") as folder,
        pinned(alone=options.alone) as through,
        receiver(Path(folder), *more, ports=ports, through=through) as far,
    ):
        call(far, options.calls, options.rate, options.hosts)
        far.stop()
    return 0
