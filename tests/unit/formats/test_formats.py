"""Each format's bytes, to and from packets, and a port of it."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.small_programs import BEGIN, THERE, Arrival, Port, pcm_datagrams, seq16_datagrams
from tests.support.sound import noise
from voip.audio import AudioSender
from voip.errors import ProtocolError
from voip.formats import SCHEMES, DatagramFormat, Framing, find_format, media_for, usual_port
from voip.formats.seq16 import FIRST_NUMBER, LAST_NUMBER
from voip.media import Direction
from voip.rtp import HEADER_BYTES, RtpPacket

ELSEWHERE = ("192.0.2.66", 1234)


def form(scheme: str, rate: int | None = None, channels: int = 1) -> DatagramFormat:
    found = find_format(scheme, rate, channels)
    assert found is not None
    return found


def test_golden_bytes_of_bare_samples() -> None:
    samples = bytes.fromhex("0100 ff7f 0080 feff") * 256
    framing = Framing(form("pcm"))
    ((data, at),) = framing.read(samples, THERE, 5.0)
    packet = RtpPacket.parse(data)
    assert at == 5.0
    assert packet.payload[:8] == bytes.fromhex("0001 7fff 8000 fffe")
    assert framing.write(data) == [samples]


def test_golden_bytes_of_numbered_samples() -> None:
    framing = Framing(form("seq16"))
    datagram = bytes.fromhex("2c01") + bytes.fromhex("0100 ff7f 0080 feff") * 240
    ((data, _),) = framing.read(datagram, THERE, 5.0)
    packet = RtpPacket.parse(data)
    assert (packet.sequence_number, packet.timestamp) == (300, 300 * 960)
    assert packet.payload[:8] == bytes.fromhex("0001 7fff 8000 fffe")
    assert framing.write(data) == [bytes.fromhex("0100") + datagram[2:]]
    assert framing.write(data)[0][:2] == bytes.fromhex("0200")
    assert framing.ping() == bytes.fromhex("0000")


def test_a_ping_is_no_sound_and_number_0_with_samples_is() -> None:
    framing = Framing(form("seq16"))
    assert framing.read(b"\0\0", THERE, 1.0) == []
    ((data, _),) = framing.read(bytes(2 + 1920), THERE, 1.0)
    assert len(RtpPacket.parse(data).payload) == 1920


def test_bare_samples_have_no_ping() -> None:
    assert Framing(form("pcm")).ping() == b""


@pytest.mark.parametrize(
    ("scheme", "data"),
    [
        ("pcm", b"TEST_MESSAGE"),
        ("pcm", b"Test packet 0"),
        ("pcm", b""),
        ("pcm", bytes(2047)),
        ("pcm", bytes(9000)),
        ("seq16", b""),
        ("seq16", b"\x01"),
        ("seq16", bytes(2 + 1919)),
        ("seq16", b"\x07\x00ab"),
    ],
)
def test_what_is_no_sound_is_counted_as_malformed_and_never_played(scheme: str, data: bytes) -> None:
    port = Port(form(scheme))
    port.take(Arrival(BEGIN, data))
    assert (port.session.malformed, port.session.latched, port.receiver.stats.received) == (1, False, 0)


@given(st.binary(max_size=9000), st.sampled_from(SCHEMES), st.integers(1, 2))
def test_any_bytes_are_read_without_an_error_that_is_not_declared(data: bytes, scheme: str, channels: int) -> None:
    reader = form(scheme, channels=channels).new_reader(0)
    try:
        placed = reader.read(data, 1.0)
    except ProtocolError:
        return
    assert all(len(each.packet.serialize()) <= 8192 for each in placed)


@pytest.mark.parametrize(("scheme", "size", "pieces"), [("pcm", 2048, 2), ("seq16", 1922, 2)])
def test_what_we_send_has_the_size_of_the_format_which_is_more_than_one_fragment(
    scheme: str, size: int, pieces: int
) -> None:
    found = form(scheme)
    assert (found.datagram_bytes, found.fragments) == (size, pieces)
    sent = sent_by_us(found, blocks=30)
    assert {len(data) for data in sent[:-1]} == {size}


def sent_by_us(found: DatagramFormat, *, blocks: int) -> list[bytes]:
    media, rate = media_for(found, ("192.0.2.7", 5005), direction=Direction.SENDONLY), found.codec.sample_rate
    sender, framing = AudioSender(media, sample_rate=rate, channels=1, rng=random.Random(1)), Framing(found)
    sound = noise(blocks * rate // 100)
    sent = sender.write(sound, 1.0) + sender.finish()
    wire = [each for data in sent for each in framing.write(data)]
    assert sender.stats.bytes == sum(map(len, wire))
    header = HEADER_BYTES + media.header_change
    samples = b"".join(data[header:] for data in wire)
    assert samples == sound.astype("<i2").tobytes()
    return wire


def test_our_numbers_leave_out_what_other_programs_stumble_over() -> None:
    framing = Framing(form("seq16"))
    packet = RtpPacket(96, 0, 0, 1, bytes(1920)).serialize()
    numbers = [struct.unpack_from("<H", framing.write(packet)[0])[0] for _ in range(2 * LAST_NUMBER + 3)]
    assert set(numbers) == set(range(FIRST_NUMBER, LAST_NUMBER + 1))
    assert numbers[LAST_NUMBER - 1 : LAST_NUMBER + 1] == [65534, 1]


def sequence(arrivals: list[Arrival]) -> list[int]:
    reader = form("seq16").new_reader(0)
    return [each.packet.sequence_number for a in arrivals for each in reader.read(a.data, a.at)]


def test_numbers_wrap_with_0_and_without() -> None:
    sound = noise(40 * 960)
    theirs = seq16_datagrams(sound, first=65520)
    assert sequence(theirs) == [number & 0xFFFF for number in range(65520, 65560)]
    ours = [Arrival(a.at, renumbered(a.data)) for a in seq16_datagrams(sound, first=65520)]
    assert sequence(ours) == [number & 0xFFFF for number in range(65520, 65560)]


def renumbered(data: bytes) -> bytes:
    """As if 65535 and 0 had been left out."""
    number = int.from_bytes(data[:2], "little")
    return struct.pack("<H", number + 2 & 0xFFFF if number in (65535, *range(100)) else number) + data[2:]


@pytest.mark.parametrize("lost", [[65534], [1], [65534, 1], [65533, 65534, 1, 2]])
def test_losses_around_a_wrap_that_leaves_out_numbers_are_as_many_as_they_are(lost: list[int]) -> None:
    sent = [Arrival(a.at, renumbered(a.data)) for a in seq16_datagrams(noise(40 * 960), first=65520)]
    kept = [a for a in sent if int.from_bytes(a.data[:2], "little") not in lost]
    found = sequence(kept)
    assert found[-1] == 65559 & 0xFFFF
    assert len(found) == 40 - len(lost)


@pytest.mark.parametrize("lost", [[0], [65535], [65535, 0], [65534, 65535, 0, 1]])
def test_losses_around_a_wrap_with_all_numbers_are_as_many_as_they_are(lost: list[int]) -> None:
    sent = seq16_datagrams(noise(40 * 960), first=65520)
    kept = [a for a in sent if int.from_bytes(a.data[:2], "little") not in lost]
    assert sequence(kept)[-1] == 65559 & 0xFFFF


def test_a_stray_number_moves_nothing() -> None:
    sent = seq16_datagrams(noise(40 * 960), first=100)
    stray = Arrival(sent[20].at - 0.001, struct.pack("<H", 40000) + bytes(1920))
    found = sequence([*sent[:20], stray, *sent[20:]])
    assert found.pop(20) == 119 + 32768  # far from all others: a session drops it
    assert found == list(range(100, 140))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_formats_have_a_port_and_other_rates(scheme: str) -> None:
    assert usual_port(scheme) > 1024
    assert form(scheme, 16000, 2).codec.sample_rate == 16000
    assert find_format(scheme, 1) is None
    assert find_format(scheme, None, 3) is None


# --- one port ---------------------------------------------------------------------------------------------------------


def test_another_source_is_not_heard_while_one_plays_and_is_after_a_second_of_silence() -> None:
    """Two senders are not woven into one another; one that was started again, at another port, plays."""
    sound = noise(2 * 44100)
    first, port = pcm_datagrams(sound), Port(form("pcm"))
    other = [Arrival(a.at + 0.005, a.data[::-1], ELSEWHERE) for a in first]
    for arrival in sorted([*first, *other], key=lambda a: a.at):
        port.take(arrival)
    assert (port.session.remote, port.session.foreign) == (THERE, len(other))
    assert port.session.reception.received == len(first)
    restarted = [Arrival(a.at, a.data, ELSEWHERE) for a in pcm_datagrams(sound, begin=first[-1].at)]
    for arrival in restarted:
        port.take(arrival)
    assert port.session.remote == ELSEWHERE
    assert port.session.reception.received >= len(first) + len(restarted) - round(1.1 * 44100 / 1024)


@pytest.mark.parametrize("scheme", ["pcm", "seq16"])
def test_a_sender_started_again_at_the_same_port_plays_at_once(scheme: str) -> None:
    found = form(scheme)
    rate, make = found.codec.sample_rate, pcm_datagrams if scheme == "pcm" else seq16_datagrams
    before = make(noise(2 * rate))
    after = make(noise(2 * rate), begin=before[-1].at + 0.7)
    port = Port(found)
    for arrival in [*before, *after]:
        port.take(arrival)
    assert port.session.reception.received == len(before) + len(after)
    assert port.receiver.snapshot().playout.skipped == 0


def test_more_sources_than_are_followed_take_no_memory() -> None:
    framing = Framing(form("pcm"))
    for number in range(1000):
        framing.read(bytes(2048), ("192.0.2.1", 1024 + number), 1.0)
    assert len(framing._readers) == 8


def test_the_samples_of_a_datagram_may_have_any_length() -> None:
    sound = noise(44100)
    port, start, now = Port(form("pcm"), latency=0.1), 0, BEGIN
    rng = np.random.default_rng(3)
    while start < len(sound):
        size = int(rng.integers(200, 1500))
        now += len(sound[start : start + size]) / 44100
        port.take(Arrival(now, sound[start : start + size].astype("<i2").tobytes()))
        start += size
    assert port.end(now + 0.5).stats.lost == 0
