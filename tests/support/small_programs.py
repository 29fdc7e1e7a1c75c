"""What small programs send and play whose formats `voip.formats` knows: own models of how they behave, in virtual time.

    arrivals = carried(pcm_datagrams(sound), Impairment(loss=0.1), seed=1)
    ours, theirs = heard(form, arrivals, seconds), play_blocks(arrivals, seconds)

Bytes are made and read here without the code of the program.
"""

from __future__ import annotations

import io
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from tests.support.network import Impairment, Path
from voip.audio import AudioReceiver
from voip.dsp import Pcm
from voip.formats import DatagramFormat, Framing, media_for
from voip.media import Direction
from voip.session import RtpSession
from voip.stats import ReceiverStats

BEGIN = 1000.0
"""Seconds at which streams begin."""
THERE = ("192.0.2.1", 40123)
"""Where they come from."""
NOBODY = ("0.0.0.0", 0)
BLOCK = 0.01
"""Seconds that our sound card takes at a time."""
PCM_RATE, PCM_BLOCK = 44100, 1024
SEQ_RATE, SEQ_BLOCK = 48000, 960
FILE_RATE, FILE_SAMPLES = 12000, 16384
CALLBACK_WAIT = 0.1
"""Seconds for which the player of bare samples waits within the callback of its sound card."""
SOCKET_DATAGRAMS = 90
"""Of 2 kB that Linux keeps for a socket by default."""
LEAST, MOST = 4800, 19200
"""Samples in the queue of the player of numbered ones: below the first it plays silence, above the last it drops."""


@dataclass(frozen=True)
class Arrival:
    """A datagram that comes to our port."""

    at: float
    data: bytes
    source: tuple[str, int] = THERE


# --- what they send ---------------------------------------------------------------------------------------------------


def pcm_datagrams(sound: Pcm, *, rate: float = PCM_RATE, begin: float = BEGIN) -> list[Arrival]:
    """Bare samples, 1024 at a time; the last block may be short."""
    return [
        Arrival(
            begin + min(start + PCM_BLOCK, len(sound)) / rate, sound[start : start + PCM_BLOCK].astype("<i2").tobytes()
        )
        for start in range(0, len(sound), PCM_BLOCK)
    ]


def seq16_datagrams(sound: Pcm, *, first: int = 0, rate: float = SEQ_RATE, begin: float = BEGIN) -> list[Arrival]:
    """A number and 960 samples; all numbers of 16 bits, 0 among them."""
    return [
        Arrival(
            begin + (start + SEQ_BLOCK) / rate,
            struct.pack("<H", first + index & 0xFFFF) + sound[start : start + SEQ_BLOCK].astype("<i2").tobytes(),
        )
        for index, start in enumerate(range(0, len(sound), SEQ_BLOCK))
    ]


def seed0_datagrams(
    sound: Pcm, *, first: int = 0, ssrc: int = 1700000000, begin: float = BEGIN, group: int = 10
) -> list[Arrival]:
    """RTP of payload type 0 with little-endian samples, and after each ten of them their parity as type 127."""
    found, members = list[Arrival](), list[tuple[int, bytes]]()
    for index, start in enumerate(range(0, len(sound) // PCM_BLOCK * PCM_BLOCK, PCM_BLOCK)):
        number, at = first + index & 0xFFFF, begin + (start + PCM_BLOCK) / PCM_RATE
        payload = sound[start : start + PCM_BLOCK].astype("<i2").tobytes()
        stamp = index * PCM_BLOCK & 0xFFFFFFFF
        found.append(Arrival(at, struct.pack("!BBHII", 0x80, 0, number, stamp, ssrc) + payload))
        members.append((number, payload))
        if len(members) == group:
            numbers = [each for each, _ in members]
            parity = np.bitwise_xor.reduce([np.frombuffer(each, np.uint8) for _, each in members]).tobytes()
            header = struct.pack("!BBHII", 0x80, 127, number + 30000 & 0xFFFF, stamp, ssrc)
            found.append(Arrival(at, header + struct.pack(f"!H{group}H", group, *numbers) + parity))
            members = []
    return found


def play_seed0(arrivals: Sequence[Arrival]) -> tuple[dict[int, bytes], int]:
    """The payloads that a player of the dialect has by number, received or rebuilt; and how many of them were rebuilt.

    Only the first round of numbers.
    """
    have: dict[int, bytes] = {}
    parities: list[tuple[list[int], bytes]] = []
    for arrival in arrivals:
        _, kind, number = struct.unpack_from("!BBH", arrival.data)
        body = arrival.data[12:]
        if kind == 127:
            (count,) = struct.unpack_from("!H", body)
            members = list(struct.unpack_from(f"!{count}H", body, 2))
            parities.append((members, body[2 + 2 * count :]))
        else:
            have[number] = body[:2048].ljust(2048, b"\0")
    rebuilt = 0
    for members, parity in parities:
        missing = [number for number in members if number not in have]
        if len(missing) == 1:
            pieces = [parity, *(have[number] for number in members if number != missing[0])]
            xor = np.bitwise_xor.reduce([np.frombuffer(each, np.uint8) for each in pieces])
            have[missing[0]], rebuilt = xor.tobytes(), rebuilt + 1
    return have, rebuilt


def carried(datagrams: Iterable[Arrival], impairment: Impairment, seed: int = 1) -> list[Arrival]:
    """What a network makes of them, in order of arrival."""
    path = Path(impairment, seed)
    found = [
        Arrival(out, each.data, each.source) for each in datagrams for out in path.departures(each.at, len(each.data))
    ]
    return sorted(found, key=lambda arrival: arrival.at)


# --- what we make of it -----------------------------------------------------------------------------------------------


@dataclass
class Heard:
    """What was played, from BEGIN on, and the figures of it."""

    pcm: Pcm
    stats: ReceiverStats
    session: RtpSession
    delays: list[float]
    """Seconds of play-out delay, ten times a second."""


class Port:
    """One of our ports and its playback, pulled in blocks."""

    def __init__(self, form: DatagramFormat, *, latency: float | None = None, skew_ppm: float = 0.0) -> None:
        """`skew_ppm`: how much slower our sound card runs."""
        media = media_for(form, NOBODY, direction=Direction.RECVONLY)
        self.framing, self.session = Framing(form), RtpSession(media)
        self.rate = form.codec.sample_rate
        self.receiver = AudioReceiver(
            media, sample_rate=self.rate, channels=form.codec.channels, latency=latency, latency_max=0.5
        )
        self._due = BEGIN
        self._period = BLOCK * (1.0 + skew_ppm * 1e-6)
        self.heard: list[Pcm] = []
        self.delays: list[float] = []

    def take(self, arrival: Arrival) -> None:
        """A datagram has come; what was due before it is played first."""
        self.pull(arrival.at)
        for data, at in self.framing.read(arrival.data, arrival.source, arrival.at):
            for packet in self.session.receive_datagram(data, arrival.source, at):
                self.receiver.put(packet, at)

    def pull(self, until: float) -> None:
        """Our sound card takes what is due by then."""
        while self._due <= until:
            self.heard.append(self.receiver.read(round(BLOCK * self.rate), self._due))
            delay = self.receiver.stats.playout.delay
            if delay is not None:
                self.delays.append(delay)
            self._due += self._period

    def end(self, until: float) -> Heard:
        """It is over."""
        self.pull(until)
        stats = self.receiver.snapshot()
        return Heard(np.concatenate(self.heard), stats, self.session, self.delays)


def heard(
    form: DatagramFormat,
    arrivals: Sequence[Arrival],
    seconds: float,
    *,
    latency: float | None = None,
    skew_ppm: float = 0.0,
) -> Heard:
    """What we play of these datagrams in so many seconds."""
    port = Port(form, latency=latency, skew_ppm=skew_ppm)
    for arrival in arrivals:
        if arrival.at > BEGIN + seconds:
            break
        port.take(arrival)
    return port.end(BEGIN + seconds)


# --- what they make of it ---------------------------------------------------------------------------------------------


@dataclass
class Played:
    """What a small program played: the sound as it left its sound card, silence in it, and how late each block was."""

    pcm: Pcm
    silent: float
    delays: list[float]


def play_blocks(arrivals: Sequence[Arrival], seconds: float) -> Played:
    """The player of bare samples: each callback of the sound card reads one datagram, and waits for it if need be."""
    waiting: deque[Arrival] = deque()
    coming: Iterator[Arrival] = iter(arrivals)
    following = next(coming, None)
    now, silent, out, delays = BEGIN, 0.0, [], []
    while now < BEGIN + seconds:
        while following is not None and following.at <= now:
            if len(waiting) < SOCKET_DATAGRAMS:
                waiting.append(following)
            following = next(coming, None)
        if not waiting:
            late = CALLBACK_WAIT if following is None else min(following.at - now, CALLBACK_WAIT)
            out.append(np.zeros((max(1, round(late * PCM_RATE)), 1), np.int16))
            silent += late
            now += late + 1e-9
            continue
        arrival = waiting.popleft()
        delays.append(now - arrival.at)
        block = np.zeros((PCM_BLOCK, 1), np.int16)
        samples = np.frombuffer(arrival.data[: 2 * PCM_BLOCK], "<i2")
        block[: len(samples), 0] = samples
        out.append(block)
        now += PCM_BLOCK / PCM_RATE
    return Played(np.concatenate(out), silent, delays)


def play_queue(arrivals: Sequence[Arrival], seconds: float, *, last: int = 0) -> Played:
    """The player of numbered samples: one queue, zeros for missing numbers, silence while it is too short.

    `last`: the number before the first, if it has been playing for long.
    """
    queue: deque[int] = deque()
    index = 0
    silent, out, delays = 0.0, [], []
    for block in range(round(seconds / BLOCK)):
        now = BEGIN + block * BLOCK
        while index < len(arrivals) and arrivals[index].at <= now:
            data = arrivals[index].data
            index += 1
            number = int.from_bytes(data[:2], "little")
            if len(data) < 2 or number == 0:  # a ping
                continue
            if number > (last + 1) & 0xFFFF:
                queue.extend([0] * (number - last - 1) * SEQ_BLOCK)
            last = number
            queue.extend(np.frombuffer(data[2:], "<i2").tolist())
            while len(queue) > MOST:
                queue.popleft()
        wanted = round(BLOCK * SEQ_RATE)
        delays.append(len(queue) / SEQ_RATE)
        if len(queue) < LEAST:
            silent += BLOCK
            out.append(np.zeros((wanted, 1), np.int16))
            continue
        out.append(np.array([[queue.popleft()] for _ in range(wanted)], np.int16))
    return Played(np.concatenate(out), silent, delays)


def adts_files(sound: Pcm, *, begin: float = BEGIN) -> list[Arrival]:
    """AAC: each 16384 samples of 12 kHz are encoded as a file of their own, which is the datagram."""
    return [
        Arrival(begin + (start + FILE_SAMPLES) / FILE_RATE, adts_file(sound[start : start + FILE_SAMPLES]))
        for start in range(0, len(sound), FILE_SAMPLES)
    ]


def adts_file(sound: Pcm, rate: int = FILE_RATE) -> bytes:
    """A file as FFmpeg writes it."""
    av = pytest.importorskip("av")
    written = io.BytesIO()
    with av.open(written, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        stream.bit_rate = 128000
        for start in range(0, len(sound), 1024):
            frame = av.AudioFrame.from_ndarray(sound[start : start + 1024].T.copy(), format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return written.getvalue()
