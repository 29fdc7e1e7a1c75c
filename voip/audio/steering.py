"""What the peer's reports make of a stream that we send: its repair packets, its bit rate, its in-band FEC.

The rate controller comes first (RFC 8083, RFC 8085): what it allows is the budget. Of that the encoder takes what it
needs, and FEC the rest (RFC 8627). What a full line dropped is no reason for more FEC.
"""

from __future__ import annotations

from typing import NamedTuple

from voip.audio.in_band import ExpectedLoss
from voip.codecs import Encoder
from voip.congestion import RateController, media_rate
from voip.fec import Agreed, FecController, Pattern
from voip.rtp import HEADER_BYTES
from voip.stats import Congestion, PathReport


class Decisions(NamedTuple):
    """Lines that say what has changed, and why; None: nothing."""

    fec: str | None = None
    rate: str | None = None


NOTHING = Decisions()
"""No change."""


class Steering:
    """Controllers of one stream. `sent` for every packet, `report` for every report: both may change `pattern`."""

    def __init__(
        self, pattern: Pattern | None, control: FecController | None, rate: RateController | None, ip_header: int
    ) -> None:
        """`control` chooses the pattern in place of `pattern`; `rate` says how much may be sent, `ip_header`: bytes."""
        self._fixed, self._control, self._rate = pattern, control, rate
        self._expected_loss = ExpectedLoss()
        self._header, self._ptime = ip_header + HEADER_BYTES, 0.02
        self._agreed = Agreed()
        self._prepared: tuple[float, int | None] | None = None
        self._full_bitrate: int | None = None  # of the encoder
        self._size = 0  # of the newest media packet, with all headers

    @property
    def pattern(self) -> Pattern | None:
        """Which packets repair packets are to cover."""
        if self._control is not None:
            return self._control.pattern
        limit = None if self._rate is None else self._rate.limit
        fixed = self._fixed
        if fixed is not None and not self._agreed.copies:
            fixed = fixed.whole
        return fixed if fixed is None or limit is None else self._fitting(fixed, limit)

    @property
    def congestion(self) -> Congestion:
        """For reports."""
        return Congestion() if self._rate is None else self._rate.figures

    def set_fixed(self, pattern: Pattern | None) -> None:
        """Another pattern, where no controller chooses it."""
        self._fixed = pattern

    def update(self, ptime: float, agreed: Agreed, ip_header: int) -> None:
        """What was negotiated: seconds per packet, and what FEC may be sent."""
        self._header, self._ptime = ip_header + HEADER_BYTES, ptime
        self._agreed = agreed
        if self._control is not None:
            self._control.set_ptime(ptime)
        self._set_limits()

    def sent(self, number: int, size: int, now: float, *, repair: bool, copies: int = 0) -> Decisions:
        """A packet goes out; `size` with all headers, and with so many bytes of `copies` of others."""
        alone = size - copies
        if not repair:
            self._size = alone
            if self._rate is not None and self._prepared is not None and self._prepared[1] is None:
                self._rate.set_floor(8 * alone / self._ptime)  # the codec leaves no choice
        if self._rate is not None:
            self._rate.sent(number, size, now, repair=repair)
        if self._control is None:
            return NOTHING
        return Decisions(fec=self._control.sent(number, alone, now, repair=repair))

    def report(self, report: PathReport) -> Decisions:
        """A report of the peer about this stream has come."""
        self._expected_loss.report(report)
        rate = None
        counts = True
        if self._rate is not None:
            rate = self._rate.report(report)
            counts = not self._rate.figures.full
            self._set_limits()
        fec = None if self._control is None else self._control.report(report, counts=counts)
        return Decisions(fec, rate)

    def prepare(self, encoder: Encoder, now: float, *, repaired: bool) -> None:
        """Before a packet is encoded: let in-band FEC be added while packets are lost that no repair packet can
        replace, and take no more bits than there are."""
        loss = 0.0 if repaired else self._expected_loss.at(now)
        bitrate, self._full_bitrate = None, encoder.full_bitrate
        if self._rate is not None and encoder.full_bitrate is not None:
            bitrate = media_rate(self._rate.limit, encoder.full_bitrate, self._header, 1.0 / self._ptime)
            self._rate.set_floor(media_rate(0.0, encoder.full_bitrate, 0, 0) + 8 * self._header / self._ptime)
        if (loss, bitrate) != self._prepared:
            self._prepared = loss, bitrate
            encoder.set_loss(loss, in_band_fec=True)
            if bitrate is not None:
                encoder.set_bitrate(bitrate)

    def forget_encoder(self) -> None:
        """The next one that is prepared is new."""
        self._prepared = None

    def _fitting(self, pattern: Pattern, limit: float) -> Pattern | None:
        """What of a pattern there is room for beside the media: of copies some, of repair packets all or none."""
        size = self._media_size(limit)
        room = limit * self._ptime / 8 - size
        if pattern.copy_bitrate is None:
            return pattern if pattern.overhead * size <= room else None
        return pattern.farthest(int(max(0.0, room) / pattern.copy_size(self._ptime)))

    def _media_size(self, limit: float) -> float:
        """Bytes of a media packet, headers included, at what the encoder will take of so many bit/s."""
        if self._full_bitrate is None:
            return self._size
        rate = media_rate(limit, self._full_bitrate, self._header, 1.0 / self._ptime)
        return self._header + rate * self._ptime / 8

    def _set_limits(self) -> None:
        limits = (self._agreed.bandwidth, None if self._rate is None else self._rate.limit)
        least = min((limit for limit in limits if limit is not None), default=None)
        if self._control is not None:
            self._control.set_limits(self._agreed._replace(bandwidth=least))
