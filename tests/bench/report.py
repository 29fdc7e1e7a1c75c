"""docs/benchmarks.md and its pictures, from the results that `--save` has put into docs/benchmarks.json.

python -m tests.bench report
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from tests.bench.aims import aim
from tests.bench.draw import Axis, Picture, Series
from tests.bench.figures import BIN, MEASURED, RESULTS, conversation, stored
from tests.bench.many import MANY_HEADS, many_rows
from tests.bench.others import BITRATE, FEC_BITRATE, LATENCY, RIVALS
from tests.bench.rows import ALL, FULL_LINES, ROWS, SETTLING
from tests.support.bottleneck import EMPTY, HOLD
from tests.support.network import DELAY

OURS = "this program"
_SECOND = next(row.second for row in FULL_LINES if row.second is not None)
LOSS_PICTURE = "benchmarks-loss.svg"
"""The picture that the bit rates are told under."""
MANY_PICTURE = "benchmarks-many.svg"
_RANDOM = {"clean": 0.0, "loss5": 5.0, "loss10": 10.0, "loss20": 20.0, "loss30": 30.0}  # row: percent
_JITTER = {"clean": 0.0, "jitter30": 30.0, "jitter60": 60.0}  # row: milliseconds

Results = Mapping[str, Any]
Cell = Callable[[Mapping[str, Any]], str]

HEAD = """# Benchmarks

Speech quality over a bad network, measured with the real programs as separate processes and all options at their
defaults: `./receiver.py` and `./sender.py TARGET --input speech.wav`. This page is written by `python -m tests.bench
report` from [benchmarks.json](benchmarks.json).
"""

METHOD = f"""## How it is measured

**The wire.** Two network namespaces joined in user space (`tests/bench/wire.py`): it reads every IP packet from one
host and forwards it to the other, or drops it. Every packet takes {1e3 * DELAY:.0f} ms; random losses are independent;
bursts are a Gilbert channel counted in packets; outages are exponential periods of time in which nothing passes;
jitter is an exponential delay drawn independently for each packet, so that packets are reordered. Both directions
are impaired alike: media, repair packets and RTCP, but not SIP. Everything is drawn from a seed.

**The sound.** A minute of prompts of Debian's `asterisk-core-sounds-en-g722` (16 kHz) at -26 dB. Figures of other
speech differ by 0.1 to 0.2 PESQ; so do those of another seed.

**PESQ** is PESQ-WB (ITU-T P.862.2), 1 to 4.64, the mean over pieces of about eight seconds. Opus at {
    BITRATE // 1000
} kbit/s without
any network reaches about 4.4 with this speech. PESQ was not designed for time-scaling, and is affected by it.

**Missing** is the share of the active 20 ms frames of the speech in whose place there is nothing, or something else
(correlation under 0.5 between 150 and 3400 Hz): concealed audio counts as missing.

**Delay** is from mouth to ear beyond the wire's {1e3 * DELAY:.0f} ms, the median of the call: a sample is spoken 20
ms before the packet that begins with it can enter the wire, and heard when the receiver hands it to its output. It
contains the packet, the coder, the play-out buffer, and none of what sound cards add.

**kbit/s** is what entered the wire from the sender, IP and UDP headers, repair packets and RTCP included.

**R** and **MOS-CQ** are those of the E-model as this program has it for Opus ([quality.md](quality.md)), R on the
scale to 100, from the share missing and the delay with the wire's {1e3 * DELAY:.0f} ms: what the call is worth for a
conversation.

**CPU** is user and system time of each process, its start included, for a minute of call.
"""

COMMANDS = """## The commands

    make bench                                     # all rows in virtual time and, as root on Linux, over the wire
    python -m tests.bench ours --runs 3 --save     # all rows, about two hours; as root
    python -m tests.bench ours --row 'line*'       # full lines alone; --row loss10 --row steps: these two
    python -m tests.bench ours --label '--fec-max 43k' --sender '--fec-max 43k' --row loss10 --save   # at equal bits
    python -m tests.bench others --save            # GStreamer, libwebrtc, ffmpeg, baresip, as far as installed; an hour
    python -m tests.bench virtual --seeds 3 --save
    python -m tests.bench many --alone --save      # Opus; --codec pcmu; as root on a machine of two cores
    python -m tests.bench setups --alone           # short calls, 50 a second
    python -m tests.bench report                   # this page and its pictures
    python -m tests.bench wire --loss 0.1 --jitter-ms 30    # the wire alone, to try programs by hand
    python -m tests.bench quality SENT.wav HEARD.wav

They need `pip install -r tests/bench/requirements.txt` (PESQ, which needs a C compiler; PLCMOS and ViSQOL, which
`--more-metrics` adds; libwebrtc, package `wrtc`) and `apt-get install iproute2 util-linux ffmpeg
asterisk-core-sounds-en-g722`; the other programs `gstreamer1.0-tools gstreamer1.0-plugins-base
gstreamer1.0-plugins-good baresip`. `make bench-system` installs all of these on Debian.
"""

_RIVAL_NOTE = f"""The same speech over the same wire with the same seed, Opus in 20 ms packets at {BITRATE // 1000}
kbit/s ({FEC_BITRATE // 1000} with in-band FEC, which takes part of the bit rate). What protects is chosen before the
call with all of the others, and the play-out delay, {LATENCY} ms here, with all but libwebrtc, the engine of Chrome's
calls: it has 24 kbit/s and in-band FEC, as browsers have it, or older packets in each (RFC 2198). This program sends
more where much is lost, up to three or four times their bits: see kbit/s. GStreamer and ffmpeg run without SIP as plain
pipelines that wait for nothing but their jitter buffer; an application built on them may do better. ffmpeg has no
play-out clock: its delay is not given, and lost packets are silence there. baresip's delay and processor time are those
of a phone whose microphone hears its speaker; libwebrtc's processor time is that of Python around the engine, too.
"""

_MANY_NOTE = """One `./receiver.py --max-calls N --output null` on one core mixes all calls; their senders, one process
on another core, send packets of 20 ms without FEC over loopback. Cores are processor seconds of all its threads per
second while all talk; memory is what it has grown by at the end of that, per call. Nothing is lost or late on the way:
what is made up, left out or dropped is its own doing, the coming and going of the callers included."""

_MANY_LIMIT = """The interpreter is the limit: it runs one thread at a time. The thread that plays takes twice as long
as the one that reads and checks what comes. Where a core is full, packets are left out. *compiled* is the copy that
`make compiled` leaves (below). All rows were measured one after the other on one virtual machine, whose two cores slow
each other down: two loops of Python side by side take 1.3 times as long as one. On another of the same kind, earlier,
100 calls of G.711 took 0.33 of a core, 300 took 0.91 and 200 of Opus 0.81, uncompiled.

Levels and the sum are a few operations for all streams together, and calls are looked at and told of a few at a time:
while the network thread took down the figures of all calls at once every five seconds, for 20 ms with 100 calls, no
datagram was read, and sound was made up in each call.

The wait for packets is weighed only where they differ by more than 10 ms, and less is kept and asked for with each
packet than before. Checking a packet takes 0.88 of what it took then, buffering and playing it 0.79, sending one beside
others 0.75 (`python -m tools.measure_streams --tree BEFORE --tree .`, seven rounds on a busy machine). A call keeps 261
kB in place of 335 with G.711 and 333 in place of 369 with Opus, after a minute of 100 calls (`python -m tests.bench
many --alone --calls 100 --seconds 60`, one run each).

What is left has no place that stands out: to buffer and to play a packet takes some 250 calls of functions, built-in
ones included, and none has more than a few percent of the time. So `make compiled` leaves a copy of the program in
`build/compiled` whose path of the media (`tools/compile.py` has the list) is compiled by mypyc from the same source:
checking a packet takes 0.53 of the time, buffering and playing it 0.47, sending it 0.72 (`python -m
tools.measure_streams --tree . --tree build/compiled`, three rounds). Of real receivers, side by side on a slow day
(below), 50 calls of G.711 took 0.35 of a core in place of 0.61 and 50 of Opus 0.43 in place of 0.72; 100 took 0.63 and
0.81, where the program as it is had no core left for G.711 (`python -m tests.bench many --alone --codec pcmu --calls
50,100`, and the same with `--compiled`). A call by itself gains less: 5.0 and 5.5 s of processor a minute in place of
5.4 and 6.0, beside others. What is beyond that takes more processes (`--workers`).

Python's garbage collector looks at all calls only when a tenth more objects were made than there were, or once a
minute, for 0.5 % of the time at most (`voip/garbage.py`). Such a look at 300 calls takes 50 to 85 ms, so it comes every
10 to 17 s at most, when a block has been handed over; at one call it takes about 3 ms. It conceals nothing where the
output is a file or `null`, which make up for it, or where the sound card has more than that buffered; from about 50
calls on it takes longer than a block. `receiver.py -v` tells at the end how many looks there were, and what they took.

Setting up and ending a call costs 2.2 ms of processor time, 2.8 (of one trusted host) or 3.1 (of 250 hosts) once a
thousand calls are kept: 5000 calls at 50 a second, none of them failed; the process then had 115 MB, as after 2000
(`python -m tests.bench setups --alone`, `--hosts 250`).

A virtual machine is not equally fast every day: on one of the same kind 100 calls of G.711 took 0.6 to 1.0 of a core on
different days. There a sender took 5.1 s of processor for a minute of Opus to one target, and 10.2 s to twenty, set-up
included (`python -m tests.bench targets`, medians of two); most of what is added is the packets' way into the network,
a system call each, and the reports that come back.
"""


def number(key: str, digits: int) -> Cell:
    """A cell: the figure, or a dash."""

    def cell(figures: Mapping[str, Any]) -> str:
        value = figures.get(key)
        return "-" if value is None else f"{value:.{digits}f}"

    return cell


def rating(key: str, digits: int) -> Cell:
    """R or MOS-CQ, of the share missing and the delay, so that results of before have them, too."""

    def cell(figures: Mapping[str, Any]) -> str:
        if figures.get("missing") is None:
            return "-"
        return number(key, digits)(conversation(figures["missing"], figures.get("delay")))

    return cell


def both(first: Cell, second: Cell) -> Cell:
    """Two figures in one cell."""
    return lambda figures: f"{first(figures)} / {second(figures)}"


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    rows = [list(heads), ["---", *["---:"] * (len(heads) - 1)], *map(list, lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def machine_text(machine: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> str:
    """What it was measured on; `rows`: over the wire."""
    jobs = max((figures.get("jobs", 1) for figures in rows), default=1)
    calls = "one call at a time" if jobs == 1 else f"up to {jobs} calls at a time"
    return (
        f"Measured on {machine['cores']} cores of {machine['cpu']}, {machine['system']}, "
        f"Python {machine['python']}, {calls}.\n"
    )


def ours_table(results: Mapping[str, Any]) -> str:
    """Our rows, those that miss what the rows ask for with a note."""
    cells: dict[str, Cell] = {
        "PESQ-WB": number("pesq", 2),
        "missing %": number("missing", 2),
        "longest gap ms": number("longest_gap", 0),
        "delay ms": number("delay", 0),
        "R": rating("r", 1),
        "MOS-CQ": rating("mos_cq", 2),
        "kbit/s": number("kbps", 0),
        "CPU s/min, sender / receiver": both(number("cpu_near", 1), number("cpu_far", 1)),
    }
    rows = [row for row in ROWS if row.name in results]
    lines = [
        [row.title, *(cell(results[row.name]) for cell in cells.values()), aim(row, results[row.name])] for row in rows
    ]
    return table(["network", *cells, "aim"], lines)


def lines_table(results: Mapping[str, Any]) -> str:
    """The rows of full lines, with what of that they ask for is missed."""
    cells: dict[str, Cell] = {
        "PESQ-WB": number("pesq", 2),
        "missing %": number("missing", 2),
        "delay ms": number("delay", 0),
        "R": rating("r", 1),
        "MOS-CQ": rating("mos_cq", 2),
        "kbit/s": number("kbps", 0),
        **_QUEUE_CELLS,
    }
    rows = [row for row in FULL_LINES if row.name in results]
    lines = [
        [row.title, *(cell(results[row.name]) for cell in cells.values()), aim(row, results[row.name])] for row in rows
    ]
    return table(["line", *cells, "aim"], lines)


def _beside(figures: Mapping[str, Any]) -> str:
    """What the TCP connection or the other call had."""
    return number("tcp_kbps", 0)(figures) if "second" not in figures else number("kbps", 0)(figures["second"])


def equal_table(results: Results) -> str:
    """This program with its bits limited, at its defaults, and the others; "" where nothing was limited."""
    limited = results.get("limited", {})
    if not limited:
        return ""
    found = [*programs(results), *((f"{OURS}, `{label}`", figures) for label, figures in limited.items())]
    first = _EQUAL_ROWS[0]
    lines = sorted((line for line in found if first in line[1]), key=lambda line: float(line[1][first]["kbps"]))
    rows = [row for row in ALL if row.name in _EQUAL_ROWS]
    cells = [[title, *(_bits_and_quality(figures.get(row.name, {})) for row in rows)] for title, figures in lines]
    return table(["program", *(row.title for row in rows)], cells)


def _bits_and_quality(figures: Mapping[str, Any]) -> str:
    parts = (number(key, digits)(figures) for key, digits in (("kbps", 0), ("pesq", 2), ("delay", 0)))
    return ", ".join(parts) if figures else "-"


_QUEUE_CELLS: Mapping[str, Cell] = {
    "queue ms, median": number("queue_p50_ms", 0),
    "95 %": number("queue_p95_ms", 0),
    "dropped %": number("drops_pct", 2),
    "short after s": number("short_after_s", 1),
    "beside it kbit/s": _beside,
}


def truth_table(results: Mapping[str, Any]) -> str:
    """What the sender's report says of the far side, and what the wire knows."""
    cells: dict[str, Cell] = {
        "round trip, told": number("rtt_ms", 1),
        "true ms": number("true_rtt_ms", 1),
        "loss, told": number("told_loss_pct", 2),
        "true %": number("true_loss_pct", 2),
    }
    rows = [row for row in ROWS if row.name in results and results[row.name].get("rtt_ms") is not None]
    return table(
        ["network", *cells], [[row.title, *(cell(results[row.name]) for cell in cells.values())] for row in rows]
    )


def others_table(results: Results) -> str:
    """One table for each row that anybody else ran."""
    cells: dict[str, Cell] = {
        "PESQ-WB": number("pesq", 2),
        "missing %": number("missing", 2),
        "delay ms": number("delay", 0),
        "R": rating("r", 1),
        "MOS-CQ": rating("mos_cq", 2),
        "kbit/s": number("kbps", 0),
        "CPU s/min, sender / receiver": both(number("cpu_near", 1), number("cpu_far", 1)),
    }
    parts = []
    for row in ALL:
        found = [(title, figures[row.name]) for title, figures in programs(results) if row.name in figures]
        if any(title != OURS for title, _ in found):
            shown = {**cells, **_QUEUE_CELLS} if row.full_line else cells
            lines = [[title, *(cell(figures) for cell in shown.values())] for title, figures in found]
            parts.append(f"### {row.title}\n\n{table(['program', *shown], lines)}")
    return "\n".join(parts)


def programs(results: Results) -> list[tuple[str, Mapping[str, Any]]]:
    """Ours and the others with their rows, as far as there are any."""
    titles = {rival.name: rival.title for rival in RIVALS}
    found = [(OURS, results["ours"])] if "ours" in results else []
    others = results.get("others", {})
    return found + [(title, others[name]) for name, title in titles.items() if name in others]


def virtual_table(results: Mapping[str, Any]) -> str:
    """Virtual time beside the limits."""
    cells: dict[str, Cell] = {
        "PESQ-WB": number("pesq", 2),
        "missing %": number("missing", 2),
        "delay ms": number("delay", 0),
        "R": rating("r", 1),
        "kbit/s": number("kbps", 0),
        "repair packets": number("overhead", 2),
        "packets left lost %": number("lost_after_fec_pct", 3),
        "without FEC %": number("no_fec_pct", 1),
        "late at a fixed delay %": number("late_pct", 1),
        "ideal block %": number("block_pct", 3),
        "ideal code %": number("ideal_pct", 3),
        "R at best": number("best_r", 1),
    }
    rows = [row for row in ROWS if row.name in results]
    lines = [
        [row.title, *(cell(results[row.name]) for cell in cells.values()), aim(row, results[row.name])] for row in rows
    ]
    return table(["network", *cells, "aim"], lines)


_EQUAL_NOTE = (
    "**At equal bits.** The more bits, the more can be repaired. So this program was also held to what others send, by "
    "the options named. Each cell: kbit/s on the wire, PESQ-WB, milliseconds of delay; in the order of the bits "
    "that are sent at 10 % loss."
)
_EQUAL_ROWS = ("loss10", "loss20", "burst10", "outage10")
_LINES_NOTE = (
    "A line of few bits per second with a queue in front of it; what finds the queue full is dropped. Both directions "
    "have one. Queue: what the packets of the call, RTCP and repair packets included, found waiting, from "
    f"{SETTLING:.0f} s after the start, and after each change of the rate, on; so is dropped. Short: until the first "
    f"{HOLD:.0f} s in which nothing waited for {1e3 * EMPTY:.0f} ms; a dash: never. Beside it: a long-lived TCP "
    f"connection, or a second call that begins {_SECOND:.0f} s later."
)
_ENCRYPTED_NOTE = """These calls are encrypted, as is the default, by 10 bytes more in each packet: 4 kbit/s for media,
8 with a repair packet for each packet, 12 with two. What the other programs send, and what these calls are to send at
most, is meant without that; "by its encryption": without it they would not send more."""
_TRUTH_NOTE = """What RTCP tells the sender, and what the wire knows. The true round trip is the mean over all packets;
with jitter, that of the few packets that RTCP measures is another.
"""
_VIRTUAL_TITLE = "In virtual time, beside what is possible"
_VIRTUAL_NOTE = """Both ends with real packets, real Opus, real RTCP and SRTP, where the network and the clocks are
numbers: the same on every machine, and free of other processes. Copies count as repair packets. Beside it what is
possible. Without FEC the loss is what it is, and a buffer with a fixed delay as long as ours was loses what comes late.
Both codes have as many repair packets as were sent here on average, and as long a wait: the ideal block is whole when
any packets as many as its media have come, for independent losses in closed form; the ideal code remembers everything,
and each repair packet solves for one lost packet. Missing counts the transitions of time-scaling, too; packets left
lost do not. R at best is that of a call that waits as long as is best for it, and knows all that was lost in an outage
in the moment in which that ends: more waiting costs more by its delay than it gains.
"""


_VIRTUAL_LINES_NOTE = """The same lines; the TCP connection is a model (`tests/support/tcp_model.py`).
"""


def pictures(results: Results) -> dict[str, str]:
    """SVG files by name: loss and jitter against quality, jitter against delay."""
    loss = Axis("packets lost at random (%)", (0, 5, 10, 20, 30))
    jitter = Axis("mean jitter (ms, exponential)", (0, 30, 60))
    quality = Axis("PESQ-WB (1 to 4.64)", (1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5))
    delay = Axis("delay from mouth to ear beyond the wire (ms)", (0, 50, 100, 150, 200, 250, 300))
    wanted = (
        (LOSS_PICTURE, "Random loss against speech quality", loss, quality, _RANDOM, "pesq"),
        ("benchmarks-jitter.svg", "Jitter against speech quality", jitter, quality, _JITTER, "pesq"),
        ("benchmarks-delay.svg", "Jitter against delay", jitter, delay, _JITTER, "delay"),
    )
    drawn: dict[str, str] = {}
    for name, title, x, y, rows, key in wanted:
        lines = tuple(line for line in _lines(results, rows, key) if len(line.points) > 1)
        if lines:
            drawn[name] = Picture(title, x, y, lines).svg()
    return {**drawn, **steps_picture(results)}


def steps_picture(results: Results) -> dict[str, str]:
    """What is sent while the loss goes from 0 to 20 % and back."""
    rates = results.get("ours", {}).get("steps", {}).get("kbps_over_time")
    if not rates:
        return {}
    points = tuple(((at + 0.5) * BIN, rate) for at, rate in enumerate(rates))
    loss = tuple((at, value) for at, value in ((0, 0), (60, 0), (60, 20), (120, 20), (120, 0), (180, 0)))
    picture = Picture(
        "Sent while the loss goes from 0 to 20 % and back",
        Axis("time (s)", (0, 30, 60, 90, 120, 150, 180)),
        Axis("on the wire (kbit/s)", (0, 50, 100, 150, 200)),
        (Series(f"{OURS} (kbit/s)", points), Series("loss (%)", loss, 1)),
    )
    return {"benchmarks-steps.svg": picture.svg()}


def many_picture(figures: Mapping[str, Any]) -> dict[str, str]:
    """How much of a core a receiver takes, by its number of calls."""
    lines = []
    for style, (codec, rows) in enumerate(figures.items()):
        points = sorted((float(calls), median(run["cores"] for run in runs)) for calls, runs in rows.items())
        lines.append(Series(codec, tuple(points), style))
    if not lines:
        return {}
    picture = Picture(
        "Calls at one receiver and the processor they take",
        Axis("calls", (0, 100, 200, 300, 400, 500)),
        Axis("cores", (0, 0.2, 0.4, 0.6, 0.8, 1, 1.2)),
        lines,
    )
    return {MANY_PICTURE: picture.svg()}


def _lines(results: Results, rows: Mapping[str, float], key: str) -> list[Series]:
    lines = []
    styles = [OURS, *(rival.title for rival in RIVALS)]
    for title, figures in programs(results):
        points = [(x, figures[row][key]) for row, x in rows.items() if figures.get(row, {}).get(key) is not None]
        lines.append(Series(_short(title), tuple(points), styles.index(title)))
    return lines


def _steps_text(figures: Mapping[str, Any]) -> str:
    if figures.get("up_s") is None:
        return ""
    down = figures.get("down_s")
    back = f"{down:.0f} s after its end" if down is not None else "not within the minute after its end"
    return _wrapped(
        f"Where the loss goes from 0 to 20 % and back, more is sent within {figures['up_s'] + 1:.0f} s of its "
        f"beginning, and {figures['calm_kbps']:.0f} kbit/s again {back}."
    )


def _many_parts(figures: Mapping[str, Any]) -> list[str]:
    if not figures:
        return []
    return [
        "## Many calls at one receiver\n",
        _wrapped(_MANY_NOTE),
        f"![many]({MANY_PICTURE})\n",
        table(MANY_HEADS, many_rows(figures)),
        _MANY_LIMIT,
    ]


def _bit_rates_text(results: Results) -> str:
    """What the programs send in the rows of the picture of random loss."""
    ranges = []
    for title, figures in programs(results):
        rates = [rate for row in _RANDOM if (rate := figures.get(row, {}).get("kbps")) is not None]
        if rates:
            low, high = (f"{rate:.0f}" for rate in (min(rates), max(rates)))
            ranges.append(f"{_short(title)} {low if low == high else f'{low} to {high}'}")
    return _wrapped(f"Bit rates sent at these losses, in kbit/s: {'; '.join(ranges)}.") if ranges else ""


def _days(rows: Sequence[Results]) -> list[str]:
    """On which days these rows were measured, the first one first."""
    return sorted({figures[MEASURED] for figures in rows if MEASURED in figures})


def _measured_text(rows: Sequence[Results]) -> list[str]:
    """When, as far as that is known."""
    days = _days(rows)
    return [f"Measured on {' and '.join(days)}.\n"] if days else []


def _older_text(results: Results) -> list[str]:
    """That the program has changed since it was measured over the wire, where it was in virtual time since then."""
    wire, virtual = (_days(list(results.get(part, {}).values())) for part in ("ours", "virtual"))
    if not wire or not virtual or virtual[-1] <= wire[0]:
        return []
    anchor = _VIRTUAL_TITLE.lower().replace(",", "").replace(" ", "-")
    return [
        _wrapped(
            "**These figures and the pictures are not of the program as it is now**: those "
            f"[in virtual time](#{anchor}) of {virtual[-1]} are."
        )
    ]


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False) + "\n"


def _short(title: str) -> str:
    """For a legend: all of them send Opus."""
    for long, short in ((", Opus 32k with", ","), (", Opus", ""), (", distance", ""), (", 100 %", "")):
        title = title.replace(long, short)
    return title


def document(results: Results) -> str:
    """The page."""
    parts = [HEAD]
    drawn = pictures(results)
    for name in drawn:
        parts.append(f"![{name.split('-')[1][:-4]}]({name})\n")
        if name == LOSS_PICTURE:
            parts.append(_bit_rates_text(results))
            if equal := equal_table(results):
                parts += [_wrapped(_EQUAL_NOTE), equal]
    parts += _wire_parts(results)
    if "others" in results:
        days = _measured_text([row for rows in results["others"].values() for row in rows.values()])
        parts += ["## Beside other programs\n", _RIVAL_NOTE, *days, others_table(results)]
    if "virtual" in results:
        parts += _virtual_parts(results["virtual"])
    parts += _many_parts(results.get("many", {}))
    parts.append(METHOD)
    if "machine" in results:
        parts.append(machine_text(results["machine"], results.get("ours", {}).values()))
    parts.append(COMMANDS)
    return "\n".join(parts)


def _wire_parts(results: Results) -> list[str]:
    if "ours" not in results:
        return ["Nothing has been measured yet: `python -m tests.bench ours --save`.\n"]
    ours = results["ours"]
    runs = sorted({figures.get("runs", 1) for figures in ours.values()})
    many = " to ".join(str(count) for count in dict.fromkeys((runs[0], runs[-1])))
    parts = [
        "## Over a wire\n",
        ours_table(ours),
        _steps_text(ours.get("steps", {})),
        f"Medians of {many} calls.\n" if runs[-1] > 1 else "One call each.\n",
        _wrapped(_ENCRYPTED_NOTE),
        *_measured_text(list(ours.values())),
        *_older_text(results),
        _TRUTH_NOTE,
        truth_table(ours),
    ]
    if any(row.name in ours for row in FULL_LINES):
        parts += ["## Full lines\n", _wrapped(_LINES_NOTE), lines_table(ours)]
    return parts


def _virtual_parts(virtual: Results) -> list[str]:
    days = _measured_text(list(virtual.values()))
    parts = [f"## {_VIRTUAL_TITLE}\n", _VIRTUAL_NOTE, *days, virtual_table(virtual)]
    if any(row.name in virtual for row in FULL_LINES):
        parts += ["### Full lines in virtual time\n", _VIRTUAL_LINES_NOTE, lines_table(virtual)]
    return parts


def add_options(parser: argparse.ArgumentParser) -> None:
    """`python -m tests.bench report` has none."""


def run(options: argparse.Namespace) -> int:
    """The `report` command."""
    results = stored()
    folder = RESULTS.parent
    folder.mkdir(exist_ok=True)
    (folder / "benchmarks.md").write_text(document(results))
    for name, text in {**pictures(results), **many_picture(results.get("many", {}))}.items():
        (folder / name).write_text(text)
    sys.stdout.write(f"written: {folder / 'benchmarks.md'}\n")
    return 0
