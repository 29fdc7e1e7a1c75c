"""A copy of the program whose path of the media is machine code, for many calls at a time.

    python -m tools.compile [--to build/compiled]

What every packet and every block of sound passes through (COMPILED) is compiled by mypyc from the same source; all else
is copied. It does the same in about half of the processor time, and takes two minutes to make. The scripts in the copy
are used like the others: build/compiled/receiver.py --max-calls 250. It has to be made anew when the source or the
version of Python changes. Needs what tests/requirements.txt names, and a C compiler with the headers of Python.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPILED = (
    "voip/rtp/*.py",
    "voip/jitter/*.py",
    "voip/audio/*.py",
    "voip/session/*.py",
    "voip/congestion/*.py",
    "voip/dsp/*.py",
    "voip/codecs/pcm.py",
    *(
        f"voip/fec/{name}.py"
        for name in ("decoder", "encoder", "flexfec", "memory", "numbering", "red", "ulpfec", "xor")
    ),
    *(f"voip/net/{name}.py" for name in ("arrivals", "batches", "loop", "media", "media_timers")),
)
"""Packages and modules through which media passes. What only imports others (`__init__.py`) stays as it is."""
COPIED = ("voip", "sender.py", "receiver.py")
DEFAULT = ROOT / "build" / "compiled"
NEEDED = ("mypyc", "setuptools")
OPTIMIZATION = "1"
"""Of the C compiler. With more, compiling takes longer, and the program is hardly faster."""
MARK = ".compiled"
"""A file by which a folder is known as such a copy, which may be replaced."""


def lacking() -> str | None:
    """What this machine lacks, and what helps; None: nothing."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        return f"{', '.join(missing)} not installed: pip install -r tests/requirements.txt"
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "").split()
    headers = Path(sysconfig.get_path("include"), "Python.h")
    if compiler and (shutil.which(compiler[0]) is None or not headers.exists()):
        return f"no C compiler ({compiler[0]}) or no {headers}: apt-get install gcc python3-dev"
    return None


def modules(tree: Path) -> list[Path]:
    """The files of `tree` that are compiled, relative to it."""
    found = (path for pattern in COMPILED for path in sorted(tree.glob(pattern)))
    return [path.relative_to(tree) for path in found if path.name != "__init__.py"]


def replaceable(tree: Path) -> bool:
    """Whether nothing is lost with what is there: nothing, or an earlier copy."""
    return not tree.exists() or (tree.is_dir() and ((tree / MARK).exists() or not any(tree.iterdir())))


def copy(tree: Path) -> None:
    """What the program consists of, anew, to `tree`, with the virtual environment in which this runs, if it does."""
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    (tree / MARK).touch()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(ROOT / name, tree / name)
    if sys.prefix != sys.base_prefix and os.name != "nt":
        (tree / ".venv").symlink_to(sys.prefix)


def build(files: Sequence[str]) -> None:
    """Compile these modules of the current folder beside their source. For a process of its own: this is a build by
    setuptools, which reads and changes much that belongs to a process, and ends it where it fails."""
    from mypyc.build import mypycify
    from setuptools import setup

    options = [f"--config-file={ROOT / 'pyproject.toml'}", *files]
    extensions = mypycify(options, opt_level=OPTIMIZATION, multi_file=True)
    setup(
        name="voip-compiled",
        packages=[],
        py_modules=[],
        ext_modules=extensions,
        script_args=["--quiet", "build_ext", "--inplace", "--parallel", str(os.cpu_count() or 1)],
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.compile", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--to", type=Path, default=DEFAULT, help="folder of the copy, made anew  [build/compiled]")
    tree = parser.parse_args(argv).to.resolve()
    problem = lacking()
    if problem is None and not replaceable(tree):
        problem = f"{tree} has something else in it: name a new folder"
    if problem is not None:
        sys.stderr.write(f"{problem}\n")
        return 1
    copy(tree)
    files = [str(path) for path in modules(tree)]
    again = [sys.executable, "-c", "import sys; from tools.compile import build; build(sys.argv[1:])", *files]
    done = subprocess.run(
        again, cwd=tree, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.stderr.write(f"{done.stdout}{done.stderr}")
        return done.returncode
    for left in ("build", ".mypy_cache"):
        shutil.rmtree(tree / left, ignore_errors=True)
    sys.stdout.write(f"compiled: {len(files)} modules, in {tree}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
