"""The page of a script: from its options and its calls to the server of `voip.web`, and what it offers to choose."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import webbrowser
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import voip
from voip.audio import GAIN_LIMIT
from voip.calls import AudioStreams, CallManager
from voip.cli.options import CommonOptions, SenderOptions
from voip.cli.page_choices import WAYS, Choices
from voip.cli.web import commands_of
from voip.net import Network
from voip.report import Console, final_report
from voip.sip.text_sending import LONGEST_SENT

PCAPNG = "application/octet-stream"
"""The media type of a capture: pcapng has none that is registered."""

if TYPE_CHECKING:  # they need aiohttp
    from voip.web.program import Arguments, Command, Download


@contextlib.contextmanager
def page(
    program: str,
    options: CommonOptions,
    network: Network,
    manager: CallManager,
    streams: AudioStreams,
    console: Console,
) -> Iterator[None]:
    """Serve the page while the block runs, if one was asked for. NetworkError if its port cannot be opened."""
    address = options.web
    if address is None:
        yield
        return
    from voip.web import Program, WebServer

    dials = isinstance(options, SenderOptions)
    commands = commands_of(network, manager, streams, dials=dials)
    choices = Choices(options, streams, console)
    shown = Program(
        program,
        voip.__version__,
        lambda: manager.records,
        console.recent,
        commands | _choosing(network, manager, streams, choices, dials=dials),
        partial(_downloads, program, options, network, manager, streams),
        _about(options, choices),
        lambda: {"microphone_muted": streams.microphone_muted, **choices.state},
    )
    named = network.addresses.reachable_hosts()[0] if ipaddress.ip_address(address.host).is_unspecified else None
    with WebServer(shown, address.host, address.port, shown_as=named) as server:
        console.event("page", f"page      {server.url}", url=server.url)
        if address.opens:
            webbrowser.open(server.url)
        yield


def _about(options: CommonOptions, choices: Choices) -> dict[str, object]:
    """What does not change while the program runs."""
    caller = options if isinstance(options, SenderOptions) else None
    return {
        "gain_limit": GAIN_LIMIT,
        "longest_text": LONGEST_SENT,
        "codecs": choices.codecs if caller is not None else [],
        "directory": "" if options.directory is None else options.directory.url,
        "target": str(caller.targets[0]) if caller is not None and caller.target_given else "",
    }


def _downloads(
    program: str, options: CommonOptions, network: Network, manager: CallManager, streams: AudioStreams
) -> dict[str, Callable[[], Download]]:
    """The files that the page offers: the report so far, and what this very program has written."""
    from voip.web import Download

    def report() -> Download:
        limited, captured = manager.limited, network.tap.stats
        found = final_report(program, voip.__version__, 0, None, manager.records, limited=limited, capture=captured)
        return Download(json.dumps(found, indent=1).encode(), f"{program}-report.json", "application/json")

    offered: dict[str, Callable[[], Download]] = {"report": report}
    for path in streams.files:
        offered[path.name] = partial(Download, path, path.name, "audio/wav")
    if options.sdp is not None and Path(options.sdp).is_file():
        offered["session description"] = partial(Download, Path(options.sdp), f"{program}.sdp", "application/sdp")
    capture = network.tap.capture
    if capture is not None and capture.written_bytes:
        length = capture.written_bytes
        offered["capture"] = partial(Download, capture.path, capture.path.name, PCAPNG, length)
    return offered


def _choosing(
    network: Network, manager: CallManager, streams: AudioStreams, choices: Choices, *, dials: bool
) -> dict[str, Command]:
    """What a person chooses on the page: devices, and the terms of the next call."""
    commands: dict[str, Command] = {}
    if any(streams.can_change(way) for way in WAYS):
        commands |= {"devices": choices.look_for_devices, "device": choices.change_device}
    if dials:

        def dial(asked: Arguments) -> None:
            choices.check_device()
            terms = choices.terms(asked)
            choices.find(asked, lambda target: network.loop.post(partial(manager.dial, target, terms=terms)))

        commands |= {"browse": choices.browse, "dial": dial}
    return commands
