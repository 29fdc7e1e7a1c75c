"""A call to a neighbour that has a link-local address alone, between two hosts of one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.namespaces import Hosts, require
from tests.support.processes import receiver, sender

PORTS = 25060, range(25062, 25082)


@pytest.mark.process
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_call_over_a_cable_without_any_other_address(tmp_path: Path, transport: str) -> None:
    require()
    with Hosts() as hosts:
        near, far = hosts.add("near"), hosts.add("far")
        interface, theirs = hosts.cable(near, "192.0.2.1", far, "192.0.2.2")
        hosts.cable(near, "198.51.100.1", far, "198.51.100.2")  # a second link: the zone has to be said
        address, caller_address = far.link_local(theirs), near.link_local(interface)  # both can be used from here on
        target = f"sip:[{address}%{interface}]:25060;transport={transport}"
        both = ("--two-way", "--codec", "l16", "--input", "tone", "--output", "null")
        with (
            receiver(tmp_path, "--once", *both, host="::", ports=PORTS, through=far.through) as callee,
            sender(tmp_path, target, *both, "--duration", "2s", host="::", through=near.through) as caller,
        ):
            assert "call from sip:" in callee.wait_for(f"@[{caller_address}]")
            caller.wait_for("call ended")
            sent, heard = caller.finish(), callee.finish()
    assert sent.status == heard.status == 0, sent.stderr + heard.stderr
    for outcome in (sent, heard):
        assert outcome.call["rx"]["received"] > 90, outcome.report
        assert outcome.call["rx"]["lost"] == 0
