"""Where a call can be reached: the address that its peer sees, and what to do when ours changes while it is up.

An address changes with another network, another lease, or a tunnel that opens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from voip.calls.call import Call
from voip.calls.local_address import LocalAddress
from voip.net import Network
from voip.report import Console
from voip.sip import UserAgent


def find_public_address(network: Network, call: Call, on_known: Callable[[], None]) -> None:
    """Have the call describe the address that its peer sees, as far as that can be known; then go on by `on_known`.

    At once, or as soon as a STUN server has answered, unless the call is over by then.
    """

    def on_public_address(rtp: tuple[str, int] | None, rtcp: tuple[str, int] | None) -> None:
        if call.ending is not None:
            return
        host, port = rtp or (call.local_address.host, call.transport.port)
        rtcp_port = rtcp[1] if rtcp is not None and rtcp[1] != port + 1 else None
        call.negotiation.move(host, port, rtcp_port=rtcp_port)
        on_known()

    network.addresses.discover(call.transport, call.remote_host, on_public_address)


class AddressChange:
    """Tells the peers of calls that are up (by re-INVITE) that this machine has another address on the way to them."""

    def __init__(self, network: Network, agent: UserAgent, console: Console) -> None:
        self._network, self._agent, self._console = network, agent, console

    def check(self, call: Call, now: float) -> None:
        """To be called often; looks every LOOK_INTERVAL."""
        if call.established is None or not call.signalled or call.ending is not None:
            return
        before = call.local_address.change(now, partial(self._network.addresses.current_host, call.remote_host))
        if before is not None:
            self._console.say(0, _changed(call.record.peer, before, call.local_address))
            find_public_address(self._network, call, partial(self._offer, call))

    def _offer(self, call: Call) -> None:
        offer = call.negotiation.offer_address()
        if offer is not None:
            self._agent.reinvite(call.call_id, offer, self._network.loop.now())


def _changed(peer: str, before: str, address: LocalAddress) -> str:
    return f"local address for {peer} changed from {before} to {address.host}"
