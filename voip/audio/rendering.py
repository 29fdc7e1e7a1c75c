"""From what play-out says to sound of the sink's format: decode or conceal -> time-scale -> convert.

A peer may send any of the formats that were agreed on, and another one with any packet (RFC 3264 section 5.1). Each has
a `_Voice` of its own; what the last one would have gone on with is cross-faded into what the next one begins with.
"""

from __future__ import annotations

import numpy as np

from voip.audio.convert import Converter
from voip.codecs import Codec, Decoder
from voip.dsp import ComfortNoise, Pcm, TimeScaler, level_dbfs, to_int16
from voip.errors import ProtocolError
from voip.jitter import Gap, GapReason, Playout, Stretch
from voip.media import NegotiatedMedia
from voip.rtp import RtpPacket

COMFORT_RISE = 0.020
"""Seconds in which what was heard last fades into comfort noise."""
CODEC_FADE = 0.010
"""Seconds in which one codec's sound fades into that of the next: both have the same sound, but each its own delay."""


class _Voice:
    """What makes sound of the packets of one codec, from the first to the last of them in a row."""

    def __init__(self, codec: Codec, sound_format: tuple[int, int]) -> None:
        self.coded_as = codec
        self.decoder: Decoder = codec.decoder()
        self.ticks_per_sample = codec.clock_rate / codec.sample_rate
        self.rate = codec.sample_rate
        self.scaler = TimeScaler(codec.channels, codec.sample_rate)
        self.converter = Converter((codec.sample_rate, codec.channels), sound_format)
        self._comfort, self._comforted = ComfortNoise(codec.channels, codec.sample_rate), 0
        self._sink_rate = sound_format[0]

    def decode(self, payload: bytes) -> Pcm:
        """The sound of a packet; ProtocolError."""
        pcm = self.decoder.decode(payload)
        if len(pcm):
            self._comforted = 0
        return pcm

    def comfort(self, payload: bytes, samples: int) -> Pcm:
        """The silence of which the sender has told how it sounds; the decoder goes on below it, to be joined again."""
        where = np.arange(self._comforted, self._comforted + samples)
        self._comforted += samples
        rise = np.clip(where / np.float32(COMFORT_RISE * self.rate), 0.0, 1.0).astype(np.float32)[:, None]
        return to_int16(self.decoder.conceal(samples, None) * (1 - rise) + self._comfort.sound(payload, samples) * rise)

    def leave(self) -> tuple[Pcm, Pcm]:
        """The end: what the converter has held back, and how the sound would have gone on, for CODEC_FADE."""
        going_on = self.scaler.process(self.decoder.conceal(round(CODEC_FADE * self.rate), None), 0)
        rest = np.concatenate((self.converter.process(going_on), self.converter.flush()))
        held = max(0, len(rest) - round(CODEC_FADE * self._sink_rate))
        return rest[:held], rest[held:]


class _Joint:
    """Cross-fades what would have followed into what comes, block by block."""

    def __init__(self, channels: int) -> None:
        self._fading: Pcm = np.zeros((0, channels), np.int16)
        self._length = 1

    def begin(self, fading: Pcm) -> None:
        """This would have followed."""
        self._fading, self._length = fading, max(1, len(fading))

    def process(self, pcm: Pcm) -> Pcm:
        """What comes, joined."""
        length = min(len(self._fading), len(pcm))
        if not length:
            return pcm
        done = self._length - len(self._fading)
        rise = ((np.arange(done, done + length) + 0.5) / self._length).astype(np.float32)[:, None]
        joined = to_int16(self._fading[:length] * (1 - rise) + pcm[:length] * rise)
        self._fading = self._fading[length:]
        return np.concatenate((joined, pcm[length:]))


class Renderer:
    """The sound of one stream, of codecs of one clock rate: tells `playout` how long packets are, what was stretched.

    VoipError where a codec needs what is missing.
    """

    def __init__(self, media: NegotiatedMedia, playout: Playout, sound_format: tuple[int, int]) -> None:
        """`sound_format`: sample rate and channels of what is returned."""
        self._playout, self._format = playout, sound_format
        self._codecs: dict[int, Codec] = {}
        self._voice = _Voice(media.audio.codec, sound_format)
        self._joint = _Joint(sound_format[1])
        self._nothing: Pcm = np.zeros((0, sound_format[1]), np.int16)
        self.accept(media)

    @property
    def converter(self) -> Converter:
        """Whose ratio follows the sender's clock."""
        return self._voice.converter

    def accept(self, media: NegotiatedMedia) -> None:
        """From now on packets may have these numbers, too."""
        for number, codec in media.arriving_formats.items():
            if codec.clock_rate == media.clock_rate:
                self._codecs[number] = codec

    def accepts(self, payload_type: int) -> bool:
        """Whether packets of that number are sound of this stream's clock rate."""
        return payload_type in self._codecs

    def render(self, item: RtpPacket | Gap, stretch: Stretch) -> Pcm:
        """The sound of a packet, or what stands in for one; possibly none, or less than it lasts."""
        if isinstance(item, Gap):
            return self._joint.process(self._fill(item, stretch))
        return self._play(item, stretch)

    def flush(self) -> Pcm:
        """What the converter has held back, at the end of the stream."""
        return self._joint.process(self.converter.flush())

    def leave(self) -> Pcm:
        """What is left, faded out: sound of another clock rate follows."""
        held, going_on = self._voice.leave()
        out = _Joint(self._format[1])
        out.begin(going_on)
        return np.concatenate((self._joint.process(held), out.process(np.zeros_like(going_on))))

    def rise(self) -> None:
        """What comes first fades in."""
        self._joint.begin(np.zeros((round(CODEC_FADE * self._format[0]), self._format[1]), np.int16))

    def _fill(self, gap: Gap, stretch: Stretch) -> Pcm:
        voice = self._voice
        samples = round(gap.samples / voice.ticks_per_sample)
        if gap.reason is GapReason.JOIN:
            voice.scaler.join()
            return self._nothing
        if gap.reason is GapReason.WAIT:
            return voice.converter.process(voice.scaler.extend(samples))
        if gap.comfort is not None:
            return self._scaled(voice.comfort(gap.comfort.payload, samples), stretch)
        following = gap.next_packet
        same = following is not None and self._codecs.get(following.payload_type) == voice.coded_as
        return self._scaled(voice.decoder.conceal(samples, following.payload if following and same else None), stretch)

    def _play(self, packet: RtpPacket, stretch: Stretch) -> Pcm:
        playout, codec = self._playout, self._codecs.get(packet.payload_type)
        before = self._nothing
        try:
            if codec is None:
                raise ProtocolError("a payload type without a codec")
            if codec is self._voice.coded_as or codec == self._voice.coded_as:
                pcm = self._voice.decode(packet.payload)
            else:
                before, pcm = self._change(codec, packet.payload)
        except ProtocolError:
            pcm = self._voice.decoder.conceal(round(playout.step / self._voice.ticks_per_sample), None)
            playout.advance(playout.step, played=False)
        else:
            if not len(pcm):  # the beginning of a frame that goes on in the next packet
                return before
            playout.advance(round(len(pcm) * self._voice.ticks_per_sample))
        scaled = self._joint.process(self._scaled(pcm, stretch))
        return np.concatenate((before, scaled)) if len(before) else scaled

    def _change(self, codec: Codec, payload: bytes) -> tuple[Pcm, Pcm]:
        """From this packet on it is another codec: what the one before has left, and the sound of the packet."""
        voice = _Voice(codec, self._format)
        pcm = voice.decode(payload)
        held, going_on = self._voice.leave()
        if self._voice.converter.ratio != 1.0:
            voice.converter.set_ratio(self._voice.converter.ratio)
        self._voice = voice
        before = self._joint.process(held)
        self._joint.begin(going_on)
        return before, pcm

    def _scaled(self, pcm: Pcm, stretch: Stretch) -> Pcm:
        """Sound of the stream, as long as play-out would like it to be, in the sink's format."""
        voice = self._voice
        change = round(stretch.seconds * voice.rate)
        if change and stretch.only_in_pauses and level_dbfs(pcm) > TimeScaler.QUIET:
            change = 0
        scaled = voice.scaler.process(pcm, change, urgent=stretch.urgent)
        if len(scaled) != len(pcm):
            self._playout.stretched((len(scaled) - len(pcm)) / voice.rate)
        return voice.converter.process(scaled)
