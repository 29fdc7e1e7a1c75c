"""What one stream has sent, counted while it is sent."""

from __future__ import annotations

from voip.stats import Congestion, Levels, SenderStats

NO_LEVELS = Levels()
"""They are of the sound, which is measured once for all streams (`Fanout`)."""


class SendCounters:
    """The running sums behind `SenderStats`."""

    def __init__(self) -> None:
        self.packets = self._unplayed = 0
        self._fec_packets = self._fec_copies = 0
        self._bytes = self._ip_bytes = 0
        self._payload_bytes = self._fec_payload_bytes = 0
        self._seconds = 0.0
        self._timestamp: int | None = None
        self._timestamp_at: float | None = None
        self._fec_timestamp: int | None = None
        self._fec_timestamp_at: float | None = None
        self.repair_number: int | None = None
        """The sequence number of the newest repair packet."""
        self._pattern: str | None = None
        self._reason: str | None = None

    def frame(self, seconds: float, timestamp: int, now: float) -> None:
        """A frame of sound is sent, or an event in its place."""
        self._seconds += seconds
        self._timestamp, self._timestamp_at = timestamp, now

    def repair(self, number: int, timestamp: int, now: float) -> None:
        """A repair packet of this sequence number and timestamp is sent."""
        self.repair_number = number
        self._fec_timestamp, self._fec_timestamp_at = timestamp, now

    def copies(self, count: int) -> None:
        """So many packets are sent once more within another one (RFC 2198)."""
        self._fec_copies += count

    def protection(self, pattern: str | None, reason: str | None) -> None:
        """What repair packets cover from now on, None for none of them; why, None: as it was begun, or as before."""
        self._pattern, self._reason = pattern, reason or self._reason

    def unplayed(self) -> None:
        """A media packet went to a peer that does not play it."""
        self._unplayed += 1

    def packet(self, payload: int, size: int, ip_size: int, *, repair: bool) -> None:
        """A packet is sent, of so many bytes of payload, `size` as a datagram and `ip_size` with IP and UDP headers."""
        self._bytes += size
        self._ip_bytes += ip_size
        if repair:
            self._fec_packets += 1
            self._fec_payload_bytes += payload
        else:
            self.packets += 1
            self._payload_bytes += payload

    def snapshot(self, congestion: Congestion) -> SenderStats:
        """The sums so far, and what a full line makes of the stream."""
        return SenderStats(
            self.packets,
            self._fec_packets,
            self._fec_copies,
            self._unplayed,
            self._bytes,
            self._ip_bytes,
            self._seconds,
            self._payload_bytes,
            self._fec_payload_bytes,
            self._timestamp,
            self._timestamp_at,
            self._fec_timestamp,
            self._fec_timestamp_at,
            NO_LEVELS,
            congestion,
            self._pattern,
            self._reason,
        )
