"""Several callers in virtual time: what is heard is the sum of what each says, and each report is its own wire's."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.call import Link, check, check_unaltered, l16, media
from tests.support.room import Room
from tests.support.sound import speechlike
from tests.support.wavdiff import compare
from voip.dsp import Pcm

RATE = 16000


def voices(count: int, seconds: float) -> dict[str, Pcm]:
    """As many voices, none like another, whose sum is below full scale."""
    return {f"caller {n}": speechlike(RATE, seconds, seed=n) // count for n in range(count)}


@pytest.mark.parametrize("count", [1, 3, 8])
def test_what_is_heard_of_several_callers_is_the_sum_of_what_each_says(count: int) -> None:
    room, sounds = Room(media(l16(RATE))), voices(count, 10.0)
    callers = {key: room.join(key, seed=n) for n, key in enumerate(sounds)}
    room.talk(sounds)
    for key in callers:
        room.leave(key)
    room.wait(1.5)
    total = sum(sound.astype(np.int64) for sound in sounds.values())
    assert np.abs(total).max() < 32768
    found = compare(np.asarray(total, np.int16), room.mixed, RATE)
    assert found.snr > 60
    assert found.exact
    assert found.compared == pytest.approx(10.0)
    for caller in callers.values():
        check_unaltered(caller.final[0])


def test_with_loss_and_fec_each_report_is_of_its_own_wire() -> None:
    losses = {"clean": 0.0, "poor": 0.1, "worse": 0.2}
    room = Room(media(l16(RATE), fec="4"), fec="4")
    callers = {key: room.join(key, Link(loss=loss, seed=n)) for n, (key, loss) in enumerate(losses.items())}
    room.talk({key: speechlike(RATE, 30.0, seed=n) for n, key in enumerate(losses)})
    for key in losses:
        room.leave(key)
    room.wait(1.5)
    for key, caller in callers.items():
        stats = caller.final[0]
        check(stats)
        assert stats.lost == caller.link.lost
        assert stats.expected == caller.sender.stats.packets
        assert (stats.recovered > 0) is (losses[key] > 0)
    assert callers["clean"].final[0].lost == 0
    assert callers["poor"].final[0].lost < callers["worse"].final[0].lost


def test_callers_who_come_and_go_do_not_change_what_is_heard_of_the_others() -> None:
    room = Room(media(l16(RATE)))
    sound = speechlike(RATE, 4.0)
    room.join("stays")
    for second in range(4):
        if second in (1, 2):
            room.join(f"guest {second}")
        if second in (2, 3):
            room.leave(f"guest {second - 1}")
        guests = {key: speechlike(RATE, 1.0, seed=9) // 2 for key in room.callers if key != "stays"}
        room.talk({"stays": sound[second * RATE : (second + 1) * RATE], **guests})
    room.wait(0.3)
    stays = np.concatenate([taken.streams["stays"] for taken in room.taken])
    assert compare(sound, stays, RATE).exact
    check_unaltered(room.mixer.stats["stays"])
