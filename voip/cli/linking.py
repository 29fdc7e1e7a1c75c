"""The directory, as both scripts use it: the options, being known there by a name, and finding others by theirs."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import ipaddress
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from voip.calls import AudioStreams, CallManager
from voip.cli.parser import Group, Parser
from voip.cli.web import commands_of
from voip.engine import Shutdown
from voip.environment import program_name
from voip.errors import NetworkError, ProtocolError, Stopped
from voip.net import Network, TlsFiles, host_address
from voip.net.interfaces import own_hosts, own_networks
from voip.net.tls import Tls
from voip.printable import one_line
from voip.report import Console
from voip.sip import SipUri
from voip.sip.grammar import format_host
from voip.sip.identity import user_part
from voip.sip.neighbours import may_be_host, objection_to_name, usable

if TYPE_CHECKING:  # it needs aiohttp
    from voip.web.link import News, Security

LONGEST_TOKEN = 512
"""Characters of a token: as long as those of any directory, and short enough for a header field."""
LONGEST_PASSWORD = 256
"""Characters that a directory takes."""
LOOPBACK = "127.0.0.1"
STEP = 0.05
"""Seconds between looks whether a lookup has ended, or the program is to."""
MOST_CONTACTS = 20
"""Of one user that are looked at."""
OPTIONS = {
    "directory_name": "--name",
    "directory_token_file": "--directory-token-file",
    "directory_password_file": "--directory-password-file",
}
"""What makes sense with a directory alone, by field."""


class DirectoryPlace(NamedTuple):
    """Where the directory is: its URL without a secret and without a slash at its end, and the token, if one was given.
    `name`: what we are known as there, "" for the machine's, None: we only ask it. `room`: we are a conference.
    `password`: of the name, if it has one."""

    url: str
    token: str | None = None
    name: str | None = None
    room: bool = False
    password: str | None = None

    def __repr__(self) -> str:
        return f"DirectoryPlace({self.url!r}, name={self.name!r}, room={self.room!r})"


# --- options ----------------------------------------------------------------------------------------------------------


def add_directory(group: Group, *, answers: bool) -> None:
    """The options; `answers`: of the receiver."""
    text, usual = ("be called", "the machine's name") if answers else ("make the calls that it asks for", "only ask it")
    group.add_argument(
        "--directory",
        metavar="URL",
        type=directory_url,
        help="Directory (voip-directory) that finds people by their names: [https://]host:port, or all of what it "
        "prints, with its token. Needs aiohttp.",
    )
    group.add_argument(
        "--name",
        metavar="NAME",
        dest="directory_name",
        type=name_to_register,
        help=f"Be known to the directory as NAME, and {text}.  [{usual}]",
    )
    group.add_argument(
        "--directory-token-file",
        metavar="FILE",
        help="File with the token of the directory on its first line: other users of this machine can read a command "
        "line.",
    )
    group.add_argument(
        "--directory-password-file",
        metavar="FILE",
        help="File with the password of NAME at the directory on its first line: nobody else can take the name then.",
    )


def directory_url(text: str) -> DirectoryPlace:
    """A URL, with its token as the fragment, as the directory prints it, or as the password."""
    if importlib.util.find_spec("aiohttp") is None:
        raise argparse.ArgumentTypeError("needs aiohttp: pip install aiohttp")
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if host is None or parts.scheme not in ("http", "https") or parts.query or not text.isprintable() or " " in text:
        shown = text.partition("#")[0].rpartition("@")[2]
        raise argparse.ArgumentTypeError(f"{shown!r} is no URL of a directory: write [https://]host:port")
    token = unquote(parts.fragment or parts.password or parts.username or "") or None
    if token is not None and not _is_token(token):
        raise argparse.ArgumentTypeError("what follows # is no token of a directory")
    authority = format_host(host) + (f":{port}" if port is not None else "")
    return DirectoryPlace(f"{parts.scheme}://{authority}{parts.path.rstrip('/')}", token)


def name_to_register(text: str) -> str:
    """A name that a sender can tell from an address."""
    problem = objection_to_name(text)
    if problem is not None:
        raise argparse.ArgumentTypeError(f"{text!r}: {problem}")
    return text


def directory_value(parser: Parser, found: argparse.Namespace, *, usual: str | None) -> DirectoryPlace | None:
    """What the options say, None without a directory; usage errors exit. `usual`: the name without --name."""
    place: DirectoryPlace | None = found.directory
    if place is None:
        for field, option in OPTIONS.items():
            if getattr(found, field) is not None and not parser.is_from_environment(found, field):
                parser.error(f"{option} requires --directory")
        return None
    if getattr(found, "stream", None) is not None:
        if not parser.is_from_environment(found, "directory"):
            parser.error("--directory: a stream without signalling cannot be called")
        return None
    if found.directory_token_file is not None:
        token = _first_line(parser, "--directory-token-file", found.directory_token_file)
        if not _is_token(token):
            parser.error(f"--directory-token-file {found.directory_token_file}: its first line is no token")
        place = place._replace(token=token)
    if found.directory_password_file is not None:
        password = _first_line(parser, "--directory-password-file", found.directory_password_file)
        if not 0 < len(password) <= LONGEST_PASSWORD:
            parser.error(f"--directory-password-file {found.directory_password_file}: contains no password")
        place = place._replace(password=password)
    name = usual if found.directory_name is None else found.directory_name
    return place._replace(name=name, room=bool(getattr(found, "conference", False)))


def _first_line(parser: Parser, option: str, path: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        parser.error(f"{option} {path}: {getattr(error, 'strerror', 'not a text file')}")
    return lines[0].strip() if lines else ""


def _is_token(text: str) -> bool:
    """Whether this can be one: it stands in a header field."""
    return 0 < len(text) <= LONGEST_TOKEN and text.isascii() and text.isprintable() and " " not in text


# --- to be known ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def linked(
    place: DirectoryPlace | None,
    network: Network,
    manager: CallManager,
    streams: AudioStreams,
    console: Console,
    *,
    tls: TlsFiles,
    contacts: Callable[[], list[str]],
    dials: bool,
) -> Iterator[None]:
    """Known to the directory while the block runs, if the options say so. `contacts`: where we can be called.

    `dials`: calls can be begun from there.
    """
    if place is None or place.name is None:
        yield
        return
    from voip.web.link import Link, Registration
    from voip.web.linked import COMMANDS

    known = commands_of(network, manager, streams, dials=dials)
    commands = {name: known[name] for name in COMMANDS if name in known}
    registration = Registration(place.name, place.room, place.password)

    def on_news(news: News) -> None:
        _tell(place, news, console, dials=dials)

    with Link(
        place.url,
        place.token,
        registration,
        security=security_of(place, tls),
        contacts=contacts,
        commands=commands,
        records=lambda: manager.records,
        on_news=on_news,
    ):
        yield


def _tell(place: DirectoryPlace, news: News, console: Console, *, dials: bool) -> None:
    url, name = place.url, place.name
    shown = one_line(name or "")
    if news.user_id is not None:
        how = "" if dials else f": {program_name('sender')} --directory URL {_quoted(shown)} calls it"
        text = f"directory {url} knows {'us' if dials else 'this receiver'} as {shown}{how}"
        console.event("directory", text, url=url, username=name, user_id=news.user_id)
        return
    text = f"directory {url}: {news.reason}; {'not known' if news.refused else 'tried again'} there as {shown}"
    console.event("directory-lost", text, url=url, username=name, reason=news.reason, refused=news.refused)


def own_contacts(network: Network, name: str, user: str, *, bind: str | None, public: str | None) -> list[str]:
    """The SIP addresses that we can be called at, the most useful first."""
    user = user_part(name) or user
    ports = network.sip.sip_ports
    if public is not None:
        hosts = [public]
    elif bind is not None and not ipaddress.ip_address(bind).is_unspecified:
        hosts = [bind]
    else:
        version = None if bind is None else ipaddress.ip_address(bind).version
        hosts = [host for host in own_hosts() if version in (None, ipaddress.ip_address(host).version)] or [LOOPBACK]
    return [str(SipUri("sip", user, host, ports["udp"])) for host in hosts]


def security_of(place: DirectoryPlace, tls: TlsFiles) -> Security:
    """What the certificate of the directory is verified by. VoipError for a file that cannot be read."""
    return Tls(TlsFiles(authorities=tls.authorities)).client if place.url.startswith("https:") else True


def _quoted(name: str) -> str:
    return name if may_be_host(name) else "'" + name.replace("'", "'\\''") + "'"


# --- to find others ---------------------------------------------------------------------------------------------------


class NotFound(NamedTuple):
    """Why the directory does not say where somebody is, for people."""

    reason: str


class Person(NamedTuple):
    """A user of the directory who can be called at present."""

    name: str
    status: str
    uri: SipUri


def locate(place: DirectoryPlace, tls: TlsFiles, name: str, pause: Callable[[float], bool]) -> SipUri | NotFound:
    """Where this user is, as the directory says; `pause(seconds)` waits. Stopped if the program is to end."""
    from voip.web.link import find
    from voip.web.linked import DirectoryError, UnknownName

    try:
        listed = find(place.url, place.token, name, security=security_of(place, tls), pause=pause)
    except UnknownName:
        return NotFound(f"the directory {place.url} does not know {name}")
    except DirectoryError as error:
        return _no_answer(place, error)
    uri = best_contact(listed.contacts, own_hosts(), own_networks())
    return uri or NotFound(f"{name} is known to the directory {place.url}, but is not there now")


def people(place: DirectoryPlace, tls: TlsFiles, pause: Callable[[float], bool]) -> list[Person] | NotFound:
    """All others that can be called by the directory at present, in the order of their names; or why it does not say.
    Stopped if the program is to end."""
    from voip.web.link import list_users
    from voip.web.linked import DirectoryError

    try:
        listed = list_users(place.url, place.token, security=security_of(place, tls), pause=pause)
    except DirectoryError as error:
        return _no_answer(place, error)
    own, networks, us = own_hosts(), own_networks(), (place.name or "").casefold()
    others = ((each, best_contact(each.contacts, own, networks)) for each in listed if each.name.casefold() != us)
    found = [Person(each.name, each.status, uri) for each, uri in others if uri is not None]
    return sorted(found, key=lambda person: person.name.casefold())


def _no_answer(place: DirectoryPlace, error: NetworkError) -> NotFound:
    from voip.web.linked import Refused

    if isinstance(error, Refused):
        return NotFound(f"the directory {place.url}: {error}")
    return NotFound(f"the directory {place.url} does not answer: {error}")


def tell_located(console: Console, name: str, uri: SipUri, by: str, how: str) -> None:
    """Where a name is, and who says so: `by` is a word for programs."""
    console.event("located", f"{one_line(name)} is at {uri}, {how}", target=name, uri=str(uri), by=by)


def is_host(name: str, bind: str | None, shutdown: Shutdown) -> bool:
    """Whether the system, or the DNS, has an address of it. Stopped if the program is to end."""
    found: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def run() -> None:  # the resolver of the system cannot be interrupted
        try:
            found.put(bool(host_address(name, bind)))
        except NetworkError:
            found.put(False)

    threading.Thread(target=run, name="lookup", daemon=True).start()
    while found.empty():
        if shutdown.wait(STEP):
            raise Stopped("while looking for a name")
    return found.get()


def best_contact(contacts: tuple[str, ...], own: list[str], networks: list[str]) -> SipUri | None:
    """The one that is nearest; those with names come last. What cannot be called is left out."""
    uris = []
    for contact in contacts[:MOST_CONTACTS]:
        with contextlib.suppress(ProtocolError):
            uris.append(SipUri.parse(contact))
    order = usable((uri.host for uri in uris), own, networks)
    uris = [uri for uri in uris if uri.host in order or _is_hostname(uri.host)]
    return min(uris, key=lambda uri: order.index(uri.host) if uri.host in order else len(order), default=None)


def _is_hostname(host: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return False
    return True
