"""All of sipp's situations over TCP, and over a UDP that loses a tenth of the SIP messages; many at a time."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.peers import require
from tests.support.processes import LOOPBACK, free_ports, receiver, sender
from tests.support.relay import RECEIVER_ALIAS, SENDER_ALIAS, relay
from tests.support.sipp import PASSWORD, USER
from tests.support.sipp_scenarios import UAC, UAS, run_uac, run_uas

pytestmark = [pytest.mark.process, pytest.mark.interop]

AT_A_TIME = 6
EVERYWHERE = "0.0.0.0"
SECONDS = 20.0  # for one scenario
ENDED, NO_ANSWER, REJECTED, AUTHENTICATION, NO_SOUND = 0, 5, 6, 7, 8  # exit codes of the scripts
STATUS = {"busy": REJECTED, "not found": REJECTED, "unavailable": REJECTED, "silent": NO_ANSWER}
UNLUCKY = 4
"""Situations that may fail at first where messages are lost, and have two more tries. Our scripts leave three quarters
of a second after their last word: one copy of it, or of what asks for it, may be lost, but not two, which happens to
one exchange in fifty; and sipp knows a repeated message only if it is the last that came."""
TRIES = 3
LOSSY = ("--loss", "0.1", "--impair", "sip")


@dataclass(frozen=True)
class Way:
    """How messages travel: the protocol, and the addresses that the two know each other by."""

    protocol: str
    lossy: bool = False

    @property
    def callee(self) -> str:
        return RECEIVER_ALIAS if self.lossy else LOOPBACK

    @property
    def caller(self) -> str:
        return SENDER_ALIAS if self.lossy else ""

    @contextlib.contextmanager
    def between(self, ports: list[int]) -> Iterator[Callable[[], int]]:
        """The network towards these ports; it tells at the end how many SIP messages it has lost."""
        if not self.lossy:
            yield lambda: 0
            return
        with relay(ports, *LOSSY) as wire:
            yield lambda: sum(kinds.get("sip", {}).get("dropped", 0) for kinds in wire.counts().values())


WAYS = {"tcp": Way("tcp"), "a tenth lost": Way("udp", lossy=True)}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    require("sipp")
    return WAYS[request.param]


def ports_for(count: int) -> list[int]:
    """First ports of as many blocks that are free at every address: the relay takes them at a second one."""
    found: list[int] = []
    while len(found) < count:
        port, _ = free_ports(EVERYWHERE)
        if port not in found:
            found.append(port)
    return found


def beside_each_other(names: list[str], run: Callable[[str], str], *, lossy: bool) -> str:
    """What went wrong."""

    def problem_of(name: str) -> str:
        try:
            return run(name)
        except AssertionError as error:  # something that was waited for did not come
            return str(error)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        problems: dict[str, str] = {}
        for attempt in range(TRIES if lossy else 1):
            if attempt and not 0 < len(problems) <= UNLUCKY:
                break
            results = zip(problems or names, pool.map(problem_of, problems or names), strict=True)
            problems = {name: problem for name, problem in results if problem}
    return "\n\n".join(f"{name}: {problem}" for name, problem in problems.items())


def folder_for(folder: Path, name: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=name.replace(" ", "-"), dir=folder))


def test_receiver_is_called(way: Way, tmp_path: Path) -> None:
    own, *ports = ports_for(1 + len(UAC))
    port_of = dict(zip(UAC, ports, strict=True))
    media = range(own + 2, own + 22)
    many = ("--max-calls", "20", *(("--public-address", way.callee) if way.lossy else ()))

    def call(name: str) -> str:
        verdict = run_uac(
            name,
            folder_for(tmp_path, name),
            f"{way.callee}:{own}",
            host=LOOPBACK,
            port=port_of[name],
            seconds=SECONDS,
            protocol=way.protocol,
            known_as=way.caller,
        )
        return "" if verdict.passed else str(verdict)

    with receiver(tmp_path, *many, ports=(own, media)) as program, way.between([own, *media]) as lost:
        problems = beside_each_other(list(UAC), call, lossy=way.lossy)
        assert (lost() > 0) is way.lossy
        program.stop()
        outcome = program.finish()
    assert not problems, problems + outcome.stderr
    assert outcome.status in (ENDED, NO_SOUND), outcome.stderr  # the last of the calls has no media at all
    assert "Traceback" not in outcome.stderr
    assert outcome.report is not None
    assert len(outcome.report["calls"]) >= len({"basic", "recorded", "late offer", "hold", "two calls", "two calls 2"})


def arguments_of(name: str, folder: Path, way: Way) -> tuple[str, ...]:
    if name == "digest":
        password = folder / "password"
        password.write_text(PASSWORD + "\n")
        return "--user", USER, "--password-file", str(password), "--duration", "2s"
    if name == "silent":  # for 6 s; it does not like a connection that is closed before
        return "--connect-timeout", "4s" if way.protocol == "udp" else "8s"
    if name == "wants refreshes":  # which begin after 5 s
        return "--duration", "6500ms"
    return () if name == "hangs up" else ("--duration", "2s")


def test_sender_calls(way: Way, tmp_path: Path) -> None:
    port_of = dict(zip(UAS, ports_for(len(UAS)), strict=True))
    public = ("--public-address", way.caller) if way.lossy else ()

    def call(name: str) -> str:
        folder, port = folder_for(tmp_path, name), port_of[name]
        target = f"sip:someone@{way.callee}:{port};transport={way.protocol}"
        known_as = way.callee if way.lossy else ""
        with run_uas(
            name, folder, host=LOOPBACK, port=port, seconds=SECONDS, protocol=way.protocol, known_as=known_as
        ) as callee:
            with sender(folder, target, *public, *arguments_of(name, folder, way)) as program:
                if name == "rings for ever":
                    program.wait_for("inging")
                    program.stop()
                outcome = program.finish(SECONDS)
            verdict = callee.finish()
        expected = STATUS.get(name, ENDED)
        if verdict.passed and outcome.status == expected and "Traceback" not in outcome.stderr:
            return ""
        return f"exit {outcome.status}, not {expected}: {outcome.stderr}\n{verdict}"

    with way.between(list(port_of.values())) as lost:
        problems = beside_each_other(list(UAS), call, lossy=way.lossy)
        assert (lost() > 0) is way.lossy
    assert not problems, problems
