"""`voip-udp-test` and `voip-udp-receiver`: the sender and the receiver of `seq16`, by an address and a port alone."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from functools import partial

from voip.cli.options import receiver_options, sender_options
from voip.cli.running import run
from voip.errors import EXIT_OK, EXIT_USAGE
from voip.formats import usual_port
from voip.printable import printable
from voip.sip.grammar import format_host

SCHEME = "seq16"
THIS_MACHINE = "127.0.0.1"
SENDER_USAGE = f"""usage: voip-udp-test [IP [PORT]] [OPTIONS]

Send the microphone to IP [{THIS_MACHINE}], UDP PORT [{usual_port(SCHEME)}]: a 16-bit number and 960 samples, mono,
48 kHz, in each datagram. OPTIONS are those of voip-sender (sender.py), such as --input tone --duration 10s."""
RECEIVER_USAGE = f"""usage: voip-udp-receiver [PORT] [OPTIONS]

Play what voip-udp-test, or a program like it, sends to UDP PORT [{usual_port(SCHEME)}]. OPTIONS are those of
voip-receiver (receiver.py), such as --output heard.wav --once."""


def udp_test(argv: Sequence[str] | None = None) -> int:
    """All that `voip-udp-test` does; the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if _is_asked_for(arguments, SENDER_USAGE):
        return EXIT_OK
    host, port = (*_taken(arguments, 2), None, None)[:2]
    if _is_too_much(arguments, SENDER_USAGE):
        return EXIT_USAGE
    target = f"{SCHEME}://{_address(host or THIS_MACHINE, port)}"
    return run("sender", partial(sender_options, [target, *arguments]), _main("sender"))


def udp_receiver(argv: Sequence[str] | None = None) -> int:
    """All that `voip-udp-receiver` does; the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if _is_asked_for(arguments, RECEIVER_USAGE):
        return EXIT_OK
    port = (*_taken(arguments, 1), None)[0]
    if _is_too_much(arguments, RECEIVER_USAGE):
        return EXIT_USAGE
    target = f"{SCHEME}://{_address('', port)}"
    return run("receiver", partial(receiver_options, [target, *arguments]), _main("receiver"))


def _address(host: str, port: str | None) -> str:
    wanted = str(usual_port(SCHEME)) if port is None else port
    return f"{format_host(host, int(wanted))}" if host and wanted.isdecimal() else f"{host}:{wanted}"


def _taken(arguments: list[str], most: int) -> list[str]:
    """The arguments up to the first option, at most so many; they are taken away."""
    count = next((at for at, word in enumerate(arguments[:most]) if word.startswith("-")), min(most, len(arguments)))
    found = arguments[:count]
    del arguments[:count]
    return found


def _is_asked_for(arguments: Sequence[str], usage: str) -> bool:
    if not {"-h", "--help"} & set(arguments):
        return False
    print(usage)
    return True


def _is_too_much(arguments: Sequence[str], usage: str) -> bool:
    if not arguments or arguments[0].startswith("-"):
        return False
    first, *_ = usage.splitlines()
    print(f"{first}\nthere is no place for {printable(arguments[0])}", file=sys.stderr)
    return True


def _main(script: str) -> Callable[..., int]:
    """What a script does with its options: scripts are beside the package, or in it (`voip.scripts`)."""
    main: Callable[..., int] = importlib.import_module(f"voip.scripts.{script}").main
    return main
