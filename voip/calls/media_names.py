"""Host names in place of addresses of media (RFC 8866 section 9): looked up before a description is used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from voip.calls.call import Call
from voip.net import Network, family_of
from voip.report import Console
from voip.sdp.host_names import host_names, with_addresses

LOOK_UP_TIME = 5.0
"""Seconds after which a call goes on without what is not known yet: its peer waits for a response."""


class MediaNames:
    """Puts addresses in place of host names in the descriptions of peers. Network thread only."""

    def __init__(self, network: Network, console: Console) -> None:
        self._network, self._console = network, console

    def resolve(self, call: Call, description: bytes, then: Callable[[bytes], object]) -> None:
        """Go on by `then` with a description that has addresses: at once, or when they are known, unless the call is
        over by then. A name that is not found stays; whoever reads the description refuses it."""
        names = host_names(description)
        if not names:
            then(description)
            return
        found: dict[str, str | None] = {}
        open_names = set(names)

        def on_found(name: str, host: str | None) -> None:
            if name not in open_names:
                return
            open_names.discard(name)
            found[name] = host
            if host is None:
                self._console.say(0, f"cannot find the host {name} that {call.record.peer} names for its media")
            if not open_names and call.ending is None:
                then(with_addresses(description, {name: host for name, host in found.items() if host is not None}))

        for name in names:
            self._network.find_host(name, family_of(call.remote_host), partial(on_found, name))
            self._network.loop.call_later(LOOK_UP_TIME, partial(on_found, name, None))
