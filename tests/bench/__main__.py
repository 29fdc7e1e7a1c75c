"""Benchmarks of the voice link: python -m tests.bench COMMAND --help"""

from __future__ import annotations

import argparse
import importlib
import sys

COMMANDS = {
    "ours": "sender.py and receiver.py over the wire, row by row",
    "others": "other people's programs over the same wire",
    "mouth-to-ear": "from a microphone to a speaker: the delay over virtual sound cards",
    "virtual": "calls in virtual time, beside what is possible",
    "targets": "what many targets cost one sender",
    "many": "many calls at one receiver, and what they cost it",
    "workers": "what calls cost each process of a receiver that has several",
    "setups": "short calls at one receiver, and what each costs it",
    "page": "what an open page costs its program",
    "directory": "what the directory costs with many users and calls, and what a kill leaves",
    "reflection": "what an INVITE that nobody acknowledges draws from us and from phones",
    "report": "docs/benchmarks.md and its pictures from docs/benchmarks.json",
    "wire": "two hosts joined by a bad wire, to try programs by hand",
    "quality": "what of one WAV has arrived in another",
    "speech": "write the speech that is sent",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    wanted = next((word for word in sys.argv[1:] if word in COMMANDS), None)
    for name, text in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        if name == wanted:  # modules of other commands need not even be importable
            module = importlib.import_module(f"tests.bench.{name.replace('-', '_')}")
            module.add_options(sub)
            sub.set_defaults(run=module.run)
    options = parser.parse_args()
    status: int = options.run(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
