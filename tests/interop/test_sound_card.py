"""A real PyAudio microphone and speaker, over a virtual sound card."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import processes
from tests.support.following import seconds_to_sound
from tests.support.sound import pitch
from tests.support.virtual_sound import ALSA, RATE, VirtualSound, require
from tests.support.wav import save
from voip.devices import generate
from voip.dsp import Pcm, level_dbfs

pytestmark = pytest.mark.interop

ROOT = Path(__file__).resolve().parents[2]
TONE_DBFS = -12 - 3.01
"""RMS level of the tone that has its peaks at -12 dBFS."""
WINDOW = RATE // 5
BACK_WITHIN = 5.0
"""Seconds from the return of the sound card to sound."""
AWAY = 5.0
"""Seconds without it."""


@pytest.fixture(scope="module")
def sound() -> Iterator[VirtualSound]:
    require()
    with VirtualSound() as started:
        yield started


def run(script: str, environment: dict[str, str], *arguments: str) -> Any:  # noqa: ANN401 -- what the script says
    """Run a script in a fresh process, which must end well and say nothing but JSON; what it says."""
    done = start(script, environment, *arguments)
    out, err = done.communicate(timeout=30)
    assert done.returncode == 0, err
    assert err == ""
    return json.loads(out)


def start(script: str, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdin=pipe, stdout=pipe, stderr=pipe)


def assert_tone(pcm: Pcm, hertz: float, rate: int) -> None:
    """Most of the middle of a recording is this tone; on a busy machine a sound server drops blocks."""
    windows = [pcm[start : start + WINDOW] for start in range(0, len(pcm) - WINDOW, WINDOW)]
    loud = [window for window in windows if level_dbfs(window) > TONE_DBFS - 6]
    assert len(loud) >= 4
    assert np.median([pitch(window, rate) for window in loud]) == pytest.approx(hertz, abs=1.0)
    assert np.median([level_dbfs(window) for window in loud]) == pytest.approx(TONE_DBFS, abs=0.5)


def test_the_devices_are_listed_and_the_defaults_marked(sound: VirtualSound) -> None:
    script = """
import json, sys
from voip.devices import list_devices
json.dump([vars(device) for device in list_devices()], sys.stdout)
"""
    devices = run(script, sound.environment)
    names = {device["name"]: device for device in devices}
    assert {"virtual_microphone", "virtual_speaker", "default"} <= set(names)
    assert [device["index"] for device in devices] == list(range(len(devices)))
    assert [device["name"] for device in devices if device["default_input"]] == ["default"]
    assert [device["name"] for device in devices if device["default_output"]] == ["default"]
    assert all(device["rate"] > 0 and device["host_api"] == "ALSA" for device in devices)


@pytest.mark.parametrize("spec", ["mic", "mic:MICROPHONE"])
def test_the_microphone_hears_what_is_said(sound: VirtualSound, tmp_path: Path, spec: str) -> None:
    script = """
import json, sys
import numpy as np
from voip.devices import open_source
source = open_source(sys.argv[1])
source.start()
heard = np.concatenate([source.read() for _ in range(400)])[: 2 * source.sample_rate]
heard.tofile(sys.argv[2])
json.dump([source.sample_rate, source.channels, source.block, source.latency, source.failures], sys.stdout)
source.close()
"""
    fill = generate.tone(440)
    said = save(tmp_path / "said.wav", fill(10 * RATE))
    with sound.speaking(said):
        rate, channels, block, latency, failures = run(script, sound.environment, spec, str(tmp_path / "heard"))
    assert (rate, channels, failures) == (48000, 1, 0)
    assert block in (240, 480)  # the longer one if this machine could not keep up with the shorter
    assert 0.0 < latency < 0.2
    heard = np.fromfile(tmp_path / "heard", np.int16).reshape(-1, 1)
    assert len(heard) == 2 * rate
    assert_tone(heard, 440.0, rate)


@pytest.mark.parametrize("spec", ["speaker", "speaker:virtual_s"])
def test_the_speaker_plays_what_is_written(sound: VirtualSound, tmp_path: Path, spec: str) -> None:
    script = """
import json, sys, time
from voip.devices import generate, open_sink
from voip.dsp import to_channels
sink = open_sink(sys.argv[1])
fill = generate.tone(1000)
started = time.monotonic()
left = 2 * sink.sample_rate
while left > 0:
    block = sink.block
    sink.write(to_channels(fill(block), sink.channels))
    left -= block
seconds = time.monotonic() - started
sink.close()
json.dump([sink.sample_rate, sink.block, sink.latency, sink.failures, seconds], sys.stdout)
"""
    with sound.recording(tmp_path / "played"):
        rate, block, latency, failures, seconds = run(script, sound.environment, spec)
    assert (rate, failures) == (48000, 0)
    assert block in (240, 480)
    assert 0.0 < latency < 0.2
    assert seconds == pytest.approx(2.0, abs=0.3)
    played = np.fromfile(tmp_path / "played", "<i2").reshape(-1, 1)
    assert_tone(played, 1000.0, RATE)
    assert int((np.abs(played) > 50).sum()) >= 0.8 * 2 * rate


def test_a_sound_server_that_dies_and_returns_is_survived() -> None:
    """The call goes on: silence in real time, then sound again. Says where it is, waits to be told to go on."""
    script = """
import sys, time
from voip.devices import open_sink, open_source
source, sink = open_source("mic"), open_sink("speaker")
def go(until):
    started, samples = time.monotonic(), 0
    while not until(source.available, sink.available) or samples < source.sample_rate / 2:
        pcm = source.read()
        sink.write(pcm[:, :1].repeat(sink.channels, 1))
        samples += len(pcm)
        if time.monotonic() - started > 15:
            sys.exit("waited in vain")
    sys.stdout.write(f"{samples / source.sample_rate / (time.monotonic() - started)}\\n")
    sys.stdout.flush()
    sys.stdin.readline()
go(lambda mic, speaker: mic and speaker)
go(lambda mic, speaker: not mic and not speaker)
go(lambda mic, speaker: mic and speaker)
source.close()
sink.close()
"""
    require()
    with VirtualSound() as sound:
        child = start(script, sound.environment)
        assert child.stdin is not None
        assert child.stdout is not None
        paces = []
        for change in (sound.kill_server, sound.start_server, lambda: None):
            paces.append(float(child.stdout.readline()))
            change()
            child.stdin.write("\n")
            child.stdin.flush()
        _, errors = child.communicate(timeout=30)
        assert child.returncode == 0, errors
    assert "Traceback" not in errors
    assert paces == pytest.approx([1.0, 1.0, 1.0], abs=0.3)


def test_a_call_goes_from_microphone_to_speaker_with_both_scripts(sound: VirtualSound, tmp_path: Path) -> None:
    fill = generate.tone(440)
    said = save(tmp_path / "said.wav", fill(15 * RATE))
    environment = sound.environment
    with (
        processes.receiver(tmp_path, "--output", "speaker", "--once", environment=environment) as receiver,
        sound.speaking(said),
        sound.recording(tmp_path / "played"),
        processes.sender(
            tmp_path, receiver.target, "--input", "mic", "--duration", "4s", environment=environment
        ) as sender,
    ):
        sent, heard = sender.finish(), receiver.finish()
    assert (sent.status, heard.status) == (0, 0)
    assert heard.call["rx"]["lost"] == 0
    assert heard.call["rx"]["received"] == sent.call["tx"]["packets"] >= 175
    played = np.fromfile(tmp_path / "played", "<i2").reshape(-1, 1)
    assert_tone(played, 440.0, RATE)


@pytest.mark.parametrize("what", ["sound server", "sound card"])
def test_sound_is_back_within_5_s_of_the_return_of_the_sound_card(tmp_path: Path, what: str) -> None:
    """In a call from microphone to speaker: the sound server is killed and started again, or both are unplugged."""
    require()
    said = save(tmp_path / "said.wav", generate.tone(440)(60 * RATE))
    played = tmp_path / "played"
    with VirtualSound() as sound:
        lose, regain = (sound.kill_server, sound.start_server) if what == "sound server" else (sound.unplug, sound.plug)
        environment = sound.environment
        with (
            processes.receiver(tmp_path, "--output", "speaker", "--once", environment=environment) as far,
            processes.sender(tmp_path, far.target, "--input", "mic", environment=environment) as near,
        ):
            far.wait_for("call from")
            with sound.speaking(said), sound.recording(played):
                seconds_to_sound(played, time.monotonic(), BACK_WITHIN, RATE)
            lose()
            near.wait_for("is unavailable")
            far.wait_for("is unavailable")
            time.sleep(AWAY)
            regain()
            back = time.monotonic()
            with sound.speaking(said), sound.recording(played):
                silence = seconds_to_sound(played, back, 2 * BACK_WITHIN, RATE)
            near.stop()
            sent, heard = near.finish(), far.finish()
    print(f"{what} gone {AWAY:.0f} s: sound {silence:.2f} s after its return")  # noqa: T201
    assert silence < BACK_WITHIN
    assert (sent.status, heard.status) == (0, 0), sent.stderr + heard.stderr
    assert (sent.call["end_reason"], heard.call["end_reason"]) == ("local-bye", "remote-bye")


def test_a_receiver_whose_speaker_is_gone_refuses_calls_politely(tmp_path: Path) -> None:
    require()
    with VirtualSound() as sound:
        environment = sound.environment
        with processes.receiver(tmp_path, "--output", "speaker", environment=environment) as receiver:
            sound.kill_server()
            receiver.wait_for("is unavailable")
            with processes.sender(tmp_path, receiver.target, "--duration", "1s") as sender:
                refused = sender.finish()
            receiver.stop()
            talk = receiver.finish().stderr
    assert refused.status == 5
    assert "Expression" not in talk
    assert "ALSA" not in talk
    assert "480" in refused.stderr


REFUSED = """
import json, sys
from voip.devices import open_sink, open_source
from voip.errors import DeviceError
try:
    (open_sink if sys.argv[1].startswith("speaker") else open_source)(sys.argv[1])
except DeviceError as error:
    json.dump(str(error), sys.stdout)
"""


@pytest.mark.parametrize("spec", ["mic:99", "speaker:99", "mic:nothing like it", "speaker:nothing like it"])
def test_a_device_that_does_not_exist_is_refused_and_those_that_do_are_named(sound: VirtualSound, spec: str) -> None:
    text = run(REFUSED, sound.environment, spec)
    assert "there are: 0 virtual_microphone, 1 virtual_speaker, 2 default" in text
    assert "\n" not in text


@pytest.mark.parametrize("configuration", ["", None])
def test_an_alsa_without_configuration_is_no_crash(tmp_path: Path, configuration: str | None) -> None:
    require()
    if configuration is not None:
        (tmp_path / "alsa.conf").write_text(configuration)
    text = run(REFUSED, dict(os.environ) | {"ALSA_CONFIG_PATH": str(tmp_path / "alsa.conf")}, "speaker")
    assert "there is no sound device" in text
    assert "\n" not in text


@pytest.mark.parametrize("spec", ["mic", "speaker", "mic:0", "speaker:x"])
def test_without_a_sound_server_one_line_says_what_to_do_instead(tmp_path: Path, spec: str) -> None:
    require()
    (tmp_path / "alsa.conf").write_text(ALSA)
    nothing = {"ALSA_CONFIG_PATH": str(tmp_path / "alsa.conf"), "PULSE_SERVER": f"unix:{tmp_path}/none"}
    text = run(REFUSED, dict(os.environ) | nothing, spec)
    assert "there is no sound device" in text
    assert "FILE.wav" in text
    assert "\n" not in text


def test_ctrl_c_ends_the_wait_for_a_sound_device_as_it_ends_a_call(tmp_path: Path) -> None:
    require()
    (tmp_path / "alsa.conf").write_text(ALSA)
    nothing = {"ALSA_CONFIG_PATH": str(tmp_path / "alsa.conf"), "PULSE_SERVER": f"unix:{tmp_path}/none"}
    wait = ("--device-wait", "60s")
    with (
        processes.receiver(tmp_path, "--output", "speaker", *wait, ready=None, environment=nothing) as far,
        processes.sender(tmp_path, processes.LOOPBACK, "--input", "mic", *wait, environment=nothing) as near,
    ):
        for program in (far, near):
            program.wait_for("waiting for a sound device")
            program.stop()
            assert program.finish().status == 0, program.stderr
