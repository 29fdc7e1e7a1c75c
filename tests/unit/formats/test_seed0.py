"""The dialect of RTP with samples of payload type 0 and parity of type 127."""

from __future__ import annotations

import random
import struct

import pytest

from tests.support.call import noise
from tests.support.network import Impairment
from tests.support.small_programs import (
    BEGIN,
    PCM_RATE,
    Arrival,
    Port,
    carried,
    heard,
    play_seed0,
    seed0_datagrams,
)
from voip.audio import AudioSender
from voip.dsp import Pcm
from voip.errors import ProtocolError
from voip.formats import DatagramFormat, Framing, find_format, media_for
from voip.formats.seed0 import Seed0Reader, parse_parity
from voip.media import Direction

AT_LEAST = 0.4


def form() -> DatagramFormat:
    found = find_format("seed0")
    assert found is not None
    return found


def is_played(sound: Pcm, found: Pcm) -> bool:
    return sound.tobytes() in found.tobytes()


@pytest.mark.parametrize("first", [0, 65500])
def test_their_sound_is_played_sample_by_sample(first: int) -> None:
    sound = noise(10.0, PCM_RATE)
    found = heard(form(), seed0_datagrams(sound, first=first), 10.5, latency=AT_LEAST)
    assert is_played(sound[: 9 * PCM_RATE], found.pcm)
    assert (found.stats.lost, found.stats.fec_packets > 80) == (0, True)


@pytest.mark.parametrize("first", [0, 65530])
@pytest.mark.parametrize("which", range(10))
def test_any_one_of_ten_is_rebuilt_bit_by_bit(which: int, first: int) -> None:
    sound = noise(2.0, PCM_RATE)
    sent = seed0_datagrams(sound, first=first)
    kept = [each for index, each in enumerate(sent) if index != 22 + which]
    found = heard(form(), kept, 2.5, latency=AT_LEAST)
    assert is_played(sound[: PCM_RATE * 3 // 2], found.pcm)
    assert (found.stats.lost, found.stats.recovered, found.stats.fec_rejected) == (2, 2, 0)


def test_ten_percent_loss_leaves_what_the_parity_cannot_rebuild() -> None:
    sound = noise(60.0, PCM_RATE)
    arrivals = carried(seed0_datagrams(sound), Impairment(loss=0.1))
    have, rebuilt = play_seed0(arrivals)
    found = heard(form(), arrivals, 61.0, latency=AT_LEAST)
    assert found.stats.recovered == 2 * rebuilt > 100
    assert found.stats.expected - found.stats.lost_after_fec == 2 * len(have)


def test_reordering_by_30_ms_loses_nothing() -> None:
    sound = noise(60.0, PCM_RATE)
    found = heard(form(), carried(seed0_datagrams(sound), Impairment(jitter=0.03)), 61.0)
    played = found.stats.playout
    assert (played.late + played.skipped) / found.stats.received < 0.01


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x01",
        b"\xff\xff" + bytes(3000),
        struct.pack("!HHH", 2, 1, 2) + bytes(2049),
        struct.pack("!HHH", 2, 1, 2) + bytes(2047),
        struct.pack("!HHH", 2, 2, 1) + bytes(2048),
        struct.pack("!HHH", 2, 1, 1) + bytes(2048),
        struct.pack("!HHH", 2, 1, 30000) + bytes(2048),
        struct.pack("!H", 0) + bytes(2048),
    ],
)
def test_parity_that_makes_no_sense_is_malformed(payload: bytes) -> None:
    """A1 to A3: one such packet ended the reception of another program for good."""
    with pytest.raises(ProtocolError):
        parse_parity(payload)
    sound, port = noise(2.0, PCM_RATE), Port(form(), latency=AT_LEAST)
    sent = seed0_datagrams(sound)
    bad = Arrival(sent[30].at, struct.pack("!BBHII", 0x80, 127, 7, 0, 1) + payload)
    for each in [*sent[:30], bad, *sent[30:]]:
        port.take(each)
    assert port.session.malformed == 1
    assert is_played(sound[: PCM_RATE * 3 // 2], port.end(BEGIN + 2.5).pcm)


def test_each_media_packet_is_acknowledged_by_its_number_and_nothing_else_is() -> None:
    framing = Framing(form())
    media, parity = (seed0_datagrams(noise(2.0, PCM_RATE), first=0xFFFE)[index].data for index in (1, 10))
    assert framing.acknowledgement(media) == b"ACK!\xff\xff"
    for data in (parity, b"", b"ACK!\0\7", media[:-1], media[:1] + b"\x08" + media[2:]):
        assert framing.acknowledgement(data) == b""


@pytest.mark.parametrize("number", [0x8000, 0x7FFE, 0x7FFF, 0xFFFF])
def test_parity_over_packets_half_a_round_away_is_taken_for_what_it_says(number: int) -> None:
    """Found by fuzzing: one member counted as ahead of the newest packet and the next one as behind it."""
    reader = Seed0Reader(PCM_RATE, 0)
    reader.read(seed0_datagrams(noise(1.0, PCM_RATE), first=0)[0].data, BEGIN)
    members = [number + index & 0xFFFF for index in range(4)]
    payload = struct.pack("!HHHHH", 4, *members) + bytes(2048)
    found = reader.read(struct.pack("!BBHII", 0x80, 127, 7, 0, 1700000000) + payload, BEGIN)
    assert [len(placed.packet.payload) for placed in found] == [len(found[0].packet.payload)] * 2


def test_noise_on_the_port_text_rtcp_and_acknowledgements_do_no_harm() -> None:
    sound, port, rng = noise(3.0, PCM_RATE), Port(form(), latency=AT_LEAST), random.Random(4)
    reports = bytes.fromhex("80c80006") + bytes(24)
    for index, each in enumerate(seed0_datagrams(sound)):
        port.take(each)
        port.take(Arrival(each.at, [rng.randbytes(200), b"ACK!\0\7", reports, b"I love INVITEs"][index % 4]))
    assert is_played(sound[: PCM_RATE * 5 // 2], port.end(BEGIN + 3.5).pcm)


def test_a_late_copy_and_a_pause_do_not_silence_what_follows() -> None:
    """A5, A8, A9: a copy and a pause; numbers that jump by 500; a sender that is started again at the same port."""
    sound = noise(2.0, PCM_RATE)
    first = seed0_datagrams(sound)
    after = seed0_datagrams(sound, first=86, begin=first[-1].at + 0.5)
    port = Port(form())
    for each in [*first, Arrival(first[-1].at, first[40].data), *after]:
        port.take(each)
    jumped = seed0_datagrams(sound, first=86 + 86 + 500, begin=after[-1].at)
    again = seed0_datagrams(sound, first=0, ssrc=1700000099, begin=jumped[-1].at + 1.2)
    for each in [*jumped, *again]:
        port.take(each)
    found = port.end(again[-1].at + 0.5)
    for stream in (first, after, jumped, again):
        begin = round((stream[0].at - BEGIN + 1.3) * PCM_RATE)
        assert (found.pcm[begin : begin + PCM_RATE // 2] != 0).mean() > 0.9, stream[0]
    assert found.stats.playout.skipped < 0.1 * found.stats.received


def test_ours_is_played_by_theirs_and_rebuilt_by_its_parity() -> None:
    sound, found = noise(20.0, PCM_RATE), form()
    media = media_for(found, ("192.0.2.7", 5000), direction=Direction.SENDONLY)
    sender, framing = AudioSender(media, sample_rate=PCM_RATE, channels=1, rng=random.Random(1)), Framing(found)
    written = [each for data in sender.write(sound, 1.0) for each in framing.write(data)]
    media_bytes, parity_bytes = 12 + 2048, 12 + 22 + 2048
    assert {len(each) for each in written} == {media_bytes, parity_bytes}
    assert written[10][:4] == struct.pack("!BBH", 0x80, 127, 9 + 30000)
    kept = [Arrival(1.0, each) for index, each in enumerate(written) if index % 11 != 4]
    have, rebuilt = play_seed0(kept)
    assert rebuilt == len(written) // 11
    whole = b"".join(have[number] for number in range(11 * (len(written) // 11) * 10 // 11))
    assert sound.astype("<i2").tobytes().startswith(whole)
    assert len(whole) > 1_500_000


def test_payloads_of_other_lengths_and_types_are_no_sound_here() -> None:
    """A15: 160 bytes of PCMU are not 80 samples."""
    reader = Seed0Reader(PCM_RATE, 0)
    for kind, size in ((0, 160), (0, 2050), (8, 2048), (96, 2048)):
        with pytest.raises(ProtocolError):
            reader.read(struct.pack("!BBHII", 0x80, kind, 1, 1, 1) + bytes(size), 1.0)
    extended = struct.pack("!BBHIIHHI", 0x90, 0, 1, 1, 1, 0xBEDE, 1, 0) + bytes(2048)
    assert len(reader.read(extended, 1.0)) == 2  # A16: a header extension is none of the payload
