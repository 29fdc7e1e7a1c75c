"""Who can be called by a name at present: those who announce themselves on the local network (RFC 6763), and those whom
the directory knows, each with who says so."""

from __future__ import annotations

import ipaddress
import select
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from voip.cli.linking import NotFound, people
from voip.cli.options import CommonOptions, SenderOptions
from voip.engine import Shutdown
from voip.errors import NetworkError, Stopped
from voip.net import mdns
from voip.net.interfaces import own_networks
from voip.printable import one_line
from voip.report import Console
from voip.sip import SipUri
from voip.sip.neighbours import Neighbour

BROWSE_TIME = 2.0
"""Seconds that the local network is listened to."""
CHOICE_STEP = 0.1
"""Seconds between looks at what the user types."""
FACTS_SHOWN = ("codecs", "twoway", "srtp", "password", "calls")
"""Of a neighbour, in this order; it may say anything else, too."""
MDNS, DIRECTORY = "mdns", "directory"
WHO_SAYS_SO = {MDNS: "this network", DIRECTORY: "directory"}
"""For people."""


class Found(NamedTuple):
    """One who can be called. `by`: MDNS or DIRECTORY; a neighbour has a `service` and tells `facts`, a user of the
    directory has a `status`."""

    name: str
    uri: SipUri
    by: str
    service: str | None = None
    facts: Mapping[str, str] = {}
    status: str | None = None

    @property
    def shown(self) -> dict[str, str]:
        """What people are told of it."""
        if self.status is not None:
            return {"status": self.status}
        return {name: self.facts[name] for name in FACTS_SHOWN if name in self.facts}


class Around(NamedTuple):
    """All that were found, those of the local network first; and what could not be asked, and why."""

    found: list[Found]
    problems: list[str]


def look_around(options: CommonOptions, *, pause: Callable[[float], bool]) -> Around:
    """Listen to the local network for BROWSE_TIME, and ask the directory, if there is one; `pause(seconds)` waits.
    NetworkError if nobody at all could be asked, Stopped if the program is to end."""
    there: list[Found] = []
    problems: list[str] = []
    if options.directory is not None:
        known = people(options.directory, options.tls, pause)
        if isinstance(known, NotFound):
            problems.append(known.reason)
        else:
            there = [Found(each.name, each.uri, DIRECTORY, status=each.status) for each in known]
    asked = 2 if options.directory is not None else 1
    try:
        heard = [Found(each.name, each.uri, MDNS, each.service, each.facts) for each in hear(options, pause=pause)]
    except NetworkError as error:
        heard = []
        problems.append(str(error))
    if len(problems) == asked:
        raise NetworkError("; ".join(problems))
    return Around(heard + there, problems)


def hear(options: CommonOptions, *, pause: Callable[[float], bool]) -> list[Neighbour]:
    """Those who announce themselves within BROWSE_TIME; `pause(seconds)` waits. NetworkError, also without zeroconf."""
    if (problem := mdns.missing()) is not None:
        raise NetworkError(problem)
    with mdns.Browser(bind=multicast_bind(options), networks=own_networks) as browser:
        return browser.look(BROWSE_TIME, pause=pause)


def multicast_bind(options: CommonOptions) -> str | None:
    """The address that multicast is sent from; None: all."""
    if options.bind is None or ipaddress.ip_address(options.bind).is_unspecified:
        return None
    return options.bind


def browse(options: SenderOptions, console: Console, shutdown: Shutdown) -> list[SipUri]:
    """--browse: list them, and have one chosen at a terminal. NetworkError; Stopped if nothing is chosen."""
    found, problems = look_around(options, pause=shutdown.wait)
    for problem in problems:
        console.say(0, problem)
    for number, each in enumerate(found, 1):
        console.event(
            "found",
            None,
            instance=each.name,
            uri=str(each.uri),
            by=each.by,
            service=each.service,
            facts=dict(each.facts),
            status=each.status,
        )
        if not options.json:
            print(_line(number, each, with_source=options.directory is not None), flush=True)
    console.pump()
    if not found:
        nobody = "" if options.directory is None else f", and nobody else is at the directory {options.directory.url}"
        console.say(0, f"no receiver on this network announces itself (receiver.py --announce){nobody}")
    chosen = _choose(len(found), shutdown) if found and _at_terminal() and not options.json else None
    console.pump()
    if chosen is None:
        raise Stopped("nothing was chosen")
    return [found[chosen - 1].uri]


def _line(number: int, found: Found, *, with_source: bool) -> str:
    source = f"{WHO_SAYS_SO[found.by]:12}   " if with_source else ""
    said = "   ".join(f"{name} {one_line(value)}" for name, value in found.shown.items())
    return f"{number:3}  {one_line(found.name):20}  {source}{found.uri}   {said}".rstrip()


def _at_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()


def _choose(most: int, shutdown: Shutdown) -> int | None:
    """The number that the user types; None for anything else, and where the program is to end."""
    print(f"call which (1 to {most}, Enter for none)? ", end="", file=sys.stderr, flush=True)
    while sys.platform != "win32" and not select.select([sys.stdin], [], [], 0.0)[0]:
        if shutdown.wait(CHOICE_STEP):
            return None
    typed = sys.stdin.readline().strip()
    return int(typed) if typed.isascii() and typed.isdigit() and 1 <= int(typed[:9]) <= most else None
