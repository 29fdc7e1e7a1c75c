"""Results as the tables of docs/interop.md: they stand between two marks, the rest of the page is written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.interop.cells import CODECS, PEERS, THEY, TITLES, TOOLS, TRANSPORTS, WE
from tests.interop.running import EMPTY, PASSED, Result
from tests.support.processes import ROOT

DATA, PAGE = ROOT / "docs" / "interop.json", ROOT / "docs" / "interop.md"
BEGIN, END = "<!-- tables: python -m tests.interop --save -->", "<!-- end of tables -->"
_SPOKEN = ("opus", "aac")


def tables(results: Sequence[Result]) -> str:
    """All of them, each with a heading."""
    return "\n".join(_peer(peer, [result for result in results if result.peer == peer]) for peer in PEERS)


def insert(page: str, results: Sequence[Result]) -> str:
    """The page with its tables made anew."""
    return between(page, BEGIN, END, tables(results))


def between(page: str, begin: str, end: str, text: str) -> str:
    """The page with `text` between these two marks; ValueError if it lacks one."""
    before, begun, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"the page lacks {begin} or {end}")
    return f"{before}{begin}\n\n{text}\n{end}{after}"


def _peer(peer: str, results: Sequence[Result]) -> str:
    tool = peer in TOOLS
    columns = ("rtp",) if tool else TRANSPORTS
    reasons: list[str] = []
    lines = [f"### {TITLES[peer]}", ""]
    heads = ["RTP"] if tool else [transport.upper() for transport in columns]
    lines += [f"| codec | | {' | '.join(heads)} |", f"|---|---|{'---|' * len(heads)}"]
    for codec in CODECS:
        rows = [[result for result in results if (result.codec, result.who) == (codec, who)] for who in (WE, THEY)]
        rows = [row for row in rows if row]
        if all(result.state == EMPTY for row in rows for result in row) and _one_reason(rows):
            rows = rows[:1]
        for row in rows:
            who = _direction(row[0], len(rows))
            cells = [_cell(next(r for r in row if r.transport == column), reasons) for column in columns]
            lines.append(f"| {codec} | {who} | {' | '.join(cells)} |")
    lines.append("")
    lines += [f"{_mark(number)} {reason}.  " for number, reason in enumerate(reasons)]
    return "\n".join([*lines, ""] if reasons else lines)


def _one_reason(rows: Iterable[Iterable[Result]]) -> bool:
    return len({result.reason for row in rows for result in row}) == 1


def _direction(result: Result, rows: int) -> str:
    if rows == 1 and result.state == EMPTY:
        return "either calls"
    if result.peer in TOOLS:
        return {WE: "we send", THEY: "it sends"}[result.who]
    return "it calls" if result.who == THEY else result.who


def _cell(result: Result, reasons: list[str]) -> str:
    """Figures; a mark where there is a reason to give."""
    if result.state == PASSED:
        figures = " / ".join(_figure(result.codec, value) for value in (result.there, result.back) if value is not None)
        return figures + (_note(result.held, reasons) if result.held else "")
    text = {EMPTY: "-"}.get(result.state, f"**{result.state}**")
    return text + " " + _note(result.reason, reasons)


def _figure(codec: str, value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}" if codec in _SPOKEN else f"{value:.1f} dB"


def _note(reason: str, reasons: list[str]) -> str:
    if reason not in reasons:
        reasons.append(reason)
    return _mark(reasons.index(reason))


def _mark(number: int) -> str:
    return f"<sup>{number + 1}</sup>"
