"""From calls in the table to lines and events: each call has a diagnosis of its own, the microphone has one for all."""

from __future__ import annotations

import io
import json
import random
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from tests.support.call import media
from voip import codecs
from voip.calls.call import Call
from voip.calls.line import MediaLine
from voip.calls.negotiation import Negotiation
from voip.calls.streams import AudioStreams, SendStream
from voip.calls.warnings import CallWarnings
from voip.devices import generate
from voip.devices.paced import PacedSource
from voip.engine import Capture
from voip.media import Direction, NegotiatedMedia
from voip.net import MediaTransport
from voip.report import CallRecord, Console
from voip.sdp import Capabilities, Endpoint
from voip.session import RtpSession
from voip.sip import CallEnded, RequestRefused
from voip.sip.address import Address
from voip.stats import Levels, SenderStats

INTERVAL = 0.25
SOURCE = Address("udp", "10.0.0.7", 5060)


@dataclass
class Port:
    """What a call asks of its media port."""

    host: str = "192.0.2.1"
    port: int = 5000
    icmp_errors: int = 0
    icmp_at: float | None = None
    icmp_since: float | None = None
    unsent: int = 0


class LiveSource(PacedSource):
    """A microphone that nothing is read from."""

    live = True


@dataclass
class Desk:
    """The warnings of a program in virtual time, and what they come to."""

    verbosity: int = 0
    source: PacedSource | None = None
    now: float = 1000.0
    talk: io.StringIO = field(default_factory=io.StringIO)
    data: io.StringIO = field(default_factory=io.StringIO)
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.console = Console(
            lambda: self.now,
            verbosity=self.verbosity,
            as_json=True,
            talk=self.talk,
            data=self.data,
            time_of_day=str,
        )
        self.capture = None if self.source is None else Capture(self.source)
        self.audio = AudioStreams(lambda run, *args: run(*args), self.console, capture=self.capture)
        self.warnings = CallWarnings(self.calls, self.audio, self.console, lambda: self.now)

    def add(self, call_id: str, agreed: NegotiatedMedia, **options: Any) -> Call:  # noqa: ANN401
        """A call that comes up now."""
        codec = codecs.find("PCMU", 8000, 1)
        assert codec is not None
        endpoint = Endpoint("192.0.2.1", 5000, ip_version=4, ssrc=1, fec_ssrc=2, cname="x", session_id=1)
        call = Call(
            CallRecord(call_id, f"sip:{call_id}@192.0.2.2", incoming=False),
            remote_host="192.0.2.2",
            transport=cast(MediaTransport, Port()),
            negotiation=Negotiation(Capabilities((codec,)), endpoint),
            now=self.now,
            **options,
        )
        receive, send = self.audio.open(call_id, 0)
        session = RtpSession(agreed, cname="x", rng=random.Random(1))
        call.add_line(MediaLine(agreed, call.transport, session, receive, send))
        call.established = self.now
        self.calls.append(call)
        return call

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / INTERVAL)):
            self.now += INTERVAL
            self.look()

    def look(self) -> None:
        self.warnings.keep_time(self.now, INTERVAL)
        for call in self.calls:
            self.warnings.look_at(call, call.snapshot(self.now), self.now)
        self.warnings.look(self.now)

    def levels(self, call_id: str, levels: Levels) -> None:
        """What was captured for this call so far."""
        assert self.capture is not None
        self.capture.fanout.stats = self.capture.fanout.stats | {f"{call_id}/0": SenderStats()}
        self.capture.fanout.levels = levels

    def said(self) -> list[str]:
        self.console.pump()
        return self.talk.getvalue().splitlines()

    def events(self) -> list[dict[str, Any]]:
        self.console.pump()
        return [json.loads(line) for line in self.data.getvalue().splitlines()]


def microphone() -> LiveSource:
    return LiveSource(generate.silence, rate=8000, channels=1, description="USB microphone, 48000 Hz")


def to_phone() -> NegotiatedMedia:
    """What a sender agrees on with a telephone."""
    return replace(media(), remote=("192.0.2.2", 40000), direction=Direction.SENDRECV)


def test_each_call_is_warned_of_by_itself_as_text_and_as_an_event_of_that_call() -> None:
    desk = Desk(source=PacedSource(generate.silence, rate=8000, channels=1, description="silence"))
    desk.add("a", to_phone())
    desk.run(1)
    desk.add("b", to_phone())
    desk.run(10)
    found = [event for event in desk.events() if event["event"] == "warning"]
    assert [(event["call_id"], event["cause"]) for event in found] == [
        ("a", "nothing-comes-back"),
        ("b", "nothing-comes-back"),
    ]
    assert [event["message"] for event in found] == [line for line in desk.said() if line.startswith("nothing comes")]
    assert found[0]["t"] <= 3.0


def test_calls_that_ring_or_are_over_are_not_looked_at_and_are_forgotten() -> None:
    desk = Desk(source=PacedSource(generate.silence, rate=8000, channels=1, description="silence"))
    ringing, ended = desk.add("a", to_phone()), desk.add("b", to_phone())
    ringing.established = None
    ended.end(CallEnded("b", "remote-bye", None, ""), desk.now, lambda: None)
    desk.run(20)
    assert desk.said() == []


def test_a_mute_microphone_is_said_once_however_many_calls_are_sent_it() -> None:
    desk = Desk(source=microphone())
    agreed = replace(to_phone(), direction=Direction.SENDONLY, remote_direction=Direction.RECVONLY)
    for name in "abc":
        desk.add(name, agreed)
    for step in range(40):
        for name in "abc":
            desk.levels(name, Levels(samples=2000 * step, silent=2000 * step))
        desk.run(INTERVAL)
    found = [event for event in desk.events() if event["event"] == "warning"]
    assert [(event["cause"], event["call_id"]) for event in found] == [("microphone-silent", None)]
    assert found[0]["t"] <= 3.0
    assert "(USB microphone, 48000 Hz)" in found[0]["message"]


def test_silence_from_a_file_is_as_it_should_be() -> None:
    desk = Desk(source=PacedSource(generate.silence, rate=8000, channels=1, description="silence.wav"))
    desk.add("a", replace(to_phone(), direction=Direction.SENDONLY, remote_direction=Direction.RECVONLY))
    for step in range(40):
        desk.levels("a", Levels(samples=2000 * step, silent=2000 * step, clipped=1000 * step))
        desk.run(INTERVAL)
    assert desk.said() == []


def test_details_are_for_those_who_want_them() -> None:
    for verbosity in (0, 1):
        desk = Desk(verbosity=verbosity, source=PacedSource(generate.silence, rate=8000, channels=1, description=""))
        desk.add("a", replace(to_phone(), direction=Direction.SENDONLY, remote_direction=Direction.RECVONLY))
        desk.run(20)
        assert [line for line in desk.said() if "sends no RTCP" in line] == [
            "sip:a@192.0.2.2 sends no RTCP: whether it hears us is unknown"
        ][:verbosity]
        assert [event for event in desk.events() if event["event"] == "warning"] == []


def test_lateness_of_this_program_is_known_to_the_calls() -> None:
    desk = Desk()
    desk.add("a", replace(media(), direction=Direction.RECVONLY))
    desk.run(2)
    desk.now += 5.0
    desk.look()
    assert desk.warnings.late == pytest.approx(5.0 - INTERVAL)


# --- callers that were refused ----------------------------------------------------------------------------------------


def test_a_refused_caller_is_a_line_and_an_event_with_what_to_do() -> None:
    desk = Desk()
    desk.warnings.on_refused(RequestRefused(SOURCE, "INVITE", 403, "sip:bob@house.example"))
    text = (
        "refused a call from sip:bob@house.example (10.0.0.7): not among those who may call; "
        "to let it in: --allow 10.0.0.7"
    )
    assert desk.said() == [text]
    (event,) = desk.events()
    assert event["event"] == "refused"
    assert (event["source"], event["caller"], event["status"]) == ("10.0.0.7", "sip:bob@house.example", 403)
    assert event["message"] == text


@pytest.mark.parametrize(
    "event",
    [
        RequestRefused(SOURCE, "OPTIONS", 403, "sip:bob@house.example"),
        RequestRefused(SOURCE, "REGISTER", 405, "sip:bob@house.example"),
        RequestRefused(SOURCE, "INVITE", 420, "sip:bob@house.example", "requires gruu"),
        RequestRefused(SOURCE, "INVITE", 400, ""),
    ],
)
def test_what_no_user_could_let_in_is_for_those_who_want_details(event: RequestRefused) -> None:
    quiet, verbose = Desk(), Desk(verbosity=1)
    for desk in (quiet, verbose):
        desk.warnings.on_refused(event)
    assert quiet.said() == []
    (line,) = verbose.said()
    assert line == f"refused {event.method} of 10.0.0.7:5060: {event.status} {event.reason}".strip()


def test_a_peer_that_refuses_our_reinvite_is_no_caller() -> None:
    desk = Desk()
    call = desk.add("a", replace(media(), direction=Direction.RECVONLY))
    refusal = RequestRefused(Address("udp", "192.0.2.2", 5060), "INVITE", 486)
    call.negotiation.offer()
    desk.warnings.on_refused(refusal)
    assert [event for event in desk.events() if event["event"] == "refused"] == []
    call.negotiation.awaits_answer = False
    desk.warnings.on_refused(refusal)  # another program on the same host calls
    assert [event["status"] for event in desk.events() if event["event"] == "refused"] == [486]


def test_a_flood_of_callers_is_a_few_lines_and_then_their_number() -> None:
    desk = Desk()
    for number in range(250):
        desk.warnings.on_refused(RequestRefused(SOURCE._replace(host=f"203.0.113.{number}"), "INVITE", 403, "sip:1@x"))
    assert 1 < len(desk.said()) <= 10
    desk.run(70)
    (last,) = [event for event in desk.events() if event["hidden"]]
    assert last["hidden"] + len(desk.said()) - 1 == 250
    assert last["source"] is None


# --- through a stream that is real ------------------------------------------------------------------------------------


def test_the_streams_tell_what_device_they_are_fed_from() -> None:
    live = Desk(source=microphone())
    stored = Desk(source=PacedSource(generate.silence, rate=8000, channels=1, description="x"))
    assert live.audio.microphone == "USB microphone, 48000 Hz"
    assert (stored.audio.microphone, Desk().audio.microphone) == ("", "")
    assert (live.audio.xruns, Desk().audio.xruns) == (0, 0)
    assert isinstance(live.audio.open("a", 0)[1], SendStream)


def test_a_line_that_only_plays_reports_that_nothing_arrives() -> None:
    """RFC 3550 section 6.4: who takes part reports, with or without a source to report about."""
    desk = Desk()
    agreed = replace(to_phone(), direction=Direction.RECVONLY, remote_rtcp=("192.0.2.2", 40001))
    (line,) = desk.add("a", agreed).lines
    line.start(desk.now)
    sent = [data for tenth in range(40) for data in line.session.rtcp_to_send(desk.now + tenth / 10)]
    assert len(sent) >= 2
