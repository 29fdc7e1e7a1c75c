"""A peer that sends several codecs in one stream, as an answer with several of them allows (RFC 3264 section 6.1)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from tests.support.descriptions import ALICE, offer
from tests.support.fec_packets import repair_over
from voip import codecs
from voip.audio import AudioReceiver, Digit
from voip.codecs import Codec
from voip.dsp import Pcm
from voip.media import NegotiatedMedia
from voip.rtp import RtpPacket
from voip.sdp import Capabilities, accept_answer, make_offer
from voip.session import RtpSession

RATE = 48000
TONE = 437.0
AMPLITUDE = 8000.0
PTIME = 0.02
BLOCK = 480
SOURCE = ("192.0.2.9", 4000)
OURS = Capabilities(tuple(codecs.offerable(["opus", "g722", "pcmu", "pcma"], RATE, 1)), repair_packets=13)
OPUS, G722, PCMU, PCMA = 96, 9, 0, 8
EVENTS = ["a=rtpmap:101 telephone-event/48000", "a=rtpmap:102 telephone-event/8000"]


def agreed(formats: str) -> NegotiatedMedia:
    """What an answer with these formats comes to."""
    answer = offer(f"m=audio 4000 RTP/AVP {formats}", "a=rtpmap:96 opus/48000/2", *EVENTS)
    return accept_answer(make_offer(OURS, ALICE), answer, OURS, ALICE)


@dataclass
class Peer:
    """Sends one tone, coded in turns by several codecs, with one SSRC and one sequence of numbers."""

    rng: random.Random = field(default_factory=lambda: random.Random(5))
    seconds: float = 0.0
    number: int = 65500
    timestamp: int = 0xFFFFFF00

    def packets(self, media: NegotiatedMedia, payload_type: int, count: int) -> list[tuple[float, RtpPacket]]:
        """So many packets, each with the time at which it is sent. The timestamps go on at the rate of each codec."""
        codec = media.arriving_formats[payload_type]
        encoder = codec.encoder(codec.sample_rate)
        found = []
        for _ in range(count):
            payload = encoder.encode(self._tone(codec))
            packet = RtpPacket(payload_type, self.number & 0xFFFF, self.timestamp & 0xFFFFFFFF, 7, payload)
            self.number += 1
            self.timestamp += round(PTIME * codec.clock_rate)
            self.seconds += PTIME
            found.append((self.seconds, packet))
        return found

    def _tone(self, codec: Codec) -> Pcm:
        times = self.seconds + np.arange(round(PTIME * codec.sample_rate)) / codec.sample_rate
        return np.round(AMPLITUDE * np.sin(2 * np.pi * TONE * times)).astype(np.int16)[:, None]


@dataclass
class Listener:
    """A session and its receiver, in virtual time."""

    media: NegotiatedMedia
    latency: float | None = 0.06
    sound: list[Pcm] = field(default_factory=list)
    digits: list[Digit] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.session = RtpSession(self.media, cname="x", rng=random.Random(1))
        self.receiver = AudioReceiver(
            self.media, sample_rate=RATE, channels=1, latency=self.latency, latency_max=0.5, on_digit=self.digits.append
        )

    def hear(self, sent: list[tuple[float, RtpPacket]], seconds: float) -> np.ndarray:
        """Play until `seconds`, as these packets arrive: what is heard, from -1 to 1."""
        waiting = sorted(sent, key=lambda pair: pair[0])
        while self.now < seconds:
            while waiting and waiting[0][0] <= self.now:
                at, packet = waiting.pop(0)
                for accepted in self.session.receive_datagram(packet.serialize(), SOURCE, at):
                    self.receiver.put(accepted, at)
            self.sound.append(self.receiver.read(BLOCK, self.now))
            self.now += BLOCK / RATE
        return np.concatenate(self.sound)[:, 0].astype(float) / AMPLITUDE


def clicks(sound: np.ndarray) -> float:
    """The largest bend of the sound, in units of the largest that the tone itself has: a step is far above it."""
    return float(np.abs(np.diff(sound, 2)).max() / (2 * np.pi * TONE / RATE) ** 2)


def levels(sound: np.ndarray) -> np.ndarray:
    """The level of each 10 ms."""
    blocks = sound[: len(sound) // BLOCK * BLOCK].reshape(-1, BLOCK)
    level: np.ndarray = np.sqrt((blocks**2).mean(axis=1))
    return level


def heard(sound: np.ndarray) -> float:
    """Seconds in which the tone is there."""
    return float((levels(sound) > 0.5).sum() * BLOCK / RATE)


@pytest.mark.parametrize("turns", [(PCMU, PCMA), (PCMA, PCMU, PCMA), (PCMU, G722, PCMU), (G722, PCMA, G722)])
def test_codecs_of_one_clock_rate_follow_each_other_without_a_click(turns: tuple[int, ...]) -> None:
    media, peer = agreed("0 8 9"), Peer()
    sent = [pair for payload_type in turns for pair in peer.packets(media, payload_type, 25)]
    listener = Listener(media)
    sound = listener.hear(sent, peer.seconds + 0.2)
    whole = sound[round(0.15 * RATE) : round((peer.seconds - 0.05) * RATE)]
    alone = Listener(media).hear(Peer().packets(media, turns[0], 25), 0.45)[round(0.15 * RATE) :]
    assert clicks(whole) < 1.5 * max(clicks(alone), 10.0)
    assert levels(whole).min() > 0.4  # each codec has its own delay: for a moment two phases of the tone are heard
    stats = listener.receiver.snapshot()
    assert (stats.received, stats.lost, stats.playout.played) == (len(sent), 0, len(sent))
    assert (stats.playout.concealed, stats.playout.resyncs, stats.playout.late) == (0, 0, 0)
    assert listener.session.unknown_payload_type == 0


@pytest.mark.parametrize("turns", [(PCMU, OPUS), (OPUS, PCMU), (PCMU, OPUS, PCMU), (OPUS, G722, OPUS)])
def test_codecs_of_two_clock_rates_follow_each_other_in_one_report(turns: tuple[int, ...]) -> None:
    """RFC 7160: the peer keeps SSRC and numbers, and counts its timestamps by another clock."""
    media, peer = agreed("0 96 9"), Peer()
    sent = [pair for payload_type in turns for pair in peer.packets(media, payload_type, 50)]
    listener = Listener(media)
    sound = listener.hear(sent, peer.seconds + 0.2)
    assert heard(sound) > peer.seconds - 0.05 * len(turns)
    assert clicks(sound[round(0.2 * RATE) :]) < 60.0
    stats, reception = listener.receiver.snapshot(), listener.session.reception
    assert (stats.received, stats.lost, stats.playout.late) == (len(sent), 0, 0)
    assert stats.playout.played == len(sent)
    assert (reception.received, reception.lost, reception.epoch) == (len(sent), 0, 1)
    assert max(stats.jitter_max or 0.0, reception.jitter_max) < 0.001


def test_packets_of_two_clock_rates_in_a_muddle_are_played_as_far_as_they_are_in_order() -> None:
    media, peer = agreed("0 96"), Peer()
    sent = [pair for turn in range(10) for pair in peer.packets(media, (PCMU, OPUS)[turn % 2], 8)]
    sent = [(at + peer.rng.choice([0.0, 0.03]), packet) for at, packet in sent]
    listener = Listener(media)
    sound = listener.hear(sent, peer.seconds + 1.0)
    stats = listener.receiver.snapshot()
    assert stats.received == len(sent)
    assert heard(sound) > 0.3 * peer.seconds
    assert np.abs(sound[-RATE // 4 :]).max() < 0.01  # nothing has piled up


def test_alternating_clock_rates_in_a_flood_take_neither_memory_nor_time() -> None:
    media, peer = agreed("0 96"), Peer()
    sent = [pair for turn in range(600) for pair in peer.packets(media, (PCMU, OPUS)[turn % 2], 1)]
    listener = Listener(media)
    listener.hear([(0.1 + index * 1e-4, packet) for index, (_, packet) in enumerate(sent)], 0.4)
    assert np.abs(listener.hear([], 2.0)[-RATE // 2 :]).max() < 0.05
    stats = listener.receiver.snapshot()
    assert stats.received == len(sent)
    assert stats.playout.late > 0.4 * len(sent)  # the clock rate has not changed with each packet


def test_a_codec_that_was_not_in_the_answer_is_dropped_and_counted() -> None:
    media, peer = agreed("0 8"), Peer()
    sent = peer.packets(agreed("9"), G722, 10)
    listener = Listener(media)
    assert not listener.hear(sent, 0.5).any()
    assert listener.session.unknown_payload_type == 10


def test_a_session_that_is_negotiated_anew_keeps_to_what_comes() -> None:
    """A re-INVITE that changes nothing, while the peer sends the second codec of the answer."""
    media, peer = agreed("96 0"), Peer()
    listener = Listener(media)
    listener.hear(peer.packets(media, PCMU, 50), 0.9)
    listener.receiver.update(media)
    listener.session.update(media)
    sound = listener.hear(peer.packets(media, PCMU, 50), 2.2)
    assert heard(sound) > 1.7
    assert listener.receiver.snapshot().playout.resyncs == 0


@pytest.mark.parametrize(("payload_type", "clock_rate"), [(101, 48000), (102, 8000)])
def test_keys_come_by_any_of_the_clocks_that_both_have(payload_type: int, clock_rate: int) -> None:
    media, peer = agreed("0 101 102"), Peer()
    sent = peer.packets(media, PCMU, 20)
    start = peer.timestamp
    for index in range(6):
        ticks = round(min(index + 1, 5) * PTIME * clock_rate)
        payload = bytes([5, 0x80 if index == 5 else 0]) + ticks.to_bytes(2, "big")
        number = (peer.number + index) & 0xFFFF
        sent.append((peer.seconds + index * PTIME, RtpPacket(payload_type, number, start & 0xFFFFFFFF, 7, payload)))
    listener = Listener(media)
    listener.hear(sent, 1.0)
    assert [(digit.key, round(digit.seconds, 3)) for digit in listener.digits] == [("5", 0.1)]


def test_lost_packets_of_any_of_the_codecs_are_rebuilt() -> None:
    """One FlexFEC stream protects the packets of the media stream, whatever they hold (RFC 8627 section 6.2)."""
    codec_lines = ["m=audio 4000 RTP/AVP 0 8 97", "a=rtpmap:97 flexfec/48000", "a=fmtp:97 repair-window=80000"]
    media = accept_answer(make_offer(OURS, ALICE), offer(*codec_lines), OURS, ALICE)
    assert media.fec == "flexfec"
    peer = Peer()
    sent = [pair for payload_type in (PCMU, PCMA) * 3 for pair in peer.packets(media, payload_type, 10)]
    arrived = []
    for first in range(0, len(sent), 2):
        pair = sent[first : first + 2]
        at = pair[-1][0]
        repair = repair_over([packet for _, packet in pair])
        repair = replace(repair, payload_type=media.arriving_fec_payload_type or 0, csrcs=(7,))
        arrived += [*pair[: 1 if first % 4 else 2], (at, replace(repair, sequence_number=first & 0xFFFF))]
    listener = Listener(media)
    listener.hear(arrived, peer.seconds + 0.3)
    stats = listener.receiver.snapshot()
    assert (stats.received, stats.recovered, stats.lost_after_fec) == (45, 15, 0)
    assert stats.playout.played == len(sent)
