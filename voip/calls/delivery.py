"""Whether sound got through: what the figures of a call prove, whatever way it ended.

Who receives knows what came. Who sends has only what the peer tells: RTCP (RFC 3550 section 6.4), its response to BYE,
and ICMP. Without any of it nothing is known, and nothing is claimed: there are telephones without RTCP.
"""

from __future__ import annotations

from dataclasses import replace

from voip.calls.call import Call
from voip.calls.outcome import Outcome, outcome_of
from voip.errors import EXIT_NO_MEDIA, EXIT_OK
from voip.report import CallRecord
from voip.stats import EMPTY_REPORTS, REPORTS_DUE, SenderStats, SessionStats

KEYS_DUE = 2.0
"""Seconds in which a handshake comes to its end, also if some of its flights are lost: a call that its user ends sooner
is no failure."""
PROVEN_AFTER = 1.0
"""Seconds of sending after which a media port that is closed is no port that is about to open."""
CLOSED_FOR = 2.0
"""Seconds for which a refusal counts: Linux sends one ICMP message a second to each host."""


def judge(call: Call, record: CallRecord, now: float) -> Outcome:
    """What a call that is closed came to: by its end, or, where that was in order, by what it brought.

    Whether another call may succeed is for its end alone to say.
    """
    outcome = call.failure or outcome_of(record.peer, call.ending)
    if outcome.status != EXIT_OK:
        return outcome
    if not call.signalled and call.established is None:
        return Outcome(EXIT_NO_MEDIA, f"no stream came on {record.peer}: not one media packet arrived")
    brought = check_delivery(record, responded=not call.unacknowledged, now=call.ended or now)
    return replace(brought, passing=outcome.passing)


def check_delivery(record: CallRecord, *, responded: bool, now: float) -> Outcome:
    """What it means for the exit status if there is proof that a call brought no sound, or that its end went nowhere.

    `responded`: the end of the signalling was acknowledged. `now` is the end of the call, monotonic.
    """
    if record.media is None:
        return Outcome()
    security = record.media.security
    if security is not None and security.keys is None and record.duration >= KEYS_DUE:
        return Outcome(EXIT_NO_MEDIA, f"no sound to or from {record.peer}: the call ended before it was encrypted")
    direction = record.media.direction
    if direction.receives and record.rx is not None and not record.rx.received:
        return Outcome(EXIT_NO_MEDIA, f"no sound came from {record.peer}: not one media packet arrived")
    if direction.sends and record.tx is not None and record.tx.packets and record.network is not None:
        reason = _undelivered(record.tx, record.network, responded=responded, now=now)
        if reason:
            return Outcome(EXIT_NO_MEDIA, f"{record.peer} {reason}")
    return Outcome()


def _undelivered(sent: SenderStats, network: SessionStats, *, responded: bool, now: float) -> str:
    """Proof that what we sent, or the end of it, did not arrive; "" without one."""
    path = network.path
    if path is None and not network.bytes and _closed_throughout(sent, network, now):
        return "heard nothing: its media port is closed (ICMP port unreachable)"
    if path is None and network.empty_reports >= EMPTY_REPORTS and sent.seconds > REPORTS_DUE:
        return "heard nothing: its RTCP reports tell of no packet of ours"
    if path is not None and not responded and (network.icmp_errors or now - path.at > REPORTS_DUE):
        unreported = max(0, sent.packets - network.path_packets)
        return f"was gone before the end: nothing tells of the last {unreported} packets"
    return ""


def _closed_throughout(sent: SenderStats, network: SessionStats, now: float) -> bool:
    """Whether the peer's media port has refused what it was sent from the first second to the end."""
    if network.icmp_at is None or network.icmp_since is None or sent.seconds <= PROVEN_AFTER:
        return False
    return now - network.icmp_at < CLOSED_FOR and now - network.icmp_since > sent.seconds - PROVEN_AFTER
