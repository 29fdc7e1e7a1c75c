"""`voip-directory`: users, calls and their API behind one HTTP port, and the same names at a SIP port.

network thread    SIP -> registrar and proxy; owns users, contacts and calls
web thread        HTTP, WebSocket -> asks the network thread
database thread   commits what has changed, then has it acknowledged
main thread       shows what happens, waits for Ctrl+C
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import importlib.util
import ipaddress
import random
import re
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import voip
from voip.cli.parser import Group, Parser
from voip.cli.values import ip_address
from voip.cli.versions import versions
from voip.engine import Shutdown, Watchdog, Worker, fill_standard_streams, together
from voip.environment import allow_many_files, forbid_core_dumps, program_name
from voip.errors import (
    EXIT_DEVICE,
    EXIT_NETWORK,
    EXIT_OK,
    EXIT_USAGE,
    DeviceError,
    NetworkError,
    Stopped,
    VoipError,
)
from voip.garbage import Garbage
from voip.ip import MAX_PORT
from voip.net import Network, TlsFiles
from voip.report import Console
from voip.sip.address import literal

if TYPE_CHECKING:
    from voip.directory.asking import Asking
    from voip.directory.directory import Directory
    from voip.directory.sip_server import SipServer

PROGRAM = "directory"
NAME = "voip-directory"
LOOPBACK = "127.0.0.1"
HTTP_PORT, SIP_PORT = 5000, 5060
PUMP_INTERVAL = 0.1
"""Seconds until a line that another thread has handed over is on the terminal."""
LEAST_TOKEN = 16
"""Characters of a token: one that can be tried out is none."""
TOKEN_BYTES = 24
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
LONGEST_DOMAIN = 253
"""Characters of a name of the DNS."""
NEEDED = ("aiohttp", "sqlalchemy", "alembic")


@dataclass(frozen=True)
class DirectoryOptions:
    """What the command line says; `token` None: none is needed, or the directory's own."""

    host: str
    port: int
    sip_port: int
    database: str
    realm: str
    domain: str
    ask_callers: bool
    token: str | None
    tls: TlsFiles
    verbosity: int
    json: bool


def directory_options(argv: Sequence[str] | None = None) -> DirectoryOptions:
    """Read the command line; exits with a line for a wrong one."""
    parser = _parser()
    found = parser.parse(argv)
    if found.version:
        print("\n".join(versions(NAME)))
        sys.exit(EXIT_OK)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        parser.error(f"needs {' and '.join(missing)}: pip install 'voip[directory]'")
    if found.tls_key is not None and found.tls_cert is None:
        parser.error("--tls-key requires --tls-cert")
    host, port = found.http or (LOOPBACK, HTTP_PORT)
    return DirectoryOptions(
        host,
        port,
        SIP_PORT if found.sip_port is None else found.sip_port,
        found.database or "voip.sqlite",
        found.realm or "voip",
        found.domain or "",
        found.ask_callers,
        found.token_file,
        TlsFiles(found.tls_cert, found.tls_key, None),
        -1 if found.quiet else found.verbose or 0,
        found.json,
    )


def _parser() -> Parser:
    parser = Parser(
        NAME,
        "Keep a directory: users register by name, and call each other by it.",
        examples=[
            "voip-directory                          on this machine alone",
            "voip-directory --http 0.0.0.0:5000      for a network, with the token that is printed",
        ],
        daily=("http", "sip_port", "database", "token_file", "tls_cert"),
        knows_all_variables=False,
    )
    parser.epilog = (
        "Exit codes: 0 ended normally, 1 a bug, 2 usage, 3 database file, 4 network or database server, "
        "130 second Ctrl+C."
    )
    _add_directory(parser.add_argument_group("directory"))
    group = parser.add_argument_group("output")
    group.add_argument("-q", "--quiet", action="store_true", help="Say errors alone.")
    group.add_argument("-v", "--verbose", action="count", help="Say what is decided; -vv: what is dropped, too.")
    group.add_argument("--json", action=argparse.BooleanOptionalAction, default=False, help="JSON Lines on stdout.")
    group.add_argument("--version", action="store_true", help="Print the versions of this program and its libraries.")
    return parser


def _add_directory(group: Group) -> None:
    group.add_argument(
        "--http",
        metavar="[ADDR:]PORT",
        type=http_address,
        help=f"Where the API and the page are. Other addresses than those of loopback need a token.  "
        f"[{LOOPBACK}:{HTTP_PORT}]",
    )
    group.add_argument("--sip-port", metavar="PORT", type=_port, help=f"UDP and TCP, TLS above.  [{SIP_PORT}]")
    group.add_argument(
        "--database",
        metavar="FILE|URL",
        help="SQLite, or postgresql://USER@HOST/NAME, best by VOIP_DATABASE, as it may hold a password.  [voip.sqlite]",
    )
    group.add_argument(
        "--token-file",
        metavar="FILE",
        type=token_file,
        help="What requests must bring (Authorization: Bearer).  [none on loopback, else the directory's own]",
    )
    group.add_argument(
        "--realm", metavar="NAME", help="Of passwords: with another one they have to be set anew.  [voip]"
    )
    group.add_argument(
        "--domain",
        metavar="NAME",
        type=domain,
        help="The SIP domain whose users it has: requests for any other are refused.  [all of its names and addresses]",
    )
    group.add_argument(
        "--ask-callers",
        action="store_true",
        help="Ask whoever calls by SIP for the name and password of a user (407).  [whoever reaches the port may call]",
    )
    group.add_argument("--tls-cert", metavar="FILE", help="Certificate (PEM): HTTPS, and SIP over TLS.")
    group.add_argument("--tls-key", metavar="FILE", help="Its private key, if that is not in the same file.")


def http_address(text: str) -> tuple[str, int]:
    """[ADDR:]PORT."""
    host, _, port = text.rpartition(":")
    return (ip_address(host.strip("[]")) if host else LOOPBACK), _port(port)


def domain(text: str) -> str:
    """A name of the DNS (RFC 1123 section 2.1), or an address."""
    labels = text.rstrip(".").split(".")
    if literal(text) is None and not (len(text) <= LONGEST_DOMAIN and all(map(LABEL.fullmatch, labels))):
        raise argparse.ArgumentTypeError(f"{text!r} is no domain: write one as pbx.example.org")
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def token_file(text: str) -> str:
    """The token that a file holds."""
    try:
        token = Path(text).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not ASCII"
        raise argparse.ArgumentTypeError(f"cannot read {text}: {reason}") from error
    if len(token) < LEAST_TOKEN or not token.isprintable() or " " in token:
        raise argparse.ArgumentTypeError(f"{text}: a token has at least {LEAST_TOKEN} characters, and no spaces")
    return token


# --- the program ------------------------------------------------------------------------------------------------------


def command(argv: Sequence[str] | None = None) -> int:
    """All that `voip-directory` does; the exit status."""
    fill_standard_streams()
    options = directory_options(sys.argv[1:] if argv is None else argv)
    console = Console(time.monotonic, verbosity=options.verbosity, as_json=options.json)
    forbid_core_dumps()
    allow_many_files()
    try:
        status, error = main(options, console)
    except Stopped:
        status, error = EXIT_OK, None
    except DeviceError as found:
        status, error = EXIT_DEVICE, str(found)
    except NetworkError as found:
        status, error = EXIT_NETWORK, str(found)
    except VoipError as found:
        status, error = EXIT_USAGE, str(found)
    if error:
        console.error(f"{program_name(PROGRAM) if sys.argv[0].endswith('.py') else NAME}: {error}")
        console.event("error", None, error=error, exit=status)
    console.pump()
    return status


def main(options: DirectoryOptions, console: Console) -> tuple[int, str | None]:
    """Serve until somebody asks to stop: the exit status, and why if it is not 0."""
    from voip.directory.asking import Asking
    from voip.directory.directory import TICK, Directory
    from voip.directory.sip_server import MAX_CONNECTIONS
    from voip.directory.store import Store

    shutdown = Shutdown()
    shutdown.catch_signals()
    network = Network(bind=options.host, tls=options.tls, say=console.say, max_connections=MAX_CONNECTIONS)
    loop = network.loop
    with Store(options.database, loop.post) as store:
        secret = store.loaded.secret
        directory = Directory(store, options.realm, loop.now, time.time, random.SystemRandom(), store.loaded)

        def tick() -> None:
            loop.call_later(TICK, tick)
            directory.tick()

        loop.call_later(TICK, tick)
        sip = _open_sip(options, network, directory, secret, console)
        workers = [Worker("network", shutdown, loop.run, shutdown.stopped)]
        with Garbage() as garbage, together(workers):
            try:
                asking = Asking(directory, loop.post, sip.telephones)
                watchdog = Watchdog(workers, loop.now())
                _serve(options, network, asking, secret, console, shutdown, watchdog, garbage)
            finally:
                shutdown.stop()
                loop.post(lambda: None)
    network.close()
    console.say(1, f"SIP: {sip.stats}")
    if store.failures:
        console.say(0, f"changes that the database did not take: {store.failures}")
    if network.failures.count:
        console.say(0, f"messages or requests that were dropped because of bugs: {network.failures.count}")
    return shutdown.status, shutdown.error


def _open_sip(
    options: DirectoryOptions, network: Network, directory: Directory, secret: bytes, console: Console
) -> SipServer:
    """Registrar and proxy of the users, at the SIP ports. NetworkError."""
    from voip.directory.sip_server import SipPlace, open_sip

    place = SipPlace(options.sip_port, secret, options.realm, domain=options.domain, asks_callers=options.ask_callers)
    return open_sip(
        network,
        place,
        directory.location,
        directory.users,
        directory.persist,
        on_call=directory.follow_proxied,
        going_on=directory.proxied(),
        say=console.say,
    )


def _serve(
    options: DirectoryOptions,
    network: Network,
    asking: Asking,
    secret: bytes,
    console: Console,
    shutdown: Shutdown,
    watchdog: Watchdog,
    garbage: Garbage,
) -> None:
    """The main thread's part."""
    from voip.directory.server import DirectoryServer
    from voip.web.guard import is_loopback

    token = options.token or (None if is_loopback(options.host) else own_token(secret))
    anywhere = ipaddress.ip_address(options.host).is_unspecified
    site = DirectoryServer(
        asking,
        options.host,
        options.port,
        voip.__version__,
        token=token,
        tls=_https(options.tls),
        shown_as=network.addresses.reachable_hosts()[0] if anywhere else None,
    )
    with site:
        _greet(console, options, site.url, token, len(asking.directory.users))
        while not shutdown.wait(PUMP_INTERVAL):
            watchdog.check(network.loop.now())
            garbage.look()
            console.pump()


def _greet(console: Console, options: DirectoryOptions, url: str, token: str | None, users: int) -> None:
    from voip.web.guard import is_loopback

    secret = "" if token is None else f"#{token}"
    database = options.database if "://" not in options.database else "by URL"
    console.event(
        "serving",
        f"directory {url}/{secret}   users {users}   database {database}",
        url=url,
        token=token,
        users=users,
    )
    if token is not None and options.tls.certificate is None and not is_loopback(options.host):
        console.say(0, "the token, and what is said with it, can be read on the way: --tls-cert encrypts it")


def own_token(secret: bytes) -> str:
    """That of a directory which is given none: the same after each start."""
    digest = hmac.new(secret, b"token", hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:TOKEN_BYTES]).decode()


def _https(files: TlsFiles) -> ssl.SSLContext | None:
    if files.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        raise VoipError(f"--tls-cert {files.certificate}: {error.strerror or error}") from error
    return context
