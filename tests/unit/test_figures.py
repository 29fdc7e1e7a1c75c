"""Figures in README.md and docs/using.md are those that their commands have measured, kept in docs/*.json."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
USING = (ROOT / "docs" / "using.md").read_text(encoding="utf-8")
BENCHMARKS = json.loads((ROOT / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
FIGURES = json.loads((ROOT / "docs" / "figures.json").read_text(encoding="utf-8"))
RIVALS = [row["kbps"] for rows in BENCHMARKS["others"].values() for row in rows.values()]
UNITS = {"s": 1.0, "ms": 1e-3}
FACTOR = 2.0
"""By which a figure in seconds may differ from the last measurement: another machine, another load."""


def shown(text: str, pattern: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, pattern
    return float(found[1]) * (UNITS[found[2]] if found.lastindex == 2 else 1.0)


@pytest.mark.parametrize(
    ("pattern", "measured"),
    [
        (r"Without loss a call takes (\d+) kbit/s", BENCHMARKS["ours"]["clean"]["kbps"]),
        (r"speech stays nearly whole at (\d+) kbit/s", BENCHMARKS["ours"]["loss30"]["kbps"]),
        (r"ours sends (\d+) to", BENCHMARKS["ours"]["clean"]["kbps"]),
        (r"ours sends \d+ to (\d+),", BENCHMARKS["ours"]["loss30"]["kbps"]),
        (r"The others send (\d+) to", min(RIVALS)),
        (r"The others send \d+ to (\d+) kbit/s", max(RIVALS)),
    ],
)
def test_bit_rates_of_the_readme_are_those_of_the_benchmarks(pattern: str, measured: float) -> None:
    assert shown(README, pattern) == pytest.approx(measured, rel=0.03)


@pytest.mark.parametrize(
    ("row", "measured"),
    [
        (r"first RTP packet", FIGURES["first packet"]),
        (r"from Ctrl\+C to BYE on the wire", FIGURES["BYE"]),
        (r"to the end of both programs", FIGURES["both gone"]),
        (r"beyond the network's own delay", BENCHMARKS["ours"]["clean"]["delay"] / 1e3),
    ],
)
def test_times_of_the_table_are_within_a_factor_of_what_was_measured(row: str, measured: float) -> None:
    figure = shown(USING, rf"{row} \| ([\d.]+) (ms|s) \|")
    assert measured / FACTOR <= figure <= measured * FACTOR
