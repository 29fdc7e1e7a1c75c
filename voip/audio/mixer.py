"""Many streams to one sound."""

from __future__ import annotations

from collections.abc import Callable

from voip.audio.receiver import SNAPSHOT_INTERVAL, AudioReceiver
from voip.dsp import Pcm, mix
from voip.media import NegotiatedMedia
from voip.rtp import RtpPacket
from voip.stats import ReceiverStats


class Mixer:
    """Many receivers to one sound of their common format. `stats` is replaced whole, about ten times a second."""

    def __init__(self) -> None:
        self.stats: dict[str, ReceiverStats] = {}
        self._receivers: dict[str, AudioReceiver] = {}
        self._finishing: dict[str, Callable[[ReceiverStats], object]] = {}
        self._published_at = float("-inf")
        self._without_packets: set[str] = set()

    @property
    def streams(self) -> int:
        """How many are being played."""
        return len(self._receivers)

    @property
    def idle(self) -> bool:
        """No stream is being played."""
        return not self._receivers

    @property
    def waiting(self) -> bool:
        """No stream that is being played has had a packet: what is read is the silence of a call without sound."""
        return self._receivers.keys() <= self._without_packets

    def add(self, key: str, receiver: AudioReceiver) -> None:
        """A stream joins."""
        self._receivers[key] = receiver
        self._without_packets.add(key)
        self._publish()

    def put(self, key: str, packet: RtpPacket, arrival: float) -> None:
        """A packet of a stream; unknown ones are ignored: their call may just have ended."""
        if key in self._receivers:
            self._without_packets.discard(key)
            self._receivers[key].put(packet, arrival)

    def update(self, key: str, media: NegotiatedMedia) -> None:
        """A stream was negotiated anew; unknown ones are ignored."""
        if key in self._receivers:
            self._receivers[key].update(media)

    def finish(self, key: str, played_out: Callable[[ReceiverStats], object]) -> None:
        """No more packets come: the stream is played to its end, removed, and its last figures handed out."""
        if key in self._receivers:
            self._finishing[key] = played_out
        else:
            played_out(self.stats.get(key, ReceiverStats()))

    def remove(self, key: str) -> None:
        """A stream leaves at once."""
        self._receivers.pop(key, None)
        self._finishing.pop(key, None)
        self._without_packets.discard(key)
        self._publish()

    def read(self, samples: int, now: float) -> Pcm:
        """The next `samples` of all streams together; ValueError if there are none."""
        for key in self._finishing:
            self._receivers[key].finish(now)
        blocks = [receiver.read(samples, now) for receiver in self._receivers.values()]
        if self._finishing:
            self._hand_out()
        if now - self._published_at >= SNAPSHOT_INTERVAL:
            self._published_at = now
            self._publish()
        if not blocks:
            raise ValueError("nothing to mix")
        return mix(blocks)

    def note_unheard(self, seconds: float) -> None:
        """What was read last, so many seconds, was not heard: the device is gone."""
        for receiver in self._receivers.values():
            receiver.note_unheard(seconds)

    def _hand_out(self) -> None:
        for key in [key for key in self._finishing if self._receivers[key].drained]:
            played_out = self._finishing.pop(key)
            final = self._receivers.pop(key).snapshot()
            self._without_packets.discard(key)
            self._publish()  # first: whoever is told must not find older figures here
            played_out(final)

    def _publish(self) -> None:
        self.stats = {key: receiver.stats for key, receiver in self._receivers.items()}
