"""Fuzz targets, each in a process of its own:  python -m tests.fuzz.worker [TARGET [options of libFuzzer] [folder ...]]

atheris instruments the package as it is imported, so it comes first. An uncaught exception ends the process, and
libFuzzer writes the input that led to it. Instrumenting takes longer than many a target needs: without arguments the
process does so once, and then has a child for each line of its input (`Order`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import atheris

from tests.fuzz.orders import Order

with atheris.instrument_imports(include=["voip"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name, *options = sys.argv[1:] or [""]
    if name:
        run(name, options)
    for line in sys.stdin:
        serve(Order.parse(line))


def serve(order: Order) -> None:
    """Tell the number of the child that fuzzes, and then how it has ended."""
    child = os.fork()
    if not child:
        become(order)
    answer(child)
    answer(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def become(order: Order) -> NoReturn:
    """Fuzz in this process, which reads nothing, and writes to a log."""
    with Path(os.devnull).open() as nothing, Path(order.log).open("wb") as log:
        for file, number in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(file.fileno(), number)
    run(order.target, order.options)


def run(name: str, options: Sequence[str]) -> NoReturn:
    """Fuzz a target; libFuzzer ends the process."""
    target = TARGETS[name]
    program = f"{sys.executable} -m tests.fuzz.worker {target.name}"  # libFuzzer starts itself anew to merge
    atheris.Setup([program, *options], target.run)
    atheris.Fuzz()
    sys.exit()


if __name__ == "__main__":
    main()
