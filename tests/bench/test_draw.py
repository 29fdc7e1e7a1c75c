"""The benchmarks' pictures and tables: well-formed, everything inside, everything named."""

import xml.etree.ElementTree as ElementTree

import pytest

from tests.bench.draw import HEIGHT, WIDTH, Axis, Picture, Series
from tests.bench.report import document, pictures

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


def test_without_any_results_the_report_says_so() -> None:
    assert "python -m tests.bench ours" in document({})
    assert pictures({}) == {}
