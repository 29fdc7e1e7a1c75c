"""Both programs, whole but for sockets, threads and devices, in virtual time; and the network between them.

    here = Scene()
    here.dial()
    here.run(2.0)
    here.finish()
    assert here.caller.outcomes[0].status == 0

What a program contains, as `net.failures` does, is let through here: a test sees each exception. `Network.meddle` may
do what it likes with each datagram on its way.
"""

from __future__ import annotations

import heapq
import io
import ipaddress
import itertools
import json
import math
import random
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from tests.support.call_checks import check_empty, check_keys, check_record
from tests.support.dtls_lab import certificate
from voip import codecs
from voip.audio import AudioSender, Fanout, Mixer
from voip.calls import AudioStreams, CallManager, CallSettings, CallTable, Outcome, SendSettings
from voip.calls.call import Call
from voip.calls.dtls import DtlsIdentity
from voip.calls.records import rtp_stat_headers
from voip.dsp import Pcm
from voip.engine import Capture, Mailbox, Playback
from voip.fec import Pattern
from voip.formats import DatagramFormat
from voip.media import Direction
from voip.net import MediaTransport, Network
from voip.net.failures import Failures
from voip.net.loop import EventLoop
from voip.net.media_timers import MediaTimers
from voip.report import CallRecord, Console
from voip.rtp import RtpPacket
from voip.sdp import Capabilities, SrtpRule
from voip.sip import Address, ResolveUri, SipUri, UserAgent, parse_target
from voip.srtp import SrtpKeys

Endpoint = tuple[str, int]
CALLER, CALLEE, ELSEWHERE = "192.0.2.1", "192.0.2.2", "203.0.113.66"
SIP_PORT, MEDIA_PORT = 5060, 5000
DELAY = 0.02
"""Seconds that a datagram takes."""
RATE, BLOCK = 8000, 160
"""Of both devices: 20 ms at a time."""
PATTERN = Pattern.block(2)
"""One repair packet for two of sound."""
MEDIA_TIMEOUT = 5.0
PATIENCE = 200.0
"""Seconds in which whatever was disturbed comes to its end: a BYE without response takes 32 s, in each direction."""


class Wires:
    """The network and its time. `meddle` is given each datagram, and passes on what it likes by `carry`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ports: dict[Endpoint, VirtualSocket] = {}
        self.meddle: Callable[[bytes, Endpoint, Endpoint], None] = self.carry
        self._flight: list[tuple[float, int, bytes, Endpoint, Endpoint]] = []
        self._count = itertools.count()

    def carry(self, data: bytes, source: Endpoint, destination: Endpoint, late: float = 0.0) -> None:
        """This arrives, so much later than usual."""
        heapq.heappush(self._flight, (self.now + DELAY + late, next(self._count), data, source, destination))

    def next_delivery(self) -> float:
        return self._flight[0][0] if self._flight else math.inf

    def deliver(self) -> None:
        """All that is due."""
        while self._flight and self._flight[0][0] <= self.now:
            _, _, data, source, destination = heapq.heappop(self._flight)
            if destination in self.ports:
                self.ports[destination].take(data, source)


class VirtualSocket:
    """A UDP socket of that network, as far as the program uses it."""

    family = socket.AF_INET

    def __init__(self, wires: Wires, address: Endpoint) -> None:
        self._wires, self._address = wires, address
        self._queue: deque[tuple[bytes, Endpoint]] = deque()
        self.on_ready: Callable[[], object] | None = None
        wires.ports[address] = self

    def take(self, data: bytes, source: Endpoint) -> None:
        """A datagram arrives."""
        self._queue.append((data, source))
        self.wake()

    def wake(self) -> None:
        """Have what has arrived read, if it is waited for."""
        if self._queue and self.on_ready is not None:
            self.on_ready()

    def recvfrom(self, size: int) -> tuple[bytes, Endpoint]:
        if not self._queue:
            raise BlockingIOError
        return self._queue.popleft()

    def recvmsg(self, size: int, ancillary: int, flags: int = 0) -> tuple[bytes, list[object], int, Endpoint]:
        if flags:
            raise BlockingIOError  # nothing was refused
        data, source = self.recvfrom(size)
        return data, [], 0, source

    def sendto(self, data: bytes, destination: Endpoint) -> None:
        host, port = destination[:2]
        if ipaddress.ip_address(host).version != 4 or not port:  # a name raises: the system would look it up
            raise OSError("not of this network")
        self._wires.meddle(data, self._address, (host, port))

    def getsockname(self) -> Endpoint:
        return self._address

    def close(self) -> None:
        if self._wires.ports.get(self._address) is self:
            del self._wires.ports[self._address]


class VirtualLoop:
    """An event loop in the time of the network."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self.participants: tuple[Any, ...] = ()
        self._posted: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._count = itertools.count()

    gathering = 0.0

    def count_streams(self, more: int) -> None:
        pass

    def now(self) -> float:
        return self._wires.now

    def add(self, participant: object) -> None:
        self.participants = (*self.participants, participant)

    def remove(self, participant: object) -> None:
        self.participants = tuple(each for each in self.participants if each is not participant)

    def post(self, function: Callable[..., object], *arguments: object) -> None:
        self._posted.append((function, arguments))

    def call_later(self, delay: float, function: Callable[[], object]) -> None:
        heapq.heappush(self._later, (self.now() + delay, next(self._count), function))

    def register(self, sock: VirtualSocket, on_ready: Callable[[], object]) -> None:
        sock.on_ready = on_ready
        self.post(sock.wake)

    def unregister(self, sock: VirtualSocket) -> None:
        sock.on_ready = None

    def next_due(self) -> float:
        timers = [due for each in self.participants if (due := each.next_timer()) is not None]
        return min([*timers, *(entry[0] for entry in self._later[:1])], default=math.inf)

    def turn(self) -> None:
        """What was posted, and the timers that are due."""
        while self._posted or self.next_due() <= self.now():
            for _ in range(len(self._posted)):
                function, arguments = self._posted.popleft()
                function(*arguments)
            while self._later and self._later[0][0] <= self.now():
                heapq.heappop(self._later)[2]()
            for each in self.participants:
                due = each.next_timer()
                if due is not None and due <= self.now():
                    each.handle_timer(self.now())
            for each in self.participants:
                each.flush()


class VirtualSip:
    """Carries the messages of a user agent over UDP; connections are refused."""

    def __init__(self, wires: Wires, loop: VirtualLoop, host: str) -> None:
        self._loop, self._address = loop, (host, SIP_PORT)
        self._socket = VirtualSocket(wires, self._address)
        self._agent: UserAgent | None = None
        self._handlers: Mapping[type, Callable[[Any], None]] = {}
        loop.register(self._socket, self._receive)
        loop.add(self)

    def sip_address(self, remote: Address) -> Endpoint:
        return self._address

    def serve(
        self, agent: UserAgent, handlers: Mapping[type, Callable[[Any], None]], drop: Callable[[str], None]
    ) -> None:
        self._agent, self._handlers = agent, {ResolveUri: self._find_nothing, **handlers}

    def flush(self) -> None:
        agent = self._agent
        while agent is not None:
            messages = agent.messages_to_send(self._loop.now())
            for data, address in messages:
                self._send(data, address)
            event = agent.next_event()
            if event is not None and type(event) in self._handlers:
                self._handlers[type(event)](event)
            elif event is None and not messages:
                return

    def next_timer(self) -> float | None:
        return None if self._agent is None else self._agent.next_timer()

    def handle_timer(self, now: float) -> None:
        assert self._agent is not None
        self._agent.handle_timer(now)

    def _send(self, data: bytes, address: Address) -> None:
        agent = self._agent
        assert agent is not None
        if address.reliable:
            self._loop.call_later(DELAY, lambda: agent.transport_failed(address, self._loop.now(), "refused"))
        elif ipaddress.ip_address(address.host).version == 4 and address.port:
            self._socket.sendto(data, (address.host, address.port))

    def _receive(self) -> None:
        assert self._agent is not None
        while True:
            try:
                data, source = self._socket.recvfrom(0)
            except BlockingIOError:
                break
            self._agent.receive(data, Address("udp", *source), self._loop.now())
            self.flush()

    def _find_nothing(self, event: ResolveUri) -> None:
        assert self._agent is not None
        self._loop.post(self._agent.resolved, event.uri, [], self._loop.now())


class Strict:
    """In place of `Failures`: each is let through."""

    count = 0

    def note(self, what: str, error: Exception) -> None:
        raise error

    def run(self, what: str, function: Callable[..., object], *arguments: object) -> bool:
        function(*arguments)
        return True


class VirtualNetwork:
    """The network side of one program, and in itself what knows our addresses and opens media ports."""

    ntp_offset = 3.9e9

    def __init__(self, wires: Wires, host: str) -> None:
        self._wires, self._host, self._ports = wires, host, itertools.count(MEDIA_PORT, 2)
        self.loop, self.failures = VirtualLoop(wires), Strict()
        self.sip = VirtualSip(wires, self.loop, host)
        self.addresses = self.media = self
        self.any_host = "0.0.0.0"
        self.timers = MediaTimers(cast(EventLoop, self.loop), self.failures.run)

    def local_host(self, remote_host: str) -> str:
        return self._host

    def current_host(self, remote_host: str) -> str | None:
        return self._host

    def discover(self, port: MediaTransport, remote_host: str, on_discovered: Callable[[None, None], None]) -> None:
        on_discovered(None, None)

    def find_host(self, name: str, family: socket.AddressFamily, on_found: Callable[[None], object]) -> None:
        self.loop.post(on_found, None)

    def open(self, remote_host: str, own_port: int | None = None, form: DatagramFormat | None = None) -> MediaTransport:
        """A media port."""
        port = next(self._ports)
        rtp, rtcp = (
            cast(socket.socket, VirtualSocket(self._wires, (self._host, number))) for number in (port, port + 1)
        )
        return MediaTransport(
            cast(EventLoop, self.loop),
            self.timers,
            rtp,
            rtcp,
            host=self._host,
            on_stun=lambda data, source: None,
            failures=cast(Failures, self.failures),
        )


class Recorded(Fanout):
    """Remembers each datagram that is given to the wire, in clear; those of a stream that ends, too."""

    def __init__(self) -> None:
        super().__init__(RATE, 1)
        self.sent: set[bytes] = set()

    def add(self, key: str, sender: AudioSender, send: Callable[[bytes], None]) -> None:
        def remember(datagram: bytes) -> None:
            self.sent.add(datagram)
            send(datagram)

        super().add(key, sender, remember)


class Microphone:
    """A device that speaks noise, in the place of a capture thread."""

    sample_rate, channels, block, description = RATE, 1, BLOCK, "noise"
    live = available = True
    xruns = 0

    def __init__(self, seed: int) -> None:
        self.source, self.fanout = self, Recorded()
        self._mailbox = Mailbox()
        self._rng = np.random.default_rng(seed)

    def post(self, function: Callable[..., object], *arguments: object) -> None:
        self._mailbox.post(function, *arguments)

    def turn(self, now: float) -> None:
        self._mailbox.run()
        pcm: Pcm = self._rng.integers(-12000, 12000, (BLOCK, 1)).astype(np.int16)
        outgoing = [] if self.fanout.idle else self.fanout.write(pcm, now)
        for send, datagram in outgoing:
            send(datagram)


class Speaker:
    """A device that listens, in the place of a playback thread. `on_packet` is told what it is given to play."""

    sample_rate, channels, block, description = RATE, 1, BLOCK, "speaker"
    available, xruns = True, 0

    def __init__(self, on_packet: Callable[[str, RtpPacket], None]) -> None:
        self._playback = Playback(cast(Any, self), latency=0.06, latency_max=0.5)
        self.sink, self.mailbox, self.latency_max = self, self, self._playback.latency_max
        self.overruns, self._on_packet = 0, on_packet
        self.begin = self._playback.begin

    @property
    def mixer(self) -> Mixer:
        return self._playback.mixer

    def configure(self, rate: int, channels: int) -> None:
        """It has one format."""

    def post(self, function: Callable[..., object], *arguments: object) -> None:
        self._playback.mailbox.post(function, *arguments)

    def post_packet(self, function: Callable[..., object], *arguments: object) -> None:
        stream_id, packet, _ = cast("tuple[str, RtpPacket, float]", arguments)
        self._on_packet(stream_id, packet)
        self.post(function, *arguments)

    def turn(self, now: float) -> None:
        self._playback.mailbox.run()
        if not self.mixer.idle:
            self.mixer.read(BLOCK, now)


@dataclass(frozen=True)
class Terms:
    """What both programs are told by their options."""

    srtp: SrtpRule = SrtpRule.OPTIONAL
    sdes_in_clear: bool = False
    ice: bool = False
    fec: bool = True
    passwords: tuple[str | None, str | None] = (None, None)


class Party:
    """One program. `keys`: those that it has had for media; `outcomes`: of the calls that are over."""

    def __init__(self, wires: Wires, host: str, terms: Terms, *, calls: bool) -> None:
        password = terms.passwords[0 if calls else 1]
        codec = codecs.find("PCMU", RATE, 1)
        assert codec is not None
        self.network = VirtualNetwork(wires, host)
        loop = self.network.loop
        self.peer: Party | None = None
        self.microphone, self.speaker = Microphone(seed=int(calls)), Speaker(self._on_packet)
        self.records: list[CallRecord] = []
        self.outcomes: list[Outcome] = []
        self.keys: list[SrtpKeys] = []
        self.heard = self.forged = 0
        """Packets that were given to the speaker, and those of them that the peer has not sent."""
        self.required = terms.srtp is SrtpRule.REQUIRED or password is not None
        self._talk, self._data = io.StringIO(), io.StringIO()
        self.console = Console(loop.now, verbosity=1, as_json=True, talk=self._talk, data=self._data)
        table = CallTable(loop.now)
        self.agent = UserAgent(
            rng=random.Random(host),
            local=self.network.sip.sip_address,
            accepts_calls=not calls,
            replaceable=table.is_abandoned,
            hears=table.hears,
            bye_headers=rtp_stat_headers(table, loop.now),
        )
        audio = AudioStreams(
            loop.post,
            self.console,
            playback=cast(Playback, self.speaker),
            capture=cast(Capture, self.microphone),
            send=SendSettings(fec=PATTERN if terms.fec else None),
            rng=random.Random(host),
        )
        self.manager = CallManager(
            cast(Network, self.network),
            self.agent,
            table,
            audio,
            self.console,
            CallSettings(
                capabilities=Capabilities(
                    (codec,),
                    Direction.SENDRECV,
                    fec=terms.fec,
                    repair_packets=PATTERN.window if terms.fec else 0,
                    srtp=SrtpRule.REQUIRED if password is not None else terms.srtp,
                    sdes_in_clear=terms.sdes_in_clear,
                    dtls_only=password is not None,
                    ice=terms.ice,
                ),
                media_timeout=MEDIA_TIMEOUT,
                dtls=DtlsIdentity(certificate("caller" if calls else "callee"), password),
            ),
            self,
        )

    # --- the policy -----------------------------------------------------------------------------------------------

    def on_call_over(self, manager: CallManager, record: CallRecord, outcome: Outcome) -> None:
        self.records.append(record)
        self.outcomes.append(outcome)

    def on_account_refused(self, error: str) -> None:
        raise AssertionError(error)

    # --- what goes on ---------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether its devices have something to do."""
        return not self.microphone.fanout.idle or not self.speaker.mixer.idle

    def turn(self) -> None:
        self.network.loop.turn()
        self.note_keys()

    def note_keys(self) -> None:
        for call in self.manager.calls:
            for line in call.lines:
                security = line.media.security
                if security is not None and security.keys is not None and security.keys not in self.keys:
                    self.keys.append(security.keys)

    def _on_packet(self, stream_id: str, packet: RtpPacket) -> None:
        """What was told to be encrypted is the peer's own, or there is a hole in it."""
        if not packet.payload:  # it keeps a NAT open, and nothing of it is heard
            return
        assert self.peer is not None
        self.heard += 1
        forged = packet.serialize() not in self.peer.microphone.fanout.sent
        self.forged += forged
        call = next(each for each in self.manager.calls if stream_id.startswith(each.call_id))
        encrypted = _is_encrypted(call)
        assert encrypted or not self.required, "played in clear where encryption is required"
        assert not (encrypted and forged), "played what was not authentic"

    def events(self, name: str) -> list[dict[str, Any]]:
        """What programs have been told so far."""
        self.console.pump()
        lines = [line for line in self._data.getvalue().splitlines() if f'"{name}"' in line]
        return [event for line in lines if (event := json.loads(line))["event"] == name]

    @property
    def said(self) -> str:
        """What people have been told so far."""
        self.console.pump()
        return self._talk.getvalue()


def _is_encrypted(call: Call) -> bool:
    return all(line.media.security is not None for line in call.lines)


@dataclass
class Scene:
    """A caller, a callee, and the network between them."""

    terms: Terms = field(default_factory=Terms)

    def __post_init__(self) -> None:
        self.wires = Wires()
        self.caller = Party(self.wires, CALLER, self.terms, calls=True)
        self.callee = Party(self.wires, CALLEE, self.terms, calls=False)
        self.parties = (self.caller, self.callee)
        self.caller.peer, self.callee.peer = self.callee, self.caller
        self._tick = self.wires.now

    def dial(self) -> None:
        """The caller calls the callee."""
        target = parse_target(f"sip:{CALLEE}:{SIP_PORT}")
        assert isinstance(target, SipUri)
        self.caller.network.loop.post(self.caller.manager.dial, target)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass; no longer than until something is so."""
        wires, end = self.wires, self.wires.now + seconds
        while not until():
            for party in self.parties:
                party.turn()
            due = [wires.next_delivery(), *(party.network.loop.next_due() for party in self.parties)]
            if any(party.busy for party in self.parties):
                due.append(self._tick)
            now = max(wires.now, min(due))
            if now > end:
                wires.now = end
                return
            wires.now = now
            wires.deliver()
            if wires.now >= self._tick:
                self._tick = wires.now + BLOCK / RATE
                for party in self.parties:
                    party.speaker.turn(wires.now)
                    party.microphone.turn(wires.now)

    def finish(self) -> None:
        """The caller hangs up, and all comes to its end; AssertionError if it does not, or lies about it."""
        for party in self.parties:
            party.network.loop.post(party.manager.hang_up_all)
            self.run(PATIENCE if party is self.callee else 2.0, lambda: self.is_over)
        assert self.is_over, "a call that does not end"
        self.check()

    @property
    def is_over(self) -> bool:
        return all(party.manager.idle for party in self.parties)

    def check(self) -> None:
        """What must be true of both sides at the end, whatever has happened on the way."""
        assert len(self.caller.outcomes) == 1
        for party in self.parties:
            assert party.manager.dropped == 0
            for record, outcome in zip(party.records, party.outcomes, strict=True):
                check_record(record, outcome, party)
            check_empty(party)
        check_keys(self.caller, self.callee)
        strings = [{event["string"] for event in party.events("short-string")} for party in self.parties]
        assert not all(strings) or strings[0] & strings[1], "strings that differ"


ALL_TERMS: tuple[Terms, ...] = (
    Terms(),
    Terms(srtp=SrtpRule.REQUIRED),
    Terms(sdes_in_clear=True),
    Terms(ice=True),
    Terms(srtp=SrtpRule.OFF),
    Terms(srtp=SrtpRule.REQUIRED, sdes_in_clear=True),
)
"""What both sides may be told, without a password."""
