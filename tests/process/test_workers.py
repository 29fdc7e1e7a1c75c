"""receiver.py --workers: several processes behind one SIP port. With real senders, by UDP, TCP and TLS."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import make_certificates
from tests.support.plain_phone import phone
from tests.support.processes import LOOPBACK, ROOT, Program, Receiver, heard_calls, receiver, sender, until

pytestmark = pytest.mark.process

PATIENT = 60.0
"""Seconds for the end of several processes on a machine that is busy."""
WORKERS = ("--workers", "2", "--max-calls", "4", "--json")
FAILED_DEVICE, FAILED_START = 3, 4


def events(program: Program, *kinds: str) -> list[dict[str, Any]]:
    """The whole lines of JSON that it has printed so far."""
    lines = program._output.read_text().splitlines(keepends=True)
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [event for event in found if not kinds or event["event"] in kinds]


def children(program: Program) -> list[int]:
    """The worker processes, in the order of their start."""
    tasks = Path(f"/proc/{program.pid}/task").iterdir()
    listed = " ".join((task / "children").read_text() for task in tasks).split()
    return sorted(int(pid) for pid in listed if is_running(int(pid)))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def callers(folder: Path, target: str, names: Sequence[str], *arguments: str) -> Iterator[list[Program]]:
    with contextlib.ExitStack() as running:
        yield [running.enter_context(sender(folder, target, *arguments, name=name)) for name in names]


def established(far: Receiver, count: int) -> None:
    until(lambda: len(events(far, "established")) >= count, f"{count} calls are up", PATIENT)


def test_four_callers_are_shared_by_two_workers_the_fifth_is_busy_and_one_report_tells_of_all(tmp_path: Path) -> None:
    more = ("--output-per-caller", "calls")
    with (
        receiver(tmp_path, *WORKERS, *more) as far,
        callers(tmp_path, far.target, ["a", "b", "c", "d"]) as near,
    ):
        established(far, 4)
        processes = children(far)
        assert len(processes) == 2
        with sender(tmp_path, far.target, name="fifth") as fifth:
            refused = fifth.finish(PATIENT)
        until(lambda: len(list((tmp_path / "calls").glob("*.wav"))) == 4, "all are recorded", PATIENT)
        workers = [event["worker"] for event in events(far, "established")]
        far.stop()
        heard, sent = far.finish(PATIENT), [each.finish(PATIENT) for each in near]
    assert refused.status == 6
    assert "486" in refused.stderr
    assert sorted(workers) == [1, 1, 2, 2]
    assert [each.status for each in sent] == [0, 0, 0, 0], [each.stderr for each in sent]
    assert heard.status == 0, heard.stderr
    assert heard.report is not None
    total, calls = heard.report["total"], heard.report["calls"]
    assert len(calls) == total["calls"] == total["with_media"] == total["at_a_time"] == 4
    assert total["received"] == sum(call["rx"]["received"] for call in calls) > 0
    assert {call["end_reason"] for call in calls} == {"local-bye"}
    assert [(each["worker"], each["starts"]) for each in heard.report["workers"]] == [(1, 1), (2, 1)]
    assert heard.report["system"]["cpu_s"] > sum(each["cpu_s"] for each in heard.report["workers"])
    assert heard.stderr.count("in total: 4 calls") == 1
    assert heard.stderr.count("waiting for a call") == 1
    (report,) = [event for event in events(far) if event["event"] == "report"]
    assert report["total"] == total
    assert len({call["media_address"][1] for call in calls}) == 4
    assert not any(map(is_running, processes))
    assert all(0 <= event["t"] <= report["t"] for event in events(far))


def test_callers_hang_up_and_make_room_for_others(tmp_path: Path) -> None:
    with receiver(tmp_path, "--workers", "2", "--max-calls", "2") as far:
        for turn in range(3):
            with callers(tmp_path, far.target, [f"a{turn}", f"b{turn}"], "-t", "1s") as near:
                assert [each.finish(PATIENT).status for each in near] == [0, 0]
        far.stop()
        heard = far.finish(PATIENT)
    assert heard.report is not None
    assert heard.report["total"]["calls"] == heard.report["total"]["with_media"] == 6
    assert {call["end_reason"] for call in heard.report["calls"]} == {"remote-bye"}


def test_a_worker_that_is_killed_costs_its_calls_alone_is_told_of_and_started_again(tmp_path: Path) -> None:
    """The caller asks whether its peer is there, is told that the call is unknown (481), and calls again."""
    with (
        receiver(tmp_path, *WORKERS, "--stats-interval", "1s") as far,
        callers(tmp_path, far.target, ["a", "b"]) as near,
    ):
        established(far, 2)
        until(lambda: len({event["call_id"] for event in events(far, "stats")}) == 2, "figures of both", PATIENT)
        before = children(far)
        os.kill(before[0], signal.SIGKILL)
        (ended,) = until_told(far, "worker-ended")
        assert (ended["worker"], ended["status"], ended["lost"], ended["again"]) == (1, -9, 1, True)
        until_told(far, "worker-ready", 3)
        assert len(children(far)) == 2
        established(far, 3)
        with callers(tmp_path, far.target, ["c", "d"], "-t", "1s") as more:
            assert [each.finish(PATIENT).status for each in more] == [0, 0]
        far.stop()
        heard, sent = far.finish(PATIENT), [each.finish(PATIENT) for each in near]
    assert [each.status for each in sent] == [0, 0]
    assert sum("calling again" in each.stderr for each in sent) == 1
    assert heard.status == 0, heard.stderr
    assert "worker 1 was killed by signal 9: calls lost 1; it is started again" in heard.stderr
    assert next(each for each in events(far, "ended") if each["worker"] == 1)["end_reason"] == "worker-died"
    assert heard.report is not None
    reasons = sorted(call["end_reason"] for call in heard.report["calls"])
    assert reasons == ["local-bye", "local-bye", "remote-bye", "remote-bye", "worker-died"]
    (lost,) = [call for call in heard.report["calls"] if call["end_reason"] == "worker-died"]
    assert lost["rx"]["received"] > 0
    assert [each["starts"] for each in heard.report["workers"]] == [2, 1]


def until_told(far: Receiver, kind: str, times: int = 1) -> list[dict[str, Any]]:
    until(lambda: len(events(far, kind)) >= times, f"{kind} is told {times} times", PATIENT)
    return events(far, kind)


def test_a_worker_that_dies_again_and_again_is_left_alone_and_the_other_goes_on(tmp_path: Path) -> None:
    with receiver(tmp_path, *WORKERS) as far:
        victim, other = children(far)
        for turn in range(4):
            os.kill(victim, signal.SIGKILL)
            until_told(far, "worker-ended", turn + 1)
            if turn < 3:
                until_told(far, "worker-ready", 2 + turn + 1)
                victim = next(pid for pid in children(far) if pid != other)
        assert [event["again"] for event in events(far, "worker-ended")] == [True, True, True, False]
        with callers(tmp_path, far.target, ["a", "b"], "-t", "1s") as near:
            assert [each.finish(PATIENT).status for each in near] == [0, 0]
        far.stop()
        heard = far.finish(PATIENT)
    assert heard.status == 0, heard.stderr


def test_ctrl_c_during_calls_hangs_up_all_of_them_and_no_process_is_left(tmp_path: Path) -> None:
    """As the terminal does it: the signal goes to the whole group of the parent."""
    with (
        receiver(tmp_path, *WORKERS, "--stats-interval", "0.2s", through=("setsid",)) as far,
        callers(tmp_path, far.target, ["a", "b", "c"]) as near,
    ):
        until(lambda: len(heard_calls(tmp_path / f"{far.name}.stdout")) == 3, "three calls are heard", PATIENT)
        workers = children(far)
        assert len(workers) == 2
        os.killpg(far.pid, signal.SIGINT)
        sent = [each.finish(PATIENT) for each in near]
        heard = far.finish(PATIENT)
    assert [each.status for each in sent] == [0, 0, 0]
    assert heard.status == 0, heard.stderr
    assert "Traceback" not in heard.stderr
    until(lambda: not any(map(is_running, workers)), "no worker is left", PATIENT)


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    with receiver(tmp_path, *WORKERS) as far:
        workers = children(far)
        assert len(workers) == 2
        far.send_signal(signal.SIGKILL)
        until(lambda: not any(map(is_running, workers)), "no worker is left", PATIENT)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_calls_by_connections_are_shared_and_either_side_hangs_up(transport: str, tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    options, trust = (certificates.server, certificates.client) if transport == "tls" else ((), ())
    with receiver(tmp_path, *WORKERS, *options) as far:
        port = far.sip_port + (transport == "tls")
        target = f"sip:{LOOPBACK}:{port};transport={transport}"
        with callers(tmp_path, target, ["a", "b"], *trust) as near:
            established(far, 2)
            near[0].stop()
            first = near[0].finish(PATIENT)
            far.stop()
            heard, second = far.finish(PATIENT), near[1].finish(PATIENT)
    assert (first.status, second.status, heard.status) == (0, 0, 0), first.stderr + second.stderr + heard.stderr
    assert heard.report is not None
    assert sorted(call["end_reason"] for call in heard.report["calls"]) == ["local-bye", "remote-bye"]
    assert sorted(event["worker"] for event in events(far, "established")) == [1, 2]


def test_passwords_are_asked_for_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("secret\n")
    wrong.write_text("other\n")
    account = ("--user", "bob", "--password-file")
    with receiver(tmp_path, *WORKERS, *account, str(right)) as far:
        with callers(tmp_path, far.target, ["a", "b", "c"], *account, str(right), "-t", "1s") as near:
            assert [each.finish(PATIENT).status for each in near] == [0, 0, 0]
        with sender(tmp_path, far.target, *account, str(wrong), name="wrong-one") as near_wrong:
            assert near_wrong.finish(PATIENT).status == 7
        far.stop()
        heard = far.finish(PATIENT)
    assert heard.report is not None
    assert heard.report["total"]["with_media"] == 3


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    """The peer does not respond to BYE."""
    with receiver(tmp_path, *WORKERS) as far, phone(mute_after="BYE") as near:
        near.talk(near.call(far.target), 10)
        far.stop()
        near.wait_for("BYE")
        far.stop()
        heard = far.finish(PATIENT)
    assert heard.status == 130, heard.stderr
    assert heard.report is not None
    assert heard.report["total"]["calls"] == 1
    assert "Traceback" not in heard.stderr


def test_workers_that_cannot_start_end_it_with_their_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with receiver(tmp_path, *WORKERS, "--output-per-caller", "file", ready=None) as far:
        outcome = far.finish(PATIENT)
    assert outcome.status == FAILED_DEVICE, outcome.stderr
    assert "cannot write to file" in outcome.stderr
    assert "waiting for a call" not in outcome.stderr
    assert outcome.report is not None
    assert "cannot write to file" in outcome.report["error"]


def test_a_sip_port_in_use_ends_it_before_any_worker_starts(tmp_path: Path) -> None:
    with receiver(tmp_path, name="first") as first:
        ports = first.sip_port, first.media_ports
        with receiver(tmp_path, *WORKERS, ports=ports, ready=None, name="second") as second:
            outcome = second.finish(PATIENT)
    assert outcome.status == FAILED_START
    assert "in use" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_what_cannot_be_combined_is_one_line_and_status_2(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "receiver.py"), "--workers", "2", "--max-calls", "4", "--conference"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "--conference" in line
