"""Telephone events: what is on the wire, each key once whatever is lost, and calls in which keys are pressed."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.call import Call, Link, Wrapping, media, noise
from tests.support.negotiated import changed
from voip.audio import AudioSender, Digit, DtmfSender
from voip.audio.dtmf import DIGITS, DtmfReceiver, TelephoneEvent
from voip.errors import ProtocolError
from voip.media import NegotiatedMedia
from voip.rtp import RtpPacket

RATE = 8000
EVENT = 101
BEGAN = 0xFFFFFF00  # the timestamp of a first key: its successors are beyond the wrap


def packet(
    code: int, duration: int, *, end: bool = False, timestamp: int = BEGAN, number: int = 0, marker: bool = False
) -> RtpPacket:
    payload = TelephoneEvent(code, end, 10, duration).serialize()
    return RtpPacket(EVENT, number & 0xFFFF, timestamp & 0xFFFFFFFF, 1, payload, marker)


def key(code: int, timestamp: int = BEGAN) -> list[RtpPacket]:
    """A key as phones send it: every 20 ms for 100 ms, the end three times."""
    ticks = [160, 320, 480, 640, 800, 800, 800]
    return [packet(code, t, end=i >= 4, timestamp=timestamp, marker=not i) for i, t in enumerate(ticks)]


def heard(packets: list[RtpPacket], *, ends: bool = True) -> list[Digit]:
    receiver = DtmfReceiver(RATE)
    found = [digit for i, each in enumerate(packets) for digit in receiver.receive(each, i * 0.02)]
    return found + (receiver.tick(len(packets) * 0.02 + 1.0) if ends else [])


# --- packets ----------------------------------------------------------------------------------------------------------


def test_a_payload_is_as_rfc_4733_draws_it() -> None:
    assert TelephoneEvent(9, True, 7, 1600).serialize() == bytes.fromhex("09 87 0640")  # section 5, the digit 9
    assert TelephoneEvent.parse(bytes.fromhex("09870640")) == TelephoneEvent(9, True, 7, 1600)
    assert TelephoneEvent.parse(bytes.fromhex("0b4a00a0ffff")) == TelephoneEvent(11, False, 10, 160)  # R bit and rest


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.binary(max_size=8), st.integers(0, 0xFFFFFFFF), st.booleans()), max_size=20))
def test_any_packets_are_keys_or_nothing(found: list[tuple[bytes, int, bool]]) -> None:
    receiver = DtmfReceiver(RATE)
    for index, (payload, timestamp, marker) in enumerate(found):
        for digit in receiver.receive(RtpPacket(EVENT, index, timestamp, 1, payload, marker), index * 0.02):
            assert digit.key in DIGITS
            assert digit.seconds >= 0.0
    if any(len(payload) < 4 for payload, _, _ in found):
        with pytest.raises(ProtocolError):
            TelephoneEvent.parse(next(payload for payload, _, _ in found if len(payload) < 4))


# --- each key once ----------------------------------------------------------------------------------------------------


def test_each_key_is_told_once_with_its_duration() -> None:
    packets = key(1) + key(1, BEGAN + 1200) + key(11, BEGAN + 2400)
    assert heard(packets, ends=False) == [Digit("1", 0.1), Digit("1", 0.1), Digit("#", 0.1)]


@pytest.mark.parametrize("kept", [[0], [3], [4], [6], [0, 6], [5, 6], [0, 1, 2, 3], [6, 0], [4, 6, 5], [1, 1, 6, 6]])
def test_one_packet_of_it_is_enough_in_any_order_and_number(kept: list[int]) -> None:
    first, second = key(5), key(6, BEGAN + 1200)
    digits = heard([first[index] for index in kept] + second)
    assert [digit.key for digit in digits] == ["5", "6"]


def test_every_pattern_of_losses_gives_each_key_of_which_something_came_once() -> None:
    rng = random.Random(7)
    for _ in range(300):
        keys = [rng.randrange(16) for _ in range(6)]
        groups = [key(code, BEGAN + 1200 * at) for at, code in enumerate(keys)]
        kept = [[each for each in group if rng.random() > 0.6] for group in groups]
        expected = [DIGITS[code] for code, some in zip(keys, kept, strict=True) if some]
        assert [digit.key for digit in heard([each for group in kept for each in group])] == expected


def test_an_end_that_comes_after_the_next_key_has_begun_is_not_another_key() -> None:
    first, second = key(5), key(6, BEGAN + 1200)
    assert [digit.key for digit in heard(first[:3] + second[:3] + first[3:] + second[3:])] == ["5", "6"]
    assert [digit.key for digit in heard(second[:3] + first[6:] + second[3:])] == ["5", "6"], "all but its end was lost"


def test_a_key_whose_end_is_lost_is_over_when_no_more_packets_of_it_come() -> None:
    receiver = DtmfReceiver(RATE)
    for index, each in enumerate(key(3)[:4]):
        assert receiver.receive(each, index * 0.02) == []
    assert receiver.tick(0.1) == []
    assert receiver.tick(0.4) == [Digit("3", 0.08)]
    assert receiver.receive(key(3)[6], 0.5) == [], "the rest of it is late, not another key"


def test_a_key_that_is_held_for_long_is_one_key() -> None:
    step = 0xFFFF
    packets = [packet(2, 160, marker=True), packet(2, step)]
    packets += [packet(2, 160, timestamp=BEGAN + step), packet(2, step, timestamp=BEGAN + step)]
    packets += [packet(2, 4000, end=True, timestamp=BEGAN + 2 * step)] * 3
    assert heard(packets) == [Digit("2", (2 * step + 4000) / RATE)]


def test_a_peer_that_counts_in_the_clock_of_its_sound_is_found_out() -> None:
    """As baresip does: events at 8000 Hz beside Opus, durations in ticks of 48000 Hz."""
    receiver = DtmfReceiver(RATE, 48000)
    ticks = [960, 1920, 2880, 3840, 4800, 5760, 5760, 5760]
    found = [
        digit
        for index, duration in enumerate(ticks)
        for digit in receiver.receive(packet(1, duration, end=index >= 5), index * 0.02)
    ]
    assert found == [Digit("1", 0.12)]


def numbered(packets: list[RtpPacket]) -> list[RtpPacket]:
    return [replace(each, sequence_number=(65530 + number) & 0xFFFF) for number, each in enumerate(packets)]


def test_keys_of_a_peer_whose_clock_stands_still_are_told_by_their_codes() -> None:
    packets = numbered(key(1) + key(2) + key(3))
    assert [digit.key for digit in heard(packets)] == ["1", "2", "3"]
    late = [*packets[:9], packets[5], packets[6], *packets[9:], packets[13]]  # ends of a key that is over
    assert [digit.key for digit in heard(late)] == ["1", "2", "3"]
    without_ends = [each for each in packets if not TelephoneEvent.parse(each.payload).end]
    assert [digit.key for digit in heard(without_ends)] == ["1", "2", "3"]


def test_a_key_pressed_again_while_the_clock_stands_still_is_told_again_by_its_marker() -> None:
    packets = numbered(key(5) + key(5))
    assert [digit.key for digit in heard(packets)] == ["5", "5"]
    assert [digit.key for digit in heard([*packets[:7], packets[0], packets[6]])] == ["5"]  # copies are no key
    assert [digit.key for digit in heard(packets[:7] + packets[8:])] == ["5"]  # without its marker it is a copy


def test_several_events_in_one_packet_are_several_keys() -> None:
    both = TelephoneEvent(1, True, 10, 400).serialize() + TelephoneEvent(2, False, 10, 160).serialize()
    first = replace(packet(1, 400, marker=True), payload=both)
    rest = [packet(2, 320, timestamp=BEGAN + 400), packet(2, 480, timestamp=BEGAN + 400, end=True)]
    assert heard(numbered([first, *rest, *rest[-1:]])) == [Digit("1", 0.05), Digit("2", 0.06)]
    assert [digit.key for digit in heard(numbered([first, first, first]))] == ["1", "2"]
    padded = replace(packet(1, 400, end=True), payload=packet(1, 400, end=True).payload + bytes(8))
    assert [digit.key for digit in heard(numbered([padded, padded]))] == ["1"]
    many = replace(packet(1, 400), payload=TelephoneEvent(3, True, 10, 100).serialize() * 300)
    assert len(heard([many])) == 8


def test_flashes_and_tones_of_modems_are_no_keys() -> None:
    assert heard(key(16) + key(35, BEGAN + 1200)) == []


# --- dialling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ptime", [0.0025, 0.01, 0.02, 0.03, 0.06, 0.2])
def test_a_key_lasts_100_ms_and_50_ms_at_least_are_between_two(ptime: float) -> None:
    keys_sent = DtmfSender("1,a2")
    frames = [keys_sent.frame(ptime) for _ in range(round(4 / ptime))]
    begins = [index for index, sounding in enumerate(frames) if sounding is not None and sounding.first]
    assert [DIGITS[sounding.code] for sounding in frames if sounding is not None and sounding.first] == ["1", "A", "2"]
    ends = [index for index, sounding in enumerate(frames) if sounding is not None and sounding.end]
    assert len(ends) == 9, "each end three times"
    for begin, end in zip(begins, ends[::3], strict=True):
        assert (end + 1 - begin) * ptime >= 0.1 - 1e-9
        assert frames[begin : end + 1].count(None) == 0
    assert begins[0] * ptime >= 0.5 - 1e-9
    assert (begins[1] - ends[0] - 1) * ptime >= 1.0
    assert (begins[2] - ends[3] - 1) * ptime >= 0.05 - 1e-9
    assert keys_sent.left == ""


def test_what_is_no_key_is_refused_and_what_is_left_is_known() -> None:
    with pytest.raises(ValueError, match="'X'"):
        DtmfSender("12x")
    keys_sent = DtmfSender("12,#")
    assert keys_sent.left == "12,#"
    while keys_sent.frame(0.02) is None:
        pass
    assert keys_sent.left == "12,#", "it has begun, but not ended"
    assert [frame.end for frame in keys_sent.finish()] == [True] * 3
    assert keys_sent.left == "2,#"


def test_keys_that_are_pressed_later_come_after_those_that_wait_and_at_once_if_none_does() -> None:
    keys_sent = DtmfSender("1")
    keys_sent.add("2#")
    frames = [keys_sent.frame(0.02) for _ in range(100)]
    assert [DIGITS[each.code] for each in frames if each is not None and each.first] == ["1", "2", "#"]
    assert keys_sent.frame(0.02) is None
    keys_sent.add("9")
    first = keys_sent.frame(0.02)
    assert first is not None
    assert DIGITS[first.code] == "9"
    with pytest.raises(ValueError, match="'X'"):
        keys_sent.add("x")


def sent(keys: str, agreed: NegotiatedMedia, seconds: float = 2.0) -> list[RtpPacket]:
    sender = AudioSender(agreed, sample_rate=RATE, channels=1, rng=Wrapping(1), dtmf=DtmfSender(keys))
    sound = noise(seconds)
    datagrams = [data for at in range(0, len(sound), 80) for data in sender.write(sound[at : at + 80], at / RATE)]
    return [RtpPacket.parse(data) for data in datagrams]


def agreed(**changes: object) -> NegotiatedMedia:
    return media(telephone_event_payload_type=EVENT, telephone_event_rate=RATE, **changes)  # type: ignore[arg-type]


def test_events_take_the_place_of_sound_in_one_sequence_with_one_timestamp() -> None:
    packets = sent("1#", agreed())
    numbers = [each.sequence_number for each in packets]
    assert numbers == [(numbers[0] + i) & 0xFFFF for i in range(100)], "a packet each 20 ms, over the wrap"
    events = [each for each in packets if each.payload_type == EVENT]
    assert len(events) == 14
    for number, group in enumerate((events[:7], events[7:])):
        read = [TelephoneEvent.parse(each.payload) for each in group]
        assert [event.code for event in read] == [(1, 11)[number]] * 7
        assert [event.duration for event in read] == [160, 320, 480, 640, 800, 800, 800]
        assert [event.end for event in read] == [False] * 4 + [True] * 3
        assert [each.marker for each in group] == [True] + [False] * 6
        assert len({each.timestamp for each in group}) == 1
    sound = [each for each in packets if each.payload_type != EVENT]
    step = (events[0].timestamp - sound[0].timestamp) & 0xFFFFFFFF
    assert step == 25 * 160, "half a second of sound before"
    after = next(each for each in packets[packets.index(events[6]) :] if each.payload_type != EVENT)
    assert (after.timestamp - events[0].timestamp) & 0xFFFFFFFF == 7 * 160


def test_durations_count_in_the_clock_of_the_events_where_it_is_another() -> None:
    packets = sent("5", changed(agreed(), telephone_event_rate=48000))
    events = [TelephoneEvent.parse(each.payload) for each in packets if each.payload_type == EVENT]
    assert [event.duration for event in events][:2] == [960, 1920]


def test_nothing_is_dialled_to_a_peer_that_takes_no_events() -> None:
    assert all(each.payload_type != EVENT for each in sent("1", media()))


def test_a_stream_that_ends_while_a_key_is_pressed_ends_the_key() -> None:
    sender = AudioSender(agreed(), sample_rate=RATE, channels=1, rng=random.Random(1), dtmf=DtmfSender("7"))
    sender.write(noise(0.54), 0.0)
    last = [RtpPacket.parse(data) for data in sender.finish()]
    assert [TelephoneEvent.parse(each.payload).end for each in last] == [True] * 3


def test_a_key_is_cut_short_if_events_are_negotiated_away_while_it_is_pressed() -> None:
    sender = AudioSender(agreed(), sample_rate=RATE, channels=1, rng=random.Random(1), dtmf=DtmfSender("7"))
    sender.write(noise(0.54), 0.0)
    sender.update(changed(agreed(), telephone_event_payload_type=None))
    assert sender.finish() == []


# --- calls ------------------------------------------------------------------------------------------------------------


class DiallingCall(Call):
    """A call whose sender dials."""

    keys = "123#"

    def new_sender(self, rng: random.Random) -> AudioSender:
        keys_sent = DtmfSender(self.keys)
        return AudioSender(self.media, sample_rate=self.rate, channels=1, rng=rng, pattern=self.pattern, dtmf=keys_sent)


def test_keys_are_heard_and_are_neither_loss_nor_garbage() -> None:
    call = DiallingCall(agreed=agreed())
    call.talk(noise(3.0))
    result = call.end()
    assert [(digit.key, round(digit.seconds, 6)) for digit in call.digits] == [(each, 0.1) for each in "123#"]
    stats = result.stats
    assert (stats.received, stats.lost, stats.playout.concealed, stats.playout.underruns, stats.playout.resyncs) == (
        150,
        0,
        0,
        0,
        0,
    )
    assert stats.playout.longest_gap == 0.0
    assert stats.playout.played_seconds == pytest.approx(3.0 - 4 * 0.14)
    assert stats.jitter is not None
    assert stats.jitter < 0.001
    assert call.session.stats.unknown_payload_type == 0
    assert call.session.reception.jitter < 0.001
    pressed = result.heard[round(0.67 * RATE) : round(0.70 * RATE)]  # the first key began to be heard at 0.59
    assert np.abs(pressed).max() < 500, "it fades into the background"


def test_the_delay_is_the_same_after_the_keys_as_before_also_where_the_buffer_is_patient() -> None:
    call = DiallingCall(agreed=agreed(), latency=None)
    call.talk(noise(25.0))
    before, after = call.end().delay(0.3), call.result().delay(24.5)
    assert after <= before + 0.001
    assert call.receiver.snapshot().playout.concealed == 0
    assert len(call.digits) == 4


@pytest.mark.parametrize("fec", ["off", "sliding:0,1,3/2", "4"])
@pytest.mark.parametrize("seed", range(3))
def test_keys_come_once_each_over_a_network_that_loses_repeats_and_reorders(fec: str, seed: int) -> None:
    link = Link(loss=0.1, jitter=0.005, duplicate=0.05, seed=seed)
    call = DiallingCall(link, agreed(fec=fec), fec=fec, latency=0.14)
    call.talk(noise(4.0))
    stats = call.end().stats
    assert [digit.key for digit in call.digits] == list("123#")
    assert link.lost - 2 <= stats.lost <= link.lost, "the last ones are not missed"
    if fec == "off":
        assert stats.playout.concealed <= stats.lost + 4
    else:
        assert stats.recovered >= 0.4 * stats.lost
        assert call.session.stats.malformed == 0


@pytest.mark.parametrize(("scheme", "fec"), [("ulpfec", "4"), ("ulpfec red", "4"), ("red", "sliding:1+2/1")])
@pytest.mark.parametrize("loss", [0.0, 0.08])
def test_keys_come_once_each_beside_the_repair_of_others(scheme: str, fec: str, loss: float) -> None:
    call = DiallingCall(Link(loss=loss, seed=3), agreed(fec=fec, scheme=scheme), fec=fec, latency=0.14)
    call.talk(noise(4.0))
    stats = call.end().stats
    assert [digit.key for digit in call.digits] == list("123#")
    assert stats.playout.underruns == 0
    if loss:
        assert stats.recovered >= 0.4 * stats.lost > 0
    else:
        assert (stats.lost, stats.playout.concealed) == (0, 0)


def test_lost_packets_of_a_key_are_no_lost_sound() -> None:
    seen = 0

    def middle(packet: RtpPacket) -> bool:
        nonlocal seen
        seen += packet.payload_type == EVENT
        return packet.payload_type == EVENT and seen % 7 in (2, 3, 4)

    call = DiallingCall(Link(drop=middle), agreed())
    call.talk(noise(3.0))
    stats = call.end().stats
    assert stats.lost == 12
    assert (stats.playout.concealed, stats.playout.underruns) == (0, 0)
    assert len(call.digits) == 4


def test_parity_rebuilds_packets_of_keys() -> None:
    lost = 0

    def all_but_the_first(packet: RtpPacket) -> bool:
        nonlocal lost
        hit = packet.payload_type == EVENT and not packet.marker and lost < 1
        lost += hit
        return hit

    call = DiallingCall(
        Link(drop=all_but_the_first), agreed(fec="sliding:0,1,3/2"), fec="sliding:0,1,3/2", latency=0.14
    )
    call.talk(noise(3.0))
    stats = call.end().stats
    assert (stats.lost, stats.recovered) == (1, 1)


def test_a_key_is_told_when_the_call_ends_in_the_middle_of_it() -> None:
    call = DiallingCall(
        Link(drop=lambda packet: bool(packet.payload[1] & 0x80) and packet.payload_type == EVENT), agreed()
    )
    call.talk(noise(0.6))
    call.receiver.finish(call.now)
    assert [digit.key for digit in call.digits] == ["1"]


def test_events_of_an_ssrc_of_their_own_are_keys_and_leave_the_sound_alone() -> None:
    agreed = changed(media(), telephone_event_payload_type=EVENT, telephone_event_rate=RATE)
    both, sound = Call(agreed=agreed), noise(4.0)
    piece = RATE // 50
    for turn in range(200):
        both.talk(sound[turn * piece : (turn + 1) * piece])
        if 50 <= turn < 57 or 100 <= turn < 107:
            first = 50 if turn < 100 else 100
            ticks = 160 * min(turn - first + 1, 5)
            event = packet(
                8, ticks, end=turn - first >= 4, timestamp=77000 + 160 * first, number=500 + turn, marker=turn == first
            )
            both.link.send(replace(event, ssrc=0xBEEF).serialize(), both.now)
    result = both.end()
    assert [digit.key for digit in both.digits] == ["8", "8"]
    assert result.exact()
    assert (result.stats.expected, result.stats.lost, both.session.stats.stray) == (200, 0, 0)
    assert both.session.ssrc == agreed.ssrc


def test_one_event_of_another_ssrc_is_a_stray() -> None:
    agreed = changed(media(), telephone_event_payload_type=EVENT, telephone_event_rate=RATE)
    both = Call(agreed=agreed)
    both.talk(noise(1.0))
    for number in (5, 1000, 30000, 7):
        event = replace(packet(8, 800, end=True, number=number), ssrc=0xBEE0 + number)
        both.link.send(event.serialize(), both.now)
    both.talk(noise(1.0))
    both.end()
    assert both.digits == []
    assert both.session.stats.stray == 3  # the last one still waits for its second
