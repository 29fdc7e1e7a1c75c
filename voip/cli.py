"""The options of both scripts, as frozen dataclasses, and what both do around their threads.

Names, defaults and exit codes are a contract with the people and programs that call the scripts.
"""

from __future__ import annotations

import argparse
import difflib
import ipaddress
import json
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import voip
from voip import codecs
from voip.calls import CallKeeper, CallSettings
from voip.devices import Device, DeviceInfo, Sink, Source, faults, list_devices
from voip.engine import (
    EXIT_DEVICE,
    EXIT_NETWORK,
    EXIT_OK,
    EXIT_USAGE,
    Shutdown,
    fill_standard_streams,
    tune_interpreter,
)
from voip.errors import DeviceError, VoipError
from voip.fec import Pattern, parse_pattern
from voip.net import DSCP_EF, Network, NetworkError
from voip.report import PACKETS_SHOWN, CallRecord, Console, final_report
from voip.sdp import Capabilities, Direction, effective_ptime
from voip.sip import Credentials, SipUri, UserAgent, parse_target

SIP_PORT = 5060
"""RFC 3261 section 19.1.2."""
RECEIVER_MEDIA_PORTS = (5000, 5019)
ANY_PUBLIC_HOST = "192.0.2.1"
"""RFC 5737 documentation address: which of ours leads out is asked of the routing table, nothing is sent there."""
GOODBYE_TIMEOUT = 1.0
"""Seconds that the answer to our BYE may take once the program was told to stop."""
PUMP_INTERVAL = 0.1
"""Seconds until a line that another thread has handed over is on the terminal."""
STATUS_INTERVAL = 1.0
LOCAL_NETWORKS = (
    "127.0.0.0/8",  # RFC 1122
    "10.0.0.0/8",  # RFC 1918
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",  # RFC 3927
    "100.64.0.0/10",  # RFC 6598
    "::1/128",  # RFC 4291
    "fe80::/10",
    "fc00::/7",  # RFC 4193
)
"""Callers that are answered unless --allow says otherwise: loopback, private and link-local addresses."""

KNOWN_CODECS = tuple(name.lower() for name in codecs.NAMES)
"""Names of --codec, best first."""

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class CommonOptions:
    """What both scripts take; times in seconds."""

    codecs: tuple[str, ...]
    ptime: float
    fec: Pattern | None
    format: tuple[int, int]
    sip_port: int
    bind: str | None
    public_address: str | None
    media_ports: tuple[int, int] | None
    dscp: int
    media_timeout: float
    verbosity: int
    json: bool
    report: str | None
    stats_interval: float

    @property
    def hides_library_noise(self) -> bool:
        """Whether what sound libraries print is kept away: up to -v."""
        return self.verbosity < PACKETS_SHOWN


@dataclass(frozen=True)
class ReceiverOptions(CommonOptions):
    output: str
    latency: float
    latency_max: float
    max_calls: int
    allow: tuple[IpNetwork, ...]
    answer: bool
    once: bool

    def allowed(self, host: str) -> bool:
        """Whether a caller at this address is answered."""
        address = ipaddress.ip_address(host)
        return self.answer and any(address in network for network in self.allow)


@dataclass(frozen=True)
class SenderOptions(CommonOptions):
    input: str
    name: str
    credentials: Credentials | None
    connect_timeout: float
    loop: bool
    duration: float | None
    targets: tuple[SipUri, ...]


Group = argparse._ArgumentGroup
AnyOptions = TypeVar("AnyOptions", bound=CommonOptions)


# --- values -----------------------------------------------------------------------------------------------------------


def seconds(text: str) -> float:
    """`60ms`, `2s`, `1.5m`, `1h` or a bare number of seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|h)?", text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: write 60ms, 2s, 5m or 1h")
    return float(match[1]) * {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}[match[2]]


def ports(text: str) -> tuple[int, int]:
    """`5000` or `5000-5019`."""
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    first = int(match[1]) if match else -1
    last = int(match[2] or first) if match else -1
    if not 0 < first <= last <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port range: write 5000-5019")
    return first, max(last, first + 1) if last == first else last


def pcm_format(text: str) -> tuple[int, int]:
    """`48000/1`: sample rate and channels."""
    match = re.fullmatch(r"(\d{4,6})/([12])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a format: write RATE/CHANNELS, such as 48000/1")
    return int(match[1]), int(match[2])


def codec_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in KNOWN_CODECS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{text!r}: known codecs are {', '.join(KNOWN_CODECS)}")
    return names


def fec_pattern(text: str) -> Pattern | None:
    try:
        return parse_pattern(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def dscp_value(text: str) -> int:
    named = {"ef": DSCP_EF, "off": 0}
    if text.lower() in named:
        return named[text.lower()]
    if text.isdigit() and int(text) < 64:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a code point: write ef, off or 0 to 63")


def ip_network(text: str) -> IpNetwork:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a network: write 192.0.2.0/24 or 0.0.0.0/0") from error


def ip_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from error


def sip_target(text: str) -> SipUri:
    try:
        return parse_target(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


# --- parsers ----------------------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line and name the nearest known option."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"unrecognized arguments: (\S+)", message)
        if wrong is not None:
            known = [name for action in self._actions for name in action.option_strings]
            near = difflib.get_close_matches(wrong[1].partition("=")[0], known, n=1)
            message = f"unknown option {wrong[1]}" + (f", did you mean {near[0]}?" if near else "")
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        sys.exit(EXIT_USAGE)


def receiver_options(argv: Sequence[str] | None = None) -> ReceiverOptions:
    """The options of receiver.py; exits by itself for --help, --version, --list-devices and usage errors."""
    parser = _parser("receiver.py", "Wait for SIP calls and play what they send.")
    sound = parser.add_argument_group("sound")
    sound.add_argument(
        "-o",
        "--output",
        metavar="SPEC",
        default="speaker",
        help="speaker, speaker:NAME-OR-INDEX, FILE.wav, - (raw 16-bit samples on stdout), null  [speaker]",
    )
    sound.add_argument("--latency", metavar="TIME", type=seconds, default=0.06, help="least play-out delay  [60ms]")
    sound.add_argument("--latency-max", metavar="TIME", type=seconds, default=0.5, help="never beyond  [500ms]")
    answering = parser.add_argument_group("answering")
    answering.add_argument("--max-calls", metavar="N", type=int, default=1, help="more callers get 486 Busy Here  [1]")
    answering.add_argument(
        "--allow", metavar="CIDR", type=ip_network, action="append", help="who is answered  [private addresses]"
    )
    answering.add_argument("--answer", choices=("auto", "deny"), default="auto", help="[auto]")
    answering.add_argument("--once", action=argparse.BooleanOptionalAction, default=False, help="exit after one call")
    _common(parser, sound, sip_port=SIP_PORT, media_ports=RECEIVER_MEDIA_PORTS)
    found = _parsed(parser, argv)
    if found.latency_max < found.latency:
        parser.error("--latency-max is below --latency")
    if found.max_calls < 1:
        parser.error("--max-calls: at least 1")
    allow = tuple(found.allow or map(ipaddress.ip_network, LOCAL_NETWORKS))
    return ReceiverOptions(
        **_common_values(found),
        output=found.output,
        latency=found.latency,
        latency_max=found.latency_max,
        max_calls=found.max_calls,
        allow=allow,
        answer=found.answer == "auto",
        once=found.once,
    )


def sender_options(argv: Sequence[str] | None = None) -> SenderOptions:
    """The options of sender.py; exits by itself for --help, --version, --list-devices and usage errors."""
    parser = _parser("sender.py", "Call TARGET and stream to it what the microphone hears.")
    parser.add_argument(
        "targets",
        metavar="TARGET",
        nargs="*",
        type=sip_target,
        help="host[:port] or sip:[user@]host[:port]  [127.0.0.1]",
    )
    sound = parser.add_argument_group("sound")
    sound.add_argument(
        "-i",
        "--input",
        metavar="SPEC",
        default="mic",
        help="mic, mic:NAME-OR-INDEX, FILE.wav, - (raw 16-bit samples on stdin), tone[:HZ], silence, demo  [mic]",
    )
    sound.add_argument("--loop", action=argparse.BooleanOptionalAction, default=False, help="repeat a file")
    sound.add_argument("-t", "--duration", metavar="TIME", type=seconds, help="hang up after TIME")
    calling = parser.add_argument_group("calling")
    calling.add_argument("--from", metavar="NAME", dest="name", default="", help="name shown to the other side")
    calling.add_argument("--user", metavar="U", help="user for digest authentication")
    calling.add_argument("--password-file", metavar="FILE", help="file whose first line is the password")
    calling.add_argument(
        "--connect-timeout", metavar="TIME", type=seconds, default=10.0, help="wait so long for an answer  [10s]"
    )
    _common(parser, sound, sip_port=0, media_ports=None)
    found = _parsed(parser, argv)
    return SenderOptions(
        **_common_values(found),
        input=found.input,
        name=found.name,
        credentials=_credentials(parser, found),
        connect_timeout=found.connect_timeout,
        loop=found.loop,
        duration=found.duration,
        targets=tuple(found.targets or [parse_target("127.0.0.1")]),
    )


def _parser(program: str, description: str) -> Parser:
    return Parser(
        prog=program,
        description=description,
        allow_abbrev=False,
        epilog="Times take units: 60ms, 2s, 5m. Exit codes: 0 ended, 2 usage, 3 sound device or file, 4 network, "
        "5 no answer, 6 refused, 7 authentication, 8 media lost.",
    )


def _common(parser: Parser, sound: Group, *, sip_port: int, media_ports: tuple[int, int] | None) -> None:
    media_text = f"{media_ports[0]}-{media_ports[1]}" if media_ports else "any"
    sound.add_argument("--format", metavar="RATE/CHANNELS", type=pcm_format, default=(48000, 1), help="of -  [48000/1]")
    sound.add_argument("-l", "--list-devices", action="store_true", help="list microphones and speakers, and exit")
    coding = parser.add_argument_group("coding")
    coding.add_argument(
        "-c",
        "--codec",
        metavar="LIST",
        type=codec_names,
        default=KNOWN_CODECS,
        help=f"in order of preference  [{','.join(KNOWN_CODECS)}]",
    )
    coding.add_argument("--ptime", metavar="TIME", type=seconds, default=0.02, help="audio per packet  [20ms]")
    coding.add_argument(
        "--fec",
        metavar="SPEC",
        type=fec_pattern,
        default="4",
        help="off, K (one XOR packet per K), sliding:0,1,3/2 (after every 2nd packet, one over it and those 1 and 3 "
        "before; + separates several sets)  [4]",
    )
    network = parser.add_argument_group("network")
    network.add_argument(
        "-p", "--sip-port", metavar="PORT", type=int, default=sip_port, help=f"local UDP port  [{sip_port or 'any'}]"
    )
    network.add_argument("--bind", metavar="ADDR", type=ip_address, help="local address  [all]")
    network.add_argument("--rtp-port", metavar="PORT[-PORT]", type=ports, default=media_ports, help=f"[{media_text}]")
    network.add_argument("--public-address", metavar="ADDR", type=ip_address, help="what peers are told, behind a NAT")
    network.add_argument("--dscp", metavar="ef|off|N", type=dscp_value, default=DSCP_EF, help="packet marking  [ef]")
    network.add_argument(
        "--media-timeout", metavar="TIME", type=seconds, default=20.0, help="end a call whose peer is silent  [20s]"
    )
    output = parser.add_argument_group("output")
    output.add_argument("-q", "--quiet", action="store_true", help="errors alone")
    output.add_argument("-v", "--verbose", action="count", default=0, help="decisions; -vv: every packet")
    output.add_argument("--json", action="store_true", help="JSON Lines on stdout")
    output.add_argument("--report", metavar="FILE", help="write the final report as JSON")
    output.add_argument("--stats-interval", metavar="TIME", type=seconds, default=5.0, help="of --json  [5s]")
    output.add_argument("--version", action="version", version=f"%(prog)s {voip.__version__}")


def _parsed(parser: Parser, argv: Sequence[str] | None) -> argparse.Namespace:
    found = parser.parse_args(argv)
    if found.list_devices:
        sys.exit(show_devices(as_json=found.json))
    if not 0 <= found.sip_port <= 65535:
        parser.error(f"--sip-port {found.sip_port}: ports go up to 65535")
    if not 0.001 <= found.ptime <= 0.2:
        parser.error("--ptime: between 1ms and 200ms")
    return found


def _credentials(parser: Parser, found: argparse.Namespace) -> Credentials | None:
    """User and password; None without a user."""
    if found.user is None and found.password_file is None:
        return None
    if found.user is None or found.password_file is None:
        parser.error("--user and --password-file go together")
    try:
        lines = Path(found.password_file).read_text(encoding="utf-8").splitlines() or [""]
    except (OSError, UnicodeDecodeError) as error:
        parser.error(f"--password-file {found.password_file}: {getattr(error, 'strerror', 'not a text')}")
    return Credentials(found.user, lines[0])


def _common_values(found: argparse.Namespace) -> dict[str, Any]:
    return {
        "codecs": found.codec,
        "ptime": found.ptime,
        "fec": found.fec,
        "format": found.format,
        "sip_port": found.sip_port,
        "bind": found.bind,
        "public_address": found.public_address,
        "media_ports": found.rtp_port,
        "dscp": found.dscp,
        "media_timeout": found.media_timeout,
        "verbosity": -1 if found.quiet else found.verbose,
        "json": found.json,
        "report": found.report,
        "stats_interval": found.stats_interval,
    }


# --- devices ----------------------------------------------------------------------------------------------------------


def show_devices(*, as_json: bool) -> int:
    """Print what can be heard from and played to; the exit status."""
    try:
        devices = list_devices()
    except DeviceError as error:
        print(error, file=sys.stderr)
        return EXIT_DEVICE
    if as_json:
        print(json.dumps([vars(device) for device in devices]))
    else:
        print("\n".join(_device_line(device) for device in devices) or "no sound device")
    return EXIT_OK


def _device_line(device: DeviceInfo) -> str:
    roles = []
    if device.inputs:
        roles.append("mic" + ("*" if device.default_input else ""))
    if device.outputs:
        roles.append("speaker" + ("*" if device.default_output else ""))
    latency = 1e3 * max(device.input_latency, device.output_latency)
    return f"{device.index:3}  {device.name[:34]:34}  {device.rate:6} Hz  {latency:4.0f} ms  {', '.join(roles)}"


# --- around the threads -----------------------------------------------------------------------------------------------


def watch(options: CommonOptions, calls: CallKeeper, device: Device, console: Console, shutdown: Shutdown) -> None:
    """The main thread's part of a run: shows how it goes until somebody asks to stop, then says goodbye."""
    console.event("device", None, description=device.description, rate=device.sample_rate, channels=device.channels)
    now = calls.network.now()
    next_status, next_statistics, available = now, now + options.stats_interval, True
    while not shutdown.wait(PUMP_INTERVAL):
        now = calls.network.now()
        if device.available != available:
            available = device.available
            console.say(0, f"{device.description} is {'back' if available else 'gone: silence until it is back'}")
        if now >= next_statistics:
            next_statistics += options.stats_interval
            console.statistics(calls.records)
        console.pump()
        if now >= next_status:
            next_status += STATUS_INTERVAL
            console.status(calls.records)
    calls.network.post(calls.hang_up_all)
    deadline = calls.network.now() + GOODBYE_TIMEOUT
    while not calls.idle and calls.network.now() < deadline and not shutdown.impatient():
        shutdown.pause()
    if not calls.idle:
        calls.network.post(calls.last_words)
        shutdown.pause()
    shutdown.stop()
    calls.network.post(lambda: None)


def finish(
    program: str,
    options: CommonOptions,
    calls: CallKeeper,
    device: Device,
    console: Console,
    shutdown: Shutdown,
) -> int:
    """After every thread has ended: the final report, and the exit status."""
    if trouble := faults(device):
        console.say(0, f"{device.description}: {trouble}")
    _report(program, options, console, shutdown.status, shutdown.error, calls.records)
    return shutdown.status


def run(program: str, parse: Callable[[], AnyOptions], main: Callable[[AnyOptions], int]) -> int:
    """Run a script: its options, then `main`. Errors that a user can act on are one line and an exit status."""
    fill_standard_streams()
    options = parse()
    try:
        return main(options)
    except DeviceError as error:
        status, text = EXIT_DEVICE, str(error)
    except NetworkError as error:
        status, text = EXIT_NETWORK, str(error)
    except VoipError as error:
        status, text = EXIT_USAGE, str(error)
    _report(program, options, console(options), status, text, ())
    return status


def _report(
    program: str,
    options: CommonOptions,
    console: Console,
    status: int,
    error: str | None,
    calls: tuple[CallRecord, ...],
) -> None:
    report = final_report(program, voip.__version__, status, error, calls)
    if error:
        console.error(f"{program}.py: {error}")
        console.event("error", None, error=error, exit=status)
    if options.report is not None:
        try:
            Path(options.report).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        except OSError as problem:
            console.error(f"{program}.py: cannot write {options.report}: {problem.strerror}")
    console.event("report", None, **report)
    console.pump()


# --- from options to objects ------------------------------------------------------------------------------------------


def console(options: CommonOptions) -> Console:
    tune_interpreter()
    return Console(time.monotonic, verbosity=options.verbosity, as_json=options.json)


def network(options: CommonOptions) -> Network:
    return Network(
        bind=options.bind,
        public_address=options.public_address,
        media_ports=options.media_ports,
        dscp=options.dscp,
    )


def user_agent(
    network: Network,
    *,
    max_calls: int = 1,
    accepts_calls: bool = True,
    allowed: Callable[[str], bool] = lambda host: True,
    credentials: Credentials | None = None,
    resolve: Callable[[str], str | None] | None = None,
) -> UserAgent:
    """A user agent on this network. `resolve` gives the literal addresses of host names."""
    return UserAgent(
        rng=random.SystemRandom(),
        local=network.sip_address,
        user=credentials.user if credentials else "voip",
        max_calls=max_calls,
        accepts_calls=accepts_calls,
        allowed=allowed,
        credentials=credentials,
        resolve=resolve,
    )


def call_settings(options: CommonOptions, direction: Direction, source: Source | None = None) -> CallSettings:
    """What is offered and answered: a source's own rate and channels first, a receiver takes any."""
    rate, channels = (source.sample_rate, source.channels) if source else options.format
    offered = tuple(codecs.offerable(options.codecs, rate, channels))
    window = 0.0
    if options.fec is not None and direction.sends:
        window = options.fec.window * effective_ptime(offered[0], options.ptime)
    capabilities = Capabilities(
        codecs=offered,
        direction=direction,
        ptime=options.ptime,
        fec=options.fec is not None,
        repair_window=window,
    )
    return CallSettings(
        capabilities=capabilities,
        media_timeout=options.media_timeout,
        pattern=options.fec,
    )


def announce(options: ReceiverOptions, network: Network, sip_port: int, speaker: Sink, console: Console) -> None:
    """What a person needs to know to reach this receiver."""
    host = network.local_host(ANY_PUBLIC_HOST)
    written = f"[{host}]" if ":" in host else host
    first, last = options.media_ports or (0, 0)
    port = "" if sip_port == SIP_PORT else f":{sip_port}"
    console.event(
        "listening",
        f"receiver  waiting for a call   sip:{written}:{sip_port} (udp)\n"
        f"          open in the firewall: UDP {sip_port} and {first}-{last}\n"
        f"speaker   {speaker.description}   latency {options.latency * 1e3:g} ms\n"
        f"on the other machine:  ./sender.py {written}{port}",
        uri=f"sip:{written}:{sip_port}",
        media_ports=[first, last],
    )
    console.pump()
