"""The registrar: REGISTER requests, and what becomes of the bindings by them (RFC 3261 section 10.3).

It gets requests whose sender is known to be who it says (`admission`), and responds once, maybe later: a REGISTER is
acknowledged when its change is durable. Those of one name are processed one after the other, in the order they came.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from voip.directory.flows import flow_of_contact
from voip.directory.location import Binding, Change, Location, Outdated, TooMany, Wanted
from voip.directory.site import Site
from voip.sip.address import Address
from voip.sip.message import NameAddr, Request
from voip.sip.uri import SipUri

DEFAULT_EXPIRES = 3600
"""Seconds of a binding for which none are asked for, or none that can be read (20.10)."""
MIN_EXPIRES = 30
"""Seconds of a binding at least: a telephone that comes more often than it has to uses up the registrar."""
MAX_EXPIRES = 7200
"""Seconds that a binding lasts at most: a telephone that is gone is called in vain for so long."""
BRIEF = 3600
"""Seconds from which on no interval may be called too brief (10.3, step 7)."""
MAX_DIGITS = 10
LONGEST_INSTANCE = 200
"""Characters: a URN with a UUID has 47."""
MAX_WAITING = 8
"""REGISTER requests of one name that wait for one before them to become durable."""


class Reply(NamedTuple):
    """The response to a REGISTER: status, header fields and, for the operator, why it was refused."""

    status: int
    fields: Sequence[tuple[str, str]] = ()
    why: str = ""


Respond = Callable[[Reply, float], object]
"""Gets the response, once, and the time."""
Durable = Callable[[bool, float], object]
"""Is told, once, whether a change has become durable, and the time."""
Persist = Callable[[Change, Durable], object]
"""Makes a change durable, at once or later."""


class Names(Protocol):
    """The names of the directory, as far as SIP needs them; upper and lower case are the same."""

    def has(self, name: str) -> bool:
        """Whether there is a user of this name."""

    def hash_of(self, name: str, algorithm: str) -> str | None:
        """The `hashed_password` of the user for our realm (voip.sip.auth); None: there is no such user, or it has no
        password."""


@dataclass(frozen=True)
class _Job:
    """A REGISTER that waits for its turn."""

    request: Request
    source: Address
    respond: Respond


class Registrar:
    """Keeps `location` as REGISTER requests want it. `site` says which URIs name users of this directory, `date` gives
    the Date of a response."""

    def __init__(
        self,
        location: Location,
        names: Names,
        site: Site,
        persist: Persist,
        date: Callable[[], str],
        *,
        min_expires: int = MIN_EXPIRES,
    ) -> None:
        self._location, self._names, self._site = location, names, site
        self._persist, self._date, self._min_expires = persist, date, min_expires
        self._waiting: dict[str, deque[_Job]] = {}

    def receive(self, request: Request, source: Address, now: float, respond: Respond) -> None:
        """Process a REGISTER; `respond` gets the response. Never raises for what is in the request."""
        refusal = self._objection(request)
        if refusal is not None:
            respond(refusal, now)
            return
        job, name = _Job(request, source, respond), name_of(request.to.uri)
        waiting = self._waiting.get(name)
        if waiting is None:
            self._process(name, job, now)
        elif len(waiting) < MAX_WAITING:
            waiting.append(job)
        else:
            respond(Reply(503, [("Retry-After", "1")], "too many at once for this name"), now)

    def _objection(self, request: Request) -> Reply | None:
        """Steps 1, 2 and 5."""
        if not isinstance(request.uri, SipUri) or not self._site.owns(request.uri):
            return Reply(403, why="another domain")
        required = [tag for tag in request.headers.get_all("Require") if tag]
        if required:
            return Reply(420, [("Unsupported", ", ".join(required))])
        record = request.to.uri
        if not isinstance(record, SipUri) or not self._site.owns(record) or not self._names.has(name_of(record)):
            return Reply(404, why="no such name")
        return None

    def _process(self, name: str, job: _Job, now: float) -> None:
        plan = self._plan(name, job, now)
        if isinstance(plan, Reply):
            job.respond(plan, now)
        elif not plan.changed:
            job.respond(self._accept(plan, now), now)
        else:
            self._waiting[name] = deque()
            self._persist(plan, partial(self._on_persisted, name, plan, job))

    def _on_persisted(self, name: str, change: Change, job: _Job, durable: bool, now: float) -> None:
        """The store has the change, or could not take it: then it is as if it had not been asked for (step 7)."""
        if durable:
            self._location.apply(change)
            job.respond(self._accept(change, now), now)
        else:
            job.respond(Reply(500, why="the change could not be stored"), now)
        waiting = self._waiting.pop(name, deque())
        while waiting and name not in self._waiting:
            self._process(name, waiting.popleft(), now)
        if waiting:
            self._waiting[name].extend(waiting)

    def _plan(self, name: str, job: _Job, now: float) -> Change | Reply:
        """Steps 6 and 7."""
        request = job.request
        number, contacts = request.cseq.number, request.contacts
        plan: Change | Outdated | TooMany
        if any(contact.uri == "*" for contact in contacts):
            if request.headers.get("Expires") != "0" or len(contacts) > 1:
                return Reply(400, why="Contact: * without Expires: 0")
            plan = self._location.plan_removal(name, request.call_id, number, now)
        else:
            wanted = [self._wanted(request, contact, job.source) for contact in contacts]
            refusal = next((each for each in wanted if isinstance(each, Reply)), None)
            if refusal is not None:
                return refusal
            good = [each for each in wanted if isinstance(each, Wanted)]
            plan = self._location.plan(name, good, request.call_id, number, now)
        if isinstance(plan, Outdated):
            return Reply(500, why="an older REGISTER came late")
        if isinstance(plan, TooMany):
            return Reply(403, why="too many contacts of one name")
        return plan

    def _wanted(self, request: Request, contact: NameAddr, source: Address) -> Wanted | Reply:
        uri = contact.uri
        if not isinstance(uri, SipUri):
            return Reply(400, why="a contact that is no SIP URI")
        if self._site.is_here(uri):
            return Reply(403, why="a contact that is this directory")  # its calls would come back
        asked = contact.params.get("expires") or request.headers.get("Expires")
        seconds = _seconds(asked)
        if 0 < seconds < min(self._min_expires, BRIEF):
            return Reply(423, [("Min-Expires", str(self._min_expires))])
        flow = flow_of_contact(request, uri, source)
        return Wanted(uri, min(seconds, MAX_EXPIRES), _quality(contact), flow, _instance(contact))

    def _accept(self, change: Change, now: float) -> Reply:
        """Step 8."""
        fields = [("Contact", _contact(binding, now)) for binding in change.bindings if binding.expires > now]
        return Reply(200, [*fields, ("Date", self._date())])


def name_of(uri: SipUri | str) -> str:
    """The name of an address-of-record as the location service knows it (step 5): without parameters and escapes, in
    lower case, as SIP telephones do not agree on that; "" where it has none."""
    return uri.username.casefold() if isinstance(uri, SipUri) else ""


def _contact(binding: Binding, now: float) -> str:
    left = max(1, round(binding.expires - now))
    preference = "" if binding.q == 1.0 else f";q={binding.q:g}"
    return f"<{binding.uri}>{preference};expires={left}"


def _instance(contact: NameAddr) -> str:
    """Which telephone it is, and by which of its ways (RFC 5626 section 4.2); "" where it does not say."""
    instance = contact.params.get("+sip.instance")
    return f"{instance} {contact.params.get('reg-id') or ''}"[:LONGEST_INSTANCE] if instance else ""


def _seconds(text: str | None) -> int:
    """What an expiry says; what cannot be read counts as the default."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > MAX_DIGITS:
        return DEFAULT_EXPIRES
    return int(text)


def _quality(contact: NameAddr) -> float:
    """`q`, 1 where there is none or it cannot be read."""
    with contextlib.suppress(ValueError):
        quality = float(contact.params.get("q") or "1")
        return quality if 0.0 <= quality <= 1.0 else 1.0
    return 1.0
