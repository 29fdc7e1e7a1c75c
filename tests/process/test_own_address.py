"""A call from the receiver's own machine, which has no private address."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.namespaces import Host, Hosts, require
from tests.support.processes import receiver, sender

PORTS = 25060, range(25062, 25082)
OURS, STRANGER = "192.0.2.2", "192.0.2.3"
"""Of documentation (RFC 5737), and so neither private nor loopback."""


def with_address(hosts: Hosts) -> tuple[Host, Host]:
    """A machine, and another one beside it."""
    near, far = hosts.add("near"), hosts.add("far")
    hosts.cable(near, OURS, far, STRANGER)
    return near, far


@pytest.mark.process
def test_a_newcomer_calls_the_address_that_the_receiver_prints(tmp_path: Path) -> None:
    require()
    with Hosts() as hosts:
        near, _ = with_address(hosts)
        with receiver(tmp_path, "--once", host="0.0.0.0", ports=PORTS, through=near.through) as callee:
            assert f"sip:{OURS}:" in callee.wait_for("waiting for a call")
            target = f"sip:{OURS}:25060"
            with sender(tmp_path, target, "--duration", "1s", host="0.0.0.0", through=near.through) as caller:
                sent, heard = caller.finish(), callee.finish()
    assert sent.status == heard.status == 0, sent.stderr + heard.stderr
    assert heard.call["rx"]["received"] > 0


@pytest.mark.process
def test_a_neighbour_with_such_an_address_is_refused_as_before(tmp_path: Path) -> None:
    require()
    with Hosts() as hosts:
        near, far = with_address(hosts)
        with (
            receiver(tmp_path, host="0.0.0.0", ports=PORTS, through=near.through) as callee,
            sender(tmp_path, f"sip:{OURS}:25060", "--retry", "off", host="0.0.0.0", through=far.through) as caller,
        ):
            refused = caller.finish()
            assert f"--allow {STRANGER}" in callee.wait_for("refused a call")
    assert refused.status == 6, refused.stderr
