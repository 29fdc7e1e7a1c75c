"""A sender whose call was lost calls again: the peer restarted, the link down, another address. Time to sound again."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.support.namespaces import Host, Hosts, require
from tests.support.processes import LOOPBACK, Outcome, Program, free_ports, receiver, sender, until

pytestmark = pytest.mark.process

BACK_WITHIN = 5.0
"""Seconds from the return of the link to sound."""
SLOW_MACHINE = 3.0
"""Seconds on top that the start of a program, or a busy machine, may take here."""
NOTICED_WITHIN = 5.0
"""Seconds until a sender knows that its peer is gone, whatever the media time-out: ICMP, and no response to OPTIONS."""
SOON = ("--media-timeout", "4s")
PORTS = 25060, range(25062, 25082)


def moments(program: Program, text: str) -> list[float]:
    return [moment for moment, line in program.lines if text in line]


def wait_for_call(program: Program, number: int, timeout: float = 60.0) -> float:
    """When the call of this number came up."""
    until(lambda: len(moments(program, "call from")) >= number, f"call {number} at {program.name}", timeout)
    return moments(program, "call from")[number - 1]


def sound_after(heard: Outcome, number: int) -> float:
    """Seconds from the call's coming up to its first sound."""
    assert heard.report is not None
    call = heard.report["calls"][number - 1]
    return float(call["first_audio_ms"] - call["setup_ms"]) / 1e3


def sound_again(program: Program, heard: Outcome) -> float:
    """The moment of the first sound after the first call. A try that was given up may come up late, without any."""
    assert heard.report is not None
    calls = list(zip(moments(program, "call from"), heard.report["calls"], strict=True))[1:]
    up, number = next((up, number) for number, (up, call) in enumerate(calls, 2) if call["rx"]["received"])
    return up + sound_after(heard, number)


def reasons(outcome: Outcome) -> list[str]:
    assert outcome.report is not None
    return [call["end_reason"] for call in outcome.report["calls"]]


@pytest.mark.parametrize("gone", [0.0, 2.0, 8.0])
def test_sound_is_back_within_5_s_of_the_start_of_a_receiver_that_was_killed(tmp_path: Path, gone: float) -> None:
    """Started again at once it no longer knows the call (481); later its ports are closed (ICMP)."""
    ports = free_ports(LOOPBACK)
    with receiver(tmp_path, name="first", ports=ports) as first, sender(tmp_path, first.target) as near:
        wait_for_call(first, 1)
        time.sleep(1.0)
        first.send_signal(signal.SIGKILL)
        first.process.wait()
        killed = time.monotonic()
        time.sleep(gone)
        with receiver(tmp_path, name="second", ports=ports) as second:
            ready = moments(second, "waiting for a call")[0]
            up = wait_for_call(second, 1)
            time.sleep(1.0)
            near.stop()
            second.wait_for("ended by the other side")
            second.stop()
            sent, heard = near.finish(), second.finish()
    silence = up + sound_after(heard, 1) - ready
    print(f"killed, started {gone:.0f} s later: sound {silence:.2f} s after the receiver was ready")  # noqa: T201
    assert silence < BACK_WITHIN
    assert moments(near, "calling again in")[0] - killed < NOTICED_WITHIN + SLOW_MACHINE
    assert sent.status == heard.status == 0, sent.stderr
    assert reasons(sent)[0] == ("media-timeout" if gone > NOTICED_WITHIN else "timeout")
    assert reasons(sent)[-1] == "local-bye"
    assert heard.call["rx"]["received"] > 0


def test_tries_that_are_used_up_end_with_the_last_failure(tmp_path: Path) -> None:
    with receiver(tmp_path) as far, sender(tmp_path, far.target, *SOON, "--retry", "2") as near:
        wait_for_call(far, 1)
        far.send_signal(signal.SIGKILL)
        sent = near.finish(60.0)
    assert sent.status == 4, sent.stderr  # its port is closed
    assert sent.stderr.count("calling again in") == 2
    assert reasons(sent) == ["media-timeout"]


def test_a_sender_that_is_told_to_waits_for_a_receiver_that_is_not_there_yet(tmp_path: Path) -> None:
    ports = free_ports(LOOPBACK)
    options = ("--retry", "forever", "--connect-timeout", "1s", "--duration", "1s")
    with sender(tmp_path, f"{LOOPBACK}:{ports[0]}", *options) as near:
        near.wait_for("calling again in")
        with receiver(tmp_path, "--once", ports=ports) as far:
            sent, heard = near.finish(), far.finish()
    assert sent.status == heard.status == 0, sent.stderr


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
