"""Bounds on the size and the tangle of the program, measured by `tools.measure_structure`, which also prints them."""

from __future__ import annotations

import ast

import pytest

from tools import measure_structure
from tools.measure_structure import MEASURES, Class, classes


@pytest.mark.parametrize("name", MEASURES)
def test_nothing_is_over_its_bound(name: str) -> None:
    assert {finding.name: finding.figure for finding in MEASURES[name].offenders()} == {}


# --- the measures themselves ------------------------------------------------------------------------------------------


def described(text: str) -> Class:
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.ClassDef)
    return measure_structure.describe(node, "example.py")


def test_fields_are_what_any_method_assigns_to_itself() -> None:
    found = described(
        "class A:\n"
        "    def __init__(self, b: B) -> None:\n"
        "        self.b, self.c = b, 1\n"
        "    def grow(self) -> None:\n"
        "        self.d: int = 2\n"
        "        self.c += 1\n"
        "        other.e = 3\n"
    )
    assert (found.fields, found.initial) == ({"b", "c", "d"}, {"b", "c"})


def test_the_fields_of_a_dataclass_count_unless_it_is_frozen() -> None:
    body = "class A:\n    a: int\n    b: int = 1\n"
    assert described(f"@dataclass\n{body}").fields == {"a", "b"}
    assert not described(f"@dataclass\n{body}").is_value
    assert described(f"@dataclass(frozen=True)\n{body}").is_value
    assert described("class A(NamedTuple):\n    a: int\n").is_value


@pytest.mark.parametrize(
    "text",
    [
        "def lost():\n    global bad\n    bad = rng.random() >= leave if bad else rng.random() < enter\n",
        "def lost(self):\n    if self.rng.random() < (a if self.bad else b):\n        self.bad = not self.bad\n",
        "def lost(self):\n    p = a if self.bad else b\n    if rng.random() < p:\n        self.bad = not self.bad\n",
        "def lost():\n    if bad:\n        bad = random() > a\n    else:\n        bad = random() < b\n",
    ],
)
def test_a_gilbert_channel_is_recognised_however_it_is_written(text: str) -> None:
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert measure_structure.is_gilbert(function)


def test_independent_losses_are_no_gilbert_channel() -> None:
    function = ast.parse(
        "def lost():\n    gone = random() < a\n    if not gone:\n        n += 1\n    return gone\n"
    ).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert not measure_structure.is_gilbert(function)


def test_the_classes_of_the_program_are_found() -> None:
    assert {"RtpSession", "UserAgent", "AudioReceiver"} <= {*classes()}


def test_floors_are_the_longest_row_of_imports() -> None:
    row = measure_structure.floors("voip.sip")
    assert len(row) == len({*row}) > 1


def test_the_table_has_a_line_for_each_measure_and_names_offenders_when_asked() -> None:
    short, long = [*measure_structure.table(names=False)], [*measure_structure.table(names=True)]
    assert len(short) == 1 + len(MEASURES)
    assert len(long) == len(short) + sum(len(measure.offenders()) for measure in MEASURES.values())


# --- the tests --------------------------------------------------------------------------------------------------------


def test_no_test_module_imports_from_another() -> None:
    """What two of them need is in tests/support."""
    found = {
        measure_structure.name_of(file): used
        for file in measure_structure.around()
        for used in measure_structure.imports(measure_structure.tree(file))
        if any(part.startswith("test_") for part in used.split(".")[:-1])
    }
    assert found == {}
