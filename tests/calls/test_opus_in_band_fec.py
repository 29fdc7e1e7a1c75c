"""Opus in-band FEC towards and from peers without repair packets: sent while losses are told of, and made use of."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
import pytest

from tests.support.call import Call, CallResult, Link, Wrapping, media, noise
from tests.support.voice import voice
from voip import codecs
from voip.audio import AudioSender
from voip.audio.in_band import MAX_SHARE, MEMORY, MIN_SHARE, REPORT_SILENCE, ExpectedLoss
from voip.codecs import Codec, Decoder, Pcm, libopus
from voip.fec import FecController, Pattern, parse_pattern
from voip.rtp import RtpPacket, unwrap
from voip.stats import PathReport

pytestmark = pytest.mark.skipif(codecs.missing("opus") is not None, reason=str(codecs.missing("opus")))

RATE = 16000
INTERVAL = 5.0  # seconds between the reports of most peers


def told(*reports: tuple[float, float]) -> ExpectedLoss:
    expected = ExpectedLoss()
    for at, share in reports:
        expected.report(PathReport(at, share, 0, 0, 0.0))
    return expected


def test_without_any_report_a_little_loss_is_expected() -> None:
    assert ExpectedLoss().at(0.0) == ExpectedLoss().at(1e6) == MIN_SHARE
    assert told((10.0, 0.0)).at(10.0 + REPORT_SILENCE) == 0.0
    assert told((10.0, 0.0)).at(10.1 + REPORT_SILENCE) == MIN_SHARE


def test_what_is_told_is_expected_at_once_and_within_bounds() -> None:
    assert told((10.0, 0.0), (15.0, 0.03)).at(15.0) == 0.03
    assert told((10.0, 0.0), (15.0, 0.001)).at(15.0) == MIN_SHARE
    assert told((10.0, 0.0), (15.0, 0.9)).at(15.0) == MAX_SHARE


def test_it_stays_expected_until_it_has_not_been_told_of_for_long() -> None:
    quiet = [(15.0 + INTERVAL * i, 0.0) for i in range(1, 10)]
    expected = told((15.0, 0.04))
    for at, share in quiet:
        expected.report(PathReport(at, share, 0, 0, 0.0))
        assert (expected.at(at) > 0.0) == (at <= 15.0 + MEMORY)


def test_losses_of_which_the_report_was_lost_itself_are_noticed_in_the_sum() -> None:
    expected = ExpectedLoss()
    expected.report(PathReport(5.0, 0.0, 0, 250, 0.0))
    assert expected.at(5.0) == 0.0
    expected.report(PathReport(15.0, 0.0, 7, 750, 0.0))
    assert expected.at(15.0) == MIN_SHARE
    expected.report(PathReport(20.0, 0.0, -3, 1000, 0.0))  # duplicates count as less than none lost


def known(remote: str = "useinbandfec=1") -> Codec:
    (codec,) = codecs.offerable(["opus"], RATE, 1, None)
    return replace(codec, remote_fmtp=remote)


class Talk:
    """A sender that speaks; `carried` is the share of its packets with in-band FEC."""

    def __init__(self, *, fec: str = "off", remote: str = "useinbandfec=1", ours: Pattern | str | None = None) -> None:
        control = FecController(200e3) if ours == "auto" else None
        pattern = None if isinstance(ours, str) else ours
        agreed = media(known(remote), fec=fec)
        rng: random.Random = Wrapping(3)
        self.sender = AudioSender(agreed, sample_rate=RATE, channels=1, rng=rng, pattern=pattern, control=control)
        self.sound: Pcm = voice(RATE, 2.0)
        self.now = 0.0

    def carried(self, seconds: float = 2.0) -> float:
        flags = []
        for i in range(round(seconds / 0.02)):
            piece = self.sound[320 * (i % 100) :][:320]
            packets = map(RtpPacket.parse, self.sender.write(piece, self.now))
            flags += [libopus.has_in_band_fec(packet.payload) for packet in packets if packet.payload_type == 96]
            self.now += 0.02
        return float(np.mean(flags))

    def report(self, share: float) -> None:
        self.sender.report(PathReport(self.now, share, 0, 65536, 0.0))


@pytest.mark.parametrize("ours", [None, parse_pattern("4"), "auto"], ids=str)
def test_a_peer_without_repair_packets_gets_in_band_fec_while_it_loses_packets(ours: Pattern | str | None) -> None:
    talk = Talk(ours=ours)
    assert talk.carried() > 0.5  # nothing is known yet
    talk.report(0.0)
    talk.carried(0.1)
    assert talk.carried() == 0.0
    talk.report(0.1)
    talk.carried(0.1)
    assert talk.carried() > 0.5
    for _ in range(5):
        talk.carried(INTERVAL)
        talk.report(0.0)
    talk.carried(0.1)
    assert talk.carried() == 0.0


def test_a_peer_that_never_reports_gets_in_band_fec_throughout() -> None:
    talk = Talk()
    assert min(talk.carried(10.0) for _ in range(4)) > 0.5


@pytest.mark.parametrize("ours", [parse_pattern("4"), "auto"], ids=str)
def test_a_peer_that_rebuilds_packets_gets_none(ours: Pattern | str) -> None:
    talk = Talk(fec="4", ours=ours)
    talk.report(0.1)
    assert talk.carried() == 0.0


def test_a_peer_that_makes_no_use_of_it_gets_none() -> None:
    talk = Talk(remote="")
    talk.report(0.1)
    assert talk.carried() == 0.0


def test_another_codec_begins_with_what_was_known_of_the_path() -> None:
    talk = Talk()
    talk.report(0.0)
    talk.carried(0.1)
    (pcm,) = codecs.offerable(["pcmu"], 8000, 1, None)
    talk.sender.update(media(pcm))
    talk.sender.write(noise(0.1, RATE), talk.now)
    talk.sender.update(media(known()))
    assert talk.carried() == 0.0
    talk.report(0.1)
    talk.sender.update(media(known("useinbandfec=1;stereo=0")))
    assert talk.carried() > 0.5


@dataclass(frozen=True)
class Counting(Codec):
    """Opus whose decoder counts how holes were filled."""

    def decoder(self) -> Decoder:
        return CountingDecoder(super().decoder())


class CountingDecoder:
    counts: ClassVar[Counter[str]] = Counter()

    def __init__(self, plain: Decoder) -> None:
        self._plain = plain
        self.counts.clear()

    def decode(self, payload: bytes) -> Pcm:
        return self._plain.decode(payload)

    def conceal(self, samples: int, next_payload: bytes | None) -> Pcm:
        whole = samples >= 960 and next_payload is not None and libopus.has_in_band_fec(next_payload)
        self.counts["repeated" if whole else "unknown" if next_payload is None else "made up"] += 1
        return self._plain.conceal(samples, next_payload)


@dataclass
class Lossy:
    """A call over a lossy link without repair packets; `likeness`: correlation of what was heard for lost packets."""

    result: CallResult
    single: int  # packets lost of which the next one came
    counts: Counter[str]
    likeness: float


SECONDS = 12.0


def lossy(share: float, *, told: bool = True, latency: float | None = None, jitter: float = 0.0) -> Lossy:
    plain = known()
    codec = Counting(**{field.name: getattr(plain, field.name) for field in fields(plain)})
    came: set[int] = set()
    first = Wrapping(3).getrandbits(16)

    def note(packet: RtpPacket) -> bool:
        gone = rng.random() < share
        if not gone:
            came.add(unwrap(packet.sequence_number, first) - first)
        return gone

    rng = random.Random(5)
    both = SpokenCall(Link(drop=note, jitter=jitter), media(codec), latency=latency, sink=(RATE, 1))
    sound = voice(RATE, SECONDS)
    for at in range(0, len(sound), RATE):
        both.sender.report(PathReport(both.now, share if told else 0.0, 0, 65536, 0.0))
        both.talk(sound[at : at + RATE])
    result = both.end()
    lost = [i for i in range(1, round(SECONDS * 50) - 1) if i not in came]
    single = [i for i in lost if i + 1 in came]
    return Lossy(result, len(single), Counter(CountingDecoder.counts), likeness(result, [i for i in single if i > 250]))


class SpokenCall(Call):
    source_rate = RATE


def likeness(result: CallResult, frames: list[int]) -> float:
    """The mean of the best normalized correlation of these frames with what was heard at about their time."""
    frame, reach = RATE // 50, RATE // 5
    best = []
    for number in frames:
        wanted = result.sent[number * frame :][:frame, 0].astype(float)
        heard = result.heard[number * frame :][: frame + reach, 0].astype(float)
        if len(heard) < frame + reach:
            continue
        products = np.correlate(heard, wanted, "valid")
        energy = np.convolve(heard * heard, np.ones(frame), "valid")
        best.append(np.max(products / np.sqrt(np.maximum(energy * (wanted @ wanted), 1.0))))
    return float(np.mean(best))


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_a_lost_packet_is_heard_from_the_one_behind_it(share: float) -> None:
    helped, plain = lossy(share), lossy(share, told=False)
    assert helped.result.stats.lost == plain.result.stats.lost
    # The next one is here when it is needed: play-out has waited for it, or needed not.
    assert helped.counts["unknown"] <= helped.result.stats.lost - helped.single
    # An encoder repeats nothing but speech.
    assert helped.counts["repeated"] >= 0.7 * helped.single
    assert plain.counts["repeated"] == 0
    assert helped.likeness > plain.likeness + 0.02, (helped.likeness, plain.likeness)


@pytest.mark.parametrize("told", [False, True])
def test_where_nothing_rebuilds_packets_the_delay_makes_room_for_the_next_one(told: bool) -> None:
    stats = lossy(0.05, told=told).result.stats
    assert stats.playout.delay_mean is not None
    assert 0.045 < stats.playout.delay_mean < 0.075
    assert stats.playout.concealed_seconds <= 0.02 * stats.lost + 1e-6  # nothing more is made up, as by holding on
    assert (stats.playout.late, stats.playout.underruns) == (0, 0)
