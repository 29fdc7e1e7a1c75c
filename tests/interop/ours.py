"""Our side of a cell: sender.py or receiver.py, in both directions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.interop.cells import WE, Cell
from tests.interop.phone import PORT_BLOCKS, Certificates, uri
from tests.interop.proxy import REGISTERED, Proxy
from tests.support.processes import Program, receiver, sender

PATIENT = ("--latency", "400ms")
"""A busy machine may stand still for a quarter of a second. And no time-scaling: sound is compared by the sample."""
SPEECH = ("--bitrate", "48k", "--fec", "4")
"""Of Opus: at this rate PESQ finds little to object to. And few repair packets: two processors serve many calls."""


@dataclass(frozen=True)
class Side:
    """A running program of ours: what it says and hears, and the URI to call it by, if it waits."""

    program: Program
    says: Path
    heard: Path
    target: str


def options(cell: Cell, certificates: Certificates) -> list[str]:
    """What both programs are told in this cell, wherever they run."""
    told = ["--two-way", "--codec", cell.codec, *PATIENT, *SPEECH]
    if cell.transport == "tls":
        told += ["--tls-ca", str(certificates.authority), "--tls-cert", str(certificates.certificate)]
        told += ["--tls-key", str(certificates.key)]
    return told


@contextlib.contextmanager
def our_side(
    cell: Cell,
    folder: Path,
    says: Path,
    certificates: Certificates,
    *,
    target: str = "",
    once: bool = False,
    site: Proxy | None = None,
    more: Sequence[str] = (),
) -> Iterator[Side]:
    """sender.py calling `target`, or receiver.py waiting, for one call or many, maybe behind a proxy; each speaks and
    listens. `more`: further options."""
    heard = folder / "heard.wav"
    told = [*options(cell, certificates), *more, "--input", str(says), "--output", str(heard)]
    if cell.who == WE:
        with sender(folder, target, *told) as program:
            yield Side(program, says, heard, "")
        return
    base = PORT_BLOCKS.block()
    told += ["--once"] if once else []
    told += site.account(cell.name, cell.transport) if site is not None else []
    with receiver(folder, *told, ports=(base, range(base + 2, base + 22))) as program:
        own = uri("receiver", base, cell.transport)
        if site is not None:
            program.wait_for(REGISTERED)
            own = site.uri(cell.name, cell.transport)
        yield Side(program, says, heard, own)
