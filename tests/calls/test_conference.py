"""A conference in virtual time: each party is sent all others and never itself, exactly, and no later than it must."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.call import Link, l16, media
from tests.support.conference import ConferenceRoom
from tests.support.sound import sine, speechlike
from tests.support.wavdiff import compare
from voip.codecs import find
from voip.dsp import Pcm

RATE = 16000
TONES = (401.37, 733.71, 1171.93)
"""Hz: none is a sum, a difference or a multiple of others, which is where the distortion by mu-law is."""
ECHO = -60.0
"""dB: how loud a party may hear itself, beside how loud the others hear it."""


def voices(count: int, seconds: float) -> dict[str, Pcm]:
    return {f"party {n}": speechlike(RATE, seconds, seed=n) // count for n in range(count)}


def wave(sound: Pcm) -> NDArray[np.float64]:
    return sound[:, 0].astype(np.float64)


def share(heard: Pcm, said: Pcm) -> float:
    """dB of what was said in what is heard, wherever it is in it, up to half a second late."""
    a, b = wave(said), wave(heard)
    length = min(len(a), len(b)) - RATE // 2
    size = 1 << (len(a) + len(b)).bit_length()
    spectrum = np.conj(np.fft.rfft(a[:length], size)) * np.fft.rfft(b[: length + RATE // 2], size)
    found = np.abs(np.fft.irfft(spectrum, size)[: RATE // 2]).max() / float(a[:length] @ a[:length])
    return 20 * float(np.log10(max(found, 1e-9)))


@pytest.mark.parametrize("count", [2, 3, 8])
def test_each_party_is_sent_the_sum_of_the_others_to_the_last_bit(count: int) -> None:
    room, sounds = ConferenceRoom(media(l16(RATE))), voices(count, 4.0)
    for n, key in enumerate(sounds):
        room.join(key, seed=n)
    room.talk(sounds)
    for key in sounds:
        wanted = [
            sum(pcm.astype(np.int64) for other, pcm in mixture.streams.items() if other != key)
            for mixture in room.mixtures
        ]
        heard = room.sent[key].sound
        assert np.array_equal(heard, np.concatenate(wanted)[: len(heard)])
        others = sum(sound.astype(np.int64) for other, sound in sounds.items() if other != key)
        assert compare(np.asarray(others, np.int16), heard, RATE).exact


def test_no_party_hears_itself_though_its_packets_are_lost_repaired_and_concealed() -> None:
    """What is subtracted is what was added, not what was sent."""
    room, sounds = ConferenceRoom(media(l16(RATE))), voices(3, 8.0)
    for n, key in enumerate(sounds):
        room.join(key, Link(loss=0.1, jitter=0.01, seed=n), seed=n)
    room.talk(sounds)
    for key, sound in sounds.items():
        for other in sounds:
            heard = share(room.sent[other].sound, sound)
            if other == key:
                wanted = [np.rint(m.total - m.parts[key]) for m in room.mixtures]
                assert np.array_equal(room.sent[key].sound, np.concatenate(wanted)[: len(room.sent[key].sound)])
            else:
                assert heard > -10  # where a packet was late it is moved, and the rest is not found here


def test_no_party_hears_itself_by_a_codec_with_noise_of_its_own() -> None:
    pcmu = find("PCMU", 8000, 1)
    assert pcmu is not None
    room = ConferenceRoom(media(pcmu))
    tones = {f"party {hertz}": sine(8000, 6.0, hertz, peak=6000) for hertz in TONES}
    for key in tones:
        room.join(key)
    room.talk(tones)

    def level(heard: Pcm, hertz: float) -> float:
        part = wave(heard)[-4 * 8000 :] * np.hanning(4 * 8000)
        found = abs(part @ np.exp(-2j * np.pi * hertz * np.arange(len(part)) / 8000))
        return 20 * float(np.log10(4 * found / len(part) + 1e-9))

    for listener in TONES:
        levels = {hertz: level(room.sent[f"party {listener}"].sound, hertz) for hertz in TONES}
        others = [levels[hertz] for hertz in levels if hertz != listener]
        assert min(others) == pytest.approx(20 * np.log10(6000), abs=0.5)
        assert levels[listener] - min(others) < ECHO


def test_the_bridge_adds_no_more_than_a_packet_to_the_jitter_buffers() -> None:
    """A packet has the blocks that were taken last, and is sent with the one that fills it."""
    room, sounds = ConferenceRoom(media(l16(RATE), ptime=0.02)), voices(2, 2.0)
    for key in sounds:
        room.join(key)
    room.talk(sounds)
    packets = room.sent["party 0"].packets
    assert len(packets) == 100
    for taken, pcm in packets:
        others = [mixture.streams["party 1"] for mixture in room.mixtures[taken - 2 : taken]]
        assert np.array_equal(pcm, np.concatenate(others))


def test_the_host_is_heard_by_all_and_hears_all_but_itself() -> None:
    room, sounds, host = ConferenceRoom(media(l16(RATE))), voices(2, 3.0), speechlike(RATE, 3.0, seed=77) // 4
    for key in sounds:
        room.join(key)
    room.talk(sounds, host)
    for key in sounds:
        (other,) = (name for name in sounds if name != key)
        heard = room.sent[key].sound
        wanted = np.concatenate([m.streams[other].astype(np.int64) + m.parts["host"] for m in room.mixtures])
        assert np.array_equal(heard, wanted[: len(heard)])
    here = room.room.mixed
    assert np.array_equal(here, sum(np.concatenate([m.streams[key] for m in room.mixtures]) for key in sounds))


def test_who_comes_late_or_leaves_disturbs_no_other() -> None:
    room, sound = ConferenceRoom(media(l16(RATE))), speechlike(RATE, 4.0) // 2
    for key in ("speaks", "listens"):
        room.join(key)
    for second in range(4):
        if second == 1:
            room.join("guest")
        if second == 3:
            room.leave("guest")
        pieces = {"speaks": sound[second * RATE : (second + 1) * RATE]}
        room.talk(pieces)  # the guest says nothing
    heard = room.sent["listens"].sound
    assert compare(sound, heard, RATE).exact
    guest = room.sent["guest"].sound
    assert len(guest) == pytest.approx(2 * RATE, abs=RATE // 50)
    assert compare(sound[RATE : 3 * RATE - RATE // 5], guest, RATE).exact


def test_parties_that_are_too_loud_together_are_made_softer_for_each_listener_by_itself() -> None:
    room = ConferenceRoom(media(l16(RATE)))
    loud, soft = sine(RATE, 2.0, 300.0, peak=25000), sine(RATE, 2.0, 300.0, peak=2000)
    for key in ("a", "b", "c"):
        room.join(key)
    room.talk({"a": loud, "b": loud, "c": soft})
    whole = room.sent["c"].sound[RATE:].astype(int)
    assert 30000 < np.abs(whole).max() <= 32768  # a + b, softer
    half = np.concatenate([m.streams["b"].astype(int) + m.streams["c"] for m in room.mixtures])
    assert np.array_equal(room.sent["a"].sound, half[: len(room.sent["a"].sound)])  # b + c, which fits


def test_a_muted_party_is_heard_by_none_and_hears_the_others() -> None:
    room, sounds = ConferenceRoom(media(l16(RATE))), voices(3, 2.0)
    for key in sounds:
        room.join(key)
    room.room.mixer.adjust("party 1", muted=True)
    room.talk(sounds)
    late = slice(RATE, None)
    heard = {key: room.sent[key].sound[late].astype(int) for key in sounds}
    alone = {key: np.concatenate([m.streams[key] for m in room.mixtures]).astype(int) for key in sounds}
    length = len(heard["party 0"])
    assert np.array_equal(heard["party 0"], alone["party 2"][late][:length])
    assert np.array_equal(heard["party 1"], (alone["party 0"] + alone["party 2"])[late][:length])
