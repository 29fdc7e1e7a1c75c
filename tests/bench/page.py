"""What an open page costs its program: two receivers are called by one sender, and one has a page that is open.

    python -m tests.bench page [--seconds 60] [--runs 3] [--codec opus]

Both are sent the same packets at the same time, so that what differs is the page. Processor time is that of all threads
of a receiver; the page is a client that takes every state, as a browser does. Exits with 1 if the page costs more than
3 % of a core (the median of the runs), or if with it a single frame more is concealed.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.bench.many import cpu_seconds
from tests.support.processes import Receiver, receiver, sender

SETTLE = 5.0
"""Seconds from the beginning of the call until anything is measured."""
MOST_CORES = 0.03
"""Of a core that the page may cost."""


@dataclass(frozen=True)
class Figures:
    """One run: processor seconds per second, and concealed frames, with the page and without; states that came."""

    cores: float
    cores_without: float
    concealed: int
    concealed_without: int
    states: int

    @property
    def cost(self) -> float:
        """Of a core."""
        return self.cores - self.cores_without


async def look(url: str, seconds: float) -> int:
    """Keep the page open for so long: the states that came."""
    states, end = 0, time.monotonic() + seconds
    async with aiohttp.ClientSession() as session, session.ws_connect(url + "live") as page:
        while (left := end - time.monotonic()) > 0:
            try:
                message = await page.receive(timeout=left)
            except asyncio.TimeoutError:
                break
            states += message.type is aiohttp.WSMsgType.TEXT
    return states


def url_of(program: Receiver) -> str:
    """Where its page is."""
    found = re.search(r"http://\S+", program.wait_for("page      http"))
    assert found is not None
    return found[0]


def run_once(seconds: float, codec: str) -> Figures:
    """One call to both."""
    with (
        tempfile.TemporaryDirectory(prefix="page-") as name,
        receiver(Path(name), "--web", "0", name="with") as shown,
        receiver(Path(name), name="without") as plain,
        sender(
            Path(name), shown.target, plain.target, "--codec", codec, "--fec", "4", "--input", "demo", "--loop"
        ) as calling,
    ):
        time.sleep(SETTLE)
        before, began = (cpu_seconds(shown.pid), cpu_seconds(plain.pid)), time.monotonic()
        states = asyncio.run(look(url_of(shown), seconds))
        spent = time.monotonic() - began
        cores = [(cpu_seconds(each.pid) - old) / spent for each, old in zip((shown, plain), before, strict=True)]
        calling.stop()
        calling.finish()
        concealed = []
        for each in (shown, plain):
            each.stop()
            concealed.append(int(each.finish().call["heard"]["concealed"]))
    return Figures(cores[0], cores[1], concealed[0], concealed[1], states)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=60.0, help="How long each run is measured.  [60]")
    parser.add_argument("--runs", type=int, default=3, help="How many there are.  [3]")
    parser.add_argument("--codec", default="opus", help="Of the calls.  [opus]")


def run(options: argparse.Namespace) -> int:
    runs = []
    for number in range(options.runs):
        found = run_once(options.seconds, options.codec)
        runs.append(found)
        told = f"{100 * found.cores:.2f} % of a core with the page, {100 * found.cores_without:.2f} % without"
        told += f": {100 * found.cost:.2f} %; concealed {found.concealed} and {found.concealed_without} frames"
        sys.stdout.write(f"run {number + 1}: {told}; {found.states} states\n")
        sys.stdout.flush()
    cost = statistics.median(each.cost for each in runs)
    concealed, without = sum(each.concealed for each in runs), sum(each.concealed_without for each in runs)
    sys.stdout.write(f"the page costs {100 * cost:.2f} % of a core (median of {len(runs)}); ")
    sys.stdout.write(f"concealed {concealed} frames with it, {without} without\n")
    return int(cost > MOST_CORES or concealed > without)
