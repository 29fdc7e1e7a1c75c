"""Calls by the signalling of `seed0` (`voip.formats.bare_sip`): a few start lines, and a stream that needs them."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from voip.calls.manager import CallManager
from voip.calls.outcome import Outcome
from voip.errors import EXIT_NO_ANSWER, EXIT_REJECTED
from voip.formats import DatagramFormat
from voip.formats.bare_sip import OK, PORT, BareCallee, BareCaller
from voip.net import Network
from voip.net.datagram_port import DatagramPort
from voip.report import CallRecord, Console

LOOK = 0.1
"""Seconds between looks at whether an INVITE is due."""
RTCP_BYE = bytes.fromhex("80c9000100000001") + bytes.fromhex("81cb000100000001")
"""An empty RTCP report and BYE of SSRC 1 (RFC 3550 section 6.6), which all packets of such a stream have."""

OnFailed = Callable[[CallManager, CallRecord, Outcome], None]
"""Told of a call that did not come about."""


class BareCalls:
    """The calls that we make. Network thread only."""

    def __init__(self, network: Network, console: Console, timeout: float) -> None:
        """`timeout`: seconds to wait for an answer."""
        self._network, self._console, self._timeout = network, console, timeout
        self._rng = random.SystemRandom()
        self._up: dict[str, Callable[[], None]] = {}  # by target: what says goodbye

    def dial(
        self,
        manager: CallManager,
        target: str,
        address: tuple[str, int],
        media: tuple[int, DatagramFormat],
        on_failed: OnFailed,
    ) -> None:
        """Call `address`, and stream to the media port there once that is answered. NetworkError without a port."""
        host, loop = address[0], self._network.loop
        caller = BareCaller(host, self._rng, loop.now(), self._timeout)

        def receive(data: bytes, source: tuple[str, int]) -> None:
            if source[0] != host or caller.answered:
                return
            caller.receive(data)
            if caller.answered:
                self._up[target] = partial(self._hang_up, port, caller, source)
                manager.stream_to(target, (host, media[0]), media[1])

        def look() -> None:
            if caller.answered:
                return
            if (data := caller.invite(loop.now())) is not None:
                port.send(data, address)
            if caller.failed is None:
                loop.call_later(LOOK, look)
                return
            port.close()
            record = CallRecord(call_id="", peer=target, incoming=False)
            if caller.failed:
                on_failed(manager, record, Outcome(EXIT_REJECTED, f"{target} refused the call ({caller.failed})"))
            else:
                on_failed(manager, record, Outcome(EXIT_NO_ANSWER, f"{target} does not answer an INVITE"))

        local = self._network.addresses.any_host if ":" not in host else "::"
        port = DatagramPort(loop, local, 0, receive, make_socket=self._network.tap.signalling_socket)
        self._console.say(0, f"calling {target}")
        look()

    def on_over(self, peer: str) -> None:
        """The stream to this target is over: say so."""
        hang_up = self._up.pop(peer, None)
        if hang_up is not None:
            hang_up()

    @staticmethod
    def _hang_up(port: DatagramPort, caller: BareCaller, destination: tuple[str, int]) -> None:
        port.send(caller.bye(), destination)
        port.close()


class BareAnswers:
    """The calls that come in: INVITE is answered, and BYE ends the stream of its host. Network thread only."""

    def __init__(self, network: Network, manager: CallManager, console: Console) -> None:
        self._network, self._manager, self._console = network, manager, console
        self._callee = BareCallee()
        self._port: DatagramPort | None = None
        self.ignored = 0
        """Datagrams that were neither an INVITE nor the BYE of the one who is heard."""

    def listen(self, host: str, port: int = PORT) -> None:
        """Begin. NetworkError if the port is taken."""
        make = self._network.tap.signalling_socket
        self._port = DatagramPort(self._network.loop, host, port, self._receive, make_socket=make)

    def _receive(self, data: bytes, source: tuple[str, int]) -> None:
        up = [call for call in self._manager.calls if not call.signalled and call.established is not None]
        host = up[0].lines[0].session.remote[0] if up else None
        heard = self._callee.receive(data, source, host)
        if heard.answer is not None and self._port is not None:
            self._port.send(heard.answer, source)
            self._console.say(1, f"INVITE from {source[0]}: {'answered' if heard.answer == OK else 'refused, busy'}")
        elif not heard.is_over:
            self.ignored += 1
            self._console.say(
                2, f"ignored what came from {source[0]}: {self.ignored} datagrams so far that are no call"
            )
        if heard.is_over:
            for call in up:
                session = call.lines[0].session
                session.receive_datagram(RTCP_BYE, session.remote, self._network.loop.now())
