"""Receivers found by name: real multicast between two hosts of one machine, over IPv4 and IPv6."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.namespaces import Host, Hosts, require
from tests.support.processes import receiver, sender, until
from tests.support.terminal import AtTerminal

pytest.importorskip("zeroconf")
pytestmark = pytest.mark.interop

PORTS = [(25060, range(25062, 25082)), (25160, range(25162, 25182))]
OTHER = "announced as desk-2:"
"""What a receiver says whose name was another's."""
FAMILIES = {"IPv4": ("10.213.8.1", "10.213.8.2", "0.0.0.0"), "IPv6": ("fd00:2::1", "fd00:2::2", "::")}


class Link:
    """Two hosts with a cable between them, and addresses of one family alone."""

    def __init__(self, hosts: Hosts, family: str) -> None:
        self.near, self.far = hosts.add("near"), hosts.add("far")
        near_address, self.far_address, self.any_host = FAMILIES[family]
        hosts.cable(self.near, near_address, self.far, self.far_address)

    @property
    def uri(self) -> str:
        host = f"[{self.far_address}]" if ":" in self.far_address else self.far_address
        return f"sip:{host}:{PORTS[0][0]}"


@pytest.fixture(params=list(FAMILIES))
def link(request: pytest.FixtureRequest) -> Iterator[Link]:
    require()
    with Hosts() as hosts:
        yield Link(hosts, request.param)


def browse(folder: Path, link: Link, host: Host, name: str) -> list[dict[str, object]]:
    """What --browse tells on that host; nothing is called."""
    with sender(folder, "--browse", "--json", host=link.any_host, through=host.through, name=name) as program:
        done = program.finish()
    assert done.status == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [line for line in lines if line["event"] == "found"]


def neighbours_asked(link: Link) -> set[str]:
    """Whose hardware address the near host has asked for: in a scan, of all that there could be."""
    lines = link.near.run("ip neighbour show").splitlines()
    return {line.split()[0] for line in lines if not line.startswith("fe80:")}


def test_a_receiver_is_called_by_its_name(tmp_path: Path, link: Link) -> None:
    with receiver(
        tmp_path, "--once", "--announce", "Kitchen", host=link.any_host, ports=PORTS[0], through=link.far.through
    ) as callee:
        callee.wait_for("announced as Kitchen")
        options = ("--duration", "2s")
        with sender(tmp_path, "kitchen", *options, host=link.any_host, through=link.near.through) as caller:
            sent, heard = caller.finish(), callee.finish()
    assert sent.status == heard.status == 0, sent.stderr + heard.stderr
    assert f"Kitchen is at {link.uri}" in sent.stderr
    assert heard.call["rx"]["received"] > 50


def test_two_of_one_name_are_told_apart_and_gone_when_they_end(tmp_path: Path, link: Link) -> None:
    one, two = (
        receiver(
            tmp_path,
            "--announce",
            "desk",
            *more,
            host=link.any_host,
            ports=ports,
            through=link.far.through,
            name=f"receiver{ports[0]}",
        )
        for ports, more in zip(PORTS, ((), ("--codec", "pcmu")), strict=True)
    )
    with one as first:
        first.wait_for("announced as desk:")
        with two as second:
            # The second by its probes; or, if those were lost, whichever loses the conflict (RFC 6762 section 9).
            until(lambda: any(OTHER in each.stderr for each in (first, second)), f"{first.stderr}{second.stderr}")
            names = ("desk-2", "desk") if OTHER in first.stderr else ("desk", "desk-2")
            found = {str(each["instance"]): each for each in browse(tmp_path, link, link.near, "both")}
            assert [(name, found[name]["service"]) for name in sorted(found)] == [
                ("desk", "_sip._udp"),
                ("desk-2", "_sip._udp"),
            ]
            assert found[names[0]]["uri"] == link.uri
            facts = found[names[1]]["facts"]
            assert isinstance(facts, dict)
            assert facts["codecs"] == "pcmu"
            second.stop()
            assert second.finish().status == 0
        assert [each["instance"] for each in browse(tmp_path, link, link.near, "one")] == [names[0]]
        first.stop()
        assert first.finish().status == 0
    assert browse(tmp_path, link, link.near, "none") == []


def test_a_text_goes_to_a_name_and_nothing_is_found_of_a_receiver_that_does_not_announce(
    tmp_path: Path, link: Link
) -> None:
    options = {"host": link.any_host, "through": link.near.through}
    with receiver(tmp_path, "--json", host=link.any_host, ports=PORTS[0], through=link.far.through) as silent:
        assert browse(tmp_path, link, link.near, "browse") == []
        with sender(tmp_path, "Anna's desk", "--message", "hi", "--no-call", name="lost", **options) as lost:  # type: ignore[arg-type]
            done = lost.finish()
        assert done.status == 4
        assert "no receiver on this network announces itself as Anna's desk" in done.stderr
        silent.stop()
        silent.finish()
        assert neighbours_asked(link) <= {link.far_address}
    with receiver(
        tmp_path, "--announce", "Anna's desk", host=link.any_host, ports=PORTS[0], through=link.far.through
    ) as callee:
        callee.wait_for("announced as Anna's desk")
        with sender(tmp_path, "anna's desk", "--message", "hi", "--no-call", name="found", **options) as found:  # type: ignore[arg-type]
            assert found.finish().status == 0
        callee.wait_for("  | hi")
        callee.stop()
        assert callee.finish().status == 0


def test_at_a_terminal_one_of_those_that_are_listed_is_called(tmp_path: Path, link: Link) -> None:
    far = {"host": link.any_host, "through": link.far.through}
    with (
        AtTerminal() as terminal,
        receiver(tmp_path, "--announce", "attic", ports=PORTS[0], name="attic", **far) as attic,  # type: ignore[arg-type]
        receiver(tmp_path, "--once", "--announce", "barn", ports=PORTS[1], name="barn", **far) as barn,  # type: ignore[arg-type]
    ):
        attic.wait_for("announced as")
        barn.wait_for("announced as")
        through = (*terminal.through, *link.near.through)
        options = ("--duration", "2s")
        with sender(tmp_path, "--browse", *options, host=link.any_host, stdin=terminal.end, through=through) as caller:
            terminal.wait_for("call which (1 to 2, Enter for none)?")
            terminal.types("2\n")
            terminal.wait_for("call to sip:")
            sent, heard = caller.finish(), barn.finish()
        attic.stop()
        assert attic.finish().status == 0
    assert sent.status == heard.status == 0, heard.stderr
    assert b"  1  attic " in sent.stdout
    assert b"  2  barn " in sent.stdout
    assert heard.call["rx"]["received"] > 50
