"""The SIP side of a directory as a program of its own, for telephones that are programs:

python -m tests.support.directory_program 5060 --name bob --name alice=secret --tls-cert FILE --tls-key FILE
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import signal
import sys
from collections.abc import Sequence

from voip.directory.location import Change, Location
from voip.directory.registrar import Durable
from voip.directory.sip_server import open_sip
from voip.net import Network
from voip.net.tls import TlsFiles

REALM = "directory"
READY = "the directory is ready"
CONNECTIONS = (64, 64)


class Users:
    """Names, each maybe with a password; none: every name is one."""

    def __init__(self, names: Sequence[str]) -> None:
        self._passwords = {name: password for name, _, password in (each.partition("=") for each in names)}

    def has(self, name: str) -> bool:
        return not self._passwords or name in self._passwords

    def hash_of(self, name: str, algorithm: str) -> str | None:
        password = self._passwords.get(name)
        return hashlib.md5(f"{name}:{REALM}:{password}".encode()).hexdigest() if password else None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--name", action="append", default=[])
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    parser.add_argument("--tls-name", default="")
    options = parser.parse_args()

    def say(level: int, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    network = Network(
        bind="127.0.0.1",
        tls=TlsFiles(options.tls_cert, options.tls_key),
        say=say,
        trace=lambda text: say(2, text),
        max_connections=CONNECTIONS,
    )

    def persist(change: Change, durable: Durable) -> None:
        network.loop.post(lambda: durable(True, network.loop.now()))  # later, as a database does

    open_sip(
        network,
        options.port,
        Location(),
        Users(options.name),
        persist,
        secret=b"s" * 32,
        realm=REALM,
        tls_name=options.tls_name,
        say=say,
    )
    running = True

    def stop(number: int, frame: object) -> None:
        nonlocal running
        running = False

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    say(0, READY)
    with contextlib.closing(network):
        while running:
            network.loop.turn(0.5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
