"""The digit of an INFO request, however telephones write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voip.sip.info_digit import DIGITS, digit_of


@pytest.mark.parametrize(
    ("body", "digit"),
    [
        pytest.param(b"Signal=5\r\nDuration=160\r\n", "5", id="as everybody"),
        pytest.param(b"Signal= 5\r\nDuration= 250\r\n", "5", id="spaces"),
        pytest.param(b"signal=*\r\nduration=160", "*", id="small letters, no end of line"),
        pytest.param(b"SIGNAL=d\r\n", "D", id="letter"),
        pytest.param(b"Signal=10\r\nDuration=160\r\n", "*", id="event code of the star"),
        pytest.param(b"Signal=11\r\nDuration=160\r\n", "#", id="event code of the pound"),
        pytest.param(b"Signal=15\r\n", "D", id="event code of D"),
        pytest.param(b"Signal=16\r\n", "", id="flash"),
        pytest.param(b"Signal=hf\r\n", "", id="hook flash by name"),
        pytest.param(b"Duration=160\r\nSignal=7\r\n", "7", id="duration first"),
        pytest.param(b"Duration=160\r\n", "", id="duration alone is not the key D"),
        pytest.param(b"Signal=9\nDuration=100\n", "9", id="line feeds alone"),
        pytest.param(b"Signal=9\rDuration=100\r", "9", id="carriage returns alone"),
        pytest.param(b"\r\nSignal=3\r\n\r\n", "3", id="empty lines"),
        pytest.param(b'Signal="4"\r\n', "4", id="quoted"),
        pytest.param(b"Signal: 4\r\n", "4", id="colon"),
        pytest.param(b"Signal=5\r\nSignal=6\r\n", "", id="two signals"),
        pytest.param(b"Signal=55\r\n", "", id="two digits"),
        pytest.param(b"Signal=\r\n", "", id="none"),
        pytest.param(b"#", "#", id="bare"),
        pytest.param(b"10", "*", id="bare event code"),
        pytest.param(b" 7\r\n", "7", id="bare with spaces"),
        pytest.param(b"7\0", "7", id="bare with the end of a C string"),
        pytest.param(b"5\r\nDuration=160\r\n", "5", id="bare before a duration"),
        pytest.param(b"", "", id="empty"),
        pytest.param(b"\xff\xfe", "", id="no text"),
        pytest.param(b"*0", "", id="two keys"),
    ],
)
def test_a_digit_is_read_as_telephones_write_it(body: bytes, digit: str) -> None:
    assert digit_of(body) == digit


@given(st.binary(max_size=60))
def test_any_body_is_a_digit_or_none(body: bytes) -> None:
    assert digit_of(body) in {"", *DIGITS}
    assert digit_of(b"Signal=" + body.replace(b"\n", b"").replace(b"\r", b"")) in {"", *DIGITS}
