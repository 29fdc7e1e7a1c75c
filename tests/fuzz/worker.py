"""One fuzz target in a process of its own:  python -m tests.fuzz.worker TARGET [options of libFuzzer] [folder ...]

atheris instruments the package as it is imported, so it comes first. An uncaught exception ends the process, and
libFuzzer writes the input that led to it.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["voip"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    sys.argv[0] = f"{sys.executable} -m tests.fuzz.worker {target.name}"  # libFuzzer starts itself anew to merge
    atheris.Setup(sys.argv, target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
