"""One sound for several streams: what is encoded once, what is not, and how a stream moves from encoder to encoder."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest

from tests.support.call import Wrapping, l16, media, noise
from tests.support.negotiated import changed
from tests.support.sound import sine
from tests.support.voice import voice
from voip import codecs
from voip.audio import AudioSender, Fanout, SharedEncoders
from voip.codecs import Codec, Encoder
from voip.codecs.opus import OpusEncoder
from voip.congestion import RateController
from voip.dsp import Pcm
from voip.fec import parse_pattern
from voip.media import Direction, NegotiatedMedia
from voip.rtp import RtpPacket
from voip.stats import PathReport

RATE = 48000
BLOCK = 480
FRAME = 960


def opus(remote: str = "useinbandfec=1", **changes: object) -> Codec:
    (codec,) = codecs.offerable(["opus"], RATE, 1)
    return replace(codec, remote_fmtp=remote, **changes)  # type: ignore[arg-type]


def known(name: str, rate: int) -> Codec:
    found = codecs.find(name, rate, 1)
    assert found is not None
    return found


class Limited(RateController):
    """A controller that allows what a test says, from the next report on."""

    allowed: float | None = None

    @property
    def limit(self) -> float | None:
        return self.allowed


@dataclass
class Room:
    """Streams of one sound, and what each has sent."""

    rate: int = RATE
    sent: dict[str, list[bytes]] = field(default_factory=dict)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.fanout = Fanout(self.rate, 1)

    @property
    def encoders(self) -> int:
        return self.fanout.encoders.count

    def join(self, key: str, agreed: NegotiatedMedia, fec: str = "off", rate: RateController | None = None) -> None:
        sender = AudioSender(
            agreed,
            sample_rate=self.rate,
            channels=1,
            rng=random.Random(key),
            pattern=parse_pattern(fec),
            rate=rate,
            encoders=self.fanout.encoders,
        )
        self.fanout.add(key, sender, self.sent.setdefault(key, []).append)

    def talk(self, sound: Pcm, block: int = BLOCK) -> None:
        for start in range(0, len(sound), block):
            self.now += block / self.rate
            for send, datagram in self.fanout.write(sound[start : start + block], self.now):
                send(datagram)

    def end(self) -> None:
        for send, datagram in self.fanout.finish():
            send(datagram)

    def report(self, key: str, lost: float, cumulative: int = 1) -> None:
        self.fanout.report(key, PathReport(self.now, lost, cumulative, highest=0, jitter=0.0, rtt=0.02))

    def limit(self, key: str, limit: Limited, allowed: float | None) -> None:
        """The next report of a stream leaves no more than this, bit/s."""
        limit.allowed = allowed
        self.report(key, 0.0, 0)

    def packets(self, key: str) -> list[RtpPacket]:
        return [RtpPacket.parse(data) for data in self.sent[key]]

    def payloads(self, key: str) -> list[bytes]:
        return [packet.payload for packet in self.packets(key) if packet.payload_type == 96]


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often each Opus encoder has encoded, by its identity."""
    counted: Counter[int] = Counter()
    encode = OpusEncoder.encode

    def counting(self: OpusEncoder, pcm: Pcm) -> bytes:
        counted[id(self)] += 1
        return encode(self, pcm)

    monkeypatch.setattr(OpusEncoder, "encode", counting)
    return counted


def alone(agreed: NegotiatedMedia, sound: Pcm, reports: dict[int, float] | None = None) -> list[bytes]:
    """The payloads of a stream by itself, with a report of so much loss before some of its blocks."""
    room = Room()
    room.join("alone", agreed)
    for number, start in enumerate(range(0, len(sound), BLOCK)):
        if number in (reports or {}):
            room.report("alone", (reports or {})[number])
        room.talk(sound[start : start + BLOCK])
    room.end()
    return room.payloads("alone")


# -- sharing ----------------------------------------------------------------------------------------------------------


def test_streams_of_equal_settings_are_encoded_once(encodings: Counter[int]) -> None:
    room = Room()
    for number in range(20):
        room.join(f"{number}", media(opus()))
    room.talk(voice(RATE, 1.0))
    room.end()
    assert [*encodings.values()] == [50]
    assert len({tuple(room.payloads(key)) for key in room.sent}) == 1
    assert len(room.payloads("0")) == 50


def test_what_a_stream_adds_to_the_sound_is_its_own() -> None:
    room = Room()
    for key in "abc":
        room.join(key, media(opus(), ssrc=ord(key)))
    room.talk(voice(RATE, 0.2))
    firsts = [room.packets(key)[0] for key in "abc"]
    assert len({packet.timestamp for packet in firsts}) == 3
    assert len({packet.sequence_number for packet in firsts}) == 3
    assert [packet.ssrc for packet in firsts] == [ord(key) for key in "abc"]
    for key in "abc":
        assert [packet.marker for packet in room.packets(key)] == [True] + 9 * [False]
        steps = {(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(room.packets(key))}
        assert steps == {FRAME}


@pytest.mark.parametrize(
    ("remote", "encoders"),
    [
        ("useinbandfec=1", 1),
        ("stereo=0; sprop-stereo=0;useinbandfec=1", 1),
        ("maxaveragebitrate=510000;useinbandfec=1", 1),
        ("maxaveragebitrate=12000;useinbandfec=1", 2),
        ("useinbandfec=1;cbr=1", 2),
        ("useinbandfec=1;maxplaybackrate=8000", 2),
        ("", 2),
    ],
)
def test_what_counts_is_what_a_peer_has_asked_for_not_how_it_wrote_it(remote: str, encoders: int) -> None:
    room = Room()
    room.join("a", media(opus()))
    room.join("b", media(opus(remote), payload_type=111))
    room.talk(voice(RATE, 0.1))
    assert room.encoders == encoders


def test_each_of_several_codecs_and_packet_times_gets_the_whole_sound() -> None:
    room, sound = Room(rate=8000), noise(1.0)
    agreed = {
        "l16": media(l16(8000)),
        "l16 again": media(l16(8000)),
        "long": media(l16(8000), ptime=0.03),
        "pcmu": media(known("PCMU", 8000)),
        "g722": media(known("G722", 8000)),
    }
    for key, each in agreed.items():
        room.join(key, each)
    room.talk(sound, block=72)
    room.end()
    for key in ("l16", "l16 again", "long"):
        words = np.frombuffer(b"".join(room.payloads(key)), ">i2").astype(np.int16)
        assert np.array_equal(words[:, None], sound), key
    assert sum(map(len, room.payloads("pcmu"))) == 8000
    assert sum(map(len, room.payloads("g722"))) == pytest.approx(8000, abs=160)
    assert room.encoders == 4


def test_fec_is_of_each_stream_alone(encodings: Counter[int]) -> None:
    room = Room()
    room.join("none", media(opus()))
    room.join("one in four", media(opus(), fec="4"), fec="4")
    room.join("all", media(opus(), fec="1"), fec="1")
    room.talk(voice(RATE, 0.8))
    kinds = {key: Counter(packet.payload_type for packet in room.packets(key)) for key in room.sent}
    assert kinds == {"none": {96: 40}, "one in four": {96: 40, 97: 10}, "all": {96: 40, 97: 40}}
    assert sorted(encodings.values()) == [40, 40]  # what nothing repairs is prepared for losses


def test_a_stream_of_another_sound_is_refused() -> None:
    room = Room()
    other = AudioSender(media(), sample_rate=RATE, channels=1, rng=Wrapping(1))
    with pytest.raises(ValueError, match="another sound"):
        room.fanout.add("a", other, lambda data: None)


# -- other settings ---------------------------------------------------------------------------------------------------


def test_a_stream_with_losses_goes_on_as_if_it_had_been_alone_and_disturbs_no_other(encodings: Counter[int]) -> None:
    sound, reports = voice(RATE, 2.0), {100: 0.04}
    expected, untroubled = alone(media(opus()), sound, reports), alone(media(opus()), sound)
    assert expected[:50] == untroubled[:50]
    assert expected != untroubled
    encodings.clear()
    room = Room()
    for key in "abc":
        room.join(key, media(opus()))
    room.talk(sound[: 100 * BLOCK])
    room.report("b", 0.04)
    room.talk(sound[100 * BLOCK :])
    room.end()
    assert room.payloads("b") == expected
    assert room.payloads("a") == room.payloads("c") == untroubled
    assert sorted(encodings.values()) == [50, 100]


def test_a_full_line_costs_its_own_stream_bit_rate_and_no_other() -> None:
    room, sound = Room(), voice(RATE, 2.0)
    limits = {key: Limited() for key in "abc"}
    for key, limit in limits.items():
        room.join(key, media(opus(), max_ptime=0.02), rate=limit)
    room.talk(sound[:RATE])
    assert room.encoders == 1
    room.limit("b", limits["b"], 28_000.0)
    room.talk(sound[RATE:])
    assert room.encoders == 2
    sizes = {key: sum(map(len, room.payloads(key)[50:])) for key in "abc"}
    assert sizes["b"] < 0.7 * sizes["a"]
    assert room.payloads("a") == room.payloads("c")
    room.limit("c", limits["c"], 28_000.0)
    room.talk(sound[:RATE])
    assert room.encoders == 2
    assert room.payloads("b")[100:] == room.payloads("c")[100:]
    room.limit("a", limits["a"], 28_000.0)
    room.talk(sound[:FRAME])
    assert room.encoders == 1


def test_the_last_user_of_an_encoder_takes_it_along() -> None:
    room = Room()
    limit = Limited()
    room.join("a", media(opus()), rate=limit)
    room.talk(voice(RATE, 0.5))
    room.limit("a", limit, 28_000.0)
    room.talk(voice(RATE, 0.5))
    assert room.encoders == 1


@pytest.mark.parametrize("at", [100, 101])
def test_a_full_line_makes_the_packets_of_its_own_stream_longer_and_of_no_other(
    at: int, encodings: Counter[int]
) -> None:
    """Between two packets of 20 ms, and in the middle of one."""
    sound = voice(RATE, 2.0)
    untroubled = alone(media(opus()), sound)
    encodings.clear()
    room = Room()
    limits = {key: Limited() for key in "abc"}
    for key, limit in limits.items():
        room.join(key, media(opus(), ssrc=ord(key)), rate=limit)
    room.talk(sound[: at * BLOCK])
    room.limit("b", limits["b"], 33_000.0)
    room.talk(sound[at * BLOCK :])
    room.end()
    assert room.payloads("a") == room.payloads("c") == untroubled
    assert room.payloads("b")[:50] == untroubled[:50]
    assert sorted(encodings.values()) == [25, 100]
    steps = [(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(room.packets("b"))]
    assert steps == 50 * [FRAME] + 24 * [2 * FRAME]
    assert [packet.marker for packet in room.packets("b")] == [True] + 74 * [False]
    assert {(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(room.packets("a"))} == {FRAME}


def test_packets_that_become_longer_sound_as_those_of_a_stream_by_itself() -> None:
    """The copy of the encoder goes on as the encoder would have done."""
    sound = voice(RATE, 2.0)
    rooms = {keys: Room() for keys in ("b", "abc")}
    for keys, room in rooms.items():
        limits = {key: Limited() for key in keys}
        for key, limit in limits.items():
            room.join(key, media(opus()), rate=limit)
        room.talk(sound[:RATE])
        room.limit("b", limits["b"], 33_000.0)
        room.talk(sound[RATE:])
        room.end()
    assert rooms["abc"].payloads("b") == rooms["b"].payloads("b")


def test_streams_whose_packets_are_longer_from_the_start_on_share_an_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a ceiling for all: each first joins those of the length that was agreed on."""
    begun = Counter[int]()
    monkeypatch.setattr(OpusEncoder, "begin_anew", lambda self: begun.update([id(self)]))
    room, narrow = Room(), media(opus(), bandwidth=33_000.0)
    room.join("wide", media(opus()))
    for number in range(10):
        room.join(f"{number}", narrow)
    room.talk(voice(RATE, 1.0))
    room.end()
    assert room.encoders == 2
    assert len({tuple(room.payloads(f"{number}")) for number in range(10)}) == 1
    assert (len(room.payloads("0")), len(room.payloads("wide"))) == (25, 50)
    assert not begun


@pytest.mark.parametrize("back", range(100, 108))
@pytest.mark.parametrize("out", range(50, 54))
def test_streams_whose_packets_have_the_same_length_again_share_an_encoder_again(out: int, back: int) -> None:
    """From wherever in a packet the length changes: two out and one back, then the other, after blocks of 10 ms."""
    room, sound, short, long = Room(), voice(RATE, 2.0), media(opus()), media(opus(), ptime=0.04)
    for key in "abc":
        room.join(key, short)
        room.report(key, 0.0, 0)

    def change(keys: str, to: NegotiatedMedia, since: int, upto: int) -> int:
        for key in keys:
            room.fanout.update(key, to)
        room.talk(sound[since * BLOCK : upto * BLOCK])
        return room.encoders

    assert change("", short, 0, out) == 1
    assert change("bc", long, out, back) == 2
    assert change("b", short, back, 140) == 2
    assert change("c", short, 140, 200) == 1
    room.end()
    last = {key: room.payloads(key)[-20:] for key in "abc"}
    assert last["a"] == last["b"] == last["c"]
    for key in "abc":
        assert len(decoded(room.payloads(key))) == pytest.approx(2 * RATE, abs=FRAME)


def test_a_stream_that_gets_the_same_frames_at_another_bit_rate_goes_on_with_its_own_encoder() -> None:
    room, sound, limit = Room(), voice(RATE, 2.0), Limited()
    short, long = media(opus(), max_ptime=0.04), media(opus(), ptime=0.04)
    room.join("a", media(opus()))
    room.join("b", short, rate=limit)
    room.talk(sound[: 60 * BLOCK])
    room.fanout.update("b", long)
    room.limit("b", limit, 29_000.0)
    room.talk(sound[60 * BLOCK : 120 * BLOCK])
    room.fanout.update("b", replace(short, audio=replace(short.audio, max_ptime=0.02)))
    room.talk(sound[120 * BLOCK :])
    assert room.encoders == 2
    assert sum(map(len, room.payloads("b")[-20:])) < 0.7 * sum(map(len, room.payloads("a")[-20:]))


# -- joining and leaving ----------------------------------------------------------------------------------------------


def test_one_that_joins_later_has_the_packets_of_the_others() -> None:
    room, sound = Room(), voice(RATE, 2.0)
    room.join("a", media(opus()))
    room.talk(sound[: RATE + BLOCK])  # in the middle of a packet
    room.join("b", media(opus()))
    room.talk(sound[RATE + BLOCK :])
    room.end()
    assert room.encoders == 1
    assert room.payloads("a")[50:] == room.payloads("b")
    assert room.packets("b")[0].marker


def test_one_that_leaves_disturbs_no_other_and_takes_its_encoder_along() -> None:
    room, sound = Room(), voice(RATE, 2.0)
    room.join("a", media(opus()))
    room.join("b", media(opus()))
    room.join("c", media(known("PCMU", 8000)))
    room.talk(sound[:RATE])
    assert room.encoders == 2
    assert room.fanout.remove("b") is not None
    assert room.fanout.remove("c") is not None
    assert room.encoders == 1
    room.talk(sound[RATE:])
    room.end()
    assert room.payloads("a") == alone(media(opus()), sound)
    assert room.fanout.remove("a") is not None
    assert room.encoders == 0


def test_at_the_end_of_the_sound_all_get_the_rest_once() -> None:
    room = Room()
    for key in "ab":
        room.join(key, media(opus()))
    room.join("aac", media(known("mpeg4-generic", RATE)) if not codecs.missing("aac") else media(l16(RATE)))
    room.talk(voice(RATE, 1.01))
    room.end()
    counts = {key: len(sent) for key, sent in room.sent.items()}
    assert counts["a"] == counts["b"] == 51
    for key in room.sent:
        room.fanout.remove(key)
    assert {key: len(sent) for key, sent in room.sent.items()} == counts


def test_what_was_on_hold_goes_on_with_a_packet_that_needs_none_before(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Counter[int]()
    monkeypatch.setattr(OpusEncoder, "begin_anew", lambda self: begun.update([id(self)]))
    room, agreed = Room(), media(opus())
    for key in "ab":
        room.join(key, agreed)
    room.talk(voice(RATE, 0.5))
    room.fanout.update("a", replace(agreed, direction=Direction.INACTIVE))
    room.talk(voice(RATE, 0.5))
    assert not begun
    room.fanout.update("a", agreed)
    room.talk(voice(RATE, 0.5))
    assert [*begun.values()] == [1]
    assert room.payloads("a")[25:] == room.payloads("b")[50:]
    assert room.encoders == 1


def test_another_packet_time_leaves_no_gap_in_the_sound_and_the_others_as_they_are() -> None:
    room, sound = Room(rate=8000), noise(1.0)
    agreed = media(l16(8000))
    for key in "ab":
        room.join(key, agreed)
    room.talk(sound[:4080], block=80)  # in the middle of a packet
    room.fanout.update("b", changed(agreed, ptime=0.03))
    room.talk(sound[4080:], block=80)
    room.end()
    for key in "ab":
        words = np.frombuffer(b"".join(room.payloads(key)), ">i2").astype(np.int16)
        assert np.array_equal(words[:, None], sound), key
    assert {len(payload) for payload in room.payloads("b")[25:-1]} == {480}
    assert {len(payload) for payload in room.payloads("a")} == {320}


def test_another_codec_gets_an_encoder_of_its_own_and_the_last_one_is_dropped() -> None:
    room, agreed = Room(), media(opus())
    for key in "ab":
        room.join(key, agreed)
    room.talk(voice(RATE, 0.5))
    room.fanout.update("b", changed(agreed, codec=known("PCMU", 8000), payload_type=0))
    room.talk(voice(RATE, 0.5))
    assert room.encoders == 2
    room.fanout.update("a", changed(agreed, codec=known("PCMU", 8000), payload_type=0))
    room.talk(voice(RATE, 0.5))
    assert room.encoders == 1


# -- whether it is heard ----------------------------------------------------------------------------------------------


def decoded(payloads: list[bytes]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    decoder = opus().decoder()
    return np.concatenate([decoder.decode(payload) for payload in payloads])[:, 0].astype(np.float64)


def strangeness(heard: np.ndarray[tuple[int], np.dtype[np.float64]], other: list[bytes], at: int) -> float:
    """How much of what is heard in the 20 ms from packet `at` on is not as one hears it who has had all packets, dB."""
    true = decoded(other)[at * FRAME : (at + 1) * FRAME]
    wrong = heard[at * FRAME : (at + 1) * FRAME] - true
    return float(10 * np.log10(max(1.0, np.sum(wrong**2)) / np.sum(true**2)))


@pytest.mark.parametrize("at", range(30, 90, 7))
def test_a_stream_that_moves_to_an_encoder_in_use_makes_no_click(at: int) -> None:
    room, sound = Room(), voice(RATE, 2.0)
    limits = {key: Limited() for key in "ab"}
    for key, limit in limits.items():
        room.join(key, media(opus(), max_ptime=0.02), rate=limit)
    room.talk(sound[: 10 * FRAME])
    room.limit("a", limits["a"], None)
    room.limit("b", limits["b"], 28_000.0)
    room.talk(sound[10 * FRAME : at * FRAME])
    room.limit("a", limits["a"], 28_000.0)
    room.talk(sound[at * FRAME :])
    assert room.payloads("a")[at:] == room.payloads("b")[at:]
    heard, other = decoded(room.payloads("a")), room.payloads("b")
    assert strangeness(heard, other, at + 2) < -20
    jumps = np.abs(np.diff(heard))
    around = jumps[at * FRAME - 48 : at * FRAME + 480].max()
    assert around < 1.5 * np.abs(np.diff(decoded(other))).max()


def test_a_copy_of_an_encoder_goes_on_as_the_encoder_does() -> None:
    sound = voice(RATE, 1.0)
    frames = [sound[start : start + FRAME] for start in range(0, len(sound), FRAME)]
    encoder: Encoder = opus().encoder(RATE)
    encoder.set_bitrate(16000)
    encoder.set_loss(0.02, in_band_fec=True)
    for frame in frames[:25]:
        encoder.encode(frame)
    copy = encoder.forked()
    assert copy is not None
    before = [copy.encode(frame) for frame in frames[25:]]
    del copy
    assert [encoder.encode(frame) for frame in frames[25:]] == before


def test_the_shared_encoders_of_nothing_are_none() -> None:
    encoders = SharedEncoders(RATE, 1)
    encoders.write(sine(RATE, 0.1))
    encoders.flush()
    assert encoders.count == 0
