"""Dead air is named within three seconds of being knowable, once, and never where silence is as it should be."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from tests.support.call import media
from tests.support.diagnosis import LOOK_INTERVAL, PEER, Scene, causes, events
from voip.calls.diagnosis import Event, Finding, Silence
from voip.media import Direction, ExtendedReports, NegotiatedMedia
from voip.rtcp.timing import ReportTimer
from voip.stats import PathReport, ReceiverStats

OURS = ExtendedReports(loss_rle=True, round_trip="all", metrics=True)
"""What a program of our own kind asks for in a=rtcp-xr."""
SOUND = 8000.0
"""Bytes of RTP a second."""
WITHIN = 3.0 - 0.1
"""Seconds after which a finding must be there, so that the line, up to 0.1 s later, is on the terminal within three."""
PORTS = (5000, 5001)
REPORT_SIZE = 130
"""Bytes of a report with its headers, about."""


def agreed(**values: Any) -> NegotiatedMedia:  # noqa: ANN401
    return replace(media(), remote=("192.0.2.2", 40000), **values)


def receiver(**values: Any) -> Scene:  # noqa: ANN401
    return Scene(Silence().look, agreed(direction=Direction.RECVONLY), plays=True, ports=PORTS, **values)


def sender(remote: Direction = Direction.RECVONLY, **values: Any) -> Scene:  # noqa: ANN401
    direction = Direction.SENDRECV if remote.sends else Direction.SENDONLY
    return Scene(
        Silence().look, agreed(direction=direction, remote_direction=remote, **values), plays=False, sends=True
    )


def both(**values: Any) -> Scene:  # noqa: ANN401
    return Scene(Silence().look, agreed(), plays=True, sends=True, ports=PORTS, **values)


# --- nothing arrives --------------------------------------------------------------------------------------------------


def test_nothing_arrives_names_our_ports_within_three_seconds_and_once() -> None:
    call = receiver()
    ((at, finding),) = call.run(20)
    assert at <= WITHIN
    assert finding.cause == "nothing-arrives"
    assert finding.text == (
        "nothing has arrived from sip:bob@192.0.2.2 yet: open UDP 5000 and 5001 here; behind a NAT try --stun HOST"
    )


def test_sound_that_comes_after_all_is_told_with_how_long_it_took() -> None:
    call = receiver()
    call.run(12.5)
    ((_, finding),) = call.run(5, bytes=SOUND)
    assert (finding.event, finding.cause) == (Event.CLEARED, "nothing-arrives")
    assert finding.text == "sound is back after 12.5 s"


def test_packets_from_elsewhere_and_of_another_codec_are_told_apart_from_a_firewall() -> None:
    foreign, strange, reported = receiver(), receiver(), receiver()
    (_, elsewhere), (_, unplayable), (_, muted) = (
        *foreign.run(4, foreign=50),
        *strange.run(4, unknown_payload_type=50),
        *reported.run(4, rtcp=1),
    )
    assert elsewhere.text.endswith("packets came, but not from 192.0.2.2, the address in its SDP")
    assert "not what was agreed on" in unplayable.text
    assert muted.text == f"no sound from {PEER}, though its RTCP arrives: is it muted there?"
    assert {elsewhere.cause, unplayable.cause, muted.cause} == {"nothing-arrives"}


@pytest.mark.parametrize("starts_after", [0.0, 1.0, 2.0])
def test_a_peer_that_begins_within_two_seconds_is_no_fault(starts_after: float) -> None:
    call = both()
    assert call.run(starts_after) == []
    assert call.run(30, bytes=SOUND, rtcp=0.5) == []


def test_a_call_that_ends_before_anything_can_be_known_says_nothing() -> None:
    assert receiver().run(2) == []


def test_a_few_packets_that_are_no_sound_are_keep_alives() -> None:
    """The firewall is named, not the codec; and who sends them is there."""
    ((_, finding),) = receiver().run(4, unknown_payload_type=0.5)
    assert "open UDP 5000 and 5001 here" in finding.text
    assert sender(Direction.SENDRECV).run(8, unknown_payload_type=0.5) == []


# --- dead air ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rtcp", "why"), [(0.0, "the network or the program there is down"), (1.0, "is it muted")])
def test_sound_that_stops_and_comes_back_is_told_twice(rtcp: float, why: str) -> None:
    call = receiver()
    assert call.run(10, bytes=SOUND, rtcp=1) == []
    stopped_at = call.seconds
    ((at, dead),) = call.run(12.25, rtcp=rtcp)
    assert at - stopped_at <= WITHIN
    assert dead.cause == "dead-air"
    assert why in dead.text
    ((_, back),) = call.run(10, bytes=SOUND, rtcp=1)
    assert (back.event, back.cause) == (Event.CLEARED, "dead-air")
    assert back.text == "sound is back after 12.5 s"
    assert causes(call.run(4)) == ["dead-air"]  # the next time is told again


def receiver_of(pauses: str) -> list[str]:
    """What is said of ten pauses of 3 to 6 s, in which packets are lost on the network or the peer sends none."""
    call, rng, lost = receiver(), random.Random(1), 0
    for _ in range(10):
        call.change_record(rx=ReceiverStats(received=100, expected=100 + lost))
        call.run(5, bytes=SOUND)
        pause = rng.choice((3.0, 4.0, 6.0))
        call.run(pause)
        lost += round(pause / 0.02) if pauses == "lost" else 0
        call.change_record(rx=ReceiverStats(received=100, expected=100 + lost))
    return causes(call.said)


def test_a_telephone_that_is_silent_while_its_user_listens_is_named_once_and_an_unsteady_network_each_time() -> None:
    """Silence suppression without comfort noise: sequence numbers go on where they were."""
    assert receiver_of("unsent") == ["dead-air"]
    assert receiver_of("lost") == 10 * ["dead-air"]


def test_a_program_that_stood_still_itself_cannot_say_that_nothing_came() -> None:
    for call in (both(), sender(Direction.SENDRECV)):
        call.run(5, bytes=SOUND, rtcp=1)
        call.now += 30.0
        assert call.run(LOOK_INTERVAL) == []
        assert call.run(10, bytes=SOUND, rtcp=1) == []


def test_a_break_of_two_seconds_is_not_told() -> None:
    call = receiver()
    call.run(5, bytes=SOUND)
    call.run(2)
    call.run(5, bytes=SOUND)
    assert call.said == []


def test_silence_after_comfort_noise_is_no_fault_however_long() -> None:
    call = receiver()
    call.run(5, bytes=SOUND)
    call.note(comfort_noise=True)
    call.run(60)
    call.note(comfort_noise=False)
    call.run(5, bytes=SOUND)
    assert call.said == []


def test_a_peer_that_sends_a_packet_now_and_then_is_not_silent() -> None:
    """Discontinuous transmission: Opus sends one in 400 ms."""
    assert receiver().run(60, bytes=2.5) == []


def test_hold_is_no_fault_and_silence_counts_from_the_resumption() -> None:
    call = both()
    call.run(5, bytes=SOUND, rtcp=1)
    call.change(media=agreed(direction=Direction.INACTIVE, remote_direction=Direction.INACTIVE))
    assert call.run(90) == []
    call.change(media=agreed())
    assert call.run(2) == []
    assert causes(call.run(1)) == ["dead-air"]


def test_a_peer_that_has_said_bye_by_rtcp_may_be_silent() -> None:
    call = receiver()
    call.run(5, bytes=SOUND)
    call.change(over=True)
    assert call.run(10) == []


# --- nothing comes back -----------------------------------------------------------------------------------------------


def test_a_peer_that_is_to_send_and_is_not_heard_at_all_is_named_by_its_port() -> None:
    """A telephone answers sendrecv: its sound would come even if we do not play it."""
    ((at, finding),) = sender(Direction.SENDRECV).run(9)
    assert at <= WITHIN
    assert finding.cause == "nothing-comes-back"
    text = f"nothing comes back from {PEER}: a firewall may drop what is sent; open UDP 40000 there"
    assert finding.text == text


def test_a_program_of_our_own_kind_reports_early_and_is_missed_as_soon() -> None:
    """By its rtcp-xr: its first report comes within a second."""
    ((at, finding),) = sender(rtcp_xr=OURS).run(9)
    assert at <= WITHIN
    assert finding.cause == "nothing-comes-back"


def test_a_listener_that_switches_rtcp_off_gives_no_sign_and_is_not_missed() -> None:
    """RFC 3556: b=RS:0 and b=RR:0."""
    for call in (sender(rtcp_off=True), sender(rtcp_off=True, rtcp_mux=True)):
        assert "nothing-comes-back" not in causes(call.run(60))
    assert causes(sender(Direction.SENDRECV, rtcp_off=True).run(9)) == ["nothing-comes-back"]  # its sound is due


def test_a_listener_of_rfc_3550_has_the_time_that_its_first_report_takes() -> None:
    call = sender(rtcp_mux=True)
    assert call.run(4.5) == []
    assert causes(call.run(1)) == ["nothing-comes-back"]


def test_a_listener_without_rtcp_is_a_matter_of_detail() -> None:
    said = sender().run(60)
    assert events(said) == [("detail", "no-rtcp")]
    assert said[0][1].text == f"{PEER} sends no RTCP: whether it hears us is unknown"


def test_a_telephone_without_rtcp_that_is_heard_is_a_matter_of_detail_too() -> None:
    call = both()
    assert events(call.run(60, bytes=SOUND)) == [("detail", "no-rtcp")]


def test_a_peer_that_has_switched_rtcp_off_is_said_to_have_done_so() -> None:
    said = sender(rtcp_off=True).run(60)
    assert events(said) == [("detail", "no-rtcp")]
    assert said[0][1].text == f"{PEER} has switched RTCP off (b=RR:0 in its SDP): whether it hears us stays unknown"


def test_a_stream_without_signalling_need_not_be_answered() -> None:
    call = sender(Direction.SENDRECV)
    call.change(signalled=False)
    assert events(call.run(60)) == [("detail", "no-rtcp")]


def test_reports_that_stop_are_missed_after_three_of_their_intervals() -> None:
    call = sender()
    assert call.run(20, rtcp=0.5) == []
    said = call.run(20)
    assert causes(said) == ["nothing-comes-back"]
    assert 5.0 <= said[0][0] - 20 <= 3 * 2.0 + 2 * LOOK_INTERVAL
    assert "down" in said[0][1].text
    assert events(call.run(5, rtcp=0.5)) == [("cleared", "nothing-comes-back")]


def test_slow_reports_are_awaited() -> None:
    call = sender(rtcp_mux=True)
    call.run(4, rtcp=0.5)
    assert call.run(120, rtcp=1 / 6) == []
    assert causes(call.run(20)) == ["nothing-comes-back"]


def reporting(seconds: float, rng: random.Random, loss: float = 0.0, jitter: float = 0.0) -> list[float]:
    """When the reports of a listener like ours arrive, since the call came up; the first is not lost."""
    timer, now = ReportTimer(rng), 0.0
    found: list[float] = []
    timer.start(now)
    while (due := timer.next) is not None and due < seconds:
        now = max(now, due)
        if timer.is_due(now):
            timer.sent(REPORT_SIZE, now)
            found += [now + jitter * rng.random()] if not found or rng.random() >= loss else []
    return sorted(found)


def lossy_sender(loss: float) -> Scene:
    """Its peer reports that this share of the packets is lost."""
    call = sender(rtcp_xr=OURS)
    path = PathReport(0.0, loss, cumulative_lost=round(1000 * loss), highest=1000, jitter=0.0)
    call.note(path=path, path_packets=1000)
    return call


def listen(call: Scene, seconds: float, arrivals: list[float]) -> list[tuple[float, Finding]]:
    """Let time pass in which these reports arrive."""
    start, end = len(call.said), call.seconds + seconds
    while call.seconds < end:
        call.note(rtcp=sum(at <= call.seconds + LOOK_INTERVAL for at in arrivals))
        call.run(LOOK_INTERVAL)
    return call.said[start:]


@pytest.mark.parametrize("earliest", [3.0, 15.0])
@pytest.mark.parametrize("seed", range(20))
def test_a_network_that_is_cut_is_named_within_three_seconds_by_who_only_sends(seed: int, earliest: float) -> None:
    rng = random.Random(seed)
    cut = earliest + 20.0 * rng.random()
    ((at, finding),) = listen(sender(rtcp_xr=OURS), cut + 10.0, reporting(cut, rng))
    assert cut < at <= cut + 3.0
    assert finding.cause == "nothing-comes-back"


@pytest.mark.parametrize(("loss", "within"), [(0.1, 5.5), (0.3, 7.5)])
def test_a_cut_at_the_beginning_of_a_lossy_call_is_named_as_soon_as_it_cannot_be_chance(
    loss: float, within: float
) -> None:
    """Since the last report that came: what was lost before the cut is no sign of it."""
    for seed in range(20):
        rng = random.Random(seed)
        arrivals = reporting(6.0 + 3.0 * rng.random(), rng, loss)
        ((at, _),) = listen(lossy_sender(loss), 20.0, arrivals)[-1:]
        assert at <= arrivals[-1] + within, f"seed {seed}"


@pytest.mark.parametrize(("loss", "jitter"), [(0.0, 0.0), (0.0, 0.06), (0.05, 0.06), (0.1, 0.06), (0.3, 0.06)])
def test_reports_that_are_lost_or_late_are_no_cut(loss: float, jitter: float) -> None:
    for seed in range(20):
        arrivals = reporting(120.0, random.Random(seed), loss, jitter)
        assert listen(lossy_sender(loss), 120.0, arrivals) == [], f"seed {seed}"


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_the_reports_of_a_peer_with_the_intervals_of_rfc_3550_are_awaited(loss: float) -> None:
    """5 s, randomised to 2.05 to 6.2 s (section 6.3.1), of which 30 % are lost: what stays away for longer than three
    of the longest of them is no report that was lost."""
    for seed in range(20):
        rng, at = random.Random(seed), 0.0
        arrivals: list[float] = []
        while at < 300.0:
            at += 5.0 * (0.5 + rng.random()) / 1.21828
            arrivals += [at] if len(arrivals) < 3 or rng.random() >= loss else []
        assert listen(sender(), 300.0, arrivals) == [], f"seed {seed}"


# --- a closed port ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("each_second", [1.0, 50.0])
def test_a_closed_port_is_named_at_once_and_nothing_else(each_second: float) -> None:
    for call in (sender(Direction.SENDRECV), both()):
        ((at, finding),) = call.run(30, icmp_errors=each_second)
        assert at <= WITHIN
        assert finding.cause == "port-closed"
        assert finding.text == (f"UDP 40000 of {PEER} is closed (ICMP port unreachable): has the program there ended?")


def test_a_program_that_is_killed_is_named_by_its_port() -> None:
    call = sender(Direction.RECVONLY)
    call.run(10, rtcp=1)
    ((at, finding),) = call.run(20, icmp_errors=1)
    assert at - 10 <= WITHIN
    assert finding.cause == "port-closed"
    assert events(call.run(5, rtcp=1)) == [("cleared", "port-closed")]


def test_errors_while_the_peer_is_heard_are_no_closed_port() -> None:
    """Its port for RTCP may be closed, or the errors be of the moment before it was ready."""
    assert both().run(30, icmp_errors=1, bytes=SOUND, rtcp=0.5) == []
    call = both()
    call.run(0.5, icmp_errors=50)
    call.run(30, bytes=SOUND, rtcp=0.5)
    assert call.said == []
