"""The two directions of a media line, as the network thread sees them."""

from __future__ import annotations

import random

from tests.support.sound import Time
from voip import codecs
from voip.calls.streams import AudioStreams, SendSettings, SendStream
from voip.devices import generate
from voip.devices.paced import NullSink, PacedSource
from voip.engine import Capture, Playback
from voip.media import AudioFormat, NegotiatedMedia
from voip.report import Console
from voip.stats import ReceiverStats, SenderStats

BLOCKS = 10


def test_what_was_sent_is_known_after_the_end_too_for_the_last_reports() -> None:
    """The peer's last report comes after the stream has left the capture thread, and is a share of what was sent."""
    time, turns, ended = Time(), iter(range(4 * BLOCKS)), list[ReceiverStats | SenderStats | None]()
    silence = PacedSource(generate.silence, rate=8000, channels=1, description="", clock=time.clock, sleep=time.sleep)
    capture = Capture(silence, again=True)
    codec = codecs.find("PCMU", 8000, 1)
    assert codec is not None
    media = NegotiatedMedia(AudioFormat(codec), 0, ("192.0.2.2", 5000))
    stream = SendStream(
        "call/0", capture, lambda run, *args: run(*args), Console(time.clock), SendSettings(), random.Random(1)
    )
    stream.start(media, lambda datagram: True)

    def silenced() -> bool:
        turn = next(turns, None)
        if turn == BLOCKS:
            stream.end(ended.append)
        return turn is None

    capture.run(silenced, lambda: True)
    (final,) = ended
    assert isinstance(final, SenderStats)
    assert final.packets > 0
    assert stream.statistics() == final


def test_the_latency_of_a_speaker_is_told_where_there_is_one() -> None:
    class Card(NullSink):
        latency = 0.0235

    def streams(sink: NullSink) -> AudioStreams:
        return AudioStreams(print, Console(lambda: 0.0), playback=Playback(sink, latency=None, latency_max=0.5))

    assert streams(Card(rate=8000, channels=1, description="")).output_latency == 0.0235
    assert streams(NullSink(rate=8000, channels=1, description="")).output_latency is None
    assert AudioStreams(print, Console(lambda: 0.0)).output_latency is None
