"""Tried as a new user would: two machines, and the commands of docs/directory.md as they stand there, names and all.

What a reader has and this machine has not is given by the environment: sound in place of a microphone and a speaker,
and a short call. The URL is copied from what the directory prints, as a reader does.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.documented import Command, blocks, commands
from tests.support.namespaces import Host, Hosts, require
from tests.support.processes import ROOT, Outcome, Program

pytest.importorskip("sqlalchemy")
pytest.importorskip("aiohttp")

pytestmark = pytest.mark.process

DOCUMENT = ROOT / "docs" / "directory.md"
SECTION = "## Two machines, four commands"
ADDRESSES = {"A": "192.168.78.1", "B": "192.168.78.2"}
PROGRAMS = {
    "voip-directory": f"{shlex.quote(sys.executable)} -m voip.directory",
    "receiver.py": shlex.join([sys.executable, str(ROOT / "receiver.py")]),
    "sender.py": shlex.join([sys.executable, str(ROOT / "sender.py")]),
}
DEVICES = {
    "voip-directory": {},
    "receiver.py": {"VOIP_OUTPUT": "null", "VOIP_REPORT": "receiver.json"},
    "sender.py": {"VOIP_INPUT": "tone", "VOIP_DURATION": "2s"},
}
"""What stands in for a sound card, and for the person who hangs up."""
LONG = 90.0
"""Seconds that a program may take: its start takes many on a machine that has other things to do."""


def steps() -> list[Command]:
    """The commands of the section, in its order."""
    text = DOCUMENT.read_text(encoding="utf-8")
    begin = text[: text.index(SECTION)].count("\n") + 1
    end = begin + 1 + text[text.index(SECTION) :].partition("\n## ")[0].count("\n")
    return [command for command in commands(DOCUMENT) if begin < command.line <= end]


@pytest.fixture
def machines() -> Iterator[dict[str, Host]]:
    require()
    with Hosts() as hosts:
        found = {name: hosts.add(name) for name in ADDRESSES}
        hosts.cable(found["A"], ADDRESSES["A"], found["B"], ADDRESSES["B"])
        yield found


class Reader:
    """Somebody who does as the document says, at two machines."""

    def __init__(self, folder: Path, machines: dict[str, Host]) -> None:
        self._folder, self._machines = folder, machines
        self.url = ""
        for name, start in PROGRAMS.items():
            program = folder / name
            program.write_text(f'#!/bin/sh\nexec {start} "$@"\n')
            program.chmod(0o755)

    def start(self, step: Command, number: int) -> Program:
        """Type this command at the machine that its comment names."""
        found = re.search(r"# machine ([AB])\b", step.text)
        assert found is not None, f"{step} does not say on which machine"
        typed = re.sub(r"\bURL\b", self.url, step.text) if self.url else step.text
        program = shlex.split(typed)[0].removeprefix("./")
        path = f"{self._folder}:{os.environ['PATH']}"
        environment = DEVICES[program] | {"PATH": path, "PYTHONPATH": str(ROOT)}
        through = self._machines[found[1]].through
        return Program(
            [*through, "bash", "-c", f"exec {typed}"],
            folder=self._folder,
            name=f"step{number}",
            environment=environment,
            report=self._folder / "receiver.json" if program == "receiver.py" else None,
        )

    def copy_url(self, directory: Program) -> None:
        line = directory.wait_for("directory http", LONG)
        found = re.search(r"http://\S+#\S+", line)
        assert found is not None, line
        self.url = found[0]


def test_the_document_has_four_commands_and_no_address_but_that_of_the_directory() -> None:
    found = steps()
    assert [shlex.split(each.text)[0] for each in found] == [
        "voip-directory",
        "./receiver.py",
        "./sender.py",
        "./sender.py",
    ]
    assert sum(len(block) for block in blocks(section())) == len(found)
    for command in found:
        assert re.findall(r"\d+\.\d+\.\d+\.\d+", command.text) in ([], ["0.0.0.0"])


def section() -> str:
    return SECTION + DOCUMENT.read_text(encoding="utf-8").partition(SECTION)[2].partition("\n## ")[0]


def test_whoever_types_them_is_heard_by_name_on_another_machine(tmp_path: Path, machines: dict[str, Host]) -> None:
    directory_step, receiver_step, browse_step, call_step = steps()
    reader = Reader(tmp_path, machines)
    with reader.start(directory_step, 1) as directory:
        reader.copy_url(directory)
        assert f"//{ADDRESSES['A']}:" in reader.url
        with reader.start(receiver_step, 2) as bob:
            bob.wait_for("knows this receiver as bob", LONG)
            listed = finished(lambda: reader.start(browse_step, 3))
            (line,) = [each for each in listed.stdout.decode().splitlines() if " directory " in each]
            assert re.match(rf" +\d+ +bob +directory +sip:bob@{ADDRESSES['B']}:\d+ +status idle$", line)
            called = finished(lambda: reader.start(call_step, 4))
            assert "bob is at sip:bob@" in called.stderr
            bob.stop()
            heard = bob.finish(LONG)
        directory.stop()
        assert directory.finish(LONG).status == 0
    assert heard.status == 0, heard.stderr
    assert heard.call["rx"]["received"] > 50
    assert heard.call["end_reason"] == "remote-bye"


def finished(start: Callable[[], Program]) -> Outcome:
    with start() as program:
        outcome = program.finish(LONG)
    assert outcome.status == 0, outcome.stderr
    return outcome
