"""One sound for streams to many peers: converted, cut into frames and encoded once for all that would get the same.

Streams share an encoder while codec, parameters, packet time, bit rate and in-band FEC are equal. One that is to have
others (its peer reports losses, its path is full) moves to the encoder that has them, or to a copy of its own in the
same state, always between two packets; one whose packets become longer or shorter takes along what has been collected
for the next. With a copy nothing is heard of it. With the encoder of others the first packet is predicted from none
before it, for the peer's decoder has not had those: what it makes of the packets is off by -27 dB, then by less than
-45 dB; without that by -19, -25, -29 and -42 dB (`python -m tools.measure_joining`).

What is added to the sound (RTP header, FEC, SRTP) is of each stream alone: see `AudioSender`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from voip.audio.convert import Converter
from voip.audio.framer import Framer
from voip.codecs import Codec, Encoder
from voip.dsp import Pcm

PERCENT = 100
"""Expected losses that are the same in whole percents are the same to an encoder."""
LOOKS = 4
"""Packets after a change for which a stream that is encoded alone looks for others that get the same. If their packets
begin together at all, they do from the first or the second one on."""


def samples_of(encoder: Encoder, ptime: float) -> int:
    """In a packet of so many seconds."""
    return max(1, round(ptime * encoder.sample_rate))


class Setting(NamedTuple):
    """What may change about an encoder between two packets: percent of packets expected lost, in-band FEC, bit/s."""

    loss: int = 0
    in_band_fec: bool = False
    bitrate: int | None = None


class _SharedEncoder:
    """An encoder, its setting, how many streams use it, and what it has made of the frames of this block."""

    def __init__(self, native: Encoder, setting: Setting, *, encoded: int = 0) -> None:
        """`encoded`: frames so far, of a copy those of the original included."""
        self.native, self.setting, self.encoded, self.users = native, setting, encoded, 0
        self._payloads: list[tuple[Pcm, bytes]] = []

    def encode(self, frame: Pcm) -> bytes:
        """The payload of a frame: encoded when the first stream asks for it."""
        for known, payload in self._payloads:
            if known is frame:
                return payload
        payload = self.native.encode(frame)
        self._payloads.append((frame, payload))
        self.encoded += 1
        return payload

    def count(self, change: int) -> int:
        """So many streams more use it, or fewer; how many are left."""
        self.users += change
        return self.users

    def forget(self) -> None:
        """The frames of this block are done with."""
        self._payloads.clear()

    def tune(self, setting: Setting) -> None:
        """From the next frame on."""
        before, self.setting = self.setting, setting
        if setting[:2] != before[:2]:
            self.native.set_loss(setting.loss / PERCENT, in_band_fec=setting.in_band_fec)
        if setting.bitrate is not None and setting.bitrate != before.bitrate:
            self.native.set_bitrate(setting.bitrate)


class _Conversion:
    """The sound in the sample rate and the channels that some encoders take; `sound` is that of this block."""

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        self.target = target
        self.sound: Pcm = np.zeros((0, target[1]), np.int16)
        self._converter = Converter(source, target)

    def write(self, pcm: Pcm) -> None:
        """Another block."""
        self.sound = self._converter.process(pcm)

    def flush(self) -> None:
        """What the converter holds back."""
        self.sound = self._converter.flush()


class _Group:
    """Streams of one encoding whose packets begin and end together: one framer, and an encoder for each setting."""

    def __init__(self, codec: Codec, source_rate: int, conversion: _Conversion, framer: Framer, model: Encoder) -> None:
        """`model` is the first of its encoders, as new."""
        self.conversion, self.model = conversion, model
        self.frames: list[Pcm] = []
        self.encoders = [_SharedEncoder(model, Setting(bitrate=model.full_bitrate))]
        self.users = 0
        self._codec, self._source_rate, self._framer = codec, source_rate, framer
        self._begun = self._flushed = False

    @property
    def samples(self) -> int:
        """Of each frame."""
        return self._framer.samples

    def fits(self, codec: Codec, ptime: float) -> bool:
        """Whether a stream of this codec, with packets of so many seconds, gets what this makes."""
        return self._codec.encoding == codec.encoding and self.samples == samples_of(self.model, ptime)

    def equals(self, other: _Group) -> bool:
        """Whether both have cut the same frames from this block, and will from the next."""
        if self._flushed or other._flushed or self.conversion is not other.conversion:
            return False
        same = self._codec.encoding == other._codec.encoding and self._framer.state == other._framer.state
        return same and [*map(len, self.frames)] == [*map(len, other.frames)]

    def has_others(self, wanted: Setting, used: _SharedEncoder | None) -> bool:
        """Whether streams use an encoder with this setting that is not the one `used`."""
        return any(shared.users and shared.setting == wanted for shared in self.encoders if shared is not used)

    def count(self, change: int) -> None:
        """So many streams more use it, or fewer."""
        self.users += change

    def cut(self) -> None:
        """Take the sound of this block."""
        self._replace_frames(self._framer.cut(self.conversion.sound))
        self._begun, self._flushed = self._begun or bool(self.frames), False

    def flush(self, sound: Pcm) -> None:
        """Take the last of the sound, then silence for what encoders hold back, then a shorter frame; once."""
        frames: list[Pcm] = []
        if not self._flushed:
            frames += self._framer.cut(sound)
            if self._begun or frames:
                frames += self._framer.cut(np.zeros((self.model.flush_samples, self.conversion.target[1]), np.int16))
            last = self._framer.flush()
            frames += [] if last is None else [last]
        self._flushed = True
        self._replace_frames(frames)

    def resize(self, samples: int) -> None:
        """Cut frames of so many samples from now on, the first from what is left."""
        self._framer.resize(samples)

    def divide(self, samples: int, used: _SharedEncoder | None) -> _Group:
        """Another group, of frames of so many samples, that goes on from here as a stream with this encoder does."""
        shared = self._copy(used)
        group = _Group(self._codec, self._source_rate, self.conversion, self._framer.forked(samples), shared.native)
        group.encoders[:] = [shared]
        return group

    def choose(self, wanted: Setting, used: _SharedEncoder | None, *, gap: bool) -> _SharedEncoder:
        """An encoder with the wanted setting for a stream that has `used` another, if any, so far.

        `gap`: the stream has not had all that this has encoded.
        """
        missed = gap and used is not None and used.users > 1
        shared = used if used is not None and used.setting == wanted else self._find(wanted)
        if shared is None:
            shared = used if used is not None and used.users == 1 else self._new(used)
        if shared.encoded and (missed or (shared is not used and shared.users)):
            shared.native.begin_anew()
        if shared is not used:
            self.release(used)
            shared.count(1)
        shared.tune(wanted)
        return shared

    def release(self, used: _SharedEncoder | None) -> None:
        """A stream does not use this encoder any more."""
        if used is not None and not used.count(-1):
            self.encoders.remove(used)

    def _find(self, wanted: Setting) -> _SharedEncoder | None:
        return next((shared for shared in self.encoders if shared.users and shared.setting == wanted), None)

    def _new(self, used: _SharedEncoder | None) -> _SharedEncoder:
        """The one that no stream has used yet, or a copy of the one that was used."""
        unused = next((shared for shared in self.encoders if not shared.users), None)
        if unused is not None:
            return unused
        shared = self._copy(used)
        self.encoders.append(shared)
        return shared

    def _copy(self, used: _SharedEncoder | None) -> _SharedEncoder:
        """A copy in the same state, as far as the library can do that."""
        native = None if used is None else used.native.forked()
        if used is None or native is None:
            return _SharedEncoder(self._codec.encoder(self._source_rate), Setting(bitrate=self.model.full_bitrate))
        return _SharedEncoder(native, used.setting, encoded=used.encoded)

    def _replace_frames(self, frames: list[Pcm]) -> None:
        if frames or self.frames:
            self.frames = frames
            for shared in self.encoders:
                shared.forget()


class StreamEncoder(Encoder):
    """What encodes for one stream; it may be an encoder of several. Settings count from `settle` on."""

    def __init__(self, owner: SharedEncoders, group: _Group) -> None:
        """`SharedEncoders.join` makes them."""
        super().__init__(group.model.sample_rate)
        self.full_bitrate, self.flush_samples = group.model.full_bitrate, group.model.flush_samples
        self.marks_frame_ends = group.model.marks_frame_ends
        self.prepares_for_loss = group.model.prepares_for_loss
        self._owner, self._group = owner, group
        self._wanted = Setting(bitrate=self.full_bitrate)
        self._shared: _SharedEncoder | None = None
        self._looks = 0
        group.count(1)

    @property
    def frames(self) -> list[Pcm]:
        """Those that are full with the sound of this block, of one packet each."""
        return self._group.frames

    @property
    def bitrate(self) -> int | None:
        """Bit/s that were asked for."""
        return self._wanted.bitrate

    def encode(self, pcm: Pcm) -> bytes:
        """The payload of one of `frames`."""
        if self._shared is None:
            self.settle(gap=False)
        assert self._shared is not None
        return self._shared.encode(pcm)

    def set_loss(self, fraction: float, *, in_band_fec: bool) -> None:
        """As for any encoder, in whole percents; of this stream alone."""
        if self.prepares_for_loss:
            percent = min(PERCENT, max(1 if fraction > 0.0 else 0, round(PERCENT * fraction)))
            self._wanted = self._wanted._replace(loss=percent, in_band_fec=in_band_fec and percent > 0)

    def set_bitrate(self, bitrate: int) -> None:
        """As for any encoder; of this stream alone."""
        if self.full_bitrate is not None:
            self._wanted = self._wanted._replace(bitrate=min(bitrate, self.full_bitrate))

    def settle(self, *, gap: bool) -> None:
        """From the next frame on, use an encoder with the settings that are wanted.

        To be called of all streams before one of them encodes a frame of this block. `gap`: the peer has not had all
        packets of this encoder before, since the stream begins, was on hold, or had other packets.
        """
        changes = self._shared is None or self._shared.setting != self._wanted
        if changes:
            self._looks = LOOKS
        if self._looks:
            self._look()
        if gap or changes or self._shared is None:
            self._shared = self._group.choose(self._wanted, self._shared, gap=gap)

    def resize(self, ptime: float) -> None:
        """Packets of so many seconds from now on, the first from what is left."""
        samples = samples_of(self._group.model, ptime)
        if samples == self._group.samples:
            return
        self._looks = LOOKS
        if self._group.users == 1:
            self._group.resize(samples)
            return
        self._enter(self._owner.divide(self._group, samples, self._shared))

    def flush(self) -> bool:
        """Make `frames` of what is left of the sound, where no other stream goes on with them; whether that is so."""
        if self._group.users > 1:
            return False
        self._owner.flush_group(self._group)
        return True

    def leave(self) -> None:
        """The stream ends, or gets another codec."""
        self._group.release(self._shared)
        self._shared = None
        self._group.count(-1)
        self._owner.tidy_up()

    def _look(self) -> None:
        """A stream that is encoded alone joins others that have the same frames and settings, if there are any."""
        self._looks -= 1
        alone = self._shared is None or self._shared.users == 1
        if alone and not self._group.has_others(self._wanted, self._shared):
            group = self._owner.find_equal(self._group, self._wanted)
            if group is not None:
                self._enter(group)

    def _enter(self, group: _Group) -> None:
        group.count(1)
        self.leave()
        self._group = group


class SharedEncoders:
    """All that is encoded of one sound. `write` a block, let each stream `settle`, then take its `frames` and `encode`
    them: each encoder encodes a frame once."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        """`sample_rate` (Hz) and `channels` of the sound that will be written."""
        self.format = (sample_rate, channels)
        self._conversions: list[_Conversion] = []
        self._groups: list[_Group] = []

    @property
    def count(self) -> int:
        """How many encoders there are."""
        return sum(len(group.encoders) for group in self._groups)

    def join(self, codec: Codec, ptime: float) -> StreamEncoder:
        """An encoder for one more stream, with packets of so many seconds. VoipError without its library.

        In a group that is there its packets begin with those of the others: the first holds up to `ptime` of the sound
        before.
        """
        for group in self._groups:
            if group.fits(codec, ptime):
                return StreamEncoder(self, group)
        rate, model = self.format[0], codec.encoder(self.format[0])
        conversion = self._conversion((model.sample_rate, codec.channels))
        group = _Group(codec, rate, conversion, Framer(samples_of(model, ptime)), model)
        self._groups.append(group)
        return StreamEncoder(self, group)

    def write(self, pcm: Pcm) -> bool:
        """Take a block of any length; whether there are frames to be sent now."""
        for conversion in self._conversions:
            conversion.write(pcm)
        for group in self._groups:
            group.cut()
        return any(group.frames for group in self._groups)

    def flush(self) -> None:
        """The sound has ended: the last frames, the very last a shorter one if need be."""
        for conversion in self._conversions:
            conversion.flush()
        for group in self._groups:
            group.flush(group.conversion.sound)

    def flush_group(self, group: _Group) -> None:
        """The sound has ended for this group: what is left of it, as far as no other goes on with it."""
        conversion = group.conversion
        if any(other.conversion is conversion for other in self._groups if other is not group):
            group.flush(conversion.sound[:0])
        else:
            conversion.flush()
            group.flush(conversion.sound)

    def divide(self, group: _Group, samples: int, used: _SharedEncoder | None) -> _Group:
        """A group beside this one for a stream that gets packets of another length."""
        divided = group.divide(samples, used)
        self._groups.append(divided)
        return divided

    def find_equal(self, group: _Group, wanted: Setting) -> _Group | None:
        """Another group of the same frames, with an encoder of this setting in use."""
        others = (other for other in self._groups if other is not group and other.has_others(wanted, None))
        return next((other for other in others if other.equals(group)), None)

    def tidy_up(self) -> None:
        """Drop what no stream uses any more."""
        self._groups = [group for group in self._groups if group.users]
        used = [group.conversion for group in self._groups]
        self._conversions = [conversion for conversion in self._conversions if conversion in used]

    def _conversion(self, target: tuple[int, int]) -> _Conversion:
        for conversion in self._conversions:
            if conversion.target == target:
                return conversion
        conversion = _Conversion(self.format, target)
        self._conversions.append(conversion)
        return conversion
