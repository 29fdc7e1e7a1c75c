"""A text without a call: `sender.py TARGET --message TEXT --no-call` (MESSAGE outside of dialogs, RFC 3428)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voip.calls import CallTable, Outcome
from voip.calls.malformed import MalformedMessages
from voip.calls.texts import tell_of_sent
from voip.cli.capturing import tell_capture, with_capture
from voip.cli.options import SenderOptions
from voip.cli.running import PUMP_INTERVAL, conclude
from voip.cli.wiring import make_network, make_user_agent
from voip.engine import Shutdown, Watchdog, Worker, together
from voip.errors import EXIT_AUTHENTICATION, EXIT_NETWORK, EXIT_NO_ANSWER, EXIT_OK, EXIT_REJECTED
from voip.garbage import Garbage
from voip.net import Network, SendFailed
from voip.report import Console
from voip.sip import SipUri, TextSent, UserAgent

CHALLENGES = (401, 407)
"""Statuses that ask for a password which we have not, or refuse ours."""


class Errand:
    """Sends one text to each target, and ends the program when it is known what became of all. Network thread only."""

    def __init__(self, network: Network, agent: UserAgent, console: Console, shutdown: Shutdown) -> None:
        self._network, self._agent, self._console, self._shutdown = network, agent, console, shutdown
        self._under_way: dict[str, tuple[str, str]] = {}
        self._worst = Outcome()
        handlers: dict[type, Callable[[Any], None]] = {TextSent: self._on_sent, SendFailed: self._on_failed}
        network.sip.serve(agent, handlers | MalformedMessages(console).handlers(), lambda call_id: None)

    def send(self, options: SenderOptions) -> None:
        """To all targets at once."""
        text, display, timeout = options.message, options.name, options.connect_timeout
        for target in options.targets:
            if not isinstance(target, SipUri):
                continue
            now = self._network.loop.now()
            text_id = self._agent.send_page(target, text, now, display=display, timeout=timeout)
            self._under_way[text_id] = str(target), text

    def _on_sent(self, event: TextSent) -> None:
        peer, text = self._under_way.pop(event.text_id)
        outcome = outcome_of(event, peer)
        worst = self._worst.status == EXIT_OK
        if worst:
            self._worst = outcome
        # The last line of the program is the error that it ends with: not twice.
        tell_of_sent(self._console, event, peer, text, aloud=not worst or outcome.status == EXIT_OK)
        if not self._under_way:
            self._shutdown.request(self._worst.status, self._worst.error or None)

    def _on_failed(self, event: SendFailed) -> None:
        reason = f"cannot reach {event.address.host}: {event.reason}"
        self._agent.transport_failed(event.address, self._network.loop.now(), reason)


def outcome_of(event: TextSent, peer: str) -> Outcome:
    """What the fate of a text means for the program's exit."""
    if event.delivered:
        return Outcome()
    error = f"the text was not delivered to {peer}: {f'{event.status or str()} {event.reason}'.strip()}"
    if event.status in CHALLENGES:
        return Outcome(EXIT_AUTHENTICATION, f"{error}; see --user and --password-file")
    if event.status is not None:
        return Outcome(EXIT_REJECTED, error)
    return Outcome(EXIT_NO_ANSWER if event.reason == "no response" else EXIT_NETWORK, error)


def send_message(options: SenderOptions, console: Console, shutdown: Shutdown) -> int:
    """All that the sender does with --no-call; the exit status."""
    network = make_network(options, console)
    network.sip.listen(options.sip_port)
    agent = make_user_agent(options, network, CallTable(network.loop.now), accepts_calls=False)
    errand = Errand(network, agent, console, shutdown)
    network.loop.post(errand.send, options)
    workers = [Worker("network", shutdown, network.loop.run, shutdown.stopped)]
    watchdog = Watchdog(workers, network.loop.now())
    with Garbage() as garbage, together(workers):
        while not shutdown.wait(PUMP_INTERVAL):
            watchdog.check(network.loop.now())
            garbage.look()
            console.pump()
        shutdown.stop()
        network.loop.post(lambda: None)
    network.close()
    capture = network.tap.stats
    tell_capture(capture, console)
    status, error = with_capture(capture, shutdown.status, shutdown.error)
    return conclude("sender", options, console, status, error, (), capture=capture)
