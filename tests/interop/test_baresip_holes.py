"""Twenty seconds with baresip, which knows no FlexFEC, over a wire without losses: neither recording has a hole."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.baresip import baresip
from tests.support.peers import Capture, capture
from tests.support.processes import receiver, sender
from tests.support.sound import speechlike
from tests.support.voice import voice
from tests.support.wav import load, save
from tests.support.wavdiff import compare_files
from voip.codecs import libopus
from voip.dsp import Resampler

pytestmark = [pytest.mark.process, pytest.mark.interop]

SECONDS = 20.0
SPEECH_RATE = 16_000
PIECE = 5.0  # seconds of voice, over and over
QUIET = 16  # largest sample of silence: the codecs' own noise; the quietest of what is said is ten times as loud
HOLE = 0.010  # seconds of silence that are a hole
HELD = 0.25  # per cent of the sound: one stall of a busy machine by 50 ms, bridged with sound
CUT = 0.3  # seconds of the end that a side may cut off when it hangs up at the end of its file
SNR = {"opus": 5.0, "PCMU": 37.0}  # dB, of the codecs themselves: any shift of the sound has none
CODECS = {"opus": ("opus/48000/2", "opus", 48_000), "PCMU": ("PCMU/8000/1", "pcmu", 8_000)}


def said(codec: str, folder: Path) -> Path:
    """A recording without a pause."""
    file, rate = folder / "said.wav", CODECS[codec][2]
    if codec == "opus":  # of the bandwidth of speech: what is wider is not coded as speech
        wide = Resampler(SPEECH_RATE, rate, 1).process(voice(SPEECH_RATE, PIECE))
        sound = np.tile(wide, (round(SECONDS / PIECE), 1))
    else:
        sound = speechlike(rate, SECONDS)
    save(file, sound, rate)
    return file


def longest_silence(file: Path) -> float:
    """Seconds, between the first and the last sound."""
    samples, rate = load(file)
    sounding = np.flatnonzero(np.abs(samples).max(axis=1) > QUIET)
    assert len(sounding), f"{file} is silent"
    return float(np.diff(sounding).max() - 1) / rate


@pytest.mark.parametrize("codec", CODECS)
def test_what_baresip_hears_of_us_is_what_was_said(codec: str, tmp_path: Path) -> None:
    file = said(codec, tmp_path)
    assert longest_silence(file) < HOLE
    name, ours, _ = CODECS[codec]
    with baresip(tmp_path, name) as phone:
        ports = int(phone.target.rpartition(":")[2]), phone.media_ports
        with (
            capture(tmp_path, *ports) as captured,
            sender(tmp_path, phone.target, "--input", str(file), "--codec", ours) as near,
        ):
            outcome = near.finish(2 * SECONDS)
        phone.finish_quietly()
    assert outcome.status == 0, outcome.stderr
    difference = compare_files(file, phone.heard)
    assert difference.compared >= SECONDS - CUT, difference
    assert difference.holes == 0, difference
    assert difference.snr >= SNR[codec], difference
    assert longest_silence(phone.heard) < HOLE
    assert outcome.call["remote"]["cumulative_lost"] == 0
    if codec == "opus":
        assert_in_band_fec_ends(captured)


@pytest.mark.parametrize("codec", CODECS)
def test_what_we_hear_of_baresip_has_no_hole(codec: str, tmp_path: Path) -> None:
    """With room for the pauses of a busy machine, which a delay of 25 ms has not; the sound may be time-scaled."""
    file = said(codec, tmp_path)
    name, ours, _ = CODECS[codec]
    with (
        receiver(tmp_path, "--output", "heard.wav", "--once", "--latency", "200ms") as far,
        baresip(tmp_path, name, dial=f"sip:receiver@{far.target}", says=file) as phone,
    ):
        outcome = far.finish(2 * SECONDS)
        phone.finish_quietly()
    assert outcome.status == 0, outcome.stderr
    assert outcome.call["codec"] == ours
    rx = outcome.call["rx"]
    assert rx["lost"] == 0
    played = outcome.call["heard"]
    assert (rx["late"], played["resyncs"]) == (0, 0), played
    assert played["concealed_pct"] <= HELD, played
    heard, rate = load(tmp_path / "heard.wav")
    assert len(heard) / rate >= SECONDS - CUT
    assert longest_silence(tmp_path / "heard.wav") < HOLE


def assert_in_band_fec_ends(captured: Capture) -> None:
    """It is sent until the phone's first report says that nothing is lost, 6.2 s after the beginning at the latest."""
    payloads = [bytes.fromhex(line) for line in captured.read("-Y", "rtp", "-T", "fields", "-e", "rtp.payload")]
    repeats = [libopus.has_in_band_fec(payload) for payload in payloads]
    assert len(repeats) >= 50 * (SECONDS - CUT)
    assert sum(repeats[:50]) > 25, [line for line in captured.read("-Y", "sdp", "-V") if "fmtp" in line]
    assert not any(repeats[50 * 8 :])
