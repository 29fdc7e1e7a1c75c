"""How good a call is, from its record: the E-model's rating, the delay that it counts, and a verdict in words."""

from __future__ import annotations

from dataclasses import dataclass

from voip import quality
from voip.quality import Loss, Rating
from voip.report.record import CallRecord
from voip.report.shares import percent, remote_share
from voip.stats import EMPTY_REPORTS, REPORTS_DUE, Levels, ReceiverStats, SenderStats, SessionStats

WORDS = ((4.3, "excellent"), (4.0, "good"), (3.6, "fair"), (2.6, "poor"), (0.0, "bad"))
"""From which MOS on a call is called so: about R of 90, 80, 70 and 50, the bands of ITU-T G.109."""
MOS_STEP = 0.1
"""A MOS that differs by less sounds the same."""
JUDGED_FROM = 1.0
"""Seconds of sound that tell something: less are no call to judge."""
UNREPORTED_SAID = 1.0
"""Seconds of what was sent, after the last report of the peer, from which on it is told what the report covers."""
ORDERLY_ENDS = (None, "local-bye", "remote-bye")
"""Ends of a call, or none yet, after which the last report may simply be some seconds old."""
ALL_SILENT = 0.999
"""Share of digital silence from which on sound is none: a click at the start is no speech."""


@dataclass(frozen=True)
class Delay:
    """From mouth to ear, in seconds, and what that is made of; None: unknown, and not counted.

    packet: until a packet is full. network: half the round trip. buffer: the mean delay of play-out. device: the
    speaker's own; that of the microphone is known to the other side alone.
    """

    packet: float
    network: float | None
    buffer: float | None
    device: float | None

    @property
    def total(self) -> float:
        """The sum of what is known."""
        return self.packet + (self.network or 0.0) + (self.buffer or 0.0) + (self.device or 0.0)


def delay_of(call: CallRecord) -> Delay | None:
    """How long what is heard was under way; None for a call that plays nothing."""
    if call.rx is None or call.media is None or call.rx.playout.delay_mean is None:
        return None
    rtt = call.network.rtt if call.network else None
    return Delay(
        packet=call.media.packet_time,
        network=None if rtt is None else rtt / 2,
        buffer=call.rx.playout.delay_mean,
        device=call.output_latency,
    )


def rating_of(call: CallRecord) -> Rating | None:
    """The rating of what was heard here; None while there was nothing to hear."""
    if call.rx is None or call.media is None:
        return None
    delay = delay_of(call)
    return quality.rate_heard(call.media.audio.codec, call.rx, delay.total if delay else 0.0)


def rating_without_fec(call: CallRecord) -> Rating | None:
    """The same call as it would have been had FEC rebuilt nothing."""
    if call.rx is None or call.media is None or (loss := quality.without_fec(call.rx)) is None:
        return None
    delay = delay_of(call)
    return quality.rate(quality.equipment_of(call.media.audio.codec), loss, delay.total if delay else 0.0)


def loss_of_interval(call: CallRecord, before: CallRecord | None) -> Loss | None:
    """What was not heard since `before` (None: the start); None if there was nothing to hear."""
    if call.rx is None:
        return None
    earlier = quality.Heard.of(before.rx) if before is not None and before.rx is not None else quality.Heard()
    return quality.Heard.of(call.rx).since(earlier).loss


def rating_of_interval(call: CallRecord, before: CallRecord | None) -> Rating | None:
    """The rating of what was heard since `before` (None: the start); None if there was nothing to hear."""
    loss, delay = loss_of_interval(call, before), delay_of(call)
    if loss is None or call.media is None:
        return None
    return quality.rate(quality.equipment_of(call.media.audio.codec), loss, delay.total if delay else 0.0)


def word_for(mos: float) -> str:
    """`good` and the like."""
    return next(word for least, word in WORDS if mos >= least)


def all_silent(levels: Levels) -> bool:
    """Whether there was sound, and all of it digital silence."""
    return levels.silence is not None and levels.silence >= ALL_SILENT


# --- in words ---------------------------------------------------------------------------------------------------------


def verdict(call: CallRecord) -> list[str]:
    """What it was worth, in a line for each direction; none for a call in which nothing could flow."""
    lines = []
    both = call.rx is not None and call.tx is not None
    if call.rx is not None and (call.media is None or call.media.direction.receives):
        lines.append(_here(call, call.rx, both=both))
    if call.tx is not None and (call.media is None or call.media.direction.sends):
        lines.append(_there(call, call.tx))
    return lines


def _here(call: CallRecord, rx: ReceiverStats, *, both: bool) -> str:
    where = " here" if both else ""
    if not rx.received:
        return f"no sound{where}: not one packet arrived"
    if not rx.playout.played:
        return f"no sound{where}: packets arrived, none of them could be played"
    if all_silent(rx.levels):
        return f"silence{where}: all that arrived is digital silence; is the other microphone muted?"
    rating = rating_of(call)
    if rating is None or heard_seconds(rx) < JUDGED_FROM:
        return f"too short to judge{where}: {heard_seconds(rx):.1f} s of sound"
    parts = [f"{word_for(rating.mos_lq)}{where}: MOS {rating.mos_lq:.1f}"]
    worst, without = call.trend.worst_mos, rating_without_fec(call)
    if worst is not None and rating.mos_lq - worst >= MOS_STEP:
        parts.append(f"worst 10 s {worst:.1f}")
    if without is not None and rating.mos_lq - without.mos_lq >= MOS_STEP:
        parts.append(f"without FEC {without.mos_lq:.1f}")
    return "   ".join(parts)


def _there(call: CallRecord, tx: SenderStats) -> str:
    network = call.network
    path = network.path if network is not None else None
    if not tx.packets:
        return "no sound sent: not one packet left"
    if all_silent(tx.levels):
        return "silence sent: the input gave digital silence; is it muted?"
    if path is None and network is not None and network.empty_reports >= EMPTY_REPORTS:
        return "nothing arrived at the other side, by its own reports"
    if path is None or network is None:
        return "unknown at the other side: it reported nothing"
    if tx.seconds < JUDGED_FROM:
        return f"too short to judge at the other side: {tx.seconds:.1f} s of sound"
    tail = unreported_seconds(tx, network)
    lost = tail >= REPORTS_DUE or (tail >= UNREPORTED_SAID and call.end_reason not in ORDERLY_ENDS)
    where = "at the other side"
    if lost:
        where = f"there, but unknown for the last {tail:.0f} s"
    elif tail >= UNREPORTED_SAID:
        where = f"there until {tail:.0f} s before the end"
    if path.mos_lq is not None:
        return f"{word_for(path.mos_lq)} {where}: MOS {path.mos_lq:.1f} by its own figures"
    share = 100 * remote_share(network)
    losses = f"{share_text(share)} lost on the way, before any repair" if share else "nothing lost on the way"
    return f"arrived {where}: {losses}"


def heard_seconds(rx: ReceiverStats) -> float:
    """How long there was sound to hear, concealed or not: from the first packet to the last."""
    return rx.playout.played_seconds + rx.playout.concealed_seconds


def unreported_seconds(tx: SenderStats, network: SessionStats) -> float:
    """How much of what was sent, at the end, no report of the peer speaks of."""
    unreported = max(0, tx.packets - network.path_packets)
    return unreported * tx.seconds / tx.packets if tx.packets else 0.0


def share_text(share: float) -> str:
    """A share in percent with as many digits as say something: `0.06 %`, `3.1 %`, `42 %`; never 0 for what is not."""
    if share >= 10.0:
        return f"{min(share, 99.0 if share < 100.0 else 100.0):.0f} %"
    return f"{share:.1f} %" if share >= 1.0 else f"{share:.2f} %" if share >= 0.01 else "under 0.01 %"


def lost_after_fec_percent(rx: ReceiverStats) -> float:
    """Lost packets that FEC did not rebuild in time, in percent of those expected."""
    return percent(rx.lost_after_fec, rx.expected)
