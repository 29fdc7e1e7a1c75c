"""The benchmarks' pictures and tables: well-formed, everything inside, everything named."""

import xml.etree.ElementTree as ElementTree

import pytest

from tests.bench.draw import HEIGHT, WIDTH, Axis, Picture, Series
from tests.bench.report import document, many_picture, pictures

SVG = "{http://www.w3.org/2000/svg}"


def picture() -> Picture:
    return Picture(
        "Loss & quality <test>",
        Axis("packets lost (%)", (0, 10, 20, 30)),
        Axis("PESQ-WB", (1, 2, 3, 4, 4.64)),
        (Series("ours", ((0, 4.4), (10, 4.3))), Series("theirs & co", ((0, 4.2), (30, 0.5), (99, 9)))),
    )


def test_a_picture_is_a_file_that_parsers_take_with_all_its_texts() -> None:
    root = ElementTree.fromstring(picture().svg())
    texts = [element.text for element in root.iter(f"{SVG}text")]
    for text in ("Loss & quality <test>", "packets lost (%)", "PESQ-WB", "ours", "theirs & co", "30", "4.64"):
        assert text in texts


def test_points_lie_where_the_axes_say_and_none_outside() -> None:
    drawn = picture()
    assert drawn.at(15, 1)[0] == pytest.approx((drawn.at(0, 1)[0] + drawn.at(30, 1)[0]) / 2)
    assert drawn.at(0, 4.64)[1] < drawn.at(0, 1)[1], "more is higher"
    assert drawn.at(99, 9) == drawn.at(30, 4.64)
    root = ElementTree.fromstring(drawn.svg())
    for line in root.iter(f"{SVG}polyline"):
        for point in line.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 < x < WIDTH
            assert 0 < y < HEIGHT


def test_the_report_names_what_was_measured_and_leaves_out_what_was_not() -> None:
    figures = {"pesq": 4.321, "missing": 0.07, "delay": 61.0, "kbps": 64.2, "runs": 3}
    results = {
        "machine": {"cpu": "some processor", "cores": 2, "python": "3.11", "system": "Linux"},
        "ours": {"clean": figures, "loss10": {**figures, "pesq": 4.199}, "jitter30": {**figures, "delay": 88.0}},
        "others": {"gst": {"loss10": {**figures, "pesq": 1.85}}, "ffmpeg": {"jitter30": {**figures, "delay": None}}},
    }
    text = document(results)
    for expected in ("4.32", "4.20", "1.85", "random 10 %", "some processor"):
        assert expected in text
    assert "random 30 %" not in text
    assert "virtual" not in text.lower().split("## how")[0]
    for name, drawn in pictures(results).items():
        assert name.endswith(".svg")
        ElementTree.fromstring(drawn)


def test_full_lines_have_a_table_of_their_own_with_what_they_ask_for() -> None:
    queue = {"queue_p50_ms": 3.4, "queue_p95_ms": 12.0, "drops_pct": 0.0, "short_after_s": 0.0}
    call = {"pesq": 4.35, "missing": 0.0, "delay": 80.0, "kbps": 55.0, "runs": 3, **queue}
    slow = {**call, "queue_p95_ms": 101.0, "drops_pct": 0.6, "delay": None, "short_after_s": None}
    results = {
        "ours": {
            "clean": call,
            "line64-200": call,
            "line64-1000": slow,
            "line256-tcp": {**call, "tcp_kbps": 127.0},
            "line96-two": {**call, "second": {"kbps": 57.0}},
        },
    }
    text = document(results)
    lines = {line.split(" | ")[0][2:]: line for line in text.split("## Full lines")[1].splitlines() if "kbit/s" in line}
    assert lines["64 kbit/s, queue 200 ms"] == (
        "| 64 kbit/s, queue 200 ms | 4.35 | 0.00 | 80 | 89.9 | 4.34 | 55 | 3 | 12 | 0.00 | 0.0 | - | reached |"
    )
    assert lines["64 kbit/s, queue 1000 ms"].endswith(
        "| - | - | - | 55 | 3 | 101 | 0.60 | - | - | missed: delay over 150, queue p95 over 100, drops over 0.5 |"
    )
    assert lines["256 kbit/s beside TCP"].endswith("| 127 | missed: TCP under 128 |")
    assert "| 57 | reached |" in lines["96 kbit/s for two calls"]
    assert "64 kbit/s, queue" not in text.split("## Full lines")[0], "the other table is of other networks"
    assert "## Full lines" not in document({"ours": {"clean": call}})


def test_programs_are_compared_at_equal_bits_in_the_order_of_their_bits() -> None:
    def at(kbps: float, pesq: float) -> dict[str, object]:
        return {
            row: {"pesq": pesq, "missing": 0.0, "delay": 90.0, "kbps": kbps, "runs": 1} for row in ("clean", "loss10")
        }

    results = {
        "ours": at(112.0, 4.4),
        "limited": {"--fec-max 43k": at(97.0, 4.3), "--fec-max 1k": {"clean": at(1.0, 1.0)["clean"]}},
        "others": {"libwebrtc-red2": at(98.0, 4.15), "gst": {"loss20": {"kbps": 40.0}}},
    }
    text = document(results).split("**At equal bits.**")[1].split("##")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert lines == [
        "| this program, `--fec-max 43k` | 97, 4.30, 90 | - | - | - |",
        "| libwebrtc, Opus + RED, 2 copies | 98, 4.15, 90 | - | - | - |",
        "| this program | 112, 4.40, 90 | - | - | - |",
    ]
    assert "At equal bits" not in document({"ours": at(112.0, 4.4)})


def test_without_any_results_the_report_says_so() -> None:
    assert "python -m tests.bench ours" in document({})
    assert pictures({}) == {}


def test_many_calls_have_a_row_each_with_medians_and_the_worst_of_what_went_wrong() -> None:
    def one(cores: float, concealed: int) -> dict[str, float]:
        figures = {
            "seconds": 6.0,
            "kb_per_call": 300.4,
            "packets": 5000,
            "skipped": 0,
            "overruns": 1,
            "jitter_ms": 0.26,
        }
        return {"cores": cores, "concealed": concealed, **figures}

    text = document({"many": {"pcmu": {"100": [one(0.4, 0), one(0.3, 7), one(0.5, 2)], "25": [one(0.125, 0)]}}})
    rows = [line for line in text.splitlines() if line.startswith("| pcmu ")]
    assert rows == [
        "| pcmu | 25 | 6 | 0.12 | 0.30 | 300 | 5000 | 0 | 0 | 1 | 0.3 |",
        "| pcmu | 100 | 6 | 0.40 | 0.24 | 300 | 5000 | 7 | 0 | 1 | 0.3 |",
    ]


def test_growth_with_calls_is_drawn_from_the_median_of_the_runs() -> None:
    runs = [{"cores": cores} for cores in (0.4, 0.5, 0.9)]
    (text,) = many_picture({"opus": {"100": runs, "1": runs[:1]}, "pcmu": {"100": runs[:1]}}).values()
    opus, pcmu = (line.attrib["points"].split() for line in ElementTree.fromstring(text).iter(f"{SVG}polyline"))
    first, last = (tuple(map(float, point.split(","))) for point in opus)
    assert first[0] < last[0]
    assert first[1] > last[1], "more is higher"
    assert pcmu != opus[-1:], "another number of cores"
    assert not many_picture({})
