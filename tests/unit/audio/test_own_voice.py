"""The host's microphone: in order and whole while both clocks agree, bounded and counted when they do not."""

from __future__ import annotations

import numpy as np

from tests.support.call import noise
from voip.audio import OwnVoice
from voip.audio.own_voice import AHEAD, AHEAD_MOST

RATE = 8000
BLOCK = 80


def test_all_that_is_said_is_there_once_and_in_order() -> None:
    voice, said, heard = OwnVoice(RATE, 1), noise(2.0), []
    for start in range(0, len(said), BLOCK):
        voice.put(said[start : start + BLOCK])
        heard.append(voice.take(BLOCK))
    result = np.concatenate(heard)
    begin = int(np.flatnonzero(result[:, 0])[0])
    assert begin <= AHEAD * RATE
    assert np.array_equal(result[begin:], said[: len(result) - begin])
    assert (voice.underruns, voice.overruns) == (0, 0)


def test_blocks_of_another_length_and_a_block_that_is_late_do_no_harm() -> None:
    voice, said, heard = OwnVoice(RATE, 1), noise(2.0), []
    for turn, start in enumerate(range(0, len(said), 2 * BLOCK)):
        if turn != 20:
            voice.put(said[start : start + 2 * BLOCK])
        heard += [voice.take(BLOCK), voice.take(BLOCK)]
        if turn == 20:
            voice.put(said[start : start + 2 * BLOCK])
    result = np.concatenate(heard)
    kept = result[result[:, 0] != 0]
    assert np.array_equal(kept, said[: len(kept)])
    assert voice.underruns <= 1


def test_a_microphone_that_is_too_slow_leaves_silence_and_is_counted() -> None:
    voice = OwnVoice(RATE, 1)
    for _ in range(3):
        voice.put(noise(0.01))
    lengths = {len(voice.take(BLOCK)) for _ in range(10)}
    assert lengths == {BLOCK}
    assert voice.underruns == 1
    assert not voice.take(BLOCK).any()


def test_a_microphone_that_is_too_fast_is_not_heard_later_and_later() -> None:
    voice = OwnVoice(RATE, 1)
    said = noise(10.0)
    for number, start in enumerate(range(0, len(said), BLOCK)):
        voice.put(said[start : start + BLOCK])
        if number % 10:  # it has ten blocks for nine of the mix
            taken = voice.take(BLOCK)
            if voice.overruns:
                behind = start + BLOCK - int(np.flatnonzero((said == taken[-1]).all(axis=1))[-1])
                assert behind <= AHEAD_MOST * RATE + BLOCK or (said == taken[-1]).sum() > 1
    assert voice.overruns > 5
    assert len(voice.take(BLOCK)) == BLOCK


def test_a_new_beginning_has_nothing_of_the_last_one() -> None:
    voice = OwnVoice(RATE, 1)
    for _ in range(4):
        voice.put(noise(0.01))
    voice.begin()
    assert not voice.take(BLOCK).any()
