"""The options of both scripts, as frozen dataclasses. Names and defaults are a contract with people and programs."""

from __future__ import annotations

import argparse
import ipaddress
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from voip import codecs
from voip.calls import RetryRule
from voip.cli.accounts import account_values, add_account, complete
from voip.cli.checks import LATENCY_MAX, check_latency, usable_codecs
from voip.cli.listing import show_devices
from voip.cli.parser import Group, Parser
from voip.cli.rates import add_rates, check_rates, rate_values
from voip.cli.security import add_security, security_values
from voip.cli.values import (
    AUTO,
    FecChoice,
    IpNetwork,
    RepairLimit,
    RtpTarget,
    codec_names,
    dscp_value,
    fec_choice,
    file_to_write,
    host_port,
    ip_address,
    ip_network,
    latency,
    pcm_format,
    ports,
    retry_rule,
    seconds,
    short_time,
    stream,
    target,
    telephone_keys,
)
from voip.cli.versions import versions
from voip.conversation import Use
from voip.environment import program_name
from voip.errors import EXIT_OK
from voip.fec import Pattern
from voip.ip import MAX_PORT
from voip.net import DSCP_EF, TlsFiles
from voip.report import PACKETS_SHOWN
from voip.sdp import SrtpRule
from voip.sip import Credentials, SipUri, parse_target

SIP_PORT = 5060
"""RFC 3261 section 19.1.2."""
RECEIVER_MEDIA_PORTS = (5000, 5019)
STDOUT = "-"
"""--output of raw samples."""
THIS_MACHINE = "127.0.0.1"
"""What the sender calls unless it is told what."""
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
"""Callers that are accepted unless --allow-only is given: loopback, private and link-local addresses."""
PLAUSIBLE_WAIT = 3600.0
"""Seconds above which a time-out or an interval without a unit is taken for milliseconds, hence for a slip."""


@dataclass(frozen=True)
class CommonOptions:
    """What both scripts take; times in seconds, rates in bit/s."""

    codecs: tuple[str, ...]
    bitrate: int | None
    bitrate_max: int | None
    ptime: float
    fec: Pattern | Literal["auto"] | None
    fec_scheme: str
    fec_max: RepairLimit
    plain_fec: bool
    """--fec was given: without signalling FEC is sent only then, since the peer cannot say that it supports it."""
    sdp: str | None
    format: tuple[int, int]
    sip_port: int
    bind: str | None
    public_address: str | None
    stun: tuple[str, int | None] | None
    ice: bool
    media_ports: tuple[int, int] | None
    dscp: int
    tls: TlsFiles
    srtp: SrtpRule
    sdes_in_clear: bool
    """--srtp was given: the keys of SRTP are offered also in SIP that is not encrypted."""
    has_dtls: bool
    """Keys of SRTP can come by DTLS."""
    call_password: str | None = field(repr=False)
    """What both sides of a call share, and prove to each other."""
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
    overwrite: bool
    latency: float | None
    latency_max: float
    latency_for: Use
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

    def trusted(self, host: str) -> bool:
        """Whether the user has named just this host: a PBX or proxy, which stands for many callers."""
        address = ipaddress.ip_address(host)
        return any(address in network for network in self.allow if network.num_addresses == 1)


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
    target_given: bool
    """False: this machine is called because no target was given."""


RECEIVER_DAILY = ("output", "list_devices", "two_way", "once", "max_calls", "allow", "user", "registrar", "report")
SENDER_DAILY = (
    "input",
    "duration",
    "list_devices",
    "two_way",
    "codec",
    "fec_max",
    "dtmf",
    "user",
    "registrar",
    "report",
)
"""The options of daily use, which `--help` shows."""


def receiver_options(argv: Sequence[str] | None = None) -> ReceiverOptions:
    """The options of receiver.py; exits by itself for --help, --version, --list-devices and usage errors."""
    program = program_name("receiver")
    parser = _parser(
        program,
        "Wait for SIP calls and play their sound.",
        examples=(
            f"{program}                              play on the speaker what callers send",
            f"{program} --output call.wav --once     record one call, then exit",
            f"{program} --two-way                    talk both ways; use a headset",
        ),
        daily=RECEIVER_DAILY,
    )
    parser.add_argument(
        "stream",
        metavar="STREAM",
        nargs="?",
        help="Play a stream without signalling in place of calls: rtp://[HOST]:PORT, or FILE.sdp (a session "
        "description).",
    )
    sound = parser.add_argument_group("sound")
    _playing(sound)
    two_way = parser.add_argument_group("both directions")
    _two_way(two_way, "Also send sound (--input) to each caller. Use a headset: echo is not cancelled.")
    _capturing(two_way)
    _answering(parser.add_argument_group("answering"))
    add_account(parser.add_argument_group("account"), answers=True)
    _common(parser, sound, codecs.DEFAULT, sip_port=SIP_PORT, media_ports=RECEIVER_MEDIA_PORTS)
    found = _parsed(parser, argv)
    _needs_two_way(parser, found, "input", "loop", "bitrate_max")
    if found.max_calls < 1:
        parser.error("--max-calls: at least 1")
    account = account_values(parser, found, answers=True)
    alone = found.allow_only or map(ipaddress.ip_network, LOCAL_NETWORKS)
    return ReceiverOptions(
        **_common_values(found),
        max_calls=found.max_calls,
        allow=(*alone, *(found.allow or ())),
        answer=found.answer == "auto",
        once=bool(found.once),
        **account,
        **security_values(parser, found, streams=found.stream is not None, password=account["call_password"]),
        stream=_stream(parser, found.stream),
    )


def sender_options(argv: Sequence[str] | None = None) -> SenderOptions:
    """The options of sender.py; exits by itself for --help, --version, --list-devices and usage errors."""
    program = program_name("sender")
    parser = _parser(
        program,
        "Call TARGET and send it the sound of the microphone.",
        examples=(
            f"{program} 192.168.1.20                     call the receiver at this address",
            f"{program} --input speech.wav 192.168.1.20  play a file to it, then hang up",
            f"{program} --two-way sip:600@192.168.1.5    call a SIP phone; use a headset",
        ),
        daily=SENDER_DAILY,
    )
    parser.add_argument(
        "targets",
        metavar="TARGET",
        nargs="*",
        type=target,
        help="host[:port], sip:[user@]host[:port][;transport=udp|tcp|tls], sips:..., a user name with --registrar, or "
        "rtp://host:port to send without signalling.  [127.0.0.1]",
    )
    sound = parser.add_argument_group("sound")
    _capturing(sound)
    sound.add_argument("-t", "--duration", metavar="TIME", type=seconds, help="Hang up after this time.")
    two_way = parser.add_argument_group("both directions")
    _two_way(two_way, "Also play the sound that comes back (--output). Use a headset: echo is not cancelled.")
    _playing(two_way)
    _calling(parser.add_argument_group("calling"))
    add_account(parser.add_argument_group("account"), answers=False)
    _common(parser, sound, codecs.DEFAULT, sip_port=0, media_ports=None)
    found = _parsed(parser, argv)
    _needs_two_way(parser, found, "output", "overwrite", "latency", "latency_max", "latency_for")
    account = account_values(parser, found, answers=False)
    plain = any(isinstance(each, RtpTarget) for each in found.targets)
    return SenderOptions(
        **_common_values(found),
        name=found.name,
        dtmf=found.dtmf,
        connect_timeout=found.connect_timeout,
        retry=found.retry,
        duration=found.duration,
        targets=tuple(complete(target, found.registrar) for target in found.targets or [parse_target(THIS_MACHINE)]),
        target_given=bool(found.targets),
        **account,
        **security_values(parser, found, streams=plain, password=account["call_password"]),
    )


def _answering(group: Group) -> None:
    group.add_argument(
        "--max-calls", metavar="N", type=int, default=1, help="Calls at a time; others get 486 Busy Here.  [1]"
    )
    group.add_argument(
        "--allow",
        metavar="CIDR",
        type=ip_network,
        action="append",
        help="Also accept calls from this network, besides private and loopback addresses. May be repeated.",
    )
    group.add_argument(
        "--allow-only",
        metavar="CIDR",
        type=ip_network,
        action="append",
        help="Accept calls from this network in place of private and loopback addresses. May be repeated.",
    )
    group.add_argument(
        "--answer", choices=("auto", "deny"), default="auto", help="Answer every call, or reject every call.  [auto]"
    )
    group.add_argument("--once", action=argparse.BooleanOptionalAction, help="Exit after the first call.")


def _calling(group: Group) -> None:
    group.add_argument("--from", metavar="NAME", dest="name", default="", help="Name to show to the peer.")
    group.add_argument(
        "--connect-timeout",
        metavar="TIME",
        type=short_time(PLAUSIBLE_WAIT),
        default=10.0,
        help="How long to wait for an answer.  [10s]",
    )
    group.add_argument(
        "--retry",
        metavar="off|N|forever",
        type=retry_rule,
        default=RetryRule(),
        help="Call again when a call is lost or not answered, N times in a row.  [forever once one was up, else off]",
    )
    group.add_argument(
        "--dtmf",
        metavar="KEYS",
        type=telephone_keys,
        default="",
        help="Send these DTMF digits (0-9*#A-D) during the call. A comma pauses for 1 s.",
    )


def _stream(parser: Parser, text: str | None) -> RtpTarget | Path | None:
    """What is to be played without signalling; read last, so that a mistyped option is named first."""
    try:
        return None if text is None else stream(text)
    except argparse.ArgumentTypeError as error:
        parser.error(f"STREAM: {error}")


def _parser(program: str, description: str, *, examples: Sequence[str], daily: Sequence[str]) -> Parser:
    parser = Parser(program, description, examples=examples, daily=(*daily, "verbose"))
    parser.epilog = (
        "Times take units: 60ms, 2s, 5m, 1h. Each option can also be given by an environment variable: VOIP_FEC_MAX "
        "for --fec-max. Exit codes: 0 ended normally, 1 a bug in this program, 2 wrong option, 3 sound device or file, "
        "4 network, 5 no answer, 6 rejected, 7 authentication, 8 no media, 130 second Ctrl+C while hanging up."
    )
    return parser


def _capturing(group: Group) -> None:
    group.add_argument(
        "-i",
        "--input",
        metavar="SPEC",
        help="Where sound comes from: mic, mic:NAME-OR-INDEX, FILE.wav, - (raw 16-bit samples on stdin), tone[:HZ], "
        "silence or demo.  [mic]",
    )
    group.add_argument("--loop", action=argparse.BooleanOptionalAction, help="Repeat the input file.")


def _playing(group: Group) -> None:
    group.add_argument(
        "-o",
        "--output",
        metavar="SPEC",
        help="Where sound goes: speaker, speaker:NAME-OR-INDEX, FILE.wav, - (raw 16-bit samples on stdout) or null.  "
        "[speaker]",
    )
    group.add_argument(
        "--overwrite",
        action=argparse.BooleanOptionalAction,
        help="Let --output FILE.wav replace a file. Otherwise the sound goes to FILE-2.wav. Either is created when the "
        "first call comes.",
    )
    group.add_argument(
        "--latency",
        metavar="auto|TIME",
        type=latency,
        help="Lower limit of the play-out delay. With auto it is as low as the network allows.  [auto]",
    )
    group.add_argument(
        "--latency-max",
        metavar="TIME",
        type=short_time(),
        help="Upper limit of the play-out delay. Packets that come even later are not played.  [500ms]",
    )
    group.add_argument(
        "--latency-for",
        choices=[use.value for use in Use],
        help="What the delay that auto chooses is weighed for: quick answers, or sound that is whole however late.  "
        "[conversation]",
    )


def _two_way(group: Group, text: str) -> None:
    group.add_argument("--two-way", action=argparse.BooleanOptionalAction, help=text)


def _needs_two_way(parser: Parser, found: argparse.Namespace, *names: str) -> None:
    """Options of the other direction are a slip where there is only one, but not in the environment of both scripts."""
    for name in names:
        if found.two_way or getattr(found, name) is None:
            continue
        if not parser.is_from_environment(found, name):
            parser.error(f"--{name.replace('_', '-')} requires --two-way")
        setattr(found, name, None)


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
        help="Sample rate and channels of the raw samples of --input - and --output -.  [48000/1]",
    )
    sound.add_argument(
        "--device-wait",
        metavar="TIME",
        type=seconds,
        default=0.0,
        help="How long to wait at the start for a microphone or speaker that is not there.  [0s]",
    )
    sound.add_argument(
        "-l", "--list-devices", action=argparse.BooleanOptionalAction, help="List microphones and speakers, and exit."
    )
    parser.set_defaults(usual_codecs=usual_codecs)
    _coding(parser.add_argument_group("coding"), usual_codecs)
    _network(parser.add_argument_group("network"), sip_port, media_ports)
    add_security(parser.add_argument_group("security"))
    _printing(parser.add_argument_group("output"))


def _coding(group: Group, usual_codecs: tuple[str, ...]) -> None:
    group.add_argument(
        "-c",
        "--codec",
        metavar="LIST",
        type=codec_names,
        help=f"Codecs to offer, best first, from {','.join(codecs.NAMES)}.  [{','.join(usual_codecs)}]",
    )
    add_rates(group)
    group.add_argument(
        "--ptime", metavar="TIME", type=short_time(), default=0.02, help="Length of the sound in a packet.  [20ms]"
    )
    group.add_argument(
        "--fec",
        metavar="SPEC",
        type=fec_choice,
        help="Which repair packets are sent (forward error correction). auto: as the loss requires; off; K: one XOR "
        "packet for each K packets; sliding:0,1,3/2: after every second packet one that protects it and those 1 and 3 "
        "before it (+ adds further sets). For peers without FlexFEC: ulpfec:4 (like K, by ULPFEC), red:1 (each packet "
        "repeats the one before).  [auto; off without signalling]",
    )


def _network(group: Group, sip_port: int, media_ports: tuple[int, int] | None) -> None:
    media_text = f"{media_ports[0]}-{media_ports[1]}" if media_ports else "any"
    group.add_argument(
        "-p",
        "--sip-port",
        metavar="PORT",
        type=int,
        default=sip_port,
        help=f"Local port for SIP.  [{sip_port or 'any'}]",
    )
    group.add_argument("--bind", metavar="ADDR", type=ip_address, help="The one local address to use.  [all]")
    group.add_argument(
        "--rtp-port",
        metavar="PORT[-PORT]",
        type=ports,
        default=media_ports,
        help=f"Local UDP ports for media.  [{media_text}]",
    )
    group.add_argument(
        "--sdp",
        metavar="FILE",
        type=file_to_write,
        help="Write the session description (SDP) of a stream without signalling, for other programs to read.",
    )
    group.add_argument(
        "--public-address", metavar="ADDR", type=ip_address, help="Address to tell peers, when behind a NAT."
    )
    group.add_argument(
        "--stun", metavar="HOST", type=host_port, help="STUN server that is asked for the public address.  [off]"
    )
    group.add_argument(
        "--ice",
        action="store_true",
        help="Offer ICE in calls of our own, as browsers want it; what a peer offers is taken without it.  [off]",
    )
    group.add_argument(
        "--dscp", metavar="ef|off|N", type=dscp_value, default=DSCP_EF, help="DSCP marking of sent packets.  [ef]"
    )
    group.add_argument(
        "--media-timeout",
        metavar="TIME",
        type=short_time(PLAUSIBLE_WAIT),
        default=20.0,
        help="Hang up on a peer that sends nothing and does not respond for so long.  [20s]",
    )


def _printing(group: Group) -> None:
    group.add_argument("-q", "--quiet", action=argparse.BooleanOptionalAction, help="Print errors only.")
    group.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="Print decisions and refusals, too; -vv: every packet. With -vv each SIP message and RTCP packet is shown "
        "with its time.",
    )
    group.add_argument("--json", action=argparse.BooleanOptionalAction, help="Print events as JSON Lines on stdout.")
    group.add_argument(
        "--report", metavar="FILE", type=file_to_write, help="Write the final report as JSON to this file."
    )
    group.add_argument(
        "--stats-interval",
        metavar="TIME",
        type=short_time(PLAUSIBLE_WAIT),
        default=5.0,
        help="Interval of the regular statistics: the events of --json, and the lines in a log.  [5s]",
    )
    group.add_argument("--version", action="store_true", help="Print the versions of this program and its libraries.")


def _parsed(parser: Parser, argv: Sequence[str] | None) -> argparse.Namespace:
    found = parser.parse(argv)
    if found.version:
        print("\n".join(versions(parser.prog)))
        sys.exit(EXIT_OK)
    if found.list_devices:
        sys.exit(show_devices(as_json=bool(found.json)))
    if found.json and found.output == STDOUT:
        parser.error("--json and --output - both need stdout: use --report FILE, or --output FILE.wav")
    if not 0 <= found.sip_port <= MAX_PORT:
        parser.error(f"--sip-port {found.sip_port}: ports go up to {MAX_PORT}")
    check_latency(parser, found)
    if not 0.001 <= found.ptime <= 0.2:
        parser.error("--ptime: between 1ms and 200ms")
    check_rates(parser, found)
    found.codec = usable_codecs(parser, found)
    return found


def _common_values(found: argparse.Namespace) -> dict[str, Any]:
    fec: FecChoice = found.fec or fec_choice(AUTO)
    return {
        "codecs": found.codec,
        **rate_values(found),
        "ptime": found.ptime,
        "fec": fec.pattern,
        "fec_scheme": fec.scheme,
        "plain_fec": found.fec is not None,
        "sdp": found.sdp,
        "format": found.format,
        "sip_port": found.sip_port,
        "bind": found.bind,
        "public_address": found.public_address,
        "stun": found.stun,
        "ice": found.ice,
        "media_ports": found.rtp_port,
        "dscp": found.dscp,
        "media_timeout": found.media_timeout,
        "device_wait": found.device_wait,
        "two_way": bool(found.two_way),
        "input": found.input or "mic",
        "loop": bool(found.loop),
        "output": found.output or "speaker",
        "overwrite": bool(found.overwrite),
        "latency": None if found.latency in (None, AUTO) else found.latency,
        "latency_max": LATENCY_MAX if found.latency_max is None else found.latency_max,
        "latency_for": Use(found.latency_for or Use.CONVERSATION),
        "verbosity": -1 if found.quiet else found.verbose,
        "json": bool(found.json),
        "report": found.report,
        "stats_interval": found.stats_interval,
    }
