"""What runs beside the threads of a script: the keys of the terminal, the page, the announcement on the network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from voip.calls import AudioStreams, CallManager
from voip.cli.keyboard import Keyboard
from voip.cli.keys import CallKeys
from voip.cli.neighbours import announced
from voip.cli.options import CommonOptions, ReceiverOptions
from voip.cli.page import page
from voip.cli.wiring import make_keys
from voip.net import Network
from voip.report import Console


@contextlib.contextmanager
def beside(
    program: str,
    options: CommonOptions,
    keyboard: Keyboard | None,
    network: Network,
    manager: CallManager,
    streams: AudioStreams,
    console: Console,
) -> Iterator[CallKeys]:
    """All of it, as the options say, while the block runs; the keys. NetworkError if a port cannot be opened."""
    with contextlib.ExitStack() as running:
        if isinstance(options, ReceiverOptions):
            running.enter_context(announced(options, network, console))
        running.enter_context(page(program, options, network, manager, streams, console))
        yield running.enter_context(make_keys(keyboard, options, network, manager, streams, console))
