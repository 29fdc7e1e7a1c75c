"""What the rows ask for, and that the published page says of each whether it is reached."""

from pathlib import Path
from typing import Any

import pytest

from tests.bench.aims import aim, missed_aims
from tests.bench.figures import RESULTS, stored
from tests.bench.report import document, pictures
from tests.bench.rows import ALL, Row, find

DOCS = Path(RESULTS).parent


def test_the_published_page_and_pictures_are_those_of_the_stored_figures_and_today_s_aims() -> None:
    """`python -m tests.bench report` changes nothing."""
    results = stored()
    assert (DOCS / "benchmarks.md").read_text() == document(results)
    for name, drawn in pictures(results).items():
        assert (DOCS / name).read_text() == drawn, name


@pytest.mark.parametrize("row", [row for row in ALL if row.bounds.pesq is not None], ids=lambda row: row.name)
def test_a_row_that_keeps_its_bounds_reaches_them_and_one_that_does_not_misses_each(row: Row) -> None:
    bounds = row.bounds
    kept: dict[str, Any] = {
        "pesq": bounds.pesq,
        "missing": 0.0,
        "delay": 100.0 if bounds.delay is None else bounds.delay,
        "kbps": bounds.kbps,
        "queue_p95_ms": bounds.queue,
        "drops_pct": bounds.drops,
        "again_s": bounds.again,
        "tcp_kbps": bounds.tcp,
    }
    assert aim(row, kept) == "reached"
    worse = {
        "pesq": 1.0,
        "missing": 99.0,
        "delay": 999.0,
        "kbps": 999.0,
        "queue_p95_ms": 999.0,
        "drops_pct": 99.0,
        "again_s": None,
        "tcp_kbps": 1.0,
    }
    wanted = [value for value in vars(bounds).values() if value is not None]
    assert len(missed_aims(row, worse)) == len(wanted)


def test_figures_count_as_they_are_shown() -> None:
    row = find("burst5")  # 130 ms
    figures = {"pesq": 4.296, "missing": 0.0, "delay": 130.4, "kbps": 137.4}
    assert aim(row, figures) == "reached"
    assert aim(row, {**figures, "delay": 130.6}) == "missed: delay over 130"
    assert aim(row, {**figures, "pesq": 4.294}) == "missed: PESQ under 4.3"


def test_what_is_sent_too_much_for_encryption_alone_is_named() -> None:
    figures = {"pesq": 4.4, "missing": 0.0, "delay": 100.0, "kbps": 142.0, "kbps_of_tags": 8.0}
    assert aim(find("burst5"), figures) == "missed: kbit/s over 137 by its encryption"
    assert aim(find("burst5"), {**figures, "kbps_of_tags": 4.0}) == "missed: kbit/s over 137"
    line = {**figures, "queue_p95_ms": 10.0, "drops_pct": 0.0, "kbps": 95.0}
    assert "kbit/s over 92" in missed_aims(find("line96-loss10"), line), "a line passes no more for encryption's sake"


def test_where_losses_come_by_chance_a_conversation_has_to_be_possible() -> None:
    figures = {"pesq": 4.4, "missing": 0.1, "delay": 100.0, "kbps": 90.0}
    assert aim(find("loss5"), figures) == "reached"
    assert "R under 80" in missed_aims(find("loss30"), {**figures, "missing": 1.0, "delay": 119.0})


def test_the_page_says_when_it_was_measured_and_that_the_program_has_changed_since() -> None:
    figures = {"pesq": 4.3, "missing": 0.1, "delay": 61.0, "kbps": 64.0, "runs": 3}

    def page(wire: str, virtual: str) -> str:
        return document({"ours": {"clean": {**figures, "measured": wire}}, "virtual": {"clean": {"measured": virtual}}})

    assert "Measured on 2026-11-21." in page("2026-11-21", "2026-11-28")
    assert "not of the program as it is now" in page("2026-11-21", "2026-11-28")
    assert "not of the program as it is now" not in page("2026-11-28", "2026-11-28")
    assert "Measured" not in document({"ours": {"clean": figures}}).split("## How")[0]


def test_the_table_in_virtual_time_names_what_is_missed_too() -> None:
    figures = {"pesq": 4.2, "missing": 0.0, "delay": 50.0, "kbps": 50.0, "queue_p95_ms": 101.0, "drops_pct": 0.0}
    text = document({"virtual": {"clean": figures, "line40-1000": figures}})
    assert "| missed: PESQ under 4.33 |" in text
    assert "| missed: queue p95 over 100 |" in text


def test_the_table_in_virtual_time_shows_what_r_can_be_at_best() -> None:
    figures = {"pesq": 4.2, "missing": 1.0, "delay": 180.0, "kbps": 90.0, "best_r": 82.65}
    heads, _, line = [row for row in document({"virtual": {"outage5": figures}}).splitlines() if row.startswith("| ")][
        :3
    ]
    cells = dict(zip(heads.split(" | "), line.split(" | "), strict=True))
    assert cells["R at best"] in ("82.6", "82.7")
