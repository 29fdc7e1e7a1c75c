"""Option arguments to values: times, ports, codecs, addresses. The error of a wrong one says how to write it."""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from voip import codecs
from voip.audio import DtmfSender
from voip.calls import RetryRule
from voip.devices import new_file
from voip.fec import Pattern, parse_pattern, red, ulpfec
from voip.formats import SCHEMES, DatagramFormat, bare_sip, find_format, usual_port
from voip.ip import MAX_PORT
from voip.media import FLEXFEC, RED, ULPFEC
from voip.net import DSCP_EF, find_zone, learn_zone
from voip.sip import SipUri, parse_target
from voip.sip.grammar import format_host

KNOWN_CODECS = codecs.NAMES
"""Names of --codec, best first."""

AUTO: Literal["auto"] = "auto"
"""The program decides."""

LONG_DELAY = 3.0
"""Seconds above which a delay without a unit is taken for milliseconds, hence for a slip."""

REPAIR_FLOOR = 200e3
"""Bit/s that repair packets may take in any case where their limit is a multiple of the media's rate: speech at a low
rate needs more of them than it has packets of its own."""

SEED0 = "seed0"
"""The format that has signalling of its own."""
RTP_SCHEME = "rtp://"
"""How a target without signalling begins."""

_ZONED = re.compile(r"(fe[89ab][0-9a-f]:[0-9a-f:]*)%(?:25)?([A-Za-z0-9_.-]+)", re.IGNORECASE)
"""A link-local address and its zone (RFC 4007 section 11; %25 as in URIs, RFC 6874)."""

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def seconds(text: str) -> float:
    """`60ms`, `2s`, `1.5m`, `1h` or a bare number of seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|h)?", text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: write 60ms, 2s, 5m or 1h")
    return float(match[1]) * {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}[match[2]]


def short_time(longest: float = LONG_DELAY) -> Callable[[str], float]:
    """Takes times; a number without a unit above `longest` seconds must have been meant as milliseconds."""

    def convert(text: str) -> float:
        found = seconds(text)
        if found > longest and text.strip()[-1:] not in "smhSMH":
            raise argparse.ArgumentTypeError(
                f"{text!r} has no unit, which makes it {text.strip()} seconds: write {text.strip()}ms, or "
                f"{text.strip()}s if that is what you mean"
            )
        return found

    return convert


def latency(text: str) -> float | Literal["auto"]:
    """A time, or `auto`."""
    return AUTO if text.strip().lower() == AUTO else short_time()(text)


def file_to_write(text: str) -> str:
    """A file that is written later. What keeps it from being written is found now; a file that is there stays."""
    try:
        new_file.check(Path(text), replace=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text}: {error.strerror}") from error
    return text


def retry_rule(text: str) -> RetryRule:
    """`off`, `forever`, or how often to call again in a row."""
    word = text.strip().lower()
    if word in ("off", "forever"):
        return RetryRule(0) if word == "off" else RetryRule(None, from_start=True)
    if not word.isdecimal() or not word.isascii():
        raise argparse.ArgumentTypeError(f"{text!r} is not off, a number of tries, or forever")
    return RetryRule(int(word), from_start=True)


def bit_rate(text: str) -> float:
    """`24000`, `32k` or `1.5M`: bits per second."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([kM]?)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a bit rate: write 24000 or 24k")
    return float(match[1]) * {"": 1.0, "k": 1e3, "M": 1e6}[match[2]]


class RepairLimit(NamedTuple):
    """What repair packets may take: `rate` in bit/s, or `media_factor` times the media's rate, if that is more."""

    rate: float
    media_factor: float = 0.0


def repair_limit(text: str) -> RepairLimit:
    """`200k`: a bit rate; `2x`: so many times the media's, or `REPAIR_FLOOR`, whichever is more."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*x", text.strip())
    return RepairLimit(bit_rate(text)) if match is None else RepairLimit(REPAIR_FLOOR, float(match[1]))


def ports(text: str) -> tuple[int, int]:
    """`5000` or `5000-5019`."""
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    first = int(match[1]) if match else -1
    last = int(match[2] or first) if match else -1
    if not 0 < first <= last <= MAX_PORT:
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
        raise argparse.ArgumentTypeError(f"{text!r}: supported codecs are {', '.join(KNOWN_CODECS)}")
    return names


COPIES = "copies"
"""Copies at a low bit rate, by RED."""


class FecChoice(NamedTuple):
    """A scheme, and which packets it protects: None for `off`, or `auto`.

    `copies`: also copies at a low bit rate, where they lose less than the repair packets that there is room for;
    `saves_bits`: and where they lose little more.
    """

    scheme: str
    pattern: Pattern | Literal["auto"] | None
    copies: bool = False
    saves_bits: bool = False


def fec_choice(text: str) -> FecChoice:
    """What `--fec` says.

    `auto`, `off`, a pattern of repair packets, `ulpfec:` and such a pattern, `red:` and a number of packets to repeat,
    `copies:` and how far back the packets are that each repeats at a low bit rate, or `copies` for both as it is best.
    """
    name, _, rest = text.strip().lower().partition(":")
    try:
        if name == RED:
            return FecChoice(RED, red.repetition(_copies(rest)))
        if name == COPIES:
            if rest in ("", AUTO):
                return FecChoice(FLEXFEC, AUTO, copies=True, saves_bits=True)
            return FecChoice(RED, red.copies(text.strip().lower()))
        if name == ULPFEC:
            pattern = AUTO if rest in ("", AUTO) else ulpfec.fitting(parse_pattern(rest))
            return FecChoice(ULPFEC, pattern)
        return FecChoice(FLEXFEC, AUTO, copies=True) if name == AUTO else FecChoice(FLEXFEC, parse_pattern(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _copies(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 3):
        raise ValueError(f"{text!r} is not a number of packets to repeat: write red:1")
    return int(text or "1")


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
        return str(ipaddress.ip_address(without_zone(text)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from error


def without_zone(text: str) -> str:
    """An address or URI with a link-local address in it: the zone, which is for this machine alone, is remembered."""
    found = _ZONED.search(text)
    if found is None:
        return text
    host, zone = found.groups()
    try:
        learn_zone(host, zone)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: this machine has no interface {zone}") from error
    return text[: found.end(1)] + text[found.end() :]


def _reachable(host: str) -> None:
    """Refuse a link-local address whose interface is unknown."""
    if not find_zone(host):
        raise argparse.ArgumentTypeError(
            f"{host} is a link-local address: add the interface it is reached by, such as {host}%eth0"
        )


def sip_host(text: str) -> SipUri:
    """A server: `host[:port]` or a SIP URI without a user."""
    uri = sip_target(text)
    if uri.user is not None:
        raise argparse.ArgumentTypeError(f"{text!r} contains a user: write host[:port] or sip:host[:port]")
    return uri


def sip_target(text: str) -> SipUri:
    try:
        uri = parse_target(without_zone(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    _reachable(uri.host)
    return uri


def host_port(text: str) -> tuple[str, int | None]:
    """`host`, `host:3478`, `[2001:db8::1]:3478` or a bare address; no port: as the DNS says, or the usual one."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?|([0-9A-Fa-f:]+)", text.strip())
    port = int(match[3]) if match and match[3] else None
    if match is None or (port is not None and not 0 < port <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"{text!r} is not a server: write host or host:port")
    return match[1] or match[2] or match[4], port


class RtpTarget(NamedTuple):
    """`rtp://host:port`: media without signalling; or, with a `form`, datagrams of another format (`pcm://host:port`).

    `query` is what the user has written about that format. signalling_port: it is called there first, by the signalling
    of the format.
    """

    host: str
    port: int
    form: DatagramFormat | None = None
    query: str = ""
    signalling_port: int | None = None

    def __str__(self) -> str:
        scheme = RTP_SCHEME if self.form is None else f"{self.form.scheme}://"
        return f"{scheme}{format_host(self.host, self.port)}{self.query}"


def rtp_target(text: str) -> RtpTarget:
    """`rtp://host:port`, or `rtp://:port` for all addresses of this machine."""
    try:
        found = urlsplit(without_zone(text))
        host, port = found.hostname or "", found.port
    except ValueError:
        port = None
    if not port or found.path or found.query or found.username:
        raise argparse.ArgumentTypeError(f"{text!r}: write {RTP_SCHEME}HOST:PORT, such as rtp://192.0.2.1:5004")
    _reachable(host)
    return RtpTarget(host, port)


def format_target(text: str) -> RtpTarget:
    """`pcm://host:port` and the like, with `?rate=48000&channels=2` where both differ from what is usual."""
    scheme = _scheme(text)
    try:
        found = urlsplit(without_zone(text))
        host, port = found.hostname or "", usual_port(scheme) if found.port is None else found.port
        wanted = {name: int(value) for name, value in parse_qsl(found.query, strict_parsing=bool(found.query))}
    except ValueError:
        port, wanted = 0, {}
    signalling = wanted.pop("sip", None) if scheme == SEED0 else None
    if not port or found.path or found.username or found.fragment or set(wanted) - {"rate", "channels"}:
        raise argparse.ArgumentTypeError(f"{text!r}: write {scheme}://HOST:PORT or {scheme}://HOST:PORT?rate=48000")
    form = find_format(scheme, wanted.get("rate"), wanted.get("channels", 1))
    if form is None:
        raise argparse.ArgumentTypeError(f"{text!r}: {scheme} has no such rate, or more than channels=2")
    if form.needs:
        raise argparse.ArgumentTypeError(f"{text!r}: {form.needs}")
    _reachable(host)
    return RtpTarget(host, port, form, f"?{found.query}" if found.query else "", signalling)


def seed0_stream(port: int) -> RtpTarget:
    """What comes by the dialect of that name, whose media comes to this port."""
    return RtpTarget("", port, find_format(SEED0))


def seed0_target(uri: SipUri) -> RtpTarget:
    """The same for one who is called."""
    port = uri.port or bare_sip.PORT
    return RtpTarget(uri.host, usual_port(SEED0), find_format(SEED0), f"?sip={port}", port)


def _scheme(text: str) -> str:
    """The name of a format that a target begins with; "" for another target."""
    scheme, found, _ = text.lower().partition("://")
    return scheme if found and scheme in SCHEMES else ""


def target(text: str) -> SipUri | RtpTarget:
    """What to call: a SIP address, or where to send RTP or other datagrams."""
    if text.lower().startswith(RTP_SCHEME) or _scheme(text):
        found = format_target(text) if _scheme(text) else rtp_target(text)
        if not found.host:
            raise argparse.ArgumentTypeError(f"{text!r} has no host")
        return found
    return sip_target(text)


def stream(text: str) -> RtpTarget | Path:
    """What to play without signalling: what comes to a port, or what a session description says."""
    if _scheme(text):
        return format_target(text)
    if text.lower().startswith(RTP_SCHEME):
        return rtp_target(text)
    return Path(text)


def telephone_keys(text: str) -> str:
    """DTMF digits that can be sent."""
    try:
        DtmfSender(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
    return text
