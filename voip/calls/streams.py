"""The two directions of a media line: what comes is played, what is captured is sent.

The objects here belong to the network thread; each reaches the thread of its device by mailbox. A stream's name there
is its `stream_id`, so that any number of them, of any calls, are mixed into one output and fed from one input.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from voip.audio import AudioSender, Digit, DtmfSender, untaken
from voip.conference import Bridge
from voip.congestion import RateController
from voip.devices import ChangeableSink, ChangeableSource, Device, Sink, Source
from voip.engine import Capture, Playback
from voip.fec import FecController, Pattern
from voip.media import AudioFormat, NegotiatedMedia
from voip.report import Console
from voip.rtp import RtpPacket
from voip.stats import PathReport, ReceiverStats, SenderStats

Ended = Callable[["ReceiverStats | SenderStats | None"], None]
"""Called on the network thread with the last figures of a stream."""
Post = Callable[..., None]
"""Runs a function with its arguments on the network thread."""
Transmit = Callable[[bytes], bool]
"""Sends one datagram to the peer; False while the peer's address is unknown."""

Feed = Capture | Bridge
"""What peers are sent, by a thread of its own: what is captured, or a conference."""


class MediaStream(Protocol):
    """One direction of a media line that flows."""

    def renegotiate(self, media: NegotiatedMedia) -> None:
        """The line was negotiated anew."""

    def end(self, ended: Ended) -> None:
        """Signalling is over: play or send the rest, then call `ended`."""


class ReceiveStream:
    """What comes from the peer is played."""

    def __init__(
        self, call_id: str, stream_id: str, playback: Playback, post: Post, console: Console, peer: str = ""
    ) -> None:
        self._call_id, self._stream_id, self._playback, self._peer = call_id, stream_id, playback, peer
        self._post, self._console = post, console

    def start(self, media: NegotiatedMedia) -> None:
        """Join what is played."""
        self._playback.mailbox.post(self._playback.begin, self._stream_id, media, self._on_digit, self._peer)

    def packet_sink(self, packet: RtpPacket, arrival: float) -> None:
        """Take an accepted packet."""
        self._playback.mailbox.post_packet(self._playback.mixer.put, self._stream_id, packet, arrival)
        if self._console.shows_packets:
            self._console.packet("received", packet)

    def renegotiate(self, media: NegotiatedMedia) -> None:
        self._playback.mailbox.post(self._playback.mixer.update, self._stream_id, media)

    def end(self, ended: Ended) -> None:
        def on_played_out(stats: ReceiverStats) -> None:  # playback thread
            self._post(ended, stats)

        self._playback.mailbox.post(self._playback.mixer.finish, self._stream_id, on_played_out)

    @property
    def delay_max(self) -> float:
        """Seconds by which play-out is delayed at most."""
        return self._playback.latency_max

    @property
    def overruns(self) -> int:
        """Packets that were dropped because the playback thread was far behind."""
        return self._playback.mailbox.overruns

    def statistics(self) -> ReceiverStats | None:
        """What is known so far. Any thread may ask."""
        mixer = self._playback.mixer
        stats = mixer.stats.get(self._stream_id)
        in_mix = mixer.in_mix.get(self._stream_id)
        return stats if stats is None or in_mix is None else replace(stats, in_mix=in_mix)

    def _on_digit(self, digit: Digit) -> None:  # playback thread
        lasted = round(digit.seconds * 1e3)
        text = f"key {digit.key}   pressed for {lasted} ms"
        self._console.event("dtmf", text, call_id=self._call_id, digit=digit.key, duration_ms=lasted)


@dataclass(frozen=True)
class SendSettings:
    """How what is captured is sent.

    fec: which repair packets, None for none of them; "auto": as the peer's reports say, up to fec_max bit/s or
    fec_media_factor times what the media takes, whichever is more. fec_saves_bits: by copies wherever they lose little
    against repair packets. bitrate_max: bit/s of all packets at most, with all headers, None: no limit. keys: the DTMF
    that each peer is sent, "" for none.
    """

    fec: Pattern | Literal["auto"] | None = None
    fec_max: float = 0.0
    fec_media_factor: float = 0.0
    fec_saves_bits: bool = False
    bitrate_max: float | None = None
    keys: str = ""


class SendStream:
    """What is captured goes to the peer."""

    def __init__(
        self, stream_id: str, capture: Feed, post: Post, console: Console, settings: SendSettings, rng: random.Random
    ) -> None:
        self._stream_id, self._capture, self._post, self._console = stream_id, capture, post, console
        self._settings, self._rng = settings, rng
        self._dtmf = DtmfSender(settings.keys)  # capture thread
        self._format: AudioFormat | None = None  # capture thread
        self._final: SenderStats | None = None
        self._reports: deque[PathReport] = deque(maxlen=1)  # for the capture thread
        self._report_waits = False

    def start(self, media: NegotiatedMedia, transmit: Transmit) -> None:
        """Join what is fed from the input; `transmit` is called on the capture thread."""

        def send(datagram: bytes) -> None:
            if transmit(datagram) and self._console.shows_packets:
                self._console.packet("sent", RtpPacket.parse(datagram))

        self._capture.post(self._join, media, send)

    def renegotiate(self, media: NegotiatedMedia) -> None:
        self._capture.post(self._update, media)

    def end(self, ended: Ended) -> None:
        self._capture.post(self._leave, ended)

    def press(self, keys: str) -> None:
        """Send these DTMF digits after those that wait; ValueError for what is none. Without a call they are dropped,
        and those that the peer does not take, which is said."""
        DtmfSender(keys)
        self._capture.post(self._press, keys)

    def _press(self, keys: str) -> None:  # capture thread
        refused = keys if self._format is None else untaken(keys, self._format)
        if refused:
            text = f"peer does not take the DTMF keys {refused} (RFC 4733); they are not sent"
            self._console.event("untaken", text, keys=refused)
        self._dtmf.add("".join(key for key in keys if key.upper() not in refused))

    def on_report(self, report: PathReport) -> None:
        """The peer has reported on what it received. One report at most waits for the capture thread: the newest."""
        self._reports.append(report)
        if not self._report_waits:
            self._report_waits = True
            self._capture.post(self._take_report)

    def statistics(self) -> SenderStats | None:
        """What is known so far, after the end too: the last RTCP of both sides comes later. Any thread may ask."""
        fanout = self._capture.fanout
        stats = fanout.stats.get(self._stream_id)
        return self._final if stats is None else stats._replace(levels=fanout.levels)

    def _take_report(self) -> None:  # capture thread
        self._report_waits = False  # first: what is appended from now on posts anew
        while self._reports:
            self._capture.fanout.report(self._stream_id, self._reports.popleft())

    def _update(self, media: NegotiatedMedia) -> None:  # capture thread
        self._format = media.audio
        self._capture.fanout.update(self._stream_id, media)

    def _join(self, media: NegotiatedMedia, send: Callable[[bytes], None]) -> None:  # capture thread
        source, fec, keys = self._capture.source, self._settings.fec, self._settings.keys
        self._format = media.audio
        if keys and media.audio.telephone_event_payload_type is None:
            self._console.say(0, f"peer does not support DTMF (RFC 4733); {keys} not sent")
        elif refused := untaken(keys, media.audio):
            self._console.say(0, f"peer does not take the DTMF keys {refused} (RFC 4733); they are not sent")
            self._dtmf = DtmfSender("".join(key for key in keys if key.upper() not in refused))
        sender = AudioSender(
            media,
            sample_rate=source.sample_rate,
            channels=source.channels,
            rng=self._rng,
            pattern=None if isinstance(fec, str) else fec,
            control=self._control(media) if isinstance(fec, str) else None,
            rate=RateController(),
            bitrate_max=self._settings.bitrate_max,
            on_decision=lambda reason: self._console.say(1, reason),
            dtmf=self._dtmf,
            encoders=self._capture.fanout.encoders,
        )
        self._capture.fanout.add(self._stream_id, sender, send)

    def _control(self, media: NegotiatedMedia) -> FecController:
        settings = self._settings
        return FecController(
            settings.fec_max,
            media_factor=settings.fec_media_factor,
            ptime=media.packet_time,
            saves_bits=settings.fec_saves_bits,
        )

    def _leave(self, ended: Ended) -> None:  # capture thread
        left, fanout = self._dtmf.left, self._capture.fanout
        self._final = self.statistics()  # until the last ones are here
        stats = fanout.remove(self._stream_id)
        if stats is not None:
            stats = self._final = stats._replace(levels=fanout.levels)
        if stats is not None and left:
            self._console.say(0, f"the call ended before all DTMF digits were sent: {left} not sent")
        self._post(ended, stats)


class AudioStreams:
    """The sound of the program: `playback` plays what peers send, `capture` is sent to them. Either may be absent.
    In a conference `capture` is the bridge."""

    def __init__(
        self,
        post: Post,
        console: Console,
        *,
        playback: Playback | None = None,
        capture: Feed | None = None,
        send: SendSettings | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """`rng`: for SSRCs, sequence numbers and timestamps, which have to be unpredictable."""
        self._post, self._console, self._playback, self._capture = post, console, playback, capture
        self._send, self._rng = send or SendSettings(), rng or random.SystemRandom()

    @property
    def plays(self) -> bool:
        """Whether what peers send is played."""
        return self._playback is not None

    @property
    def available(self) -> bool:
        """Whether there is a speaker, as far as one is needed."""
        return self._playback is None or self._playback.sink.available

    @property
    def output_latency(self) -> float | None:
        """Seconds that the speaker takes by its own account; None where it is none, or does not tell."""
        return None if self._playback is None else getattr(self._playback.sink, "latency", None)

    @property
    def input(self) -> str:
        """What peers are sent, for people; "" for nothing."""
        return "" if self._capture is None else self._capture.source.description

    @property
    def microphone(self) -> str:
        """The microphone that peers are sent, for people; "" for another input, and while it is gone."""
        source = None if self._capture is None else self._capture.source
        return source.description if source is not None and source.live and source.available else ""

    @property
    def xruns(self) -> int:
        """How often samples were lost or missing at a device so far."""
        capture = 0 if self._capture is None else self._capture.source.xruns
        return capture + (0 if self._playback is None else self._playback.sink.xruns)

    def adjust(self, call_id: str, *, gain_db: float, muted: bool) -> None:
        """How loud a call is heard, and whether it is left out of what is heard. Any thread may ask for it."""
        if self._playback is not None:
            mixer = self._playback.mixer
            self._playback.mailbox.post(partial(mixer.adjust, _stream_id(call_id, 0), gain_db=gain_db, muted=muted))

    @property
    def sends(self) -> bool:
        """Whether peers are sent anything."""
        return self._capture is not None

    @property
    def input_device(self) -> Source | None:
        """The microphone, or what stands for it; None for none, and in a conference. Any thread may look."""
        return self._capture.source if isinstance(self._capture, Capture) else None

    @property
    def output_device(self) -> Sink | None:
        """The speaker, or what stands for it; None for none. Any thread may look."""
        return None if self._playback is None else self._playback.sink

    def can_change(self, way: Literal["input", "output"]) -> bool:
        """Whether the device of a direction can be exchanged for another."""
        device = self.input_device if way == "input" else self.output_device
        return isinstance(device, ChangeableSource | ChangeableSink)

    def change_input(self, source: Source, on_changed: Callable[[Device], object]) -> None:
        """Capture from this one from the next block on, in calls that are up, too. Any thread may ask; `on_changed` is
        called on the capture thread with the one before, which has to be closed."""
        if isinstance(self._capture, Capture) and isinstance(self._capture.source, ChangeableSource):
            changeable = self._capture.source
            self._capture.post(lambda: on_changed(changeable.change(source)))

    def change_output(self, sink: Sink, on_changed: Callable[[Device], object]) -> None:
        """As `change_input`, for what is played, on the playback thread."""
        if self._playback is not None and isinstance(self._playback.sink, ChangeableSink):
            changeable = self._playback.sink
            self._playback.mailbox.post(lambda: on_changed(changeable.change(sink)))

    @property
    def files(self) -> tuple[Path, ...]:
        """What was recorded so far. Any thread may ask."""
        return () if self._playback is None else self._playback.files

    @property
    def microphone_muted(self) -> bool | None:
        """Whether silence is sent in place of what is captured; None where that cannot be asked for. Any thread."""
        return self._capture.muted if isinstance(self._capture, Capture) else None

    def mute_microphone(self, muted: bool) -> None:
        """Send silence in place of what is captured, or that again. Any thread."""
        if isinstance(self._capture, Capture):
            self._capture.mute(muted)

    @property
    def limited(self) -> int | None:
        """Samples of what was heard that were made softer, since there was too much at once; None: nothing is played.
        Any thread may ask."""
        return None if self._playback is None else self._playback.mixer.limited

    def open(
        self, call_id: str, number: int, peer: str = "", send_as: SendSettings | None = None
    ) -> tuple[ReceiveStream | None, SendStream | None]:
        """The streams of the media line of this number in a call with `peer`; they flow when they are started.

        `send_as`: how this call is sent, if not as all."""
        stream_id = _stream_id(call_id, number)
        receive = send = None
        if self._playback is not None:
            receive = ReceiveStream(call_id, stream_id, self._playback, self._post, self._console, peer)
        if self._capture is not None:
            send = SendStream(stream_id, self._capture, self._post, self._console, send_as or self._send, self._rng)
        return receive, send


def _stream_id(call_id: str, number: int) -> str:
    return f"{call_id}/{number}"
