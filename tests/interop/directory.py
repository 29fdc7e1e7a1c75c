"""The directory of this project as a registrar and proxy between telephones, as `proxy` has Kamailio."""

from __future__ import annotations

import contextlib
import json
import ssl
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.interop.phone import PORT_BLOCKS, Certificates
from tests.interop.proxy import Proxy
from tests.support.processes import PATIENCE, ROOT, Json, Program

_HTTP = 2  # of the block of ports


@contextlib.contextmanager
def directory(folder: Path, certificates: Certificates, names: Sequence[str]) -> Iterator[Proxy]:
    """Start one; it ends with the block. `names` of its users: "bob", or "bob=password"."""
    folder.mkdir()
    port = PORT_BLOCKS.block()
    command = [sys.executable, "-m", "voip.directory", "--sip-port", str(port), "--http", str(port + _HTTP), "-v"]
    command += ["--tls-cert", str(certificates.certificate), "--tls-key", str(certificates.key)]
    environment = {"PYTHONPATH": str(ROOT)}
    with Program(command, folder=folder, name="directory", environment=environment) as program:
        program.wait_for("directory http")
        for name in names:
            add_user(port, certificates, name)
        yield Proxy(port, program)


def add_user(port: int, certificates: Certificates, name: str) -> None:
    """Over the API: "bob", or "bob=password"."""
    user, _, password = name.partition("=")
    asked = {"username": user, **({"password": password} if password else {})}
    _ask(port, certificates, "users/register", json.dumps(asked).encode())


def contacts(port: int, certificates: Certificates, user: str) -> list[str]:
    """Where the API says that a user is."""
    found: list[str] = _ask(port, certificates, f"users/find?name={user}")["contacts"]
    return found


def initiate(port: int, certificates: Certificates, caller: str, callee: str) -> None:
    """Have the one call the other, by the API."""
    ids = [_ask(port, certificates, f"users/find?name={name}")["user_id"] for name in (caller, callee)]
    asked = {"message_type": "initiate", "user_id": ids[0], "target_user_id": ids[1]}
    _ask(port, certificates, "signal/initiate", json.dumps(asked).encode())


def calls(port: int, certificates: Certificates) -> list[tuple[str, str, str]]:
    """Caller, callee and status of each, the newest first."""
    found = _ask(port, certificates, "calls/list")["calls"]
    return [(each["caller"], each["callee"], each["status"]) for each in found]


def _ask(port: int, certificates: Certificates, path: str, body: bytes | None = None) -> Json:
    url = f"https://localhost:{port + _HTTP}/api/{path}"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    context = ssl.create_default_context(cafile=str(certificates.authority))
    with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as response:
        found: Json = json.load(response)
    return found
