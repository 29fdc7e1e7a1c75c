"""Sender, receiver, mixer and fan-out by themselves."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.support.call import FEC_PAYLOAD_TYPE, Wrapping, check, l16, locate, media, noise
from tests.support.negotiated import changed
from tests.support.sound import pitch, sine
from voip.audio import AudioReceiver, AudioSender, Fanout, Mixer
from voip.codecs import find
from voip.dsp import Pcm
from voip.fec import parse_pattern
from voip.media import Direction, NegotiatedMedia
from voip.rtp import MAX_DATAGRAM, RtpPacket
from voip.stats import ReceiverStats

TAMPERING = {"": 20, "drop": 2, "sequence": 1, "time": 1, "size": 1, "ssrc": 0.1, "type": 1}
"""What may happen to a packet, and how often."""


def sender(agreed: NegotiatedMedia, rate: int = 8000, channels: int = 1, fec: str = "off") -> AudioSender:
    return AudioSender(agreed, sample_rate=rate, channels=channels, rng=Wrapping(1), pattern=parse_pattern(fec))


def fed(fanout: Fanout, agreed: NegotiatedMedia) -> AudioSender:
    """A sender of what this gives to all."""
    return AudioSender(agreed, sample_rate=8000, channels=1, rng=Wrapping(1), encoders=fanout.encoders)


def receiver(agreed: NegotiatedMedia, rate: int = 8000, channels: int = 1) -> AudioReceiver:
    return AudioReceiver(agreed, sample_rate=rate, channels=channels, latency=0.06, latency_max=0.5)


def send(source: AudioSender, sound: Pcm, block: int = 80) -> list[RtpPacket]:
    datagrams = [data for i in range(0, len(sound), block) for data in source.write(sound[i : i + block], 0.0)]
    return [RtpPacket.parse(data) for data in datagrams]


# -- sending ----------------------------------------------------------------------------------------------------------


def test_sound_is_cut_into_packets_of_the_agreed_length() -> None:
    source = sender(media(ptime=0.02))
    packets = send(source, noise(1.0), block=100)
    assert [len(packet.payload) for packet in packets] == [320] * 50
    steps = {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(packets)}
    assert steps == {160}
    assert source.stats.packets == 50
    assert source.stats.bytes == 50 * 332
    assert source.stats.ip_bytes == 50 * 360


def test_the_first_packet_and_no_other_is_marked() -> None:
    packets = send(sender(media()), noise(0.2))
    assert [packet.marker for packet in packets] == [True] + [False] * 9


def test_sequence_number_timestamp_and_ssrc_are_random_and_agreed() -> None:
    first = send(AudioSender(media(), sample_rate=8000, channels=1, rng=random.Random(1)), noise(0.02))[0]
    other = send(AudioSender(media(), sample_rate=8000, channels=1, rng=random.Random(2)), noise(0.02))[0]
    assert first.ssrc == other.ssrc == media().ssrc
    assert first.sequence_number != other.sequence_number
    assert first.timestamp != other.timestamp


def test_the_rest_at_the_end_is_a_shorter_packet_and_repaired_like_the_others() -> None:
    source = sender(media(fec="4"), fec="4")
    sound = noise(0.05)
    packets = send(source, sound)
    packets += [RtpPacket.parse(data) for data in source.finish()]
    assert [packet.payload_type for packet in packets] == [96, 96, 96, FEC_PAYLOAD_TYPE]
    assert b"".join(packet.payload for packet in packets[:3]) == sound.astype(">i2").tobytes()
    assert (source.stats.packets, source.stats.fec_packets) == (3, 1)
    assert source.stats.seconds == pytest.approx(0.05)
    assert source.finish() == []


def test_without_agreement_there_are_no_repair_packets() -> None:
    packets = send(sender(media(), fec="4"), noise(0.4))
    assert {packet.payload_type for packet in packets} == {96}


def test_the_pattern_can_change_while_sending() -> None:
    source = sender(media(fec="4"))
    assert {packet.payload_type for packet in send(source, noise(0.4))} == {96}
    source.set_pattern(parse_pattern("2"))
    packets = send(source, noise(0.4))
    assert sum(packet.payload_type == FEC_PAYLOAD_TYPE for packet in packets) == 10


def test_repair_packets_count_time_by_the_clock_of_their_rtpmap() -> None:
    agreed = changed(media(find("PCMU", 8000, 1), fec="1"), fec_clock_rate=48000)
    packets = send(sender(agreed, fec="1"), noise(2.0))
    media_at = [packet.timestamp for packet in packets if packet.payload_type == 96]
    repair_at = [packet.timestamp for packet in packets if packet.payload_type == FEC_PAYLOAD_TYPE]
    assert {(b - a) & 0xFFFFFFFF for a, b in pairwise(media_at)} == {160}
    assert {(b - a) & 0xFFFFFFFF for a, b in pairwise(repair_at)} == {960}


def test_no_datagram_is_larger_than_the_path_allows() -> None:
    source = sender(media(l16(48000), ptime=0.01, fec="4"), rate=48000, fec="4")
    sizes = [len(data) for i in range(100) for data in source.write(noise(0.01, 48000), 0.0)]
    assert max(sizes) <= MAX_DATAGRAM


def test_on_hold_time_goes_on_and_nothing_is_sent() -> None:
    agreed = media()
    source = sender(agreed)
    before = send(source, noise(0.1))
    source.update(replace(agreed, direction=Direction.RECVONLY))
    assert send(source, noise(0.1)) == []
    source.update(agreed)
    after = send(source, noise(0.1))
    assert after[0].marker
    assert (after[0].sequence_number - before[-1].sequence_number) & 0xFFFF == 1
    assert (after[0].timestamp - before[-1].timestamp) & 0xFFFFFFFF == 6 * 160


def test_ipv6_counts_larger_headers() -> None:
    source = sender(media(remote=("2001:db8::1", 5000)))
    send(source, noise(0.02))
    assert source.stats.ip_bytes == 332 + 48


# -- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "wire", "sink"),
    [
        ((44100, 1), (48000, 1), (48000, 1)),
        ((48000, 1), (48000, 1), (44100, 1)),
        ((16000, 1), (48000, 1), (48000, 2)),
        ((48000, 2), (16000, 1), (16000, 1)),
        ((48000, 1), (48000, 2), (48000, 1)),
    ],
)
def test_440_hz_stay_440_hz_through_other_rates_and_channels(
    source: tuple[int, int], wire: tuple[int, int], sink: tuple[int, int]
) -> None:
    agreed = media(l16(*wire), ptime=0.01 if wire[1] == 1 else 0.005)
    out = sender(agreed, *source)
    heard_by = receiver(agreed, *sink)
    sound = sine(source[0], 2.0, 440.0, source[1], peak=8000)
    block, now = source[0] // 100, 0.0
    heard = []
    for i in range(0, len(sound), block):
        for data in out.write(sound[i : i + block], now):
            heard_by.put(RtpPacket.parse(data), now)
        heard.append(heard_by.read(sink[0] // 100, now))
        now += 0.01
    for data in out.finish():
        heard_by.put(RtpPacket.parse(data), now)
    heard_by.finish(now)
    while not heard_by.drained:
        heard.append(heard_by.read(sink[0] // 100, now))
        now += 0.01
    result = np.concatenate(heard)
    assert result.shape[1] == sink[1]
    assert pitch(result[sink[0] // 2 : sink[0] * 3 // 2], sink[0]) == pytest.approx(440, abs=1)
    level = np.abs(result[sink[0] // 2 : sink[0]]).max()
    assert level == pytest.approx(8000, rel=0.02)
    loud = np.flatnonzero(np.abs(result[:, 0]) > 800)
    assert (loud[-1] - loud[0]) / sink[0] == pytest.approx(2.0, abs=0.01)
    assert heard_by.stats.playout.concealed == heard_by.stats.playout.underruns == 0


# -- receiving --------------------------------------------------------------------------------------------------------


def test_before_the_first_packet_there_is_silence_of_any_length() -> None:
    target = receiver(media(), 48000, 2)
    for samples in (480, 1, 0, 1024):
        block = target.read(samples, 0.0)
        assert block.shape == (samples, 2)
        assert block.dtype == np.int16
        assert not block.any()
    assert target.stats == ReceiverStats(loss_runs=target.stats.loss_runs)


def test_reads_of_any_length_give_the_same_sound() -> None:
    sound = noise(1.0)
    packets = send(sender(media()), sound)
    rng = random.Random(4)
    target, now, heard, taken, put = receiver(media()), 0.0, [], 0, 0
    while taken < 9000:
        while put < len(packets) and put * 0.02 <= now:
            target.put(packets[put], put * 0.02)
            put += 1
        samples = rng.randrange(1, 200)
        heard.append(target.read(samples, now))
        taken += samples
        now += samples / 8000
    result = np.concatenate(heard)
    start = int(np.flatnonzero(result)[0])
    assert np.array_equal(result[start : start + len(sound)], sound)


@pytest.mark.parametrize(("ahead", "latency_max"), [(1, 0.5), (1000, 0.5), (1, 2.0), (40000, 2.0)])
def test_s6_who_goes_on_sending_after_the_end_is_not_heard_for_long(ahead: int, latency_max: float) -> None:
    """Whatever the numbers: the next one, far ahead, and another one each time."""
    target = AudioReceiver(media(), sample_rate=8000, channels=1, latency=None, latency_max=latency_max)
    packets = send(sender(media()), noise(5.0))
    for index in range(50):
        target.put(packets[index], index * 0.02)
        target.read(160, index * 0.02)
    ended_at, index = 1.0, 50
    while not target.drained:
        now = ended_at + (index - 50) * 0.02
        assert now < ended_at + 3.0
        target.finish(now)
        number = (packets[index].sequence_number + ahead * (index - 49)) & 0xFFFF
        target.put(replace(packets[index], sequence_number=number), now)
        target.read(160, now)
        index += 1
    assert (index - 50) * 0.02 <= max(1.0, latency_max + 0.3) + 0.05
    assert target.snapshot().received <= 50 + 17


def test_a_stream_that_ends_is_drained_and_a_call_without_packets_too() -> None:
    target = receiver(media())
    target.finish(0.0)
    assert not target.drained
    assert not target.read(80, 0.0).any()
    assert target.drained


def test_a_rebuilt_packet_that_arrives_after_all_is_no_longer_recovered() -> None:
    agreed = media(fec="4")
    packets = send(sender(agreed, fec="4"), noise(0.16))
    target = receiver(agreed)
    for packet in packets[:2] + packets[3:]:
        target.put(packet, 0.0)
    stats = target.snapshot()
    assert (stats.expected, stats.received, stats.lost, stats.recovered) == (8, 7, 1, 1)
    assert stats.fec_packets == 2
    target.put(packets[2], 0.01)
    stats = target.snapshot()
    assert (stats.expected, stats.received, stats.recovered, stats.reordered) == (8, 8, 0, 1)


def test_packets_that_only_repair_packets_name_are_expected() -> None:
    agreed = media(fec="4")
    packets = send(sender(agreed, fec="4"), noise(0.08))
    target = receiver(agreed)
    for packet in (packets[1], packets[2], packets[4]):
        target.put(packet, 0.0)
    stats = target.snapshot()
    assert (stats.expected, stats.received, stats.recovered, stats.lost_after_fec) == (4, 2, 0, 2)


def test_hold_as_agreed_is_no_underrun() -> None:
    agreed = media()
    packets = send(sender(agreed), noise(0.4))
    target = receiver(agreed)
    now = 0.0
    for i, packet in enumerate(packets):
        if i == 10:
            target.update(replace(agreed, direction=Direction.INACTIVE))
            for _ in range(100):
                target.read(80, now)
                now += 0.01
        target.put(packet, now)
        target.read(160, now)
        now += 0.02
    stats = target.snapshot()
    assert (stats.playout.underruns, stats.playout.concealed) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_no_packet_can_break_the_receiver_or_its_accounts(seed: int) -> None:
    rng = random.Random(seed)
    agreed = media(fec="4")
    target, source, now = receiver(agreed), sender(agreed, fec="4"), 0.0
    for _ in range(2000):
        for packet in send(source, noise(0.01)):
            for kind in rng.choices(list(TAMPERING), list(TAMPERING.values())):
                if kind == "sequence":
                    packet = replace(packet, sequence_number=rng.getrandbits(16))
                elif kind == "time":
                    timestamp = rng.choice([0, packet.timestamp + 5000, rng.getrandbits(32)]) & 0xFFFFFFFF
                    packet = replace(packet, timestamp=timestamp)
                elif kind == "size":
                    packet = replace(packet, payload=rng.randbytes(rng.choice([0, 1, 2, 3, 320, 1400])))
                elif kind == "ssrc":
                    packet = replace(packet, ssrc=rng.getrandbits(32))
                elif kind == "type":
                    packet = replace(packet, payload_type=rng.choice([0, 96, FEC_PAYLOAD_TYPE]))
                if kind != "drop":
                    target.put(packet, now + rng.choice([0.0, 0.0, 0.01, -0.05]))
        now += rng.choice([0.01, 0.01, 0.01, 0.01, 0.0, 0.3])
        assert len(target.read(80, now)) == 80
        check(target.snapshot())


def test_snapshots_are_frozen_and_replaced() -> None:
    target = receiver(media())
    first = target.stats
    for i, packet in enumerate(send(sender(media()), noise(1.0))):
        target.put(packet, i * 0.02)
        target.read(160, i * 0.02)
    assert first.received == 0
    assert target.stats.received > 40
    assert target.stats.first_audio_at is not None
    assert target.stats.playout.delay == pytest.approx(0.06, abs=0.021)


# -- many streams -----------------------------------------------------------------------------------------------------


def test_one_stream_passes_the_mixer_unchanged_and_two_add_up() -> None:
    mixer = Mixer()
    assert mixer.idle
    sounds = {"a": noise(0.4, seed=1), "b": noise(0.4, seed=2)}
    packets = {key: send(sender(media()), sound) for key, sound in sounds.items()}
    for key in sounds:
        mixer.add(key, receiver(media()))
    heard = []
    for i in range(40):
        for key in sounds:
            if i < 20:
                mixer.put(key, packets[key][i], i * 0.02)
        heard.append(mixer.read(160, i * 0.02))
    result = np.concatenate(heard)
    start = int(np.flatnonzero(result)[0])
    assert np.array_equal(result[start : start + 3200], sounds["a"] + sounds["b"])
    assert set(mixer.stats) == {"a", "b"}
    assert not mixer.idle


def test_a_finished_stream_is_played_out_and_hands_over_its_figures() -> None:
    mixer = Mixer()
    final: list[ReceiverStats] = []
    mixer.add("call", receiver(media()))
    sound = noise(0.2)
    for i, packet in enumerate(send(sender(media()), sound)):
        mixer.put("call", packet, i * 0.02)
    mixer.finish("call", final.append)
    heard = []
    for i in range(100):
        if mixer.idle:
            break
        heard.append(mixer.read(80, 0.18 + i * 0.01))
    assert final[0].playout.played == 10
    result = np.concatenate(heard)
    start = int(np.flatnonzero(result)[0])
    assert np.array_equal(result[start : start + len(sound)], sound)
    assert mixer.stats == {}
    mixer.put("call", RtpPacket(96, 0, 0, 0), 1.0)
    mixer.update("call", media())
    mixer.remove("call")


def test_packets_that_the_goodbye_has_overtaken_are_still_heard() -> None:
    sound = noise(0.2)
    packets = send(sender(media()), sound)
    target = receiver(media())
    heard, now = [], 0.0
    for packet in packets[:8]:
        target.put(packet, now)
        heard.append(target.read(160, now))
        now += 0.02
    target.finish(now)
    for packet in packets[8:]:
        target.put(packet, now)
    while not target.drained:
        heard.append(target.read(80, now))
        now += 0.01
    result = np.concatenate(heard)
    assert np.array_equal(result[locate(result, sound) :][: len(sound)], sound)
    assert target.snapshot().received == 10


def test_what_a_burst_at_the_start_brings_too_much_of_is_left_out_and_counted() -> None:
    target = receiver(media())
    for packet in send(sender(media()), noise(0.4)):
        target.put(packet, 0.0)
    now = 0.0
    for _ in range(60):
        target.read(80, now)
        now += 0.01
    stats = target.snapshot()
    assert stats.received == 20
    assert stats.playout.skipped > 0
    assert stats.playout.played + stats.playout.skipped + stats.playout.late == 20


def test_to_finish_a_stream_that_is_gone_hands_over_empty_figures() -> None:
    final: list[ReceiverStats] = []
    Mixer().finish("nobody", final.append)
    assert final[0].received == 0


def test_the_fan_out_feeds_every_stream_and_sends_the_rest_of_one_that_leaves() -> None:
    fanout = Fanout(8000, 1)
    out: dict[str, list[bytes]] = {"a": [], "b": []}
    for key, ptime in (("a", 0.02), ("b", 0.03)):
        fanout.add(key, fed(fanout, media(ptime=ptime)), out[key].append)
    for _ in range(10):
        for transmit, datagram in fanout.write(noise(0.01), 0.0):
            transmit(datagram)
    assert {key: len(sent) for key, sent in out.items()} == {"a": 5, "b": 3}
    assert fanout.stats["a"].packets == 5
    fanout.remove("b")
    assert len(out["b"]) == 4
    assert set(fanout.stats) == {"a"}
    fanout.remove("b")
    fanout.update("b", media())
    assert fanout.finish() == []
