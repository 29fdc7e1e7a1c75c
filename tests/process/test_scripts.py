"""Both scripts as real processes over loopback: how they end, what they return, what they leave behind.

Time limits here are generous, a busy machine must not fail them; `pytest -rP` shows what was measured. VOIP_REPEAT
says how often the endings are repeated that are to hold every time.
"""

import contextlib
import json
import os
import pty
import re
import signal
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.network import Impairment
from tests.support.plain_phone import Phone, phone
from tests.support.processes import LOOPBACK, Outcome, Program, free_ports, receiver, sender, until
from tests.support.relay import RECEIVER_ALIAS, SENDER_ALIAS, Relay, Route, relay
from tests.support.sound import speechlike
from tests.support.wav import save

pytestmark = pytest.mark.process

REPEAT = int(os.environ.get("VOIP_REPEAT", "5"))
PROMISED_BYE, PROMISED_END = 0.2, 1.5  # seconds from the signal
ALLOWED_BYE, ALLOWED_END = 1.0, 4.0  # on a machine that has other things to do
ALLOWED_START = 3.0
SIDES = ("receiver", "sender")
TALK = ("calling sip:", "call to sip:", "call from sip:", "receiver  waiting", "speaker ", "on the other machine:")


# --- signals ----------------------------------------------------------------------------------------------------------


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


def gone(*programs: Program) -> bool:
    return all(program.process.poll() is not None for program in programs)


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


def assert_clean(outcome: Outcome, *, status: int = 0) -> None:
    assert outcome.status == status, outcome.stderr
    assert outcome.report is not None
    assert "Traceback" not in outcome.stderr
    assert "Exception" not in outcome.stderr


def tell(name: str, seconds: list[float], promised: float) -> None:
    """Show what was measured (pytest -rP), and keep its median in the file that VOIP_FIGURES names."""
    within = sum(value <= promised for value in seconds)
    figures = f"median {statistics.median(seconds):.4f} s, worst {max(seconds):.4f} s"
    sys.stdout.write(f"{name}: {figures}, {within} of {len(seconds)} within {promised:g} s\n")
    if kept := os.environ.get("VOIP_FIGURES"):
        file = Path(kept)
        before = json.loads(file.read_text()) if file.exists() else {}
        figures_now = {**before, name: round(statistics.median(seconds), 4)}
        file.write_text(json.dumps(figures_now, indent=1, sort_keys=True) + "\n")


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


# --- bad networks and dead peers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_with_a_fifth_of_sip_lost_both_end_all_the_same(tmp_path: Path, side: str) -> None:
    apart, time_outs = [], 0
    for seed in range(REPEAT):
        ports = free_ports()
        with (
            relay((ports[0], *ports[1]), "--impair", "sip", "--loss", "0.2", "--seed", str(seed)),
            receiver(
                tmp_path, "--once", "--public-address", RECEIVER_ALIAS, "--media-timeout", "3s", ports=ports
            ) as far,
            sender(
                tmp_path,
                f"{RECEIVER_ALIAS}:{ports[0]}",
                *("--public-address", SENDER_ALIAS, "--media-timeout", "3s"),
            ) as near,
        ):
            far.wait_for("call from")
            near.wait_for("call to")
            (near if side == "sender" else far).stop()
            until(lambda: near.process.poll() is not None or far.process.poll() is not None, "one has gone")
            first = time.monotonic()
            until(lambda: gone(near, far), "both are gone")
            apart.append(time.monotonic() - first)
            for outcome in (near.finish(), far.finish()):
                by_time_out = outcome.report is not None and outcome.call["end_reason"] == "media-timeout"
                time_outs += by_time_out
                heard = outcome.call["rx"]
                silent = heard is not None and not heard["received"]  # the 200 to the INVITE was lost for so long
                assert_clean(outcome, status=8 if by_time_out or silent else 0)
    tell(f"apart ({time_outs} by the media time-out)", apart, PROMISED_END)
    assert sum(seconds <= PROMISED_END for seconds in apart) >= 0.8 * REPEAT - 1


KILL = signal.SIGKILL
SOON = ("--media-timeout", "2s")


def test_a_killed_sender_is_missed_and_the_receiver_takes_the_next_call(tmp_path: Path) -> None:
    with receiver(tmp_path, *SOON) as far:
        with sender(tmp_path, far.target) as near:
            far.wait_for("call from")
            near.send_signal(KILL)
            assert near.finish().report is None
        far.wait_for("no more media from the other side")
        with sender(tmp_path, far.target, "--duration", "300ms") as near:
            assert_clean(near.finish())
        far.wait_for("ended by the other side")
        far.stop()
        heard = far.finish()
    assert_clean(heard)
    assert heard.report is not None
    assert [call["end_reason"] for call in heard.report["calls"]] == ["media-timeout", "remote-bye"]


def test_a_receiver_for_one_call_whose_sender_was_killed_exits_with_8(tmp_path: Path) -> None:
    with receiver(tmp_path, "--once", *SOON) as far, sender(tmp_path, far.target) as near:
        far.wait_for("call from")
        near.send_signal(KILL)
        heard = far.finish()
    assert_clean(heard, status=8)
    assert heard.call["end_reason"] == "media-timeout"
    assert_one_complaint(heard, "receiver.py: ")


def test_a_sender_whose_receiver_was_killed_exits_with_8(tmp_path: Path) -> None:
    with receiver(tmp_path) as far, sender(tmp_path, far.target, *SOON, "--retry", "off") as near:
        near.wait_for("call to")
        far.send_signal(KILL)
        sent = near.finish()
    assert_clean(sent, status=8)
    assert sent.call["end_reason"] == "media-timeout"
    assert sent.call["tx"]["packets"] > 0
    assert_one_complaint(sent, "lost contact")


@pytest.mark.parametrize(
    ("how", "seconds", "options"),
    [
        ("muted", 6.0, SOON),
        ("on hold", 6.0, SOON),
        pytest.param("muted", 90.0, (), marks=pytest.mark.slow),
        pytest.param("on hold", 90.0, (), marks=pytest.mark.slow),
    ],
)
def test_a_peer_that_is_silent_and_responds_stays(
    tmp_path: Path, how: str, seconds: float, options: tuple[str, ...]
) -> None:
    """For three times the media time-out and more; on hold without music."""
    with phone() as other, receiver(tmp_path, *options) as far:
        answer = other.call(far.target)
        other.talk(answer, 10)
        if how == "on hold":
            other.hold(answer, far.target)
        since = time.monotonic()
        until(lambda: time.monotonic() - since > seconds, "the silence is over", 2 * seconds)
        assert len(other.requests("OPTIONS")) >= 10
        assert other.requests("BYE") == []
        far.stop()
        heard = far.finish()
    assert_clean(heard)
    assert heard.call["end_reason"] == "local-bye"
    assert heard.call["duration_s"] > seconds - 1.0


def test_a_muted_peer_that_does_not_respond_is_hung_up_on_as_a_media_time_out(tmp_path: Path) -> None:
    with phone(mute_after="OPTIONS") as other, receiver(tmp_path, "--once", *SOON) as far:
        other.talk(other.call(far.target), 10)
        heard = far.finish()
        other.wait_for("BYE")
    assert_clean(heard, status=8)
    assert heard.call["end_reason"] == "media-timeout"


# --- exit codes -------------------------------------------------------------------------------------------------------

EVENT = re.compile(r"\d\d:\d\d:\d\d ")
"""What happens in a call, with the time of day."""

FRESH = 0.1
"""Seconds by which a figure may be older than its event: the network thread takes both, one after the other."""


def assert_one_complaint(outcome: Outcome, text: str) -> None:
    """One line of stderr says what is wrong; what else is there is the usual talk, and the report of a call."""
    lines = [line for line in outcome.stderr.splitlines() if not EVENT.match(line)]
    complaints = [line for line in lines if not line.startswith((" ", *TALK)) and line]
    assert len(complaints) == 1, outcome.stderr
    assert text in complaints[0]
    assert outcome.report is None or outcome.report["error"] in complaints[0]


@pytest.mark.parametrize("arguments", [("--inptu", "x"), ("--latency-is", "1s"), ("--media-timeout", "soon")])
@pytest.mark.parametrize("side", SIDES)
def test_2_is_a_wrong_option(tmp_path: Path, side: str, arguments: tuple[str, str]) -> None:
    with contextlib.ExitStack() as stack:
        if side == "sender":
            outcome = stack.enter_context(sender(tmp_path, LOOPBACK, *arguments)).finish()
        else:
            outcome = stack.enter_context(receiver(tmp_path, *arguments, ready=None)).finish()
    assert outcome.status == 2
    assert_one_complaint(outcome, f"{side}.py: ")


@pytest.mark.parametrize("sound", ["missing.wav", "missing.mp3", "silence.wav", "mic:no such microphone"])
def test_3_is_a_sound_source_that_does_not_work(tmp_path: Path, sound: str) -> None:
    (tmp_path / "silence.wav").touch()
    with sender(tmp_path, LOOPBACK, "--input", sound) as near:
        outcome = near.finish()
    assert_clean(outcome, status=3)
    assert_one_complaint(outcome, "sender.py: ")


@pytest.mark.parametrize("sound", ["missing/heard.wav", "full.wav", "speaker:no such speaker"])
def test_3_is_a_place_for_sound_that_does_not_work(tmp_path: Path, sound: str) -> None:
    (tmp_path / "full.wav").symlink_to("/dev/full")
    with receiver(tmp_path, "--output", sound, ready=None) as far:
        outcome = far.finish()
    assert_clean(outcome, status=3)
    assert_one_complaint(outcome, "receiver.py: ")


def test_3_is_a_file_that_cannot_grow_any_more_and_the_caller_is_told_by_bye(tmp_path: Path) -> None:
    through = ("sh", "-c", 'ulimit -f 100; exec "$@"', "sh")  # 51200 bytes, half a second
    with receiver(tmp_path, "--output", "heard.wav", through=through) as far, sender(tmp_path, far.target) as near:
        sent, heard = near.finish(), far.finish()
    assert_clean(heard, status=3)
    assert_one_complaint(heard, "heard.wav")
    assert_clean(sent)
    assert sent.call["end_reason"] == "remote-bye"


def test_4_is_a_name_that_does_not_exist(tmp_path: Path) -> None:
    with sender(tmp_path, "no-such-host.invalid") as near:
        outcome = near.finish(60)  # as long as the system's resolver takes
    assert_clean(outcome, status=4)
    assert_one_complaint(outcome, "no-such-host.invalid")


@pytest.mark.parametrize(("target", "host"), [("240.0.0.1", LOOPBACK), ("[2001:db8::1]", LOOPBACK)])
def test_4_is_a_network_that_cannot_be_reached(tmp_path: Path, target: str, host: str) -> None:
    with sender(tmp_path, target, host=host) as near:
        outcome = near.finish()
    assert_clean(outcome, status=4)
    assert_one_complaint(outcome, "sender.py: ")


def test_4_is_a_sip_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((LOOPBACK, 0))
        port = other.getsockname()[1]
        with receiver(tmp_path, "--sip-port", str(port), ready=None) as far:
            outcome = far.finish()
    assert_clean(outcome, status=4)
    assert_one_complaint(outcome, "--sip-port")


def test_4_is_a_port_at_which_nothing_listens(tmp_path: Path) -> None:
    """The second refusal is believed: it comes with the first repetition of the INVITE."""
    sip_port, _ = free_ports()
    with sender(tmp_path, f"{LOOPBACK}:{sip_port}", "--connect-timeout", "60s") as near:
        outcome = near.finish()
    assert_clean(outcome, status=4)
    assert_one_complaint(outcome, f"nothing listens at its UDP port {sip_port}")
    assert outcome.call["end_reason"] == "network"


@pytest.mark.parametrize(
    ("status", "code"), [(408, 5), (480, 5), (486, 6), (404, 6), (488, 6), (603, 6), (401, 7), (407, 7)]
)
def test_5_6_and_7_are_refusals_with_their_status(tmp_path: Path, status: int, code: int) -> None:
    with phone(status=status) as other, sender(tmp_path, other.target) as near:
        outcome = near.finish()
    assert_clean(outcome, status=code)
    assert_one_complaint(outcome, str(status))
    assert outcome.call["end_reason"] == "rejected"


def test_6_is_a_receiver_that_is_busy_or_knows_none_of_the_codecs(tmp_path: Path) -> None:
    with receiver(tmp_path, "--codec", "pcmu") as far, sender(tmp_path, far.target, "--codec", "pcmu") as first:
        first.wait_for("call to")
        with sender(tmp_path, far.target, "--codec", "pcmu", name="second") as second:
            busy = second.finish()
        first.stop()
        assert_clean(first.finish())
        with sender(tmp_path, far.target, "--codec", "pcma", name="third") as third:
            strange = third.finish()
        far.stop()
        assert_clean(far.finish())
    for outcome, text in ((busy, "486"), (strange, "488")):
        assert_clean(outcome, status=6)
        assert_one_complaint(outcome, text)


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
