"""What goes wrong is said by real programs while the call runs, with what to do; and an ordinary call says nothing."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.plain_phone import phone
from tests.support.processes import LOOPBACK, Outcome, Program, free_ports, receiver, sender
from tests.support.relay import RECEIVER_ALIAS, SENDER_ALIAS, relay
from tests.support.wav import save

pytestmark = pytest.mark.process

SLOW = 3.0
"""Seconds that a busy machine may add to the three."""
PASSWORD = "zanzibar"


def warnings(outcome: Outcome, *names: str) -> list[dict[str, Any]]:
    """The events of these names, or all that say that something is wrong."""
    events = [json.loads(line) for line in outcome.stdout.splitlines()]
    return [event for event in events if event["event"] in (names or ("warning", "refused", "cleared", "note"))]


def seconds_between(program: Program, first: str, second: str) -> float:
    """From the first line that holds this to the first that holds that."""
    moments = [next(at for at, line in program.lines if text in line) for text in (first, second)]
    return moments[1] - moments[0]


# --- an ordinary call -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["tone", "silence", "late.wav"])
def test_an_ordinary_call_is_not_warned_of_on_either_side(tmp_path: Path, source: str) -> None:
    """Silence from a file, also at its beginning, is what its user wants to be sent."""
    if source.endswith(".wav"):
        sound = np.zeros((8000 * 6, 1), np.int16)
        sound[8000 * 5 :] = 20000
        save(tmp_path / source, sound, 8000)
    with (
        receiver(tmp_path, "--once", "--json") as far,
        sender(tmp_path, far.target, "--input", source, "--duration", "6s", "--json") as near,
    ):
        sent, heard = near.finish(), far.finish()
    assert (sent.status, heard.status) == (0, 0)
    assert (warnings(sent), warnings(heard)) == ([], [])


def test_a_call_of_a_second_is_not_warned_of(tmp_path: Path) -> None:
    with phone() as peer, sender(tmp_path, peer.target, "--duration", "1s", "--json") as near:
        assert warnings(near.finish(), "warning") == []


# --- silence ----------------------------------------------------------------------------------------------------------


def test_a_sender_to_which_nothing_comes_back_names_the_port_there(tmp_path: Path) -> None:
    with phone() as peer, sender(tmp_path, peer.target, "--duration", "8s", "--json") as near:
        near.wait_for("nothing comes back from")
        assert seconds_between(near, "call to", "nothing comes back") <= 3.0 + SLOW
        outcome = near.finish()
    (warning,) = warnings(outcome, "warning")
    assert warning["cause"] == "nothing-comes-back"
    assert "open UDP " in warning["message"]
    assert warning["message"] in outcome.stderr


def test_a_two_way_caller_that_hears_nothing_names_its_own_ports(tmp_path: Path) -> None:
    ports = ("--rtp-port", "31100-31119")
    with phone() as peer, sender(tmp_path, peer.target, "--two-way", "--output", "null", *ports, "--json") as near:
        line = near.wait_for("nothing has arrived from")
        near.stop()
        outcome = near.finish()
    assert "open UDP 311" in line
    assert [warning["cause"] for warning in warnings(outcome, "warning")] == ["nothing-arrives"]


def test_a_sender_that_stands_still_is_dead_air_and_its_return_is_told(tmp_path: Path) -> None:
    with receiver(tmp_path, "--json") as far, sender(tmp_path, far.target, "--json") as near:
        far.wait_for("call from")
        time.sleep(2.0)
        near.send_signal(signal.SIGSTOP)
        try:
            far.wait_for("no sound from")
        finally:
            near.send_signal(signal.SIGCONT)
        far.wait_for("sound is back after ")
        near.stop()
        near.finish()
        far.stop()
        outcome = far.finish()
    found = [(event["event"], event["cause"]) for event in warnings(outcome, "warning", "cleared")]
    assert found[:2] == [("warning", "dead-air"), ("cleared", "dead-air")]


def test_a_two_way_caller_of_a_receiver_that_only_plays_is_told_to_start_it_so(tmp_path: Path) -> None:
    with receiver(tmp_path) as far, sender(tmp_path, far.target, "--two-way", "--output", "null", "--json") as near:
        line = near.wait_for("sends no sound")
        near.stop()
        outcome = near.finish()
    assert "--two-way" in line
    assert [warning["cause"] for warning in warnings(outcome, "warning")] == ["peer-sends-nothing"]


# --- a bad network, and a firewall ------------------------------------------------------------------------------------


@contextlib.contextmanager
def call_through(folder: Path, *impairments: str) -> Iterator[tuple[Program, Program]]:
    """Receiver and sender of a call without FEC whose media and RTCP go over a network like this."""
    ports = free_ports()
    with (
        receiver(folder, "--public-address", RECEIVER_ALIAS, "--json", ports=ports) as far,
        relay((ports[0], *ports[1]), "--spare-port", str(ports[0]), *impairments),
        sender(
            folder,
            f"{RECEIVER_ALIAS}:{ports[0]}",
            *("--public-address", SENDER_ALIAS, "--fec", "off", "--codec", "pcmu", "--json"),
        ) as near,
    ):
        yield far, near


def test_a_firewall_that_drops_media_alone_is_named_on_both_sides_with_the_port(tmp_path: Path) -> None:
    with call_through(tmp_path, "--loss", "1.0") as (far, near):
        here, there = far.wait_for("nothing has arrived from"), near.wait_for("nothing comes back from")
        assert seconds_between(far, "call from", "nothing has arrived") <= 3.0 + SLOW
        assert seconds_between(near, "call to", "nothing comes back") <= 3.0 + SLOW
    port = there.rpartition("open UDP ")[2].partition(" ")[0]
    assert f"open UDP {port} here" in here


def test_heavy_loss_without_fec_is_named_on_both_sides(tmp_path: Path) -> None:
    with call_through(tmp_path, "--loss", "0.2", "--seed", "3") as (far, near):
        choppy, lossy = far.wait_for("choppy: "), near.wait_for(" loses ")
        near.stop()
        near.finish()
        far.stop()
        outcome = far.finish()
    assert "network loss" in choppy
    assert "--fec auto" in choppy
    assert "--fec auto" in lossy
    assert [event["cause"] for event in warnings(outcome, "warning")][:1] == ["choppy-loss"]


# --- callers that are refused -----------------------------------------------------------------------------------------


def test_a_receiver_says_whom_it_refuses_and_how_to_let_it_in(tmp_path: Path) -> None:
    with receiver(tmp_path, "--allow-only", "10.0.0.0/8", "--json") as far:
        for attempt in range(3):
            with sender(tmp_path, far.target, name=f"sender{attempt}") as near:
                assert near.finish().status != 0
        line = far.wait_for("refused a call from")
        far.stop()
        outcome = far.finish()
    assert line.endswith(f"to let it in: --allow {LOOPBACK}")
    (event,) = warnings(outcome, "refused")  # the others were of the same source
    assert (event["source"], event["status"]) == (LOOPBACK, 403)
    assert outcome.stderr.count("refused a call from") == 1


def test_a_receiver_says_that_a_password_was_wrong(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(f"bob:{PASSWORD}\n")
    wrong.write_text("guess\n")
    with receiver(tmp_path, "--password-file", str(right), "--json") as far:
        with sender(tmp_path, far.target, "--user", "bob", "--password-file", str(wrong)) as near:
            assert near.finish().status != 0
        far.wait_for("wrong user or password")
        far.stop()
        outcome = far.finish()
    assert [event["status"] for event in warnings(outcome)] == [401]


def test_a_receiver_in_a_call_says_who_was_missed(tmp_path: Path) -> None:
    with receiver(tmp_path, "--json") as far, sender(tmp_path, far.target, name="first"):
        far.wait_for("call from")
        with sender(tmp_path, far.target, name="second") as near:
            assert near.finish().status != 0
        assert "--max-calls" in far.wait_for("missed a call from")
        far.stop()
        outcome = far.finish()
    assert [event["status"] for event in warnings(outcome, "refused")] == [486]


def test_a_receiver_says_that_no_codec_fits(tmp_path: Path) -> None:
    with receiver(tmp_path, "--codec", "pcmu", "--json") as far:
        with sender(tmp_path, far.target, "--codec", "pcma") as near:
            assert near.finish().status != 0
        assert far.wait_for("refused a call from").endswith("; see --codec")
        far.stop()
        outcome = far.finish()
    assert [event["status"] for event in warnings(outcome, "refused")] == [488]


# --- the registrar ----------------------------------------------------------------------------------------------------


def test_a_silent_registrar_is_named_at_once(tmp_path: Path) -> None:
    with phone(mute_after="REGISTER") as silent:
        account = ("--registrar", silent.target, "--user", "bob")
        with receiver(tmp_path, *account, "--json") as far:
            line = far.wait_for("no response from the registrar", timeout=3.0 + SLOW + 2.0)
            far.stop()
            outcome = far.finish()
    assert f"UDP {silent.port}" in line
    (warning,) = warnings(outcome)
    assert warning["cause"] == "registrar-silent"
    assert warning["t"] <= 3.0 + SLOW


# --- another program at the port --------------------------------------------------------------------------------------


@contextlib.contextmanager
def udp_server(response: bytes | None) -> Iterator[int]:
    """The port of a server that responds to each datagram with this; None: with the datagram itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((LOOPBACK, 0))
        bound.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    data, source = bound.recvfrom(65536)
                    bound.sendto(data if response is None else response, source)

        server = threading.Thread(target=serve)
        server.start()
        try:
            yield bound.getsockname()[1]
        finally:
            ended.set()
            server.join()


@pytest.mark.parametrize(
    ("response", "what"),
    [(None, "sends our own requests back"), (b"what?\n", "responds with 'what?', which is not SIP")],
)
def test_another_program_at_the_port_is_named_while_it_is_called(
    tmp_path: Path, response: bytes | None, what: str
) -> None:
    with (
        udp_server(response) as port,
        sender(tmp_path, f"{LOOPBACK}:{port}", "--connect-timeout", "6s", "--json") as near,
    ):
        sent = near.finish()
    assert sent.status == 5
    (warning,) = warnings(sent)
    assert warning["cause"] == "not-sip"
    assert what in warning["message"]
    assert f"UDP port {port} of {LOOPBACK}" in warning["message"]
    assert warning["t"] <= 3.0 + SLOW


def test_a_registrar_whose_port_is_closed_is_named_as_such(tmp_path: Path) -> None:
    port, _ = free_ports()
    with receiver(tmp_path, "--registrar", f"{LOOPBACK}:{port}", "--user", "bob", "--json") as far:
        far.wait_for("no response from the registrar", timeout=3.0 + SLOW + 2.0)
        far.stop()
        outcome = far.finish()
    (warning,) = warnings(outcome)
    assert warning["t"] <= 3.0 + SLOW
    assert f"nothing listens at its UDP port {port}" in warning["message"]
