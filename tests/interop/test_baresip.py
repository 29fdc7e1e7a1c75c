"""Calls with baresip, a SIP phone by other people: each hears the other, and either may hang up."""

from pathlib import Path

import pytest

from tests.support.baresip import Baresip, baresip
from tests.support.processes import assert_identities, receiver, sender, until
from tests.support.sound import speechlike
from tests.support.voice import speech, voice
from tests.support.wav import save
from tests.support.wavdiff import Difference, compare_files

pytestmark = [pytest.mark.process, pytest.mark.interop]

SECONDS = 5.0
UNHEARD = 0.3  # seconds of the end that a side may cut off when it hangs up at the end of its file
G711_SNR = 37.0  # dB, of the companding itself
G722_SNR = 24.0
OPUS_SNR = 5.0  # dB: a voice at 24 kbit/s has 8, anything else has none
PATIENT = ("--latency", "200ms")  # and no time-scaling: the sound is compared sample by sample
CODECS = {  # baresip's name, ours, rate
    "opus": ("opus/48000/2", "opus", 48_000),
    "PCMU": ("PCMU/8000/1", "pcmu", 8_000),
    "PCMA": ("PCMA/8000/1", "pcma", 8_000),
    "G722": ("G722/16000/1", "g722", 16_000),
    "L16": ("L16/16000/1", "l16", 16_000),
    "L16-48000": ("L16/48000/1", "l16", 48_000),
    "L16-stereo": ("L16/16000/2", "l16", 16_000),
}


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def recording(codec: str, folder: Path) -> Path:
    file = folder / "said.wav"
    rate = CODECS[codec][2]
    if codec in ("opus", "G722"):
        sound = voice(rate, SECONDS) if codec == "opus" else speech(rate, SECONDS)
    else:
        sound = speechlike(rate, SECONDS, 2 if codec == "L16-stereo" else 1)
    save(file, sound, rate)
    return file


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def assert_heard(codec: str, said: Path, heard: Path, *, seconds: float = SECONDS - UNHEARD) -> None:
    difference: Difference = compare_files(said, heard)
    assert difference.compared >= seconds, difference
    assert difference.holes == 0, difference
    if codec.startswith("L16"):
        assert difference.exact, difference
    else:
        assert difference.snr >= {"opus": OPUS_SNR, "G722": G722_SNR}.get(codec, G711_SNR), difference


def assert_bye(phone: Baresip, *, from_phone: bool) -> None:
    """The phone's SIP trace shows a BYE, sent or received."""
    lines = [line for line in phone.trace.splitlines() if line]
    (at,) = [index for index, line in enumerate(lines) if line.startswith("BYE ")][:1]
    sent_by = lines[at - 1].split(" -> ")[0]
    own = phone.target.partition("@")[2]
    assert sent_by.endswith(own) is from_phone, lines[at - 1 : at + 2]


def test_baresip_calls_and_hangs_up(codec: str, tmp_path: Path) -> None:
    said = recording(codec, tmp_path)
    with (
        receiver(tmp_path, "--output", "heard.wav", "--once", *PATIENT) as far,
        baresip(tmp_path, CODECS[codec][0], dial=f"sip:receiver@{far.target}", says=said) as phone,
    ):
        outcome = far.finish()
        phone.finish_quietly()
    assert outcome.status == 0, outcome.stderr
    assert outcome.call["end_reason"] == "remote-bye"
    assert outcome.call["codec"] == CODECS[codec][1]
    assert outcome.call["rx"]["lost"] == 0
    assert_identities(outcome.call)
    assert_heard(codec, said, tmp_path / "heard.wav")
    assert_bye(phone, from_phone=True)


def test_baresip_calls_and_receiver_hangs_up(tmp_path: Path) -> None:
    said = recording("PCMU", tmp_path)
    with (
        receiver(tmp_path, "--output", "heard.wav", *PATIENT) as far,
        baresip(tmp_path, CODECS["PCMU"][0], dial=f"sip:receiver@{far.target}", says=said) as phone,
    ):
        phone.wait_for("Call established")
        until(lambda: size(tmp_path / "heard.wav") > 8_000, "half a second is heard")
        far.stop()
        outcome = far.finish()
        phone.wait_for("session closed")
        phone.finish_quietly()
    assert outcome.status == 0, outcome.stderr
    assert_heard("PCMU", said, tmp_path / "heard.wav", seconds=0.5)
    assert_bye(phone, from_phone=False)


def test_sender_calls_baresip_and_hangs_up(codec: str, tmp_path: Path) -> None:
    said = recording(codec, tmp_path)
    name, ours, _ = CODECS[codec]
    with baresip(tmp_path, name) as phone:
        with sender(tmp_path, phone.target, "--input", str(said), "--codec", ours) as near:
            outcome = near.finish()
        phone.wait_for("session closed")
        phone.finish_quietly()
    assert outcome.status == 0, outcome.stderr
    assert outcome.call["end_reason"] == "local-bye"
    assert outcome.call["tx"]["fec_packets"] in (0, None), "repair packets to a peer that did not agree to them"
    assert_heard(codec, said, phone.heard)
    assert_bye(phone, from_phone=False)


def test_sender_calls_baresip_which_hangs_up(tmp_path: Path) -> None:
    said = recording("L16", tmp_path)
    with baresip(tmp_path, CODECS["L16"][0]) as phone:
        with sender(tmp_path, phone.target, "--input", str(said), "--loop", "--codec", "l16") as near:
            phone.wait_for("Call established")
            until(lambda: size(phone.heard) > 16_000, "half a second is heard")
            phone.hang_up()
            outcome = near.finish()
        phone.finish()
    assert outcome.status == 0, outcome.stderr
    assert outcome.call["end_reason"] == "remote-bye"
    assert_heard("L16", said, phone.heard, seconds=0.5)
    assert_bye(phone, from_phone=True)


def test_its_rtcp_on_a_port_of_its_own_tells_what_it_lost_and_the_round_trip(tmp_path: Path) -> None:
    with (
        baresip(tmp_path, "PCMU/8000/1") as phone,
        sender(tmp_path, phone.target, "--codec", "pcmu", "--duration", "7s") as near,
    ):
        sent = near.finish()
        phone.finish_quietly()
    assert sent.call["remote"]["cumulative_lost"] == 0
    assert sent.call["timing"]["rtt_ms"] < 50
    assert sent.call["rtcp"]["received"] >= 2
