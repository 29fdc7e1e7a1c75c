"""Comfort noise, and peers that send nothing where nobody speaks: what is heard, what is counted, and the delay."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.call import Call, Link, media, noise
from tests.support.descriptions import BOB, RECEIVER, offer
from voip import codecs
from voip.audio import AudioSender
from voip.codecs import Pcm
from voip.dsp import ComfortNoise
from voip.dsp.comfort import shape
from voip.media import Direction
from voip.rtp import RtpPacket
from voip.sdp import Capabilities, make_answer, make_offer

RATE = 8000
CN = 13
SPEECH = 0.5  # seconds of each talk spurt
PAUSE = 0.7
LEVEL = 50  # -dBov


def level(pcm: Pcm) -> float:
    """dB below the largest square wave."""
    return 20 * math.log10(max(1e-9, float(np.sqrt(np.mean(np.square(pcm.astype(float)))))) / 32768)


class SilentCall(Call):
    """A call whose sender, like a phone with voice activity detection, sends only talk spurts."""

    comfort: bytes | None = bytes([LEVEL])
    marker = True

    def spurts(self, count: int, pause: float = PAUSE, speech: float = SPEECH) -> None:
        """So many talk spurts, and a pause after each, in which comfort noise is told every 200 ms, if at all."""
        for index in range(count):
            spoken = noise(speech, self.rate, seed=index)
            for start in range(0, len(spoken), 80):
                self.speak(spoken[start : start + 80])
                self.listen()
            for tick in range(round(pause / self.block)):
                if self.comfort is not None and tick % 20 == 0:
                    self.tell()
                self.sender._packetizer.skip(round(self.block * RATE))
                self.listen()
            self.sender._marker = self.marker

    def tell(self) -> None:
        packetizer = self.sender._packetizer
        packet = packetizer.event_packet(CN, self.comfort or b"", packetizer.timestamp)
        self.link.send(packet.serialize(), self.now)


def test_silence_of_which_the_level_is_told_sounds_like_that_and_is_no_loss() -> None:
    call = SilentCall(agreed=media(comfort_noise_payload_type=CN))
    call.spurts(5)
    stats = call.receiver.snapshot()
    assert (
        stats.lost,
        stats.playout.concealed,
        stats.playout.underruns,
        stats.playout.resyncs,
        stats.playout.late,
    ) == (0, 0, 0, 0, 0)
    assert stats.playout.longest_gap == 0.0
    assert stats.playout.played_seconds == pytest.approx(5 * SPEECH, abs=0.03)
    assert call.session.stats.unknown_payload_type == 0
    heard = np.concatenate(call.heard)
    pauses = [heard[round(at * RATE) : round((at + 0.4) * RATE)] for at in (0.8, 2.0, 3.2)]
    assert [level(pause) for pause in pauses] == [pytest.approx(-LEVEL, abs=1.5)] * 3


def test_what_is_said_after_a_pause_is_heard_from_its_first_sample() -> None:
    call = SilentCall(agreed=media(comfort_noise_payload_type=CN))
    call.spurts(3)
    heard = np.concatenate(call.heard)
    for index in range(3):
        spoken = noise(SPEECH, seed=index)
        after_the_join = spoken[40 : 40 + 3900]  # 4 ms of cross-fade
        assert bytes(after_the_join.tobytes()) in heard.tobytes()


@pytest.mark.parametrize("comfort", [bytes([LEVEL]), None], ids=["told", "untold"])
@pytest.mark.parametrize("latency", [None, 0.06], ids=["auto", "fixed"])
def test_pauses_do_not_move_the_delay(comfort: bytes | None, latency: float | None) -> None:
    call = SilentCall(Link(jitter=0.003, seed=4), media(comfort_noise_payload_type=CN), latency=latency)
    call.comfort = comfort
    call.spurts(30, pause=0.7)
    settled = [stats.playout.delay for stats in call.snapshots[-150:] if stats.playout.delay is not None]
    first = [stats.playout.delay for stats in call.snapshots[60:100] if stats.playout.delay is not None]
    assert max(settled) - min(settled) <= 0.035
    assert np.mean(settled) <= np.mean(first) + 0.010
    stats = call.receiver.snapshot()
    assert (stats.playout.underruns, stats.playout.resyncs) == (0, 0)
    assert stats.playout.concealed <= 3


def test_a_pause_of_a_minute_ends_as_a_short_one_does() -> None:
    call = SilentCall(agreed=media(comfort_noise_payload_type=CN), latency=None, skew_ppm=100.0)
    call.spurts(2, pause=60.0)
    call.spurts(1)
    stats = call.receiver.snapshot()
    assert (stats.lost, stats.playout.underruns, stats.playout.resyncs, stats.playout.concealed) == (0, 0, 0, 0)
    assert stats.playout.played_seconds == pytest.approx(3 * SPEECH, abs=0.03)


@pytest.mark.parametrize("seed", range(4))
def test_where_packets_are_lost_only_those_of_speech_are_missed(seed: int) -> None:
    link = Link(loss=0.05, seed=seed)
    call = SilentCall(link, media(comfort_noise_payload_type=CN))
    call.spurts(12)
    stats = call.receiver.snapshot()
    assert stats.lost >= link.lost - 2
    assert stats.playout.concealed <= link.lost + 2
    assert stats.playout.concealed_seconds <= link.lost * 0.02 + 0.05
    assert stats.playout.resyncs == 0


def test_parity_repairs_what_is_said_between_the_pauses() -> None:
    class Protected(SilentCall):
        def tell(self) -> None:
            packetizer = self.sender._packetizer
            packet = packetizer.event_packet(CN, bytes([LEVEL]), packetizer.timestamp)
            for data in self.sender._emit(packet):
                self.link.send(data, self.now)

    pattern = "sliding:0,1,3/2"
    call = Protected(
        Link(loss=0.08, seed=2), media(comfort_noise_payload_type=CN, fec=pattern), fec=pattern, latency=0.14
    )
    call.spurts(12)
    stats = call.receiver.snapshot()
    assert stats.lost > 10
    assert stats.recovered >= 0.75 * stats.lost
    assert stats.playout.underruns == 0


def test_a_sender_that_only_lags_is_still_waited_for() -> None:
    """What looks like a pause at first, but was a stall, does not end the patience with late packets."""
    call = SilentCall(Link(), media(comfort_noise_payload_type=CN), latency=None)
    call.comfort = None
    call.spurts(2)
    sound = noise(8.0)
    for block in range(0, len(sound), 80):
        call.link.change(delay=0.02 + (0.11 if (block // 80) % 200 in range(0, 3) else 0.0))
        call.speak(sound[block : block + 80])
        call.listen()
    assert call.receiver.snapshot().playout.resyncs == 0


# --- the noise --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [30, 45, 60, 78])
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_the_noise_has_the_level_that_is_told(told: int, rate: int) -> None:
    sound = ComfortNoise(2, rate).sound(bytes([told]), rate)
    assert sound.shape == (rate, 2)
    assert 20 * math.log10(float(np.sqrt(np.mean(np.square(sound)))) / 32768) == pytest.approx(-told, abs=0.5)


def test_s15_noise_is_made_ten_times_a_second_whatever_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 192 kHz each takes 10 ms: a peer that described another one 200 times a second took a whole core."""
    made: list[bytes] = []
    make = ComfortNoise._make

    def counted(noise: ComfortNoise, payload: bytes) -> object:
        made.append(payload)
        return make(noise, payload)

    monkeypatch.setattr(ComfortNoise, "_make", counted)
    making = ComfortNoise(1, RATE)
    for packet in range(400):  # two seconds
        making.sound(bytes([40 + packet % 60]), RATE // 200)
    assert 19 <= len(made) <= 21


def test_a_description_that_stays_is_heard_and_silence_is_at_once() -> None:
    making = ComfortNoise(1, RATE)
    loud = making.sound(bytes([40]), 80)
    making.sound(bytes([60]), RATE // 5)
    quiet = making.sound(bytes([60]), RATE // 5)
    assert 7 < loud.std() / quiet.std() < 14  # 20 dB, roughly: the first is short
    assert not making.sound(b"", 100).any()


def test_the_noise_is_never_loud_and_an_empty_payload_is_silence() -> None:
    making = ComfortNoise(1, RATE)
    assert 20 * math.log10(float(np.sqrt(np.mean(np.square(making.sound(b"\x00", RATE))))) / 32768) <= -29.0
    assert not making.sound(b"", 100).any()
    assert making.sound(bytes([LEVEL]), 0).shape == (0, 1)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=40), st.integers(0, 4000))
def test_any_payload_is_quiet_noise(payload: bytes, samples: int) -> None:
    sound = ComfortNoise(1, RATE).sound(payload, samples)
    assert sound.shape == (samples, 1)
    assert np.isfinite(sound).all()


@pytest.mark.skipif(codecs.missing("aac") is not None, reason=str(codecs.missing("aac")))
@pytest.mark.parametrize("coefficients", [(20, 127), (60, 180), (30, 200, 90, 140), (240,)])
def test_the_spectrum_is_that_of_another_implementation(coefficients: tuple[int, ...]) -> None:
    """FFmpeg's decoder of comfort noise, given the same payload: its long-term spectrum, in bands."""
    av = importlib.import_module("av")
    decoder = av.CodecContext.create("comfortnoise", "r")
    decoder.sample_rate, decoder.layout = RATE, "mono"
    payload = bytes([40, *coefficients])
    frames = [frame for _ in range(200) for frame in decoder.decode(av.Packet(payload))]
    sound = np.concatenate([frame.to_ndarray().ravel() for frame in frames]).astype(float)
    pieces = sound[: len(sound) // 512 * 512].reshape(-1, 512) * np.hanning(512)
    theirs = np.mean(np.square(np.abs(np.fft.rfft(pieces, axis=1))), axis=0)
    ours = np.square(shape(bytes(coefficients), 257))
    bands = [slice(start, start + 32) for start in range(1, 257, 32)]
    levels = [10 * np.log10([np.mean(each[band]) for band in bands]) for each in (theirs, ours)]
    difference = levels[0] - levels[1]
    assert np.abs(difference - difference.mean()).max() <= 1.5


# --- what is agreed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "formats", "number"),
    [
        ("m=audio 5004 RTP/AVP 0 13 8", ["0", "13"], 13),
        ("m=audio 5004 RTP/AVP 0 98\r\na=rtpmap:98 CN/8000", ["0", "98"], 98),
        ("m=audio 5004 RTP/AVP 9 98 13\r\na=rtpmap:98 CN/16000\r\na=rtpmap:13 CN/8000", ["9", "13"], 13),
        ("m=audio 5004 RTP/AVP 0 8", ["0"], 13),  # many phones send it without having said so
        ("m=audio 5004 RTP/AVP 0 13\r\na=rtpmap:13 telephone-event/8000", ["0", "13"], None),
        ("m=audio 5004 RTP/AVP 96 13 98\r\na=rtpmap:96 L16/16000\r\na=rtpmap:98 CN/16000", ["96", "98"], 98),
        ("m=audio 5004 RTP/AVP 96 13\r\na=rtpmap:96 L16/16000", ["96"], None),
    ],
)
def test_it_is_taken_at_the_clock_of_the_codec(line: str, formats: list[str], number: int | None) -> None:
    able = Capabilities(tuple(codecs.offerable(["l16", "g722", "pcmu"], 16000, 1)), Direction.RECVONLY)
    answer, agreed = make_answer(offer(line), able, BOB)
    assert sorted(answer.media[0].formats) == sorted(formats)
    assert agreed.audio.comfort_noise_payload_type == number


def test_it_is_not_offered_nor_taken_by_who_only_sends() -> None:
    assert "13" not in make_offer(RECEIVER, BOB).media[0].formats
    able = Capabilities(tuple(codecs.offerable(["pcmu"], 8000, 1)), Direction.SENDONLY)
    answer, _ = make_answer(offer("m=audio 5004 RTP/AVP 0 13"), able, BOB)
    assert answer.media[0].formats == ["0"]


def test_another_number_is_still_unknown() -> None:
    call = Call(agreed=media(comfort_noise_payload_type=None))
    call.talk(noise(0.2))
    stray = RtpPacket(CN, 5, 5, 0x11111111, bytes([LEVEL]))
    for packet in call.session.receive_datagram(stray.serialize(), ("192.0.2.1", 40000), call.now):
        assert packet.payload_type == CN  # for its number alone
        call.receiver.put(packet, call.now)
    assert call.session.stats.unknown_payload_type == 1
    call.talk(noise(0.2, seed=8))
    assert call.receiver.snapshot().playout.concealed == 0
    assert isinstance(call.sender, AudioSender)


def test_the_session_tells_that_silence_is_comfort_noise_until_there_is_sound_again() -> None:
    """Nothing has to come then, so that nothing that fails to come is a fault."""
    call = SilentCall(agreed=media(comfort_noise_payload_type=CN))
    call.spurts(1)
    assert call.session.stats.comfort_noise
    call.spurts(1, pause=0.0)
    assert not call.session.stats.comfort_noise
    untold = SilentCall()
    untold.comfort = None
    untold.spurts(1)
    assert not untold.session.stats.comfort_noise
