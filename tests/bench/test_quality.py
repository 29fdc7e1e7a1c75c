"""The benchmarks' judge of speech: holes, delays, steps and gains that are known, in sound that is made up."""

import itertools

import numpy as np
import pytest

from tests.bench.figures import kbps, median, quality_figures, reaction, rtp_begin
from tests.bench.quality import FRAME, NOTHING, cuts, measure, piece, runs
from tests.bench.rows import find
from tests.bench.running import LogLine
from tests.bench.waves import RATE, Wave, stretch

SECONDS = 12.0


def voice(seconds: float = SECONDS, seed: int = 1) -> Wave:
    """Noise in syllables, band-limited like speech, no two stretches alike."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE)
    noise = np.convolve(rng.standard_normal(count), np.hanning(9), "same")
    syllables = np.repeat(rng.uniform(0.2, 1.0, count // 2000 + 1), 2000)[:count]
    sound: Wave = 0.05 * noise * syllables
    return sound


def test_what_arrives_whole_misses_nothing() -> None:
    quality = measure(voice(), voice(), with_pesq=False)
    assert quality.missing == 0.0
    assert quality.delay == pytest.approx(0.0, abs=0.07)
    assert (quality.gaps, quality.clicks, quality.head, quality.tail) == (0, 0, 0.0, 0.0)


@pytest.mark.parametrize("delay", [0.0371, 0.25, 2.5])
@pytest.mark.parametrize("gain", [1.0, 0.3, 2.0])
def test_a_delay_is_found_and_gain_and_polarity_do_not_matter(delay: float, gain: float) -> None:
    received = np.concatenate([np.zeros(round(delay * RATE)), gain * voice()])
    quality = measure(voice(), received, with_pesq=False)
    assert quality.missing == 0.0
    assert quality.delay == pytest.approx(1e3 * delay, abs=0.1)
    assert quality.delay_min == quality.delay_max


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("kind", ["silence", "noise"])
def test_holes_are_counted_as_many_as_there_are(share: float, kind: str) -> None:
    rng = np.random.default_rng(3)
    received = np.concatenate([np.zeros(1000), voice()])
    count = round(share * SECONDS * RATE / FRAME)
    lost = rng.choice(np.arange(10, round(SECONDS * RATE / FRAME) - 10), count, replace=False)
    other = voice(seed=9)
    for frame in lost:
        fill = np.zeros(FRAME) if kind == "silence" else other[frame * FRAME : (frame + 1) * FRAME]
        received[1000 + frame * FRAME : 1000 + (frame + 1) * FRAME] = fill
    quality = measure(voice(), received, with_pesq=False)
    assert quality.missing == pytest.approx(100 * count * FRAME / SECONDS / RATE, rel=0.05)
    dominant = quality.silent if kind == "silence" else quality.other
    assert dominant > 0.9 * quality.missing


def test_the_longest_gap_is_that_of_neighbours() -> None:
    received = voice()
    received[200 * FRAME : 207 * FRAME] = 0.0
    received[300 * FRAME : 302 * FRAME] = 0.0
    quality = measure(voice(), received, with_pesq=False)
    assert quality.longest_gap == 140.0
    assert quality.gaps == 2


def test_steps_of_the_delay_are_followed_and_cost_only_what_was_cut() -> None:
    sound = voice()
    received = np.concatenate(
        [
            sound[: 3 * RATE],
            np.zeros(800),  # 50 ms more
            sound[3 * RATE : 6 * RATE],
            sound[6 * RATE + 480 : 9 * RATE],  # 30 ms less
            np.zeros(320),
            sound[9 * RATE :],
        ]
    )
    quality = measure(sound, received, with_pesq=False)
    assert quality.delay_min == pytest.approx(0.0, abs=0.1)
    assert quality.delay_max == pytest.approx(50.0, abs=0.1)
    assert quality.missing <= 100 * 0.14 / SECONDS  # 30 ms cut, 70 ms put in, and the frames astride


def test_a_delay_that_drifts_is_followed() -> None:
    sound = voice()
    stretched = np.interp(np.arange(0, len(sound) - 1, 1 / 1.0005), np.arange(len(sound)), sound)
    quality = measure(sound, stretched, with_pesq=False)
    assert quality.missing < 0.5
    assert quality.delay_max is not None
    assert quality.delay_max == pytest.approx(1e3 * 0.0005 * SECONDS, abs=0.6)


def test_a_phrase_that_repeats_does_not_lead_astray() -> None:
    phrase = voice(1.0)
    sound = np.concatenate([phrase, voice(1.0, seed=2), phrase, phrase, voice(2.0, seed=3), phrase, voice(1.0, seed=4)])
    received = np.concatenate([np.zeros(480), sound])
    received[round(3.3 * RATE) : round(3.6 * RATE)] = 0.0
    quality = measure(sound, received, with_pesq=False)
    assert quality.delay_min == pytest.approx(30.0, abs=0.1)
    assert quality.delay_max == pytest.approx(30.0, abs=0.1)


def test_what_is_cut_off_at_the_ends_is_told_apart() -> None:
    quality = measure(voice(), voice()[RATE : -2 * RATE], with_pesq=False)
    assert quality.missing < 0.5
    assert quality.head == pytest.approx(1000, abs=60)
    assert quality.tail == pytest.approx(2000, abs=60)


def test_a_click_is_heard() -> None:
    sound = np.convolve(voice(), np.hanning(33) / 16, "same")
    received = sound.copy()
    received[[20_000, 90_000]] += 0.3
    assert measure(sound, sound, with_pesq=False).clicks == 0
    assert measure(sound, received, with_pesq=False).clicks == 2


@pytest.mark.parametrize("received", [np.zeros(0), np.zeros(5 * RATE), voice(5.0, seed=77)])
def test_where_nothing_arrived_all_is_missing(received: Wave) -> None:
    assert measure(voice(), received, with_pesq=False).missing > 99.0 - (0 if len(received) == 0 else 1)
    assert NOTHING.missing == 100.0


def test_pesq_falls_with_holes() -> None:
    pytest.importorskip("pesq", reason="needs tests/bench/requirements.txt")
    received = voice()
    received[40 * FRAME : 600 * FRAME].reshape(-1, FRAME)[::10] = 0.0
    whole, holed = measure(voice(), voice()).pesq, measure(voice(), received).pesq
    assert whole is not None
    assert holed is not None
    assert whole > 4.5
    assert holed < whole - 0.5


def test_pieces_are_cut_in_pauses_and_only_the_last_may_be_short() -> None:
    energy = np.ones(3000)
    energy[::395] = 0.0
    energy[395:405] = energy[795:805] = 0.0
    places = cuts(energy, 5, 2990)
    assert places[0] == 5
    assert places[-1] == 2990
    assert 395 <= places[1] <= 405
    assert all(350 <= end - begin <= 450 for begin, end in itertools.pairwise(places[:-1]))
    assert 150 <= places[-1] - places[-2] <= 600


def test_runs_and_pieces_at_the_edges() -> None:
    assert runs(np.array([True, True, False, True])).tolist() == [[0, 2], [3, 4]]
    assert runs(np.zeros(3, dtype=bool)).tolist() == []
    assert piece(np.arange(4.0), -2, 8).tolist() == [0, 0, 0, 1, 2, 3, 0, 0]
    assert piece(np.arange(4.0), 9, 2).tolist() == [0, 0]
    assert len(stretch(voice(1.0), 2.5)) == 2.5 * RATE


def line(at: float, kind: str = "rtp 96", timestamp: int = 0, size: int = 100) -> LogLine:
    return LogLine(at, "near>far", kind, 0, timestamp, size, (0.02,))


def test_the_first_sample_was_spoken_one_packet_before_the_punctual_ones_were_sent() -> None:
    wrap = 2**32
    log = [line(10.3, timestamp=wrap - 960), line(10.31, "rtp 97", 5), line(10.32), line(10.333, timestamp=960)]
    assert rtp_begin(log, 48000, 0.02) == pytest.approx(10.273)
    assert rtp_begin([], 48000, 0.02) is None


def test_bit_rates_are_of_the_span_alone() -> None:
    log = [line(float(at), size=125) for at in range(10)]
    assert kbps(log, "near>far", (2.0, 6.0)) == pytest.approx(1.0)
    assert kbps(log, "far>near", (2.0, 6.0)) == 0.0


def test_the_reaction_to_steps_is_counted_in_seconds_from_each() -> None:
    def size(second: int) -> int:
        return 250 if 64 <= second < 131 else 125

    log = [line(100.0 + n / 10, size=size(n // 10)) for n in range(1800)]
    assert reaction(log, find("steps")) == {"calm_kbps": 10.0, "busy_kbps": 20.0, "up_s": 4, "down_s": 11}
    for_ever = [line(100.0 + n / 10, size=250 if n >= 640 else 125) for n in range(1800)]
    assert reaction(for_ever, find("steps"))["down_s"] is None
    assert reaction(log, find("clean")) == {}


def test_the_delay_from_mouth_to_ear_adds_the_offset_of_the_files() -> None:
    figures = quality_figures(measure(voice(), voice(), with_pesq=False), 0.055)
    assert figures["delay"] == pytest.approx(55.0, abs=0.1)
    assert quality_figures(NOTHING, 0.055)["delay"] is None


def test_medians_go_item_by_item() -> None:
    runs_ = [{"a": value, "b": {"c": value}, "d": [value, 0], "e": None, "f": "text"} for value in (3, 1, 2)]
    assert median(runs_) == {"a": 2, "b": {"c": 2}, "d": [2, 0]}
