"""What runs beside the threads of a script: the keys of the terminal, the page, the announcement on the network, the
link to the directory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

from voip.calls import AudioStreams, CallManager
from voip.cli.keyboard import Keyboard
from voip.cli.keys import CallKeys
from voip.cli.linking import linked, own_contacts
from voip.cli.neighbours import announced, machine_name
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
        running.enter_context(_known(options, network, manager, streams, console))
        running.enter_context(page(program, options, network, manager, streams, console))
        yield running.enter_context(make_keys(keyboard, options, network, manager, streams, console))


def _known(
    options: CommonOptions,
    network: Network,
    manager: CallManager,
    streams: AudioStreams,
    console: Console,
) -> contextlib.AbstractContextManager[None]:
    """Known to the directory, if the options say so; who dials is not called."""
    place, dials = options.directory, not isinstance(options, ReceiverOptions)
    if place is None or place.name is None:
        return contextlib.nullcontext()
    name = place.name or machine_name()
    host = {"bind": options.bind, "public": options.public_address}
    contacts = partial(own_contacts, network, name, options.user, **host)
    return linked(
        place._replace(name=name),
        network,
        manager,
        streams,
        console,
        tls=options.tls,
        contacts=list if dials else contacts,
        dials=dials,
    )
