"""From what play-out says to sound of the sink's format: decode or conceal -> time-scale -> convert."""

from __future__ import annotations

import numpy as np

from voip.audio.convert import Converter
from voip.codecs import Decoder
from voip.dsp import ComfortNoise, Pcm, TimeScaler, level_dbfs, to_int16
from voip.errors import ProtocolError
from voip.jitter import Gap, GapReason, Playout, Stretch
from voip.media import NegotiatedMedia
from voip.rtp import RtpPacket

COMFORT_RISE = 0.020
"""Seconds in which what was heard last fades into comfort noise."""


class Renderer:
    """The sound of one stream of one codec. It tells `playout` how long each packet is, and what was stretched."""

    def __init__(self, media: NegotiatedMedia, playout: Playout, sound_format: tuple[int, int]) -> None:
        """`sound_format`: sample rate and channels of what is returned. VoipError if that needs what is missing."""
        codec = media.audio.codec
        self._playout = playout
        self._decoder: Decoder = codec.decoder()
        self._decoders: dict[int, Decoder] = {media.arriving_payload_type: self._decoder}
        self._ticks_per_sample = codec.clock_rate / codec.sample_rate
        self._rate = codec.sample_rate
        self._scaler = TimeScaler(codec.channels, codec.sample_rate)
        self._comfort, self._comforted = ComfortNoise(codec.channels, codec.sample_rate), 0
        self._nothing: Pcm = np.zeros((0, sound_format[1]), np.int16)
        self.converter = Converter((codec.sample_rate, codec.channels), sound_format)
        """Whose ratio follows the sender's clock."""

    def accept(self, payload_type: int) -> None:
        """From now on the codec's packets may have this number, too."""
        self._decoders.setdefault(payload_type, self._decoder)

    def accepts(self, payload_type: int) -> bool:
        """Whether packets of that number are sound of this codec."""
        return payload_type in self._decoders

    def render(self, item: RtpPacket | Gap, stretch: Stretch) -> Pcm:
        """The sound of a packet, or what stands in for one; possibly none, or less than it lasts."""
        return self._fill(item, stretch) if isinstance(item, Gap) else self._play(item, stretch)

    def flush(self) -> Pcm:
        """What the converter has held back, at the end of the stream."""
        return self.converter.flush()

    def _fill(self, gap: Gap, stretch: Stretch) -> Pcm:
        samples = round(gap.samples / self._ticks_per_sample)
        if gap.reason is GapReason.JOIN:
            self._scaler.join()
            return self._nothing
        if gap.reason is GapReason.WAIT:
            return self.converter.process(self._scaler.extend(samples))
        if gap.comfort is not None:
            return self._scaled(self._comfort_sound(gap.comfort.payload, samples), stretch)
        following = gap.next_packet.payload if gap.next_packet is not None else None
        return self._scaled(self._decoder.conceal(samples, following), stretch)

    def _comfort_sound(self, payload: bytes, samples: int) -> Pcm:
        """The silence of which the sender has told how it sounds; the decoder goes on below it, to be joined again."""
        where = np.arange(self._comforted, self._comforted + samples)
        self._comforted += samples
        rise = np.clip(where / np.float32(COMFORT_RISE * self._rate), 0.0, 1.0).astype(np.float32)[:, None]
        return to_int16(
            self._decoder.conceal(samples, None) * (1 - rise) + self._comfort.sound(payload, samples) * rise
        )

    def _play(self, packet: RtpPacket, stretch: Stretch) -> Pcm:
        playout = self._playout
        try:
            pcm = self._decoders[packet.payload_type].decode(packet.payload)
        except (ProtocolError, KeyError):
            pcm = self._decoder.conceal(round(playout.step / self._ticks_per_sample), None)
            playout.advance(playout.step, played=False)
        else:
            if not len(pcm):  # the beginning of a frame that goes on in the next packet
                return self._nothing
            self._comforted = 0
            playout.advance(round(len(pcm) * self._ticks_per_sample))
        return self._scaled(pcm, stretch)

    def _scaled(self, pcm: Pcm, stretch: Stretch) -> Pcm:
        """Sound of the stream, as long as play-out would like it to be, in the sink's format."""
        change = round(stretch.seconds * self._rate)
        if change and stretch.only_in_pauses and level_dbfs(pcm) > TimeScaler.QUIET:
            change = 0
        scaled = self._scaler.process(pcm, change, urgent=stretch.urgent)
        if len(scaled) != len(pcm):
            self._playout.stretched((len(scaled) - len(pcm)) / self._rate)
        return self.converter.process(scaled)
