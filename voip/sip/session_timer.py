"""Session timers (RFC 4028): both sides agree on who shows, by re-INVITE or UPDATE, that the session is still wanted.

We ask for none ourselves: media time-outs and OPTIONS notice a peer that is gone much sooner, and a Session-Expires
that an old telephone cannot read would only be a risk. But we say that we know them (`Supported: timer`), so that
proxies and peers that want one get it, with us in either role.
"""

from __future__ import annotations

from collections.abc import Callable

from voip.sip.grammar import MAX_DIGITS
from voip.sip.message import Request, Response, SipMessage
from voip.sip.methods import TIMER
from voip.sip.timers import Timers

MIN_SE = 90
"""Shortest interval that may be asked for, in seconds (sections 4 and 5)."""
MIN_INTERVAL = 10
"""Seconds: a peer may, wrongly, name less than MIN_SE; but we never refresh more often than each 5 s."""
MARGIN = 32.0
"""BYE goes this long, or a third of the interval, before the end (section 10)."""
Action = Callable[[float], None]


class SessionTimer:
    """The interval agreed on in a call. `refresh` is called at half of it where that is ours to do, `expire` shortly
    before its end when no refresh has succeeded."""

    def __init__(self, timers: Timers, *, refresh: Action, expire: Action) -> None:
        self._timers, self._refresh, self._expire = timers, refresh, expire
        self._asked = 0
        self._least = 0
        self.interval = 0
        """Seconds; 0: there is none."""
        self.ours = False
        """We are the refresher."""

    # --- as client (section 7) ------------------------------------------------------------------------------------

    def request_fields(self) -> list[tuple[str, str]]:
        """What an INVITE or UPDATE of ours says: the agreement as it is, or what a 422 has asked for."""
        if self.interval:
            self._asked = max(self.interval, self._least)
        fields = []
        if self._asked:
            role = "" if not self.interval else ";refresher=uac" if self.ours else ";refresher=uas"
            fields.append(("Session-Expires", f"{self._asked}{role}"))
        if self._least:
            fields.append(("Min-SE", str(self._least)))
        return fields

    def must_ask_for_more(self, refusal: Response) -> bool:
        """Learn from a 422 (7.3); False if it asks for no more than we did: there is no use in trying again."""
        least = _number(refusal, "Min-SE")
        if least is None or least <= self._asked:
            return False
        self._asked = self._least = least
        return True

    def on_2xx(self, response: Response, now: float) -> None:
        """A 2xx to an INVITE or UPDATE of ours (7.2): what it says holds from now on."""
        interval = _number(response, "Session-Expires")
        if interval is None:
            self.stop()
        else:
            self._start(max(interval, MIN_INTERVAL), _refresher(response) != "uas", now)

    # --- as server (section 9) ------------------------------------------------------------------------------------

    def response_fields(self, request: Request, now: float) -> list[tuple[str, str]]:
        """What our 2xx to this INVITE or UPDATE says; it holds from now on. The interval is not raised, but to the
        least that the request itself allows (section 9): who supports timers is refused one that is too short."""
        asked = _number(request, "Session-Expires")
        least = _number(request, "Min-SE") or 0
        self._least = max(self._least, least)
        if asked is None:
            self.stop()
            return []
        interval, supported = max(asked, least), _supported(request)
        refresher = (_refresher(request) or "uac") if supported else "uas"
        self._start(max(interval, MIN_INTERVAL), refresher == "uas", now)
        fields = [("Session-Expires", f"{interval};refresher={refresher}")]
        return [*fields, ("Require", TIMER)] if supported else fields

    # --- time -----------------------------------------------------------------------------------------------------

    def try_again(self, when: float) -> None:
        """The refresh was put off by the peer: once more, if there is time left."""
        if self.interval and self.ours:
            self._timers.set(self, "refresh", when, self._refresh)

    def stop(self) -> None:
        self.interval = self._asked = 0
        self._timers.clear(self, "refresh", "expire")

    def _start(self, interval: int, ours: bool, now: float) -> None:
        self.interval, self.ours = interval, ours
        self._timers.clear(self, "refresh")
        if ours:
            self._timers.set(self, "refresh", now + interval / 2, self._refresh)
        self._timers.set(self, "expire", now + interval - min(MARGIN, interval / 3), self._expire)


def too_short(request: Request) -> bool:
    """Whether a request deserves 422: it asks for less than MIN_SE, and its sender would understand (section 9)."""
    asked = _number(request, "Session-Expires")
    return asked is not None and asked < MIN_SE and _supported(request)


def _supported(message: SipMessage) -> bool:
    values = [*message.headers.get_all("Supported"), *message.headers.get_all("Require")]
    return TIMER in (value.lower() for value in values)


def _number(message: SipMessage, name: str) -> int | None:
    """The seconds of Session-Expires or Min-SE; None if there are none that make sense."""
    digits = (message.headers.get(name) or "").partition(";")[0].strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > MAX_DIGITS:
        return None
    return int(digits) or None


def _refresher(message: SipMessage) -> str:
    for parameter in (message.headers.get("Session-Expires") or "").lower().split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip() == "refresher" and value.strip() in ("uac", "uas"):
            return value.strip()
    return ""
