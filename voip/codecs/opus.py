"""Opus (RFC 6716) and its RTP payload format (RFC 7587): wide-band speech and music at 6 to 510 kbit/s.

On the wire it is always opus/48000/2 (RFC 7587 section 7), whatever channels and bandwidth a packet has: those are in
each packet, and a decoder takes them all. The format parameters only state preferences and limits (section 6.1).
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from voip.codecs import libopus, libopus_dred
from voip.codecs.codec import Codec, Encoder, Implementation, number, parameters
from voip.codecs.opus_enhancement import Enhancement
from voip.dsp import Pcm
from voip.errors import ProtocolError, VoipError

SAMPLE_RATE = 48000
ENCODING_RATES = (8000, 12000, 16000, 24000, 48000)
"""Sample rates that encoders take (RFC 6716 section 2.1); the stream is the same."""
RTPMAP_CHANNELS = 2
PACKET_TIMES = (0.12, 0.1, 0.08, 0.06, 0.04, 0.02, 0.01, 0.005, 0.0025)
"""Seconds that a packet may last (RFC 6716 section 3.2), as libopus makes them."""
GRAIN_SAMPLES = SAMPLE_RATE // 400
"""Samples in 2.5 ms: what is concealed comes in multiples of it."""
PIECE_SAMPLES = 960
"""Samples that are concealed at a time: 20 ms, the longest that all of libopus' modes continue in one step."""

SILK_SAMPLES = 480
"""Samples in 10 ms, the shortest packet of the speech coder. Shorter ones are always of the music coder (RFC 6716
section 2.1.4), so an encoder need not look 4 ms further ahead to keep the two in step."""
DEFAULT_BITRATE = 24000
"""Bit/s. PESQ 4.46 for speech, and 40 kbit/s on the wire with 20 ms packets."""
BITRATES = (6000, 510000)
"""RFC 7587 section 6.1, maxaveragebitrate."""
COMPLEXITY = 9
"""Of libopus' 0 to 10. PESQ at the default bit rate, and processor seconds for a minute of speech: 0: 3.76, 0.3 s;
5: 4.22, 0.5 s; 7: 4.44, 0.7 s; 9: 4.46, 0.9 s (tools/measure_codecs.py)."""
COPY_COMPLEXITY = 4
"""The same, of the encoder for copies. PESQ where a tenth is heard from copies at 12 kbit/s, in outages of 60 ms, and
processor seconds for a minute: 0: 2.23, 0.1 s; 2: 4.14, 0.2 s; 4: 4.22, 0.3 s; 7: 4.25, 0.4 s; 9: 4.31, 0.6 s."""
DRED_FRAMES = 30
"""Frames of 10 ms that DRED tells of at most: PESQ with 5 % lost in outages of 60 ms 4.00, and 3.11 without it."""
PEAK = 1.25
PEAK_BYTES = 100
"""A packet may have PEAK times the bytes of the bit rate and PEAK_BYTES more: the room of a variable bit rate."""

_FRAMES = tuple(sorted(round(SAMPLE_RATE * seconds) for seconds in PACKET_TIMES))


class Opus(Implementation):
    """opus/48000/2. Every stream of it is decoded, whatever its parameters say."""

    adapts = True
    makes_copies = True

    def __init__(self) -> None:
        super().__init__("opus")

    def missing(self) -> str | None:
        """None if the library is here, else how to get it."""
        try:
            libopus.load()
        except VoipError as error:
            return str(error)
        return None

    def complete(self, codec: Codec) -> Codec | None:
        """The format that an rtpmap names; None for all but 48000/2.

        RFC 7587 section 7 has `/2` always. There is no other format: who leaves it out, or writes `/1`, means it.
        """
        if codec.clock_rate != SAMPLE_RATE or codec.channels > RTPMAP_CHANNELS:
            return None
        return replace(codec, channels=1, rtpmap_channels=RTPMAP_CHANNELS, packet_times=PACKET_TIMES, fmtp=_fmtp())

    def formats(self, sample_rate: int, channels: int) -> tuple[tuple[int, int], ...]:
        """Clock rate and channels to offer: the only ones there are."""
        return ((SAMPLE_RATE, RTPMAP_CHANNELS),)

    def offered(self, codec: Codec, sample_rate: int, channels: int, bitrate: int | None) -> Codec:
        """The format as it is offered for sound of this rate and these channels."""
        fmtp = _fmtp(sends_stereo=channels > 1, capture_rate=sample_rate)
        return replace(codec, channels=min(channels, 2), fmtp=fmtp, bitrate=bitrate)

    def negotiated(self, codec: Codec, ours: Codec, remote_fmtp: str, *, sends: bool) -> Codec:
        """The format with both sides' parameters, for a side that sends or only receives (RFC 7587 section 7.1).

        Stereo is sent where we have it and the peer prefers it, and received where the peer announces it.
        """
        theirs = parameters(remote_fmtp)
        if sends:
            channels = 2 if ours.channels == 2 and theirs.get("stereo") == "1" else 1
            fmtp = ours.fmtp
        else:
            channels = 2 if theirs.get("sprop-stereo") == "1" else 1
            fmtp = _fmtp(receives_stereo=channels == 2)
        return replace(
            codec,
            channels=channels,
            fmtp=fmtp,
            remote_fmtp=remote_fmtp,
            bitrate=ours.bitrate,
            packet_times=_packet_times(theirs),
        )

    def limited(self, codec: Codec, bitrate: int) -> Codec:
        """The format at no more than this bit rate, or the least that it has."""
        return replace(codec, bitrate=max(BITRATES[0], min(codec.bitrate or DEFAULT_BITRATE, bitrate)))

    def encoder(self, codec: Codec, source_rate: int) -> OpusEncoder:
        """A new encoder: at the source's own rate, which saves resampling and its delay, if it is one of Opus'."""
        return OpusEncoder(codec, source_rate if source_rate in ENCODING_RATES else SAMPLE_RATE)

    def encoding(self, codec: Codec) -> OpusEncoding:
        """What an encoder depends on, however the peer has written it."""
        return _encoding(codec)

    def copy_encoder(self, codec: Codec, bitrate: int, source_rate: int) -> OpusEncoder | None:
        """An encoder at no more than this bit rate; it takes the same sound and looks as far ahead."""
        if bitrate >= _bitrate(codec, parameters(codec.remote_fmtp)):
            return None
        encoder = self.encoder(self.limited(codec, bitrate), source_rate)
        encoder.set_complexity(COPY_COMPLEXITY)
        return encoder

    def decoder(self, codec: Codec) -> OpusDecoder:
        """A new decoder."""
        return OpusDecoder(codec)

    def encoded_size(self, codec: Codec, samples: int) -> int:
        """Payload bytes for so many samples: an upper bound."""
        return _max_bytes(_bitrate(codec, parameters(codec.remote_fmtp)), samples)


def _fmtp(*, receives_stereo: bool = False, sends_stereo: bool = False, capture_rate: int = SAMPLE_RATE) -> str:
    """Our side's parameters: we decode in-band FEC always. Mono is the default (RFC 7587 section 6.1), and not said: a
    longer INVITE would go by TCP."""
    words = ["stereo=1"] * receives_stereo + ["sprop-stereo=1"] * sends_stereo + ["useinbandfec=1"]
    if capture_rate < SAMPLE_RATE:
        words.append(f"sprop-maxcapturerate={capture_rate}")
    return ";".join(words)


def _packet_times(theirs: Mapping[str, str]) -> tuple[float, ...]:
    """Those that the peer takes. Its limits are attributes of their own by RFC 7587; many write them in here."""
    least, most = number(theirs, "minptime") or 0, number(theirs, "maxptime") or 1000
    # Whole milliseconds, rounded up: 3 is 2.5 (RFC 7587 section 6.1).
    return tuple(time for time in PACKET_TIMES if least <= math.ceil(1000 * time) <= most) or PACKET_TIMES


def _bitrate(codec: Codec, theirs: Mapping[str, str]) -> int:
    """Bit/s to encode at: ours, and not more than the peer allows; what is out of range is ignored (section 6.1)."""
    wanted, limit = codec.bitrate or DEFAULT_BITRATE, number(theirs, "maxaveragebitrate")
    if limit is None or not BITRATES[0] <= limit <= BITRATES[1]:
        limit = BITRATES[1]
    return min(max(min(wanted, limit), BITRATES[0]), BITRATES[1])


def _max_bytes(bitrate: int, samples: int) -> int:
    return round(PEAK * bitrate / 8 * samples / SAMPLE_RATE) + PEAK_BYTES


class OpusEncoding(NamedTuple):
    """All that an encoder depends on by offer and answer; `bitrate` in bit/s, `bandwidth` as libopus counts it."""

    channels: int
    bitrate: int
    peer_recovers: bool
    variable: bool
    bandwidth: int


def _encoding(codec: Codec) -> OpusEncoding:
    theirs = parameters(codec.remote_fmtp)
    return OpusEncoding(
        codec.channels,
        _bitrate(codec, theirs),
        theirs.get("useinbandfec") == "1",
        theirs.get("cbr") != "1",
        _bandwidth(number(theirs, "maxplaybackrate")),
    )


class OpusEncoder(Encoder):
    """Sound to packets. It looks `delay` seconds ahead; its settings may change between two packets."""

    prepares_for_loss = True

    def __init__(self, codec: Codec, sample_rate: int = SAMPLE_RATE, library: ctypes.CDLL | None = None) -> None:
        """`library`: another than that of `libopus.load`. VoipError without one."""
        super().__init__(sample_rate)
        self._codec, encoding = codec, _encoding(codec)
        self._bitrate = self.full_bitrate = encoding.bitrate
        self._peer_recovers = encoding.peer_recovers
        self._channels, self._library = encoding.channels, library
        self._settings = {
            libopus.SET_BITRATE: self._bitrate,
            libopus.SET_COMPLEXITY: COMPLEXITY,
            libopus.SET_VBR: int(encoding.variable),
            libopus.SET_MAX_BANDWIDTH: encoding.bandwidth,
        }
        self._begins_anew = False
        self._low_delay: bool | None = None  # None: nothing has been encoded
        self._native = self._open(low_delay=False)
        self._has_dred = self._native.try_set(libopus.SET_DRED_DURATION, 0)

    @property
    def delay(self) -> float:
        """Seconds by which decoded sound comes after what was encoded."""
        return self._native.get(libopus.GET_LOOKAHEAD) / self.sample_rate

    @property
    def bitrate(self) -> int:
        """Bit/s on average."""
        return self._bitrate

    def encode(self, pcm: Pcm) -> bytes:
        """The payload for these samples: as many as a packet may have, or fewer, which silence then follows."""
        slower = SAMPLE_RATE // self.sample_rate
        frame = next((frame for frame in _FRAMES if frame >= len(pcm) * slower), None)
        if frame is None:
            raise ValueError(f"{len(pcm)} samples do not fit into one Opus packet")
        self._fit(frame)
        samples = frame // slower
        if samples > len(pcm):
            pcm = np.concatenate((pcm, np.zeros((samples - len(pcm), pcm.shape[1]), np.int16)))
        if not self._begins_anew:
            return self._native.encode(pcm, _max_bytes(self._bitrate, frame))
        self._begins_anew = False
        self._native.set(libopus.SET_PREDICTION_DISABLED, 1)
        payload = self._native.encode(pcm, _max_bytes(self._bitrate, frame))
        self._native.set(libopus.SET_PREDICTION_DISABLED, 0)
        return payload

    def forked(self) -> OpusEncoder:
        """A second encoder that goes on from here as this one does."""
        other = OpusEncoder(self._codec, self.sample_rate, self._library)
        other._bitrate, other._low_delay = self._bitrate, self._low_delay
        other._settings, other._native = dict(self._settings), self._native.forked()
        return other

    def begin_anew(self) -> None:
        """The next packet is predicted from none before it (it has fewer bits for its sound then)."""
        self._begins_anew = True

    def set_bitrate(self, bitrate: int) -> None:
        """From the next packet on; more than `full_bitrate`, or less than Opus can, is not."""
        self._bitrate = max(BITRATES[0], min(bitrate, self.full_bitrate or bitrate))
        self._set(libopus.SET_BITRATE, self._bitrate)

    def set_complexity(self, complexity: int) -> None:
        """0 to 10: more processor time for better sound."""
        self._set(libopus.SET_COMPLEXITY, complexity)

    def set_loss(self, fraction: float, *, in_band_fec: bool) -> None:
        """Prepare for losses: this fraction of packets will be missing, after what other means repair.

        With in-band FEC each packet repeats the one before at a lower rate, to a peer that said it makes use of it; and
        where the library can, and the bit rate allows, it tells of those before that, in padding that others ignore.
        """
        percent = min(100, max(0, round(100 * fraction)))
        if fraction > 0.0:
            percent = max(1, percent)
        self._set(libopus.SET_PACKET_LOSS_PERC, percent)
        adds = in_band_fec and percent > 0
        self._set(libopus.SET_INBAND_FEC, int(adds and self._peer_recovers))
        if self._has_dred:
            self._set(libopus.SET_DRED_DURATION, DRED_FRAMES if adds else 0)

    def _set(self, request: int, value: int) -> None:
        self._settings[request] = value
        self._native.set(request, value)

    def _open(self, *, low_delay: bool) -> libopus.Encoder:
        application = libopus.APPLICATION_LOW_DELAY if low_delay else libopus.APPLICATION_VOIP
        native = libopus.Encoder(self._channels, self.sample_rate, application, self._library)
        for request, value in self._settings.items():
            native.set(request, value)
        return native

    def _fit(self, frame: int) -> None:
        """Look ahead as far as packets of so many samples (of 48 kHz) make use of it; mostly they stay as they are."""
        if self._low_delay is None:
            self._low_delay = frame < SILK_SAMPLES
            if self._low_delay:
                self._native = self._open(low_delay=True)
        elif self._low_delay and frame >= SILK_SAMPLES:
            self._low_delay = False
            self._native = self._open(low_delay=False)


def _bandwidth(rate: int | None) -> int:
    """The widest band that is of use to a peer that plays at this rate."""
    for enough, bandwidth in libopus.BANDWIDTHS:
        if rate is not None and rate <= enough:
            return bandwidth
    return libopus.BANDWIDTHS[-1][1]


class OpusDecoder:
    """Packets of any duration, mode and channels to sound at 48 kHz."""

    def __init__(self, codec: Codec, library: ctypes.CDLL | None = None) -> None:
        """`library`: another than that of `libopus.load`. VoipError without one."""
        self._native = libopus.Decoder(codec.channels, library)
        self._enhancement = Enhancement(self._native)
        self._redundancy = libopus_dred.find(library)
        self._last = PIECE_SAMPLES
        self._surplus: Pcm = np.zeros((0, codec.channels), np.int16)

    def decode(self, payload: bytes) -> Pcm:
        """The samples of one payload; ProtocolError if it is no packet. An empty one is concealed: nothing was sent."""
        if not payload:
            return self.conceal(self._last, None)
        pcm = self._native.decode(payload)
        self._last = len(pcm)
        self._enhancement.receive(len(payload), len(pcm))
        over, self._surplus = self._surplus, self._surplus[:0]
        if not len(over):
            return pcm
        # The decoder is this much ahead of the time that was to be concealed.
        length = min(len(over), len(pcm))
        rise = np.linspace(0.0, 1.0, length + 2)[1:-1, None]
        joined = over[:length] * (1 - rise) + pcm[:length] * rise
        return np.concatenate((np.rint(joined).astype(np.int16), pcm[length:]))

    def conceal(self, samples: int, next_payload: bytes | None) -> Pcm:
        """So many samples in place of lost ones; the last frame from in-band FEC of the payload right behind them."""
        wanted = samples - len(self._surplus)
        parts = [self._surplus]
        if wanted > 0:
            parts += self._make(-(-wanted // GRAIN_SAMPLES) * GRAIN_SAMPLES, next_payload)
        made = np.concatenate(parts)
        self._surplus = made[samples:]
        return made[:samples]

    def _make(self, samples: int, next_payload: bytes | None) -> list[Pcm]:
        """A multiple of GRAIN_SAMPLES samples, in pieces."""
        recovered = 0
        if next_payload and libopus.has_in_band_fec(next_payload):
            recovered = libopus.samples_per_frame(next_payload)
            if recovered > samples:
                recovered = 0
        told = self._told_of(samples - recovered, recovered, next_payload)
        plain = samples - recovered - told
        parts = [self._native.conceal(min(PIECE_SAMPLES, plain - start)) for start in range(0, plain, PIECE_SAMPLES)]
        parts += [
            self._rebuild(recovered + told - start, min(PIECE_SAMPLES, told - start))
            for start in range(0, told, PIECE_SAMPLES)
        ]
        if recovered and next_payload:
            parts.append(self._recover(next_payload, recovered))
        return parts

    def _told_of(self, samples: int, before: int, payload: bytes | None) -> int:
        """How many of so many samples, which end `before` samples ahead of a packet, it tells of by DRED."""
        if self._redundancy is None or not payload or samples <= 0:
            return 0
        told = self._redundancy.read(payload, samples + before) - before
        return max(0, min(samples, told // GRAIN_SAMPLES * GRAIN_SAMPLES))

    def _rebuild(self, before: int, samples: int) -> Pcm:
        assert self._redundancy is not None
        try:
            return self._native.rebuild(self._redundancy.handle, before, samples)
        except ProtocolError:
            return self._native.conceal(samples)

    def _recover(self, payload: bytes, samples: int) -> Pcm:
        try:
            return self._native.recover(payload, samples)
        except ProtocolError:
            return self._native.conceal(samples)
