"""What happens in a cell. With a phone two calls: in the first both sides are heard and the peer hangs up; in the
second the peer puts us on hold and comes back, sound flows again, and we hang up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop import judgement
from tests.interop.cells import PROXIED, Cell
from tests.interop.ours import Side, our_side
from tests.interop.phone import Certificates, Phone
from tests.interop.proxy import Proxy
from tests.support.processes import PATIENCE, Json, Outcome, until

_PAUSE = 0.5  # seconds of a call on hold


@dataclass
class Findings:
    """What a cell showed: figures of what the peer heard of us (`there`) and we of it (`back`); `problems`: none."""

    there: float | None = None
    back: float | None = None
    held: str = ""
    problems: list[str] = field(default_factory=list)

    def require(self, true: bool, otherwise: str) -> None:
        if not true:
            self.problems.append(otherwise)


def phone_scene(
    cell: Cell,
    folder: Path,
    certificates: Certificates,
    phone: Phone,
    says: Path,
    site: Proxy | None = None,
    more: Sequence[str] = (),
) -> Findings:
    """Both calls with one phone, which runs already; `says`: what we say; `site`: the proxy between, if any.

    `more`: further options of ours."""
    findings = Findings()
    enough = judgement.seconds(cell.codec, moves=phone.moves)
    side, outcome = call_it_ends(cell, folder, certificates, phone, says, site, enough, more)
    _check_end(findings, cell, outcome, "remote-bye")
    _judge(findings, cell, phone, side)
    second = folder / "second"
    second.mkdir()
    phone.listen()
    with our_side(cell, second, says, certificates, target=phone.target, site=site, more=more) as side:
        _begin(phone, side)
        _listen(phone, side, 0.6)
        _hold_and_resume(findings, phone)
        _hear(side, judgement.TAIL + 0.6 + (1.0 if phone.moves else 0.0))
        side.program.stop()
        outcome = side.program.finish()
        phone.wait_over()
    _check_end(findings, cell, outcome, "local-bye")
    _judge_end(findings, cell, phone, side, outcome)
    return findings


def call_it_ends(
    cell: Cell,
    folder: Path,
    certificates: Certificates,
    phone: Phone,
    says: Path,
    site: Proxy | None,
    seconds: float,
    more: Sequence[str] = (),
) -> tuple[Side, Outcome]:
    """A call that the peer hangs up when both have heard that many seconds."""
    home = folder / "first"
    home.mkdir()
    phone.listen()
    with our_side(cell, home, says, certificates, target=phone.target, once=True, site=site, more=more) as side:
        _begin(phone, side)
        _listen(phone, side, seconds)
        phone.hang_up()
        phone.wait_over()
        return side, side.program.finish()


def _begin(phone: Phone, side: Side) -> None:
    if side.target:
        phone.call(side.target)
    phone.wait_up()


def _listen(phone: Phone, side: Side, seconds: float) -> None:
    """Until both have heard so much more."""
    theirs = phone.heard_seconds() + seconds
    _hear(side, seconds)
    if not phone.says_back:
        until(lambda: phone.heard_seconds() >= theirs, f"{seconds} s are heard by the peer")


def _hear(side: Side, seconds: float) -> None:
    """Until we have."""
    ours = judgement.length(side.heard) + seconds
    until(
        lambda: judgement.length(side.heard) >= ours,
        f"{seconds} s are heard of the peer ({side.program.stderr})",
        seconds + PATIENCE,
    )


def _hold_and_resume(findings: Findings, phone: Phone) -> None:
    if phone.cannot_hold:
        findings.held = phone.cannot_hold
        return
    phone.hold()
    phone.wait(_PAUSE)
    phone.resume()


def _check_end(findings: Findings, cell: Cell, outcome: Outcome, reason: str) -> None:
    findings.require(outcome.status == 0, f"exit code {outcome.status}: {outcome.stderr[-300:]}")
    call: Json = outcome.call
    findings.require(call["end_reason"] == reason, f"ended by {call['end_reason']}, not {reason}")
    findings.require(call["codec"] == cell.codec, f"codec {call['codec']}")
    lost = judgement.losses(call, relayed=cell.peer in PROXIED)
    findings.require(not lost, lost)


def _judge(findings: Findings, cell: Cell, phone: Phone, side: Side) -> None:
    if phone.says_back:
        echo = judgement.judge(cell.codec, side.says, side.heard)
        findings.there = findings.back = echo.figure
        findings.require(not echo.problem, f"what it sends back: {echo.problem}")
        return
    there = judgement.judge(cell.codec, side.says, phone.heard(), moves=phone.moves)
    back = judgement.judge(cell.codec, phone.says, side.heard, moves=phone.moves)
    findings.there, findings.back = there.figure, back.figure
    findings.require(not there.problem, f"what it heard of us: {there.problem}")
    findings.require(not back.problem, f"what we heard of it: {back.problem}")


def _judge_end(findings: Findings, cell: Cell, phone: Phone, side: Side, outcome: Outcome) -> None:
    said = side.says if phone.says_back else phone.says
    if problem := judgement.judge_end(cell.codec, said, side.heard):
        findings.problems.append(f"what we heard of it: {problem}")
    if problem := phone.judge_resumed(cell.codec, side.says, outcome):
        findings.problems.append(f"what it heard of us: {problem}")
