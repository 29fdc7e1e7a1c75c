"""The delay below which play-out never aims: the floor, by what the losses of the last seconds were like.

What a packet that is rebuilt later needs shows only when it has come too late; these delays are there before that, so
that the sound need not be stretched for each. `docs/playout.md` has the table. The figures are from calls in virtual
time (`python -m tests.bench virtual`).
"""

from __future__ import annotations

from voip.conversation import Use
from voip.jitter.losses import LossWatch
from voip.media import NegotiatedMedia
from voip.rtp import ReceptionStats

PUNCTUAL_DELAY = 0.014
"""Seconds of play-out delay at least, where all packets take the same time: what a sound card needs, and a moment."""
RESERVE = 0.009
"""Seconds between the slowest packet of the last half minute and its turn, where CLEAN_DELAY is not needed for that:
from then on a slower one asks for more before anything has been late."""
CLEAN_DELAY = 0.025
"""Seconds of play-out delay on a good network: a packet, and a moment of a busy machine."""
LOSSY_DELAY = 0.075
"""Seconds while packets are lost, and at the beginning: repair packets of three packets later are in time."""
BURSTY_DELAY = 0.135
"""Seconds while losses come in bursts: repair packets of six packets later are in time."""
OUTAGE_DELAY = 0.255
"""Seconds while the network fails for tens of milliseconds: repair packets of twelve packets later are in time."""
TALK_OUTAGE_DELAY = 0.155
"""The same where people talk: repair packets of seven packets later. The five packets more cost 12 points of R, and
rebuild what costs 2 to 6."""
TALK_LONGEST_DELAY = 0.195
"""The same where packets show that repair takes longer: copies of nine packets later, the sender's longest choice for
people who talk."""
OUTAGE = 1.2
"""Packets by which runs of losses exceed what chance makes them, where the network fails for such times."""
NEXT_MARGIN = 0.030
"""Seconds on top of a packet time while packets are lost that nothing rebuilds: the next packet is here then when the
lost one is due, and may repeat it (Opus in-band FEC). At 5 % loss, PESQ 3.51 against 3.13 with CLEAN_DELAY; without
in-band FEC 2.73 against 2.51, as play-out is held less often."""
FEC_MARGIN = 0.015
"""Seconds on top of the wait for a repair packet: a block of ours, and repair packets are sent a moment later."""


class DelayFloor:
    """Watches the losses of one stream and says what delay they ask for at least; with `latency`, that and its FEC."""

    def __init__(self, latency: float | None, use: Use = Use.CONVERSATION) -> None:
        """`latency`: seconds that the user has asked for (`--latency`); None: whatever the network needs."""
        self._use = use
        self._latency = latency
        self._losses = LossWatch()
        self._spread: float | None = None  # seconds between the fastest packets and the slowest
        self._repair_wait = 0.0  # seconds that repair takes, as its packets show: ULPFEC and RED do not announce it

    @property
    def adapts(self) -> bool:
        """Whether the delay is ours to choose: play-out may then be held for late packets."""
        return self._latency is None

    @property
    def first(self) -> float | None:
        """Seconds to begin with, before anything is known of the network; None: the floor."""
        return LOSSY_DELAY if self._latency is None else None

    def look(self, stats: ReceptionStats, repair_wait: float, now: float, spread: float | None) -> None:
        """Take down the counts as they are now; `repair_wait`: seconds from a packet to its last repair packet.

        `spread`: see `DelayTarget`.
        """
        self._losses.look(stats, now)
        self._spread = spread
        self._repair_wait = repair_wait

    def seconds(self, media: NegotiatedMedia, now: float) -> float:
        """The least delay to aim at."""
        if self._latency is None:
            return self._by_losses(media, now)
        # The window counts both the packet that is lost and the last one that its repair waits for.
        wait = media.repair_window - media.audio.ptime if media.repair_window else self._repair_wait
        return max(self._latency, wait + FEC_MARGIN) if media.fec and wait else self._latency

    @property
    def _clean_delay(self) -> float:
        """Where nothing is lost."""
        if self._spread is None:
            return CLEAN_DELAY
        return min(CLEAN_DELAY, max(PUNCTUAL_DELAY, self._spread + RESERVE))

    def _by_losses(self, media: NegotiatedMedia, now: float) -> float:
        if not self._losses.recent(now):
            return self._clean_delay
        if not media.fec:
            return media.packet_time + NEXT_MARGIN
        clustering = self._losses.clustering(now)
        if not clustering:
            return LOSSY_DELAY
        outages = clustering >= OUTAGE
        if self._use is not Use.CONVERSATION:
            return OUTAGE_DELAY if outages else BURSTY_DELAY
        if not self._repair_wait:
            return TALK_OUTAGE_DELAY if outages else BURSTY_DELAY
        longest = TALK_LONGEST_DELAY if outages else BURSTY_DELAY
        return min(longest, max(LOSSY_DELAY, self._repair_wait + FEC_MARGIN))  # as long as the sender has chosen
