"""Sending: sound of any format in, RTP datagrams in sending order out (RFC 3550 section 5.1, RFC 3551 section 4.1)."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from voip.audio.copies import CopyEncoder
from voip.audio.dtmf import DtmfSender, EventPacketizer
from voip.audio.encoding import SharedEncoders, StreamEncoder
from voip.audio.levels import LevelMeter
from voip.audio.send_counters import SendCounters
from voip.audio.steering import NOTHING, Decisions, Steering
from voip.codecs import Codec
from voip.congestion import RateController
from voip.dsp import Pcm
from voip.fec import FecController, FecEncoder, NoFec, Pattern, create_encoder
from voip.ip import IP_UDP_HEADER
from voip.media import FLEXFEC, NegotiatedMedia
from voip.rtp import Packetizer, RtpPacket
from voip.stats import Levels, PathReport, SenderStats

Send = Callable[[bytes], None]


class AudioSender:
    """One stream that we send: reframe to the negotiated packet time, encode, packetize, protect.

    To a peer that agreed to repair packets, a pattern decides which of them are sent; with a `control` it follows the
    peer's reports, as does with a `rate` how much is sent in all.
    """

    def __init__(
        self,
        media: NegotiatedMedia,
        *,
        sample_rate: int,
        channels: int,
        rng: random.Random,
        pattern: Pattern | None = None,
        control: FecController | None = None,
        rate: RateController | None = None,
        bitrate_max: float | None = None,
        on_decision: Callable[[str], None] = lambda reason: None,
        dtmf: DtmfSender | None = None,
        encoders: SharedEncoders | None = None,
    ) -> None:
        """`sample_rate` and `channels` of the sound that will be written; `encoders` of it that it shares with others.

        `control` chooses the pattern in place of `pattern`, `rate` says how much may be sent, and `bitrate_max` how
        much at most, in bit/s with all headers; `on_decision` gets a line for people with each change.
        `dtmf` says which keys are sent in place of the sound, to a peer that takes telephone events.
        """
        self.stats = SenderStats()
        """Replaced whole with every `write` that sends."""
        self._encoders = encoders or SharedEncoders(sample_rate, channels)
        self._rng = rng
        self._ip_header = IP_UDP_HEADER[6 if ":" in media.remote[0] else 4]
        self._steering = Steering(pattern, control, rate, bitrate_max, media)
        self._on_decision = on_decision
        self._counters = SendCounters()
        self._now = 0.0
        self._packetizer = Packetizer(media.ssrc, media.payload_type, _first_number(media, rng), rng.getrandbits(32))
        self._events = EventPacketizer(dtmf or DtmfSender(""), self._packetizer)
        self._fec: FecEncoder = NoFec(self._steering.pattern)
        self._fec_terms: tuple[object, ...] = ()
        self._media, self._added = media, 0
        self._codec = self._steering.affordable(media, self._ip_header)
        self._encoder = self._open(self._codec, media.audio.ptime)
        self.update(media)

    def set_pattern(self, pattern: Pattern | None) -> None:
        """From the next packet on, repair packets cover others; None: there are none."""
        self._steering.set_fixed(pattern)
        self._use_pattern(pattern)
        self._note_protection()

    def _use_pattern(self, pattern: Pattern | None) -> None:
        """Take a pattern as far as its packets stay within the agreed repair window."""
        packets = self._steering.window
        if pattern is not None and packets is not None:
            pattern = pattern.within(packets)
        self._fec.set_pattern(pattern)
        if isinstance(self._fec, NoFec):
            self._negotiate_fec()

    def _note_protection(self, reason: str | None = None) -> None:
        """For the figures: what protects the stream now, and why."""
        pattern = None if isinstance(self._fec, NoFec) else self._fec.pattern
        self._counters.protection(None if pattern is None else str(pattern), reason)

    def write(self, pcm: Pcm, now: float) -> list[bytes]:
        """Take sound of any length; the datagrams that have become due, in sending order."""
        self._encoders.write(pcm)
        self.prepare(now)
        return self.send()

    def finish(self) -> list[bytes]:
        """The stream ends: the datagrams for what is left of it, a shorter packet if need be, and their repair."""
        datagrams = list[bytes]()
        if self._encoder.flush():
            self.prepare(self._now)
            datagrams += self.send()
        return datagrams + self.end()

    def prepare(self, now: float) -> None:
        """The shared encoders have been given a block: choose the settings for it. Of all streams before any sends."""
        self._now = now
        if self._encoder.frames and self._media.direction.sends:
            repaired = not isinstance(self._fec, NoFec) and self._fec.pattern is not None
            self._steering.prepare(self._encoder, now, repaired=repaired)
            self._encoder.settle(gap=self._gap)

    def send(self) -> list[bytes]:
        """The datagrams that are due of that block."""
        frames = self._encoder.frames
        if not frames:
            return []
        datagrams = [data for frame in frames for data in self._send(frame)]
        self.stats = self._counters.snapshot(self._steering.congestion)
        return datagrams

    def end(self) -> list[bytes]:
        """No more sound is sent: the datagrams that are due because of that."""
        datagrams = list[bytes]()
        for event in self._events.finish(self._media.audio):
            datagrams += self._emit(event, time=self._packetizer.timestamp)
        datagrams += self._emit_repairs(self._fec.flush())
        self.stats = self._counters.snapshot(self._steering.congestion)
        return datagrams

    def leave(self) -> None:
        """Nothing is written any more: others that share the encoder go on."""
        self._encoder.leave()

    def shares(self, encoders: SharedEncoders) -> bool:
        """Whether it sends what these encode."""
        return self._encoders is encoders

    def update(self, media: NegotiatedMedia) -> None:
        """The session was negotiated anew: from the next packet on."""
        self._ip_header = IP_UDP_HEADER[6 if ":" in media.remote[0] else 4]
        codec = self._steering.affordable(media, self._ip_header)
        if codec != self._codec:
            self._encoder.leave()
            self._encoder = self._open(codec, media.audio.ptime)
        self._media, self._added = media, media.header_change + media.tag_length
        self._packetizer.renegotiate(media.ssrc, media.payload_type)
        ceiling = self._steering.update(media, self._ip_header, self._encoder.full_bitrate)
        if ceiling.rate is not None:
            self._on_decision(ceiling.rate)
        self._encoder.resize(self._steering.ptime)
        self._use_pattern(self._steering.pattern)
        self._negotiate_fec()
        self._note_protection()

    def report(self, report: PathReport) -> None:
        """A report of the peer about this stream has come."""
        ptime = self._steering.ptime
        self._follow(self._steering.report(report))
        if self._steering.ptime != ptime:
            self._encoder.resize(self._steering.ptime)
            self._use_pattern(self._steering.pattern)
            self._on_decision(f"packets of {1e3 * self._steering.ptime:g} ms from now on")

    def _open(self, codec: Codec, ptime: float) -> StreamEncoder:
        self._codec = codec
        self._steering.forget_encoder()
        self._copies = CopyEncoder(codec, self._encoders.format[0])
        self._marker = self._gap = True  # the next packet begins a talk spurt
        return self._encoders.join(codec, ptime)

    def _negotiate_fec(self) -> None:
        media, pattern = self._media, self._fec.pattern
        numbers = (media.fec_payload_type, media.red_payload_type)
        rates = (media.repair_clock_rate, media.clock_rate)
        terms = (media.fec, numbers, media.fec_ssrc, media.ssrc, rates, pattern is not None)
        if terms == self._fec_terms:
            return
        self._fec_terms = terms
        sent = self._counters.repair_number  # numbers go on: SRTP must not use one twice (RFC 3711 section 9.1)
        self._fec = create_encoder(
            media.fec,
            pattern,
            payload_type=media.fec_payload_type,
            ssrc=media.fec_ssrc,
            sequence_number=_first_number(media, self._rng) if sent is None else sent + 1,
            numbers=self._packetizer,
            red_payload_type=media.red_payload_type,
            clock_rate=rates[0],
            media_clock_rate=rates[1],
        ) or NoFec(pattern)

    def _send(self, pcm: Pcm) -> list[bytes]:
        """The datagrams of one packet of sound, or of an event in its place."""
        audio, packetizer, rate = self._media.audio, self._packetizer, self._encoder.sample_rate
        duration = len(pcm) * audio.codec.clock_rate // rate
        if not self._media.direction.sends:
            packetizer.skip(duration)
            self._marker = self._gap = True
            return []
        seconds = len(pcm) / rate
        self._counters.frame(seconds, packetizer.timestamp, self._now)
        event = self._events.packet(audio, seconds)
        if event is not None:
            datagrams = self._emit(event, time=packetizer.timestamp)
            packetizer.skip(duration)
            self._gap = True
            return datagrams
        marker = self._marker or self._encoder.marks_frame_ends
        (packet,) = packetizer.packetize([self._encoder.encode(pcm)], duration, marker=marker)
        self._marker = self._gap = False
        copied, pattern = self._fec.blocks, None if isinstance(self._fec, NoFec) else self._fec.pattern
        carried = self._fec.carry(packet, self._copies.encode(pcm, pattern, self._encoder))
        self._counters.copies(self._fec.blocks - copied)
        return self._emit(packet, carried)

    def _emit(self, packet: RtpPacket, carried: RtpPacket | None = None, *, time: int | None = None) -> list[bytes]:
        """The datagrams of a packet, as it is carried, and of the repair packets that are due after it.

        Events are not `carried` by RED: RFC 4733 repeats them by itself. `time` is the media's while one is sent.
        """
        carried = carried or packet
        data = carried.serialize()
        self._count(carried, data, repair=False, copies=len(carried.payload) - len(packet.payload))
        repairs = self._fec.protect(packet, time)
        return [data, *self._emit_repairs(repairs)] if repairs else [data]

    def _emit_repairs(self, packets: list[RtpPacket]) -> list[bytes]:
        datagrams = []
        for packet in packets:
            data = packet.serialize()
            self._count(packet, data, repair=True)
            datagrams.append(data)
        if packets:
            self._counters.repair(packets[-1].sequence_number, packets[-1].timestamp, self._now)
        return datagrams

    def _count(self, packet: RtpPacket, data: bytes, *, repair: bool, copies: int = 0) -> None:
        """A packet goes out; so many bytes of it are copies of others."""
        size = len(data) + self._added
        ip_size = size + self._ip_header
        self._counters.packet(len(packet.payload), size, ip_size, repair=repair)
        if not repair and not self._media.is_played:
            self._counters.unplayed()
        self._follow(self._steering.sent(packet.sequence_number, ip_size, self._now, repair=repair, copies=copies))

    def _follow(self, decisions: Decisions) -> None:
        """Do what was decided anew, and tell it: of FEC only while there is some."""
        if decisions is NOTHING:
            return
        if decisions.rate is not None:
            self._on_decision(decisions.rate)
        if decisions.rate is None and decisions.fec is None:
            return
        self._use_pattern(self._steering.pattern)
        told = None if isinstance(self._fec, NoFec) else decisions.fec
        self._note_protection(told)
        if told is not None:
            self._on_decision(told)


class Fanout:
    """One sound to any number of streams. `stats` and `levels` are replaced whole whenever something is sent.

    The sound is measured once, however many streams there are, and encoded once for all with equal settings that have
    `encoders`; `levels` begin anew with the first stream.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        """`sample_rate` (Hz) and `channels` of the sound that will be written."""
        self.encoders = SharedEncoders(sample_rate, channels)
        self.stats: dict[str, SenderStats] = {}
        self.levels = Levels()
        self._now = 0.0
        self._sample_rate = sample_rate
        self._meter = LevelMeter(sample_rate)
        self._unmeasured: list[Pcm] = []  # no more than a packet: short blocks are measured together
        self._streams: dict[str, tuple[AudioSender, Send]] = {}

    @property
    def idle(self) -> bool:
        """There is no stream."""
        return not self._streams

    def add(self, key: str, sender: AudioSender, send: Send) -> None:
        """A stream joins, made with `encoders`; `send` puts one of its datagrams on the wire."""
        if not sender.shares(self.encoders):
            raise ValueError("a stream of another sound")
        if self.idle:
            self._meter, self._unmeasured = LevelMeter(self._sample_rate), []
        self._streams[key] = (sender, send)
        self._publish()

    def update(self, key: str, media: NegotiatedMedia) -> None:
        """A stream was negotiated anew; unknown streams are ignored: their call may just have ended."""
        if key in self._streams:
            self._streams[key][0].update(media)

    def report(self, key: str, report: PathReport) -> None:
        """The peer of a stream has sent a report; unknown streams are ignored."""
        if key in self._streams:
            self._streams[key][0].report(report)

    def remove(self, key: str) -> SenderStats | None:
        """A stream leaves: send its last datagrams. Returns its final figures; None for an unknown one.

        One of several with the same packets leaves between two of them: what is left belongs to their next.
        """
        if key not in self._streams:
            return None
        sender, send = self._streams.pop(key)
        for datagram in sender.finish():
            send(datagram)
        sender.leave()
        self._publish()
        return sender.stats

    def write(self, pcm: Pcm, now: float) -> list[tuple[Send, bytes]]:
        """Give a block to every stream: what to send, and how."""
        self._now = now
        self._unmeasured.append(pcm)
        if not self.encoders.write(pcm):
            return []
        self._measure()
        for sender, _ in self._streams.values():
            sender.prepare(now)
        outgoing = [(send, data) for sender, send in self._streams.values() for data in sender.send()]
        if outgoing:
            self._publish()
        return outgoing

    def finish(self) -> list[tuple[Send, bytes]]:
        """The sound has ended: what is left to send."""
        self.encoders.flush()
        for sender, _ in self._streams.values():
            sender.prepare(self._now)
        outgoing = [(send, data) for sender, send in self._streams.values() for data in (*sender.send(), *sender.end())]
        self._publish()
        return outgoing

    def _measure(self) -> None:
        if self._unmeasured:
            self._meter.add(np.concatenate(self._unmeasured))
            self._unmeasured = []

    def _publish(self) -> None:
        self._measure()
        self.levels = self._meter.levels
        self.stats = {key: sender.stats for key, (sender, _) in self._streams.items()}


def _takes_copies(media: NegotiatedMedia) -> bool:
    """Whether packets may repeat others at a lower bit rate, beside or in place of repair packets."""
    return media.fec == FLEXFEC and media.red_payload_type is not None and media.audio.codec.implementation.makes_copies


def _first_number(media: NegotiatedMedia, rng: random.Random) -> int:
    """A random first sequence number: of SRTP one of the lower half, so that the packets that are lost at the beginning
    do not hide a wrap from the peer (RFC 4568 section 6.4)."""
    return rng.getrandbits(16) & (0xFFFF if media.security is None else 0x7FFF)
