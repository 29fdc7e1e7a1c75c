"""From options to objects: the network, the user agent, what is offered, what is printed."""

from __future__ import annotations

import math
import random
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from voip import codecs
from voip.audio import Mixture
from voip.calls import (
    Answer,
    AudioStreams,
    CallManager,
    CallPolicy,
    CallSettings,
    CallTable,
    Outcome,
    PlainSource,
    SendSettings,
)
from voip.calls.bare import BareAnswers, BareCalls
from voip.calls.records import rtp_stat_headers
from voip.calls.streams import Feed
from voip.cli.attendant import Attendant
from voip.cli.capturing import make_tap
from voip.cli.keyboard import Keyboard, find_keyboard
from voip.cli.keys import CallKeys
from voip.cli.options import CommonOptions, ReceiverOptions, SenderOptions
from voip.cli.policy import ExitAfterLastCall, Redial, WaitForPage
from voip.cli.rates import within
from voip.cli.sharing import Place
from voip.cli.values import RtpTarget
from voip.conference import Bridge, HostMicrophone
from voip.devices import ChangeableSink, ChangeableSource, Device, PerCaller, Sink, Source, open_sink, open_source
from voip.engine import Capture, Playback, Shutdown, tune_interpreter
from voip.environment import forbid_core_dumps
from voip.errors import EXIT_NETWORK, DeviceError, NetworkError, ProtocolError, Stopped, VoipError
from voip.fec import Pattern, ladder_window, red
from voip.media import RED, Direction
from voip.net import Network, OwnHosts, ParentLink, host_address
from voip.private import private
from voip.report import PACKETS_SHOWN, CallRecord, Console
from voip.sdp import MAX_PAYLOAD, Capabilities, SessionDescription
from voip.sip import SipUri, UserAgent

if TYPE_CHECKING:  # it needs pyOpenSSL
    from voip.calls.dtls import DtlsIdentity

ANY_ADDRESS = "0.0.0.0"
AnyDevice = TypeVar("AnyDevice", bound=Device)
CONFERENCE_FORMAT = (48000, 1)
"""Sample rate and channels of a conference where no sound card has its own: nothing of any voice is lost."""
FILE_TIME = "%Y%m%d-%H%M%S"
"""How a recording's name begins, local time."""
DEVICE_LOOK = 1.0
"""Seconds between looks for a sound device that is not there."""


def make_console(options: CommonOptions) -> Console:
    """What the user is told by; the process is tuned with it, once, and leaves no core dump."""
    tune_interpreter()
    forbid_core_dumps()
    interval = math.inf if _place(options) else options.stats_interval  # the parent tells of all
    return Console(time.monotonic, verbosity=options.verbosity, as_json=options.json, interval=interval)


def _place(options: CommonOptions) -> Place | None:
    return options.place if isinstance(options, ReceiverOptions) else None


def make_network(options: CommonOptions, console: Console, shutdown: Shutdown | None = None) -> Network:
    """The network, without an open socket; a worker's `shutdown` is told when its parent ends. VoipError for TLS files
    that are of no use."""
    place, parent = _place(options), None
    if place is not None and shutdown is not None:
        gone = partial(shutdown.request, EXIT_NETWORK, "the process that has the SIP port is gone")
        parent = ParentLink(socket.socket(fileno=place.fd), place.ports, place.listening, gone)
    return Network(
        bind=options.bind,
        public_address=options.public_address,
        stun=options.stun,
        media_ports=options.media_ports,
        dscp=options.dscp,
        tls=options.tls,
        say=console.say,
        trace=partial(console.say, PACKETS_SHOWN) if console.shows_packets else None,
        parent=parent,
        tap=make_tap(options, console),
    )


def make_user_agent(
    options: CommonOptions,
    network: Network,
    table: CallTable,
    *,
    max_calls: int = 1,
    accepts_calls: bool = True,
) -> UserAgent:
    """A user agent on this network, with the account of the options, for the calls of this table. Who may call it is
    what a receiver's options say."""
    receiver = options if isinstance(options, ReceiverOptions) else None
    return UserAgent(
        rng=random.SystemRandom(),
        local=network.sip.sip_address,
        keeps_alive=network.addresses.behind_nat,
        user=options.user,
        max_calls=max_calls,
        accepts_calls=accepts_calls,
        accepts_texts=receiver is not None and receiver.call_password is None and receiver.answer is not Answer.DENY,
        allowed=partial(receiver.allowed, is_own=OwnHosts(network.loop.now).has) if receiver else lambda host: True,
        trusted=receiver.trusted if receiver else lambda host: False,
        credentials=options.credentials,
        users=receiver.users if receiver else None,
        account=options.account,
        registrar=options.registrar,
        proxies=options.proxies,
        replaceable=table.is_abandoned,
        hears=table.hears,
        bye_headers=rtp_stat_headers(table, network.loop.now),
    )


def await_device(
    open_device: Callable[[], AnyDevice],
    patience: float,
    say: Callable[[str], None],
    *,
    pause: Callable[[float], bool],
    clock: Callable[[], float] = time.monotonic,
) -> AnyDevice:
    """Open a device, tried anew for `patience` seconds while it is not there, or in use; `say` tells of that once.

    `pause(seconds)` waits; True: the program is to end, which raises Stopped. DeviceError if it does not come, or
    cannot.
    """
    deadline, told = clock() + patience, False
    while isinstance(opened := _attempt(open_device), DeviceError):
        left = deadline - clock()
        if not opened.may_come or left <= 0:
            raise opened
        if not told:
            told = True
            say(f"waiting for a sound device: {opened}")
        if pause(min(DEVICE_LOOK, left)):
            raise Stopped(str(opened))
    return opened


def _attempt(open_device: Callable[[], AnyDevice]) -> AnyDevice | DeviceError:
    try:
        return open_device()
    except DeviceError as error:
        return error


def _await_device(
    options: CommonOptions, console: Console, shutdown: Shutdown, open_device: Callable[[], AnyDevice]
) -> AnyDevice:
    def say(text: str) -> None:
        console.say(0, text)
        console.pump()

    return await_device(open_device, options.device_wait, say, pause=shutdown.wait)


def open_playback(options: CommonOptions, console: Console, shutdown: Shutdown) -> Playback:
    """What plays, with its sink open. DeviceError; VoipError for an output that does not exist."""
    return _make_playback(options, console, _open_sink(options, console, shutdown))


class ReceiverSound(NamedTuple):
    """What a receiver plays, what it sends if anything, and in a conference the microphone here, if there is one."""

    playback: Playback
    sent: Feed | None
    host: HostMicrophone | None = None

    @property
    def devices(self) -> list[Device]:
        """The speaker and the microphone."""
        source = self.host.source if self.host else self.sent.source if isinstance(self.sent, Capture) else None
        return [self.playback.sink] if source is None else [self.playback.sink, source]

    @property
    def threads(self) -> list[tuple[str, Callable[..., None]]]:
        """What runs besides playback, until it is `silenced` and `stopped`, each with its name."""
        found: list[tuple[str, Callable[..., None]]] = []
        if self.sent is not None:
            found.append(("capture" if isinstance(self.sent, Capture) else "bridge", self.sent.run))
        if self.host is not None:
            found.append(("microphone", self.host.run))
        return found

    @property
    def faults(self) -> list[str]:
        """What went wrong between the parts of a conference so far, in words."""
        voice = self.host.voice if self.host is not None else None
        bridge = self.sent if isinstance(self.sent, Bridge) else None
        counts = {
            "blocks of 10 ms that the conference left out since the machine was too slow": bridge.dropped
            if bridge
            else 0,
            "blocks of 10 ms of the microphone that the conference left out for that": self.host.unheard
            if self.host
            else 0,
            "times that the microphone was late for the conference": voice.underruns if voice else 0,
            "times that it was ahead, and some of it was left out": voice.overruns if voice else 0,
        }
        return [f"{text}: {count}" for text, count in counts.items() if count]


def open_receiver_sound(options: ReceiverOptions, console: Console, shutdown: Shutdown) -> ReceiverSound:
    """All that a receiver hears and says. DeviceError; VoipError for an input or an output that does not exist."""
    if options.conference:
        return _open_conference(options, console, shutdown)
    playback = open_playback(options, console, shutdown)
    return ReceiverSound(playback, open_capture(options, console, shutdown, answers=True) if options.two_way else None)


def _open_conference(options: ReceiverOptions, console: Console, shutdown: Shutdown) -> ReceiverSound:
    sink = _open_sink(options, console, shutdown)
    sink.configure(*CONFERENCE_FORMAT)
    form = sink.sample_rate, sink.channels
    bridge, host = Bridge(*form), None
    forward: Callable[[Mixture], object] = bridge.forward
    if options.two_way:
        host = HostMicrophone(_open_source(options, console, shutdown, endless=True), *form)
        forward = partial(_with_host, host, bridge)
    return ReceiverSound(_make_playback(options, console, sink, forward), bridge, host)


def _with_host(host: HostMicrophone, bridge: Bridge, mixture: Mixture) -> None:
    bridge.forward(host.add_to(mixture))


def _open_sink(options: CommonOptions, console: Console, shutdown: Shutdown) -> Sink:
    opened = partial(
        open_sink,
        options.output,
        format=options.format,
        overwrite=options.overwrite,
        say=partial(console.say, 0),
        quiet=options.hides_library_noise,
    )
    try:
        sink = _await_device(options, console, shutdown, opened)
    except DeviceError as error:
        if not _is_shown(options):
            raise
        _tell_missing(console, "output", error)
        return ChangeableSink(open_sink("null"), str(error))
    return sink if options.web is None else ChangeableSink(sink)


def _is_shown(options: CommonOptions) -> bool:
    """Whether a device that is not there is a matter of the page, where another one can be chosen."""
    return options.web is not None and not (isinstance(options, SenderOptions) and options.target_given)


def _tell_missing(console: Console, way: str, error: DeviceError) -> None:
    console.event("device-failed", f"{way}: {error}", way=way, error=str(error))
    console.pump()


def _make_playback(
    options: CommonOptions,
    console: Console,
    sink: Sink,
    forward: Callable[[Mixture], object] = lambda mixture: None,
) -> Playback:
    folder = options.output_per_caller if isinstance(options, ReceiverOptions) else None
    say = partial(console.say, 0)
    recorder = None if folder is None else PerCaller(folder, now=lambda: time.strftime(FILE_TIME), say=say)
    return Playback(
        sink,
        latency=options.latency,
        latency_max=options.latency_max,
        use=options.latency_for,
        recorder=recorder,
        forward=forward,
    )


def open_capture(
    options: CommonOptions,
    console: Console,
    shutdown: Shutdown,
    *,
    duration: float | None = None,
    answers: bool = False,
) -> Capture:
    """What captures, with its source open. DeviceError; VoipError for an input that does not exist.

    Who `answers` begins anew with each caller and never ends.
    """
    source = _open_source(options, console, shutdown, endless=answers)
    return Capture(source, duration=duration, again=answers)


def _open_source(options: CommonOptions, console: Console, shutdown: Shutdown, *, endless: bool) -> Source:
    opened = partial(
        open_source,
        options.input,
        format=options.format,
        loop=options.loop,
        endless=endless,
        quiet=options.hides_library_noise,
    )
    try:
        source = _await_device(options, console, shutdown, opened)
    except DeviceError as error:
        if not _is_shown(options):
            raise
        _tell_missing(console, "input", error)
        return ChangeableSource(open_source("silence", endless=True), str(error))
    return source if options.web is None else ChangeableSource(source)


def open_sender_capture(options: SenderOptions, console: Console, shutdown: Shutdown) -> Capture:
    """What captures at a sender: once for all calls, or, where those are begun later, anew for each."""
    return open_capture(options, console, shutdown, duration=options.duration, answers=options.waits)


def make_streams(
    options: CommonOptions, network: Network, console: Console, *, playback: Playback | None, capture: Feed | None
) -> AudioStreams:
    """What is played, what is sent, or both."""
    send = make_send_settings(options)
    return AudioStreams(network.loop.post, console, playback=playback, capture=capture, send=send)


def make_send_settings(options: CommonOptions) -> SendSettings:
    """How what is captured is sent."""
    keys = options.dtmf if isinstance(options, SenderOptions) else ""
    rate, factor = options.fec_max
    return SendSettings(
        fec=options.fec.pattern,
        fec_max=rate,
        fec_media_factor=factor,
        fec_saves_bits=options.fec.saves_bits,
        bitrate_max=options.bitrate_max,
        keys=keys,
    )


def make_capabilities(options: CommonOptions, direction: Direction, source: Source | None = None) -> Capabilities:
    """What is offered and answered: a source's own rate and channels first, a receiver takes any. VoipError for rates
    that no codec has."""
    rate, channels = (source.sample_rate, source.channels) if source else options.format
    offered = tuple(codecs.offerable(options.codecs, rate, channels, options.bitrate))
    if options.bitrate_max is not None:
        offered = within(options.bitrate_max, offered, options.ptime)
    pattern, repair_packets = options.fec.pattern, 0
    if pattern is not None and direction.sends:
        repair_packets = ladder_window() if isinstance(pattern, str) else pattern.window
    return Capabilities(
        codecs=offered,
        direction=direction,
        ptime=options.ptime,
        fec=pattern is not None,
        repair_packets=repair_packets,
        max_repair_window=options.latency_max,
        fec_scheme=options.fec.scheme,
        copies=options.fec.copies,
        max_payload=_max_payload(options),
        plays=not isinstance(options, SenderOptions) or options.two_way,
        srtp=options.srtp,
        sdes_in_clear=options.sdes_in_clear,
        dtls_only=options.call_password is not None,
        ice=options.ice,
    )


def make_call_settings(options: CommonOptions, direction: Direction, source: Source | None = None) -> CallSettings:
    """What holds for all calls."""
    settings = CallSettings(
        capabilities=make_capabilities(options, direction, source),
        media_timeout=options.media_timeout,
        plain_fec=options.plain_fec and options.fec.pattern is not None,
        on_description=partial(_write_description, options.sdp),
        dtls=_make_identity(options.call_password) if options.has_dtls else None,
    )
    if isinstance(options, SenderOptions):
        settings = replace(
            settings, name=options.name, connect_timeout=options.connect_timeout, message=options.message
        )
    elif isinstance(options, ReceiverOptions):
        settings = replace(settings, answer=options.answer)
    return settings


def _make_identity(password: str | None) -> DtlsIdentity:
    """A certificate for this run of the program, and the password; by libraries that not every user has."""
    from voip.calls.dtls import DtlsIdentity
    from voip.net.certificate import make_certificate

    if password is not None:
        import spake2  # noqa: F401  # it computes for a tenth of a second when it is loaded: not in a call

    return DtlsIdentity(make_certificate(), password)


def _max_payload(options: CommonOptions) -> int:
    """Bytes of media payload such that the repair packet over it, or its copies, fit into a datagram."""
    if options.fec.scheme == RED and isinstance(options.fec.pattern, Pattern):
        return red.payload_limit(len(red.copies_of(options.fec.pattern)))
    return MAX_PAYLOAD


def _write_description(path: str | None, description: SessionDescription) -> None:
    if path is None:
        return
    try:
        with open(path, "wb", opener=private) as file:
            file.write(description.serialize())
    except OSError as error:
        raise VoipError(f"--sdp {path}: {error.strerror}") from error


def read_plain_source(stream: RtpTarget | Path) -> PlainSource:
    """Where a stream without signalling comes to. VoipError for a file that says nothing of it."""
    if isinstance(stream, RtpTarget):
        return PlainSource(str(stream), stream.host or ANY_ADDRESS, stream.port, form=stream.form)
    try:
        description = SessionDescription.parse(stream.read_bytes())
    except OSError as error:
        raise VoipError(f"{stream} is neither rtp://:PORT nor a session description: {error.strerror}") from error
    except ProtocolError as error:
        raise VoipError(f"{stream} is not a session description: {error}") from error
    audio = next((media for media in description.media if media.kind == "audio" and media.port), None)
    if audio is None:
        raise VoipError(f"{stream} describes no audio")
    family = "::" if ":" in (description.host(audio) or "") else ANY_ADDRESS
    return PlainSource(str(stream), family, audio.port, description)


def make_sender_policy(
    options: SenderOptions,
    network: Network,
    shutdown: Shutdown,
    console: Console,
    on_over: Callable[[str], object],
) -> ExitAfterLastCall | WaitForPage:
    """When a sender ends: after its last call, or, where it waits, when it is told to. `on_over`: as for both."""
    if options.waits:
        return WaitForPage(shutdown, console, on_over)
    redial = make_redial(options, network, console)
    return ExitAfterLastCall(shutdown, console, redial, map(str, options.targets), on_over)


def find_keys(options: CommonOptions, console: Console) -> Keyboard | None:
    """The keyboard of whoever attends to the calls; None without a terminal. VoipError where one is needed: where a
    person is asked, and neither on a page nor by way of the directory."""
    asks = isinstance(options, ReceiverOptions) and options.answer is Answer.ASK
    keyboard = find_keyboard() if asks or console.takes_keys else None
    if keyboard is None and asks and options.web is None and options.directory is None:
        raise VoipError("--answer ask needs a terminal to ask at, or --web: stdin is none")
    return keyboard


def make_keys(
    keyboard: Keyboard | None,
    options: CommonOptions,
    network: Network,
    manager: CallManager,
    streams: AudioStreams,
    console: Console,
) -> CallKeys:
    """What its keys do; there is more where several may call, or a person is asked."""
    attends = isinstance(options, ReceiverOptions) and (options.max_calls > 1 or options.answer is Answer.ASK)
    attendant = Attendant(manager, streams, console, network.loop.post) if attends else None
    return CallKeys(network, manager, console, keyboard, attendant)


def make_redial(options: SenderOptions, network: Network, console: Console) -> Redial:
    """What calls the targets of the options again when their calls are lost."""
    targets = [target for target in options.targets if isinstance(target, SipUri)]
    loop = network.loop
    return Redial(options.retry, targets, console, call_later=loop.call_later, now=loop.now)


def make_bare_calls(options: SenderOptions, network: Network, console: Console) -> BareCalls:
    """What calls the targets whose format has signalling of its own."""
    return BareCalls(network, console, options.connect_timeout)


def answer_bare_calls(
    options: ReceiverOptions, network: Network, manager: CallManager, console: Console
) -> BareAnswers | None:
    """Answer calls by the signalling of the stream's format, if it has one. NetworkError if the port is taken."""
    if not isinstance(options.stream, RtpTarget) or options.stream.form is None or not options.stream.form.is_called:
        return None
    answers = BareAnswers(network, manager, console)
    answers.listen(options.bind or options.stream.host or ANY_ADDRESS, options.sip_port)
    return answers


def call_targets(
    options: SenderOptions, network: Network, manager: CallManager, bare: BareCalls, policy: CallPolicy
) -> None:
    """Have each target called, or streamed to, as soon as the network runs; one without an address has failed then."""
    if options.waits and not options.target_given:
        return
    for target in options.targets:
        if isinstance(target, RtpTarget):
            network.loop.post(_stream_to, target, _address(target, options.bind), manager, bare, policy)
        else:
            network.loop.post(manager.dial, target)


def _address(target: RtpTarget, bind: str | None) -> str | NetworkError:
    try:
        return host_address(target.host, bind)
    except NetworkError as error:
        return error


def _stream_to(
    target: RtpTarget, host: str | NetworkError, manager: CallManager, bare: BareCalls, policy: CallPolicy
) -> None:
    """Send to a target without SIP. One that cannot be sent to keeps no other from its sound."""
    try:
        if isinstance(host, NetworkError):
            raise host
        if target.signalling_port is not None and target.form is not None:
            address, media = (host, target.signalling_port), (target.port, target.form)
            bare.dial(manager, str(target), address, media, policy.on_call_over)
        else:
            manager.stream_to(str(target), (host, target.port), target.form)
    except NetworkError as error:
        record = CallRecord(call_id="", peer=str(target), incoming=False)
        policy.on_call_over(manager, record, Outcome(EXIT_NETWORK, str(error)))
