"""Says what goes wrong in the calls that are up, and which callers were refused: shows each call to its diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from voip.calls.call import Call
from voip.calls.diagnosis import (
    Choppy,
    Directions,
    Event,
    Finding,
    MicrophoneWatch,
    PeerLoss,
    Refusal,
    Refusals,
    Silence,
    Situation,
)
from voip.calls.streams import AudioStreams
from voip.report import CallRecord, Console
from voip.sip import RequestRefused
from voip.stats import Levels, SessionStats

SLOW = 0.05
"""Seconds by which a timer of this program may be late before that counts as lateness: what a busy machine does."""


class CallWarnings:
    """The warnings of this program about its calls. Network thread only.

    `look_at` each call that is up, one after the other, and `look` at what they have in common, four times a second.
    """

    def __init__(
        self,
        calls: Iterable[Call],
        audio: AudioStreams,
        console: Console,
        now: Callable[[], float],
    ) -> None:
        self._calls, self._audio, self._console, self._now = calls, audio, console, now
        self._diagnoses: dict[str, _CallDiagnosis] = {}
        self._microphone = MicrophoneWatch()
        self._captured: Levels | None = None  # those of the microphone, as a call that sends it knew them last
        self._refusals = Refusals()
        self._expected_at: float | None = None
        self.late = 0.0
        """Seconds by which this program has come late to its timers, in sum."""

    # --- calls that are up ----------------------------------------------------------------------------------------

    def keep_time(self, now: float, next_in: float) -> None:
        """A timer runs now, and the next one is due in so many seconds: how late is this program?"""
        late = 0.0 if self._expected_at is None else now - self._expected_at
        self.late += late if late > SLOW else 0.0
        self._expected_at = now + next_in

    def look_at(self, call: Call, record: CallRecord, now: float) -> None:
        """Say what there is to be said now of a call, of which this is known."""
        if not _is_up(call):
            return
        situation = self._situation(call, record, now)
        if situation.microphone and situation.is_sending and record.tx is not None:
            self._captured = record.tx.levels
        for finding in self._diagnoses.setdefault(call.call_id, _CallDiagnosis()).look(situation):
            self._tell(finding, call.call_id)

    def look(self, now: float) -> None:
        """Say what there is to be said now of all calls together: of the microphone, and of those that were refused."""
        up = {call.call_id for call in self._up()}
        self._diagnoses = {call_id: kept for call_id, kept in self._diagnoses.items() if call_id in up}
        levels, self._captured = self._captured, None
        name = self._audio.microphone if levels is not None else ""
        for finding in self._microphone.look(name, levels or Levels(), now):
            self._tell(finding, None)
        self._tell_refusal(self._refusals.tick(now))

    def _up(self) -> list[Call]:
        """The calls whose media flows."""
        return [call for call in self._calls if _is_up(call)]

    def _situation(self, call: Call, record: CallRecord, now: float) -> Situation:
        line = call.lines[0]
        endpoint = call.negotiation.endpoint
        rtcp = () if line.media.rtcp_mux else (endpoint.rtcp_port or endpoint.port + 1,)
        return Situation(
            record=record,
            media=line.media,
            now=now,
            plays=line.receive is not None,
            sends=line.send is not None,
            signalled=call.signalled,
            over=line.is_over,
            ports=(call.transport.port, *rtcp),
            microphone=self._audio.microphone,
            speaker_gone=not self._audio.available,
            xruns=self._audio.xruns,
            late=self.late,
            network=record.network or SessionStats(),
        )

    def _tell(self, finding: Finding, call_id: str | None) -> None:
        if finding.event is Event.DETAIL:
            self._console.say(1, finding.text)
        elif finding.event is Event.WARNING:
            self._console.warning(finding.cause, finding.text, call_id=call_id)
        else:
            name, text = finding.event.value, finding.text
            self._console.event(name, text, call_id=call_id, cause=finding.cause, message=text)

    # --- calls that were refused ----------------------------------------------------------------------------------

    def on_refused(self, event: RequestRefused) -> None:
        """A request was refused: worth a line if it was a call, else for `-v`."""
        source, said = event.source, f"{event.status} {event.reason}".strip()
        offering = {call.remote_host for call in self._up() if call.negotiation.awaits_answer}
        ours = not event.caller and source.host in offering  # that peer refuses a re-INVITE
        if event.method == "INVITE" and event.status in SAID and not ours:
            self.refused(source.host, event.status, event.caller)
        self._console.say(1, f"refused {event.method} of {source.host}:{source.port}: {said}")

    def refused(self, source: str, status: int, caller: str, reason: str = "") -> None:
        """A call from the host `source` was refused; `reason`: why, for people, if the status does not say it."""
        self._tell_refusal(self._refusals.note(source, status, caller, self._now(), reason))

    def _tell_refusal(self, refusal: Refusal | None) -> None:
        if refusal is not None:
            fields = {name: getattr(refusal, name) for name in ("source", "caller", "status", "hidden")}
            self._console.event("refused", refusal.text, message=refusal.text, **fields)


def _is_up(call: Call) -> bool:
    """Whether its media flows."""
    return bool(call.lines) and call.established is not None and call.ending is None


SAID = frozenset({401, 403, 480, 486})
"""Statuses with which we refuse calls whose user might want to be let in, and who could be."""


class _CallDiagnosis:
    """All that is looked at in one call, and what was said of it."""

    def __init__(self) -> None:
        self._watches = (Directions(), Silence(), Choppy(), PeerLoss())

    def look(self, situation: Situation) -> list[Finding]:
        return [finding for watch in self._watches for finding in watch.look(situation)]
