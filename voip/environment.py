"""Which Python the scripts run with, that of `.venv` beside them where the one that was called lacks a library; and by
which name they are called.

Needs nothing but the standard library, as it is imported before anything else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

NEEDED = ("numpy", "soxr")
"""Nothing runs without these modules."""
WANTED = (*NEEDED, "pyaudio")
"""What a Python without a virtual environment is left for: microphones and speakers need PyAudio."""
RESTARTED = "_VOIP_RESTARTED"
"""Variable of the environment by which a second start knows of the first: there is no third."""
EXIT_CONFIGURATION = 2
"""As of a wrong option: the installation has to be put right."""
INSTALLED_PREFIX = "voip-"
"""How the commands of the installed package begin."""


def ensure_dependencies(script: str) -> None:
    """Go on with the Python of `.venv` in the folder of `script` if the running one lacks what is needed; if there is
    none, or it is of no use, end with one line that says what to do. Called first of all; quiet where all is well."""
    restarted = os.environ.pop(RESTARTED, None) is not None
    folder = Path(os.path.realpath(script)).parent
    home = folder / ".venv"
    missing = _missing(WANTED)
    if not missing or (_in_virtual_environment() and not _missing(NEEDED)):
        return  # whoever calls the Python of an environment means that one
    trouble = ""
    if not restarted and not _is_running(home) and (python := _python_of(home)) is not None:
        trouble = _restart(python)
    if missing := _missing(NEEDED):
        sys.stderr.write(f"{os.path.basename(script)}: {_advice(missing, home, trouble)}\n")
        sys.exit(EXIT_CONFIGURATION)


def system_figures() -> dict[str, float | None]:
    """What this process has used so far: seconds of processor time, kilobytes of memory at most (None on Windows)."""
    times = os.times()
    memory = None
    if find_spec("resource") is not None:
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        memory = most // 1024 if sys.platform == "darwin" else most  # bytes there, kilobytes elsewhere
    return {"cpu_s": round(times.user + times.system, 3), "max_rss_kb": memory}


def forbid_core_dumps() -> None:
    """Write no memory to disk if the process crashes: it holds passwords and the keys of calls. `prlimit --core` allows
    it again from outside."""
    if find_spec("resource") is not None:
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def allow_many_files() -> int | None:
    """Have as many files and connections at a time as the system lets this user have; how many (Windows: None)."""
    if not find_spec("resource"):
        return None
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def program_name(program: str) -> str:
    """How the user calls "receiver" or "sender": by the script, or by the command of the installed package."""
    installed = os.path.basename(sys.argv[0] if sys.argv else "").startswith(INSTALLED_PREFIX)
    return INSTALLED_PREFIX + program if installed else f"{program}.py"


def how_to_call(program: str) -> str:
    """The same as it is typed."""
    name = program_name(program)
    return f"./{name}" if name.endswith(".py") else name


def _missing(modules: Sequence[str]) -> list[str]:
    return [name for name in modules if find_spec(name) is None]


def _in_virtual_environment() -> bool:
    return sys.prefix != sys.base_prefix


def _is_running(home: Path) -> bool:
    """Whether this is the Python of that environment already (its file is mostly a link to the system's)."""
    return os.path.realpath(sys.prefix) == os.path.realpath(home)


def _python_of(home: Path) -> str | None:
    names = ("Scripts/python.exe", "bin/python") if os.name == "nt" else ("bin/python",)
    return next((str(home / name) for name in names if (home / name).is_file()), None)


def _restart(python: str) -> str:
    """Become that Python, with the same arguments; why not, if it returns."""
    command = [python, *sys.orig_argv[1:]]
    os.environ[RESTARTED] = "1"
    try:
        if os.name != "nt":
            os.execv(python, command)
        # Windows has no exec: the shell would have its prompt back at once. Ctrl+C reaches both, and is for the other.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.exit(subprocess.call(command))
    except OSError as error:
        del os.environ[RESTARTED]
        return error.strerror or str(error)


def _advice(missing: Sequence[str], home: Path, trouble: str) -> str:
    names = " and ".join(missing)
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    if trouble:
        return f"{names} missing, and {python} does not start ({trouble}): remove {home}, then make demo"
    install = f"python3 -m venv {home} && {python} -m pip install -r {home.parent / 'requirements.txt'}"
    return f"{names} missing for {sys.executable}: make demo sets everything up, or: {install}"
