"""Sound as arrays: sample-rate conversion, channel layout, concealment, tempo, level, mixing. Arrays in, arrays out.

Sound is an int16 array of shape (samples, channels) everywhere in this package.

pcm         Pcm: the type, its level, channel layout, mixing
resample    Resampler: from one sample rate to another
polyphase   the short filter that does it where the rates are in a ratio of small whole numbers
pitch       the period of a sound
conceal     Concealer: what fills a gap
background  the noise into which that fades
comfort     ComfortNoise: the noise that a sender describes
noise       white noise, of which both are made
limiter     Limiter: a sum of sounds within full scale
timescale   TimeScaler: longer and shorter without another pitch
"""

from voip.dsp.comfort import ComfortNoise
from voip.dsp.conceal import Concealer
from voip.dsp.limiter import Limiter
from voip.dsp.pcm import FULL_SCALE, SILENCE_DBFS, Floats, Pcm, add, level_dbfs, ramp, to_channels, to_int16
from voip.dsp.resample import Resampler
from voip.dsp.timescale import TimeScaler

__all__ = [
    "FULL_SCALE",
    "SILENCE_DBFS",
    "ComfortNoise",
    "Concealer",
    "Floats",
    "Limiter",
    "Pcm",
    "Resampler",
    "TimeScaler",
    "add",
    "level_dbfs",
    "ramp",
    "to_channels",
    "to_int16",
]
