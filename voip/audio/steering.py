"""What the peer's reports make of a stream that we send: its repair packets or copies, its bit rate and the length of
its packets, its in-band FEC.

The rate controller comes first (RFC 8083, RFC 8085): what it allows, and no more than the ceilings of the peer (b=,
RFC 8866 section 5.8) and of the user, is the budget. Of that the encoder takes what it needs, and FEC the rest (RFC
8627). What a full line dropped is no reason for more FEC.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import NamedTuple

from voip.audio.copies import kinds_of
from voip.audio.in_band import ExpectedLoss
from voip.codecs import Codec, Encoder
from voip.congestion import (
    SHORTEN_AFTER,
    STEPS,
    Coding,
    RateController,
    best_coding,
    lack,
    least_rate,
    longer,
    media_rate,
)
from voip.fec import Agreed, FecController, Pattern
from voip.media import NegotiatedMedia
from voip.rtp import HEADER_BYTES
from voip.stats import Congestion, LimitedBy, PathReport

NO_LOSS = 0.003
"""Share of packets lost up to which no repair packets are sent where the sound itself has less than it should."""
FILLED = 0.85
"""Share of the limit that has to be used before more is tried (`voip/congestion/control.py`)."""
BETTER = 2.0
"""Points of R by which shorter packets must sound better: each change is heard, as play-out follows it."""
ROUNDING = 1e-6
"""Packets by which a repair window may miss a whole number of them and still hold it: microseconds are rounded."""
MEAN_PACKETS = 50
"""Media packets whose mean size counts, of a codec that leaves no choice of its bit rate: one second of them."""


class Decisions(NamedTuple):
    """Lines that say what has changed, and why; None: nothing."""

    fec: str | None = None
    rate: str | None = None


NOTHING = Decisions()
"""No change."""


class Steering:
    """Controllers of one stream. `sent` for every packet, `report` for every report: both may change `pattern`, and a
    report `ptime`."""

    def __init__(
        self,
        pattern: Pattern | None,
        control: FecController | None,
        rate: RateController | None,
        maximum: float | None,
        media: NegotiatedMedia,
    ) -> None:
        """`control` chooses the pattern in place of `pattern`; `rate` says how much may be sent, and `maximum` (bit/s,
        all headers included) how much at most."""
        self._fixed, self._control, self._rate, self._maximum = pattern, control, rate, maximum
        self._expected_loss = ExpectedLoss()
        self._media, self._header = media, 0
        self._ptimes: tuple[float, ...] = (media.packet_time,)
        self._full: int | None = None  # bit/s of the encoder, None: it leaves no choice
        self._coding = Coding(0, media.packet_time)
        self._left = 0  # bit/s that the sound leaves to FEC
        self._room_since: float | None = None  # shorter packets would do
        self._told: tuple[float | None, LimitedBy | None] = (None, None)  # the ceiling
        self._prepared: tuple[float, int | None] | None = None
        self._sizes: deque[int] = deque(maxlen=MEAN_PACKETS)  # of media packets, with all headers and no copies
        self._figures: Congestion | None = None  # those of the last report and agreement, once they were asked for

    @property
    def pattern(self) -> Pattern | None:
        """Which packets repair packets are to cover."""
        if self._control is not None:
            return self._control.pattern
        limit, _ = self._limit
        fixed = self._fixed
        if fixed is not None and not self._agreed.copies:
            fixed = fixed.whole
        return fixed if fixed is None or limit is None else self._fitting(fixed, limit)

    @property
    def ptime(self) -> float:
        """Seconds that a packet is to last."""
        return self._coding.ptime

    @property
    def window(self) -> int | None:
        """Packets that a repair packet may span, the newest included (RFC 8627 section 5.2.1); None without a limit."""
        window = self._media.send_repair_window
        return None if window is None else int(window / self.ptime + ROUNDING)

    def affordable(self, media: NegotiatedMedia, ip_header: int) -> Codec:
        """What to encode with so that the ceilings can be kept; the arguments are those of `update`.

        A bit rate that is chosen before the first packet, as that of AAC, has to be low enough then. Opus goes down by
        itself, and begins below its usual least where not even that is low enough in the longest packets.
        """
        codec, audio = media.audio.codec, media.audio
        ceiling, _ = self._ceiling_of(media)
        adapts = codec.implementation.adapts
        ptime = longer(codec.packet_times, audio.ptime, audio.max_ptime)[-1] if adapts else audio.ptime
        if ceiling is None:
            return codec
        room = ceiling - 8 * self._header_of(media, ip_header) / ptime
        return codec if adapts and room >= STEPS[-1] else codec.limited(max(0, int(room)))

    @property
    def congestion(self) -> Congestion:
        """For reports."""
        if self._figures is None:
            self._figures = self._new_figures()
        return self._figures

    def _new_figures(self) -> Congestion:
        found = Congestion() if self._rate is None else self._rate.figures
        ceiling, reason = self._ceiling
        if ceiling is not None and (found.limit is None or ceiling <= found.limit):
            found = replace(found, limit=ceiling, limited_by=reason)
        return replace(found, ptime=self.ptime)

    def set_fixed(self, pattern: Pattern | None) -> None:
        """Another pattern, where no controller chooses it."""
        self._fixed = pattern

    def update(self, media: NegotiatedMedia, ip_header: int, full: int | None) -> Decisions:
        """What was negotiated, bytes of the headers of IP and UDP, and the bit rate that the encoder was made for: None
        if it leaves no choice."""
        before = self._media.audio
        self._media, self._full = media, full
        self._header = self._header_of(media, ip_header)
        audio = media.audio
        if (audio.codec, audio.ptime) != (before.codec, before.ptime):
            self._sizes.clear()
        times = audio.codec.packet_times if full is not None else None
        self._ptimes = longer(times, audio.ptime, audio.max_ptime)
        if audio.ptime != before.ptime or self.ptime not in self._ptimes:
            self._coding = Coding(self._coding.bitrate, audio.ptime)
        self._choose(None)
        self._figures = None
        return Decisions(rate=self._tell_ceiling())

    def sent(self, number: int, size: int, now: float, *, repair: bool, copies: int = 0) -> Decisions:
        """A packet goes out; `size` with all headers, and with so many bytes of `copies` of others."""
        alone = size - copies
        if not repair:
            self._sizes.append(alone)
        if self._rate is not None:
            self._rate.sent(number, size, now, repair=repair)
        if self._control is None:
            return NOTHING
        fec = self._control.sent(number, alone, now, repair=repair)
        return NOTHING if fec is None else Decisions(fec=fec)

    def report(self, report: PathReport) -> Decisions:
        """A report of the peer about this stream has come."""
        self._expected_loss.report(report)
        rate = None
        counts = True
        if self._rate is not None:
            rate = self._rate.report(report)
            counts = not self._rate.figures.full
            left = self._left
            self._choose(report.at)
            rate = "; ".join(line for line in (rate, self._tell_left(left)) if line) or None
        self._figures = None
        fec = None if self._control is None else self._control.report(report, counts=counts)
        return Decisions(fec, rate)

    def prepare(self, encoder: Encoder, now: float, *, repaired: bool) -> None:
        """Before a packet is encoded: let in-band FEC be added while packets are lost that no repair packet can
        replace, and take no more bits than there are."""
        loss = 0.0 if repaired else self._expected_loss.at(now)
        bitrate = None if self._full is None else self._coding.bitrate
        if (loss, bitrate) != self._prepared:
            self._prepared = loss, bitrate
            encoder.set_loss(loss, in_band_fec=True)
            if bitrate is not None:
                encoder.set_bitrate(bitrate)

    def forget_encoder(self) -> None:
        """The next one that is prepared is new."""
        self._prepared = None

    @property
    def _agreed(self) -> Agreed:
        """What FEC the peer takes, but for the bandwidth."""
        return Agreed(self.window, None, *kinds_of(self._media), header=self._header)

    @staticmethod
    def _header_of(media: NegotiatedMedia, ip_header: int) -> int:
        """Bytes of each packet around its payload."""
        return ip_header + HEADER_BYTES + media.header_change + media.tag_length

    @property
    def _ceiling(self) -> tuple[float | None, LimitedBy | None]:
        return self._ceiling_of(self._media)

    def _ceiling_of(self, media: NegotiatedMedia) -> tuple[float | None, LimitedBy | None]:
        """Bit/s that are never exceeded, whatever the line carries."""
        known: list[tuple[float, LimitedBy]] = []
        if media.bandwidth is not None:
            known.append((media.bandwidth, "peer"))
        if self._maximum is not None:
            known.append((self._maximum, "bitrate-max"))
        return min(known, default=(None, None))

    @property
    def _limit(self) -> tuple[float | None, LimitedBy | None]:
        ceiling, reason = self._ceiling
        limit = None if self._rate is None else self._rate.limit
        if limit is None or self._rate is None or (ceiling is not None and ceiling <= limit):
            return ceiling, reason
        return limit, self._rate.limited_by

    @property
    def _media_rate(self) -> float:
        """Bit/s of the media packets, all headers included."""
        codec, headers = self._media.audio.codec, 8 * self._header / self.ptime
        if self._full is not None:
            return self._coding.bitrate + headers
        if self._sizes:
            return 8 * sum(self._sizes) / len(self._sizes) / self.ptime
        return 8 * codec.encoded_size(round(codec.sample_rate * self.ptime)) / self.ptime + headers

    def _fitting(self, pattern: Pattern, limit: float) -> Pattern | None:
        """What of a pattern there is room for beside the media: of copies some, of repair packets all or none."""
        media = self._media_rate
        if pattern.copy_bitrate is None:
            return pattern if (1.0 + pattern.overhead) * media <= limit else None
        room, payload = max(0.0, limit - media) * self.ptime / 8, media * self.ptime / 8 - self._header
        fewer = (pattern.farthest(copies) for copies in range(len(pattern.sets), 0, -1))
        return next((each for each in fewer if each and each.copies_size(self.ptime, payload) <= room), None)

    def _choose(self, now: float | None) -> None:
        """Encode within the limit, and give FEC what is left of it; `now` is None where the session is new."""
        limit, reason = self._limit
        before = self._coding.bitrate
        if self._full is not None:
            wanted = self._coding_within(limit, self._full, now)
            self._coding = self._leave_room(wanted, limit)
            self._left = wanted.bitrate - self._coding.bitrate
        if self._rate is not None:
            least = None if self._full is None else least_rate(self._full, self._header, self._ptimes)
            self._rate.set_floor(self._media_rate if least is None else least)
        if self._control is not None:
            size = self._media_rate * self.ptime / 8
            self._control.set_ptime(self.ptime, size)
            if self._coding.bitrate > before:
                self._control.set_size(size)
            bandwidth = 0.0 if self._needs_all(limit) else limit
            usual = size if reason == "line" else 0.0
            carries = None if self._rate is None else self._rate.carries
            self._control.set_limits(self._agreed._replace(bandwidth=bandwidth), usual, carries)

    def _needs_all(self, limit: float | None) -> bool:
        """Whether the packets are longer than agreed on, or the sound has less than it should, and no loss that we know
        of asks for repair.

        Repair packets and copies may fill what then remains of the limit, to find out whether the line carries more:
        only where the sound is to gain by it, and does not fill it itself.
        """
        if limit is None or self._full is None or self._coding == (self._full, self._media.packet_time):
            return False
        no_loss = self._control is not None and self._control.channel.loss < NO_LOSS
        return no_loss and (self._coding.bitrate == self._full or self._media_rate >= FILLED * limit)

    def _leave_room(self, coding: Coding, limit: float | None) -> Coding:
        """Fewer bits for the sound where the repair that they make room for is worth more. What a full line drops does
        not count: the channel has the losses of the path alone."""
        control = self._control
        if limit is None or control is None or control.ptime != coding.ptime or control.channel.loss < NO_LOSS:
            return coding
        lost: dict[int, float] = {}
        for bitrate in (coding.bitrate, *(step for step in STEPS if step < coding.bitrate)):
            size = self._header + bitrate * coding.ptime / 8
            lost[bitrate] = lack(Coding(bitrate, coding.ptime), self._ptimes[0]) + control.points_beside(size, limit)
        best, before = min(lost, key=lost.__getitem__), self._coding.bitrate
        if before in lost and lost[before] <= lost[best] + BETTER:
            best = before
        return Coding(best, coding.ptime)

    def _coding_within(self, limit: float | None, full: int, now: float | None) -> Coding:
        wanted = best_coding(limit, full, self._header, self._ptimes)
        if wanted.ptime >= self.ptime:
            self._room_since = None
            return wanted
        same = Coding(media_rate(limit, full, self._header, 1.0 / self.ptime), self.ptime)
        agreed = self._ptimes[0]
        if lack(wanted, agreed) > lack(same, agreed) - BETTER:
            self._room_since = None
            return same
        if self._room_since is None:
            self._room_since = now
        if now is not None and self._room_since is not None and now - self._room_since >= SHORTEN_AFTER:
            self._room_since = None
            return wanted
        return same

    def _tell_left(self, before: int) -> str | None:
        """A line about the bit rate of the sound where it leaves more to FEC, or less, than before."""
        if self._left == before:
            return None
        now = f"sound at {self._coding.bitrate / 1e3:.4g} kbit/s"
        if not self._left:
            return f"{now}: FEC needs no more room"
        return f"{now} in place of {(self._coding.bitrate + self._left) / 1e3:.4g}: FEC needs the room"

    def _tell_ceiling(self) -> str | None:
        """A line about the ceiling where it is another one than before."""
        told, self._told = self._told, self._ceiling
        ceiling, reason = self._told
        if told == self._told:
            return None
        if ceiling is None:
            return "rate no longer bounded by the peer"
        why = "the peer takes no more (b=)" if reason == "peer" else "by --bitrate-max"
        return f"rate never above {ceiling / 1e3:.4g} kbit/s, {why}"
