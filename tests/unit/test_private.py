"""What the program writes of calls is for its owner alone, whatever the umask of the system."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import voip
from voip.devices.new_file import create

PROGRAM = Path(voip.__file__).parent
WRITING = set("wxa")


@pytest.fixture(autouse=True)
def _no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("replace", [True, False])
def test_a_recording_is_for_its_owner_alone(tmp_path: Path, replace: bool) -> None:
    file, path = create(tmp_path / "call.wav", replace=replace)
    file.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.touch()
    path.chmod(0o640)
    create(path, replace=True)[0].close()
    assert path.stat().st_mode & 0o777 == 0o640


def writes(tree: ast.AST) -> Iterator[ast.Call]:
    """The places at which a file is created."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        modes = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        if name in ("write_text", "write_bytes") or (name == "open" and any(set(mode) & WRITING for mode in modes)):
            yield node


def test_the_program_creates_no_file_by_another_way() -> None:
    found = []
    for path in sorted(PROGRAM.rglob("*.py")):
        for call in writes(ast.parse(path.read_text(encoding="utf-8"))):
            openers = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == "opener"]
            elsewhere = {"devnull", "dup"} & set(re.findall(r"\w+", ast.unparse(call)))
            if not elsewhere and openers not in (["private"], ["private_and_regular"]):
                found.append(f"{path.name}: {ast.unparse(call)}")
    assert found == []
