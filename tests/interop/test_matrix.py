"""The matrix: calls with baresip, linphonec, sipp, ffmpeg, GStreamer; Kamailio and rtpengine between.

The cells run some at a time, before the first test tells how its own went. `python -m tests.interop` plays the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop import endurance
from tests.interop.cells import Cell, all_cells
from tests.interop.running import EMPTY, PASSED, Result, load_results, run_cells
from tests.interop.table import DATA, PAGE, between, insert
from tests.support.peers import require

PLAYED = [cell for cell in all_cells() if cell.empty is None]
PROGRAMS = {
    "baresip": ["baresip"],
    "linphonec": ["linphonec"],
    "sipp": ["sipp"],
    "kamailio": ["kamailio", "rtpengine"],
    "kamailio+baresip": ["kamailio", "rtpengine", "baresip"],
    "ffmpeg": ["ffmpeg"],
    "gstreamer": ["gst-launch-1.0"],
}


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Of all cells that were asked for."""
    require("openssl", "ffmpeg")
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    cells = [spec.params["cell"] for spec in specs if spec is not None and isinstance(spec.params.get("cell"), Cell)]
    for program in sorted({program for cell in cells for program in PROGRAMS[cell.peer]}):
        require(program)
    folder: Path = tmp_path_factory.mktemp("interop") / "cells"
    return {result.name: result for result in run_cells(cells, folder, lambda result: None)}


@pytest.mark.process
@pytest.mark.interop
@pytest.mark.parametrize("cell", PLAYED, ids=lambda cell: cell.name)
def test_a_call(cell: Cell, results: dict[str, Result]) -> None:
    result = results[cell.name]
    assert result.state == PASSED, result.reason


def test_no_published_cell_is_empty_without_a_reason() -> None:
    published = {result.name: result for result in load_results(DATA)}
    assert list(published) == [cell.name for cell in all_cells()]
    for cell in all_cells():
        result = published[cell.name]
        expected = (PASSED, "") if cell.empty is None else (EMPTY, cell.empty)
        assert (result.state, result.reason) == expected, result


def test_no_published_long_call_has_a_hole_or_drifts() -> None:
    results = endurance.load_results()
    assert [result.name for result in results] == [cell.name for cell in endurance.CELLS]
    assert not [result.name for result in results if result.problem]


def test_the_published_page_shows_what_was_measured() -> None:
    page = PAGE.read_text()
    assert insert(page, load_results(DATA)) == page
    long_calls = endurance.table(endurance.load_results())
    assert between(page, endurance.BEGIN, endurance.END, long_calls) == page
