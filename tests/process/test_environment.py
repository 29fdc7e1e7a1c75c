"""The scripts and the Python that they are called with: that of `.venv` beside them where it is needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from voip.environment import EXIT_CONFIGURATION, NEEDED, RESTARTED, ensure_dependencies

pytestmark = pytest.mark.process
SCRIPTS = ("receiver.py", "sender.py")
WITHOUT_SOUND = {"receiver.py": ("--output", "null"), "sender.py": ("--input", "silence")}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has no library."""
    home = tmp_path_factory.mktemp("bare") / "python"
    venv.create(home, symlinks=True)
    return home / "bin" / "python"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The scripts with what they import, and no `.venv`."""
    folder = tmp_path / "voice link"
    folder.mkdir()
    for name in SCRIPTS:
        shutil.copy(ROOT / name, folder)
    (folder / "voip").symlink_to(ROOT / "voip")
    return folder


def run(*command: str | Path, more: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment = {**kept, "PYTHONDONTWRITEBYTECODE": "1", **(more or {})}
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=60.0, check=False, env=environment, cwd="/")


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that is said in place of a start."""
    assert done.returncode == EXIT_CONFIGURATION, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


def install(checkout: Path, prefix: str = sys.prefix) -> None:
    """Make `.venv` the environment of these tests, which has it all."""
    (checkout / ".venv").symlink_to(prefix)


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_an_environment_one_line_says_how_to_make_one(bare: Path, checkout: Path, script: str) -> None:
    line = complaint(run(bare, checkout / script, *WITHOUT_SOUND[script]))
    assert line.startswith(f"{script}: {' and '.join(NEEDED)} missing")
    assert "make demo" in line
    assert f"python3 -m venv {checkout / '.venv'}" in line


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_environment_beside_the_script_is_used(bare: Path, checkout: Path, script: str) -> None:
    install(checkout)
    done = run(bare, checkout / script, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(rf"{script} [0-9.]+\n  Python ", done.stdout)
    wrong = run(bare, checkout / script, "--latency", "a b")  # words and exit code are passed on
    assert wrong.returncode == 2
    assert "'a b'" in wrong.stderr


def test_it_is_found_through_a_link_to_the_script(bare: Path, checkout: Path, tmp_path: Path) -> None:
    install(checkout)
    link = tmp_path / "anywhere"
    link.symlink_to(checkout / "receiver.py")
    assert run(bare, link, "--version").returncode == 0


def test_a_python_of_the_environment_is_not_started_again(checkout: Path) -> None:
    install(checkout)
    done = run(checkout / ".venv" / "bin" / "python", checkout / "receiver.py", "--version", more={RESTARTED: ""})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("kind", ["bare", "no environment", "does not start", "not executable", "dangling"])
def test_an_environment_of_no_use_ends_with_a_line_and_not_in_a_circle(bare: Path, checkout: Path, kind: str) -> None:
    if kind == "bare":
        install(checkout, str(bare.parent.parent))
    else:
        python = checkout / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        if kind in ("no environment", "dangling"):  # a link to the system's Python, but no pyvenv.cfg: it is not one
            python.symlink_to(os.path.realpath(bare) if kind == "no environment" else "/nowhere/python")
        else:
            python.write_text("#!/nowhere/python\n")
            python.chmod(0o755 if kind == "does not start" else 0o644)
    caller = run(bare, "-c", "import sys; print(sys._base_executable)").stdout.strip()
    assert run(caller, "-S", "-c", "import numpy").returncode != 0
    line = complaint(run(caller, "-S", checkout / "receiver.py", "--output", "null"))
    assert "numpy" in line
    assert ("does not start" in line) == (kind in ("does not start", "not executable"))


@pytest.mark.parametrize(
    ("missing", "environment", "restarts"),
    [
        ((), False, False),
        (("pyaudio",), False, True),  # a microphone may be wanted
        (("pyaudio",), True, False),  # whoever calls the Python of another environment means that one
        (("soxr",), True, True),
        (("numpy", "soxr", "pyaudio"), False, True),
    ],
)
def test_what_is_missing_decides(
    missing: tuple[str, ...],
    environment: bool,
    restarts: bool,
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    started: list[list[str]] = []

    def start(path: str, words: list[str]) -> None:
        started.append(words)
        raise OSError(0, "tried")

    monkeypatch.setattr(os, "execv", start)
    monkeypatch.setattr(sys, "prefix", "/other" if environment else sys.base_prefix)
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-u", "receiver.py", "--once"])
    monkeypatch.setattr("voip.environment.find_spec", lambda name: None if name in missing else object())
    if set(missing) & set(NEEDED):
        with pytest.raises(SystemExit):
            ensure_dependencies(str(checkout / "receiver.py"))
    else:
        ensure_dependencies(str(checkout / "receiver.py"))
    assert started == ([[str(python), "-u", "receiver.py", "--once"]] if restarts else [])


def test_importing_a_script_restarts_nothing(checkout: Path) -> None:
    install(checkout, "/nowhere")
    code = f"import sys; sys.path.insert(0, {str(checkout)!r}); import receiver, sender; print('imported')"
    assert run(sys.executable, "-c", code).stdout == "imported\n"
