"""A conference: each party hears all others and never itself (mix-minus), by two threads.

The playback thread owns the mix, by the sink's clock: of a sound card, or of what stands in for one in real time. Each
block that it has taken of all streams goes, with its parts, to the thread of the `Bridge`, which owns an encoder and a
limiter for each party, and sends. So a slow encoder never holds up the speaker. With a microphone of its own, a third
thread (`HostMicrophone`) captures, and the playback thread takes from it what is one more part of the mix.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from voip.audio import MixMinus, Mixture, OwnVoice
from voip.audio.convert import Converter
from voip.devices import Source
from voip.engine import IDLE_POLL, Mailbox

BLOCKS_BEHIND = 50
"""Blocks (half a second) that may wait for the bridge before new ones are dropped and counted."""
WANTED_FOR = 2.0
"""Seconds without a block of the mix after which there is no party: a playback thread that is late is none of that."""
HOST = "host"
"""The name of the host's own voice among the parts of the mixture: Call-IDs have a number behind them."""


@dataclass(frozen=True)
class MixedSound:
    """The mix as the source of what is sent: its format, and what people call it."""

    sample_rate: int
    channels: int
    description: str = "the conference"
    live: bool = False
    available: bool = True
    xruns: int = 0


class Bridge:
    """The bridge thread's state: a stream to each party. Others reach it by `post`, the mix by `forward`."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        """The format of the mixture."""
        self.source, self.fanout = MixedSound(sample_rate, channels), MixMinus(sample_rate)
        self.dropped = 0
        """Blocks that were not sent because the thread was far behind. Any thread may read it."""
        self._jobs: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._silenced = False

    def post(self, function: Callable[..., object], *args: object) -> None:
        """Run `function(*args)` on the bridge thread, soon; callable from any thread."""
        self._jobs.put(lambda: function(*args))

    def forward(self, mixture: Mixture) -> None:
        """Send a block of the mix; called on the playback thread."""
        if self._jobs.qsize() > BLOCKS_BEHIND:
            self.dropped += 1
            return
        self.post(self._send, mixture, time.monotonic())

    def run(self, silenced: Callable[[], bool], stopped: Callable[[], bool]) -> None:
        """The thread: sends what it is given until `silenced`, and serves its mailbox until `stopped`."""
        while not silenced():
            self._serve()
        self._silenced = True
        self._transmit(self.fanout.finish())
        while not stopped():
            self._serve()

    def _serve(self) -> None:
        try:
            job = self._jobs.get(timeout=IDLE_POLL)
        except queue.Empty:
            return
        job()

    def _send(self, mixture: Mixture, now: float) -> None:
        if not self._silenced:
            self._transmit(self.fanout.write(mixture, now))

    @staticmethod
    def _transmit(outgoing: list[tuple[Callable[[bytes], None], bytes]]) -> None:
        for send, datagram in outgoing:
            send(datagram)


class HostMicrophone:
    """What the host of a conference says, as one more part of the mix: a thread of its own, paced by the source.

    As with every receiver the input begins with the first party, and anew when there was none.
    """

    def __init__(self, source: Source, sample_rate: int, channels: int) -> None:
        """The format of the mixture."""
        self.source = source
        self.voice = OwnVoice(sample_rate, channels)
        self._format = (sample_rate, channels)
        self._mailbox = Mailbox()  # of the playback thread
        self._wanted_at = float("-inf")

    @property
    def unheard(self) -> int:
        """Blocks that were dropped because the playback thread was far behind. Any thread may ask."""
        return self._mailbox.overruns

    def add_to(self, mixture: Mixture) -> Mixture:
        """The mixture and what the host says with it; called on the playback thread, for each block with a party."""
        self._wanted_at = time.monotonic()
        self._mailbox.run()
        return replace(mixture, parts={**mixture.parts, HOST: self.voice.take(mixture.samples)})

    def run(self, silenced: Callable[[], bool], stopped: Callable[[], bool]) -> None:
        """The thread, until `silenced` or the end of the input."""
        ended = False
        try:
            while not (silenced() or ended):
                if self._is_wanted:
                    ended = not self._capture(silenced)
                else:
                    time.sleep(IDLE_POLL)
        finally:
            self.source.close()
        while not stopped():
            time.sleep(IDLE_POLL)

    @property
    def _is_wanted(self) -> bool:
        """There are parties to hear it."""
        return time.monotonic() - self._wanted_at < WANTED_FOR

    def _capture(self, silenced: Callable[[], bool]) -> bool:
        """While there are parties; False at the end of the input, which is not repeated."""
        converter = Converter((self.source.sample_rate, self.source.channels), self._format)
        self._mailbox.post(self.voice.begin)
        self.source.start()
        while self._is_wanted and not silenced():
            pcm = self.source.read()
            if pcm is None:
                return False
            self._mailbox.post_packet(self.voice.put, converter.process(pcm))
        return True
