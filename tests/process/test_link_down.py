"""A sender whose call was lost with the link, or with its address, calls again. Time to sound again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.calling_again import BACK_WITHIN, SOON, reasons, sound_after, sound_again, wait_for_call
from tests.support.namespaces import Host, Hosts, require
from tests.support.processes import receiver, sender

pytestmark = pytest.mark.process

PORTS = 25060, range(25062, 25082)


@pytest.mark.parametrize(
    ("end", "transport", "down", "options"),
    [
        ("near", "udp", 10.0, SOON),
        ("far", "udp", 10.0, SOON),
        ("far", "tcp", 10.0, SOON),
        ("near", "tcp", 10.0, SOON),
        pytest.param("near", "udp", 60.0, (), marks=pytest.mark.slow),
        pytest.param("far", "udp", 60.0, (), marks=pytest.mark.slow),
        pytest.param("far", "tcp", 60.0, (), marks=pytest.mark.slow),
        pytest.param("near", "tcp", 60.0, (), marks=pytest.mark.slow),
    ],
)
def test_sound_is_back_within_5_s_of_the_return_of_the_link(
    tmp_path: Path, end: str, transport: str, down: float, options: tuple[str, ...]
) -> None:
    """`near`: the sender's own interface is down, and the system refuses to send; `far`: packets vanish."""
    require()
    with Hosts() as hosts:
        near, far = hosts.add("near"), hosts.add("far")
        interfaces = hosts.cable(near, "10.66.0.1", far, "10.66.0.2")
        cut, interface = (near, interfaces[0]) if end == "near" else (far, interfaces[1])
        target = f"sip:10.66.0.2:25060;transport={transport}"
        with (
            receiver(tmp_path, *options, host="0.0.0.0", ports=PORTS, through=far.through) as callee,
            sender(tmp_path, target, *options, host="0.0.0.0", through=near.through) as caller,
        ):
            wait_for_call(callee, 1)
            time.sleep(2.0)
            back = interrupt(cut, interface, down)
            wait_for_call(callee, 2)
            time.sleep(6.0)
            caller.stop()
            sent = caller.finish()
            callee.wait_for("ended by the other side")
            callee.stop()
            heard = callee.finish()
    silence = sound_again(callee, heard) - back
    print(f"{end}, {transport}: down {down:.0f} s, sound {silence:.2f} s after the link's return")  # noqa: T201
    assert silence < BACK_WITHIN, sent.stderr
    assert sent.status == 0, sent.stderr
    assert (reasons(heard)[0], reasons(heard)[-1]) == ("media-timeout", "remote-bye")


def test_sound_is_back_at_another_address_after_an_outage(tmp_path: Path) -> None:
    require()
    with Hosts() as hosts:
        near, far = hosts.add("near"), hosts.add("far")
        interface, _ = hosts.cable(near, "10.66.0.1", far, "10.66.0.2")
        with (
            receiver(tmp_path, *SOON, host="0.0.0.0", ports=PORTS, through=far.through) as callee,
            sender(tmp_path, "10.66.0.2:25060", *SOON, host="0.0.0.0", through=near.through) as caller,
        ):
            wait_for_call(callee, 1)
            near.run(f"ip address delete 10.66.0.1/24 dev {interface}")
            time.sleep(8.0)
            near.run(f"ip address add 10.66.0.7/24 dev {interface}")
            back = time.monotonic()
            up = wait_for_call(callee, 2)
            time.sleep(2.0)
            caller.stop()
            sent = caller.finish()
            callee.stop()
            heard = callee.finish()
    silence = up + sound_after(heard, 2) - back
    print(f"no address for 8 s, then another: sound {silence:.2f} s after it was there")  # noqa: T201
    assert silence < BACK_WITHIN
    assert sent.status == 0, sent.stderr
    assert heard.report is not None
    assert "10.66.0.7" in heard.report["calls"][1]["peer"]


def interrupt(host: Host, interface: str, seconds: float) -> float:
    """Take an interface down for a while: when it was up again."""
    host.run(f"ip link set {interface} down")
    time.sleep(seconds)
    host.run(f"ip link set {interface} up")
    return time.monotonic()
