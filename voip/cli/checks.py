"""What must be true of several options together, or of an option and this machine."""

from __future__ import annotations

import argparse
import sys

from voip import codecs
from voip.cli.parser import Parser

LATENCY_MAX = 0.5
"""Seconds: upper limit of the play-out delay unless --latency-max gives another."""


def check_latency(parser: Parser, found: argparse.Namespace) -> None:
    """A usage error if the least play-out delay is above the most."""
    most = LATENCY_MAX if found.latency_max is None else found.latency_max
    if isinstance(found.latency, float) and most < found.latency:
        usual = " (its default)" if found.latency_max is None else ""
        parser.error(
            f"--latency {found.latency * 1e3:g}ms is above --latency-max {most * 1e3:g}ms{usual}: change one of them"
        )


def usable_codecs(parser: Parser, found: argparse.Namespace) -> tuple[str, ...]:
    """The codecs that are asked for; without a wish all that work here, and a line about those that do not."""
    wanted = found.codec or found.usual_codecs
    missing = {name: reason for name in wanted if (reason := codecs.missing(name)) is not None}
    if missing and found.codec:
        parser.error(f"--codec: {next(iter(missing.values()))}")
    if missing and not found.quiet:
        print(f"{parser.prog}: without {', '.join(missing)}: {'; '.join(missing.values())}", file=sys.stderr)
    return tuple(name for name in wanted if name not in missing)
