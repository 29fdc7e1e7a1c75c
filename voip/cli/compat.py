"""--compat: calls with programs that speak a dialect of SIP and RTP."""

from __future__ import annotations

import argparse
from pathlib import Path

from voip.cli.parser import Group, Parser
from voip.cli.values import RtpTarget, seed0_stream, seed0_target, stream
from voip.sip import SipUri

SEED0 = "seed0"


def add_compat(group: Group) -> None:
    """The option."""
    group.add_argument(
        "--compat",
        choices=(SEED0,),
        help="Call, or answer, programs of a dialect: seed0 has SIP without header fields, samples as payload type 0, "
        "and parity as 127. Media goes to port 5000; to us at the first of --rtp-port.  [off]",
    )


def stream_of(parser: Parser, found: argparse.Namespace) -> RtpTarget | Path | None:
    """What is to be played without signalling, or with that of a dialect; read last, so that a mistyped option is named
    first."""
    if found.stream is None:
        return seed0_stream(found.rtp_port[0]) if found.compat == SEED0 else None
    try:
        return stream(found.stream)
    except argparse.ArgumentTypeError as error:
        parser.error(f"STREAM: {error}")


def spoken(target: SipUri | RtpTarget, found: argparse.Namespace) -> SipUri | RtpTarget:
    """A target as it is called: in the dialect, where one is spoken."""
    return seed0_target(target) if found.compat == SEED0 and isinstance(target, SipUri) else target
