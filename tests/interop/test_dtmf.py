"""Keys of a telephone to and from baresip, which offers events at 8000 Hz whatever its codec."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.baresip import baresip
from tests.support.processes import receiver, sender
from tests.support.voice import speech
from tests.support.wav import save

pytestmark = [pytest.mark.process, pytest.mark.interop]

HELD = (120, 240)  # ms for which baresip holds a key
CODECS = {"PCMU": ("PCMU/8000/1", 8000, 1), "opus": ("opus/48000/2", 48000, 2)}


@pytest.mark.parametrize("codec", CODECS)
def test_keys_that_baresip_presses_are_told_once_each_and_are_no_loss(codec: str, tmp_path: Path) -> None:
    name, rate, channels = CODECS[codec]
    save(tmp_path / "said.wav", np.repeat(speech(rate, 12.0), channels, 1), rate)
    with (
        receiver(tmp_path, "--output", "null", "--once", "--json") as far,
        baresip(tmp_path, name, dial=f"sip:receiver@{far.target}", says=tmp_path / "said.wav") as phone,
    ):
        phone.wait_for("Call established")
        for key in "1#":
            phone.command("sndcode", key)
            far.wait_for(f"key {key}   pressed for")
        phone.hang_up()
        heard = far.finish()
        phone.finish()
    assert heard.status == 0, heard.stderr
    events = [json.loads(line) for line in heard.stdout.splitlines()]
    keys = [event for event in events if event["event"] == "dtmf"]
    assert [event["digit"] for event in keys] == ["1", "#"]
    assert all(HELD[0] <= event["duration_ms"] <= HELD[1] for event in keys), keys
    assert heard.call["rx"]["lost"] == 0


def test_keys_that_we_dial_are_heard_by_baresip(tmp_path: Path) -> None:
    with baresip(tmp_path, "PCMU/8000/1") as phone:
        with sender(tmp_path, phone.target, "--input", "tone", "--duration", "2s", "--dtmf", "5*") as near:
            outcome = near.finish()
        phone.wait_for("session closed")
        phone.finish_quietly()
    assert outcome.status == 0, outcome.stderr
    told = [line for line in phone.stderr.splitlines() if line.startswith("received event")]
    assert told == [f"received event: '{key}' (end={end})" for key in "5*" for end in (0, 1)]
