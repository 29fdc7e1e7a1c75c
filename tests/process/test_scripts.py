"""Both scripts as real processes over loopback: how they end, and what they leave behind.

Time limits here are generous, a busy machine must not fail them; `pytest -rP` shows what was measured. VOIP_REPEAT
says how often the endings are repeated that are to hold every time.
"""

import contextlib
import json
import os
import pty
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.network import Impairment
from tests.support.outcomes import ALLOWED_END, PROMISED_END, REPEAT, SIDES, assert_clean, gone, tell
from tests.support.plain_phone import Phone, phone
from tests.support.processes import Outcome, Program, free_ports, receiver, sender, until
from tests.support.relay import RECEIVER_ALIAS, SENDER_ALIAS, Relay, Route
from tests.support.sound import speechlike
from tests.support.wav import save

pytestmark = pytest.mark.process

PROMISED_BYE = 0.2  # seconds from the signal
ALLOWED_BYE = 1.0  # on a machine that has other things to do
ALLOWED_START = 3.0


class Wire:
    """What goes by between the two programs: how much media, and when the first BYE."""

    def __init__(self) -> None:
        self.media = 0
        self.bye: float | None = None

    def see(self, kind: str, data: bytes) -> None:
        if kind != "sip":
            self.media += 1
        elif data.startswith(b"BYE ") and self.bye is None:
            self.bye = time.monotonic()


@contextlib.contextmanager
def watched_wire(ports: tuple[int, range]) -> Iterator[Wire]:
    """A faultless wire to a receiver on these ports."""
    wire, stopped = Wire(), threading.Event()
    between = Relay(Route((ports[0], *ports[1])), Impairment(delay=0.0), Impairment(delay=0.0), tap=wire.see)
    thread = threading.Thread(target=between.run, args=(stopped.is_set,), daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        stopped.set()
        thread.join()
        between.close()


@dataclass(frozen=True)
class Ending:
    """What followed a signal: seconds until the BYE was on the wire, and until both programs were gone."""

    bye: float
    gone: float
    outcomes: tuple[Outcome, Outcome]


def ended_by(folder: Path, side: str, number: signal.Signals) -> Ending:
    """A call that one side is told to end."""
    ports = free_ports()
    with (
        watched_wire(ports) as wire,
        receiver(folder, "--once", "--public-address", RECEIVER_ALIAS, ports=ports) as far,
        sender(folder, f"{RECEIVER_ALIAS}:{ports[0]}", "--public-address", SENDER_ALIAS) as near,
    ):
        until(lambda: wire.media > 20, "media flows")
        start = time.monotonic()
        (near if side == "sender" else far).send_signal(number)
        until(lambda: gone(near, far), "both are gone")
        end = time.monotonic()
        outcomes = near.finish(), far.finish()
    assert wire.bye is not None
    return Ending(wire.bye - start, end - start, outcomes)


@pytest.mark.parametrize("side", SIDES)
def test_ctrl_c_at_either_side_hangs_up_at_once_and_ends_both(tmp_path: Path, side: str) -> None:
    endings = [ended_by(tmp_path, side, signal.SIGINT) for _ in range(REPEAT)]
    tell("BYE", [ending.bye for ending in endings], PROMISED_BYE)
    tell("both gone", [ending.gone for ending in endings], PROMISED_END)
    for ending in endings:
        near, far = ending.outcomes
        assert_clean(near)
        assert_clean(far)
        reasons = ("local-bye", "remote-bye") if side == "sender" else ("remote-bye", "local-bye")
        assert (near.call["end_reason"], far.call["end_reason"]) == reasons
        assert far.call["rx"]["received"] > 0
        assert ending.bye < ALLOWED_BYE
        assert ending.gone < ALLOWED_END


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_sighup_end_a_call_as_ctrl_c_does(tmp_path: Path, side: str, number: signal.Signals) -> None:
    ending = ended_by(tmp_path, side, number)
    for outcome in ending.outcomes:
        assert_clean(outcome)
    assert ending.bye < ALLOWED_BYE
    assert ending.gone < ALLOWED_END


IN_BACKGROUND = ("setsid", "sh", "-c", 'trap "" INT; exec "$@"', "sh")
"""How a shell script starts a program in the background: without a terminal, and with SIGINT ignored."""
WITHOUT_STREAMS = ("setsid", "sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
"""How a careless service manager does: nothing is open at all."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("through", [IN_BACKGROUND, WITHOUT_STREAMS], ids=["background", "without streams"])
def test_without_a_terminal_signals_end_a_call_just_so(
    tmp_path: Path, through: tuple[str, ...], number: signal.Signals
) -> None:
    ready = None if through is WITHOUT_STREAMS else "on the other machine"
    with phone() as other, sender(tmp_path, other.target, through=through) as near:
        other.wait_for_media()
        near.send_signal(number)
        other.wait_for("BYE")
        assert_clean(near.finish())
    with phone() as other, receiver(tmp_path, through=through, ready=ready) as far:
        other.talk(other.call(far.target), 10)
        far.send_signal(number)
        other.wait_for("BYE")
        heard = far.finish()
        assert_clean(heard)
        assert heard.call["rx"]["received"] == 10


@pytest.mark.parametrize("side", SIDES)
def test_closing_the_terminal_window_hangs_up(tmp_path: Path, side: str) -> None:
    window, terminal = pty.openpty()
    through = ("sh", "-c", f'exec setsid -c "$@" <>{os.ttyname(terminal)} >&0 2>&0', "sh")
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, terminal)
        os.set_blocking(window, False)
        other = stack.enter_context(phone())
        if side == "sender":
            program: Program = stack.enter_context(sender(tmp_path, other.target, through=through))
        else:
            program = far = stack.enter_context(receiver(tmp_path, through=through, ready=None))
            until(lambda: says(window, b"on the other machine"), "it talks on its terminal")
            other.talk(other.call(far.target), 5)
        until(lambda: says(window, b"not encrypted"), "it tells of the call")
        os.close(window)
        other.wait_for("BYE")
        outcome = program.finish()
    assert_clean(outcome)
    assert outcome.call["end_reason"] == "local-bye"


def says(window: int, text: bytes) -> bool:
    """Whether a terminal that is just being read shows this."""
    with contextlib.suppress(BlockingIOError):
        return text in os.read(window, 10_000)
    return False


def test_nohup_keeps_a_receiver_running_when_its_terminal_goes(tmp_path: Path) -> None:
    with phone() as other, receiver(tmp_path, through=("nohup",)) as far:
        far.send_signal(signal.SIGHUP)
        answer = other.call(far.target)
        assert answer.startswith("SIP/2.0 200")
        other.talk(answer, 5)
        far.stop()
        assert_clean(far.finish())


@pytest.mark.parametrize("side", SIDES)
def test_a_peer_that_does_not_answer_the_bye_holds_nobody_up(tmp_path: Path, side: str) -> None:
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(phone(mute_after="BYE"))
        program = in_call(stack, tmp_path, side, other)
        start = time.monotonic()
        program.stop()
        outcome = program.finish()
        took = time.monotonic() - start
    assert_clean(outcome)
    assert outcome.call["end_reason"] == "local-bye"
    assert took < ALLOWED_END
    assert len(other.requests("BYE")) >= 2  # it is repeated (RFC 3261 17.1.2.2), and once more at the very end


@pytest.mark.parametrize("side", SIDES)
def test_a_second_ctrl_c_ends_the_waiting_for_the_answer_to_the_bye(tmp_path: Path, side: str) -> None:
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(phone(mute_after="BYE"))
        program = in_call(stack, tmp_path, side, other)
        program.stop()
        other.wait_for("BYE")
        start = time.monotonic()
        program.stop()
        outcome = program.finish()
        took = time.monotonic() - start
    assert_clean(outcome, status=130)
    assert took < PROMISED_END


def in_call(stack: contextlib.ExitStack, folder: Path, side: str, other: Phone) -> Program:
    """A program of that side in a call with the phone."""
    if side == "sender":
        near = stack.enter_context(sender(folder, other.target))
        other.wait_for_media()
        return near
    far = stack.enter_context(receiver(folder))
    other.talk(other.call(far.target), 10)
    return far


# --- what is told while a call runs, and at the end of the input -----------------------------------------------------


FRESH = 0.1
"""Seconds by which a figure may be older than its event: the network thread takes both, one after the other."""


def test_0_is_the_end_of_the_input_and_of_the_duration(tmp_path: Path) -> None:
    save(tmp_path / "short.wav", speechlike(16000, 0.5), 16000)
    for arguments in (("--input", "short.wav"), ("--input", "short.wav", "--loop", "--duration", "700ms")):
        with receiver(tmp_path, "--once") as far, sender(tmp_path, far.target, *arguments) as near:
            for outcome, reason in ((near.finish(), "local-bye"), (far.finish(), "remote-bye")):
                assert_clean(outcome)
                assert outcome.call["end_reason"] == reason


def test_the_reader_of_the_talk_may_leave_while_the_call_goes_on(tmp_path: Path) -> None:
    through = ("bash", "-c", '"$@" 2>&1 >/dev/null | head -n 1; exit "$PIPESTATUS"', "bash")
    with receiver(tmp_path, "--once") as far:
        with sender(tmp_path, far.target, "--duration", "1s", through=through) as near:
            sent = near.finish()
        heard = far.finish()
    for outcome in (sent, heard):
        assert_clean(outcome)
    assert heard.call["rx"]["received"] == sent.call["tx"]["packets"] >= 50


def test_the_first_media_packet_leaves_soon_after_the_start(tmp_path: Path) -> None:
    seconds = []
    for _ in range(2 * REPEAT):
        with phone() as other, sender(tmp_path, other.target) as near:
            seconds.append(other.wait_for_media() - near.started)
            near.stop()
            assert_clean(near.finish())
    tell("first packet", seconds, 0.6)
    assert statistics.median(seconds) < ALLOWED_START


def test_json_lines_tell_a_program_what_happens_and_end_with_the_report(tmp_path: Path) -> None:
    with receiver(tmp_path, "--once", "--json", "--stats-interval", "200ms") as far:
        with sender(tmp_path, far.target, "--duration", "1s", "--quiet", "--json") as near:
            sent = near.finish()
        heard = far.finish()
    for outcome, first in ((sent, {"device", "established"}), (heard, {"listening", "device", "incoming"})):
        events = [json.loads(line) for line in outcome.stdout.splitlines()]
        names = [event["event"] for event in events]
        assert first <= set(names[: len(first)])
        assert names[-2:] == ["ended", "report"]
        assert all(event["schema"] == 1 and event["t"] >= 0 for event in events)
        assert {name: events[-1][name] for name in ("program", "exit", "calls")} == {
            name: (outcome.report or {})[name] for name in ("program", "exit", "calls")
        }
    assert sent.stderr == ""
    told = [event for event in map(json.loads, heard.stdout.splitlines()) if event["event"] == "stats"]
    ages = [event["t"] - event["duration_s"] for event in told]
    assert max(ages) - min(ages) < FRESH, "the figures are of the moment at which they are told"
    assert told[-1]["interval"]["seconds"] == pytest.approx(told[-1]["duration_s"] - told[-2]["duration_s"], abs=0.002)
    assert told[-1]["quality"]["mos_lq"] > 1.0
