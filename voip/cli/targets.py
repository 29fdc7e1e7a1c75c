"""Whom the sender calls: the targets of the command line, and those of a file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from voip.cli.accounts import complete
from voip.cli.compat import spoken
from voip.cli.parser import Group, Parser
from voip.cli.values import RtpTarget, target
from voip.sip import SipUri, parse_target
from voip.sip.neighbours import is_name, may_be_host

THIS_MACHINE = "127.0.0.1"
"""What the sender calls unless it is told what."""
COMMENT = "#"
"""Begins a comment, at the beginning of a line or after a blank: within an address it is a character like others."""


class Name(NamedTuple):
    """What a target without any mark of an address is called: looked for among those that announce themselves."""

    text: str

    def __str__(self) -> str:
        return self.text


Target = SipUri | RtpTarget | Name


def add_targets(parser: Parser, group: Group) -> None:
    """TARGET ..., and in this group --targets-file."""
    parser.add_argument(
        "targets",
        metavar="TARGET",
        nargs="*",
        type=target_or_name,
        help="host[:port], sip:[user@]host[:port][;transport=udp|tcp|tls], sips:..., a name that a receiver announces, "
        "a user name with --registrar, or rtp://, pcm://, seq16:// or adts://host:port to send without signalling. "
        "Several are sent the same sound.  [127.0.0.1]",
    )
    group.add_argument(
        "--targets-file",
        metavar="FILE",
        type=targets_file,
        default=[],
        help="More targets, one on each line; what follows # is a comment.",
    )


def target_or_name(text: str) -> Target:
    """What to call: as `target`, or a name without any mark of an address."""
    return Name(text.strip()) if is_name(text.strip()) else target(text)


def given_targets(parser: Parser, found: argparse.Namespace) -> list[Target]:
    """Those of the command line, then those of the file; or this machine, unless one is going to be chosen. Each is
    called once, however often it is named. With a registrar a name that could be a user's is one. Usage errors exit."""
    targets: dict[str, Target] = {}
    for each in (*found.targets, *found.targets_file):
        whole = each
        if isinstance(each, Name) and found.registrar is not None and may_be_host(each.text):
            whole = target(each.text)
        if not isinstance(whole, Name):
            whole = complete(spoken(whole, found), found.registrar)
        if str(whole) in targets and not found.quiet:
            print(f"{parser.prog}: {whole} is named more than once, and called once", file=sys.stderr)
        targets[str(whole)] = whole
    if found.sdp is not None and sum(isinstance(each, RtpTarget) for each in targets.values()) > 1:
        parser.error("--sdp describes one stream: with several rtp:// targets each would replace the file")
    if found.browse and targets:
        parser.error("--browse: what is chosen is called; leave out TARGET")
    usual = [] if found.browse else [spoken(parse_target(THIS_MACHINE), found)]
    return list(targets.values()) or [*usual]


def targets_file(path: str) -> list[Target]:
    """What a file of targets names; it has one at least."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise argparse.ArgumentTypeError(f"{path} is not a text file") from error
    found = [*_read(path, text.splitlines())]
    if not found:
        raise argparse.ArgumentTypeError(f"{path} names no target")
    return found


def _read(path: str, lines: Iterable[str]) -> Iterator[Target]:
    for number, line in enumerate(lines, 1):
        words = line.split()
        comment = next((at for at, word in enumerate(words) if word.startswith(COMMENT)), len(words))
        if not comment:
            continue
        try:
            if comment > 1:
                raise argparse.ArgumentTypeError(f"{' '.join(words[:comment])!r}: write one target on each line")
            yield target_or_name(words[0])
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{path}, line {number}: {error}") from error
