"""Receiving: RTP packets in as they arrive, sound of the sink's format out as it is pulled.

Reception (FEC) -> Playout (order, delay) -> Renderer (decode or conceal, time-scale, convert) -> ready to be read.
All on the thread that pulls.
"""

from __future__ import annotations

from collections.abc import Callable

from voip.audio.dtmf import Digit, DtmfReceiver
from voip.audio.levels import Measured, measure_one
from voip.audio.reception import Reception
from voip.audio.rendering import Renderer
from voip.audio.sample_queue import SampleQueue
from voip.conversation import Use
from voip.dsp import Pcm
from voip.jitter import ClockFollower, DelayFloor, DelayTarget, DeviceClock, Gap, Playout, PlayoutCounters, Stretch
from voip.media import NegotiatedMedia
from voip.rtp import RtpPacket, unwrap
from voip.stats import ReceiverStats

LEAD_IN = 0.005
"""Seconds of silence at a time before the stream starts: how exactly its start is timed."""
CLOCK_RATE_PAUSE = 0.1
"""Seconds between two changes of the clock rate at least: a peer that mixes clock rates must not take all our time."""
LAST_WORDS = 0.3
"""Seconds after the end for which packets are still taken: the network may let the end of the signalling overtake the
last of the sound."""
PLAYED_OUT_AFTER = 1.0
"""Seconds from the end after which the stream is over in any case, if its delay is no longer: whatever is sent."""
SNAPSHOT_INTERVAL = 0.1
"""Seconds between two statistics snapshots."""


class AudioReceiver:
    """One stream that we hear.

    `latency` is the least play-out delay, None: whatever the network needs; `latency_max` is the most. `use` says how
    dear delay is.
    """

    def __init__(
        self,
        media: NegotiatedMedia,
        *,
        sample_rate: int,
        channels: int,
        latency: float | None,
        latency_max: float,
        use: Use = Use.CONVERSATION,
        on_digit: Callable[[Digit], object] = lambda digit: None,
        device: DeviceClock | None = None,
    ) -> None:
        """`sample_rate` and `channels` of the sound that will be read; `on_digit` is told each digit. `device`: the
        clock of what reads, where others are read by it, too."""
        self.stats = ReceiverStats()
        """Replaced whole while reading, about ten times a second and at the end."""
        self.drained = False
        """After `finish`: the last sample has been read."""
        self._format = (sample_rate, channels)
        self._latency_max, self._use = latency_max, use
        self._floor = DelayFloor(latency, use)
        self._counters = PlayoutCounters()
        self._ready = SampleQueue(sample_rate, channels)
        self._now = 0.0
        self._snapshot_at = float("-inf")
        self._finished_at: float | None = None
        self._reserve = 0.0  # seconds that the converter will hold back when it begins to follow the clock
        self._media = media
        self._clock = ClockFollower(media.clock_rate, device)
        self._dtmf = _Dtmf(media, on_digit)
        self._clock_rates = _ClockRates(media)
        self._agree(media, self._floor.first)
        self._reception = Reception(media, self._playout, self._dtmf.receive)

    @property
    def format(self) -> tuple[int, int]:
        """Sample rate and channels of what is read."""
        return self._format

    def put(self, packet: RtpPacket, arrival: float) -> None:
        """Take in an accepted packet, media or repair, that arrived at `arrival`: until LAST_WORDS after `finish`."""
        if not self.drained and (self._finished_at is None or arrival <= self._finished_at + LAST_WORDS):
            self._follow_clock_rate(packet, arrival)
            self._reception.put(packet, arrival)
            payload_type = packet.payload_type
            if self._renderer.accepts(payload_type) or payload_type == self._media.arriving_red_payload_type:
                self._clock.packet(packet, arrival)

    def read(self, samples: int, now: float) -> Pcm:
        """The next `samples`, to be heard from `now` on: always exactly so many."""
        pcm = self.take(samples, now)
        self.note_level(measure_one(pcm))
        return pcm

    def note_level(self, block: Measured) -> None:
        """What was taken last has been measured."""
        self._ready.note(block)

    def take(self, samples: int, now: float) -> Pcm:
        """As `read`, but whoever takes it measures it, together with other streams, and says so by `note_level`."""
        self._now = now
        self._clock.pull(samples / self._format[0], now)
        while len(self._ready) < samples:
            self._fetch(samples - len(self._ready), now)
        if now - self._snapshot_at >= SNAPSHOT_INTERVAL:
            self._dtmf.tick(now)
            self._watch_loss(now)
            self._follow_clock(now)
            self._publish(now)
        if self._finished_at is not None:
            over = max(PLAYED_OUT_AFTER, LAST_WORDS + self._latency_max)
            self.drained = self.drained or now - self._finished_at >= over
        return self._ready.take(samples)

    def note_unheard(self, seconds: float) -> None:
        """What was read last, so many seconds, was not heard."""
        self._counters.note_unheard(seconds)

    def finish(self, now: float) -> None:
        """The sender has stopped: what is here is still to be read, to its last sample; then `drained` is True.
        May be called again."""
        if self._finished_at is None:
            self._finished_at = now
        self._dtmf.release()
        self._playout.finish()
        self._publish(now)

    def update(self, media: NegotiatedMedia) -> None:
        """The session was negotiated anew: hold, resumption, other codecs."""
        comes, formats = self._media.arriving_payload_type, media.arriving_formats
        if comes in formats and formats[comes].clock_rate != media.clock_rate:
            media = media.received_as(comes)  # what has come of late goes on
        self._receive_as(media)

    def _receive_as(self, media: NegotiatedMedia) -> None:
        before, self._media = self._media, media
        self._clock_rates.renew(media)
        if not _continues(before, media):
            self._make_all_ready()
            self._agree(media, first=self._target.value)
            self._renderer.rise()
            self._clock.renew(media.clock_rate)
        self._renderer.accept(media)
        self._dtmf.renew(media)
        self._playout.set_on_hold(not media.direction.receives)
        self._target.require(self._floor.seconds(media, self._now))
        self._reception.renew(media, self._playout)

    def _follow_clock_rate(self, packet: RtpPacket, arrival: float) -> None:
        """A codec of another clock rate needs a time line of its own (RFC 7160 section 4.3): start it with its packet.

        Those that were sent before and come behind it are late.
        """
        if not self._clock_rates.differ:
            return
        highest = self._reception.stats.highest
        newest = highest is None or unwrap(packet.sequence_number, highest) > highest
        if newest and self._clock_rates.change_with(packet.payload_type, arrival):
            self._receive_as(self._media.received_as(packet.payload_type))

    def _agree(self, media: NegotiatedMedia, first: float | None) -> None:
        """Make what depends on the codec; `first`: seconds of delay to begin with."""
        floor = self._floor.seconds(media, self._now)
        self._target = DelayTarget(floor, self._latency_max, first, use=self._use)
        self._playout = Playout(
            media.audio.codec.clock_rate,
            self._target,
            step=media.audio.ptime,
            hold_for_late=self._floor.adapts,
            counters=self._counters,
        )
        self._renderer = Renderer(media, self._playout, self._format)

    def _make_all_ready(self) -> None:
        """What is here of the old codec is heard before the new one: its time ends where that one's begins.

        Not more of it than `latency_max`: what else there is, is left out.
        """
        self._playout.finish()
        while True:
            ahead = len(self._ready) / self._format[0]
            item, stretch = self._playout.get(self._now, ahead)
            if item is None:
                break
            if ahead < self._latency_max:
                self._take_in(item, stretch, self._now)
            elif isinstance(item, RtpPacket):
                self._counters.skip(self._media.packet_time)
        if len(self._ready) or self._counters.played:
            self._ready.append(self._renderer.leave())

    def _fetch(self, wanted: int, now: float) -> None:
        """Make more sound ready; about `wanted` samples, if there is nothing to play."""
        rate, ready = self._format[0], len(self._ready)
        held = self._renderer.converter.delay
        ahead = ready / rate + held
        item, stretch = self._playout.get(now, ahead, held + self._reserve + (ready + wanted) / rate)
        if item is None:
            self._idle(wanted)
        else:
            self._take_in(item, stretch, now + ahead)

    def _take_in(self, item: RtpPacket | Gap, stretch: Stretch, heard: float) -> None:
        self._ready.append(self._renderer.render(item, stretch))
        if self._counters.played:
            self._ready.begin(heard)

    def _idle(self, wanted: int) -> None:
        """Nothing has begun yet, or all is over."""
        if self._playout.drained:
            tail = self._renderer.flush()
            if len(tail):
                self._ready.append(tail)
                return
            if not len(self._ready):
                self.drained = True
        silence = wanted if self._finished_at is not None else min(wanted, max(1, round(LEAD_IN * self._format[0])))
        if not self._counters.played and self._finished_at is None and self._media.direction.receives:
            self._counters.silence.await_first(silence / self._format[0])
        self._ready.append_silence(silence)

    def _watch_loss(self, now: float) -> None:
        """Where packets are lost, leave time for what makes them good."""
        packet = self._playout.step / self._media.clock_rate  # as they come, which may be longer than was agreed on
        repair_wait = self._playout.repair_span * packet
        self._floor.look(self._reception.stats, repair_wait, now, self._target.spread)
        self._target.require(self._floor.seconds(self._media, now))

    def _follow_clock(self, now: float) -> None:
        """Take in as much sound as the sender makes, neither more nor less."""
        playout, converter = self._playout, self._renderer.converter
        ratio = self._clock.ratio(playout.delay - self._target.value, now)
        if ratio == converter.ratio:
            return
        self._reserve = converter.delay_to_come  # packets must be here earlier then: make room for that first
        if not self._reserve or playout.has_room_for(self._reserve):
            converter.set_ratio(ratio)
            self._reserve = 0.0

    def _publish(self, now: float) -> None:
        self._snapshot_at = now
        self.stats = self.snapshot()

    def snapshot(self) -> ReceiverStats:
        """The statistics as they are now. For the thread that reads; others look at `stats`."""
        reception = self._reception
        network = reception.stats
        heard = network.received > 0
        return ReceiverStats(
            received=network.received,
            expected=network.expected,
            recovered=reception.recovered,
            duplicate=network.duplicate,
            reordered=network.reordered,
            loss_runs=network.loss_runs(),
            jitter=network.jitter if heard else None,
            jitter_max=network.jitter_max if heard else None,
            jitter_mean=network.jitter_mean if heard else None,
            fec_packets=reception.fec_packets,
            fec_copies=reception.fec_copies,
            fec_rejected=reception.fec_rejected,
            missing_packets=self._counters.bursts.missing,
            missing_runs=self._counters.bursts.runs,
            bursts=self._counters.bursts.figures(),
            playout=self._counters.snapshot(
                self._target.value if heard else None, self._target.wait_max if heard else None
            ),
            first_audio_at=self._ready.begun_at,
            clock_ppm=self._clock.ppm,
            levels=self._ready.levels,
        )


class _Dtmf:
    """The telephone events of one stream: tells `on_digit` of each digit."""

    def __init__(self, media: NegotiatedMedia, on_digit: Callable[[Digit], object]) -> None:
        self._on_digit = on_digit
        self._rates, self._media_rate = media.audio.arriving_telephone_events, media.clock_rate
        self._clocks = (media.audio.telephone_event_rate or media.clock_rate, media.clock_rate)
        self._digits = DtmfReceiver(*self._clocks)

    def receive(self, packet: RtpPacket, arrival: float) -> None:
        """A packet of a telephone event."""
        self._count_by((self._rates.get(packet.payload_type, self._clocks[0]), self._media_rate))
        self._tell(self._digits.receive(packet, arrival))

    def tick(self, now: float) -> None:
        """Time has passed."""
        self._tell(self._digits.tick(now))

    def release(self) -> None:
        """The digit in progress, if any, is over."""
        self._tell(self._digits.release())

    def renew(self, media: NegotiatedMedia) -> None:
        """Go on with what was negotiated anew."""
        self._rates, self._media_rate = media.audio.arriving_telephone_events, media.clock_rate

    def _count_by(self, clocks: tuple[int, int]) -> None:
        """Hz of the durations of telephone events, and of the timestamps: with others, the digit so far is over."""
        if clocks != self._clocks:
            self.release()
            self._clocks, self._digits = clocks, DtmfReceiver(*clocks)

    def _tell(self, digits: list[Digit]) -> None:
        for digit in digits:
            self._on_digit(digit)


class _ClockRates:
    """The clock rate that comes, and those of the other formats that may; a change is work, so they come apart."""

    def __init__(self, media: NegotiatedMedia) -> None:
        self._changed_at = float("-inf")
        self.renew(media)

    def renew(self, media: NegotiatedMedia) -> None:
        """Go on with what was negotiated anew, or comes from now on."""
        self._comes = media.clock_rate
        self._rates = {number: codec.clock_rate for number, codec in media.arriving_formats.items()}
        self.differ = any(rate != self._comes for rate in self._rates.values())
        """Whether there is another one that may come."""

    def change_with(self, payload_type: int, arrival: float) -> bool:
        """Whether a packet of this type, the newest so far, begins another clock rate."""
        if self._rates.get(payload_type, self._comes) == self._comes or arrival - self._changed_at < CLOCK_RATE_PAUSE:
            return False
        self._changed_at = arrival
        return True


def _continues(before: NegotiatedMedia, after: NegotiatedMedia) -> bool:
    """Whether the same play-out goes on: the codec is the same, or another of the same clock rate and description."""
    same_clock = before.clock_rate == after.clock_rate
    return before.audio.codec == after.audio.codec or (same_clock and before.arriving_formats == after.arriving_formats)
