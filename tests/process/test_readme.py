"""What the documentation says works: every command in it is run, every file and tool that it names is there."""

from __future__ import annotations

import concurrent.futures
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import virtual_sound
from tests.support.documented import Command, Laboratory, blocks, commands
from tests.support.virtual_sound import VirtualSound
from voip import errors

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FILES = [file for file in (ROOT / "README.md", ROOT / "docs" / "using.md") if file.exists()]
COMMANDS = [command for file in FILES for command in commands(file)]
NOT_RUN = {
    r"git clone": "there is no address to clone from",
    r"make\b": "runs the tests, of which this is one; its targets are checked below",
    r"\.ci/run": "runs the tests, of which this is one",
    r"(sudo )?(apt-get|systemctl)\b": "changes the machine",
    r"(python3? -m (pip|venv)|pip)\b": "installs packages from the network",
    r"python3 -m voip\.udp_": "has tests of its own, with free ports (test_small_programs.py)",
    r"python3? -m (tests|tools)\.": "takes minutes, and has tests of its own; that it exists is checked below",
    r".*\bfe80::": "needs a neighbour on a link",
}
"""Commands that are not run here, and why."""
AT_A_TIME = 5


def reason_not_to_run(command: Command) -> str | None:
    return next((reason for pattern, reason in NOT_RUN.items() if re.match(pattern, command.text)), None)


RUN = [command for command in COMMANDS if reason_not_to_run(command) is None]
Runs = dict[Command, "concurrent.futures.Future[None]"]


@pytest.fixture(scope="module")
def card() -> Iterator[VirtualSound | None]:
    """A microphone and a speaker, if there can be; in CI there must."""
    try:
        virtual_sound.require()
    except pytest.skip.Exception:
        yield None
        return
    with VirtualSound() as started:
        yield started


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, card: VirtualSound | None
) -> Iterator[Runs]:
    """Several commands at a time: those whose tests were selected."""
    folder = tmp_path_factory.mktemp("readme")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    subprocess.run(["openssl", *new, "-keyout", key, "-out", certificate, *names], check=True, capture_output=True)
    wanted = [item.callspec.params["command"] for item in request.session.items if _runs_a_command(item)]  # type: ignore[attr-defined]
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {
            command: pool.submit(Laboratory(folder / str(number), card, certificate, key).run, command)
            for number, command in enumerate(wanted)
        }


def _runs_a_command(item: pytest.Item) -> bool:
    return getattr(item, "originalname", "") == test_a_command_works.__name__


@pytest.mark.process
@pytest.mark.parametrize("command", RUN, ids=str)
def test_a_command_works(command: Command, runs: Runs) -> None:
    runs[command].result()


def test_the_readme_shows_the_two_commands() -> None:
    assert any(command.text == "./receiver.py" for command in RUN)
    assert any(command.script == "sender" for command in RUN)


def test_every_line_that_starts_a_script_is_taken_for_a_command() -> None:
    for file in FILES:
        lines = [line for block in blocks(file.read_text(encoding="utf-8")) for _, line in block]
        shown = sum(len(re.findall(r"\./(?:receiver|sender)\.py\b", line)) for line in lines)
        assert sum(len(re.findall(r"\./(?:receiver|sender)\.py\b", it.text)) for it in commands(file)) == shown


def test_every_reason_not_to_run_a_command_is_short_and_only_few_are_not_run() -> None:
    not_run = [command for command in COMMANDS if reason_not_to_run(command) is not None]
    assert all(len(reason) < 90 for reason in NOT_RUN.values())
    assert not any(command.script for command in not_run if "fe80::" not in command.text)


def test_make_targets_that_the_readme_names_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b", README)) - {"it", "sure"} <= targets


def test_exit_codes_of_the_readme_are_those_of_the_program() -> None:
    shown = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert shown == {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
