"""The program with its path of the media compiled (`tools/compile.py`) does what it does as it is.

Compiled code checks the types of what it is given and ignores what a test puts in a module's or a class' place; so here
run the tests that do nothing of the kind.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tools import compile as compiling

pytestmark = pytest.mark.process

PATIENCE = 900.0
"""Seconds that a part of the tests may take beside other programs."""
STAND_INS = (
    "tests/unit/audio/test_shared_encoders.py",
    "tests/unit/audio/test_steering_copies.py",
)
"""Tests that put something of their own in the place of a compiled class."""
UNITS = tuple(f"tests/unit/{name}" for name in ("audio", "fec", "jitter", "net", "session"))
CALLS = tuple(f"tests/calls/test_{name}.py" for name in ("whole_call", "many_callers"))
PROGRAMS = ("tests/process/test_scripts.py::test_0_is_the_end_of_the_input_and_of_the_duration",)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled copy, with the tests."""
    found: Path = tmp_path_factory.mktemp("compiled")
    assert compiling.main(["--to", str(found)]) == 0
    for name in ("tests", "tools"):
        shutil.copytree(ROOT / name, found / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", found)
    return found


def run(tree: Path, *words: str) -> str:
    """What Python says there, which must not fail."""
    done = subprocess.run(
        [sys.executable, *words], cwd=tree, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_what_is_to_be_compiled_is(tree: Path) -> None:
    names = [".".join(path.with_suffix("").parts) for path in compiling.modules(tree)]
    assert {"voip.jitter.playout", "voip.session.session", "voip.audio.mixer", "voip.net.media"} <= set(names)
    said = run(tree, "-c", f"import importlib\nfor name in {names}: print(importlib.import_module(name).__file__)")
    assert [line for line in said.splitlines() if not line.endswith((".so", ".pyd"))] == []
    assert all(line.startswith(str(tree)) for line in said.splitlines())


def test_the_scripts_run_as_they_are_called_and_say_so(tree: Path) -> None:
    said = subprocess.run([tree / "receiver.py", "--version"], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[0].endswith(", compiled")


@pytest.mark.parametrize("part", [UNITS, CALLS, PROGRAMS], ids=["units", "calls", "programs"])
def test_the_tests_pass(tree: Path, part: Sequence[str]) -> None:
    left_out = [f"--ignore={each}" for each in STAND_INS]
    marks = [] if part is PROGRAMS else ["-m", "not process and not interop and not slow"]
    said = run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", *marks, *left_out, *part)
    assert " passed" in said


def test_a_folder_with_something_else_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert compiling.main(["--to", str(tmp_path)]) == 1
    assert "name a new folder" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(compiling, "NEEDED", ("json", "no_such_module"))
    assert compiling.main([]) == 1
    assert capsys.readouterr().err == "no_such_module not installed: pip install -r tests/requirements.txt\n"
    monkeypatch.setattr(compiling, "NEEDED", ())
    monkeypatch.setenv("CC", "no-such-compiler")
    assert compiling.main([]) == 1
    assert capsys.readouterr().err.startswith("no C compiler (no-such-compiler)")
