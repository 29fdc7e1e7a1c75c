"""What others have written is harmless for a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voip.printable import LONGEST_LINE, one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Kopfhörer 耳机 🎧", "Kopfhörer 耳机 🎧"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("over\rwritten\x7f", r"over\x0dwritten\x7f"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u200eleft\u061c", r"\u200eleft\u061c"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("Casque \udce9", r"Casque \udce9"),
    ],
)
def test_what_steers_a_terminal_is_escaped_and_nothing_else(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_line_is_cut_and_the_lines_after_it_stay() -> None:
    shown = printable("x" * 60_000 + "\nnext")
    assert shown == "x" * LONGEST_LINE + "... (59000 more characters)\nnext"


@given(st.text(alphabet=st.characters()))
def test_a_name_is_one_line_that_any_encoder_takes(text: str) -> None:
    line = one_line(text)
    assert "\n" not in line
    assert all(character == "\t" or character >= " " for character in line)
    line.encode("utf-8")
