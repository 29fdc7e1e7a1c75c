"""What a person reads at the start: an address that can be called, by a command that fits."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator

import pytest

from voip import cli
from voip.devices import open_sink, open_source
from voip.engine import Shutdown
from voip.errors import NetworkError
from voip.net import Network, addresses
from voip.report import Console

INTERFACES = ["10.213.7.2", "fd00::2"]


@pytest.fixture(autouse=True)
def _cable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two addresses, and no route to any other network."""

    def no_route(host: str) -> str:
        raise NetworkError(f"no route to {host}")

    monkeypatch.setattr(addresses, "local_address_towards", no_route)
    monkeypatch.setattr(addresses, "own_hosts", lambda: INTERFACES)


@contextlib.contextmanager
def network(options: cli.CommonOptions, console: Console) -> Iterator[Network]:
    made = cli.make_network(options, console)
    try:
        yield made
    finally:
        made.close()


def announced(*arguments: str) -> tuple[list[str], dict[str, object]]:
    """The lines for people and the `listening` event of a receiver with these options."""
    options = cli.receiver_options([*arguments, "--output", "null"])
    talk, data = io.StringIO(), io.StringIO()
    console = Console(lambda: 0.0, verbosity=options.verbosity, as_json=True, talk=talk, data=data)
    devices = [open_sink("null"), *([open_source("tone")] if options.two_way else [])]
    with network(options, console) as made:
        port = None if options.stream else made.sip.listen(0)
        cli.announce(options, made, port, devices, console)
    return talk.getvalue().splitlines(), json.loads(data.getvalue())


def hint(*arguments: str) -> str:
    lines, _ = announced(*arguments)
    found = [line for line in lines if line.startswith("on the other machine:")]
    assert len(found) == 1
    return found[0].partition("sender.py ")[2]


def test_without_a_default_route_the_address_of_an_interface_is_named() -> None:
    assert hint().startswith("10.213.7.2:")
    lines, event = announced("-v")
    assert event["addresses"] == INTERFACES
    assert "other addresses of this machine: fd00::2" in lines


@pytest.mark.parametrize(
    ("arguments", "host"),
    [(("--bind", "127.0.0.1"), "127.0.0.1"), (("--public-address", "203.0.113.9"), "203.0.113.9")],
)
def test_the_bound_or_the_public_address_is_named_alone(arguments: tuple[str, ...], host: str) -> None:
    assert hint(*arguments).startswith(f"{host}:")
    assert announced(*arguments)[1]["addresses"] == [host]


def test_behind_a_registrar_the_account_is_called_as_a_proxy_may_be_all_that_may_call_directly() -> None:
    account = ("--registrar", "pbx.example", "--user", "kitchen")
    assert hint(*account) == "sip:kitchen@pbx.example"
    assert hint(*account, "--proxy", "edge.example") == "sip:kitchen@pbx.example --proxy edge.example"


def test_a_receiver_that_also_sends_is_called_in_both_directions_and_names_the_latency_at_the_speaker() -> None:
    lines, _ = announced("--two-way", "--latency", "80ms")
    assert "speaker   null   latency 80 ms" in lines
    assert any(line.startswith("mic       tone") and "latency" not in line for line in lines)
    assert lines[-1].endswith(" --two-way")


def test_a_receiver_of_plain_rtp_says_how_to_send_to_it() -> None:
    assert hint("rtp://:5004", "--codec", "pcmu") == "rtp://10.213.7.2:5004 --codec pcmu"


def test_programs_are_told_every_transport() -> None:
    _, event = announced("--bind", "127.0.0.1")
    transports = event["transports"]
    assert isinstance(transports, dict)
    assert set(transports) == {"udp", "tcp"}
    assert event["uri"] == f"sip:127.0.0.1:{transports['udp']}"


def test_a_sender_without_a_target_says_whom_it_calls_and_one_that_plays_says_where() -> None:
    talk = io.StringIO()
    console = Console(lambda: 0.0, talk=talk)
    options = cli.sender_options(["--two-way", "--input", "tone", "--output", "null"])
    cli.announce_call(options, cli.open_playback(options, console, Shutdown()), console)
    first, second = talk.getvalue().splitlines()
    assert first.startswith("no TARGET given: calling this machine (")
    assert second == "speaker   null   latency auto"


def test_who_calls_a_conference_is_told_to_listen_as_well() -> None:
    assert hint("--conference", "--max-calls", "3").endswith(" --two-way")
    assert "--two-way" not in hint("--max-calls", "3")
    assert "room      a conference of up to 3 callers" in announced("--conference", "--max-calls", "3")[0]
