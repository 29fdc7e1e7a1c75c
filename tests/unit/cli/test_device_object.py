"""Devices in the JSON report: a sound card tells more than a file."""

from __future__ import annotations

from voip.cli.running import _device_object
from voip.devices.paced import NullSink


def test_only_a_sound_card_has_latency_and_xruns() -> None:
    class Card(NullSink):
        latency, xruns = 0.0234, 2

        def faults(self) -> str:
            return "2 overruns"

    card = _device_object(Card(rate=48000, channels=2, description="USB Audio, 48000 Hz"))
    assert card == {
        "description": "USB Audio, 48000 Hz", "rate": 48000, "channels": 2, "latency_ms": 23.4, "xruns": 2,
        "faults": "2 overruns",
    }  # fmt: skip
    plain = _device_object(NullSink(rate=8000, channels=1, description="null"))
    assert (plain["latency_ms"], plain["xruns"], plain["faults"]) == (None, None, None)
