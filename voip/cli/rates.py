"""The options of bit rates: of the codec, and of all that is sent."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from voip.cli.parser import Group, Parser
from voip.cli.values import RtpTarget, bit_rate
from voip.codecs import Codec
from voip.congestion.coding import LONGEST
from voip.errors import VoipError
from voip.ip import IP_UDP_HEADER
from voip.rtp import HEADER_BYTES
from voip.sdp import effective_ptime

BITRATES = (6000, 510000)
"""Bit/s that --bitrate may be: RFC 7587 section 3.1.1."""
LEAST_BITRATE_MAX = 20_000
"""Bit/s that --bitrate-max may be at least: Opus at 9 kbit/s takes 14 to 19 in packets of 60 ms, the most of it
encrypted over IPv6."""


def add_rates(group: Group) -> None:
    """The options of both scripts."""
    group.add_argument(
        "--bitrate", metavar="BPS", type=bit_rate, help="Bit rate of a codec that has several.  [opus 24k, aac 64k]"
    )
    group.add_argument(
        "--bitrate-max",
        metavar="BPS",
        type=bit_rate,
        help="Upper limit of all that is sent to a peer, with repair packets and the headers of IP. Codecs that need "
        "more are left out.  [what the line carries]",
    )


def check_rates(parser: Parser, found: argparse.Namespace) -> None:
    """A usage error for rates that cannot be."""
    if found.bitrate is not None and not BITRATES[0] <= found.bitrate <= BITRATES[1]:
        parser.error(f"--bitrate: between {BITRATES[0]} and {BITRATES[1]}")
    if found.bitrate_max is not None and found.bitrate_max < LEAST_BITRATE_MAX:
        parser.error(f"--bitrate-max: at least {LEAST_BITRATE_MAX}")


def check_formats(parser: Parser, found: argparse.Namespace, targets: Iterable[object]) -> None:
    """A usage error for a target whose datagrams, of one bit rate, exceed --bitrate-max."""
    for each in targets:
        form = each.form if isinstance(each, RtpTarget) else None
        if form is None or found.bitrate_max is None:
            continue
        needed = 8 * (IP_UDP_HEADER[4] + form.datagram_bytes) / form.packet_time
        if needed > found.bitrate_max:
            parser.error(f"--bitrate-max {found.bitrate_max / 1e3:.4g}k: {each} takes {needed / 1e3:.0f}k")


def rate_values(found: argparse.Namespace) -> dict[str, Any]:
    """What they say, as fields of the options' dataclasses."""
    return {
        "bitrate": None if found.bitrate is None else round(found.bitrate),
        "bitrate_max": None if found.bitrate_max is None else round(found.bitrate_max),
    }


def within(limit: float, codecs: Sequence[Codec], ptime: float) -> tuple[Codec, ...]:
    """Those that can be sent at no more than `limit` bit/s, all headers of IPv4 included, in packets of `ptime` seconds
    or, where the bit rate can be lowered, in longer ones; VoipError if there is none."""
    rates = {codec: _least(codec, ptime) for codec in codecs}
    found = tuple(codec for codec in codecs if rates[codec] <= limit)
    if codecs and not found:
        needed = ", ".join(f"{codec.label} {rate / 1e3:.0f}k" for codec, rate in rates.items())
        raise VoipError(f"--bitrate-max {limit / 1e3:.4g}k is less than any codec needs: {needed}")
    return found


def _least(codec: Codec, ptime: float) -> float:
    seconds = effective_ptime(codec, ptime)
    header = 8 * (IP_UDP_HEADER[4] + HEADER_BYTES)
    lowest = codec.limited(0).bitrate
    if lowest is not None:
        return lowest + header / (max(seconds, LONGEST) if codec.implementation.adapts else seconds)
    return (8 * codec.encoded_size(round(codec.sample_rate * seconds)) + header) / seconds
