"""One report of several processes: what each tells in JSON (docs/json.md), added up.

A worker tells of each call when it is over (`record`), of those that are up now and then (`stats`), and at its end of
itself (`report`). What it has told stays when it dies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voip.calls.records import RECORDS_KEPT
from voip.report import CallRecord, call_object
from voip.report.total import Total, most_at_a_time

Json = dict[str, Any]
OF_EVENT = ("schema", "t", "event", "interval", "since", "worker")
"""Fields of an event that are not the call's."""
INTERNAL = frozenset({"listening", "device", "record", "error", "report"})
"""Events of a worker that are not for others: the parent has its own."""
LOST = "worker-died"
"""How a call has ended whose worker did not live to end it."""


class Merging:
    """What the workers have told so far. One thread."""

    def __init__(self) -> None:
        self._ended: list[Json] = []
        self._up: dict[tuple[int, str], Json] = {}
        self._reports: dict[int, list[Json]] = {}
        self._spans: list[tuple[float, float]] = []  # of `_ended`

    def take(self, worker: int, event: Mapping[str, Any], now: float, moment: str) -> bool:
        """An event of a worker; whether it is to be told to others. `moment`: the time of day, as in a call's
        `start`."""
        kind, call_id = event["event"], event.get("call_id")
        if kind == "established":
            blank = call_object(CallRecord(call_id=str(call_id), peer=event["peer"], incoming=True, start=moment))
            self._up[worker, str(call_id)] = {**blank, "codec": event["codec"], "since": now}
        elif kind == "stats" and (worker, call_id) in self._up:
            self._up[worker, str(call_id)] |= _call_of(event)
        elif kind == "record":
            self._up.pop((worker, str(call_id)), None)
            self._end(_call_of(event), event["since"])
        elif kind == "report":
            self._reports.setdefault(worker, []).append(dict(event))
        return kind not in INTERNAL

    def lost(self, worker: int, now: float) -> list[Json]:
        """A worker has died: its calls that were up are over, with the figures that it told last. These."""
        lost = []
        for key in [key for key in self._up if key[0] == worker]:
            call = self._up.pop(key)
            since = call.pop("since")
            call |= {"end_reason": LOST, "duration_s": round(now - since, 3)}
            self._end(call, since)
            lost.append(call)
        return lost

    def error_of(self, worker: int) -> str | None:
        """Why a worker says that it has ended, None if all was well or it did not say."""
        error: str | None = self._reports[worker][-1]["error"] if worker in self._reports else None
        return error

    @property
    def calls(self) -> Sequence[Json]:
        """The calls that are over, the last RECORDS_KEPT, in the order of their ends."""
        return self._ended

    @property
    def total(self) -> Total:
        """All of them together."""
        heard = [call["rx"] for call in self._ended if call["rx"] is not None]
        sent = [call["tx"] for call in self._ended if call["tx"] is not None]
        return Total(
            calls=len(self._ended),
            with_media=sum(call["codec"] is not None for call in self._ended),
            at_a_time=most_at_a_time(self._spans),
            duration=sum(call["duration_s"] for call in self._ended),
            received=sum(rx["received"] for rx in heard),
            expected=sum(rx["expected"] for rx in heard),
            recovered=sum(rx["recovered"] for rx in heard),
            sent=sum(tx["packets"] for tx in sent),
        )

    @property
    def limited(self) -> int | None:
        """Samples that were made softer in the mixtures of all; None where nothing is played."""
        known: int | None = _sum(report["total"]["limited"] for report in self._all_reports())
        return known

    @property
    def devices(self) -> list[Json]:
        """Those of all."""
        return [device for report in self._all_reports() for device in report["devices"]]

    def system(self, own: Mapping[str, float | None]) -> Json:
        """What all processes have used: `own` is what this one has."""
        systems = [own, *(report["system"] for report in self._all_reports())]
        cpu = _sum(each["cpu_s"] for each in systems)
        return {
            "cpu_s": None if cpu is None else round(cpu, 3),
            "max_rss_kb": _sum(each["max_rss_kb"] for each in systems),
        }

    def workers(self, count: int, starts: Mapping[int, int]) -> list[Json]:
        """An object for each worker: how often it was started, and what it has used; null where no process of it came
        to its report."""
        found = []
        for number in range(count):
            reports = self._reports.get(number, [])
            found.append(
                {
                    "worker": number + 1,
                    "starts": starts.get(number, 0),
                    "cpu_s": _sum(report["system"]["cpu_s"] for report in reports),
                    "max_rss_kb": max((report["system"]["max_rss_kb"] or 0 for report in reports), default=None),
                }
            )
        return found

    def _end(self, call: Json, since: float | None) -> None:
        self._ended.append(call)
        if since is not None:
            self._spans.append((since, call["duration_s"]))
        del self._ended[:-RECORDS_KEPT], self._spans[:-RECORDS_KEPT]

    def _all_reports(self) -> list[Json]:
        return [report for number in sorted(self._reports) for report in self._reports[number]]


def _call_of(event: Mapping[str, Any]) -> Json:
    return {name: value for name, value in event.items() if name not in OF_EVENT}


def _sum(values: Any) -> Any:  # noqa: ANN401 -- whole numbers stay whole
    known = [value for value in values if value is not None]
    return sum(known) if known else None
