"""Mix-minus: to each party of a conference all others, never itself.

What a party hears is the sum of all minus its own part of it, taken from the same block: what it said is not there by
subtraction of the very samples that were added, whatever was lost, concealed or converted before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voip.audio.mixer import Mixture
from voip.audio.sender import AudioSender
from voip.dsp import Floats, Limiter
from voip.media import NegotiatedMedia
from voip.stats import Levels, PathReport, SenderStats

Send = Callable[[bytes], None]


@dataclass(frozen=True)
class _Party:
    """One who is sent the others: what encodes them, how its datagrams go out, what keeps the sum within full scale."""

    sender: AudioSender
    send: Send
    limiter: Limiter


class MixMinus:
    """To each stream the sum of what all others have brought. `stats` is replaced whole whenever something is sent."""

    levels = Levels()
    """Unknown: what one is sent may well be silence, when none of the others speaks."""

    encoders = None
    """What is shared of encoders: nothing, for each hears another sound."""

    def __init__(self, sample_rate: int) -> None:
        """`sample_rate` of the sound that will be written, in Hz."""
        self.stats: dict[str, SenderStats] = {}
        self._sample_rate = sample_rate
        self._parties: dict[str, _Party] = {}

    def add(self, key: str, sender: AudioSender, send: Send) -> None:
        """A stream joins; `send` puts one of its datagrams on the wire."""
        self._parties[key] = _Party(sender, send, Limiter(self._sample_rate))
        self._publish()

    def update(self, key: str, media: NegotiatedMedia) -> None:
        """A stream was negotiated anew; unknown streams are ignored: their call may just have ended."""
        if key in self._parties:
            self._parties[key].sender.update(media)

    def report(self, key: str, report: PathReport) -> None:
        """The peer of a stream has sent a report; unknown streams are ignored."""
        if key in self._parties:
            self._parties[key].sender.report(report)

    def remove(self, key: str) -> SenderStats | None:
        """A stream leaves: send its last datagrams. Returns its final figures; None for an unknown one."""
        if key not in self._parties:
            return None
        party = self._parties.pop(key)
        for datagram in party.sender.finish():
            party.send(datagram)
        self._publish()
        return party.sender.stats

    def write(self, mixture: Mixture, now: float) -> list[tuple[Send, bytes]]:
        """Give each stream its part of a block: what to send, and how."""
        total, outgoing = mixture.total, list[tuple[Send, bytes]]()
        for key, party in self._parties.items():
            pcm = party.limiter.process(_without(mixture, total, key))
            outgoing += [(party.send, datagram) for datagram in party.sender.write(pcm, now)]
        if outgoing:
            self._publish()
        return outgoing

    def finish(self) -> list[tuple[Send, bytes]]:
        """The conference is over: what is left to send."""
        outgoing = [(each.send, datagram) for each in self._parties.values() for datagram in each.sender.finish()]
        self._publish()
        return outgoing

    def _publish(self) -> None:
        self.stats = {key: party.sender.stats for key, party in self._parties.items()}


def _without(mixture: Mixture, total: Floats, key: str) -> Floats:
    own = mixture.parts.get(key)
    return total if own is None else total - own
