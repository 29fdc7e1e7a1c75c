"""A network in memory and whole calls in virtual time: `now` is a number, every random choice comes from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from tests.support.bottleneck import DropTail, QueueRecord
from tests.support.negotiated import negotiated
from tests.support.network import Impairment, Path, Wire
from voip.audio import AudioReceiver, AudioSender, Digit
from voip.codecs import Codec, find
from voip.dsp import Pcm
from voip.fec import Pattern, parse_pattern
from voip.media import NegotiatedMedia
from voip.rtp import RtpPacket, is_rtcp
from voip.session import RtpSession
from voip.stats import ReceiverStats, SenderStats

BLOCK = 0.01
"""Seconds that both devices handle at a time."""
SENDER = ("192.0.2.1", 40000)
RECEIVER = ("192.0.2.2", 5000)
FEC_PAYLOAD_TYPE = 97
RED_PAYLOAD_TYPE = 98


class Link:
    """One direction of a network for media (`tests.support.network`), which counts what it does to them.

    `burst`: mean run of lost packets (Gilbert model); 1: independent. Without `reorder` a packet waits for the one
    before it. `drop` may be set, and `change` called, while a call runs.
    """

    def __init__(
        self,
        *,
        drop: Callable[[RtpPacket], bool] | None = None,
        seed: int = 1,
        line: DropTail | None = None,
        **impairment: float,
    ) -> None:
        """`impairment`: fields of `network.Impairment`. `line`: a bottleneck."""
        fields = Impairment(**impairment)  # type: ignore[arg-type]
        self.wire = Wire(Path(fields, settled=False, rng=random.Random(seed), line=line))
        self.drop = drop
        self.lost = 0
        """Media packets that never came out."""
        self.offered = 0
        """Media packets that went in."""

    @property
    def impairment(self) -> Impairment:
        return self.wire.path.impairment

    @property
    def queue(self) -> QueueRecord:
        """What the packets met at the bottleneck."""
        return self.wire.path.queue

    @property
    def ip_bytes(self) -> int:
        """Bytes that went in, with headers."""
        return self.wire.ip_bytes

    def change(self, **changes: float) -> None:
        """From now on these fields of the impairment are others."""
        self.wire.path.change(**changes)

    def block(self, until: float) -> None:
        """Until then nothing comes out; then all at once."""
        self.wire.blocked_until = until

    def send(self, datagram: bytes, now: float) -> None:
        packet = None if is_rtcp(datagram) else RtpPacket.parse(datagram)
        media = packet is not None and is_media(packet)
        self.offered += media
        drop = self.drop
        if not self.wire.send(datagram, now, drop=lambda: drop is not None and packet is not None and drop(packet)):
            self.lost += media

    def deliver(self, now: float) -> Iterator[tuple[bytes, float]]:
        """Datagrams that have come out by `now`, with their arrival."""
        return self.wire.deliver(now)


def is_media(packet: RtpPacket) -> bool:
    """Whether a packet has sound of its own, perhaps carried by RED, rather than parity."""
    carried = packet.payload_type == RED_PAYLOAD_TYPE and packet.payload[0] == FEC_PAYLOAD_TYPE
    return packet.payload_type != FEC_PAYLOAD_TYPE and not carried


def media(
    codec: Codec | None = None, *, ptime: float = 0.02, fec: str = "off", scheme: str = "flexfec", **changes: object
) -> NegotiatedMedia:
    """What both sides agreed on; SSRCs included. `scheme` "ulpfec red": ULPFEC carried by RED."""
    codec = codec or l16(8000)
    pattern = parse_pattern(fec)
    window = pattern.window * ptime if pattern else 0.0
    values: dict[str, object] = {
        "codec": codec,
        "payload_type": 96,
        "remote": SENDER,
        "ptime": ptime,
        "fec": scheme.split()[0] if pattern else None,
        "fec_payload_type": FEC_PAYLOAD_TYPE if pattern and scheme != "red" else None,
        "red_payload_type": RED_PAYLOAD_TYPE if pattern and "red" in scheme else None,
        "repair_window": window,
        "ssrc": 0x11111111,
        "fec_ssrc": 0x22222222,
        "remote_ssrc": 0x11111111,
        "remote_fec_ssrc": 0x22222222,
    }
    return negotiated(**(values | changes))


def l16(rate: int, channels: int = 1) -> Codec:
    codec = find("L16", rate, channels)
    assert codec is not None
    return codec


class Wrapping(random.Random):
    """Random numbers whose first sequence number and timestamp lie just below their wraps."""

    def getrandbits(self, k: int) -> int:
        return (1 << k) - (40 if k == 16 else 20000)


def noise(seconds: float, rate: int = 8000, channels: int = 1, seed: int = 7) -> Pcm:
    """Sound of which no stretch is like another, and no sample 0."""
    samples = np.random.default_rng(seed).integers(1, 12000, (round(seconds * rate), channels))
    return samples.astype(np.int16)


@dataclass
class CallResult:
    """What a call came to: both sounds, the figures at its end, and the delay as it went, every tenth second."""

    heard: Pcm
    sent: Pcm
    stats: ReceiverStats
    sender: SenderStats
    link: Link
    rate: int
    snapshots: list[ReceiverStats] = field(default_factory=list)

    def exact(self) -> bool:
        """Whether all that was sent was heard, sample by sample and without a break."""
        start = locate(self.heard, self.sent)
        return bool(np.array_equal(self.heard[start : start + len(self.sent)], self.sent))

    def share_missing(self) -> float:
        """The share of the sent samples that were not heard as sent, cross-fades included."""
        return 1.0 - intact(self.sent, self.heard) / len(self.sent)

    def heard_at(self, sent_at: float, within: float = 1.0) -> float:
        """Seconds into what was heard at which the sound sent from `sent_at` on begins; 16 samples must match."""
        rate = self.rate
        places = {self.heard[i : i + 16].tobytes(): i for i in range(len(self.heard) - 16)}
        for i in range(round(sent_at * rate), min(round((sent_at + within) * rate), len(self.sent) - 16)):
            found = places.get(self.sent[i : i + 16].tobytes())
            if found is not None:
                return found / rate
        raise AssertionError(f"nothing sent in the second from {sent_at} on is heard")

    def delay(self, at: float) -> float:
        """Seconds by which what is heard from `at` on is behind what was sent, blocks counted, not the clock."""
        rate = self.rate
        index = {self.sent[i : i + 16].tobytes(): i for i in range(len(self.sent) - 16)}
        for i in range(round(at * rate), round((at + 0.2) * rate)):
            found = index.get(self.heard[i : i + 16].tobytes())
            if found is not None:
                return (i - found) / rate
        raise AssertionError(f"nothing that was sent is heard at {at}")


def locate(heard: Pcm, sent: Pcm) -> int:
    """Where in `heard` the first 16 samples of `sent` are."""
    key, start = sent[:16].tobytes(), sent[0, 0]
    for i in np.flatnonzero(heard[:, 0] == start):
        if heard[i : i + 16].tobytes() == key:
            return int(i)
    raise AssertionError("the beginning is not heard")


def intact(sent: Pcm, heard: Pcm, piece: int = 16) -> int:
    """Samples of `sent`, counted in pieces, that are found in `heard` one after the other."""
    places: dict[bytes, int] = {}
    for i in range(len(heard) - piece + 1):
        places.setdefault(heard[i : i + piece].tobytes(), i)
    return piece * sum(sent[i : i + piece].tobytes() in places for i in range(0, len(sent) - piece + 1, piece))


def check(stats: ReceiverStats) -> None:
    """What holds in every snapshot."""
    assert stats.expected == stats.received + stats.lost
    assert stats.lost == stats.recovered + stats.lost_after_fec
    assert stats.lost >= 0
    assert stats.recovered >= 0
    assert stats.lost_after_fec >= 0
    runs = stats.loss_runs
    assert runs["1"] + 2 * runs["2"] + 3 * runs["3+"] <= stats.lost
    heard = stats.playout
    altered = heard.concealed_seconds + heard.skipped_seconds + heard.silent_seconds + heard.unheard_seconds
    assert heard.longest_gap <= altered + 1e-9


def check_unaltered(stats: ReceiverStats) -> None:
    """Everything was played as it was sent, in its turn."""
    playout = stats.playout
    altered = playout.concealed, playout.skipped, playout.late, playout.underruns, playout.resyncs
    assert altered == (0, 0, 0, 0, 0)


class Call:
    """Both ends of a call over a link, block by block; a test may meddle between the blocks."""

    source_rate = 0
    """Samples a second of the sound that is sent; 0: the codec's."""

    def __init__(
        self,
        link: Link | None = None,
        agreed: NegotiatedMedia | None = None,
        *,
        fec: str = "off",
        latency: float | None = 0.06,
        latency_max: float = 0.5,
        skew_ppm: float = 0.0,
        sink: tuple[int, int] | None = None,
        block: float = BLOCK,
        seed: int = 3,
    ) -> None:
        self.media = agreed or media(fec=fec)
        self.link = link or Link()
        self.rate, self.channels = self.media.audio.codec.sample_rate, self.media.audio.codec.channels
        self.source_rate = self.source_rate or self.rate
        self.sink = sink or (self.rate, self.channels)
        self.pattern: Pattern | None = parse_pattern(fec)
        self.now = 1000.0
        self.wobble: Callable[[int], float] = lambda block: 0.0
        """Seconds by which the receiver's n-th block is pulled late."""
        self.sender = self.new_sender(Wrapping(seed))
        self.session = RtpSession(self.media)
        self.digits: list[Digit] = []
        """Keys that the receiver has heard."""
        self.receiver = AudioReceiver(
            self.media,
            sample_rate=self.sink[0],
            channels=self.sink[1],
            latency=latency,
            latency_max=latency_max,
            on_digit=self.digits.append,
        )
        self.sent: list[Pcm] = []
        self.heard: list[Pcm] = []
        self.snapshots: list[ReceiverStats] = []
        self._block = 0
        self.block = block
        self._period = block * (1.0 + skew_ppm * 1e-6)
        self._due = self.now + block

    def new_sender(self, rng: random.Random) -> AudioSender:
        """A sender that has just started."""
        return AudioSender(
            self.media, sample_rate=self.source_rate, channels=self.channels, rng=rng, pattern=self.pattern
        )

    def talk(self, sound: Pcm) -> None:
        """Send `sound` and hear what comes, block by block."""
        block = round(self.block * self.source_rate)
        for start in range(0, len(sound), block):
            piece = sound[start : start + block]
            self.speak(piece)
            self.listen()

    def speak(self, piece: Pcm) -> None:
        """The sender's device has a block."""
        self.sent.append(piece)
        for datagram in self.sender.write(piece, self.now):
            self.transmit(datagram)

    def transmit(self, datagram: bytes) -> None:
        """A packet of the sender's goes out."""
        self.link.send(datagram, self.now)

    def wait(self, seconds: float) -> None:
        """Hear, while nothing is sent."""
        for _ in range(round(seconds / self.block)):
            self.listen()

    def listen(self) -> None:
        """One block's time passes, and the receiver's device pulls what its own clock asks for."""
        self.now += self.block
        while self._due <= self.now + self.block / 1000:
            self.pull(self._due + self.wobble(self._block))
            self._due += self._period
            self._block += 1

    def freeze(self, seconds: float, sound: Pcm | None = None, *, catch_up: bool = False) -> None:
        """The receiver stands still while the sender goes on with `sound`; then its device asks for no more than ever.

        `catch_up`: a file does not wait: what has not been pulled is pulled at once.
        """
        block = round(self.block * self.rate)
        for i in range(round(seconds / self.block)):
            if sound is not None:
                self.speak(sound[i * block : (i + 1) * block])
            self.now += self.block
        if not catch_up:
            self._due = self.now + self.block
        arrived = [(packet, self.now) for packet, _ in self.arrivals(self.now)]
        for packet, arrival in arrived:
            self.receiver.put(packet, arrival)

    def pull(self, now: float) -> None:
        """The receiver's device wants a block."""
        self.receive(now)
        self.heard.append(self.receiver.read(round(self.block * self.sink[0]), now))
        if not self.snapshots or self.receiver.stats is not self.snapshots[-1]:
            check(self.receiver.stats)
            self.snapshots.append(self.receiver.stats)

    def receive(self, now: float) -> None:
        """What the network has brought by `now`."""
        for packet, arrival in self.arrivals(now):
            self.receiver.put(packet, arrival)

    def arrivals(self, now: float) -> Iterator[tuple[RtpPacket, float]]:
        """Packets that the session lets pass."""
        for datagram, arrival in self.link.deliver(now):
            for packet in self.session.receive_datagram(datagram, SENDER, arrival):
                yield packet, arrival

    def end(self) -> CallResult:
        """The sender finishes, the last packets come in, and all is played."""
        for datagram in self.sender.finish():
            self.transmit(datagram)
        self.wait(self.link.impairment.delay + 0.1 + 10 * self.link.impairment.jitter)
        self.receiver.finish(self.now)
        for _ in range(1000):
            if self.receiver.drained:
                break
            self.listen()
        assert self.receiver.drained
        return self.result()

    def result(self) -> CallResult:
        stats = self.receiver.snapshot()
        check(stats)
        heard, sent = np.concatenate(self.heard), np.concatenate(self.sent)
        return CallResult(heard, sent, stats, self.sender.stats, self.link, self.rate, self.snapshots)


def call(
    seconds: float,
    *,
    link: Link | None = None,
    agreed: NegotiatedMedia | None = None,
    fec: str = "off",
    latency: float | None = 0.06,
    latency_max: float = 0.5,
) -> CallResult:
    """A whole call of noise, from first to last sample."""
    both = Call(link, agreed, fec=fec, latency=latency, latency_max=latency_max)
    both.talk(noise(seconds, both.rate, both.channels))
    result = both.end()
    assert result.stats.lost == (link.lost if link else 0)
    return result
