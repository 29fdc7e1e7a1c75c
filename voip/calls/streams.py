"""The two directions of a call's media: what is heard goes to the playback thread, what is said comes from capture.

A call has one or both. Each belongs to the network thread and reaches its own by mailbox.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from voip.audio import AudioSender, Digit, DtmfSender
from voip.engine import Capture, Playback
from voip.fec import FecController, Pattern
from voip.media import NegotiatedMedia
from voip.net import MediaTransport, Network
from voip.report import Console
from voip.rtcp import ReportSources
from voip.rtp import RtpPacket
from voip.stats import ReceiverStats, SenderStats

Ended = Callable[["ReceiverStats | SenderStats | None"], None]
"""Called on the network thread with the last figures of a stream."""


class Stream(ABC):
    """One direction of all calls."""

    @property
    @abstractmethod
    def available(self) -> bool:
        """Whether its device is there."""

    @abstractmethod
    def begin(self, call_id: str, media: NegotiatedMedia, port: MediaTransport) -> None:
        """A call is agreed on: let it flow."""

    @abstractmethod
    def change(self, call_id: str, media: NegotiatedMedia) -> None:
        """The call was negotiated anew."""

    @abstractmethod
    def end(self, call_id: str, ended: Ended) -> None:
        """Signalling is over: see to the rest, then `ended`, on the network thread."""

    @abstractmethod
    def report_sources(self, call_id: str, sources: ReportSources) -> ReportSources:
        """`sources` with what the call's RTCP needs of this direction."""


class Hearing(Stream):
    """What comes from the peers is played."""

    def __init__(self, network: Network, playback: Playback, console: Console) -> None:
        self._network, self._playback, self._console = network, playback, console

    @property
    def available(self) -> bool:
        return self._playback.sink.available

    def begin(self, call_id: str, media: NegotiatedMedia, port: MediaTransport) -> None:
        def on_digit(digit: Digit) -> None:  # playback thread
            lasted = round(digit.seconds * 1e3)
            text = f"key {digit.key}   pressed for {lasted} ms"
            self._console.event("dtmf", text, call_id=call_id, digit=digit.key, duration_ms=lasted)

        self._playback.mailbox.post(self._playback.begin, call_id, media, on_digit)

    @property
    def overruns(self) -> int:
        """Packets dropped because play-out had fallen far behind."""
        return self._playback.mailbox.overruns

    def taker(self, call_id: str) -> Callable[[RtpPacket, float], None]:
        """What each accepted packet is given to."""
        mailbox, put = self._playback.mailbox, self._playback.mixer.put

        def on_packet(packet: RtpPacket, arrival: float) -> None:
            mailbox.post_packet(put, call_id, packet, arrival)
            if self._console.shows_packets:
                self._console.packet("received", packet)

        return on_packet

    def change(self, call_id: str, media: NegotiatedMedia) -> None:
        self._playback.mailbox.post(self._playback.mixer.update, call_id, media)

    def end(self, call_id: str, ended: Ended) -> None:
        def played_out(stats: ReceiverStats) -> None:  # playback thread
            self._network.loop.post(ended, stats)

        self._playback.mailbox.post(self._playback.mixer.finish, call_id, played_out)

    def report_sources(self, call_id: str, sources: ReportSources) -> ReportSources:
        limit = self._playback.latency_max
        return replace(sources, receiver_stats=lambda: self.statistics(call_id), buffer_limit=limit)

    def statistics(self, call_id: str) -> ReceiverStats | None:
        """What is known so far."""
        return self._playback.mixer.stats.get(call_id)


class Speaking(Stream):
    """What is captured goes to the peers.

    fec: which repair packets to send, None for none of them; "auto": as the peer's reports say, up to fec_max bit/s.
    keys: what each peer is dialled in the call, "" for nothing.
    """

    def __init__(
        self,
        network: Network,
        capture: Capture,
        console: Console,
        *,
        fec: Pattern | Literal["auto"] | None,
        fec_max: float,
        rng: random.Random,
        keys: str = "",
    ) -> None:
        self._network, self.capture, self._console = network, capture, console
        self._fec, self._fec_max, self._rng, self._keys = fec, fec_max, rng, keys
        self._diallers: dict[str, DtmfSender] = {}  # capture thread

    @property
    def available(self) -> bool:
        return self.capture.source.available

    def begin(self, call_id: str, media: NegotiatedMedia, port: MediaTransport) -> None:
        def send(datagram: bytes) -> None:  # capture thread
            if port.send_rtp(datagram) and self._console.shows_packets:
                self._console.packet("sent", RtpPacket.parse(datagram))

        self.capture.mailbox.post(self._feed, call_id, media, send)
        self.capture.begin.set()

    def _feed(self, call_id: str, media: NegotiatedMedia, send: Callable[[bytes], None]) -> None:
        """Capture thread: the stream joins."""
        source, fec = self.capture.source, self._fec
        dialler = self._diallers[call_id] = DtmfSender(self._keys)
        if self._keys and media.audio.telephone_event_payload_type is None:
            self._console.say(0, f"the other side takes no telephone events: {self._keys} is not dialled")
        sender = AudioSender(
            media,
            sample_rate=source.sample_rate,
            channels=source.channels,
            rng=self._rng,
            pattern=None if isinstance(fec, str) else fec,
            control=FecController(self._fec_max, ptime=media.packet_time) if isinstance(fec, str) else None,
            on_decision=lambda reason: self._console.say(1, reason),
            dtmf=dialler,
        )
        self.capture.fanout.add(call_id, sender, send)

    def change(self, call_id: str, media: NegotiatedMedia) -> None:
        self.capture.mailbox.post(self.capture.fanout.update, call_id, media)

    def end(self, call_id: str, ended: Ended) -> None:
        def starve() -> None:  # capture thread
            left = self._diallers.pop(call_id).left if call_id in self._diallers else ""
            if left:
                self._console.say(0, f"the call ended before all keys were dialled: {left} is left")
            self._network.loop.post(ended, self.capture.fanout.remove(call_id))

        self.capture.mailbox.post(starve)

    def report_sources(self, call_id: str, sources: ReportSources) -> ReportSources:
        mailbox, fanout = self.capture.mailbox, self.capture.fanout
        return replace(
            sources,
            sender_stats=lambda: self.statistics(call_id),
            on_report=lambda report: mailbox.post(fanout.report, call_id, report),
        )

    def statistics(self, call_id: str) -> SenderStats | None:
        """What is known so far."""
        return self.capture.fanout.stats.get(call_id)
