"""Whether a source address is one of this machine's own, asked of the system at a bounded rate."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

from voip.net.sockets import is_own_address
from voip.sip.limits import Bucket

FRESH = 10.0
"""Seconds for which an answer of the system is believed: addresses come and go with links."""
MAX_REMEMBERED = 256
"""Hosts whose answer is remembered, those asked for last."""
QUESTION_RATE, QUESTION_BURST = 20.0, 40.0
"""Questions to the system in a second, and at once: one takes some 20 us, and anybody can forge a source."""


class OwnHosts:
    """Remembers which hosts are this machine. `ask` says so of a literal address, `clock` gives the time in seconds.

    While more hosts are asked about than the rate allows, the last answer stands, and a host without one is another's.
    Network thread only.
    """

    def __init__(self, clock: Callable[[], float], ask: Callable[[str], bool] = is_own_address) -> None:
        self._clock, self._ask = clock, ask
        self._questions = Bucket(QUESTION_RATE, QUESTION_BURST)
        self._answers: OrderedDict[str, tuple[bool, float]] = OrderedDict()

    def has(self, host: str) -> bool:
        """Whether this literal address is one of this machine's."""
        now = self._clock()
        own, asked = self._answers.get(host, (False, float("-inf")))
        if now - asked < FRESH or not _can_be_source(host) or self._questions.level(now) < 1.0:
            return own
        self._questions.take()
        own = self._ask(host)
        self._answers[host] = own, now
        self._answers.move_to_end(host)
        self._make_room()
        return own

    def _make_room(self) -> None:
        """Forget the hosts of others first, so that a flood of them does not displace ours."""
        if len(self._answers) > MAX_REMEMBERED:
            oldest = next((host for host, (own, _) in self._answers.items() if not own), next(iter(self._answers)))
            del self._answers[oldest]


def _can_be_source(host: str) -> bool:
    """Systems also let bind to wildcards and groups, which nothing comes from."""
    address = ipaddress.ip_address(host)
    return not (address.is_unspecified or address.is_multicast)
