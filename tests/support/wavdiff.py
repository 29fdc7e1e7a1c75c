"""How much of one WAV arrived in another: python -m tests.support.wavdiff SENT.wav HEARD.wav

The two have the same rate. HEARD is aligned on SENT by cross-correlation of their mono mixes; what SENT has and HEARD
does not reach to, and digital silence at the end of HEARD, counts as not compared. Signal to noise is over what is
compared, at the level that fits best.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.wav import Samples, load

Wave = NDArray[np.float64]

_FRAME = 0.02  # seconds in which sound and silence are told apart
_SOUND = 10 ** (-50 / 20) * 32768  # root mean square above which a frame of the sent one is sound
_SILENCE = 10 ** (-60 / 20) * 32768  # below which a frame of the heard one is a hole
_HEARD_RATIO = 4.0  # 12 dB: a frame whose level is farther off was not heard


@dataclass(frozen=True)
class Difference:
    lag: float  # seconds into the heard one at which the sent one begins; negative: its beginning is missing
    compared: float  # seconds
    sent: float  # seconds
    wrong: int  # samples compared that are not the same number
    snr: float  # dB; infinite when the waves are the same
    gain: float
    heard: float  # share of the sent one's sounding frames, all of it, whose level arrived
    holes: int  # sounding frames compared that are silent in the heard one

    @property
    def exact(self) -> bool:
        return self.wrong == 0


def compare(sent: Samples, heard: Samples, rate: int) -> Difference:
    """Align and compare; both (samples, channels), channels are averaged where their number differs."""
    if sent.shape[1] != heard.shape[1]:
        sent, heard = (np.rint(each.mean(axis=1, keepdims=True)).astype(np.int16) for each in (sent, heard))
    sounding_samples = np.flatnonzero(heard.any(axis=1))
    heard = heard[: sounding_samples[-1] + 1 if len(sounding_samples) else 0]
    lag = _lag(sent.mean(axis=1), heard.mean(axis=1))
    a, b = sent[max(0, -lag) :], heard[max(0, lag) :]
    length = min(len(a), len(b))
    a, b = a[:length], b[:length]
    frame = round(_FRAME * rate)
    sent_level, heard_level = _levels(a, frame), _levels(b, frame)
    sounding = sent_level > _SOUND
    close = (heard_level < sent_level * _HEARD_RATIO) & (heard_level > sent_level / _HEARD_RATIO)
    x, y = a.astype(np.float64), b.astype(np.float64)
    energy = float((x * x).sum())
    gain = float((x * y).sum()) / energy if energy else 0.0
    noise = float(((y - gain * x) ** 2).sum())
    all_sounding = int((_levels(sent, frame) > _SOUND).sum())
    return Difference(
        lag=lag / rate,
        compared=length / rate,
        sent=len(sent) / rate,
        wrong=int((a != b).sum()),
        snr=float(10 * np.log10(gain * gain * energy / noise)) if noise and energy else float("inf"),
        gain=gain,
        heard=float((close & sounding).sum() / max(1, all_sounding)),
        holes=int((heard_level[sounding] < _SILENCE).sum()),
    )


def compare_files(sent: Path, heard: Path) -> Difference:
    """`compare` of two files of the same rate."""
    (a, rate), (b, other) = load(sent), load(heard)
    assert rate == other, f"{sent} has {rate} Hz, {heard} has {other}"
    return compare(a, b, rate)


def _lag(sent: Wave, heard: Wave) -> int:
    size = 1 << (len(sent) + len(heard)).bit_length()
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sent, size))
    best = int(np.argmax(np.fft.irfft(product, size)))
    return best - size if best > size // 2 else best


def _levels(samples: Samples, frame: int) -> Wave:
    whole = len(samples) // frame
    blocks = samples[: whole * frame].astype(np.float64).reshape(whole, frame * samples.shape[1])
    levels: Wave = np.sqrt((blocks * blocks).mean(axis=1))
    return levels


if __name__ == "__main__":
    difference = compare_files(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(json.dumps(asdict(difference)) + "\n")
