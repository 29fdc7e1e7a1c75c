"""The account that calls come in for, as the user sees it: registered, refused, reachable at another address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voip.calls.moving import LOOK_INTERVAL
from voip.engine import Shutdown
from voip.errors import EXIT_AUTHENTICATION
from voip.net import Network
from voip.report import Console
from voip.sip import Registered, RegistrationFailed, UserAgent

PASSWORD_REFUSED = (401, 403, 407)


class Registrant:
    """Keeps the account registered while the program runs, if there is one. Network thread only."""

    def __init__(self, network: Network, agent: UserAgent, console: Console, shutdown: Shutdown) -> None:
        self.network, self.agent, self.console, self.shutdown = network, agent, console, shutdown
        self._known: bool | None = None  # to the registrar; None: it has not said
        self._host: str | None = None
        self._looked_at = 0.0

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        return {Registered: self.on_registered, RegistrationFailed: self.on_failed}

    def start(self) -> None:
        self.agent.register(self.network.loop.now())

    def stop(self) -> None:
        self.agent.unregister(self.network.loop.now())

    def look(self, now: float) -> None:
        """Register anew when this machine's address on the way to the registrar is another."""
        registrar = self.agent.registrar_address
        if registrar is None or now - self._looked_at < LOOK_INTERVAL:
            return
        self._looked_at = now
        host = self.network.addresses.current_host(registrar.host)
        if host is not None and host != self._host:
            moved, self._host = self._host is not None, host
            if moved:
                self.console.say(0, f"our address towards the registrar is now {host}")
                self.agent.register(now)

    def on_registered(self, event: Registered) -> None:
        text = f"registered as {event.account} for {event.expires} s"
        self.console.event(
            "registered",
            None if self._known else text,
            account=event.account,
            expires=event.expires,
            contact=event.contact,
        )
        if self._known:
            self.console.say(1, text)
        self._known = True

    def on_failed(self, event: RegistrationFailed) -> None:
        """Who was never let in has the wrong password; all else may pass."""
        said = f"{event.status or ''} {event.reason}".strip()
        if self._known is None and event.status in PASSWORD_REFUSED:
            error = f"the registrar refuses {event.account} ({said}); see --user and --password-file"
            self.shutdown.request(EXIT_AUTHENTICATION, error)
            return
        self.console.event(
            "registration-failed",
            None if self._known is False else f"not registered as {event.account}: {said}; trying again",
            account=event.account,
            status=event.status,
            reason=event.reason,
            retry=round(event.retry, 3),
        )
        self._known = False
