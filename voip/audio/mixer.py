"""Many streams to one sound: a sum of floats, each as loud as the user wants it, kept within full scale.

What a single stream brings is heard sample by sample. Where others are heard already, one that joins or leaves fades:
its first and last samples would be a step, which is a click.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from voip.audio.levels import measure
from voip.audio.receiver import SNAPSHOT_INTERVAL, AudioReceiver
from voip.audio.speaking import ActiveSpeaker
from voip.dsp import Floats, Limiter, Pcm, add, ramp
from voip.media import NegotiatedMedia
from voip.rtp import RtpPacket
from voip.stats import InMix, ReceiverStats

FADE = 0.005
"""Seconds in which a stream that joins others, or leaves them, rises or falls."""
GAIN_LIMIT = 30.0
"""dB by which a stream can be made louder or softer."""


@dataclass(frozen=True)
class Mixture:
    """A block of all streams: as they came (`streams`), as loud as each is heard (`parts`), and the ends of streams
    that have left (`rest`). Not to be written to."""

    samples: int
    channels: int
    streams: Mapping[str, Pcm]
    parts: Mapping[str, Pcm | Floats]
    rest: tuple[Floats, ...] = ()

    @cached_property
    def total(self) -> Floats:
        """The sum of it all, without a limit."""
        return add((*self.parts.values(), *self.rest), self.samples, self.channels)


class Mixer:
    """Many receivers to one sound of their common format.

    `stats` and `in_mix` (how each is heard among the others) are replaced whole, about ten times a second.
    """

    def __init__(self) -> None:
        self.stats: dict[str, ReceiverStats] = {}
        self.in_mix: dict[str, InMix] = {}
        self._inputs: dict[str, _Input] = {}
        self._finishing: dict[str, Callable[[ReceiverStats], object]] = {}
        self._published_at = float("-inf")
        self._without_packets: set[str] = set()
        self._active = ActiveSpeaker()
        self._limiter: Limiter | None = None
        self._rest: list[Floats] = []

    @property
    def streams(self) -> int:
        """How many are being played."""
        return len(self._inputs)

    @property
    def idle(self) -> bool:
        """No stream is being played."""
        return not self._inputs

    @property
    def waiting(self) -> bool:
        """No stream that is being played has had a packet: what is read is the silence of a call without sound."""
        return self._inputs.keys() <= self._without_packets

    def has_begun(self, key: str) -> bool:
        """Whether a packet of this stream has come."""
        return key in self._inputs and key not in self._without_packets

    @property
    def limited(self) -> int:
        """Samples that were made softer, since the sum would have been above full scale. Any thread may ask."""
        return 0 if self._limiter is None else self._limiter.limited

    def add(self, key: str, receiver: AudioReceiver) -> None:
        """A stream joins."""
        self._inputs[key] = _Input(receiver)
        self._without_packets.add(key)
        if self._limiter is None:
            self._limiter = Limiter(receiver.format[0])
        self._publish()

    def put(self, key: str, packet: RtpPacket, arrival: float) -> None:
        """A packet of a stream; unknown ones are ignored: their call may just have ended."""
        if key in self._inputs:
            self._without_packets.discard(key)
            self._inputs[key].receiver.put(packet, arrival)

    def update(self, key: str, media: NegotiatedMedia) -> None:
        """A stream was negotiated anew; unknown ones are ignored."""
        if key in self._inputs:
            self._inputs[key].receiver.update(media)

    def adjust(self, key: str, *, gain_db: float = 0.0, muted: bool = False) -> None:
        """How loud a stream is to be, within GAIN_LIMIT, and whether it is left out; unknown ones are ignored."""
        if key in self._inputs:
            self._inputs[key].adjust(max(-GAIN_LIMIT, min(GAIN_LIMIT, gain_db)), muted)
            self._publish()

    def finish(self, key: str, played_out: Callable[[ReceiverStats], object]) -> None:
        """No more packets come: the stream is played to its end, removed, and its last figures handed out."""
        if key in self._inputs:
            self._finishing[key] = played_out
        else:
            played_out(self.stats.get(key, ReceiverStats()))

    def remove(self, key: str) -> None:
        """A stream leaves at once."""
        removed = self._inputs.pop(key, None)
        if removed is not None and self._inputs:
            self._rest.append(removed.fall(removed.last))
        self._finishing.pop(key, None)
        self._without_packets.discard(key)
        self._publish()

    def read(self, samples: int, now: float) -> Pcm:
        """The next `samples` of all streams together; ValueError if there are none."""
        return self.limit(self.take(samples, now))

    def take(self, samples: int, now: float) -> Mixture:
        """The next `samples` of all streams, each by itself; ValueError if there are none."""
        if not self._inputs:
            raise ValueError("nothing to mix")
        for key in self._finishing:
            self._inputs[key].receiver.finish(now)
        heard = sum(stream.is_heard for stream in self._inputs.values())
        streams = {key: stream.receiver.take(samples, now) for key, stream in self._inputs.items()}
        for stream, measured in zip(self._inputs.values(), measure([*streams.values()]), strict=True):
            stream.receiver.note_level(measured)
        parts = {
            key: stream.shape(streams[key], among_others=heard > stream.is_heard)
            for key, stream in self._inputs.items()
        }
        rest = [piece[:samples] for piece in self._rest]
        self._rest = [piece[samples:] for piece in self._rest if len(piece) > samples]
        if self._finishing:
            rest += self._hand_out(parts, samples)
        if now - self._published_at >= SNAPSHOT_INTERVAL:
            self._published_at = now
            self._look()
            self._publish()
        channels = next(iter(streams.values())).shape[1]
        return Mixture(samples, channels, streams, parts, tuple(_filled(piece, samples) for piece in rest))

    def limit(self, mixture: Mixture) -> Pcm:
        """What was taken, as one sound within full scale."""
        limiter = self._limiter
        assert limiter is not None
        parts = [*mixture.parts.values()]
        if len(parts) == 1 and parts[0].dtype == np.int16 and not mixture.rest and limiter.gain == 1.0:
            return np.asarray(parts[0], np.int16)
        return limiter.process(mixture.total)

    def note_unheard(self, seconds: float) -> None:
        """What was read last, so many seconds, was not heard: the device is gone."""
        for stream in self._inputs.values():
            stream.receiver.note_unheard(seconds)

    def _hand_out(self, parts: dict[str, Pcm | Floats], samples: int) -> list[Floats]:
        """Streams that have come to their end leave; how they fade, from this block on, among those that stay."""
        ends: list[Floats] = []
        for key in [key for key in self._finishing if self._inputs[key].receiver.drained]:
            played_out = self._finishing.pop(key)
            stream = self._inputs.pop(key)
            self._without_packets.discard(key)
            if self._inputs:
                start, last = stream.end(parts[key])
                falling = stream.fall(last)
                ends.append(np.concatenate((np.zeros((start, len(last)), np.float32), falling[: samples - start])))
                if len(falling) > samples - start:
                    self._rest.append(falling[samples - start :])
            self._publish()  # first: whoever is told must not find older figures here
            played_out(replace(stream.receiver.snapshot(), in_mix=self._in_mix(key, stream)))
        return ends

    def _look(self) -> None:
        levels = {key: stream.receiver.stats.levels for key, stream in self._inputs.items()}
        self._active.look(levels, frozenset(key for key, stream in self._inputs.items() if stream.muted))

    def _publish(self) -> None:
        self.stats = {key: stream.receiver.stats for key, stream in self._inputs.items()}
        self.in_mix = {key: self._in_mix(key, stream) for key, stream in self._inputs.items()}

    def _in_mix(self, key: str, stream: _Input) -> InMix:
        return InMix(stream.gain_db, stream.muted, self._active.level(key), self._active.speaker == key)


class _Input:
    """One stream of the mix: its receiver, how loud it is made, and how it begins and ends."""

    def __init__(self, receiver: AudioReceiver) -> None:
        self.receiver = receiver
        self.gain_db, self.muted = 0.0, False
        self.is_heard = False
        """Sound of it has been read."""
        self._rise = ramp(max(1, round(FADE * receiver.format[0])))
        self._to_rise = 0  # samples of it that are left
        self._factor = self._wanted = 1.0
        self._newest: Pcm | Floats = np.zeros((1, receiver.format[1]), np.float32)
        self._before: Pcm | Floats = self._newest  # the block before that

    def adjust(self, gain_db: float, muted: bool) -> None:
        """From the next block on, which leads over to it."""
        self.gain_db, self.muted = gain_db, muted
        self._wanted = 0.0 if muted else 10.0 ** (gain_db / 20.0)

    def shape(self, block: Pcm, *, among_others: bool) -> Pcm | Floats:
        """A block as it is to be heard; unchanged unless it fades or has a gain."""
        shaped: Pcm | Floats = block
        start = 0
        if not self.is_heard and block.any():
            self.is_heard = True
            start = int(np.argmax(block.any(axis=1)))
            self._to_rise = len(self._rise) if among_others else 0
        if self._to_rise:
            shaped = self._risen(block, start)
        if self._wanted != self._factor:
            factors = np.linspace(self._factor, self._wanted, len(block) + 1, dtype=np.float32)[1:, None]
            self._factor = self._wanted
            shaped = shaped * factors
        elif self._factor != 1.0:
            shaped = shaped * np.float32(self._factor)
        self._before, self._newest = self._newest, shaped
        return shaped

    def end(self, block: Pcm | Floats) -> tuple[int, Floats]:
        """Where in its last block the sound of the stream is over, and the sample before that."""
        sounding = np.flatnonzero(block.any(axis=1))
        start = int(sounding[-1]) + 1 if len(sounding) else 0
        last = block[start - 1] if start else self._before[-1]
        return start, np.asarray(last, np.float32)

    @property
    def last(self) -> Floats:
        """The last sample that was read."""
        return np.asarray(self._newest[-1], np.float32)

    def fall(self, last: Floats) -> Floats:
        """How a sound that has broken off at this sample comes to silence."""
        return np.asarray(last[None, :] * self._rise[::-1], np.float32)

    def _risen(self, block: Pcm, start: int) -> Floats:
        risen = block.astype(np.float32)
        done = len(self._rise) - self._to_rise
        length = min(self._to_rise, len(block) - start)
        risen[start : start + length] *= self._rise[done : done + length]
        self._to_rise -= length
        return risen


def _filled(piece: Floats, samples: int) -> Floats:
    """So many samples of it, silent after its end."""
    if len(piece) == samples:
        return piece
    return np.concatenate((piece, np.zeros((samples - len(piece), piece.shape[1]), np.float32)))
