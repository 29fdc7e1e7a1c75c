"""The two directions of a media line, as the network thread sees them."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.sound import Time
from voip import codecs
from voip.calls.streams import AudioStreams, SendSettings, SendStream
from voip.codecs import Codec
from voip.devices import generate
from voip.devices.paced import NullSink, PacedSource
from voip.engine import Capture, Playback
from voip.media import AudioFormat, NegotiatedMedia
from voip.report import Console
from voip.stats import PathReport, ReceiverStats, SenderStats

BLOCKS = 10


def test_what_was_sent_is_known_after_the_end_too_for_the_last_reports() -> None:
    """The peer's last report comes after the stream has left the capture thread, and is a share of what was sent."""
    (final,), known, _ = whole_stream(AudioFormat(pcmu()), "")
    assert isinstance(final, SenderStats)
    assert final.packets > 0
    assert known == final


@pytest.mark.parametrize(
    ("events", "said", "left"),
    [
        (frozenset(range(16)), "", "7A,#d"),
        (frozenset(range(12)), "peer does not take the DTMF keys AD (RFC 4733); they are not sent\n", "7,#"),
        (frozenset(), "peer does not take the DTMF keys 7A#D (RFC 4733); they are not sent\n", ""),
    ],
)
def test_keys_that_the_peer_does_not_take_are_not_sent_and_that_is_said(
    events: frozenset[int], said: str, left: str
) -> None:
    audio = AudioFormat(pcmu(), telephone_event_payload_type=101, telephone_event_rate=8000, telephone_events=events)
    unsent = f"the call ended before all DTMF digits were sent: {left.upper()} not sent\n" if left else ""
    assert whole_stream(audio, "7A,#d")[2] == said + unsent


def test_one_report_at_most_waits_for_the_capture_thread_and_it_is_the_newest() -> None:
    """A peer that reports 500 times a second made the mailbox grow, and sending stop."""
    silence = PacedSource(
        generate.silence, rate=8000, channels=1, description="", clock=lambda: 0.0, sleep=lambda seconds: None
    )
    capture = Capture(silence)
    posted: list[tuple[Callable[..., object], tuple[object, ...]]] = []
    taken: list[PathReport] = []
    told = SimpleNamespace(
        post=lambda function, *args: posted.append((function, args)),
        fanout=SimpleNamespace(report=lambda stream, report: taken.append(report)),
        source=capture.source,
    )
    console = Console(lambda: 0.0, talk=io.StringIO(), data=io.StringIO())
    stream = SendStream("call/0", cast(Capture, told), print, console, SendSettings(), random.Random(1))
    for second in range(3):
        for number in range(1000):
            stream.on_report(path_report(highest=1000 * second + number))
        assert len(posted) == 1
        function, args = posted.pop()
        function(*args)
    assert [report.highest for report in taken] == [999, 1999, 2999]


def path_report(highest: int) -> PathReport:
    return PathReport(
        at=0.0, fraction_lost=0.0, cumulative_lost=0, highest=highest, jitter=0.0, rtt=None, media=None, repair=None
    )


def pcmu() -> Codec:
    codec = codecs.find("PCMU", 8000, 1)
    assert codec is not None
    return codec


def whole_stream(
    audio: AudioFormat, keys: str
) -> tuple[list[ReceiverStats | SenderStats | None], SenderStats | None, str]:
    """A stream of 200 ms: its last figures, those that are known afterwards, and what was said."""
    time, turns, ended = Time(), iter(range(4 * BLOCKS)), list[ReceiverStats | SenderStats | None]()
    talk = io.StringIO()
    console = Console(time.clock, talk=talk, data=io.StringIO())
    silence = PacedSource(generate.silence, rate=8000, channels=1, description="", clock=time.clock, sleep=time.sleep)
    capture = Capture(silence, again=True)
    media = NegotiatedMedia(audio, 0, ("192.0.2.2", 5000))
    settings = SendSettings(keys=keys)
    stream = SendStream("call/0", capture, lambda run, *args: run(*args), console, settings, random.Random(1))
    stream.start(media, lambda datagram: True)

    def silenced() -> bool:
        turn = next(turns, None)
        if turn == BLOCKS:
            stream.end(ended.append)
        return turn is None

    capture.run(silenced, lambda: True)
    console.pump()
    return ended, stream.statistics(), talk.getvalue()


def test_the_latency_of_a_speaker_is_told_where_there_is_one() -> None:
    class Card(NullSink):
        latency = 0.0235

    def streams(sink: NullSink) -> AudioStreams:
        return AudioStreams(print, Console(lambda: 0.0), playback=Playback(sink, latency=None, latency_max=0.5))

    assert streams(Card(rate=8000, channels=1, description="")).output_latency == 0.0235
    assert streams(NullSink(rate=8000, channels=1, description="")).output_latency is None
    assert AudioStreams(print, Console(lambda: 0.0)).output_latency is None
