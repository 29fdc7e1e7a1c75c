"""What repair packets may take grows with the media: calls in virtual time with the default of --fec-max."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.rows import find
from tests.bench.virtual import FEC_MAX, FEC_MEDIA_FACTOR, TwoWayCall, noise
from tests.bench.waves import RATE, stretch
from voip import cli
from voip.codecs import find as find_codec
from voip.fec import Agreed, FecController

SECONDS = 20.0


def test_the_calls_in_virtual_time_have_the_default_of_the_program() -> None:
    assert cli.sender_options(["sip:127.0.0.1"]).fec_max == (FEC_MAX, FEC_MEDIA_FACTOR)


@pytest.mark.parametrize(("row", "bound"), [("clean", 0.0), ("loss10", 0.05), ("loss20", 0.3), ("burst10", 0.3)])
@pytest.mark.parametrize(("channels", "ptime"), [(1, 0.01), (2, 0.005)])
def test_sound_that_is_not_compressed_is_protected_as_speech_is(
    channels: int, ptime: float, row: str, bound: float
) -> None:
    call = TwoWayCall(find(row), 1, find_codec("L16", 48000, channels), ptime=ptime)
    sound = np.clip(np.rint(stretch(noise(), SECONDS) * 32768), -32768, 32767).astype(np.int16)
    call.talk_on(sound[:RATE])
    start = call.receiver.snapshot()
    call.talk(sound[RATE:])
    stats = call.receiver.snapshot()
    assert start.lost_after_fec <= 12  # nothing is known of the path yet, and little is sent
    missing = stats.lost_after_fec - start.lost_after_fec
    assert 100 * missing / (stats.expected - start.expected) <= bound
    concealed = stats.playout.concealed_seconds - start.playout.concealed_seconds
    assert concealed <= (bound + 0.1) / 100 * SECONDS


@pytest.mark.parametrize("size", [60, 300, 1000])
@pytest.mark.parametrize(("rate", "factor"), [(200e3, 0.0), (200e3, 0.5), (200e3, 1.2), (20e3, 2.5), (0.0, 1.1)])
def test_repair_stays_within_the_larger_of_both_limits(size: int, rate: float, factor: float) -> None:
    control, ptime = FecController(rate, media_factor=factor), 0.02
    allowed = max(rate, factor * size * 8 / ptime)
    for number in range(200):
        control.sent(number, size, number * ptime, repair=False)
    overhead = control.pattern.overhead if control.pattern else 0.0
    assert overhead * size * 8 / ptime <= allowed
    assert overhead > 0.0 or allowed < 0.1 * (size + 24) * 8 / ptime


def test_a_limit_on_all_of_it_comes_before_a_multiple_of_the_media() -> None:
    control = FecController(200e3, media_factor=2.5)
    control.set_limits(Agreed(bandwidth=600e3))
    for number in range(200):
        control.sent(number, 1000, number * 0.02, repair=False)  # 400 kbit/s
    assert control.pattern is not None
    assert control.pattern.overhead * 1000 * 8 / 0.02 <= 200e3
