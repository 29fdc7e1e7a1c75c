"""An account whose registrar does not respond is told of within three seconds, once, until it has responded."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any, cast

from voip.calls.account import Account
from voip.net import Network, SendFailed
from voip.report import Console
from voip.sip import Registered, RegistrationFailed, UserAgent
from voip.sip.address import Address

REGISTRAR = Address("udp", "192.0.2.5", 5060)
ACCOUNT = "sip:bob@pbx.example"
INTERVAL = 0.25


@dataclass
class Agent:
    """What an account asks its user agent."""

    registrar_address: Address | None = REGISTRAR
    registrar_silent_since: float | None = 1000.0
    registered_at: list[float] = field(default_factory=list)

    def register(self, now: float) -> None:
        self.registered_at.append(now)


@dataclass
class Addresses:
    """Our address, which stays."""

    def current_host(self, host: str) -> str:
        return "192.0.2.1"


@dataclass
class Net:
    addresses: Addresses = field(default_factory=Addresses)


class Desk:
    """An account in virtual time."""

    def __init__(self, agent: Agent) -> None:
        self.now, self.agent = 1000.0, agent
        self._talk, self._data = io.StringIO(), io.StringIO()
        self.console = Console(lambda: self.now, as_json=True, talk=self._talk, data=self._data)
        self.account = Account(cast(Network, Net()), cast(UserAgent, agent), self.console, on_refused=lambda text: None)

    def run(self, seconds: float) -> list[dict[str, Any]]:
        """The warnings of all the time until then."""
        for _ in range(round(seconds / INTERVAL)):
            self.now += INTERVAL
            self.account.check(self.now)
        self.console.pump()
        events = [json.loads(line) for line in self._data.getvalue().splitlines()]
        return [event for event in events if event["event"] == "warning"]


def test_a_silent_registrar_is_named_with_its_port_and_what_it_means() -> None:
    (event,) = Desk(Agent()).run(40)
    assert event["t"] <= 2.9
    assert event["cause"] == "registrar-silent"
    assert event["message"] == (
        "no response from the registrar 192.0.2.5 (UDP 5060) yet; not reachable by name until it responds"
    )


def test_a_registrar_whose_port_is_closed_is_told_from_one_that_a_firewall_hides() -> None:
    desk = Desk(Agent())
    desk.account.on_send_failed(SendFailed(Address("udp", "192.0.2.66", 5060), "port unreachable"))
    desk.account.on_send_failed(SendFailed(REGISTRAR, "nothing listens at its UDP port 5060 (refused 2 times)"))
    (event,) = desk.run(40)
    assert event["t"] <= 2.9
    assert event["message"] == (
        "no response from the registrar 192.0.2.5 (UDP 5060) yet; not reachable by name until it responds: "
        "nothing listens at its UDP port 5060 (refused 2 times); check --registrar and --proxy"
    )


def test_a_refusal_of_before_it_responded_explains_nothing_later() -> None:
    agent = Agent(registrar_silent_since=None)
    desk = Desk(agent)
    desk.account.on_send_failed(SendFailed(REGISTRAR, "Connection refused"))
    desk.account.on_registered(Registered(ACCOUNT, 300, "sip:bob@192.0.2.1"))
    agent.registrar_silent_since = desk.now
    (event,) = desk.run(10)
    assert "refused" not in event["message"]


def test_a_registrar_that_was_not_found_yet_is_a_matter_of_the_dns() -> None:
    (event,) = Desk(Agent(registrar_address=None)).run(40)
    assert "DNS" in event["message"]


def test_one_that_responds_in_time_and_one_that_was_not_asked_are_not_named() -> None:
    agent = Agent()
    desk = Desk(agent)
    assert desk.run(2) == []
    agent.registrar_silent_since = None
    assert desk.run(40) == []


def test_silence_at_a_refresh_does_not_mean_that_the_account_is_unknown_yet() -> None:
    agent = Agent(registrar_silent_since=None)
    desk = Desk(agent)
    desk.account.on_registered(Registered(ACCOUNT, 300, "sip:bob@192.0.2.1"))
    agent.registrar_silent_since = desk.now
    (event,) = desk.run(10)
    assert event["message"] == "no response from the registrar 192.0.2.5 (UDP 5060) yet"


def test_it_is_named_once_however_often_it_is_tried_and_again_after_it_has_responded() -> None:
    agent = Agent()
    desk = Desk(agent)
    desk.run(32)
    desk.account.on_failed(RegistrationFailed(ACCOUNT, None, "no answer", 2.0))
    agent.registrar_silent_since = desk.now
    assert len(desk.run(32)) == 1
    desk.account.on_registered(Registered(ACCOUNT, 300, "sip:bob@192.0.2.1"))
    agent.registrar_silent_since = desk.now
    assert len(desk.run(32)) == 2
