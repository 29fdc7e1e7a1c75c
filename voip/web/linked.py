"""What a script and the directory tell each other, without I/O: the state of calls, when to try again, who is found."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from voip.errors import NetworkError
from voip.media import Direction
from voip.report import CallRecord
from voip.web.live import shown

COMMANDS = ("dial", "answer", "decline", "hang-up", "hold", "text")
"""What the directory may have a script do: of the commands of its page those that are about calls."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until the first try to reach a directory that is gone, and the most between two: each is twice the last."""
NO_DIRECTORY = "what responds there is no directory"
LONGEST_FIELD = 256
"""Characters of a Call-ID or an address that are told; those of programs have 20 to 100."""
MOST_CALLS = 100
"""Calls that are told of, the newest ones."""
LEAST_SHARE = 0.5
"""Of a pause that is waited at least: a thousand scripts whose directory is restarted do not come all at once."""


class DirectoryError(NetworkError):
    """The directory does not answer, or not as one would."""


class Refused(DirectoryError):
    """It answers that it will not."""


class Replaced(Refused):
    """Another program is known by our name now."""


class WrongToken(Refused):
    """It demands a token, or another one."""


class UnknownName(Refused):
    """It answers that it knows no user of this name."""


class Listed(NamedTuple):
    """A user as the directory tells: where it can be called, the best first; none while nobody is there."""

    name: str
    status: str
    contacts: tuple[str, ...]


@dataclass
class Pauses:
    """Between tries to reach a directory."""

    rng: random.Random
    _last: float = 0.0

    def next(self) -> float:
        """Seconds to wait now."""
        self._last = min(LONGEST_PAUSE, 2.0 * self._last) if self._last else FIRST_PAUSE
        return self._last * self.rng.uniform(LEAST_SHARE, 1.0)

    def reset(self) -> None:
        """A try has succeeded."""
        self._last = 0.0


def calls_told(records: Sequence[CallRecord]) -> list[dict[str, str]]:
    """What the directory is told of our calls: those that are up, and the last that have ended."""
    return [
        {
            "call_id": record.call_id,
            "direction": "incoming" if record.incoming else "outgoing",
            "state": _state(record),
            "peer": record.peer[:LONGEST_FIELD],
        }
        for record in shown(records)[-MOST_CALLS:]
        if 0 < len(record.call_id) <= LONGEST_FIELD
    ]


def _state(record: CallRecord) -> str:
    if record.end_reason is not None:
        return "ended"
    if record.media is None:
        return "ringing" if record.incoming else "calling"
    return "onhold" if record.media.direction is Direction.INACTIVE else "incall"


def read_listed(told: Mapping[str, Any], name: str) -> Listed:
    """What GET /api/users/find says. DirectoryError for what no directory would."""
    contacts = told.get("contacts")
    if not isinstance(contacts, list):
        raise DirectoryError(NO_DIRECTORY)
    texts = tuple(each for each in contacts if isinstance(each, str))
    return Listed(str(told.get("username", name)), str(told.get("status", "")), texts)


def read_list(told: Mapping[str, Any]) -> list[Listed]:
    """What GET /api/users/list says. DirectoryError for what no directory would."""
    users = told.get("users")
    if not isinstance(users, list) or not all(isinstance(each, dict) for each in users):
        raise DirectoryError(NO_DIRECTORY)
    return [read_listed(each, "") for each in users if each.get("username")]
