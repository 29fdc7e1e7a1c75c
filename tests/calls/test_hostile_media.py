"""Whole calls in virtual time while a stranger sends along, or the peer sends anything at all: what is heard of it."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.support.call import FEC_PAYLOAD_TYPE, SENDER, Call, Link, media, noise
from voip import codecs
from voip.media import NegotiatedMedia
from voip.rtp import RtpPacket
from voip.session import Address

STRANGER = ("203.0.113.66", 6666)
SSRC, REPAIR_SSRC = 0x11111111, 0x22222222
MOST_GROWTH = 1 << 20
"""Bytes of memory that a call may come to hold by what it receives."""


class HostileCall(Call):
    """A call with more datagrams in it: each that is sent may come with others, from anywhere."""

    def __init__(self, link: Link | None = None, agreed: NegotiatedMedia | None = None, *, fec: str = "off") -> None:
        super().__init__(link, agreed or media(fec=fec), fec=fec)
        self.beside: Callable[[RtpPacket], list[tuple[bytes, Address]]] = lambda packet: []

    def arrivals(self, now: float) -> Iterator[tuple[RtpPacket, float]]:
        for datagram, arrival in self.link.deliver(now):
            for data, source in [(datagram, SENDER), *self.beside(RtpPacket.parse(datagram))]:
                for packet in self.session.receive_datagram(data, source, arrival):
                    yield packet, arrival


def silence_after(call: HostileCall, sound: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> float:
    """Seconds of this sound that were not heard, of its beginning above all: it is the last that was sent."""
    heard = np.concatenate(call.heard)
    at = {heard[i : i + 16].tobytes() for i in range(len(heard) - 16)}
    missing = [i for i in range(0, len(sound) - call.rate // 5, 16) if sound[i : i + 16].tobytes() not in at]
    return 16 * len(missing) / call.rate


# --- S6 and S7: numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ticks", [0, 1 << 31, -(1 << 31), 1_500_000_000])
@pytest.mark.parametrize("numbers", [0, 32768, -32768, 3000])
def test_s6_numbers_and_timestamps_that_leap_ten_times_take_no_memory_and_the_stream_comes_back(
    numbers: int, ticks: int
) -> None:
    call = HostileCall()
    call.talk(noise(1.0))
    packetizer = call.sender._packetizer
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for leap in range(10):
        packetizer.sequence_number = (packetizer.sequence_number + numbers) & 0xFFFF
        packetizer.timestamp = (packetizer.timestamp + ticks) & 0xFFFFFFFF
        call.talk(noise(0.6, seed=leap))
        call.sent.clear()
        call.heard.clear()
    growth = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    last = noise(2.0, seed=99)
    call.talk(last)
    call.wait(0.3)
    assert growth < MOST_GROWTH
    assert silence_after(call, last) <= 0.1


@pytest.mark.parametrize("announced", [SSRC, None])
def test_s7_a_new_ssrc_with_other_numbers_is_heard_within_100_ms(announced: int | None) -> None:
    call = HostileCall(agreed=media(remote_ssrc=announced))
    call.talk(noise(2.0))
    call.media = replace(call.media, ssrc=0x33333333)
    call.sender = call.new_sender(random.Random(8))
    second = noise(2.0, seed=9)
    call.talk(second)
    call.wait(0.3)
    assert silence_after(call, second) <= 0.1


# --- S1: bleeding -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ssrc", [SSRC, 0xBAD])
def test_s1_a_stranger_who_sends_along_changes_no_sample(ssrc: int) -> None:
    call = HostileCall(agreed=media(remote_ssrc=None))
    call.beside = lambda packet: [(replace(packet, ssrc=ssrc, payload=bytes(320)).serialize(), STRANGER)]
    call.talk(noise(3.0))
    result = call.end()
    assert result.exact()
    assert call.session.foreign >= 145


# --- S14: parity ------------------------------------------------------------------------------------------------------


def forged_parity(packet: RtpPacket, ssrc: int, protected: int) -> bytes:
    """FlexFEC that makes a packet of its own out of the three after this one (RFC 8627 section 4.2.2.1)."""
    header = bytes([0, 96]) + (320).to_bytes(2, "big") + packet.timestamp.to_bytes(4, "big")
    mask = packet.sequence_number.to_bytes(2, "big") + (0x7000).to_bytes(2, "big")
    payload = header + mask + b"\x11" * 320
    return RtpPacket(FEC_PAYLOAD_TYPE, 9, packet.timestamp, ssrc, payload, csrcs=(protected,)).serialize()


@pytest.mark.parametrize(
    ("source", "ssrc", "protected"),
    [(STRANGER, REPAIR_SSRC, SSRC), (SENDER, 0xBAD, SSRC), (SENDER, REPAIR_SSRC, 0xBAD), (STRANGER, 0xBAD, 0xBAD)],
)
def test_s14_forged_parity_is_never_heard(source: Address, ssrc: int, protected: int) -> None:
    clean = HostileCall(Link(loss=0.2, seed=4), fec="4")
    call = HostileCall(Link(loss=0.2, seed=4), fec="4")
    call.beside = lambda packet: [(forged_parity(packet, ssrc, protected), source)]
    for each in (clean, call):
        each.talk(noise(4.0))
    assert np.array_equal(clean.end().heard, call.end().heard)


# --- S15: losses and floods of repair ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fec", ["off", "4"])
def test_s15_what_comes_after_ten_seconds_of_nothing_is_heard_at_once(fec: str) -> None:
    call = HostileCall(fec=fec)
    call.talk(noise(2.0))
    call.link.drop = lambda packet: True
    call.talk(noise(10.0, seed=8))
    call.link.drop = None
    last = noise(2.0, seed=9)
    call.talk(last)
    call.wait(0.3)
    assert silence_after(call, last) <= 0.1


# --- S5: anything -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["flexfec", "ulpfec", "red", "ulpfec red"])
@pytest.mark.parametrize("name", ["l16", "pcmu", "g722", "opus"])
def test_s5_mutated_packets_of_the_peer_raise_nothing_and_the_next_ones_are_played(name: str, scheme: str) -> None:
    if codecs.missing(name):
        pytest.skip(f"{name} is not installed")
    (codec,) = codecs.offerable([name], 8000, 1)[:1]
    rng = random.Random(f"{name} {scheme}")
    agreed = media(codec, fec="4", scheme=scheme, comfort_noise_payload_type=13, telephone_event_payload_type=101)
    call = HostileCall(agreed=agreed, fec="4")
    call.beside = lambda packet: [(mutated(rng, packet), SENDER) for _ in range(10)]
    call.talk(noise(6.0, call.source_rate))
    call.beside = lambda packet: []
    played = call.receiver.snapshot().playout.played
    call.talk(noise(1.0, call.source_rate))
    assert call.receiver.snapshot().playout.played >= played + 45
    call.end()


def mutated(rng: random.Random, packet: RtpPacket) -> bytes:
    """With a few bytes changed, taken out or doubled, or of another type, or any bytes at all."""
    kind = rng.randrange(8)
    if kind == 0:
        return rng.randbytes(rng.choice((1, 8, 12, 40, 200, 1400)))
    if kind == 1:
        packet = replace(
            packet, payload_type=rng.choice((13, 96, 97, 98, 101)), payload=rng.randbytes(rng.randrange(60))
        )
    broken = bytearray(packet.serialize())
    for _ in range(rng.randrange(4)):
        place = rng.randrange(len(broken))
        if rng.random() < 0.5:
            broken[place] = rng.randrange(256)
        elif rng.random() < 0.5:
            del broken[place : place + rng.randint(1, 20)]
        else:
            broken[place:place] = broken[place : place + rng.randint(1, 40)]
        if not broken:
            break
    return bytes(broken)
