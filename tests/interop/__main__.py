"""python -m tests.interop: see the package's text."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.interop.cells import all_cells
from tests.interop.running import AT_ONCE, FAILED, Result, run_cells, store
from tests.interop.table import DATA, PAGE, insert
from tests.support.processes import ROOT

FOLDER = ROOT / "build" / "interop"


def main() -> int:
    """0: no cell failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description="Calls with other people's programs.")
    parser.add_argument("words", nargs="*", help="peer, codec, transport, whose cells run  [all]")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, metavar="N", help=f"cells at a time  [{AT_ONCE}]")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where recordings and logs stay  [build/interop]")
    parser.add_argument("--save", action="store_true", help="write docs/interop.json and the tables of docs/interop.md")
    options = parser.parse_args()
    if options.save and options.words:
        parser.error("--save wants all cells")
    cells = [cell for cell in all_cells() if set(options.words) <= {cell.peer, cell.who, cell.codec, cell.transport}]
    begun = time.monotonic()
    results = run_cells(cells, options.folder, _tell, at_once=options.at_once)
    if options.save:
        store(DATA, results)
        PAGE.write_text(insert(PAGE.read_text(), results))
    failed = [result for result in results if result.state == FAILED]
    sys.stdout.write(f"{len(results)} cells, {len(failed)} failed, {time.monotonic() - begun:.0f} s\n")
    return 1 if failed else 0


def _tell(result: Result) -> None:
    figures = "" if result.there is None else f"  {result.there} / {result.back}"
    sys.stdout.write(f"{result.name:40} {result.state}{figures}  {result.seconds} s  {result.reason[:1500]}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
