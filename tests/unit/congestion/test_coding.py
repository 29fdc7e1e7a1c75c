"""What is encoded within a limit: the bit rate, and the length of the packets."""

from __future__ import annotations

import pytest

from voip.congestion import Coding, best_coding, least_rate, longer, media_rate

HEADER = 40
"""Bytes of IPv4, UDP and RTP."""
TIMES = (0.02, 0.04, 0.06)


@pytest.mark.parametrize(
    ("limit", "bitrate"), [(None, 24_000), (60e3, 24_000), (40e3, 24_000), (39e3, 20_000), (33e3, 16_000), (1e3, 9_000)]
)
def test_the_encoder_takes_what_the_headers_leave(limit: float | None, bitrate: int) -> None:
    assert media_rate(limit, 24_000, HEADER, 50.0) == bitrate


def test_a_bit_rate_above_speech_has_steps_of_its_own() -> None:
    assert media_rate(None, 64_000, HEADER, 50.0) == 64_000
    assert media_rate(70e3, 64_000, HEADER, 50.0) == 48_000
    assert media_rate(50e3, 64_000, HEADER, 50.0) == 32_000


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, Coding(24_000, 0.02)),
        (40e3, Coding(24_000, 0.02)),
        (39e3, Coding(20_000, 0.02)),  # hardly worse, and no longer
        (35e3, Coding(24_000, 0.04)),
        (32e3, Coding(24_000, 0.04)),
        (31e3, Coding(20_000, 0.04)),
        (24e3, Coding(16_000, 0.04)),
        (23e3, Coding(12_000, 0.04)),
        (18e3, Coding(12_000, 0.06)),
        (15e3, Coding(9_000, 0.06)),
        (1e3, Coding(9_000, 0.06)),  # nothing keeps to it: the least there is
    ],
)
def test_what_sounds_best_within_the_limit_is_sent(limit: float | None, expected: Coding) -> None:
    assert best_coding(limit, 24_000, HEADER, TIMES) == expected


def test_a_peer_that_takes_no_longer_packets_gets_a_lower_bit_rate() -> None:
    assert best_coding(33e3, 24_000, HEADER, TIMES[:1]) == Coding(16_000, 0.02)
    assert best_coding(20e3, 6_000, HEADER, TIMES) == Coding(6_000, 0.04)  # 6 is all that it was to be; 22 at 20 ms


def test_the_least_is_that_of_the_longest_packets() -> None:
    assert least_rate(24_000, HEADER, TIMES) == pytest.approx(9_000 + 8 * HEADER / 0.06)
    assert least_rate(6_000, HEADER, TIMES[:1]) == pytest.approx(6_000 + 8 * HEADER / 0.02)


@pytest.mark.parametrize(
    ("ptime", "most", "expected"),
    [
        (0.02, None, (0.02, 0.04, 0.06)),
        (0.02, 0.04, (0.02, 0.04)),
        (0.02, 0.02, (0.02,)),
        (0.005, None, (0.005, 0.01, 0.02, 0.04, 0.06)),
        (0.06, None, (0.06,)),
        (0.12, None, (0.12,)),
    ],
)
def test_packet_times_go_up_to_what_the_peer_takes(ptime: float, most: float | None, expected: object) -> None:
    times = (0.12, 0.1, 0.06, 0.04, 0.02, 0.01, 0.005)
    assert longer(times, ptime, most) == expected
    assert longer(None, ptime, most) == (ptime,)
