"""Being found by a name on the local network, and finding others there (RFC 6763): from options to `net/mdns.py`."""

from __future__ import annotations

import contextlib
import ipaddress
import platform
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from voip.cli.browsing import browse, multicast_bind
from voip.cli.linking import NotFound, is_host, locate, tell_located
from voip.cli.options import ReceiverOptions, SenderOptions
from voip.engine import Shutdown
from voip.errors import NetworkError, Stopped
from voip.net import Network, mdns
from voip.net.interfaces import own_hosts, own_networks
from voip.printable import one_line
from voip.report import Console
from voip.sip import SipUri, parse_target
from voip.sip.neighbours import SERVICES, Neighbour, may_be_host, objection_to_name

FIND_TIME = 2.0
"""Seconds that a name is looked for: a question, and its repetition after one second (RFC 6762 section 5.2)."""
FALL_BACK_NAME = "voip"


# --- to be found ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def announced(options: ReceiverOptions, network: Network, console: Console) -> Iterator[None]:
    """Announced by --announce while the block runs, else not at all."""
    if options.announce is None:
        yield
        return

    def on_announced(name: str) -> None:
        services = [SERVICES[transport] for transport in network.sip.sip_ports if transport in SERVICES]
        text = f"announced as {one_line(name)}: on this network, sender.py {_quoted(name)} finds it"
        console.event("announced", text, instance=name, services=services)

    announcement = mdns.Announcement(
        options.announce or machine_name(),
        network.sip.sip_ports,
        facts(options),
        bind=multicast_bind(options),
        on_announced=on_announced,
        say=console.say,
        hosts=partial(reachable, options.bind),
    )
    with announcement:
        yield


def machine_name() -> str:
    """What this machine is called, as a name to announce."""
    name = platform.node().partition(".")[0]
    return name if objection_to_name(name) is None else FALL_BACK_NAME


def reachable(bind: str | None) -> list[str]:
    """Our addresses of the families that are listened at."""
    hosts = own_hosts()
    if bind is None:
        return hosts
    version = ipaddress.ip_address(bind).version
    return [host for host in hosts if ipaddress.ip_address(host).version == version]


def facts(options: ReceiverOptions) -> dict[str, str]:
    """What a caller may want to know before: what is taken, and what is needed. No secret, and nothing of callers."""
    return {
        "codecs": ",".join(options.codecs),
        "twoway": "yes" if options.two_way else "no",
        "srtp": options.srtp.value,
        "password": "yes" if options.users or options.call_password is not None else "no",
        "calls": str(options.max_calls),
    }


# --- to find others -------------------------------------------------------------------------------------------------


def find_targets(options: SenderOptions, console: Console, shutdown: Shutdown) -> SenderOptions:
    """The same options with an address for each name, and with what the user has chosen of --browse. Stopped if that is
    nothing; NetworkError for a name that is not there."""
    if not options.browse and not options.names:
        return options
    if options.browse:
        return replace(options, targets=tuple(browse(options, console, shutdown)), browse=False)
    known = _ask_directory(options, console, shutdown)
    left = [name for name in options.names if not isinstance(known.get(name), SipUri)]
    if left and mdns.missing() is None:
        with mdns.Browser(bind=multicast_bind(options), networks=own_networks) as browser:
            for name in left:
                known[name] = _find(name, known.get(name), options, browser, console, shutdown)
    elif left:  # then each may be the name of a host
        console.say(1, f"looked for by the DNS alone: {mdns.MISSING}")
        for name in left:
            known[name] = _host(name, known.get(name), options, console, shutdown, mdns.MISSING)
    found = [uri for name in options.names if isinstance(uri := known[name], SipUri)]
    console.pump()
    return replace(options, targets=(*options.targets, *found), names=())


def _ask_directory(options: SenderOptions, console: Console, shutdown: Shutdown) -> dict[str, SipUri | NotFound]:
    """What the directory says of each name, if there is one."""
    known: dict[str, SipUri | NotFound] = {}
    if options.directory is None:
        return known
    for name in options.names:
        known[name] = place = locate(options.directory, options.tls, name, shutdown.wait)
        if isinstance(place, SipUri):
            tell_located(console, name, place, "directory", f"by the directory {options.directory.url}")
        else:
            console.say(0, f"{place.reason}; looking on this network")
        console.pump()
    return known


def _find(
    name: str,
    asked: SipUri | NotFound | None,
    options: SenderOptions,
    browser: mdns.Browser,
    console: Console,
    shutdown: Shutdown,
) -> SipUri:
    """On the local network, else in the DNS. `asked`: what the directory has said."""

    def is_there(found: Sequence[Neighbour]) -> bool:
        return any(matches(each, name) and each.service == SERVICES["udp"] for each in found)

    heard = browser.look(FIND_TIME, pause=shutdown.wait, enough=is_there)
    if shutdown.requested():
        raise Stopped("while looking for a name")
    same = [each for each in heard if matches(each, name)]
    if same:
        tell_located(console, same[0].name, same[0].uri, "mdns", "as it announces on this network")
        return same[0].uri
    others = ", ".join(dict.fromkeys(one_line(each.name) for each in heard))
    hint = f"; there are: {others}" if others else ""
    if may_be_host(name):
        console.say(0 if others else 1, f"no receiver announces itself as {name}, looking for a host{hint}")
    return _host(
        name, asked, options, console, shutdown, f"no receiver on this network announces itself as {name}{hint}"
    )


def _host(
    name: str,
    asked: SipUri | NotFound | None,
    options: SenderOptions,
    console: Console,
    shutdown: Shutdown,
    unheard: str,
) -> SipUri:
    """The host of this name. NetworkError if it cannot be one; where a directory was asked, also if there is none: that
    is not left to the call, whose error would not tell what the directory has said. `unheard`: why not by mDNS."""
    said = f"{asked.reason}; " if isinstance(asked, NotFound) else ""
    if not may_be_host(name):
        raise NetworkError(f"{said}{unheard}")
    uri = parse_target(name)
    if said:
        if not is_host(name, options.bind, shutdown):
            raise NetworkError(f"{said}{unheard}; and the DNS knows no host {name}")
        tell_located(console, name, uri, "dns", "as the DNS says")
    return uri


def matches(neighbour: Neighbour, name: str) -> bool:
    """Whether it is what the user means: upper and lower case are the same (RFC 6762 section 16)."""
    return neighbour.name.casefold() == name.casefold()


def _quoted(name: str) -> str:
    """As it is written in a shell."""
    return name if may_be_host(name) else "'" + name.replace("'", "'\\''") + "'"
