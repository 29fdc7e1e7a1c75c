"""Rate limits for unvalidated sources: token buckets per host and for all of them together."""

from __future__ import annotations

import ipaddress

MAX_HOSTS = 1024
SCANNERS = ("friendly-scanner", "sipvicious", "sundayddr", "sipcli", "sip-scan", "pplsip", "vaxsipuseragent", "iwar")
"""User-Agent names of programs that only look for telephones to abuse; they get no response."""


class Bucket:
    """`rate` tokens a second, at most `burst` saved up."""

    __slots__ = ("_burst", "_rate", "_tokens", "_when")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._when = burst, float("-inf")

    def level(self, now: float) -> float:
        """Tokens that are there."""
        if now > self._when:
            self._tokens = min(self._burst, self._tokens + (now - self._when) * self._rate)
            self._when = now
        return self._tokens

    def take(self) -> None:
        self._tokens -= 1.0


class RateLimiter:
    """Per host `rate` requests a second (up to `burst` at once), `total_rate` for all hosts."""

    def __init__(self, rate: float, burst: float, total_rate: float, total_burst: float | None = None) -> None:
        self._rate, self._burst = rate, burst
        self._total = Bucket(total_rate, total_rate if total_burst is None else total_burst)
        self._hosts: dict[str, Bucket] = {}

    def allows(self, host: str, now: float) -> bool:
        """Whether `take` would succeed."""
        bucket = self._hosts.get(host)
        return self._total.level(now) >= 1.0 and (bucket is None or bucket.level(now) >= 1.0)

    def take(self, host: str, now: float) -> bool:
        """Count one request of `host`; False if it is one too many."""
        if not self.allows(host, now):
            return False
        bucket = self._hosts.get(host)
        if bucket is None:
            self._make_room(now)
            bucket = self._hosts[host] = Bucket(self._rate, self._burst)
            bucket.level(now)
        bucket.take()
        self._total.take()
        return True

    def _make_room(self, now: float) -> None:
        """Forget hosts that have been quiet; if all are busy, the one known longest."""
        if len(self._hosts) < MAX_HOSTS:
            return
        for host in [host for host, bucket in self._hosts.items() if bucket.level(now) >= self._burst]:
            del self._hosts[host]
        if len(self._hosts) >= MAX_HOSTS:
            del self._hosts[next(iter(self._hosts))]


def network_of(host: str) -> str:
    """Whose bucket a request of this literal address takes from. Of public addresses one sender may have a whole /24,
    and of IPv6 at least a /64 (RFC 6177); in a private network of IPv4 each host is one by itself."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 6:
        return str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)))
    return host.rpartition(".")[0] if address.is_global else host


def is_scanner(user_agent: str | None) -> bool:
    lower = (user_agent or "").lower()
    return any(name in lower for name in SCANNERS)
