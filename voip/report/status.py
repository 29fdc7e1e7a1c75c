"""The line that is redrawn while calls run, and the plain one that a log gets instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voip.printable import one_line
from voip.report.live import Recent

SHOWN_FOR = 3
"""Redraws for which one of several calls is shown before the next has its turn."""
METER_WIDTH = 8
"""Columns of the level meter."""
METER_FLOOR = -48.0
"""dBFS at which the meter is empty; 6 dB fill a column."""
SEPARATOR = "  "
NAME_WIDTH = 20
"""Columns of a caller's name."""
MISSING_SAID = 0.5
"""Percent of the sound that is missing though not lost, from which on that is told: late, or not to be played."""
FAIR = 3.1
"""MOS below which the line is alarming: many users are dissatisfied (ITU-T G.109)."""


@dataclass(frozen=True)
class Part:
    """A piece of the line: the larger `rank`, the sooner it gives way. `alarm`: something is wrong.

    moving: what only a line that is redrawn has.
    """

    text: str
    rank: int
    alarm: bool = False
    moving: bool = False


def clock_time(seconds: float) -> str:
    """`00:01:02`."""
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def chosen(calls: Sequence[Recent], turn: int, selected: str | None = None) -> int:
    """Which of several calls is shown: the one that is `selected` (by Call-ID), one with dead air, else each in its
    turn."""
    for number, recent in enumerate(calls):
        if recent.call.call_id == selected:
            return number
    dead = [number for number, recent in enumerate(calls) if recent.dead]
    among = dead or range(len(calls))
    return among[turn // SHOWN_FOR % len(among)]


def status_line(calls: Sequence[Recent], width: int, turn: int = 0, selected: str | None = None) -> list[Part]:
    """The parts of the line for these calls (one at least) that fit into `width` columns."""
    number = chosen(calls, turn, selected)
    shown = parts_of(calls[number])
    if len(calls) > 1:
        shown.insert(0, Part(f"{number + 1}/{len(calls)} {short_name(calls[number].call.peer)}", 1))
        dead = sum(recent.dead for recent in calls)
        if dead > 1:
            shown.insert(1, Part(f"{dead} calls without sound", 2, alarm=True))
        shown += _speaking(calls)
    return fit(shown, width)


def log_line(recent: Recent, width: int, *, named: bool) -> str:
    """A line for a log; `named`: which call it is about is said."""
    parts = [part for part in parts_of(recent) if not part.moving]
    if named:
        parts.insert(0, Part(short_name(recent.call.peer), 0))
    return plain(fit(parts, width)).strip()


def fit(parts: list[Part], width: int) -> list[Part]:
    """Without those that matter least, so many that the rest fits; the last one is cut."""
    while len(parts) > 1 and len(plain(parts)) > width:
        worst = max(range(len(parts)), key=lambda index: (parts[index].rank, index))
        parts = parts[:worst] + parts[worst + 1 :]
    if parts and len(plain(parts)) > width:
        parts = [Part(parts[0].text[: max(0, width - len(SEPARATOR))], parts[0].rank, parts[0].alarm)]
    return parts


def plain(parts: Sequence[Part]) -> str:
    """The line without colour."""
    return SEPARATOR + SEPARATOR.join(part.text for part in parts)


def parts_of(recent: Recent) -> list[Part]:
    """All that the line could say of one call."""
    call, parts = recent.call, [Part(clock_time(recent.call.duration), 0, moving=True)]
    both = call.rx is not None and call.tx is not None
    if recent.quiet:
        parts.append(Part(f"NO SOUND for {recent.quiet:.0f} s", 0, alarm=True))
    elif call.rx is not None and recent.rating is not None:
        mos = recent.rating.mos_lq
        parts.append(Part(f"MOS {mos:.1f}", 1, alarm=mos < FAIR))
    if call.rx is not None and not recent.quiet:
        parts += _incoming(recent, "in " if both else "")
    if call.tx is not None:
        parts += _outgoing(recent, "out " if both else "")
    return parts


def _speaking(calls: Sequence[Recent]) -> list[Part]:
    """Who of several is the active speaker."""
    names = [short_name(each.call.peer) for each in calls if each.call.rx is not None and each.call.rx.in_mix.speaking]
    return [Part(f"speaking {name}", 3, moving=True) for name in names]


def _incoming(recent: Recent, name: str) -> list[Part]:
    call, parts = recent.call, list[Part]()
    if call.rx is None:
        return parts
    if call.rx.in_mix.muted:
        parts.append(Part("muted", 1))
    elif call.rx.in_mix.gain_db:
        parts.append(Part(f"{call.rx.in_mix.gain_db:+.0f} dB", 3))
    if recent.rx_level is not None:
        parts.append(Part(f"{name}{meter(recent.rx_level)}", 4, moving=True))
    if recent.loss is not None and recent.loss_after_fec is not None:
        parts.append(Part(f"loss {recent.loss:.1f} %" if recent.loss else "no loss", 2))
        if recent.loss and call.media is not None and call.media.fec is not None:
            parts.append(Part(f"after FEC {recent.loss_after_fec:.1f} %", 3))
    if recent.missing is not None and recent.missing - (recent.loss_after_fec or 0.0) >= MISSING_SAID:
        parts.append(Part(f"not heard {recent.missing:.1f} %", 2))
    if call.rx.jitter is not None:
        parts.append(Part(f"jitter {call.rx.jitter * 1e3:.0f} ms", 6))
    if call.rx.playout.delay is not None:
        parts.append(Part(f"delay {call.rx.playout.delay * 1e3:.0f} ms", 5))
    return parts


def _outgoing(recent: Recent, name: str) -> list[Part]:
    call, parts = recent.call, list[Part]()
    path = call.network.path if call.network is not None else None
    alone = call.rx is None
    if recent.mute:
        parts.append(Part(f"MIC SILENT for {recent.mute:.0f} s", 1, alarm=True))
    elif recent.tx_level is not None:
        parts.append(Part(f"{name}{meter(recent.tx_level)}", 3 if alone else 7, moving=True))
    there = "there " if alone else "out "
    if path is not None:
        lost = f"loss {100 * path.fraction_lost:.1f} %" if path.fraction_lost else "no loss"
        parts.append(Part(f"{there}{lost}", 2 if alone else 8))
        if path.mos_lq is not None:
            parts.append(Part(f"{there}MOS {path.mos_lq:.1f}", 1 if alone else 3, alarm=path.mos_lq < FAIR))
        if alone:
            parts.append(Part(f"jitter {path.jitter * 1e3:.0f} ms", 6))
    if alone and call.network is not None and call.network.rtt is not None:
        parts.append(Part(f"round trip {call.network.rtt * 1e3:.0f} ms", 5))
    if recent.tx_kbps is not None:
        parts.append(Part(f"{recent.tx_kbps:.0f} kbit/s", 4 if alone else 9))
    return parts


def meter(level: float) -> str:
    """A level in dBFS as a bar of `METER_WIDTH` columns, empty at `METER_FLOOR`."""
    filled = round(METER_WIDTH * (level - METER_FLOOR) / -METER_FLOOR)
    filled = max(0, min(METER_WIDTH, filled))
    return f"[{'=' * filled}{' ' * (METER_WIDTH - filled)}]"


def short_name(peer: str) -> str:
    """The user of a SIP address, or its host: what a person calls the other side."""
    peer = one_line(peer)
    rest = peer.partition(":")[2] if peer.startswith(("sip:", "sips:")) else peer
    user, at, host = rest.partition("@")
    name = user if at and user not in ("", "voip") else (host if at else rest)
    return name[:NAME_WIDTH]
