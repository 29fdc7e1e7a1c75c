"""Every cause has a name that is documented, and every name that is documented is a cause."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CALLS = ROOT / "voip" / "calls"
NAMED_BY = {"Finding": 0, "warning": 0}
"""Calls whose first argument is a cause."""
DETAILS = {"no-rtcp"}
"""Causes of findings for `-v`, which are no events."""


def strings(node: ast.AST) -> Iterator[str]:
    """The causes that this expression may be; none if it is what was told before."""
    return (each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str))


def causes_in(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in NAMED_BY:
                found |= set(strings(node.args[0]))
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            found |= {text for text in strings(node.value.elts[0]) if re.fullmatch(r"[a-z]+(-[a-z]+)+", text)}
    return found


def test_the_table_in_using_has_every_cause_and_no_other() -> None:
    used = set().union(*(causes_in(path) for path in CALLS.rglob("*.py"))) - DETAILS
    section = (ROOT / "docs" / "using.md").read_text(encoding="utf-8").partition("## What it warns of")[2]
    documented = set(re.findall(r"^\| `([a-z-]+)`", section.partition("\n## ")[0], re.MULTILINE))
    assert documented == used
    assert len(used) >= 15
