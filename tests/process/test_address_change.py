"""A machine whose address changes during a call: the peer is told, and sound goes on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.namespaces import Host, Hosts, require
from tests.support.processes import Program, receiver, sender

PORTS = 25060, range(25062, 25082)


BACK_WITHIN = 5.0
"""Seconds from when there is another address to when the peer sends to it."""


def move(host: Host, interface: str, old: str, new: str) -> float:
    """What a change of network does: the old address is gone before the new one is there, at the moment returned."""
    prefix, quick = ("64", " nodad") if ":" in new else ("24", "")
    host.run(f"ip address delete {old}/{prefix} dev {interface}")
    host.run(f"ip address add {new}/{prefix} dev {interface}{quick}")
    return time.monotonic()


@pytest.mark.process
@pytest.mark.parametrize(
    ("who", "net", "transport"),
    [
        ("sender", "10.66.0.", "udp"),
        ("receiver", "10.66.0.", "udp"),
        ("sender", "fd66::", "udp"),
        ("sender", "10.66.0.", "tcp"),
        ("receiver", "10.66.0.", "tcp"),
    ],
)
def test_sound_is_back_within_seconds_of_a_change_of_address(
    tmp_path: Path, who: str, net: str, transport: str
) -> None:
    require()
    with Hosts() as hosts:
        near, far = hosts.add("near"), hosts.add("far")
        interfaces = hosts.cable(near, f"{net}1", far, f"{net}2")
        anywhere, far_host = ("::", f"[{net}2]") if ":" in net else ("0.0.0.0", f"{net}2")
        target = f"sip:{far_host}:25060;transport={transport}"
        both = ("-v", "--two-way", "--input", "tone", "--output", "null")
        with (
            receiver(tmp_path, "--once", *both, host=anywhere, ports=PORTS, through=far.through) as callee,
            sender(tmp_path, target, *both, host=anywhere, through=near.through) as caller,
        ):
            told: Program
            caller.wait_for("call to")
            callee.wait_for("call from")
            if who == "sender":
                moved = move(near, interfaces[0], f"{net}1", f"{net}3")
                caller.wait_for(f"changed from {net}1 to {net}3", timeout=5)
                callee.wait_for(f"to {net}3", timeout=5)
                told, noticed = callee, caller
            else:
                moved = move(far, interfaces[1], f"{net}2", f"{net}4")
                callee.wait_for(f"changed from {net}2 to {net}4", timeout=5)
                caller.wait_for(f"to {net}4", timeout=5)
                told, noticed = caller, callee
            delay = when(told, "now sendrecv") - when(noticed, "changed from")
            near.run("sleep 2")
            told.stop()  # its BYE goes to the new address
            sent, heard = caller.finish(), callee.finish()
    assert sent.status == heard.status == 0, sent.stderr + heard.stderr
    silence = when(told, "now sendrecv") - moved
    print(f"{who}, {net}, {transport}: session moved {silence:.2f} s after the change")  # noqa: T201
    assert delay < 1.5
    assert silence < BACK_WITHIN
    for outcome in (sent, heard):
        rx, tx = outcome.call["rx"], outcome.call["tx"]
        assert outcome.call["end_reason"] in ("remote-bye", "local-bye")
        assert rx["received"] > tx["packets"] - 100, outcome.report  # 2 s


def when(program: Program, text: str) -> float:
    return next(moment for moment, line in program.lines if text in line)
