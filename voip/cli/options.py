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
from voip.calls import RetryRule
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
    retry_rule,
    seconds,
    stream,
    target,
    telephone_keys,
)
from voip.environment import program_name
from voip.errors import EXIT_USAGE
from voip.fec import Pattern
from voip.ip import MAX_PORT
from voip.net import DSCP_EF, TlsFiles
from voip.report import PACKETS_SHOWN
from voip.sip import Credentials, SipUri, parse_target

SIP_PORT = 5060
"""RFC 3261 section 19.1.2."""
RECEIVER_MEDIA_PORTS = (5000, 5019)
LATENCY_MAX = 0.5
"""Seconds: upper limit of the play-out delay unless --latency-max gives another."""
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
"""Callers that are accepted unless --allow is given: loopback, private and link-local addresses."""

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
    """--fec was given: without signalling FEC is sent only then, since the peer cannot say that it supports it."""
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
    device_wait: float
    """How long to wait at the start for a sound device that is not there."""
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
    """Names and passwords that callers must authenticate with; empty: none needed."""
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
    retry: RetryRule
    """How often a target whose call was lost is called again."""
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
    parser = _parser(program_name("receiver"), "Wait for SIP calls and play their audio.")
    parser.add_argument(
        "stream",
        metavar="STREAM",
        nargs="?",
        help="play a stream without signalling: rtp://[HOST]:PORT, or a session description FILE.sdp  [wait for calls]",
    )
    sound = parser.add_argument_group("sound")
    _playing(sound)
    two_way = parser.add_argument_group("both directions")
    _two_way(two_way, "also send audio (--input) to each caller; use a headset, echo is not cancelled")
    _capturing(two_way)
    answering = parser.add_argument_group("answering")
    answering.add_argument(
        "--max-calls", metavar="N", type=int, default=1, help="calls at a time; others get 486 Busy Here  [1]"
    )
    answering.add_argument(
        "--allow",
        metavar="CIDR",
        type=ip_network,
        action="append",
        help="accept calls from these networks only  [private and loopback addresses]",
    )
    answering.add_argument(
        "--answer", choices=("auto", "deny"), default="auto", help="answer automatically, or reject every call  [auto]"
    )
    answering.add_argument(
        "--once", action=argparse.BooleanOptionalAction, default=False, help="exit after the first call"
    )
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
    parser = _parser(program_name("sender"), "Call TARGET and send it the sound of the microphone.")
    parser.add_argument(
        "targets",
        metavar="TARGET",
        nargs="*",
        type=target,
        help="host[:port], sip:[user@]host[:port][;transport=udp|tcp|tls], sips:..., a user name with --registrar, or "
        "rtp://host:port to send without signalling  [127.0.0.1]",
    )
    sound = parser.add_argument_group("sound")
    _capturing(sound)
    sound.add_argument("-t", "--duration", metavar="TIME", type=seconds, help="hang up after this time")
    two_way = parser.add_argument_group("both directions")
    _two_way(two_way, "also play the audio that comes back (--output); use a headset, echo is not cancelled")
    _playing(two_way)
    calling = parser.add_argument_group("calling")
    calling.add_argument("--from", metavar="NAME", dest="name", default="", help="name to show to the peer")
    calling.add_argument(
        "--connect-timeout", metavar="TIME", type=seconds, default=10.0, help="how long to wait for an answer  [10s]"
    )
    calling.add_argument(
        "--retry",
        metavar="off|N|forever",
        type=retry_rule,
        default=RetryRule(),
        help="call again when a call is lost or not answered, N times in a row  [forever once a call was up, else off]",
    )
    calling.add_argument(
        "--dtmf",
        metavar="KEYS",
        type=telephone_keys,
        default="",
        help="send these DTMF digits (0-9*#A-D) during the call; a comma pauses for 1 s",
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
        retry=found.retry,
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
        epilog="Times take units: 60ms, 2s, 5m. Exit codes: 0 ended normally, 1 bug, 2 usage, 3 sound device or file, "
        "4 network, 5 no answer, 6 rejected, 7 authentication, 8 no media, 130 second Ctrl+C.",
    )


def _capturing(group: Group) -> None:
    group.add_argument(
        "-i",
        "--input",
        metavar="SPEC",
        help="mic, mic:NAME-OR-INDEX, FILE.wav, - (raw 16-bit samples on stdin), tone[:HZ], silence, demo  [mic]",
    )
    group.add_argument("--loop", action=argparse.BooleanOptionalAction, help="repeat the input file")


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
        help="lower limit of the play-out delay; auto: as low as the network allows  [auto]",
    )
    group.add_argument("--latency-max", metavar="TIME", type=seconds, help="upper limit of the play-out delay  [500ms]")


def _two_way(group: Group, text: str) -> None:
    group.add_argument("--two-way", action=argparse.BooleanOptionalAction, default=False, help=text)


def _needs_two_way(parser: Parser, found: argparse.Namespace, *names: str) -> None:
    """Options of the other direction are a slip where there is only one."""
    for name in names:
        if getattr(found, name) is not None and not found.two_way:
            parser.error(f"--{name.replace('_', '-')} requires --two-way")


def _common(
    parser: Parser,
    sound: Group,
    usual_codecs: tuple[str, ...],
    *,
    sip_port: int,
    media_ports: tuple[int, int] | None,
) -> None:
    """What both scripts take besides their own options."""
    sound.add_argument(
        "--format",
        metavar="RATE/CHANNELS",
        type=pcm_format,
        default=(48000, 1),
        help="sample format of - (stdin, stdout)  [48000/1]",
    )
    sound.add_argument(
        "--device-wait",
        metavar="TIME",
        type=seconds,
        default=0.0,
        help="wait so long at the start for a microphone or speaker that is not there  [0s]",
    )
    sound.add_argument("-l", "--list-devices", action="store_true", help="list microphones and speakers, and exit")
    parser.set_defaults(usual_codecs=usual_codecs)
    _coding(parser.add_argument_group("coding"), usual_codecs)
    _network(parser.add_argument_group("network"), sip_port, media_ports)
    _security(parser.add_argument_group("security"))
    _printing(parser.add_argument_group("output"))


def _coding(group: Group, usual_codecs: tuple[str, ...]) -> None:
    group.add_argument(
        "-c",
        "--codec",
        metavar="LIST",
        type=codec_names,
        help=f"codecs to offer, best first, from {','.join(codecs.NAMES)}  [{','.join(usual_codecs)}]",
    )
    group.add_argument(
        "--bitrate", metavar="BPS", type=bit_rate, help="bit rate for codecs that support several  [opus 24k, aac 64k]"
    )
    group.add_argument("--ptime", metavar="TIME", type=seconds, default=0.02, help="audio per packet  [20ms]")
    group.add_argument(
        "--fec",
        metavar="SPEC",
        type=fec_choice,
        help="auto (adapts to the loss), off, K (one XOR packet per K), sliding:0,1,3/2 (after every second packet "
        "one that protects it and those 1 and 3 before it; + adds further sets); for peers without FlexFEC: ulpfec:4 "
        "(like K, by ULPFEC), red:1 (each packet repeats the one before)  [auto; off without signalling]",
    )
    group.add_argument(
        "--fec-max", metavar="BPS", type=bit_rate, default="200k", help="upper limit of the repair packets  [200k]"
    )


def _network(group: Group, sip_port: int, media_ports: tuple[int, int] | None) -> None:
    media_text = f"{media_ports[0]}-{media_ports[1]}" if media_ports else "any"
    group.add_argument(
        "-p",
        "--sip-port",
        metavar="PORT",
        type=int,
        default=sip_port,
        help=f"local port for SIP  [{sip_port or 'any'}]",
    )
    group.add_argument("--bind", metavar="ADDR", type=ip_address, help="local address to use  [all]")
    group.add_argument(
        "--rtp-port",
        metavar="PORT[-PORT]",
        type=ports,
        default=media_ports,
        help=f"local UDP ports for media  [{media_text}]",
    )
    group.add_argument("--sdp", metavar="FILE", help="with rtp://: write a session description (SDP)")
    group.add_argument(
        "--public-address", metavar="ADDR", type=ip_address, help="address to tell peers, when behind a NAT"
    )
    group.add_argument(
        "--stun", metavar="HOST", type=host_port, help="STUN server used to find the public address  [off]"
    )
    group.add_argument(
        "--dscp", metavar="ef|off|N", type=dscp_value, default=DSCP_EF, help="DSCP marking of sent packets  [ef]"
    )
    group.add_argument(
        "--media-timeout",
        metavar="TIME",
        type=seconds,
        default=20.0,
        help="hang up after this long without media  [20s]",
    )


def _security(group: Group) -> None:
    group.add_argument("--tls-cert", metavar="FILE", help="certificate (PEM); enables TLS")
    group.add_argument("--tls-key", metavar="FILE", help="private key, if it is not in the same file")
    group.add_argument("--tls-ca", metavar="FILE", help="authorities to trust (PEM)  [the system's]")


def _printing(group: Group) -> None:
    group.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    group.add_argument(
        "-v", "--verbose", action="count", default=0, help="print FEC changes and refusals too; -vv: every packet"
    )
    group.add_argument("--json", action="store_true", help="print JSON Lines on stdout")
    group.add_argument("--report", metavar="FILE", help="write the final report as JSON")
    group.add_argument(
        "--stats-interval",
        metavar="TIME",
        type=seconds,
        default=5.0,
        help="with --json: interval of the stats events  [5s]",
    )
    group.add_argument("--version", action="version", version=f"%(prog)s {voip.__version__}")


def _parsed(parser: Parser, argv: Sequence[str] | None) -> argparse.Namespace:
    found = parser.parse_args(argv)
    if found.list_devices:
        sys.exit(show_devices(as_json=found.json))
    if not 0 <= found.sip_port <= MAX_PORT:
        parser.error(f"--sip-port {found.sip_port}: ports go up to {MAX_PORT}")
    _check_latency(parser, found)
    if not 0.001 <= found.ptime <= 0.2:
        parser.error("--ptime: between 1ms and 200ms")
    if found.bitrate is not None and not BITRATES[0] <= found.bitrate <= BITRATES[1]:
        parser.error(f"--bitrate: between {BITRATES[0]} and {BITRATES[1]}")
    if found.tls_key is not None and found.tls_cert is None:
        parser.error("--tls-key requires --tls-cert")
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
        "device_wait": found.device_wait,
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
