"""The installed package: what pip, pipx and uv make of it in a fresh environment, and what it requires.

Builds and installs for real, so it needs the package index; without it the tests that do are skipped, except in CI.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.support.directory_http import Client
from tests.support.directory_program import http_port
from tests.support.processes import LOOPBACK, READY, ROOT, Program, free_ports

COMMANDS = ("voip-receiver", "voip-sender", "voip-directory")
UDP_PROGRAMS = ("voip-udp-receiver", "voip-udp-test")
EXTRAS = {
    "sound": {"pyaudio"},
    "opus": {"av"},
    "g722": {"g722"},
    "dns": {"dnspython"},
    "secure": {"pylibsrtp", "pyopenssl", "cryptography", "spake2", "cffi", "pycparser"}
    | ({"typing-extensions"} if sys.version_info < (3, 13) else set()),
    "mdns": {"zeroconf", "ifaddr"},
    "web": {"aiohttp", "aiohappyeyeballs", "aiosignal", "attrs", "frozenlist", "multidict", "propcache", "yarl", "idna"}
    | ({"typing-extensions"} if sys.version_info < (3, 13) else set())
    | ({"async-timeout"} if sys.version_info < (3, 11) else set()),
}
EXTRAS["directory"] = (
    EXTRAS["web"]
    | {"sqlalchemy", "alembic", "mako", "markupsafe", "typing-extensions"}
    | ({"tomli"} if sys.version_info < (3, 11) else set())
)
EXTRAS["postgresql"] = {"psycopg", "psycopg-binary"} | ({"typing-extensions"} if sys.version_info < (3, 13) else set())
INDEX_IS_AWAY = re.compile("No matching distribution|Could not find|onnection|resolution|Failed to (?:fetch|resolve)")
PATIENCE = 300.0  # seconds that an installation may take: most of it is the network's


def run(*command: str | Path, more: dict[str, str] | None = None) -> str:
    """What a command says on stdout; AssertionError if it fails, unless that is for want of a package index."""
    words = [str(word) for word in command]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment = {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(more or {})}
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment, cwd="/"
    )
    if done.returncode and INDEX_IS_AWAY.search(done.stderr) and os.environ.get("CI") != "true":
        pytest.skip(f"no package index: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, (words, done.stdout[-1000:], done.stderr[-2000:])
    return done.stdout


def fresh(folder: Path) -> Path:
    """The folder of the programs of a new environment that has pip and nothing else."""
    venv.create(folder, with_pip=True, symlinks=True)
    return folder / "bin"


def site_packages(programs: Path) -> Path:
    return Path(run(programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs of an environment are that the package was installed into."""
    programs = fresh(tmp_path_factory.mktemp("installed") / "environment")
    run(programs / "pip", "install", "--quiet", ROOT)
    return programs


def commands_work(folder: Path) -> None:
    for name in COMMANDS:
        assert re.match(rf"{name} \d+\.\d+\.\d+\n  Python ", run(folder / name, "--version"))
        assert run(folder / name, "--help").startswith(f"usage: {name} ")
    for name in UDP_PROGRAMS:
        assert run(folder / name, "--help").startswith(f"usage: {name} ")


# --- what is installed ------------------------------------------------------------------------------------------------


@pytest.mark.process
def test_three_commands_are_installed(installed: Path) -> None:
    commands_work(installed)


@pytest.mark.process
def test_the_installed_scripts_are_those_of_the_checkout_and_not_at_the_top(installed: Path) -> None:
    place = site_packages(installed)
    for name in ("receiver.py", "sender.py"):
        assert (place / "voip" / "scripts" / name).read_bytes() == (ROOT / name).read_bytes()
    tops = {path.name for path in place.iterdir()}
    assert {"voip"} == {name for name in tops if not name.endswith(".dist-info")} & {
        *("voip", "tests", "sender", "receiver", "sender.py", "receiver.py", "docs", "deploy", "scripts")
    }


@pytest.mark.process
def test_the_installed_commands_have_a_call(installed: Path, tmp_path: Path) -> None:
    port, media = free_ports()
    report = tmp_path / "receiver.json"
    where = ["--bind", LOOPBACK, "--sip-port", str(port), "--rtp-port", f"{media[0]}-{media[-1]}"]
    hear = [str(installed / "voip-receiver"), *where, "--output", "null", "--once", "--report", str(report)]
    call = [str(installed / "voip-sender"), "--input", "tone:440", "--duration", "1s", f"{LOOPBACK}:{port}"]
    with Program(hear, folder=tmp_path, name="receiver", report=report) as far:
        far.wait_for(READY)
        assert "voip-sender 127.0.0.1" in far.wait_for("on the other machine:")
        with Program(call, folder=tmp_path, name="sender") as near:
            sent = near.finish()
        heard = far.finish()
    assert (sent.status, heard.status) == (0, 0), sent.stderr + heard.stderr
    assert heard.call["rx"]["received"] >= 40
    assert heard.call["rx"]["lost"] == 0


@pytest.mark.process
def test_the_installed_directory_has_its_page_and_its_tables(tmp_path: Path) -> None:
    programs = fresh(tmp_path / "environment")
    run(programs / "pip", "install", "--quiet", f"{ROOT}[directory]")
    command = [str(programs / "voip-directory"), "--http", "0", "--sip-port", str(free_ports()[0])]
    with Program(command, folder=tmp_path, name="directory") as program:
        client = Client(http_port(program))
        assert client.register("bob")
        assert "<title>" in client.get("/").body
        client.close()
        program.stop()
        assert program.finish().status == 0


@pytest.mark.process
def test_the_source_distribution_makes_the_same_wheel(installed: Path, tmp_path: Path) -> None:
    builder = fresh(tmp_path / "builder")
    run(builder / "pip", "install", "--quiet", "build")
    run(builder / "python", "-m", "build", "--outdir", tmp_path / "dist", ROOT)  # the wheel from the sdist
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    listed = run(sys.executable, "-m", "zipfile", "--list", wheel).splitlines()[1:]
    files = {line.split()[0] for line in listed if line.startswith("voip/")}
    place = site_packages(installed)
    there = (path.relative_to(place) for path in (place / "voip").rglob("*") if path.is_file())
    assert files == {str(path) for path in there if "__pycache__" not in path.parts}


@pytest.mark.process
def test_an_installation_to_be_edited_runs_the_checkout(tmp_path: Path) -> None:
    programs = fresh(tmp_path / "environment")
    run(programs / "pip", "install", "--quiet", "--editable", ROOT)
    commands_work(programs)
    where = run(programs / "python", "-c", "import voip.scripts.sender as it; print(it.__file__)").strip()
    assert where == str(ROOT / "sender.py")


@pytest.mark.process
def test_pipx_installs_the_commands(tmp_path: Path) -> None:
    tools = fresh(tmp_path / "tools")
    run(tools / "pip", "install", "--quiet", "pipx")
    commands = tmp_path / "commands"
    places = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(commands), "PIPX_MAN_DIR": str(tmp_path / "man")}
    run(tools / "pipx", "install", "--python", sys.executable, ROOT, more=places)
    commands_work(commands)


@pytest.mark.process
def test_uv_installs_the_commands(tmp_path: Path) -> None:
    tools = fresh(tmp_path / "tools")
    run(tools / "pip", "install", "--quiet", "uv")
    commands = tmp_path / "commands"
    places = {"UV_TOOL_DIR": str(tmp_path / "uv"), "UV_TOOL_BIN_DIR": str(commands), "UV_LINK_MODE": "copy"}
    run(tools / "uv", "tool", "install", "--python", sys.executable, ROOT, more=places)
    commands_work(commands)


# --- what is required -------------------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize("extra", [*EXTRAS, "all"])
def test_an_extra_pulls_what_it_promises(installed: Path, extra: str, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    run(installed / "pip", "install", "--quiet", "--dry-run", "--report", plan, f"{ROOT}[{extra}]")
    found = {normal(each["metadata"]["name"]) for each in json.loads(plan.read_text())["install"]} - {"voip"}
    assert found == (set().union(*EXTRAS.values()) if extra == "all" else EXTRAS[extra])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement(text: str) -> tuple[str, ...]:
    """Name, version and marker, however they are written."""
    needed, _, marker = text.partition(";")
    found = re.fullmatch(r"([\w.-]+)\s*(.*)", needed.strip())
    assert found is not None, text
    return normal(found[1]), found[2].replace(" ", ""), re.sub(r"\s+", " ", marker.strip().replace("'", '"'))


def project() -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def test_requirements_txt_is_the_package_with_all_its_extras() -> None:
    lines = (line.strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())
    listed = {requirement(line) for line in lines if line and not line.startswith("#")}
    extras = {name: texts for name, texts in project()["optional-dependencies"].items() if name != "all"}
    of_the_package = {requirement(text) for texts in extras.values() for text in texts}
    of_the_package |= {requirement(text) for text in project()["dependencies"]}
    assert listed == of_the_package


def test_all_names_every_other_extra() -> None:
    extras = project()["optional-dependencies"]
    (everything,) = extras["all"]
    assert everything == f"voip[{','.join(name for name in extras if name != 'all')}]"
    assert set(extras) == {*EXTRAS, "all"}
