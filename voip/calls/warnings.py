"""Says what goes wrong in the calls that are up, and which callers were refused: shows each call to its diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

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
    """The warnings of this program about its calls. Network thread only; `look` is due every `interval` seconds."""

    def __init__(
        self,
        calls: Iterable[Call],
        audio: AudioStreams,
        console: Console,
        now: Callable[[], float],
        interval: float,
    ) -> None:
        self._calls, self._audio, self._console, self._now, self._interval = calls, audio, console, now, interval
        self._diagnoses: dict[str, _CallDiagnosis] = {}
        self._microphone = MicrophoneWatch()
        self._refusals = Refusals()
        self._looked_at: float | None = None
        self.late = 0.0
        """Seconds by which this program has come late to its timers, in sum."""

    # --- calls that are up ----------------------------------------------------------------------------------------

    def look(self, now: float, records: Mapping[str, CallRecord] = MappingProxyType({})) -> None:
        """Say what there is to be said now; `records`: what is known of calls at this moment, by their ids."""
        if self._looked_at is not None:
            late = now - self._looked_at - self._interval
            self.late += late if late > SLOW else 0.0
        self._looked_at = now
        up = {call.call_id: call for call in self._up()}
        self._diagnoses = {call_id: self._diagnoses.get(call_id) or _CallDiagnosis() for call_id in up}
        levels = None
        for call_id, call in up.items():
            situation = self._situation(call, records.get(call_id) or call.snapshot(now), now)
            if situation.microphone and situation.is_sending and situation.record.tx is not None and levels is None:
                levels = situation.record.tx.levels
            for finding in self._diagnoses[call_id].look(situation):
                self._tell(finding, call_id)
        name = self._audio.microphone if levels is not None else ""
        for finding in self._microphone.look(name, levels or Levels(), now):
            self._tell(finding, None)
        self._tell_refusal(self._refusals.tick(now))

    def _up(self) -> list[Call]:
        """The calls whose media flows."""
        return [call for call in self._calls if call.lines and call.established is not None and call.ending is None]

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


SAID = frozenset({401, 403, 480, 486})
"""Statuses with which we refuse calls whose user might want to be let in, and who could be."""


class _CallDiagnosis:
    """All that is looked at in one call, and what was said of it."""

    def __init__(self) -> None:
        self._watches = (Directions(), Silence(), Choppy(), PeerLoss())

    def look(self, situation: Situation) -> list[Finding]:
        return [finding for watch in self._watches for finding in watch.look(situation)]
