"""Receiving: RTP packets in as they arrive, sound of the sink's format out as it is pulled.

repair (FEC) -> jitter buffer -> decode or conceal -> time-scale -> convert (and follow the sender's clock).
All on the thread that pulls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from voip.audio.clock import ClockFollower
from voip.audio.convert import Converter
from voip.audio.dtmf import Digit, DtmfReceiver
from voip.audio.losses import LOSSY_DELAY, LossWatch
from voip.audio.reception import Reception
from voip.codecs import Decoder
from voip.dsp import ComfortNoise, Pcm, TimeScaler, level_dbfs, mix, to_int16
from voip.errors import ProtocolError
from voip.jitter import Gap, JitterBuffer, Kind, Ledger
from voip.media import NegotiatedMedia
from voip.rtp import RtpPacket
from voip.stats import ReceiverStats

FEC_MARGIN = 0.015
"""Seconds on top of the wait for a repair packet: a block of ours, and repair packets are sent a moment later."""
COMFORT_RISE = 0.020
"""Seconds in which what was said last fades into comfort noise."""
LEAD_IN = 0.005
"""Seconds of silence at a time before the stream starts: how exactly its start is timed."""
SNAPSHOT_INTERVAL = 0.1
"""Seconds between two statistics snapshots."""


class AudioReceiver:
    """One stream that we hear.

    `latency` is the least play-out delay, None: whatever the network needs; `latency_max` is the most.
    """

    def __init__(
        self,
        media: NegotiatedMedia,
        *,
        sample_rate: int,
        channels: int,
        latency: float | None,
        latency_max: float,
        on_digit: Callable[[Digit], object] = lambda digit: None,
    ) -> None:
        """`sample_rate` and `channels` of the sound that will be read; `on_digit` is told each key that was pressed."""
        self.stats = ReceiverStats()
        """Replaced whole while reading, about ten times a second and at the end."""
        self.drained = False
        """After `finish`: the last sample has been read."""
        self._format = (sample_rate, channels)
        self._latency, self._latency_max = latency, latency_max
        self._ledger = Ledger()
        self._ready: deque[Pcm] = deque()
        self._ready_samples = 0
        self._now = 0.0
        self._snapshot_at = float("-inf")
        self._first_audio_at: float | None = None
        self._finished = False
        self._losses = LossWatch()
        self._repair_wait = 0.0  # seconds that repair takes, as its packets show: ULPFEC and RED do not announce it
        self._reserve = 0.0  # seconds that the converter will hold back when it begins to follow the clock
        self._on_digit = on_digit
        self._media = media
        self._clock = ClockFollower(media.clock_rate)
        self._digits = _digit_receiver(media)
        self._agree(media)
        self._reception = Reception(media, self._buffer, self._hear_event)

    def put(self, packet: RtpPacket, arrival: float) -> None:
        """Take in an accepted packet, media or repair, that arrived at `arrival`: also after `finish`, until drained.

        The network may let the end of the signalling overtake the last of the sound.
        """
        if not self.drained:
            self._reception.put(packet, arrival)
            if packet.payload_type in self._decoders or packet.payload_type == self._media.arriving_red_payload_type:
                self._clock.packet(packet, arrival)

    def read(self, samples: int, now: float) -> Pcm:
        """The next `samples`, to be heard from `now` on: always exactly so many."""
        self._now = now
        self._clock.pull(samples / self._format[0], now)
        while self._ready_samples < samples:
            self._fetch(samples - self._ready_samples, now)
        if now - self._snapshot_at >= SNAPSHOT_INTERVAL:
            self._tell(self._digits.tick(now))
            self._watch_loss(now)
            self._follow_clock(now)
            self._publish(now)
        return self._take(samples)

    def finish(self, now: float) -> None:
        """The sender has stopped: what is here is still to be read, to its last sample; then `drained` is True."""
        self._finished = True
        self._tell(self._digits.release())
        self._buffer.finish()
        self._publish(now)

    def update(self, media: NegotiatedMedia) -> None:
        """The session was negotiated anew: hold, resumption, another codec."""
        before, self._media = self._media, media
        if media.audio.codec != before.audio.codec:
            self._make_all_ready()
            self._agree(media)
            self._clock.renew(media.clock_rate)
        self._decoders.setdefault(media.arriving_payload_type, self._decoder)
        if _event_clocks(media) != _event_clocks(before):
            self._tell(self._digits.release())
            self._digits = _digit_receiver(media)
        self._buffer.held = not media.direction.receives
        self._buffer.need(self._least_delay())
        self._reception.renew(media, self._buffer)

    def _agree(self, media: NegotiatedMedia) -> None:
        """Make what depends on the codec."""
        codec = media.audio.codec
        self._decoder: Decoder = codec.decoder()
        self._decoders: dict[int, Decoder] = {media.arriving_payload_type: self._decoder}
        self._ticks_per_sample = codec.clock_rate / codec.sample_rate
        self._converter = Converter((codec.sample_rate, codec.channels), self._format)
        self._buffer: JitterBuffer = JitterBuffer(
            codec.clock_rate,
            min_delay=self._least_delay(),
            max_delay=self._latency_max,
            first_delay=LOSSY_DELAY if self._latency is None else None,
            step=media.audio.ptime,
            ledger=self._ledger,
        )
        self._buffer.patient = self._latency is None
        self._scaler = TimeScaler(codec.channels, codec.sample_rate)
        self._comfort, self._comforted = ComfortNoise(codec.channels, codec.sample_rate), 0
        self._rate = codec.sample_rate

    def _hear_event(self, packet: RtpPacket, arrival: float) -> None:
        self._tell(self._digits.receive(packet, arrival))

    def _tell(self, digits: list[Digit]) -> None:
        for digit in digits:
            self._on_digit(digit)

    def _make_all_ready(self) -> None:
        """What is here of the old codec is heard before the new one: its time ends where that one's begins."""
        self._buffer.finish()
        while (item := self._buffer.get(self._now, self._ready_samples / self._format[0])) is not None:
            self._take_in(item, self._now)
        self._append(self._converter.flush())

    def _least_delay(self) -> float:
        media = self._media
        if self._latency is None:
            return self._losses.least_delay(media, self._now)
        # The window counts both the packet that is lost and the last one that its repair waits for.
        wait = media.repair_window - media.audio.ptime if media.repair_window else self._repair_wait
        return max(self._latency, wait + FEC_MARGIN) if media.fec and wait else self._latency

    def _fetch(self, wanted: int, now: float) -> None:
        """Make more sound ready; about `wanted` samples, if there is nothing to play."""
        rate = self._format[0]
        held = self._converter.delay
        ahead = self._ready_samples / rate + held
        item = self._buffer.get(now, ahead, held + self._reserve + (self._ready_samples + wanted) / rate)
        if item is None:
            self._idle(wanted)
        else:
            self._take_in(item, now + ahead)

    def _take_in(self, item: RtpPacket | Gap, heard: float) -> None:
        if isinstance(item, Gap):
            self._fill(item)
        else:
            self._play(item, heard)

    def _idle(self, wanted: int) -> None:
        """Nothing has begun yet, or all is over."""
        tail = self._converter.flush() if self._buffer.drained else None
        if tail is not None and len(tail):
            self._append(tail)
            return
        if tail is not None and not self._ready_samples:
            self.drained = True
        lead_in = wanted if self._finished else min(wanted, max(1, round(LEAD_IN * self._format[0])))
        self._append(np.zeros((lead_in, self._format[1]), np.int16))

    def _fill(self, gap: Gap) -> None:
        samples = round(gap.samples / self._ticks_per_sample)
        if gap.kind is Kind.JOIN:
            self._scaler.join()
        elif gap.kind is Kind.WAIT:
            self._append(self._converter.process(self._scaler.extend(samples)))
        elif gap.comfort is not None:
            self._hear(self._comfort_sound(gap.comfort.payload, samples))
        else:
            following = gap.next_packet.payload if gap.next_packet is not None and gap.kind is Kind.LOSS else None
            self._hear(self._decoder.conceal(samples, following))

    def _comfort_sound(self, payload: bytes, samples: int) -> Pcm:
        """The silence of which the sender has told how it sounds; the decoder goes on below it, to be joined again."""
        where = np.arange(self._comforted, self._comforted + samples)
        self._comforted += samples
        rise = np.clip(where / np.float32(COMFORT_RISE * self._rate), 0.0, 1.0).astype(np.float32)[:, None]
        return to_int16(
            self._decoder.conceal(samples, None) * (1 - rise) + self._comfort.sound(payload, samples) * rise
        )

    def _play(self, packet: RtpPacket, heard: float) -> None:
        try:
            pcm = self._decoders[packet.payload_type].decode(packet.payload)
        except (ProtocolError, KeyError):
            pcm = self._decoder.conceal(round(self._buffer.step / self._ticks_per_sample), None)
            self._buffer.advance(self._buffer.step, played=False)
        else:
            if not len(pcm):  # the beginning of a frame that goes on in the next packet
                return
            self._comforted = 0
            self._buffer.advance(round(len(pcm) * self._ticks_per_sample))
            if self._first_audio_at is None:
                self._first_audio_at = heard
        self._hear(pcm)

    def _hear(self, pcm: Pcm) -> None:
        """Sound of the stream, as long as the jitter buffer would like it to be."""
        buffer = self._buffer
        change = round(buffer.wish * self._rate)
        if change and buffer.in_pauses and level_dbfs(pcm) > TimeScaler.QUIET:
            change = 0
        scaled = self._scaler.process(pcm, change, urgent=buffer.urgent)
        if len(scaled) != len(pcm):
            buffer.scaled((len(scaled) - len(pcm)) / self._rate)
        self._append(self._converter.process(scaled))

    def _watch_loss(self, now: float) -> None:
        """Where packets are lost, leave time for what makes them good."""
        self._losses.look(self._reception.stats, now)
        self._repair_wait = self._buffer.reach * self._media.audio.ptime
        self._buffer.need(self._least_delay())

    def _follow_clock(self, now: float) -> None:
        """Take in as much sound as the sender makes, neither more nor less."""
        buffer, converter = self._buffer, self._converter
        ratio = self._clock.ratio(buffer.depth - buffer.target_delay, now)
        if ratio == converter.ratio:
            return
        self._reserve = converter.delay_to_come  # packets must be here earlier then: make room for that first
        if not self._reserve or buffer.has_room_for(self._reserve):
            converter.ratio, self._reserve = ratio, 0.0

    def _append(self, pcm: Pcm) -> None:
        if len(pcm):
            self._ready.append(pcm)
            self._ready_samples += len(pcm)

    def _take(self, samples: int) -> Pcm:
        ready = self._ready
        self._ready_samples -= samples
        if ready and len(ready[0]) == samples:
            return ready.popleft()
        parts: list[Pcm] = []
        while samples:
            first = ready.popleft()
            if len(first) > samples:
                ready.appendleft(first[samples:])
                first = first[:samples]
            parts.append(first)
            samples -= len(first)
        if not parts:
            return np.zeros((0, self._format[1]), np.int16)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _publish(self, now: float) -> None:
        self._snapshot_at = now
        self.stats = self.snapshot()

    def snapshot(self) -> ReceiverStats:
        """The statistics as they are now. For the thread that reads; others look at `stats`."""
        ledger, reception = self._ledger, self._reception
        network = reception.stats
        heard = network.received > 0
        return ReceiverStats(
            received=network.received,
            expected=network.expected,
            recovered=reception.recovered,
            late=ledger.late,
            duplicate=network.duplicate,
            reordered=network.reordered,
            loss_runs=network.loss_runs(),
            jitter=network.jitter if heard else None,
            jitter_max=network.jitter_max if heard else None,
            fec_packets=reception.fec_packets,
            fec_copies=reception.fec_copies,
            fec_rejected=reception.fec_rejected,
            frames_played=ledger.played,
            concealed=ledger.concealed,
            skipped=ledger.skipped,
            played_seconds=ledger.played_seconds,
            concealed_seconds=ledger.concealed_seconds,
            skipped_seconds=ledger.skipped_seconds,
            longest_gap=ledger.longest_gap,
            underruns=ledger.underruns,
            resyncs=ledger.resyncs,
            buffer=ledger.delay,
            buffer_min=ledger.delay_min,
            buffer_mean=ledger.delay_mean,
            buffer_max=ledger.delay_max,
            target=self._buffer.target_delay if heard else None,
            first_audio_at=self._first_audio_at,
            clock_ppm=self._clock.ppm,
        )


def _digit_receiver(media: NegotiatedMedia) -> DtmfReceiver:
    return DtmfReceiver(*_event_clocks(media))


def _event_clocks(media: NegotiatedMedia) -> tuple[int, int]:
    """Hz of the durations of telephone events, and of the timestamps."""
    return media.audio.telephone_event_rate or media.clock_rate, media.clock_rate


class Mixer:
    """Many receivers to one sound of their common format. `stats` is replaced whole, about ten times a second."""

    def __init__(self) -> None:
        self.stats: dict[str, ReceiverStats] = {}
        self._receivers: dict[str, AudioReceiver] = {}
        self._finishing: dict[str, Callable[[ReceiverStats], object]] = {}
        self._published_at = float("-inf")

    @property
    def idle(self) -> bool:
        """No stream is being played."""
        return not self._receivers

    def add(self, key: str, receiver: AudioReceiver) -> None:
        """A stream joins."""
        self._receivers[key] = receiver
        self._publish()

    def put(self, key: str, packet: RtpPacket, arrival: float) -> None:
        """A packet of a stream; unknown ones are ignored: their call may just have ended."""
        if key in self._receivers:
            self._receivers[key].put(packet, arrival)

    def update(self, key: str, media: NegotiatedMedia) -> None:
        """A stream was negotiated anew; unknown ones are ignored."""
        if key in self._receivers:
            self._receivers[key].update(media)

    def finish(self, key: str, played_out: Callable[[ReceiverStats], object]) -> None:
        """No more packets come: the stream is played to its end, removed, and its last figures handed out."""
        if key in self._receivers:
            self._finishing[key] = played_out
        else:
            played_out(self.stats.get(key, ReceiverStats()))

    def remove(self, key: str) -> None:
        """A stream leaves at once."""
        self._receivers.pop(key, None)
        self._finishing.pop(key, None)
        self._publish()

    def read(self, samples: int, now: float) -> Pcm:
        """The next `samples` of all streams together; ValueError if there are none."""
        for key in self._finishing:
            self._receivers[key].finish(now)
        blocks = [receiver.read(samples, now) for receiver in self._receivers.values()]
        if self._finishing:
            self._hand_out()
        if now - self._published_at >= SNAPSHOT_INTERVAL:
            self._published_at = now
            self._publish()
        if not blocks:
            raise ValueError("nothing to mix")
        return mix(blocks)

    def _hand_out(self) -> None:
        for key in [key for key in self._finishing if self._receivers[key].drained]:
            played_out = self._finishing.pop(key)
            final = self._receivers.pop(key).snapshot()
            self._publish()  # first: whoever is told must not find older figures here
            played_out(final)

    def _publish(self) -> None:
        self.stats = {key: receiver.stats for key, receiver in self._receivers.items()}
