"""Datagrams of small programs played by us, and ours by them: sample by sample, and over bad networks."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.support.call import intact, locate, noise
from tests.support.network import Impairment
from tests.support.small_programs import (
    BEGIN,
    LEAST,
    MOST,
    PCM_RATE,
    SEQ_RATE,
    Arrival,
    Heard,
    carried,
    heard,
    pcm_datagrams,
    play_blocks,
    play_queue,
    seq16_datagrams,
)
from voip.audio import AudioSender
from voip.dsp import Pcm
from voip.formats import DatagramFormat, Framing, find_format, media_for
from voip.media import Direction

AT_LEAST = 0.08
"""Seconds of play-out delay where sound is compared sample by sample: `auto` would look for a lower one first."""
REMOTE = ("192.0.2.7", 5005)


def form(scheme: str) -> DatagramFormat:
    found = find_format(scheme)
    assert found is not None
    return found


def datagrams(scheme: str, sound: Pcm, **how: float) -> list[Arrival]:
    return pcm_datagrams(sound, **how) if scheme == "pcm" else seq16_datagrams(sound, **how)  # type: ignore[arg-type]


def is_exact(sent: Pcm, found: Pcm) -> bool:
    start = locate(found, sent)
    return bool(np.array_equal(found[start : start + len(sent)], sent))


def missing(sent: Pcm, found: Pcm) -> float:
    """The share of what was sent that was not played as it was."""
    return 1.0 - intact(sent, found) / len(sent)


def our_datagrams(found: DatagramFormat, sound: Pcm) -> list[Arrival]:
    """What our sender makes of it, block by block of its microphone."""
    media, rate = media_for(found, REMOTE, direction=Direction.SENDONLY), found.codec.sample_rate
    sender, framing = AudioSender(media, sample_rate=rate, channels=1, rng=random.Random(1)), Framing(found)
    sent: list[Arrival] = []
    for start in range(0, len(sound), rate // 100):
        now = BEGIN + (start + rate // 100) / rate
        written = sender.write(sound[start : start + rate // 100], now)
        sent += [Arrival(now, data) for each in written for data in framing.write(each)]
    end = BEGIN + len(sound) / rate
    return sent + [Arrival(end, data) for each in sender.finish() for data in framing.write(each)]


# --- nothing lost -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["pcm", "seq16"])
def test_their_sound_is_played_sample_by_sample_for_a_minute(scheme: str) -> None:
    rate = form(scheme).codec.sample_rate
    sent = noise(60.0, rate)
    arrivals = carried(datagrams(scheme, sent), Impairment(delay=0.02, jitter=0.001))
    found = heard(form(scheme), arrivals, 61.0, latency=AT_LEAST)
    assert is_exact(sent[: 59 * rate], found.pcm)
    assert (found.stats.lost, found.stats.playout.concealed) == (0, 0)
    assert found.delays[-1] < AT_LEAST + 0.02


def test_the_player_of_bare_samples_plays_ours_sample_by_sample() -> None:
    sent = noise(60.0, PCM_RATE)
    arrivals = carried(our_datagrams(form("pcm"), sent), Impairment(delay=0.02))
    player = play_blocks([Arrival(each.at + 0.1, each.data) for each in arrivals], 61.0)
    assert intact(sent, player.pcm) == len(sent) // 16 * 16


def test_the_player_of_numbered_samples_plays_ours_sample_by_sample_through_a_wrap() -> None:
    sent = noise(60.0, SEQ_RATE)
    ours = our_datagrams(form("seq16"), sent)
    after = SEQ_RATE // 5  # it begins with a hole of its own
    assert is_exact(sent[after : 59 * SEQ_RATE], play_queue(ours, 60.5).pcm)
    wrapping = [Arrival(each.at, as_numbered(each.data, 64000)) for each in ours]
    assert is_exact(sent[after : 59 * SEQ_RATE], play_queue(wrapping, 60.5, last=64000).pcm)
    assert is_exact(sent[: 59 * SEQ_RATE], heard(form("seq16"), wrapping, 61.0, latency=AT_LEAST).pcm)


def as_numbered(data: bytes, more: int) -> bytes:
    """The same datagram, so many later in the cycle of our numbers."""
    number = (int.from_bytes(data[:2], "little") + more - 1) % 65534 + 1
    return number.to_bytes(2, "little") + data[2:]


def test_the_65536th_datagram_of_theirs_is_played_as_any_other() -> None:
    sent = noise(12.0, SEQ_RATE)
    arrivals = seq16_datagrams(sent, first=65300)
    assert is_exact(sent[: 11 * SEQ_RATE], heard(form("seq16"), arrivals, 12.5, latency=AT_LEAST).pcm)
    assert not is_exact(sent[SEQ_RATE : 11 * SEQ_RATE], play_queue(arrivals, 12.5, last=65299).pcm)


# --- bad networks: ours, and theirs beside it -------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["pcm", "seq16"])
def test_ten_percent_loss_is_concealed_and_delays_nothing(scheme: str) -> None:
    """The player of bare samples falls silent for each; that of numbered ones fills in silence, in its place."""
    rate = form(scheme).codec.sample_rate
    sent = noise(60.0, rate)
    arrivals = carried(datagrams(scheme, sent), Impairment(loss=0.1, delay=0.02, jitter=0.001))
    lost = len(datagrams(scheme, sent)) - len(arrivals)
    ours = heard(form(scheme), arrivals, 60.0)
    assert ours.stats.lost == pytest.approx(lost, abs=0.2 * lost if scheme == "pcm" else 1)
    assert ours.delays[-1] < 0.12
    theirs = play_blocks(arrivals, 60.0) if scheme == "pcm" else play_queue(arrivals, 60.0)
    assert (theirs.pcm == 0).mean() > 0.08  # holes: the sound is never 0
    assert (ours.pcm == 0).mean() < 0.01
    assert missing(sent, ours.pcm) < 0.25


def test_reordering_by_30_ms_breaks_their_numbered_sound_and_not_ours() -> None:
    sent = noise(60.0, SEQ_RATE)
    arrivals = carried(seq16_datagrams(sent, first=1), Impairment(jitter=0.03))
    ours, theirs = heard(form("seq16"), arrivals, 61.0), play_queue(arrivals, 61.0)
    late = (ours.stats.playout.late + ours.stats.playout.skipped) / ours.stats.received
    assert late < 0.02
    assert (theirs.pcm == 0).mean() > 0.2
    assert missing(sent, theirs.pcm) > missing(sent, ours.pcm)


def test_reordering_by_30_ms_of_bare_samples_is_played_in_the_order_of_arrival() -> None:
    sent = noise(60.0, PCM_RATE)
    arrivals = carried(pcm_datagrams(sent), Impairment(jitter=0.03))
    ours, theirs = heard(form("pcm"), arrivals, 61.0), play_blocks(arrivals, 61.0)
    assert theirs.silent > 1.0
    assert ours.stats.lost < 0.02 * ours.stats.expected
    assert ours.delays[-1] < 0.25
    assert (ours.pcm == 0).mean() < 0.02


# --- what breaks theirs -----------------------------------------------------------------------------------------------


def test_a_receiver_that_stood_still_is_back_at_its_delay_which_theirs_never_is() -> None:
    """Three seconds are in the socket when it goes on, as much as that holds."""
    sent = noise(20.0, PCM_RATE)
    arrivals = pcm_datagrams(sent)
    stood = [Arrival(max(a.at, BEGIN + 8.0), a.data) if a.at > BEGIN + 5.0 else a for a in arrivals]
    kept = [a for a in stood if a.at != BEGIN + 8.0] + [a for a in stood if a.at == BEGIN + 8.0][:90]
    kept.sort(key=lambda each: each.at)
    ours = heard(form("pcm"), kept, 20.0)
    assert max(ours.delays[-500:]) < 0.1
    assert play_blocks(kept, 20.0).delays[-1] > 0.8


def test_a_stray_number_leaves_the_delay_and_the_sound_as_they_are() -> None:
    sent = noise(10.0, SEQ_RATE)
    arrivals = seq16_datagrams(sent, first=1)
    stray = Arrival(arrivals[200].at - 0.001, (40000).to_bytes(2, "little") + bytes(1920))
    with_stray = [*arrivals[:200], stray, *arrivals[200:]]
    ours, theirs = heard(form("seq16"), with_stray, 10.5, latency=AT_LEAST), play_queue(with_stray, 10.5)
    assert is_exact(sent[: 9 * SEQ_RATE], ours.pcm)
    assert ours.delays[-1] < AT_LEAST + 0.02
    assert theirs.delays[440] > 0.9 * MOST / SEQ_RATE > 2 * LEAST / SEQ_RATE


def test_alternating_numbers_cost_no_memory_and_end_when_they_end() -> None:
    sent = noise(10.0, SEQ_RATE)
    arrivals = seq16_datagrams(sent, first=1)
    hostile = [
        Arrival(each.at - 0.001, (1 if index % 2 else 65535).to_bytes(2, "little") + bytes(1920))
        for index, each in enumerate(arrivals[100:200])
    ]
    ours = heard(form("seq16"), sorted([*arrivals, *hostile], key=lambda a: a.at), 10.5, latency=AT_LEAST)
    assert is_exact(sent[5 * SEQ_RATE : 9 * SEQ_RATE], ours.pcm)
    assert ours.delays[-1] < 0.1


@pytest.mark.parametrize("scheme", ["pcm", "seq16"])
@pytest.mark.parametrize("ppm", [-1000, -200, 200, 12000])
def test_a_sender_whose_clock_is_off_adds_no_delay(scheme: str, ppm: int) -> None:
    rate = form(scheme).codec.sample_rate
    sent = noise(60.0, rate)
    arrivals = carried(datagrams(scheme, sent, rate=rate * (1 + ppm * 1e-6)), Impairment(jitter=0.001))
    ours = heard(form(scheme), arrivals, 58.0)
    assert max(ours.delays[-1000:]) < 0.2
    assert (ours.pcm[rate:] == 0).mean() < 0.02


@pytest.mark.parametrize("scheme", ["pcm", "seq16"])
def test_copies_are_played_once(scheme: str) -> None:
    rate = form(scheme).codec.sample_rate
    sent = noise(10.0, rate)
    ours = heard(form(scheme), carried(datagrams(scheme, sent), Impairment(duplicate=0.1)), 10.5, latency=AT_LEAST)
    assert is_exact(sent[: 9 * rate], ours.pcm)
    assert ours.stats.duplicate > 20


def test_figures_of_a_stream_are_those_of_its_wire() -> None:
    sent = noise(5.0, SEQ_RATE)
    arrivals = seq16_datagrams(sent, first=1)
    found: Heard = heard(form("seq16"), arrivals, 6.0)
    stats = found.session.stats
    assert stats.bytes == sum(len(each.data) for each in arrivals)
    assert stats.ip_bytes == stats.bytes + 28 * len(arrivals)
