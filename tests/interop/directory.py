"""The directory of this project as a registrar and proxy between telephones, as `proxy` has Kamailio."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.interop.phone import PORT_BLOCKS, Certificates
from tests.interop.proxy import Proxy
from tests.support.directory_program import READY
from tests.support.processes import ROOT, Program


@contextlib.contextmanager
def directory(folder: Path, certificates: Certificates, names: Sequence[str] = ()) -> Iterator[Proxy]:
    """Start one; it ends with the block. `names`: "bob", or "bob=password"; none: every name is a user."""
    folder.mkdir()
    port = PORT_BLOCKS.block()
    command = [sys.executable, "-m", "tests.support.directory_program", str(port)]
    command += [argument for name in names for argument in ("--name", name)]
    command += ["--tls-cert", str(certificates.certificate), "--tls-key", str(certificates.key)]
    environment = {"PYTHONPATH": str(ROOT)}
    with Program(command, folder=folder, name="directory", environment=environment) as program:
        program.wait_for(READY)
        yield Proxy(port, program)
