"""The page of a script: the option --web, and from it to the server and what its buttons do."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import ipaddress
import json
import webbrowser
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import voip
from voip.calls import CallManager
from voip.cli.parser import Group
from voip.cli.values import ip_address, target
from voip.errors import ProtocolError
from voip.ip import MAX_PORT
from voip.net import Network
from voip.report import Console, final_report
from voip.sip import SipUri

if TYPE_CHECKING:
    from voip.web.program import Arguments, Command

OPEN = "open"
LOOPBACK = "127.0.0.1"


class WebAddress(NamedTuple):
    """Where the page is served: port 0 is a free one. `opens`: a browser is started."""

    host: str = LOOPBACK
    port: int = 0
    opens: bool = False


def add_web(group: Group) -> None:
    """The option of both scripts."""
    group.add_argument(
        "--web",
        metavar="WHERE",
        nargs="?",
        const="",
        type=web_address,
        help="Serve a page with live figures and buttons at [ADDR:]PORT, or `open` it. Other addresses than those of "
        "loopback need the token that is printed.  [any port]",
    )


def web_address(text: str) -> WebAddress:
    """Where to serve the page; "" for the usual place."""
    if importlib.util.find_spec("aiohttp") is None:
        raise argparse.ArgumentTypeError("needs aiohttp: pip install aiohttp")
    if text in ("", OPEN):
        return WebAddress(opens=text == OPEN)
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"{text!r} is neither [ADDR:]PORT nor `open`; write TARGET before --web")
    return WebAddress(ip_address(host.strip("[]")) if host else LOOPBACK, int(port))


@contextlib.contextmanager
def page(
    program: str, address: WebAddress | None, network: Network, manager: CallManager, console: Console, *, dials: bool
) -> Iterator[None]:
    """Serve the page while the block runs, if one was asked for. NetworkError if its port cannot be opened.

    `dials`: a call can be begun from it.
    """
    if address is None:
        yield
        return
    from voip.web import Download, Program, WebServer

    commands: dict[str, Command] = {"hang-up": _on_call(network, manager, manager.hang_up)}
    if dials:
        commands["dial"] = lambda asked: network.loop.post(manager.dial, _target(asked))
    else:
        commands["answer"] = _on_call(network, manager, manager.answer)

    def report() -> Download:
        found = final_report(program, voip.__version__, 0, None, manager.records)
        return Download(json.dumps(found, indent=1).encode(), f"{program}-report.json", "application/json")

    shown = Program(program, voip.__version__, lambda: manager.records, console.recent, commands, {"report": report})
    named = network.addresses.reachable_hosts()[0] if ipaddress.ip_address(address.host).is_unspecified else None
    with WebServer(shown, address.host, address.port, shown_as=named) as server:
        console.event("page", f"page      {server.url}", url=server.url)
        if address.opens:
            webbrowser.open(server.url)
        yield


def _on_call(network: Network, manager: CallManager, do: Callable[[str], None]) -> Command:
    """A command for the call that the page names."""
    from voip.web import CommandRefused

    def command(asked: Arguments) -> None:
        call_id = str(asked.get("call_id", ""))
        if not any(call.call_id == call_id and call.end_reason is None for call in manager.records):
            raise CommandRefused("this call is over")
        network.loop.post(do, call_id)

    return command


def _target(asked: Arguments) -> SipUri:
    from voip.web import CommandRefused

    try:
        found = target(str(asked.get("target", "")))
    except (argparse.ArgumentTypeError, ProtocolError) as error:
        raise CommandRefused(str(error)) from error
    if not isinstance(found, SipUri):
        raise CommandRefused("a stream without signalling is begun at the command line")
    return found
