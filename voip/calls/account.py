"""The account that calls come in for, as the user sees it: registered, refused, reachable at another address."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from voip.calls.local_address import LocalAddress
from voip.net import Network, SendFailed
from voip.report import Console
from voip.sip import Registered, RegistrationFailed, UserAgent

SILENT_AFTER = 2.5
"""Seconds without a response of the registrar that are worth a line, so that it is there within three."""
PASSWORD_REFUSED = (401, 403, 407)
"""Statuses by which a registrar refuses an account or its password (RFC 3261 section 10.3)."""


class Account:
    """Keeps the account registered while the program runs, if there is one. Network thread only.

    `on_refused` is told when the registrar has refused it from the first: the password is wrong, and no other try
    would change that.
    """

    def __init__(
        self, network: Network, agent: UserAgent, console: Console, on_refused: Callable[[str], object]
    ) -> None:
        self._network, self._agent, self._console, self._on_refused = network, agent, console, on_refused
        self._registered: bool | None = None  # None: the registrar has not said
        self._told_silent = False
        self._unreachable = ""  # why the registrar, silent now, cannot be reached, as far as ICMP or the system says
        self._address = LocalAddress()

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        """What takes the user agent's events."""
        return {Registered: self.on_registered, RegistrationFailed: self.on_failed}

    def start(self) -> None:
        """Register."""
        self._agent.register(self._network.loop.now())

    def stop(self) -> None:
        """Be reachable no longer."""
        self._agent.unregister(self._network.loop.now())

    def on_send_failed(self, event: SendFailed) -> None:
        """What was sent to this address did not get there. A hint, as ICMP can be forged: it only says why."""
        if event.address == self._agent.registrar_address:
            self._unreachable = event.reason

    def check(self, now: float) -> None:
        """Register anew when this machine's address on the way to the registrar is another; say that it is silent."""
        self._look_for_silence(now)
        registrar = self._agent.registrar_address
        if registrar is None:
            return
        before = self._address.change(now, partial(self._network.addresses.current_host, registrar.host))
        if before is not None:
            self._console.say(0, f"local address for the registrar changed from {before} to {self._address.host}")
            self._agent.register(now)

    def _look_for_silence(self, now: float) -> None:
        """Once, until it has responded: a REGISTER over UDP is given up only after half a minute."""
        since, registrar = self._agent.registrar_silent_since, self._agent.registrar_address
        if since is None or now - since < SILENT_AFTER or self._told_silent:
            return
        self._told_silent = True
        until = "" if self._registered else "; not reachable by name until it responds"
        if registrar is None:
            text = f"the registrar's address is not known yet{until}; does the DNS server respond?"
        else:
            where = f"{registrar.host} ({registrar.protocol.upper()} {registrar.port})"
            text = f"no response from the registrar {where} yet{until}"
            if self._unreachable:
                text += f": {self._unreachable}; check --registrar and --proxy"
        self._console.warning("registrar-silent", text)

    def on_registered(self, event: Registered) -> None:
        """The first time is news; the others are refreshes."""
        self._told_silent, self._unreachable = False, ""
        text = f"registered as {event.account} for {event.expires} s"
        self._console.event(
            "registered",
            None if self._registered else text,
            account=event.account,
            expires=event.expires,
            contact=event.contact,
        )
        if self._registered:
            self._console.say(1, text)
        self._registered = True

    def on_failed(self, event: RegistrationFailed) -> None:
        """What was refused from the first stays refused; all else may pass."""
        said = f"{event.status or ''} {event.reason}".strip()
        if self._registered is None and event.status in PASSWORD_REFUSED:
            self._on_refused(f"the registrar rejects {event.account} ({said}); see --user and --password-file")
            return
        self._console.event(
            "registration-failed",
            None if self._registered is False else f"not registered as {event.account}: {said}; trying again",
            account=event.account,
            status=event.status,
            reason=event.reason,
            retry=round(event.retry, 3),
        )
        self._registered = False
