"""The options of making a call, of texts, and of finding who can be called."""

from __future__ import annotations

import argparse
from typing import Any

from voip.calls import RetryRule
from voip.cli.parser import Group, Parser
from voip.cli.targets import Name, given_targets
from voip.cli.values import RtpTarget, retry_rule, short_time, telephone_keys
from voip.net import mdns
from voip.sip.neighbours import may_be_host, objection_to_name
from voip.sip.text_sending import LONGEST_SENT

PLAUSIBLE_WAIT = 3600.0
"""Seconds above which a time-out or an interval without a unit is taken for milliseconds, hence for a slip."""


def add_calling(group: Group) -> None:
    """The sender's options of a call."""
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
    group.add_argument(
        "--message",
        metavar="TEXT",
        type=text_to_send,
        help="Send this text when the call is up. During a call, the key t opens a line for one.",
    )
    group.add_argument("--no-call", action="store_true", help="Send the text of --message, and call nobody.")
    group.add_argument(
        "--browse",
        action="store_true",
        help="List receivers that announce themselves, and those whom the --directory knows; call one. Which one is "
        "asked at a terminal; elsewhere they are only listed. Needs zeroconf, or a directory.",
    )


def add_announce(group: Group) -> None:
    """The receiver's option to be found."""
    group.add_argument(
        "--announce",
        metavar="NAME",
        nargs="?",
        const="",
        type=name_to_announce,
        help="Be found as NAME on the local network (mDNS). Needs zeroconf.  [the machine's name]",
    )


def text_to_send(text: str) -> str:
    """A text that fits into one MESSAGE."""
    length = len(text.encode("utf-8", "replace"))
    if not text.strip():
        raise argparse.ArgumentTypeError("a text has letters")
    if length > LONGEST_SENT:
        raise argparse.ArgumentTypeError(f"{length} bytes of text: {LONGEST_SENT} can be sent")
    return text


def name_to_announce(text: str) -> str:
    """An instance name that a sender can tell from an address; "" for that of the machine."""
    problem = objection_to_name(text) if text else None
    if problem is not None:
        raise argparse.ArgumentTypeError(f"{text!r}: {problem}")
    return text


def calling_values(parser: Parser, found: argparse.Namespace) -> dict[str, Any]:
    """Targets, names and texts as fields of the options' dataclass; usage errors exit."""
    given = given_targets(parser, found)
    names = [each.text for each in given if isinstance(each, Name)]
    if found.no_call and not found.message:
        parser.error("--no-call requires --message")
    if found.message and any(isinstance(each, RtpTarget) for each in given):
        parser.error("--message: a stream without signalling has no texts")
    local = names if found.directory is None else []
    needs = next((repr(name) for name in local if not may_be_host(name)), "")
    if found.browse and found.directory is None:
        needs = "--browse"
    if needs and (problem := mdns.missing()) is not None:
        parser.error(f"{needs}: {problem}")
    return {
        "targets": tuple(each for each in given if not isinstance(each, Name)),
        "names": tuple(names),
        "browse": found.browse,
        "message": found.message or "",
        "calls": not found.no_call,
        "target_given": bool(found.targets or found.targets_file or found.browse),
    }


def announce_value(parser: Parser, found: argparse.Namespace) -> str | None:
    """The name to announce, "" for that of the machine, None for none; usage errors exit."""
    name: str | None = found.announce
    if name is None:
        return None
    if found.stream is not None:
        parser.error("--announce: a stream without signalling cannot be called")
    if (problem := mdns.missing()) is not None:
        parser.error(f"--announce: {problem}")
    return name
