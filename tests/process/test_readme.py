"""What the README says works: every command in it is understood, every file and tool that it names is there."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from voip import cli, errors

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"\./(receiver|sender)\.py\b([^|#`\n]*)")


def commands() -> list[tuple[str, str]]:
    return [(found[1], found[2].strip()) for found in COMMAND.finditer(README)]


@pytest.mark.parametrize(("script", "arguments"), commands())
def test_a_command_in_the_readme_is_understood(
    script: str, arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("voip.cli.listing.list_devices", list)
    parse = cli.receiver_options if script == "receiver" else cli.sender_options
    status: object = 0
    try:
        parse(shlex.split(arguments))
    except SystemExit as stop:
        status = stop.code
    assert status == 0, capsys.readouterr().err


def test_the_readme_shows_the_two_commands() -> None:
    assert ("receiver", "") in commands()
    assert any(script == "sender" for script, _ in commands())


def test_files_that_the_readme_names_exist() -> None:
    named = {name for name in re.findall(r"`([\w./]+(?:\.py|/))`", README) if "/" in name}
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_tools_that_the_readme_names_exist() -> None:
    named = set(re.findall(r"python -m ((?:tests|tools)(?:\.\w+)+)", README))
    assert named
    assert [name for name in named if importlib.util.find_spec(name) is None] == []


def test_make_targets_that_the_readme_names_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b", README)) - {"it", "sure"} <= targets


def test_exit_codes_of_the_readme_are_those_of_the_program() -> None:
    shown = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert shown == {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
