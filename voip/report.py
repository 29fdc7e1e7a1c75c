"""What people and programs are told: the text report, the JSON report, the status line, and the console they go to.

Unknown figures are left out of the text and are null in JSON, never 0. Talk goes to stderr, data (JSON Lines) to
stdout; only the main thread writes, the others hand their lines over.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from voip.media import NegotiatedMedia
from voip.rtp import RtpPacket
from voip.stats import ReceiverStats, SenderStats, SessionStats

PACKETS_SHOWN = 2
"""Verbosity (-vv) from which on every packet has its line."""
SCHEMA = 1
"""Version of the JSON layout; it changes only when a field changes its meaning or goes."""


@dataclass(frozen=True)
class CallRecord:
    """All that is told of one call; times in seconds, `setup` and `first_audio` counted from the INVITE."""

    call_id: str
    peer: str
    incoming: bool
    start: str = ""
    media: NegotiatedMedia | None = None
    setup: float | None = None
    first_audio: float | None = None
    duration: float = 0.0
    end_reason: str | None = None
    rx: ReceiverStats | None = None
    tx: SenderStats | None = None
    network: SessionStats | None = None


def final_report(
    program: str, version: str, status: int, error: str | None, calls: tuple[CallRecord, ...]
) -> dict[str, Any]:
    """The object of `--report FILE` and of the `report` event."""
    return {
        "schema": SCHEMA,
        "program": program,
        "version": version,
        "exit": status,
        "error": error,
        "calls": [call_object(call) for call in calls],
    }


def call_object(call: CallRecord) -> dict[str, Any]:
    """One call as JSON: every field of the layout, `None` for what is not known."""
    media, rx, tx = call.media, call.rx, call.tx
    return {
        "call_id": call.call_id,
        "peer": call.peer,
        "codec": media.audio.codec.label if media else None,
        "clock_rate": media.audio.codec.clock_rate if media else None,
        "channels": media.audio.codec.channels if media else None,
        "ptime_ms": _ms(media.audio.ptime) if media else None,
        "encrypted": False if media else None,
        "start": call.start,
        "duration_s": round(call.duration, 3),
        "end_reason": call.end_reason,
        "setup_ms": _ms(call.setup),
        "first_audio_ms": _ms(call.first_audio),
        "rx": _rx_object(rx, call.network) if rx else None,
        "heard": _heard_object(rx) if rx else None,
        "loss_runs": dict(rx.loss_runs) if rx else None,
        "timing": _timing_object(rx, call.network),
        "fec": _fec_object(media, rx, tx),
        "tx": _tx_object(tx) if tx else None,
        "remote": _remote_object(call.network),
        "rtcp": _rtcp_object(call.network) if call.network else None,
        "quality": {"r": None, "mos_lq": None, "mos_cq": None, "method": None},
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 1)


def percent(part: float, whole: float) -> float:
    """`part` of `whole` in percent; 0 of nothing is 0."""
    return 100.0 * part / whole if whole else 0.0


def _rx_object(rx: ReceiverStats, network: SessionStats | None) -> dict[str, Any]:
    return {
        "received": rx.received,
        "expected": rx.expected,
        "lost": rx.lost,
        "recovered": rx.recovered,
        "lost_after_fec": rx.lost_after_fec,
        "late": rx.playout.late,
        "duplicate": rx.duplicate,
        "reordered": rx.reordered,
        "malformed": network.malformed if network else None,
        "foreign": network.foreign if network else None,
        "bytes": network.bytes if network else None,
        "ip_bytes": network.ip_bytes if network else None,
    }


def _heard_object(rx: ReceiverStats) -> dict[str, Any]:
    heard = rx.playout
    return {
        "frames_played": heard.played,
        "concealed": heard.concealed,
        "skipped": heard.skipped,
        "concealed_pct": round(concealed_percent(rx), 3),
        "longest_gap_ms": _ms(heard.longest_gap),
        "underruns": heard.underruns,
        "resyncs": heard.resyncs,
    }


def concealed_percent(rx: ReceiverStats) -> float:
    """Share of what was heard that was concealed, in percent."""
    heard = rx.playout
    return percent(heard.concealed_seconds, heard.played_seconds + heard.concealed_seconds)


def altered_percent(rx: ReceiverStats) -> float:
    """Share of the audio that was not played as sent, in percent: concealed, or left out to shorten the delay."""
    heard = rx.playout
    altered = heard.concealed_seconds + heard.skipped_seconds
    return percent(altered, heard.played_seconds + altered)


def _timing_object(rx: ReceiverStats | None, network: SessionStats | None) -> dict[str, Any]:
    known = rx or ReceiverStats()
    heard = known.playout
    delay = {"min": heard.delay_min, "mean": heard.delay_mean, "max": heard.delay_max, "target": heard.target}
    return {
        "jitter_ms": _ms(known.jitter),
        "jitter_max_ms": _ms(known.jitter_max),
        "rtt_ms": _ms(network.rtt) if network else None,
        "rtt_min_ms": _ms(network.rtt_min) if network else None,
        "buffer_ms": {name: _ms(value) for name, value in delay.items()} if rx else None,
        "clock_ppm": None if known.clock_ppm is None else round(known.clock_ppm, 1),
    }


def _remote_object(network: SessionStats | None) -> dict[str, Any]:
    """What the other side said of our media; the fraction is of the whole call."""
    if network is None or network.path is None:
        return {"fraction_lost": None, "cumulative_lost": None, "jitter_ms": None}
    lost = network.path.cumulative_lost
    return {
        "fraction_lost": round(remote_share(network), 5),
        "cumulative_lost": lost,
        "jitter_ms": _ms(network.path.jitter),
    }


def remote_share(network: SessionStats) -> float:
    """Share (0 to 1) of our media packets that the other side has lost since the call began; 0 without a report."""
    lost = network.path.cumulative_lost if network.path else 0
    return min(1.0, max(0.0, lost / network.path_packets)) if network.path_packets else 0.0


def _rtcp_object(network: SessionStats) -> dict[str, Any]:
    return {
        "sent": network.rtcp_sent,
        "sent_ip_bytes": network.rtcp_sent_ip_bytes,
        "received": network.rtcp,
        "received_ip_bytes": network.rtcp_ip_bytes,
    }


def _fec_object(media: NegotiatedMedia | None, rx: ReceiverStats | None, tx: SenderStats | None) -> dict[str, Any]:
    # Of what came, where something does: what was sent is in `tx`.
    packets, of = (tx.fec_packets + tx.fec_copies, tx.packets) if tx else (0, 0)
    if rx:
        packets, of = rx.fec_packets + rx.fec_copies, rx.received
    return {
        "scheme": media.fec if media else None,
        "packets": packets,
        "overhead_pct": round(percent(packets, of), 2),
        "recovered": rx.recovered if rx else None,
        "rejected": rx.fec_rejected if rx else None,
    }


def _tx_object(tx: SenderStats) -> dict[str, Any]:
    return {"packets": tx.packets, "fec_packets": tx.fec_packets, "bytes": tx.bytes, "ip_bytes": tx.ip_bytes}


# --- text -------------------------------------------------------------------------------------------------------------


def clock_time(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def length(seconds: float) -> str:
    """`4.9 s`, `12m07s` or `2h05m`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60}m{whole % 60:02}s" if whole < 3600 else f"{whole // 3600}h{whole // 60 % 60:02}m"


def status_line(call: CallRecord) -> str:
    """One line of at most 79 columns while a call runs."""
    if call.rx is not None:
        rx = call.rx
        depth = f"  buffer {rx.playout.delay * 1e3:.0f} ms" if rx.playout.delay is not None else ""
        return (
            f"  {clock_time(call.duration)}  received {rx.received}  lost {rx.lost} "
            f"({percent(rx.lost, rx.expected):.1f} %)  recovered {rx.recovered}{depth}"
        )
    tx = call.tx or SenderStats()
    rate = 8 * tx.ip_bytes / call.duration / 1e3 if call.duration else 0.0
    return f"  {clock_time(call.duration)}  sent {tx.packets} + {tx.fec_packets} FEC packets  {rate:.0f} kbit/s"


DROPPED_IN_A_LINE = 3
"""Reasons why packets were dropped, with their numbers, that fit into a line."""

END_TEXT = {
    "local-bye": "ended by this side",
    "remote-bye": "ended by the other side",
    "timeout": "ended by the other side",
    "media-timeout": "ended: no more media from the other side",
    "no-answer": "not answered",
    "rejected": "refused",
    "cancelled": "cancelled",
    "internal-error": "ended: handling it failed (a bug)",
}


def text_report(call: CallRecord) -> str:
    """The report of one call for people, each line at most 79 columns."""
    reason = END_TEXT.get(call.end_reason or "", call.end_reason or "not ended")
    lines = [f"call {reason} after {length(call.duration)}", f"  peer      {call.peer[:67]}"]
    if call.tx is not None:
        lines += _tx_lines(call, call.tx)
    if call.rx is not None:
        lines += _rx_lines(call, call.rx)
    return "\n".join(lines)


def _tx_lines(call: CallRecord, tx: SenderStats) -> list[str]:
    rate = 8 * tx.ip_bytes / tx.seconds / 1e3 if tx.seconds else 0.0
    fec = f" + {tx.fec_packets} FEC ({percent(tx.fec_packets, tx.packets):.1f} %)" if tx.fec_packets else ""
    if tx.fec_copies:
        fec += f", repeated {tx.fec_copies} ({percent(tx.fec_copies, tx.packets):.1f} %)"
    lines = [f"  sent      packets {tx.packets}{fec}   {rate:.0f} kbit/s with all headers"]
    if call.network is not None and call.network.path is not None:
        path, share = call.network.path, 100 * remote_share(call.network)
        told = f"the other side lost {path.cumulative_lost} ({share:.2f} %)   jitter {path.jitter * 1e3:.1f} ms"
        lines.append(f"  arrived   {told}")
    if call.network is not None and call.network.rtt is not None and call.rx is None:
        lines.append(f"  network   round trip {call.network.rtt * 1e3:.1f} ms")
    if call.network is not None and call.network.icmp_errors:
        lines.append(f"  network   ICMP port unreachable: {call.network.icmp_errors}")
    return lines


def _rx_lines(call: CallRecord, rx: ReceiverStats) -> list[str]:
    share, heard = altered_percent(rx), rx.playout
    lines = [
        f"  packets   received {rx.received}   lost {rx.lost} ({percent(rx.lost, rx.expected):.2f} %)   "
        f"recovered by FEC {rx.recovered}",
        f"            lost after FEC {rx.lost_after_fec} ({percent(rx.lost_after_fec, rx.expected):.2f} %)   "
        f"late {heard.late}",
        f"            duplicate {rx.duplicate}   reordered {rx.reordered}",
        f"  heard     {100 - share:.2f} % as sent   concealed {_packets(heard.concealed)}   "
        f"longest gap {heard.longest_gap * 1e3:.0f} ms",
        f"            skipped {_packets(heard.skipped)}   underruns {heard.underruns}   resyncs {heard.resyncs}",
    ]
    if rx.jitter is not None and rx.jitter_max is not None:
        runs = rx.loss_runs
        lines += [
            f"  network   jitter {rx.jitter * 1e3:.1f} ms (max {rx.jitter_max * 1e3:.1f})",
            f"            loss bursts of 1: {runs['1']}   of 2: {runs['2']}   of 3 or more: {runs['3+']}",
        ]
    delays = []
    if heard.delay_mean is not None and heard.delay_max is not None:
        delays.append(f"buffer {heard.delay_mean * 1e3:.0f} ms on average (max {heard.delay_max * 1e3:.0f})")
    if call.network is not None and call.network.rtt is not None:
        delays.append(f"round trip {call.network.rtt * 1e3:.1f} ms")
    if delays:
        lines.append(f"  delay     {'   '.join(delays)}")
    return lines + (_dropped_lines(call.network, rx) if call.network is not None else [])


def _packets(count: int) -> str:
    return f"{count} packet{'' if count == 1 else 's'}"


def _dropped_lines(network: SessionStats, rx: ReceiverStats) -> list[str]:
    strange = {
        "malformed": network.malformed,
        "foreign": network.foreign,
        "unknown type": network.unknown_payload_type,
        "overruns": network.overruns,
        "FEC rejected": rx.fec_rejected,
    }
    found = [f"{name} {count}" for name, count in strange.items() if count]
    rows = ["   ".join(found[start : start + DROPPED_IN_A_LINE]) for start in range(0, len(found), DROPPED_IN_A_LINE)]
    return [f"  {'' if index else 'dropped':10}{row}" for index, row in enumerate(rows)]


# --- console ----------------------------------------------------------------------------------------------------------


class Console:
    """Lines for people on stderr and JSON Lines on stdout. Any thread may hand over, `pump` (main thread) writes."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        verbosity: int = 0,
        as_json: bool = False,
        talk: TextIO | None = None,
        data: TextIO | None = None,
    ) -> None:
        self._clock, self._begin = clock, clock()
        self._verbosity, self._json = verbosity, as_json
        self._talk, self._data = talk or sys.stderr or _nowhere(), data or sys.stdout or _nowhere()
        self._lines: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._terminal = self._talk.isatty() and verbosity >= 0
        self._status_shown = False

    def say(self, level: int, text: str) -> None:
        """A line for people, shown from `-v` (1) or `-vv` (2) on; 0 always, unless `-q`."""
        if level <= self._verbosity:
            self._lines.put(lambda: self._write(text))

    @property
    def shows_packets(self) -> bool:
        """Whether `packet` is worth calling: `-vv`."""
        return self._verbosity >= PACKETS_SHOWN

    def packet(self, verb: str, packet: RtpPacket) -> None:
        """A line for one packet."""
        self.say(
            PACKETS_SHOWN,
            f"{verb} PT {packet.payload_type:3} seq {packet.sequence_number:5} time {packet.timestamp:10} "
            f"{len(packet.payload):4} bytes{' marker' if packet.marker else ''}",
        )

    def error(self, text: str) -> None:
        """A line that is shown even with `-q`."""
        self._lines.put(lambda: self._write(text))

    def event(self, name: str, text: str | None, *, call_id: str | None = None, **fields: object) -> None:
        """Something that happened: JSON with `--json`, `text` (if any) for people."""
        if self._json:
            moment = round(self._clock() - self._begin, 3)
            line = {"schema": SCHEMA, "t": moment, "event": name, "call_id": call_id, **fields}
            self._lines.put(lambda: self._write_json(line))
        if text is not None:
            self.say(0, text)

    def call_ended(self, call: CallRecord) -> None:
        """The end of a call, with its report."""
        text = text_report(call) if call.rx or call.tx else None
        self.event("ended", text, call_id=call.call_id, end_reason=call.end_reason, duration_s=round(call.duration, 3))

    def statistics(self, calls: tuple[CallRecord, ...]) -> None:
        """The regular `stats` events of running calls."""
        for call in calls:
            if call.media is not None and call.end_reason is None:
                self.event("stats", None, **call_object(call))

    def status(self, calls: tuple[CallRecord, ...]) -> None:
        """Redraw the status line; nothing off a terminal. Main thread only."""
        running = [call for call in calls if call.media is not None and call.end_reason is None]
        if self._terminal and running:
            _put(self._talk, f"\r{status_line(running[-1])[:79]}\x1b[K")
            self._status_shown = True

    def pump(self) -> None:
        """Write what was handed over. Main thread only."""
        while True:
            try:
                write = self._lines.get_nowait()
            except queue.Empty:
                return
            write()

    def _write(self, text: str) -> None:
        erase = "\r\x1b[K" if self._status_shown else ""
        self._status_shown = False
        _put(self._talk, f"{erase}{text}\n")

    def _write_json(self, line: dict[str, Any]) -> None:
        _put(self._data, json.dumps(line) + "\n")


def _nowhere() -> TextIO:
    """In place of a stream that was closed before the program began."""
    return open(os.devnull, "w", encoding="utf-8")


def _put(stream: TextIO, text: str) -> None:
    """Write at once. A reader that has gone (a closed terminal, `| head`) is no reason to end a call."""
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError):  # else what is still buffered makes the exit status 120
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
