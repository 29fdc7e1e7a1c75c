"""What a call costs: processor seconds (user + system) of each script for a minute of sound, with FEC.

    python -m tools.measure_cost --seconds 60

Both run as real processes over loopback without a sound device: a tone goes in and what comes out is thrown away
(`--input` and `--output` name others). The figures count the whole life of a process, its start included, as the
system's accounts give them (wait4).
"""

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import Outcome, Program, receiver, sender

MINUTE = 60.0


@dataclass(frozen=True)
class Cost:
    """What a program left behind, and the processor seconds that it took: its own, and the system's for it."""

    outcome: Outcome
    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system


def measured_end(program: Program) -> Cost:
    """Wait for the end of a program."""
    _, status, usage = os.wait4(program.pid, 0)
    program.process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(program.finish(), usage.ru_utime, usage.ru_stime)


def measure(folder: Path, seconds: float, receiver_options: list[str], sender_options: list[str]) -> dict[str, Cost]:
    """One call of that length: what each program cost."""
    with (
        receiver(folder, "--once", *receiver_options) as far,
        sender(folder, far.target, "--duration", f"{seconds:g}s", *sender_options) as near,
    ):
        return {"sender": measured_end(near), "receiver": measured_end(far)}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.measure_cost", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=MINUTE, help="length of the call  [60]")
    parser.add_argument("--input", default="tone", help="of the sender  [tone]")
    parser.add_argument("--output", default="null", help="of the receiver  [null]")
    parser.add_argument("--codec", default="opus", help="of the sender  [opus]")
    parser.add_argument("--fec", default="auto", help="of the sender  [auto]")
    parser.add_argument("--srtp", default="optional", help="of both  [optional]")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        ends = measure(
            Path(folder),
            options.seconds,
            ["--output", options.output, "--srtp", options.srtp],
            ["--input", options.input, "--codec", options.codec, "--fec", options.fec, "--srtp", options.srtp],
        )
    for name, cost in ends.items():
        call = cost.outcome.call
        stream = f"{call['codec']} {call['clock_rate']} Hz, {call['channels']} ch, {call['fec']['packets']} FEC packets"
        sys.stdout.write(
            f"{name:8}  {cost.total:5.2f} s of processor (user {cost.user:.2f}, system {cost.system:.2f}) "
            f"for {options.seconds:g} s of {stream}: {cost.total * MINUTE / options.seconds:.2f} s a minute\n"
        )
    return 0 if all(cost.outcome.status == 0 for cost in ends.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
