"""docs/json.md names every event and every field that the program tells, and none that it does not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.records import received, sent
from voip.calls.diagnosis import Event
from voip.report import TargetRecord, final_report
from voip.report.objects import interval_object
from voip.stats import CaptureStats

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([a-z][\w+]*|3\+|1|2)`", TEXT))


def fields(value: object) -> Iterator[str]:
    """The names of all fields, in objects within objects."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from fields(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner)


def events() -> dict[str, set[str]]:
    """The events in the source, with the fields that are written out there."""
    found: dict[str, set[str]] = {event.value: set() for event in Event if event is not Event.DETAIL}
    for path in (ROOT / "voip").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "event"):
                continue
            if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                given = {keyword.arg for keyword in node.keywords if keyword.arg}
                found.setdefault(node.args[0].value, set()).update(given - {"call_id", "paint"})
    return found


def documented_events() -> dict[str, set[str]]:
    section = TEXT.partition("## Events")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \|.*\| (.*) \|$", section, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", told)) for name, told in rows}


def test_every_event_is_in_the_table_with_its_fields_and_no_other() -> None:
    told, made = documented_events(), events()
    assert set(told) == set(made)
    assert {name: given - told[name] for name, given in made.items() if given - told[name]} == {}


def test_every_field_of_the_report_is_documented() -> None:
    calls: Any = (received(), sent())
    targets = [TargetRecord(sent().peer)]
    more: Any = {"devices": [{"description": "x"}], "targets": targets, "capture": CaptureStats("call.pcapng")}
    report = final_report("sender", "1", 0, None, calls, **more)
    names = {*fields(report), *fields(interval_object(received(), None))}
    assert names - NAMED - {"schema"} == set()
