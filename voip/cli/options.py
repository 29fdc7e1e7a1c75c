"""The options of both scripts, as frozen dataclasses. Names and defaults are a contract with people and programs."""

from __future__ import annotations

import argparse
import ipaddress
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voip import codecs
from voip.calls import Answer, RetryRule
from voip.cli.accounts import account_values, add_account, shown_name
from voip.cli.answering import add_answering, add_per_caller, answering_values
from voip.cli.calling import (
    PLAUSIBLE_WAIT,
    add_announce,
    add_calling,
    announce_value,
    calling_values,
)
from voip.cli.capturing import add_pcap
from voip.cli.checks import LATENCY_MAX, check_latency, usable_codecs
from voip.cli.compat import add_compat, stream_of
from voip.cli.daily import RECEIVER_DAILY, SENDER_DAILY
from voip.cli.fec import add_fec, fec_values
from voip.cli.linking import DirectoryPlace, add_directory, directory_value
from voip.cli.listing import show_devices
from voip.cli.parser import Group, Parser
from voip.cli.rates import add_rates, check_formats, check_rates, rate_values
from voip.cli.security import add_security, security_values
from voip.cli.sharing import Place
from voip.cli.targets import add_targets
from voip.cli.values import (
    AUTO,
    FecChoice,
    IpNetwork,
    RepairLimit,
    RtpTarget,
    codec_names,
    dscp_value,
    file_to_write,
    host_port,
    ip_address,
    latency,
    pcm_format,
    ports,
    seconds,
    short_time,
)
from voip.cli.versions import versions
from voip.cli.web import WebAddress, add_web
from voip.conversation import Use
from voip.environment import program_name
from voip.errors import EXIT_OK
from voip.ip import MAX_PORT
from voip.net import DSCP_EF, TlsFiles
from voip.report import PACKETS_SHOWN
from voip.sdp import SrtpRule
from voip.sip import Credentials, SipUri

SIP_PORT = 5060
"""RFC 3261 section 19.1.2."""
RECEIVER_MEDIA_PORTS = "5000-5019, more for more calls"
STDOUT = "-"
"""--output of raw samples."""


@dataclass(frozen=True)
class CommonOptions:
    """What both scripts take; times in seconds, rates in bit/s."""

    codecs: tuple[str, ...]
    bitrate: int | None
    bitrate_max: int | None
    ptime: float
    fec: FecChoice
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
    pcap: str | None
    """Where all packets are captured to."""
    stats_interval: float
    web: WebAddress | None
    """Where to serve a page, None for nowhere."""
    directory: DirectoryPlace | None
    """Which directory is asked for names, and knows ours."""

    @property
    def hides_library_noise(self) -> bool:
        """Whether what sound libraries print is kept away: up to -v."""
        return self.verbosity < PACKETS_SHOWN


@dataclass(frozen=True)
class ReceiverOptions(CommonOptions):
    max_calls: int
    conference: bool
    """Each caller hears the others."""
    allow: tuple[IpNetwork, ...]
    allow_own: bool
    """Also callers on this machine, whatever its addresses are: unless --allow-only says who may call."""
    answer: Answer
    once: bool
    output_per_caller: Path | None
    """Where each caller is recorded by itself."""
    users: Mapping[str, str] = field(repr=False)
    """Names and passwords that callers must authenticate with; empty: none needed."""
    stream: RtpTarget | Path | None
    announce: str | None
    """The name to announce on the local network, "" for the machine's; None: nothing is announced."""
    workers: int
    """Processes that share the calls."""
    place: Place | None = None
    """Which of them this one is; None: it is the one that was started, or the only one."""

    def allowed(self, host: str, is_own: Callable[[str], bool] = lambda host: False) -> bool:
        """Whether a caller at this address may call; `is_own` says whether it is one of this machine."""
        address = ipaddress.ip_address(host)
        return any(address in network for network in self.allow) or (self.allow_own and is_own(host))

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
    message: str
    """A text for each peer, "" for none."""
    calls: bool
    """False: only the text is sent."""
    targets: tuple[SipUri | RtpTarget, ...]
    names: tuple[str, ...]
    """More targets, whose addresses are to be found among those that announce themselves."""
    browse: bool
    """The user chooses a target of those."""
    target_given: bool
    """False: this machine is called because no target was given."""

    @property
    def waits(self) -> bool:
        """Whether it goes on without a call: those are begun on its page, or from the directory."""
        known = self.directory is not None and self.directory.name is not None
        return self.web is not None or (known and not self.target_given)


def receiver_options(argv: Sequence[str] | None = None) -> ReceiverOptions:
    """The options of receiver.py; exits by itself for --help, --version, --list-devices and usage errors."""
    return read_receiver(receiver_parser(), argv)


def receiver_parser() -> Parser:
    """What receiver.py takes. It can be read with more than once."""
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
        help="Play a stream without signalling in place of calls: rtp://[HOST]:PORT, FILE.sdp (a session "
        "description), or pcm://[HOST]:PORT, seq16://... or adts://... (bare datagrams).",
    )
    sound = parser.add_argument_group("sound")
    _playing(sound)
    add_per_caller(sound)
    two_way = parser.add_argument_group("both directions")
    _two_way(two_way, "Also send sound (--input) to each caller. Use a headset: echo is not cancelled.")
    _capturing(two_way)
    add_answering(group := parser.add_argument_group("answering"))
    add_announce(group)
    add_directory(group, answers=True)
    add_account(parser.add_argument_group("account"), answers=True)
    _common(parser, sound, codecs.DEFAULT, sip_port=SIP_PORT, media_text=RECEIVER_MEDIA_PORTS)
    return parser


def read_receiver(parser: Parser, argv: Sequence[str] | None) -> ReceiverOptions:
    """`argv` (None: of this process) by the parser of receiver.py; exits as `receiver_options` does."""
    found = _parsed(parser, argv)
    _needs_two_way(parser, found, "input", "loop", "bitrate_max")
    answering = answering_values(parser, found)
    account = account_values(parser, found, answers=True)
    return ReceiverOptions(
        **_common_values(found),
        **answering,
        announce=announce_value(parser, found),
        directory=directory_value(parser, found, usual=""),
        **account,
        **security_values(parser, found, streams=bool(found.stream or found.compat), password=account["call_password"]),
        stream=stream_of(parser, found),
    )


def sender_options(argv: Sequence[str] | None = None) -> SenderOptions:
    """The options of sender.py; exits by itself for --help, --version, --list-devices and usage errors."""
    return read_sender(sender_parser(), argv)


def sender_parser() -> Parser:
    """What sender.py takes. It can be read with more than once."""
    program = program_name("sender")
    parser = _parser(
        program,
        "Call each TARGET and send it the sound of the microphone.",
        examples=(
            f"{program} 192.168.1.20                     call the receiver at this address",
            f"{program} --input speech.wav 192.168.1.20  play a file to it, then hang up",
            f"{program} --two-way sip:600@192.168.1.5    call a SIP phone; use a headset",
        ),
        daily=SENDER_DAILY,
    )
    sound = parser.add_argument_group("sound")
    _capturing(sound)
    sound.add_argument("-t", "--duration", metavar="TIME", type=seconds, help="Hang up after this time.")
    two_way = parser.add_argument_group("both directions")
    _two_way(two_way, "Also play the sound that comes back (--output). Use a headset: echo is not cancelled.")
    _playing(two_way)
    calling = parser.add_argument_group("calling")
    add_targets(parser, calling)
    add_calling(calling)
    add_directory(calling, answers=False)
    add_account(parser.add_argument_group("account"), answers=False)
    _common(parser, sound, codecs.DEFAULT, sip_port=0, media_text="any")
    return parser


def read_sender(parser: Parser, argv: Sequence[str] | None) -> SenderOptions:
    """`argv` (None: of this process) by the parser of sender.py; exits as `sender_options` does."""
    found = _parsed(parser, argv)
    _needs_two_way(parser, found, "output", "overwrite", "latency", "latency_max", "latency_for")
    directory = directory_value(parser, found, usual=None)
    account = account_values(parser, found, answers=False)
    called = calling_values(parser, found)
    check_formats(parser, found, called["targets"])
    plain = any(isinstance(each, RtpTarget) for each in called["targets"])
    return SenderOptions(
        **_common_values(found),
        directory=directory,
        name=shown_name(found),
        dtmf=found.dtmf,
        connect_timeout=found.connect_timeout,
        retry=found.retry,
        duration=found.duration,
        **called,
        **account,
        **security_values(parser, found, streams=plain, password=account["call_password"]),
    )


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
    media_text: str,
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
    _network(parser.add_argument_group("network"), sip_port, media_text)
    add_compat(parser.add_argument_group("dialects"))
    add_security(parser.add_argument_group("security"))
    output = parser.add_argument_group("output")
    _printing(output)
    add_web(output)


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
    add_fec(group)


def _network(group: Group, sip_port: int, media_text: str) -> None:
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
        help=f"Local UDP ports for media.  [{media_text}]",
    )
    group.add_argument(
        "--sdp",
        metavar="FILE",
        type=file_to_write,
        help="Write the session description (SDP) of a stream without signalling, for other programs to read.",
    )
    _nat_traversal(group)
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


def _nat_traversal(group: Group) -> None:
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
    add_pcap(group)
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
    return {
        "codecs": found.codec,
        **rate_values(found),
        "ptime": found.ptime,
        **fec_values(found),
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
        "pcap": found.pcap,
        "stats_interval": found.stats_interval,
        "web": found.web,
    }
