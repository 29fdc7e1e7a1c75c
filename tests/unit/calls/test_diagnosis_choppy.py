"""Choppy sound is named with its reason, and only then: real play-out over simulated networks, and made-up figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.call import Call, Link, media, noise
from tests.support.diagnosis import LOOK_INTERVAL, Scene, causes
from voip.calls.diagnosis import Choppy, Finding, PeerLoss, Silence, Situation
from voip.calls.diagnosis.choppy import BEGINNING
from voip.report import CallRecord
from voip.stats import PathReport, PlayoutStats, ReceiverStats, SenderStats, SessionStats

PEER = "sip:bob@192.0.2.2"


def listen(
    link: Link,
    *,
    seconds: float = 30.0,
    meddle: Callable[[Call, float], None] = lambda call, at: None,
    **options: Any,  # noqa: ANN401 - of Call
) -> list[tuple[float, Finding]]:
    """What is said, and when, of a call over this link; `meddle` is called before each quarter of a second."""
    call = Call(link, **options)
    began, said = call.now, list[tuple[float, Finding]]()
    watches = (Choppy(), Silence())
    sound = noise(seconds)
    step = round(call.rate * LOOK_INTERVAL)
    for at in range(0, len(sound), step):
        meddle(call, call.now - began)
        call.talk(sound[at : at + step])
        seconds_up = call.now - began
        record = CallRecord("1", PEER, incoming=True, duration=seconds_up, rx=call.receiver.stats)
        situation = Situation(record, call.media, call.now, network=call.session.stats)
        said += [(seconds_up, finding) for watch in watches for finding in watch.look(situation)]
    return said


# --- what is no fault -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("impairment", "options"),
    [
        ({}, {}),
        ({"jitter": 0.03}, {"latency": None}),
        ({"loss": 0.005}, {}),
        ({"loss": 0.05}, {"fec": "sliding:0,1,8+0,2,3,12/1", "latency": 0.1}),
    ],
    ids=["clean", "jitter within the buffer", "a lost packet now and then", "loss that FEC makes good"],
)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_not_heard_is_not_said(impairment: dict[str, Any], options: dict[str, Any], seed: int) -> None:
    assert listen(Link(seed=seed, **impairment), **options) == []


def test_dead_air_is_dead_air_and_not_choppy_sound() -> None:
    def cut(call: Call, at: float) -> None:
        call.link.drop = (lambda packet: True) if 10 <= at < 22 else None

    said = listen(Link(), seconds=40, meddle=cut)
    assert [(finding.event.value, finding.cause) for _, finding in said] == [
        ("warning", "dead-air"),
        ("cleared", "dead-air"),
    ]
    assert said[1][1].text.startswith("sound is back after 12.")


# --- what is, and why -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss", [0.1, 0.2])
def test_heavy_loss_without_fec_is_named_within_three_seconds_with_the_option_that_helps(
    loss: float, seed: int
) -> None:
    said = listen(Link(loss=loss, seed=seed))
    assert causes(said) == ["choppy-loss"]
    ((at, finding),) = said
    assert at <= BEGINNING + 3.0
    assert finding.text.endswith(" missing: network loss; no FEC agreed on: use --fec auto at both ends")
    assert finding.text.startswith("choppy: ")
    assert len(finding.text) <= 120


@pytest.mark.parametrize("seed", range(3))
def test_bursts_are_named_by_their_mean_length(seed: int) -> None:
    ((_, finding),) = listen(Link(loss=0.1, burst=4, seed=seed))
    burst = int(finding.text.partition("bursts of ")[2].partition(";")[0])
    assert 2 <= burst <= 8


def test_loss_beyond_what_fec_rebuilds_is_told_with_the_strength_of_the_fec() -> None:
    ((_, finding),) = listen(Link(loss=0.3, burst=3), fec="sliding:0,1,3,8/2")
    assert finding.cause == "choppy-loss"
    assert "more than FEC of " in finding.text


def test_a_delay_that_is_too_short_for_the_jitter_is_lateness() -> None:
    said = listen(Link(jitter=0.08), latency=0.02, latency_max=0.04)
    assert causes(said) == ["choppy-late"]
    assert "raise --latency" in said[0][1].text
    assert "(jitter " in said[0][1].text


def test_a_network_that_stalls_is_lateness() -> None:
    def stall(call: Call, at: float) -> None:
        if at % 3 == pytest.approx(1.5, abs=0.1):
            call.link.block(call.now + 0.3)

    said = listen(Link(), latency=None, meddle=stall)
    assert causes(said) == ["choppy-late"]
    assert "(the network stalls)" in said[0][1].text


# --- by hand: devices, the machine, episodes --------------------------------------------------------------------------


class Figures:
    """A receiver whose figures grow as a test wants, shown to Choppy."""

    def __init__(self, **media_values: Any) -> None:  # noqa: ANN401
        self.scene = Scene(Choppy().look, replace(media(), **media_values))
        self.rx = ReceiverStats()
        self.totals: dict[str, float] = {}

    def run(self, seconds: float, **rates: float) -> list[tuple[float, Finding]]:
        """`rates`: growth a second of `missing`, `unheard` (seconds), `lost`, `runs`, `fec` (packets), `xruns`, `late`
        (seconds of this program)."""

        def each(now: float) -> None:
            for name, rate in rates.items():
                self.totals[name] = self.totals.get(name, 0.0) + rate * LOOK_INTERVAL
            total = self.totals.get
            received = round(50 * self.scene.seconds)
            playout = PlayoutStats(concealed_seconds=total("missing", 0.0), unheard_seconds=total("unheard", 0.0))
            runs = {"1": int(total("runs", 0.0)), "2": 0, "3+": 0}
            lost, repair = int(total("lost", 0.0)), int(total("fec", 0.0))
            rx = ReceiverStats(
                received=received, expected=received + lost, loss_runs=runs, fec_packets=repair, playout=playout
            )
            self.scene.change_record(rx=rx)
            self.scene.change(xruns=int(total("xruns", 0.0)), late=total("late", 0.0))

        return self.scene.run(seconds, each=each)


def test_a_device_that_runs_dry_is_named() -> None:
    figures = Figures()
    figures.run(10)
    ((at, finding),) = figures.run(10, missing=0.1, xruns=8)
    assert at - 10 <= 3.0
    assert finding.cause == "choppy-device"
    assert "the sound device ran dry" in finding.text


@pytest.mark.parametrize("rates", [{"missing": 0.1, "late": 0.2, "lost": 5}, {"unheard": 0.3}])
def test_a_machine_that_is_too_slow_is_named_even_if_it_loses_packets(rates: dict[str, float]) -> None:
    figures = Figures()
    figures.run(10)
    assert causes(figures.run(10, **rates)) == ["choppy-machine"]


def test_packets_that_this_program_could_not_take_mean_a_slow_machine() -> None:
    figures = Figures()
    figures.run(5)
    figures.scene.note(overruns=7)
    assert causes(figures.run(5, missing=0.2)) == ["choppy-machine"]


def test_a_cause_is_named_once_an_episode_and_again_when_it_has_been_over() -> None:
    figures = Figures()
    bad, good = {"missing": 0.1, "lost": 5.0, "runs": 5.0}, dict[str, float]()
    assert causes(figures.run(60, **bad)) == ["choppy-loss"]
    assert causes(figures.run(8, **good)) == []
    assert causes(figures.run(30, **bad)) == []  # 8 s are no end of an episode
    assert causes(figures.run(30, **good)) == []
    assert causes(figures.run(30, **bad)) == ["choppy-loss"]


def test_another_cause_in_the_same_episode_waits_ten_seconds_for_its_line() -> None:
    figures = Figures()
    said = figures.run(5, missing=0.1, lost=5, runs=5)
    said += figures.run(30, missing=0.3, xruns=30)
    assert causes(said) == ["choppy-loss", "choppy-device"]
    assert said[1][0] - said[0][0] >= 10.0


def test_fec_that_was_raised_is_told() -> None:
    figures = Figures(fec="flexfec", fec_payload_type=97)
    figures.run(8, fec=12)
    said = figures.run(1.25, missing=0.1, lost=5, runs=2)
    said += figures.run(5, missing=0.05, lost=2, runs=1, fec=80)
    assert causes(said) == ["choppy-loss"]
    assert "network loss in bursts of 2; FEC raised to " in said[0][1].text


def test_a_speaker_that_is_gone_is_told_elsewhere() -> None:
    figures = Figures()
    figures.run(10)
    figures.scene.change(speaker_gone=True)
    assert figures.run(10, unheard=1.0) == []
    figures.scene.change(speaker_gone=False)
    assert figures.run(10) == []


def test_the_first_second_of_a_call_does_not_count() -> None:
    figures = Figures()
    figures.run(0.75, missing=1.0)
    assert figures.run(30) == []


# --- what the peer loses ----------------------------------------------------------------------------------------------


def reported(scene: Scene, seconds: float, lost: float) -> list[tuple[float, Finding]]:
    """Reports once a second of 50 packets each, of which this share was lost."""
    return scene.run(
        seconds,
        each=lambda now: scene.note(
            path=PathReport(
                at=now,
                fraction_lost=lost,
                cumulative_lost=round(50 * lost * int(scene.seconds)),
                highest=50 * int(scene.seconds),
                jitter=0.0,
            )
        ),
    )


def test_a_sender_without_fec_is_told_what_is_lost_once() -> None:
    scene = Scene(PeerLoss().look, media(), plays=False, sends=True)
    ((at, finding),) = reported(scene, 60, 0.1)
    assert at <= 4.0
    assert finding.cause == "lossy-path"
    assert finding.text == "sip:bob@192.0.2.2 loses 10 % of what is sent: no FEC agreed on; use --fec auto at both ends"


def test_little_loss_and_loss_that_fec_covers_are_no_matter_for_the_sender() -> None:
    assert reported(Scene(PeerLoss().look, media(), plays=False, sends=True), 60, 0.02) == []
    covered = replace(media(), fec="flexfec", fec_payload_type=97)
    assert reported(Scene(PeerLoss().look, covered, plays=False, sends=True), 60, 0.2) == []


def test_no_report_says_nothing() -> None:
    scene = Scene(PeerLoss().look, media(), plays=False, sends=True, network=SessionStats())
    assert scene.run(30) == []


def silent_reports(scene: Scene, seconds: float) -> list[tuple[float, Finding]]:
    """A peer that gets nothing reports about no source, once a second; we send all the time."""

    def note(now: float) -> None:
        scene.change_record(tx=SenderStats(packets=int(50 * scene.seconds), seconds=scene.seconds))
        scene.note(empty_reports=int(scene.seconds))

    return scene.run(seconds, each=note)


def test_a_peer_whose_reports_tell_of_no_packet_of_ours_is_named_within_three_seconds_and_once() -> None:
    scene = Scene(PeerLoss().look, replace(media(), remote=("192.0.2.2", 40000)), plays=False, sends=True)
    ((at, finding),) = silent_reports(scene, 30)
    assert at <= 3.0
    assert (finding.cause, finding.text) == (
        "nothing-arrives-there",
        "nothing arrives at sip:bob@192.0.2.2, says its RTCP: open UDP 40000 in the firewall there",
    )


def test_reports_about_no_source_say_nothing_where_nothing_is_sent() -> None:
    assert silent_reports(Scene(PeerLoss().look, media(), plays=True), 30) == []


def test_one_report_about_no_source_may_be_older_than_our_sound() -> None:
    scene = Scene(PeerLoss().look, media(), plays=False, sends=True)
    scene.change_record(tx=SenderStats(packets=500, seconds=10.0))
    scene.note(empty_reports=1)
    assert scene.run(10) == []
