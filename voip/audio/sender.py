"""Sending: sound of any format in, RTP datagrams in sending order out (RFC 3550 section 5.1, RFC 3551 section 4.1)."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from voip.audio.convert import Converter
from voip.audio.events import Dialler, Sounding
from voip.audio.in_band import ExpectedLoss
from voip.dsp import Pcm
from voip.fec import FecController, FecEncoder, Pattern, create_encoder
from voip.ip import IP_UDP_HEADER
from voip.media import NegotiatedMedia
from voip.rtp import Packetizer, RtpPacket
from voip.stats import PathReport, SenderStats

Send = Callable[[bytes], None]


class AudioSender:
    """One stream that we send: reframe to the negotiated packet time, encode, packetize, protect.

    `pattern` says which repair packets to send, to a peer that agreed to them; it may be replaced at any time. With a
    `control` that is done here, as the peer's reports ask for it.
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
        on_decision: Callable[[str], None] = lambda reason: None,
        dialler: Dialler | None = None,
    ) -> None:
        """`sample_rate` and `channels` of the sound that will be written.

        `control` chooses the pattern in place of `pattern`; `on_decision` gets a line for people with each change.
        `dialler` says which keys stand in for the sound, to a peer that takes telephone events.
        """
        self.stats = SenderStats()
        """Replaced whole with every `write` that sends."""
        self._format = (sample_rate, channels)
        self._rng = rng
        self._control = control
        self._on_decision = on_decision
        self._dialler = dialler
        self._pressed = 0  # timestamp of the key that is being sent
        self._pattern = control.pattern if control is not None else pattern
        self._packetizer = Packetizer(media.ssrc, media.payload_type, rng.getrandbits(16), rng.getrandbits(32))
        self._fec: FecEncoder | None = None
        self._fec_terms: tuple[object, ...] = ()
        self._expected_loss = ExpectedLoss()
        self._prepared_for: float | None = None
        self._marker = True  # the next packet begins a talk spurt
        self._pending: list[Pcm] = []
        self._pending_samples = 0
        self._packets = self._fec_packets = self._bytes = self._ip_bytes = 0
        self._payload_bytes = self._fec_payload_bytes = 0
        self._copies_before = 0
        self._timestamp: int | None = None
        self._timestamp_at: float | None = None
        self._seconds = self._now = 0.0
        self.path: PathReport | None = None
        """The newest that the peer has told of this stream."""
        self._media: NegotiatedMedia | None = None
        self._negotiate(media)

    @property
    def pattern(self) -> Pattern | None:
        """Which packets the repair packets cover."""
        return self._pattern

    @pattern.setter
    def pattern(self, pattern: Pattern | None) -> None:
        self._pattern = pattern
        if self._fec is not None:
            self._fec.pattern = pattern
        else:
            self._negotiate_fec()

    def write(self, pcm: Pcm, now: float) -> list[bytes]:
        """Take sound of any length; the datagrams that have become due, in sending order."""
        self._now = now
        return self._cut(self._converter.process(pcm))

    def finish(self, now: float) -> list[bytes]:
        """The stream ends: the datagrams for what is left of it, a shorter packet if need be, and their repair."""
        datagrams = self._cut(self._converter.flush())
        if self._packets:
            datagrams += self._cut(np.zeros((self._encoder.flush_samples, self._codec.channels), np.int16))
        if self._pending_samples:
            datagrams += self._send(np.concatenate(self._pending))
            self._pending, self._pending_samples = [], 0
        if self._dialler is not None:
            for sounding in self._dialler.finish():
                datagrams += self._emit(self._event(sounding))
        if self._fec is not None:
            datagrams += self._emit_repairs(self._fec.flush())
        self._publish()
        return datagrams

    def update(self, media: NegotiatedMedia) -> None:
        """The session was negotiated anew: from the next packet on."""
        self._negotiate(media)

    def report(self, report: PathReport) -> None:
        """The peer has told how this stream fares."""
        self.path = report
        self._expected_loss.report(report)
        if self._control is not None:
            self._steer(self._control.report(report))

    def _negotiate(self, media: NegotiatedMedia) -> None:
        codec = media.audio.codec
        if self._media is None or codec != self._media.audio.codec:
            self._marker = True
            self._encoder = codec.encoder(self._format[0])
            self._prepared_for = None
            self._rate = self._encoder.sample_rate
            self._converter = Converter(self._format, (self._rate, codec.channels))
            self._pending, self._pending_samples = [], 0
        self._media, self._codec, self._sends = media, codec, media.direction.sends
        if self._control is not None:
            self._control.ptime = media.audio.ptime
        self._frame = max(1, round(media.audio.ptime * self._rate))
        self._header = IP_UDP_HEADER[6 if ":" in media.remote[0] else 4]
        self._packetizer.payload_type = media.payload_type
        self._packetizer.ssrc = media.ssrc
        self._negotiate_fec()

    def _negotiate_fec(self) -> None:
        media = self._media
        assert media is not None
        numbers = (media.fec_payload_type, media.red_payload_type)
        terms = (media.fec, numbers, media.fec_ssrc, media.ssrc, self._pattern is not None)
        if terms == self._fec_terms:
            return
        self._fec_terms = terms
        self._copies_before = self._copies
        self._fec = create_encoder(
            media.fec,
            self._pattern,
            payload_type=media.fec_payload_type,
            ssrc=media.fec_ssrc,
            sequence_number=self._rng.getrandbits(16),
            numbers=self._packetizer,
            red_payload_type=media.red_payload_type,
        )

    @property
    def _copies(self) -> int:
        """Packets sent once more within others."""
        return self._copies_before + (self._fec.blocks if self._fec is not None else 0)

    def _cut(self, pcm: Pcm) -> list[bytes]:
        """Send what makes whole packets together with what was left before."""
        if len(pcm):
            self._pending.append(pcm)
            self._pending_samples += len(pcm)
        if self._pending_samples < self._frame:
            return []
        sound = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
        datagrams: list[bytes] = []
        position = 0
        while len(sound) - position >= self._frame:
            datagrams += self._send(sound[position : position + self._frame])
            position += self._frame
        self._pending = [sound[position:]] if position < len(sound) else []
        self._pending_samples = len(sound) - position
        self._publish()
        return datagrams

    def _send(self, pcm: Pcm) -> list[bytes]:
        codec = self._codec
        duration = len(pcm) * codec.clock_rate // self._rate
        if not self._sends:
            self._packetizer.skip(duration)
            self._marker = True
            return []
        self._seconds += len(pcm) / self._rate
        self._timestamp, self._timestamp_at = self._packetizer.timestamp, self._now
        sounding = self._sounding(len(pcm) / self._rate)
        if sounding is not None:
            datagrams = self._emit(self._event(sounding))
            self._packetizer.skip(duration)
            return datagrams
        self._prepare()
        marker = self._marker or self._encoder.marks_frame_ends
        (packet,) = self._packetizer.packetize([self._encoder.encode(pcm)], duration, marker=marker)
        self._marker = False
        return self._emit(packet, packet if self._fec is None else self._fec.carry(packet))

    def _sounding(self, seconds: float) -> Sounding | None:
        """What stands in for so much sound."""
        taken = self._media is not None and self._media.audio.telephone_event_payload_type is not None
        return self._dialler.frame(seconds) if self._dialler is not None and taken else None

    def _event(self, sounding: Sounding) -> RtpPacket:
        """A packet of a key: protected as sound is, by parity; RED carries it not (RFC 4733 repeats it by itself)."""
        media, packetizer = self._media, self._packetizer
        assert media is not None
        assert media.audio.telephone_event_payload_type is not None
        if sounding.first:
            self._pressed = packetizer.timestamp
        payload = sounding.payload(media.audio.telephone_event_rate)
        return packetizer.aside(media.audio.telephone_event_payload_type, payload, self._pressed, marker=sounding.first)

    def _emit(self, packet: RtpPacket, carried: RtpPacket | None = None) -> list[bytes]:
        """The datagrams of a packet, as it is carried, and of the repair packets that are due after it."""
        carried = carried or packet
        data = carried.serialize()
        self._packets += 1
        self._payload_bytes += len(carried.payload)
        self._count(packet, data, repair=False)
        datagrams = [data]
        if self._fec is not None:
            datagrams += self._emit_repairs(self._fec.protect(packet))
        return datagrams

    def _prepare(self) -> None:
        """Let the encoder add in-band FEC, while packets are lost that the peer cannot have rebuilt."""
        repaired = self._fec is not None and self._pattern is not None
        loss = 0.0 if repaired else self._expected_loss.at(self._now)
        if loss != self._prepared_for:
            self._prepared_for = loss
            self._encoder.set_loss(loss, in_band_fec=True)

    def _emit_repairs(self, packets: list[RtpPacket]) -> list[bytes]:
        datagrams = [packet.serialize() for packet in packets]
        for packet, data in zip(packets, datagrams, strict=True):
            self._fec_packets += 1
            self._fec_payload_bytes += len(packet.payload)
            self._count(packet, data, repair=True)
        return datagrams

    def _count(self, packet: RtpPacket, data: bytes, *, repair: bool) -> None:
        size = len(data) + self._header
        self._bytes += len(data)
        self._ip_bytes += size
        if self._control is not None:
            self._steer(self._control.sent(packet.sequence_number, size, self._now, repair=repair))

    def _steer(self, reason: str | None) -> None:
        """The controller may have decided anew."""
        if reason is not None and self._fec is not None and self._control is not None:
            self.pattern = self._control.pattern
            self._on_decision(reason)

    def _publish(self) -> None:
        self.stats = SenderStats(
            packets=self._packets,
            fec_packets=self._fec_packets,
            fec_copies=self._copies,
            bytes=self._bytes,
            ip_bytes=self._ip_bytes,
            seconds=self._seconds,
            payload_bytes=self._payload_bytes,
            fec_payload_bytes=self._fec_payload_bytes,
            timestamp=self._timestamp,
            timestamp_at=self._timestamp_at,
        )


class Fanout:
    """One sound to any number of streams. `stats` is replaced whole whenever something is sent."""

    def __init__(self) -> None:
        self.stats: dict[str, SenderStats] = {}
        self._streams: dict[str, tuple[AudioSender, Send]] = {}

    @property
    def idle(self) -> bool:
        """Nobody is sent to."""
        return not self._streams

    def add(self, key: str, sender: AudioSender, send: Send) -> None:
        """A stream joins; `send` puts one of its datagrams on the wire."""
        self._streams[key] = (sender, send)
        self._publish()

    def update(self, key: str, media: NegotiatedMedia) -> None:
        """A stream was negotiated anew; unknown ones are ignored: their call may just have ended."""
        if key in self._streams:
            self._streams[key][0].update(media)

    def report(self, key: str, report: PathReport) -> None:
        """The peer of a stream has told how it fares; unknown ones are ignored."""
        if key in self._streams:
            self._streams[key][0].report(report)

    def remove(self, key: str) -> SenderStats | None:
        """A stream leaves; its last datagrams are sent. Its final figures; None for an unknown one."""
        if key not in self._streams:
            return None
        sender, send = self._streams.pop(key)
        for datagram in sender.finish(0.0):
            send(datagram)
        self._publish()
        return sender.stats

    def write(self, pcm: Pcm, now: float) -> list[tuple[Send, bytes]]:
        """Give a block to every stream: what to send, and how."""
        outgoing = [(send, data) for sender, send in self._streams.values() for data in sender.write(pcm, now)]
        if outgoing:
            self._publish()
        return outgoing

    def finish(self, now: float) -> list[tuple[Send, bytes]]:
        """The sound has ended: what is left to send."""
        outgoing = [(send, data) for sender, send in self._streams.values() for data in sender.finish(now)]
        self._publish()
        return outgoing

    def _publish(self) -> None:
        self.stats = {key: sender.stats for key, (sender, _) in self._streams.items()}
