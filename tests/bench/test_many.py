"""What is made of the report of a receiver of many calls, and what the callers send."""

from __future__ import annotations

import struct

import numpy as np

from tests.bench.crowd import Load, make_load
from tests.bench.many import of_report
from tests.bench.waves import RATE


def call(**changed: int) -> dict[str, dict[str, float | None]]:
    figures = {"received": 500, "concealed": 0, "skipped": 0, "lost": 0, "overruns": 0, **changed}
    return {
        "rx": {name: figures[name] for name in ("received", "lost", "overruns")},
        "heard": {name: figures[name] for name in ("concealed", "skipped")},
        "timing": {"jitter_mean_ms": 0.5},
    }


def test_what_went_wrong_in_any_call_is_in_the_sum_and_overruns_are_those_of_all_calls() -> None:
    told = of_report([call(), call(concealed=3, overruns=7), call(lost=2, skipped=1, overruns=9)])
    expected = {"packets": 1500, "concealed": 3, "skipped": 1, "overruns": 9, "lost": 2, "jitter_ms": 0.5}
    assert told == expected


def test_a_load_is_ten_seconds_of_speech_in_packets_of_its_codec() -> None:
    speech = np.sin(np.arange(12 * RATE) / 20.0) / 4
    pcmu: Load = make_load("pcmu", speech)
    assert (pcmu.payload_type, pcmu.rtpmap, pcmu.ticks, len(pcmu.payloads)) == (0, "PCMU/8000/1", 160, 500)
    assert {len(payload) for payload in pcmu.payloads} == {160}
    l16 = make_load("l16", speech)
    loudest = max(abs(sample) for payload in l16.payloads for (sample,) in struct.iter_unpack(">h", payload))
    assert 0.24 * 32767 < loudest < 0.27 * 32767
