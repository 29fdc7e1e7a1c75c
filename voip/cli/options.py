"""The options of both scripts, as frozen dataclasses. Names and defaults are a contract with people and programs."""

from __future__ import annotations

import argparse
import difflib
import ipaddress
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

import voip
from voip import codecs
from voip.cli.accounts import account_values, add_account, complete
from voip.cli.listing import show_devices
from voip.cli.values import (
    AUTO,
    FecChoice,
    IpNetwork,
    RtpTarget,
    bit_rate,
    codec_names,
    dscp_value,
    fec_choice,
    host_port,
    ip_address,
    ip_network,
    latency,
    pcm_format,
    ports,
    seconds,
    stream,
    target,
    telephone_keys,
)
from voip.engine import EXIT_USAGE
from voip.environment import program_name
from voip.fec import Pattern
from voip.net import DSCP_EF, TlsFiles
from voip.report import PACKETS_SHOWN
from voip.sip import Credentials, SipUri, parse_target

SIP_PORT = 5060
"""RFC 3261 section 19.1.2."""
RECEIVER_MEDIA_PORTS = (5000, 5019)
LATENCY_MAX = 0.5
"""Seconds of play-out delay never gone beyond unless --latency-max says otherwise."""
BITRATES = (6000, 510000)
"""Bit/s that --bitrate may be: RFC 7587 section 3.1.1."""
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

Group = argparse._ArgumentGroup


@dataclass(frozen=True)
class CommonOptions:
    """What both scripts take; times in seconds, rates in bit/s."""

    codecs: tuple[str, ...]
    bitrate: int | None
    ptime: float
    fec: Pattern | Literal["auto"] | None
    fec_scheme: str
    fec_max: float
    plain_fec: bool
    """FEC was asked for: only then it is sent where no signalling says that it is understood."""
    sdp: str | None
    format: tuple[int, int]
    sip_port: int
    bind: str | None
    public_address: str | None
    stun: tuple[str, int | None] | None
    media_ports: tuple[int, int] | None
    dscp: int
    tls: TlsFiles
    user: str
    """Of our own SIP addresses, as they are written."""
    account: SipUri | None
    registrar: SipUri | None
    proxies: tuple[SipUri, ...]
    credentials: Credentials | None
    media_timeout: float
    two_way: bool
    input: str
    loop: bool
    output: str
    latency: float | None
    latency_max: float
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
    max_calls: int
    allow: tuple[IpNetwork, ...]
    answer: bool
    once: bool
    users: Mapping[str, str] = field(repr=False)
    """Who callers have to prove to be, and their passwords; empty: nobody."""
    stream: RtpTarget | Path | None

    def allowed(self, host: str) -> bool:
        """Whether a caller at this address is answered."""
        address = ipaddress.ip_address(host)
        return self.answer and any(address in network for network in self.allow)


@dataclass(frozen=True)
class SenderOptions(CommonOptions):
    name: str
    dtmf: str
    """Keys that are dialled in the call."""
    connect_timeout: float
    duration: float | None
    targets: tuple[SipUri | RtpTarget, ...]


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
    parser = _parser(program_name("receiver"), "Wait for SIP calls and play what they send.")
    parser.add_argument(
        "stream",
        metavar="STREAM",
        nargs="?",
        help="without signalling: rtp://[HOST]:PORT, or FILE.sdp as another program has written it  [SIP calls]",
    )
    sound = parser.add_argument_group("sound")
    _playing(sound)
    two_way = parser.add_argument_group("both directions")
    _two_way(two_way, "also send, to each caller what --input names; wear a headset against echo")
    _capturing(two_way)
    answering = parser.add_argument_group("answering")
    answering.add_argument("--max-calls", metavar="N", type=int, default=1, help="more callers get 486 Busy Here  [1]")
    answering.add_argument(
        "--allow", metavar="CIDR", type=ip_network, action="append", help="who is answered  [private addresses]"
    )
    answering.add_argument("--answer", choices=("auto", "deny"), default="auto", help="[auto]")
    answering.add_argument("--once", action=argparse.BooleanOptionalAction, default=False, help="exit after one call")
    add_account(parser.add_argument_group("account"), answers=True)
    _common(parser, sound, codecs.NAMES, sip_port=SIP_PORT, media_ports=RECEIVER_MEDIA_PORTS)
    found = _parsed(parser, argv)
    _needs_two_way(parser, found, "input", "loop")
    if found.max_calls < 1:
        parser.error("--max-calls: at least 1")
    allow = tuple(found.allow or map(ipaddress.ip_network, LOCAL_NETWORKS))
    return ReceiverOptions(
        **_common_values(found),
        max_calls=found.max_calls,
        allow=allow,
        answer=found.answer == "auto",
        once=found.once,
        **account_values(parser, found, answers=True),
        stream=_stream(parser, found.stream),
    )


def sender_options(argv: Sequence[str] | None = None) -> SenderOptions:
    """The options of sender.py; exits by itself for --help, --version, --list-devices and usage errors."""
    parser = _parser(program_name("sender"), "Call TARGET and stream to it what the microphone hears.")
    parser.add_argument(
        "targets",
        metavar="TARGET",
        nargs="*",
        type=target,
        help="host[:port], sip:[user@]host[:port][;transport=udp|tcp|tls], sips:..., with --registrar a user there, or "
        "rtp://host:port without signalling  [127.0.0.1]",
    )
    sound = parser.add_argument_group("sound")
    _capturing(sound)
    sound.add_argument("-t", "--duration", metavar="TIME", type=seconds, help="hang up after TIME")
    two_way = parser.add_argument_group("both directions")
    _two_way(two_way, "also play what comes back, on what --output names; wear a headset against echo")
    _playing(two_way)
    calling = parser.add_argument_group("calling")
    calling.add_argument("--from", metavar="NAME", dest="name", default="", help="name shown to the other side")
    calling.add_argument(
        "--connect-timeout", metavar="TIME", type=seconds, default=10.0, help="wait so long for an answer  [10s]"
    )
    calling.add_argument(
        "--dtmf", metavar="KEYS", type=telephone_keys, default="", help="dial 0-9*#A-D in the call; a comma waits 1 s"
    )
    add_account(parser.add_argument_group("account"), answers=False)
    _common(parser, sound, codecs.DEFAULT, sip_port=0, media_ports=None)
    found = _parsed(parser, argv)
    _needs_two_way(parser, found, "output", "latency", "latency_max")
    return SenderOptions(
        **_common_values(found),
        name=found.name,
        dtmf=found.dtmf,
        connect_timeout=found.connect_timeout,
        duration=found.duration,
        targets=tuple(complete(target, found.registrar) for target in found.targets or [parse_target("127.0.0.1")]),
        **account_values(parser, found, answers=False),
    )


def _stream(parser: Parser, text: str | None) -> RtpTarget | Path | None:
    """What is to be played without signalling; read last, so that a mistyped option is named first."""
    try:
        return None if text is None else stream(text)
    except argparse.ArgumentTypeError as error:
        parser.error(f"STREAM: {error}")


def _parser(program: str, description: str) -> Parser:
    return Parser(
        prog=program,
        description=description,
        allow_abbrev=False,
        epilog="Times take units: 60ms, 2s, 5m. Exit codes: 0 ended, 2 usage, 3 sound device or file, 4 network, "
        "5 no answer, 6 refused, 7 authentication, 8 media lost.",
    )


def _capturing(group: Group) -> None:
    group.add_argument(
        "-i",
        "--input",
        metavar="SPEC",
        help="mic, mic:NAME-OR-INDEX, FILE.wav, - (raw 16-bit samples on stdin), tone[:HZ], silence, demo  [mic]",
    )
    group.add_argument("--loop", action=argparse.BooleanOptionalAction, help="repeat a file")


def _playing(group: Group) -> None:
    group.add_argument(
        "-o",
        "--output",
        metavar="SPEC",
        help="speaker, speaker:NAME-OR-INDEX, FILE.wav, - (raw 16-bit samples on stdout), null  [speaker]",
    )
    group.add_argument(
        "--latency",
        metavar="auto|TIME",
        type=latency,
        help="least play-out delay; auto: what the network needs  [auto]",
    )
    group.add_argument("--latency-max", metavar="TIME", type=seconds, help="never beyond  [500ms]")


def _two_way(group: Group, text: str) -> None:
    group.add_argument("--two-way", action=argparse.BooleanOptionalAction, default=False, help=text)


def _needs_two_way(parser: Parser, found: argparse.Namespace, *names: str) -> None:
    """Options of the other direction are a slip where there is only one."""
    for name in names:
        if getattr(found, name) is not None and not found.two_way:
            parser.error(f"--{name.replace('_', '-')} is for calls both ways: add --two-way")


def _common(
    parser: Parser,
    sound: Group,
    usual_codecs: tuple[str, ...],
    *,
    sip_port: int,
    media_ports: tuple[int, int] | None,
) -> None:
    media_text = f"{media_ports[0]}-{media_ports[1]}" if media_ports else "any"
    sound.add_argument("--format", metavar="RATE/CHANNELS", type=pcm_format, default=(48000, 1), help="of -  [48000/1]")
    sound.add_argument("-l", "--list-devices", action="store_true", help="list microphones and speakers, and exit")
    parser.set_defaults(usual_codecs=usual_codecs)
    coding = parser.add_argument_group("coding")
    coding.add_argument(
        "-c",
        "--codec",
        metavar="LIST",
        type=codec_names,
        help=f"in order of preference, of {','.join(codecs.NAMES)}  [{','.join(usual_codecs)}]",
    )
    coding.add_argument(
        "--bitrate", metavar="BPS", type=bit_rate, help="of codecs that leave a choice  [opus 24k, aac 64k]"
    )
    coding.add_argument("--ptime", metavar="TIME", type=seconds, default=0.02, help="audio per packet  [20ms]")
    coding.add_argument(
        "--fec",
        metavar="SPEC",
        type=fec_choice,
        help="auto (as losses need), off, K (one XOR packet per K), sliding:0,1,3/2 (after every 2nd packet, one over "
        "it and those 1 and 3 before; + separates several sets); for other programs ulpfec:4 (the same as ULPFEC) and "
        "red:1 (each packet repeats the one before)  [auto; without signalling off]",
    )
    coding.add_argument(
        "--fec-max", metavar="BPS", type=bit_rate, default="200k", help="most that repair packets may take  [200k]"
    )
    network = parser.add_argument_group("network")
    network.add_argument(
        "-p",
        "--sip-port",
        metavar="PORT",
        type=int,
        default=sip_port,
        help=f"local port  [{sip_port or 'any'}]",
    )
    network.add_argument("--bind", metavar="ADDR", type=ip_address, help="local address  [all]")
    network.add_argument("--rtp-port", metavar="PORT[-PORT]", type=ports, default=media_ports, help=f"[{media_text}]")
    network.add_argument("--sdp", metavar="FILE", help="of rtp://: write what another program needs to know")
    network.add_argument("--public-address", metavar="ADDR", type=ip_address, help="what peers are told, behind a NAT")
    network.add_argument("--stun", metavar="HOST", type=host_port, help="server that is asked for that address  [off]")
    network.add_argument("--dscp", metavar="ef|off|N", type=dscp_value, default=DSCP_EF, help="packet marking  [ef]")
    network.add_argument(
        "--media-timeout", metavar="TIME", type=seconds, default=20.0, help="end a call whose peer is silent  [20s]"
    )
    security = parser.add_argument_group("security")
    security.add_argument("--tls-cert", metavar="FILE", help="our certificate (PEM): calls over TLS are taken")
    security.add_argument("--tls-key", metavar="FILE", help="its key, where that is not in the same file")
    security.add_argument("--tls-ca", metavar="FILE", help="certificates of the authorities to trust  [the system's]")
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
    _check_latency(parser, found)
    if not 0.001 <= found.ptime <= 0.2:
        parser.error("--ptime: between 1ms and 200ms")
    if found.bitrate is not None and not BITRATES[0] <= found.bitrate <= BITRATES[1]:
        parser.error(f"--bitrate: between {BITRATES[0]} and {BITRATES[1]}")
    if found.tls_key is not None and found.tls_cert is None:
        parser.error("--tls-key is of no use without --tls-cert")
    found.codec = _usable_codecs(parser, found)
    return found


def _check_latency(parser: Parser, found: argparse.Namespace) -> None:
    most = LATENCY_MAX if found.latency_max is None else found.latency_max
    if isinstance(found.latency, float) and most < found.latency:
        parser.error("--latency-max is below --latency")


def _usable_codecs(parser: Parser, found: argparse.Namespace) -> tuple[str, ...]:
    """The codecs that are asked for; without a wish all that work here, and a line about those that do not."""
    wanted = found.codec or found.usual_codecs
    missing = {name: reason for name in wanted if (reason := codecs.missing(name)) is not None}
    if missing and found.codec:
        parser.error(f"--codec: {next(iter(missing.values()))}")
    if missing and not found.quiet:
        print(f"{parser.prog}: without {', '.join(missing)}: {'; '.join(missing.values())}", file=sys.stderr)
    return tuple(name for name in wanted if name not in missing)


def _common_values(found: argparse.Namespace) -> dict[str, Any]:
    fec: FecChoice = found.fec or fec_choice(AUTO)
    return {
        "codecs": found.codec,
        "bitrate": None if found.bitrate is None else round(found.bitrate),
        "ptime": found.ptime,
        "fec": fec.pattern,
        "fec_scheme": fec.scheme,
        "plain_fec": found.fec is not None,
        "sdp": found.sdp,
        "fec_max": found.fec_max,
        "format": found.format,
        "sip_port": found.sip_port,
        "bind": found.bind,
        "public_address": found.public_address,
        "stun": found.stun,
        "media_ports": found.rtp_port,
        "dscp": found.dscp,
        "tls": TlsFiles(found.tls_cert, found.tls_key, found.tls_ca),
        "media_timeout": found.media_timeout,
        "two_way": found.two_way,
        "input": found.input or "mic",
        "loop": bool(found.loop),
        "output": found.output or "speaker",
        "latency": None if found.latency in (None, AUTO) else found.latency,
        "latency_max": LATENCY_MAX if found.latency_max is None else found.latency_max,
        "verbosity": -1 if found.quiet else found.verbose,
        "json": found.json,
        "report": found.report,
        "stats_interval": found.stats_interval,
    }
