"""Parts of call control that need no network: our own address, what an end means, what is done then."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from voip import codecs
from voip.calls import CallManager, CallTable, Outcome, PlainSource, RetryRule
from voip.calls.call import Call
from voip.calls.local_address import LOOK_INTERVAL, LocalAddress
from voip.calls.negotiation import Negotiation
from voip.calls.outcome import outcome_of
from voip.calls.records import rtp_stat_headers
from voip.cli import ExitAfterLastCall, Redial, WaitForNextCall
from voip.engine import Shutdown
from voip.media import AudioFormat, NegotiatedMedia
from voip.net import MediaTransport
from voip.report import CallRecord, Console
from voip.sdp import Capabilities, Endpoint
from voip.sip import CallEnded

BUSY, GONE = Outcome(6, "refused"), Outcome(8, "gone")


@dataclass
class Port:
    """What a call asks of its media port."""

    host: str = "192.0.2.1"


@dataclass
class Calls:
    """What a policy knows of a manager."""

    calls: tuple[object, ...] = ()
    awaited: list[PlainSource] = field(default_factory=list)

    def await_stream(self, source: PlainSource) -> None:
        self.awaited.append(source)

    def as_manager(self) -> CallManager:
        return cast(CallManager, self)


def record(*, with_media: bool = True) -> CallRecord:
    codec = codecs.find("PCMU", 8000, 1)
    assert codec is not None
    media = NegotiatedMedia(AudioFormat(codec), 0, ("192.0.2.2", 5000)) if with_media else None
    return CallRecord("x", "sip:a", incoming=True, media=media)


def console(talk: io.StringIO) -> Console:
    return Console(lambda: 0.0, talk=talk, data=io.StringIO())


def never_again(output: Console) -> Redial:
    return Redial(RetryRule(0), [], output, call_later=lambda delay, function: None, now=lambda: 0.0)


def test_a_sender_ends_with_its_last_call_and_tells_of_the_others_at_once() -> None:
    shutdown, talk = Shutdown(), io.StringIO()
    output = console(talk)
    policy = ExitAfterLastCall(shutdown, output, never_again(output), ("a", "b", "c"))
    for peer, outcome, left in (("a", Outcome(), 2), ("b", BUSY, 1)):
        policy.on_call_over(Calls(calls=(object(),) * left).as_manager(), replace(record(), peer=peer), outcome)
        assert not shutdown.requested()
    policy.on_call_over(Calls().as_manager(), replace(record(), peer="c"), GONE)
    error = f"2 of 3 targets failed; the most serious: {BUSY.error}"
    assert (shutdown.requested(), shutdown.status, shutdown.error) == (True, BUSY.status, error)
    output.pump()
    assert talk.getvalue() == "refused\ngone\n"


def test_of_one_target_the_error_is_that_of_the_program_and_told_once() -> None:
    shutdown, talk = Shutdown(), io.StringIO()
    output = console(talk)
    policy = ExitAfterLastCall(shutdown, output, never_again(output), ("a",))
    policy.on_call_over(Calls().as_manager(), replace(record(), peer="a"), GONE)
    assert (shutdown.requested(), shutdown.status, shutdown.error) == (True, GONE.status, GONE.error)
    output.pump()
    assert talk.getvalue() == ""


def test_a_receiver_goes_on_or_ends_after_one_call_that_had_media() -> None:
    shutdown = Shutdown()
    WaitForNextCall(shutdown, once=False).on_call_over(Calls().as_manager(), record(), GONE)
    once = WaitForNextCall(shutdown, once=True)
    once.on_call_over(Calls().as_manager(), record(with_media=False), Outcome())
    once.on_call_over(Calls(calls=(object(),)).as_manager(), record(), Outcome())
    assert not shutdown.requested()
    once.on_call_over(Calls().as_manager(), record(), GONE)
    assert (shutdown.requested(), shutdown.status, shutdown.error) == (True, GONE.status, GONE.error)


def test_a_receiver_of_streams_waits_for_the_next_one_unless_it_stops() -> None:
    shutdown, calls, stream = Shutdown(), Calls(), PlainSource("rtp://:5004", "0.0.0.0", 5004)
    policy = WaitForNextCall(shutdown, once=False, stream=stream)
    policy.on_call_over(calls.as_manager(), record(), Outcome())
    assert calls.awaited == [stream]
    shutdown.request()
    policy.on_call_over(calls.as_manager(), record(), Outcome())
    assert calls.awaited == [stream]


def test_a_refused_account_ends_both_programs() -> None:
    for number in range(2):
        shutdown = Shutdown()
        quiet = console(io.StringIO())
        sender = ExitAfterLastCall(shutdown, quiet, never_again(quiet))
        policies = (sender, WaitForNextCall(shutdown, once=False))
        policies[number].on_account_refused("wrong password")
        assert (shutdown.status, shutdown.error) == (7, "wrong password")


@pytest.mark.parametrize(
    ("ending", "status", "said"),
    [
        (CallEnded("x", "remote-bye", None, ""), 0, ""),
        (CallEnded("x", "timeout", 481, "gone"), 0, ""),
        (CallEnded("x", "timeout", 408, "no answer to OPTIONS"), 8, "lost contact"),
        (CallEnded("x", "media-timeout", None, "nothing heard for 20 s"), 8, "nothing heard"),
        (CallEnded("x", "network", None, "cannot reach it"), 4, "cannot reach it"),
        (CallEnded("x", "internal-error", None, ""), 1, "a bug"),
        (CallEnded("x", "rejected", 404, "Not Found"), 6, "user not found; check the part before the @"),
        (CallEnded("x", "rejected", 401, "Unauthorized"), 7, "--password-file"),
        (CallEnded("x", "rejected", 480, "Away"), 5, "offline or unavailable"),
    ],
)
def test_the_end_of_a_call_is_an_exit_status_and_a_line_that_helps(ending: CallEnded, status: int, said: str) -> None:
    outcome = outcome_of("sip:a", ending)
    assert outcome.status == status
    assert said in outcome.error
    assert bool(outcome.error) is (status != 0)


def test_an_address_is_looked_at_now_and_then_and_its_change_is_told_once() -> None:
    asked: list[str | None] = []

    def current(host: str | None) -> str | None:
        asked.append(host)
        return host

    address, now = LocalAddress("192.0.2.1"), 100.0
    found = []
    for host in ("192.0.2.1", None, "192.0.2.7", "192.0.2.7"):
        found.append(address.change(now, lambda host=host: current(host)))  # type: ignore[misc]
        assert address.change(now + 0.9 * LOOK_INTERVAL, lambda: "never asked") is None
        now += LOOK_INTERVAL
    assert found == [None, None, "192.0.2.1", None]
    assert (address.host, len(asked)) == ("192.0.2.7", 4)
    unknown = LocalAddress()
    assert unknown.change(now, lambda: "192.0.2.1") is None  # the first look is no news
    assert unknown.host == "192.0.2.1"


def test_a_bye_carries_the_figures_of_its_call_and_of_none_that_was_never_up() -> None:
    table = CallTable(lambda: 20.0)
    endpoint = Endpoint(host="192.0.2.1", port=5000, ssrc=1, fec_ssrc=2, cname="x", session_id=3)
    up, ringing = (
        Call(
            replace(record(), call_id=name),
            remote_host="192.0.2.2",
            transport=cast(MediaTransport, Port()),
            negotiation=Negotiation(cast(Capabilities, None), endpoint),
            now=10.0,
        )
        for name in ("up", "ringing")
    )
    up.established = 12.0
    table.add(up)
    table.add(ringing)
    headers = rtp_stat_headers(table, lambda: 20.0)
    assert headers("up") == {"X-RTP-Stat": "PS=0,OS=0,PR=0,OR=0,PL=0,DU=8"}
    assert headers("ringing") == headers("unknown") == {}
