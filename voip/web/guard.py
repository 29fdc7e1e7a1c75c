"""Who may use a page: by token, by Host and Origin, and not too often (RFC 6455 section 10.2, RFC 6750 section 2.1).

A page bound to loopback needs no token: whoever can reach it runs on this machine. But a browser there may be led to it
by any web page, so requests must name this machine as their Host (against DNS rebinding), and whatever a foreign page
starts, which browsers tell by Origin, is refused.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from voip.ip import MAX_PORT

LOCAL_NAMES = frozenset({"localhost"})
BEARER = "bearer."
"""What a WebSocket of a browser, which cannot set Authorization, names its token by, as a subprotocol."""
REQUESTS_A_SECOND, REQUESTS_AT_ONCE = 50.0, 100.0
"""Of one address; the page itself needs five to open and sends a command now and then."""
MOST_ADDRESSES = 1000
"""Addresses whose requests are counted."""


def is_loopback(host: str) -> bool:
    """Whether an address, or the name of a host, is this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in LOCAL_NAMES


def split_authority(text: str) -> tuple[str, int | None]:
    """The host, without brackets, and the port of `host:port`; an empty host for what is neither."""
    host, _, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not host:
        host, port = text, ""
    if port and not (port.isascii() and port.isdigit() and int(port) <= MAX_PORT):
        return "", None
    return host.strip("[]").lower(), int(port) if port else None


@dataclass
class Bucket:
    """Requests that an address may still make now; it fills with time."""

    left: float = REQUESTS_AT_ONCE
    at: float = 0.0
    rate: float = REQUESTS_A_SECOND
    most: float = REQUESTS_AT_ONCE

    def take(self, now: float) -> bool:
        """One more; False for one too many."""
        self.left = min(self.most, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


@dataclass
class Guard:
    """Says of each request whether it is allowed. `token`: what it must bring, None on loopback. `rate`: requests a
    second of one address, `most` of them at once; `scheme` is how own pages are loaded."""

    token: str | None
    rate: float = REQUESTS_A_SECOND
    most: float = REQUESTS_AT_ONCE
    scheme: str = "http"
    _buckets: dict[str, Bucket] = field(default_factory=dict)

    def refusal(self, headers: Mapping[str, str], address: str, now: float) -> int | None:
        """The HTTP status of a request that is refused, None for one that is allowed."""
        if not self._has_room(address, now):
            return 429
        host, port = split_authority(headers.get("Host", ""))
        if not host or (self.token is None and not is_loopback(host)):
            return 421
        origin = headers.get("Origin")
        if origin is not None and not self._is_own(origin, host, port):
            return 403
        return None

    def knows(self, offered: str) -> bool:
        """Whether this is the token; anything is where none is needed."""
        return self.token is None or hmac.compare_digest(self.token.encode(), offered.encode())

    def _is_own(self, origin: str, host: str, port: int | None) -> bool:
        """Whether a page that was loaded from here has sent it."""
        scheme, _, authority = origin.partition("://")
        return scheme == self.scheme and split_authority(authority) == (host, port)

    def _has_room(self, address: str, now: float) -> bool:
        if address not in self._buckets and len(self._buckets) >= MOST_ADDRESSES:
            self._buckets.pop(next(iter(self._buckets)))
        return self._buckets.setdefault(address, Bucket(self.most, now, self.rate, self.most)).take(now)


def offered_token(headers: Mapping[str, str]) -> str:
    """The token that a request brings: by Authorization, or as a subprotocol of a WebSocket."""
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    protocols = (each.strip() for each in headers.get("Sec-WebSocket-Protocol", "").split(","))
    return next((each.removeprefix(BEARER) for each in protocols if each.startswith(BEARER)), "")
