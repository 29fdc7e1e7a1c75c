"""Sound through both scripts as real processes over loopback: files and pipes in and out, to the last sample.

The calls run side by side, each in the time that its sound takes; the tests then look at what came out of them. The
play-out delay is long here, so that a busy machine does not lose what is late.
"""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.support.processes import Outcome, Program, receiver, sender, until
from tests.support.sound import sine, speechlike
from tests.support.wav import Samples, load, save
from tests.support.wavdiff import compare

pytestmark = pytest.mark.process

SECONDS = 5.0
ODD = 137  # samples beyond whole blocks and packets
PATIENT = ("--latency", "400ms")
G711_SNR = 37.0  # dB: ITU-T G.711 keeps this over the levels of speech
TONE_HZ, TONE_TOLERANCE = 440.0, 1.0
PIPED = ("bash", "-c", 'set -o pipefail; "$@" | cat', "bash")
LAST = 12345  # of every channel: the end is cut if it is not there


@dataclass(frozen=True)
class Case:
    """One call: what is said, in which format and by which codec; `pipes`: raw, by stdin and stdout."""

    rate: int
    channels: int = 1
    codec: str = "l16"
    pipes: bool = False
    heard_as: tuple[int, int] | None = None  # raw output of another format

    @property
    def said(self) -> Samples:
        if self.heard_as is not None:
            return sine(self.rate, SECONDS, TONE_HZ, self.channels, peak=8000)
        sound = speechlike(self.rate, SECONDS + ODD / self.rate, self.channels)
        sound[-1] = LAST
        return sound

    @property
    def raw_output(self) -> bool:
        return self.pipes or self.heard_as is not None

    @property
    def heard_format(self) -> tuple[int, int]:
        return self.heard_as or (self.rate, self.channels)


CASES = {
    "L16 mono 48 kHz": Case(48000),
    "L16 mono 44.1 kHz": Case(44100),
    "L16 stereo 16 kHz": Case(16000, 2),
    "PCMU": Case(8000, codec="pcmu"),
    "PCMA": Case(8000, codec="pcma"),
    "pipes, mono 48 kHz": Case(48000, pipes=True),
    "pipes, stereo 44.1 kHz": Case(44100, 2, pipes=True),
    "44.1 kHz mono heard as 48 kHz stereo": Case(44100, heard_as=(48000, 2)),
    "48 kHz stereo heard as 44.1 kHz mono": Case(48000, 2, heard_as=(44100, 1)),
    "16 kHz mono heard as 48 kHz mono": Case(16000, heard_as=(48000, 1)),
    "48 kHz mono heard as 16 kHz mono": Case(48000, heard_as=(16000, 1)),
}
EXACT = [name for name, case in CASES.items() if case.codec == "l16" and case.heard_as is None]
CONVERTED = [name for name, case in CASES.items() if case.heard_as is not None]


@dataclass(frozen=True)
class Heard:
    case: Case
    sound: Samples
    rate: int
    near: Outcome
    far: Outcome


@contextlib.contextmanager
def programs(folder: Path, case: Case) -> Iterator[tuple[Program, Program]]:
    """Sender and receiver of one call."""
    said = case.said
    save(folder / "said.wav", said, case.rate)
    rate, channels = case.heard_format
    output = ("--output", "-", "--format", f"{rate}/{channels}") if case.raw_output else ("--output", "heard.wav")
    through = PIPED if case.pipes else ()
    with contextlib.ExitStack() as stack:
        far = stack.enter_context(receiver(folder, "--once", *PATIENT, *output, through=through))
        options: tuple[str, ...] = ("--codec", case.codec)
        if case.pipes:
            (folder / "said.raw").write_bytes(said.astype("<i2").tobytes())
            cat = stack.enter_context(subprocess.Popen(["cat", "said.raw"], cwd=folder, stdout=subprocess.PIPE))
            options += ("--input", "-", "--format", f"{case.rate}/{case.channels}")
            near = stack.enter_context(sender(folder, far.target, *options, stdin=cat.stdout or subprocess.DEVNULL))
        else:
            near = stack.enter_context(sender(folder, far.target, "--input", "said.wav", *options))
        yield near, far


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Heard]:
    """What came of every case."""
    results = {}
    with contextlib.ExitStack() as stack:
        running = {}
        for number, (name, case) in enumerate(CASES.items()):
            folder = tmp_path_factory.mktemp(f"call{number}")
            running[name] = folder, stack.enter_context(programs(folder, case))
        for name, (folder, (near, far)) in running.items():
            case, sent, heard = CASES[name], near.finish(), far.finish()
            if case.raw_output:
                rate, channels = case.heard_format
                sound = np.frombuffer(heard.stdout, "<i2").astype(np.int16).reshape(-1, channels)
            else:
                sound, rate = load(folder / "heard.wav")
            results[name] = Heard(case, sound, rate, sent, heard)
    return results


def in_time(heard: Heard) -> None:
    """The call went well, and the machine was never so late that sound was lost by it."""
    assert heard.near.status == heard.far.status == 0, heard.near.stderr + heard.far.stderr
    rx = heard.far.call["rx"]
    assert (rx["lost"], rx["late"]) == (0, 0)
    assert rx["received"] == heard.near.call["tx"]["packets"]
    assert heard.far.call["heard"]["concealed"] == 0


@pytest.mark.parametrize("name", EXACT)
def test_linear_sound_arrives_bit_for_bit_from_its_first_to_its_last_sample(calls: dict[str, Heard], name: str) -> None:
    heard = calls[name]
    in_time(heard)
    said = heard.case.said
    assert (heard.rate, heard.sound.shape[1]) == heard.case.heard_format
    begin = round(compare(said, heard.sound, heard.rate).lag * heard.rate)
    assert begin >= 0
    assert np.array_equal(heard.sound[begin : begin + len(said)], said)
    assert not heard.sound[:begin].any()  # silence before, while the first packets waited
    assert not heard.sound[begin + len(said) :].any()
    assert len(heard.sound) - begin - len(said) < heard.rate  # and little after


@pytest.mark.parametrize("name", ["PCMU", "PCMA"])
def test_companded_sound_keeps_37_db(calls: dict[str, Heard], name: str) -> None:
    heard = calls[name]
    in_time(heard)
    difference = compare(heard.case.said, heard.sound, heard.rate)
    assert difference.snr >= G711_SNR
    assert difference.compared == pytest.approx(difference.sent)
    assert difference.holes == 0


@pytest.mark.parametrize("name", CONVERTED)
def test_a_tone_keeps_its_pitch_when_rate_and_channels_are_converted(calls: dict[str, Heard], name: str) -> None:
    heard = calls[name]
    in_time(heard)
    sounding = np.flatnonzero(np.abs(heard.sound).max(axis=1) > 100)
    length = (sounding[-1] - sounding[0]) / heard.rate
    assert length == pytest.approx(SECONDS, abs=0.01)
    middle = heard.sound[sounding[0] + heard.rate // 2 : sounding[-1] - heard.rate // 2]
    for channel in middle.T:
        assert abs(pitch(channel, heard.rate) - TONE_HZ) <= TONE_TOLERANCE


def pitch(wave: Samples, rate: int) -> float:
    """The strongest frequency, in Hz, between the bins of the spectrum."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    peak = int(np.argmax(spectrum[:-1]))
    left, top, right = np.log(spectrum[peak - 1 : peak + 2])
    offset = (left - right) / (2 * (left - 2 * top + right))
    return float((peak + offset) * rate / len(wave))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_receiver_that_is_stopped_leaves_a_wav_that_plays(tmp_path: Path, number: signal.Signals) -> None:
    with receiver(tmp_path, "--output", "heard.wav") as far, sender(tmp_path, far.target, "--input", "demo") as near:
        heard = tmp_path / "heard.wav"
        until(lambda: heard.exists() and heard.stat().st_size > 3 * 48000 * 2, "three seconds are written")
        far.send_signal(number)
        far.finish()
        near.send_signal(signal.SIGINT)
        near.finish()
    sound, rate = load(tmp_path / "heard.wav")
    assert rate == 48000
    assert len(sound) >= 2 * rate  # the header is brought up to date every second
    size = (tmp_path / "heard.wav").stat().st_size
    assert size >= 44 + 2 * len(sound)
    if number == signal.SIGINT:
        assert size == 44 + 2 * len(sound)


def test_the_reader_of_raw_sound_may_leave_and_that_ends_the_receiver_with_3(tmp_path: Path) -> None:
    head = ("bash", "-c", '"$@" | head -c 100000 >/dev/null; exit "$PIPESTATUS"', "bash")
    with receiver(tmp_path, "--output", "-", through=head) as far, sender(tmp_path, far.target) as near:
        heard, sent = far.finish(), near.finish()
    assert (heard.status, sent.status) == (3, 0)
    assert "Traceback" not in heard.stderr
    assert heard.stderr.splitlines()[-1].startswith("receiver.py: cannot write to stdout")
    assert sent.call["end_reason"] == "remote-bye"
