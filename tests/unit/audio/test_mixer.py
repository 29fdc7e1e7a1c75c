"""The mixer: exact sums, gain and mute, no click where a stream joins or leaves, who speaks."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.call import l16, locate, media, noise
from tests.support.room import Room
from tests.support.sound import column, sine
from voip.audio import GAIN_LIMIT
from voip.audio.mixer import FADE
from voip.audio.speaking import LOUDER_BY, SPEAKS_FROM, ActiveSpeaker
from voip.dsp import Pcm, add
from voip.stats import Levels

RATE = 8000
CLICK = 1200
"""A difference of two samples in a row that no part of the sounds below has by itself."""


def room() -> Room:
    return Room(media(l16(RATE)))


def constant(seconds: float, value: int = 8000) -> Pcm:
    """Sound that is all step where it begins and ends."""
    return column(np.full(round(seconds * RATE), value))


def largest_step(sound: Pcm) -> int:
    return int(np.abs(np.diff(sound.astype(int), axis=0)).max())


def test_the_sum_of_as_many_streams_as_a_float_can_hold_is_exact() -> None:
    loudest = np.full((4, 1), -32768, np.int16)
    odd = np.full((4, 1), 32767, np.int16)
    total = add([loudest] * 256 + [odd] * 256, 4, 1)
    assert total.ravel().tolist() == [256 * 32767 - 256 * 32768] * 4
    assert add([odd] * 512, 4, 1)[0, 0] == 512 * 32767
    assert add([], 4, 2).shape == (4, 2)


def test_a_single_caller_is_heard_from_its_first_sample_to_its_last_however_loud() -> None:
    both, sound = room(), noise(1.0) * 2 + 1
    sound[::7] = -32768
    sound[0] = 32767
    both.join("a")
    both.talk({"a": sound})
    both.leave("a")
    both.wait(1.5)
    start = locate(both.mixed, sound)
    assert np.array_equal(both.mixed[start : start + len(sound)], sound)
    assert both.mixer.idle
    assert both.mixer.limited == 0
    assert not both.mixed[start + len(sound) :].any()


def test_who_joins_others_fades_in_and_who_leaves_them_fades_out() -> None:
    both = room()
    tone = sine(RATE, 3.0, 50.0, peak=5000)
    both.join("a")
    both.talk({"a": tone[:RATE]})
    both.join("b")
    both.talk({"a": tone[RATE : 2 * RATE], "b": constant(1.0)})
    both.leave("b")
    both.talk({"a": tone[2 * RATE :]})
    streams = [taken.streams.get("b") for taken in both.taken]
    alone = np.concatenate([stream for stream in streams if stream is not None])
    assert largest_step(alone) == 8000  # there is something to fade
    assert largest_step(both.mixed[RATE // 2 :]) < CLICK
    heard = both.mixed.astype(int)
    assert heard.max() > 12000  # it was heard


def test_a_stream_that_is_removed_at_once_fades_too() -> None:
    both = room()
    for key in ("a", "b"):
        both.join(key)
    both.talk({"a": sine(RATE, 1.0, 50.0, peak=5000), "b": constant(1.0)})
    before = len(both.mixed)
    both.callers.pop("b")
    both.mixer.remove("b")
    both.talk({"a": sine(RATE, 1.0, 50.0, peak=5000)})
    around = both.mixed[before - 80 : before + 160]
    assert largest_step(around) < CLICK
    assert around[:80].max() > 2500


def test_a_single_stream_that_ends_takes_nothing_over_to_the_next() -> None:
    both = room()
    both.join("a")
    both.talk({"a": constant(0.5)})
    both.leave("a")
    both.wait(1.5)
    assert both.mixer.idle
    both.join("b")
    sound = noise(0.5)
    both.talk({"b": sound})
    both.wait(0.2)
    start = locate(both.mixed, sound)
    assert np.array_equal(both.mixed[start : start + len(sound)], sound)


@pytest.mark.parametrize(("gain_db", "factor"), [(6.0, 1.9953), (-6.0, 0.5012), (100.0, 10 ** (GAIN_LIMIT / 20))])
def test_a_gain_is_what_it_says_and_begins_without_a_step(gain_db: float, factor: float) -> None:
    both = room()
    both.join("a")
    both.talk({"a": constant(0.5, 500)})
    both.mixer.adjust("a", gain_db=gain_db)
    both.talk({"a": constant(0.5, 500)})
    assert both.mixed[-1, 0] == pytest.approx(500 * factor, abs=0.51)
    assert largest_step(both.mixed[RATE // 4 :]) <= 1 + abs(factor - 1) * 500 / 80 * 1.01
    assert both.mixer.in_mix["a"].gain_db == pytest.approx(max(-GAIN_LIMIT, min(GAIN_LIMIT, gain_db)))


def test_who_is_muted_is_left_out_of_the_mixture_but_not_of_what_came_and_comes_back() -> None:
    both, sounds = room(), {"a": noise(0.5, seed=1), "b": noise(0.5, seed=2)}
    for key in sounds:
        both.join(key)
    both.talk(sounds)
    both.mixer.adjust("b", muted=True)
    both.talk(sounds)
    last = both.taken[-1]
    assert np.array_equal(both.mixed[-80:], last.streams["a"])
    assert last.streams["b"].any()
    assert both.mixer.in_mix["b"].muted
    assert not both.mixer.in_mix["b"].speaking
    both.mixer.adjust("b")
    both.talk(sounds)
    last = both.taken[-1]
    assert np.array_equal(both.mixed[-80:], last.streams["a"] + last.streams["b"])


def test_an_unknown_stream_can_be_adjusted_and_removed_without_harm() -> None:
    both = room()
    both.mixer.adjust("x", gain_db=3.0)
    both.mixer.remove("x")
    assert both.mixer.in_mix == {}


def test_a_mixture_that_is_too_loud_is_made_softer_and_counted() -> None:
    both = room()
    for key in ("a", "b", "c"):
        both.join(key)
    both.talk({key: sine(RATE, 0.5, 300.0, peak=30000) for key in ("a", "b", "c")})
    heard = both.mixed[2000:].astype(int)
    assert both.mixer.limited > 1000
    assert 30000 < np.abs(heard).max() <= 32767
    assert (np.abs(heard) >= 32767).mean() < 0.15  # a wave cut off would be there for two thirds of the time


def test_the_active_speaker_is_who_is_loudest_and_changes_with_who_speaks() -> None:
    both = room()
    for key in ("a", "b"):
        both.join(key)
    loud, soft = sine(RATE, 1.0, 300.0, peak=12000), sine(RATE, 1.0, 500.0, peak=1200)
    for first, second in (("a", "b"), ("b", "a")):
        both.talk({first: loud, second: soft})
        found = both.mixer.in_mix
        assert (found[first].speaking, found[second].speaking) == (True, False)
        assert found[first].level_dbfs == pytest.approx(-11.7, abs=1.5)  # 12000 of a sine
        assert found[second].level_dbfs == pytest.approx(-31.7, abs=1.5)  # and what there was a moment ago
    both.talk({"a": constant(2.0, 0), "b": constant(2.0, 0)})
    assert not any(stream.speaking for stream in both.mixer.in_mix.values())


def test_a_speaker_stays_unless_another_is_clearly_louder() -> None:
    active, totals = ActiveSpeaker(), {"a": 0.0, "b": 0.0}

    def look(samples: int, **power_db: float) -> str | None:
        for key, level in power_db.items():
            totals[key] += 800 * 10 ** (level / 10)
        active.look({key: Levels(samples=samples, energy=energy) for key, energy in totals.items()})
        return active.speaker

    looks = range(800, 800 * 100, 800)
    assert {look(samples, a=-20.0, b=-30.0) for samples in looks[:10]} == {"a"}
    assert {look(samples, a=-20.0, b=-20.0 + LOUDER_BY - 0.5) for samples in looks[10:20]} == {"a"}
    assert [look(samples, a=-20.0, b=-20.0 + LOUDER_BY + 0.5) for samples in looks[20:30]][-1] == "b"
    assert [look(samples, a=SPEAKS_FROM - 5, b=SPEAKS_FROM - 5) for samples in looks[30:50]][-1] is None


def test_the_fade_is_a_few_milliseconds() -> None:
    """Longer would take the beginning of a word."""
    assert 0.002 <= FADE <= 0.01
