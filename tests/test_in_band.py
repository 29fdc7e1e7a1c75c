"""Opus in-band FEC towards and from peers without repair packets: sent while losses are told of, and made use of."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from tests.harness import Wrapping, media, noise
from tests.voice import voice
from voip import codecs
from voip.audio import AudioSender
from voip.audio.in_band import LEAST, MEMORY, MOST, SILENCE, ExpectedLoss
from voip.codecs import Codec, Pcm, libopus, opus
from voip.fec import FecController, Pattern, parse_pattern
from voip.rtp import RtpPacket
from voip.stats import PathReport

pytestmark = pytest.mark.skipif(opus.missing() is not None, reason=str(opus.missing()))

RATE = 16000
INTERVAL = 5.0  # seconds between the reports of most peers


def told(*reports: tuple[float, float]) -> ExpectedLoss:
    expected = ExpectedLoss()
    for at, share in reports:
        expected.report(PathReport(at, share, 0, 0, 0.0))
    return expected


def test_without_any_report_a_little_loss_is_expected() -> None:
    assert ExpectedLoss().at(0.0) == ExpectedLoss().at(1e6) == LEAST
    assert told((10.0, 0.0)).at(10.0 + SILENCE) == 0.0
    assert told((10.0, 0.0)).at(10.1 + SILENCE) == LEAST


def test_what_is_told_is_expected_at_once_and_within_bounds() -> None:
    assert told((10.0, 0.0), (15.0, 0.03)).at(15.0) == 0.03
    assert told((10.0, 0.0), (15.0, 0.001)).at(15.0) == LEAST
    assert told((10.0, 0.0), (15.0, 0.9)).at(15.0) == MOST


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
    assert expected.at(15.0) == LEAST
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
